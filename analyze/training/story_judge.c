/* story_judge.c - see story_judge.h */
#include "analyze/training/story_judge.h"

#include "analyze/one/spectra.h"
#include "attn/entropy.h"
#include "attn/logits.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* ---- the rules ---- */

#define GREW 1.5 /* seeds and batches differ by up to a third by chance */
#define NORMAL_WEIGHTS 2.0
#define WORSE 1.25            /* of a Frechet distance */
#define BEFORE_THE_END 0.999  /* a training without an overflow is at 1 */
#define BELOW_THE_LIMIT 0.999 /* a training with an overflow is at 1 or above */
#define HALF 0.5
#define DIVERGED 0.1    /* of the steps are skipped */
#define HARDLY_ANY 0.02 /* likewise */
#define DEARER 1.02     /* of a loss, whose seeds differ by less than a hundredth */
#define LITTLE 0.8      /* of the boiling that there was: less is much */

typedef enum { UNDER, OVER } side;

typedef struct {
    ss_finding_id finding;
    const char *arm, *against; /* against: the claim is about the ratio to this arm's same seed */
    ss_story_number number;
    side side;
    double threshold;
} rule;

static const rule rules[] = {
    {SS_FINDING_GROWTH, "baseline", NULL, SS_STORY_GROWTH, OVER, GREW},
    {SS_FINDING_GROWTH, "baseline", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_GROWTH, "baseline", NULL, SS_STORY_WEIGHTS, UNDER, NORMAL_WEIGHTS},
    {SS_FINDING_DECODER, "baseline", NULL, SS_STORY_DECODER, OVER, HALF},
    {SS_FINDING_DECODER, "baseline", NULL, SS_STORY_HIGH_NOISE, OVER, HALF},
    {SS_FINDING_SPECTRUM, "baseline", NULL, SS_STORY_SPECTRUM, OVER, HALF},
    {SS_FINDING_BLIND, "blind", NULL, SS_STORY_SPECTRUM, OVER, HALF},
    {SS_FINDING_BLOBS, "baseline", NULL, SS_STORY_BLOBS, OVER, 0},
    {SS_FINDING_ENTROPY, "baseline", NULL, SS_STORY_LOGIT, OVER, SS_LARGE_LOGIT},
    {SS_FINDING_ENTROPY, "baseline", NULL, SS_STORY_ENTROPY, OVER, SS_COLLAPSED_BELOW},
    {SS_FINDING_ENTROPY, "baseline", NULL, SS_STORY_FROM_INPUT, OVER, HALF},
    {SS_FINDING_COSINE, "cosine", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_POSTPONE, "cosine", "baseline", SS_STORY_FIRST, OVER, 1},
    {SS_FINDING_CLAMP, "clamp", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_CLAMP, "clamp", "penalty", SS_STORY_FRECHET, OVER, WORSE},
    {SS_FINDING_SCALE, "residual", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_SCALE, "skip", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_LEARNED, "learned", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_DECAY, "decay6", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_DECAY, "decay1", "penalty", SS_STORY_FRECHET, OVER, WORSE},
    {SS_FINDING_PENALTY, "penalty", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_PENALTY, "penalty", "fp32", SS_STORY_FRECHET, UNDER, WORSE},
    {SS_FINDING_PENALTY8, "penalty8", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_PENALTY8, "penalty8", "fp32", SS_STORY_FRECHET, UNDER, WORSE},
    {SS_FINDING_RESCUE, "rescue", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_RESCUE, "rescue8", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_COST, "plainp", "plain", SS_STORY_COST, UNDER, 1.25},
    {SS_FINDING_COST, "plainp8", "plain", SS_STORY_COST, UNDER, 1.05},
    {SS_FINDING_ADAM, "rare999", "rare98", SS_STORY_PEAK, OVER, 2},
    {SS_FINDING_BETA2, "beta98", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_LION, "lion", NULL, SS_STORY_LARGEST, UNDER, BELOW_THE_LIMIT},
    {SS_FINDING_LION, "lion", "penalty", SS_STORY_FRECHET, OVER, WORSE},
    {SS_FINDING_BATCH, "batch8", "baseline", SS_STORY_FIRST, OVER, 1},
    {SS_FINDING_SIZE, "batch8", "wide8", SS_STORY_FIRST, OVER, 1},
    {SS_FINDING_RESOLUTION, "hires", "baseline", SS_STORY_BY_600, OVER, 1},

    {SS_FINDING_MOTION, "motion", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_MOTION, "motion", NULL, SS_STORY_SKIPPED, OVER, DIVERGED},
    {SS_FINDING_PRETRAIN, "motion", NULL, SS_STORY_IN_MOTION, UNDER, HALF},
    {SS_FINDING_PRETRAIN, "small", NULL, SS_STORY_SKIPPED, UNDER, DIVERGED},
    {SS_FINDING_PRETRAIN, "small", "motion", SS_STORY_FIRST, OVER, 1},
    {SS_FINDING_UNFROZEN, "free", NULL, SS_STORY_SKIPPED, OVER, DIVERGED},
    {SS_FINDING_MOTION_NORM, "norm", NULL, SS_STORY_SKIPPED, UNDER, HARDLY_ANY},
    {SS_FINDING_MOTION_COSINE, "attention", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_MOTION_COSINE, "cosine", NULL, SS_STORY_OVERFLOW, UNDER, BEFORE_THE_END},
    {SS_FINDING_MOTION_COSINE, "cosine", "attention", SS_STORY_FIRST, OVER, 1},
    {SS_FINDING_MOTION_PENALTY, "penalty", NULL, SS_STORY_SKIPPED, UNDER, HARDLY_ANY},
    {SS_FINDING_MOTION_PENALTY, "penalty", "small", SS_STORY_LOSS, UNDER, DEARER},
    {SS_FINDING_MOTION_PENALTY8, "penalty8", NULL, SS_STORY_SKIPPED, UNDER, HARDLY_ANY},
    {SS_FINDING_MOTION_PENALTY8, "penalty8", "small", SS_STORY_LOSS, UNDER, DEARER},
    {SS_FINDING_MOTION_CLAMP, "clamp", NULL, SS_STORY_SKIPPED, UNDER, HARDLY_ANY},
    {SS_FINDING_MOTION_CLAMP, "clamp", "penalty", SS_STORY_LOSS, OVER, DEARER},
    {SS_FINDING_MOTION_LEARNED, "learned", NULL, SS_STORY_SKIPPED, OVER, DIVERGED},
    {SS_FINDING_MOTION_SIZE, "image32", "image16", SS_STORY_BY_600, OVER, 1},
    {SS_FINDING_MOTION_SIZE, "image32shifted", "image32", SS_STORY_BY_600, UNDER, 1},
    {SS_FINDING_LENGTH, "rotary", "conv", SS_STORY_LENGTH, OVER, 1},
    {SS_FINDING_LENGTH, "rotary", "conv", SS_STORY_LENGTH_NTK, OVER, 1},
    {SS_FINDING_LENGTH, "rotary", "conv", SS_STORY_LENGTH_YARN, OVER, 1},
    {SS_FINDING_MOTION_CONV, "conv", "absolute", SS_STORY_LOSS, UNDER, 1},
    {SS_FINDING_MOTION_CONV, "conv", "rotary", SS_STORY_LOSS, UNDER, 1},
    {SS_FINDING_WINDOWS, "upscale", NULL, SS_STORY_BOILING_OVERLAP, OVER, LITTLE},
    {SS_FINDING_WINDOWS, "upscale", NULL, SS_STORY_BOILING_SHARED, OVER, LITTLE},
    {SS_FINDING_DECODER_IN_TIME, "temporal", NULL, SS_STORY_BOILING_DECODER, UNDER, LITTLE},
};
enum { N_RULES = sizeof rules / sizeof *rules };

const char *ss_finding_text(ss_finding_id id)
{
#define X(name, text) [SS_FINDING_##name] = text,
    static const char *const texts[SS_N_FINDINGS] = {SS_FINDINGS(X) SS_VIDEO_FINDINGS(X)};
#undef X
    return texts[id];
}

ss_finding_range ss_story_findings(const ss_story *s)
{
    for (int g = 0; g < s->n; g++) {
        if (strcmp(s->regime[g].name, "video") == 0)
            return (ss_finding_range){SS_FINDING_MOTION, SS_N_FINDINGS};
    }
    return (ss_finding_range){0, SS_FINDING_MOTION};
}

const char *ss_story_verdict_text(ss_story_verdict v)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_STORY_VERDICTS(X)};
#undef X
    return texts[v];
}

/* "penalty over fp32: Frechet distance of samples". */
static void say_subject(ss_str *s, const rule *r)
{
    ss_str_addf(s, "%s%s%s: %s", r->arm, r->against ? " over " : "", r->against ? r->against : "",
                ss_story_number_text(r->number));
}

char *ss_story_rule(ss_finding_id f)
{
    ss_str s = {0};

    for (int i = 0; i < N_RULES; i++) {
        if (rules[i].finding != f)
            continue;
        ss_str_add(&s, s.len ? "; " : "");
        say_subject(&s, &rules[i]);
        ss_str_addf(&s, " %s %g", rules[i].side == OVER ? "over" : "under", rules[i].threshold);
    }
    return ss_str_detach(&s);
}

/* ---- judging ---- */

/* Fills x with the number of each seed of the arm, or with its ratio; returns how many there are.
 */
static int values_of(const ss_story_regime *g, const rule *r, double x[SS_MAX_SEEDS])
{
    const ss_story_run *arm[SS_MAX_SEEDS], *other[SS_MAX_SEEDS];
    const int n = ss_story_arm(g, r->arm, arm);
    const int m = r->against ? ss_story_arm(g, r->against, other) : 0;

    if (r->against && m == 0)
        return 0;
    for (int i = 0; i < n; i++) {
        x[i] = arm[i]->number[r->number];
        for (int k = 0; r->against && k <= m; k++) {
            if (k == m || other[k]->log.seed == arm[i]->log.seed) {
                x[i] = k < m ? x[i] / other[k]->number[r->number] : NAN;
                break;
            }
        }
    }
    return n;
}

static void say_decision(ss_str *s, const rule *r, const ss_decision *d)
{
    const int agree = r->side == OVER ? d->n_over : d->n - d->n_over;
    const side found = d->side == SS_SIDE_OVER ? OVER : UNDER;

    say_subject(s, r);
    if (d->n == 0) {
        ss_str_add(s, " not measured");
        return;
    }
    ss_str_addf(s, " %.3g", d->mean);
    if (d->n > 1)
        ss_str_addf(s, " (%.3g to %.3g; 95 %%: %.3g to %.3g)", d->least, d->most, d->low, d->high);
    if (d->side != SS_SIDE_UNKNOWN) {
        ss_str_addf(s, found == r->side ? ", as claimed" : ", the contrary");
        return;
    }
    if (agree > 0 && agree < d->n)
        ss_str_addf(s, ", undecided: seeds disagree, %d of %d as claimed", agree, d->n);
    else
        ss_str_addf(s, ", undecided: %s of %d seeds as claimed", agree ? "all" : "none", d->n);
    if (d->missing)
        ss_str_addf(s, ", %d not measured", d->missing);
    if (d->n + d->missing < SS_LEAST_SEEDS)
        ss_str_addf(s, ", at least %d decide", SS_LEAST_SEEDS);
    else if (d->missing == 0 && d->low <= r->threshold && r->threshold <= d->high && d->needed)
        ss_str_addf(s, ", the interval holds %g, by their scatter %s %d seeds would decide",
                    r->threshold, d->needed >= SS_MANY_SEEDS ? "more than" : "about", d->needed);
}

static ss_code judge_one(const ss_story_regime *g, ss_finding_id f, ss_story_answer *a, ss_err *e)
{
    bool asked = true, undecided = false, fails = false;
    ss_str s = {0};

    for (int i = 0; i < N_RULES; i++) {
        const rule *r = &rules[i];
        double x[SS_MAX_SEEDS];

        if (r->finding != f)
            continue;

        const int n = values_of(g, r, x);
        const bool ratio = r->against || ss_story_number_is_ratio(r->number);
        const ss_decision d = ss_decide(x, n, r->threshold, ratio);

        if (n == 0) {
            asked = false;
            continue;
        }
        ss_str_add(&s, s.len ? "\n" : "");
        say_decision(&s, r, &d);
        undecided |= d.side == SS_SIDE_UNKNOWN;
        fails |= d.side == (r->side == OVER ? SS_SIDE_UNDER : SS_SIDE_OVER);
    }
    a->verdict = !asked      ? SS_STORY_UNASKED
                 : fails     ? SS_STORY_FAILS
                 : undecided ? SS_STORY_UNDECIDED
                             : SS_STORY_HOLDS;
    if (!s.len)
        ss_str_add(&s, "no runs");
    a->numbers = ss_str_detach(&s);
    return a->numbers ? SS_OK : ss_no_memory(e, "story");
}

ss_code ss_story_judge(const ss_story *s, ss_story_judgement *j, ss_err *e)
{
    const ss_finding_range asked = ss_story_findings(s);
    ss_code rc = SS_OK;

    *j = (ss_story_judgement){0};
    for (int g = 0; g < s->n; g++) {
        for (int f = asked.from; f < asked.to && rc == SS_OK; f++)
            rc = judge_one(&s->regime[g], f, &j->answer[g][f], e);
    }
    if (rc != SS_OK)
        ss_story_judgement_release(j);
    return rc;
}

void ss_story_judgement_release(ss_story_judgement *j)
{
    for (int g = 0; g < SS_MAX_REGIMES; g++) {
        for (int f = 0; f < SS_N_FINDINGS; f++)
            ss_free(j->answer[g][f].numbers);
    }
    *j = (ss_story_judgement){0};
}

ss_code ss_story_findings_table(const ss_story *s, const ss_story_judgement *j, ss_table *t,
                                ss_err *e)
{
    const ss_finding_range asked = ss_story_findings(s);
    ss_code rc = ss_table_init(t, "findings", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "finding", SS_COL_TEXT, NULL);
    for (int g = 0; g < s->n; g++) {
        const char *title = ss_story_regime_title(s->regime[g].name);
        char name[96];

        ss_table_column(t, *title ? title : "here", SS_COL_TEXT, NULL);
        snprintf(name, sizeof name, "%s%snumbers", title, *title ? ": " : "");
        ss_table_column(t, name, SS_COL_TEXT, NULL);
    }
    ss_table_column(t, "rule", SS_COL_TEXT, NULL);
    for (int f = asked.from; f < asked.to; f++) {
        char *text = ss_story_rule(f);

        ss_table_row(t);
        ss_table_text(t, ss_finding_text(f));
        for (int g = 0; g < s->n; g++) {
            ss_table_text(t, ss_story_verdict_text(j->answer[g][f].verdict));
            ss_table_text(t, j->answer[g][f].numbers);
        }
        ss_table_text(t, text ? text : "");
        ss_free(text);
    }
    return SS_OK;
}
