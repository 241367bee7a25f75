/* story_findings.c - the rules by which a story's findings are judged
 *
 * Each function fills one finding: what was tested, what came out, and the verdict. Factors of 2
 * and more count; what differs by less than a third between seeds is noise at this size.
 */
#include "analyze/attention.h"
#include "analyze/blobs.h"
#include "analyze/spectra.h"
#include "analyze/story_parts.h"
#include "attn/entropy.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

enum { NUMBER = 96, LEAST_SEEDS = 2 };

#define GREW 4.0           /* largest |x|, from the warm-up on */
#define NORMAL_WEIGHTS 2.0 /* RMS of the weights, likewise */
#define WORSE 1.02         /* of a loss; between seeds it differs by less */

/* ---- numbers of a run ---- */

static double growth_of(const ss_training_log *l)
{
    return l->peak[1][SS_N_STAGES] / l->peak[0][SS_N_STAGES];
}

static double exponent_of(const ss_training_log *l)
{
    return l->exponent;
}

static double weights_of(const ss_training_log *l)
{
    return l->weights;
}

static double overflow_of(const ss_training_log *l)
{
    return l->first_overflow ? (double)l->first_overflow : NAN;
}

static double skipped_of(const ss_training_log *l)
{
    return (double)l->skipped;
}

static double decoder_share_of(const ss_training_log *l)
{
    return l->overflows ? (double)l->by_stage[SS_STAGE_DECODER] / l->overflows : NAN;
}

static double high_share_of(const ss_training_log *l)
{
    return l->overflows ? (double)l->high_noise / l->overflows : NAN;
}

static double entropy_of(const ss_training_log *l)
{
    return l->entropy;
}

static double logit_of(const ss_training_log *l)
{
    return l->logit;
}

static double loss_of(const ss_training_log *l)
{
    return l->loss;
}

static double largest_of(const ss_training_log *l)
{
    return l->largest;
}

static double spikes_of(const ss_training_log *l)
{
    return (double)l->spikes;
}

static double staleness_of(const ss_training_log *l)
{
    return l->staleness;
}

static double ms_of(const ss_training_log *l)
{
    return l->ms;
}

/* In how many of the seeds something is true. */
static int count(const ss_arm *a, bool (*is)(const ss_training_log *))
{
    int n = 0;

    for (int i = 0; i < a->n; i++)
        n += is(a->seed[i]);
    return n;
}

static bool overflowed(const ss_training_log *l)
{
    return l->first_overflow != 0;
}

static bool grew(const ss_training_log *l)
{
    return overflowed(l) && growth_of(l) >= GREW && l->weights < NORMAL_WEIGHTS;
}

static bool mostly_high_decoder(const ss_training_log *l)
{
    return decoder_share_of(l) > 0.5 && high_share_of(l) > 0.5;
}

static bool collapsed(const ss_training_log *l)
{
    return l->entropy < SS_COLLAPSED_BELOW;
}

/* Whether every seed has the number. */
static bool have(const ss_arm *a, double (*of)(const ss_training_log *))
{
    for (int i = 0; i < a->n; i++) {
        if (isnan(of(a->seed[i])))
            return false;
    }
    return true;
}

static ss_story_verdict verdict(bool known, bool holds)
{
    return !known ? SS_STORY_UNDECIDED : holds ? SS_STORY_HOLDS : SS_STORY_FAILS;
}

/* "first overflow at step 525 (520 to 530)", or that there was none. */
static void say_overflow(ss_str *s, const ss_arm *a)
{
    char number[NUMBER];
    const int n = count(a, overflowed);

    if (a->n == 0)
        ss_str_add(s, "no runs");
    if (n)
        ss_str_addf(s, "first overflow at step %s",
                    ss_arm_number(a, overflow_of, "%.0f", number, sizeof number));
    if (n < a->n)
        ss_str_addf(s, "%sno overflow in %d of %d seeds", n ? ", " : "", a->n - n, a->n);
}

/* ---- findings from training runs ---- */

static ss_code judge_growth(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                            ss_err *e)
{
    const ss_arm a = ss_story_arm(s, "baseline");
    char n1[NUMBER], n2[NUMBER], n3[NUMBER];

    (void)e;
    ss_str_addf(test,
                "baseline, %d seeds: largest |x| over the batch at the last measured step before "
                "the first overflow at least %g times that after the warm-up, RMS of the median "
                "weight tensor below %g times, and an overflow",
                a.n, GREW, NORMAL_WEIGHTS);
    ss_str_addf(numbers, "activations %s times, decoder as step^%s; weights %s times; ",
                ss_arm_number(&a, growth_of, "%.3g", n1, sizeof n1),
                ss_arm_number(&a, exponent_of, "%.2f", n2, sizeof n2),
                ss_arm_number(&a, weights_of, "%.2f", n3, sizeof n3));
    say_overflow(numbers, &a);
    ss_str_addf(numbers, ", %s steps skipped",
                ss_arm_number(&a, skipped_of, "%.0f", n1, sizeof n1));
    f->verdict = verdict(a.n >= LEAST_SEEDS && have(&a, growth_of), count(&a, grew) == a.n);
    return SS_OK;
}

static ss_code judge_decoder(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                             ss_err *e)
{
    const ss_arm a = ss_story_arm(s, "baseline");
    char n1[NUMBER], n2[NUMBER];

    (void)e;
    ss_str_addf(test,
                "baseline, %d seeds: of the samples that overflowed in the first %d steps that "
                "did, more than half where the decoder made them, and more than half at sigma over "
                "%g, which %.0f %% of all samples are",
                a.n, SS_FIRST_OVERFLOWS, SS_HIGH_NOISE, 100 * (1 - atan(SS_HIGH_NOISE) / M_PI_2));
    ss_str_addf(numbers, "decoder %s, high noise %s of them",
                ss_arm_number(&a, decoder_share_of, "%.2f", n1, sizeof n1),
                ss_arm_number(&a, high_share_of, "%.2f", n2, sizeof n2));
    for (int i = 0; i < a.n; i++)
        ss_str_addf(numbers, "; seed %lld first in %s", (long long)a.seed[i]->seed,
                    *a.seed[i]->module ? a.seed[i]->module : "none");
    f->verdict = verdict(a.n >= LEAST_SEEDS && count(&a, overflowed) == a.n,
                         count(&a, mostly_high_decoder) == a.n);
    return SS_OK;
}

static ss_code judge_entropy(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                             ss_err *e)
{
    const ss_arm a = ss_story_arm(s, "baseline"), c = ss_story_arm(s, "cosine");
    char n1[NUMBER], n2[NUMBER];

    (void)e;
    ss_str_addf(test,
                "baseline, %d seeds, at the last measured step before the overflow: no head with "
                "normalised entropy below %g; and cosine attention, %d seeds, overflows too",
                a.n, SS_COLLAPSED_BELOW, c.n);
    ss_str_addf(numbers, "lowest entropy %s, largest logit %s; baseline ",
                ss_arm_number(&a, entropy_of, "%.2f", n1, sizeof n1),
                ss_arm_number(&a, logit_of, "%.3g", n2, sizeof n2));
    say_overflow(numbers, &a);
    ss_str_add(numbers, "; cosine attention ");
    say_overflow(numbers, &c);
    f->verdict = verdict(a.n >= LEAST_SEEDS && c.n >= LEAST_SEEDS && count(&a, overflowed) == a.n &&
                             have(&a, entropy_of),
                         count(&a, collapsed) == 0 && count(&c, overflowed) == c.n);
    return SS_OK;
}

/* One remedy: when it overflows, and its loss. */
static void say_remedy(ss_str *s, const char *name, const ss_arm *a)
{
    char n1[NUMBER];

    ss_str_addf(s, "%s ", name);
    say_overflow(s, a);
    ss_str_addf(s, ", loss %s; ", ss_arm_number(a, loss_of, "%.4f", n1, sizeof n1));
}

static ss_code judge_remedies(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                              ss_err *e)
{
    static const char *const names[] = {"clamp", "residual", "skip", "learned", "decay"};
    enum { CLAMP, DECAY = 4, N = 5 };
    const ss_arm p = ss_story_arm(s, "penalty");
    const double good = ss_arm_mean(&p, loss_of);
    char n1[NUMBER];
    bool known = p.n >= LEAST_SEEDS, holds;
    ss_arm a[N];

    (void)e;
    for (int i = 0; i < N; i++) {
        a[i] = ss_story_arm(s, names[i]);
        known = known && a[i].n >= LEAST_SEEDS;
        say_remedy(numbers, names[i], &a[i]);
    }
    ss_str_addf(numbers, "the penalty's loss %s",
                ss_arm_number(&p, loss_of, "%.4f", n1, sizeof n1));
    ss_str_addf(test,
                "each remedy over two seeds: clamping never overflows, but its loss is over %g "
                "times that of the penalty; scaled residuals and skips, constant and learned, "
                "overflow as the baseline does; with weight decay it overflows, or the loss is "
                "over %g times that of the penalty",
                WORSE, WORSE);
    holds = count(&a[CLAMP], overflowed) == 0 && ss_arm_mean(&a[CLAMP], loss_of) > WORSE * good;
    for (int i = CLAMP + 1; i < DECAY; i++)
        holds = holds && count(&a[i], overflowed) == a[i].n;
    holds = holds && (count(&a[DECAY], overflowed) == a[DECAY].n ||
                      ss_arm_mean(&a[DECAY], loss_of) > WORSE * good);
    f->verdict = verdict(known, holds);
    return SS_OK;
}

/* What a remedy adds to the time of a step, in per cent of one without. */
static void say_cost(ss_str *s, const ss_arm *a, const ss_arm *base)
{
    const double with = ss_arm_mean(a, ms_of), without = ss_arm_mean(base, ms_of);

    if (!isnan(with) && !isnan(without))
        ss_str_addf(s, ", %+.1f %% processor time a step", 100 * (with / without - 1));
}

static ss_code judge_penalty(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                             ss_err *e)
{
    const ss_arm base = ss_story_arm(s, "baseline"), plain = ss_story_arm(s, "plain"),
                 one = ss_story_arm(s, "penalty"), eight = ss_story_arm(s, "penalty8");
    char n1[NUMBER];

    (void)e;
    ss_str_addf(test,
                "penalty at every step and at every 8th, %d and %d seeds, against a baseline that "
                "overflows: none of them does",
                one.n, eight.n);
    ss_str_add(numbers, "baseline ");
    say_overflow(numbers, &base);
    ss_str_add(numbers, "; every step: ");
    say_overflow(numbers, &one);
    ss_str_addf(numbers, ", largest |x| %s",
                ss_arm_number(&one, largest_of, "%.3g", n1, sizeof n1));
    ss_str_addf(numbers, ", loss %s", ss_arm_number(&one, loss_of, "%.4f", n1, sizeof n1));
    say_cost(numbers, &one, &plain);
    ss_str_add(numbers, "; every 8th: ");
    say_overflow(numbers, &eight);
    ss_str_addf(numbers, ", largest |x| %s",
                ss_arm_number(&eight, largest_of, "%.3g", n1, sizeof n1));
    ss_str_addf(numbers, ", loss %s", ss_arm_number(&eight, loss_of, "%.4f", n1, sizeof n1));
    say_cost(numbers, &eight, &plain);
    f->verdict = verdict(base.n >= LEAST_SEEDS && one.n >= LEAST_SEEDS && eight.n >= LEAST_SEEDS &&
                             count(&base, overflowed) == base.n,
                         count(&one, overflowed) + count(&eight, overflowed) == 0);
    return SS_OK;
}

static ss_code judge_adam(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                          ss_err *e)
{
    const ss_arm slow = ss_story_arm(s, "rare999"), fast = ss_story_arm(s, "rare98");
    const struct {
        const char *name;
        const ss_arm *arm;
    } both[] = {{"0.999", &slow}, {"0.98", &fast}};
    double least = INFINITY, most = 0;
    char n1[NUMBER], n2[NUMBER], n3[NUMBER];

    (void)e;
    ss_str_addf(test,
                "a class that comes at every 100th step only, times -4, in fp32, %d and %d seeds: "
                "largest |x| of each seed with 0.999 over 2 times that of each with 0.98",
                slow.n, fast.n);
    for (int i = 0; i < 2; i++)
        ss_str_addf(numbers, "%s%s: largest |x| %s, staleness up to %s, loss spikes %s",
                    i ? "; " : "", both[i].name,
                    ss_arm_number(both[i].arm, largest_of, "%.3g", n1, sizeof n1),
                    ss_arm_number(both[i].arm, staleness_of, "%.3g", n2, sizeof n2),
                    ss_arm_number(both[i].arm, spikes_of, "%.3g", n3, sizeof n3));
    for (int i = 0; i < slow.n; i++)
        least = fmin(least, slow.seed[i]->largest);
    for (int i = 0; i < fast.n; i++)
        most = fmax(most, fast.seed[i]->largest);
    f->verdict = verdict(slow.n >= LEAST_SEEDS && fast.n >= LEAST_SEEDS &&
                             have(&slow, largest_of) && have(&fast, largest_of),
                         least > 2 * most);
    return SS_OK;
}

/* ---- findings from probes ---- */

/* Opens the probe of a run; *r NULL where there is none. */
static ss_code open_probe(const ss_story *s, const ss_training_log *l, ss_run **r, ss_err *e)
{
    ss_str path = {0};
    ss_code rc = SS_OK;

    *r = NULL;
    ss_str_addf(&path, "%s/%s/probe.h5", s->folder, l->name);
    if (path.failed)
        rc = ss_fail(e, SS_NOMEM, "%s: out of memory", s->folder);
    else if (ss_file_exists(path.s))
        rc = ss_run_open(path.s, r, e);
    ss_str_release(&path);
    return rc;
}

/* For each seed of an arm whose probe can tell: at how many noise levels the finding held. *all: at
 * half and more, in every such seed. */
static ss_code count_spectra(const ss_story *s, const ss_arm *a, ss_str *numbers, int *seeds,
                             bool *all, ss_err *e)
{
    ss_code rc = SS_OK;

    *seeds = 0;
    *all = true;
    for (int i = 0; i < a->n && rc == SS_OK; i++) {
        ss_spectra x = {0};
        ss_sites sites = {0};
        ss_run *r;
        int held, told;

        if ((rc = open_probe(s, a->seed[i], &r, e)) != SS_OK || !r)
            continue;
        if ((rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e)) == SS_OK &&
            (rc = ss_spectra_find(r, &sites, SS_DEFAULT_CUTOFF, "", &x, e)) == SS_OK) {
            held = ss_spectra_held(&x, &told);
            if (told) {
                ss_str_addf(numbers, "%s%d of %d", *seeds ? ", " : "", held, told);
                *all = *all && 2 * held >= told;
                ++*seeds;
            }
        }
        ss_spectra_release(&x);
        ss_sites_release(&sites);
        ss_run_close(r);
    }
    if (*seeds == 0)
        ss_str_add(numbers, "unknown, no probe tells");
    return rc;
}

static ss_code judge_spectrum(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                              ss_err *e)
{
    const ss_arm a = ss_story_arm(s, "baseline"), b = ss_story_arm(s, "blind");
    int told, blind;
    bool holds, blind_holds, known;
    ss_code rc;

    ss_str_add(numbers, "noise levels where it holds, by seed: told the noise level ");
    rc = count_spectra(s, &a, numbers, &told, &holds, e);
    ss_str_add(numbers, "; not told ");
    if (rc == SS_OK)
        rc = count_spectra(s, &b, numbers, &blind, &blind_holds, e);
    if (rc != SS_OK)
        return rc;
    known = told >= LEAST_SEEDS && blind >= LEAST_SEEDS;
    if (known)
        ss_str_addf(
            numbers, ". %s",
            blind_holds && !holds
                ? "Only a network that is not told the noise level judges it by the spectrum"
            : holds ? "It holds in a network that is told the noise level"
                    : "It holds in neither");
    ss_str_addf(test,
                "probes of pictures, their low and high frequencies, white and pink noise: less "
                "power at %g cycles and below goes with a largest |x| that is %g times and more "
                "(rank correlation), at half of the noise levels and more; %d seeds told the noise "
                "level, %d not told",
                SS_DEFAULT_CUTOFF, SS_FINDING_RATIO, told, blind);
    f->verdict = verdict(known, holds);
    return SS_OK;
}

/* Decoder modules that degenerate at the highest noise level; how many of how many. */
static ss_code count_blobs(ss_run *r, int *degenerate, int *n, double mean[3], ss_err *e)
{
    static const ss_blob metrics[3] = {SS_BLOB_RANK, SS_BLOB_LOW, SS_BLOB_COSINE};
    ss_sites sites = {0};
    ss_blobs b = {0};
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);

    *degenerate = *n = 0;
    if (rc == SS_OK)
        rc = ss_blobs_find(r, &sites, &b, e);
    for (int i = 0; rc == SS_OK && i < b.n; i++) {
        const ss_blob_row *row = &b.rows[i];

        if (ss_stage_of(r->modules[row->module]) != SS_STAGE_DECODER)
            continue;
        ++*n;
        if (!ss_blob_row_degenerate(r, row, SS_ALL, b.highest))
            continue;
        if (++*degenerate == 1) {
            for (int k = 0; k < 3; k++)
                mean[k] = ss_blob_mean(r, row, metrics[k], SS_ALL, b.highest);
        }
    }
    ss_blobs_release(&b);
    ss_sites_release(&sites);
    return rc;
}

static ss_code judge_blobs(const ss_story *s, ss_story_finding *f, ss_str *test, ss_str *numbers,
                           ss_err *e)
{
    const ss_arm a = ss_story_arm(s, "baseline");
    int seeds = 0, with = 0;
    ss_code rc = SS_OK;

    for (int i = 0; i < a.n && rc == SS_OK; i++) {
        int degenerate, n;
        double mean[3];
        ss_run *r;

        if ((rc = open_probe(s, a.seed[i], &r, e)) != SS_OK || !r)
            continue;
        if ((rc = count_blobs(r, &degenerate, &n, mean, e)) == SS_OK && n > 0) {
            ss_str_addf(numbers, "%sseed %lld: %d of %d", seeds ? "; " : "",
                        (long long)a.seed[i]->seed, degenerate, n);
            if (degenerate)
                ss_str_addf(numbers,
                            " (the first: effective rank %.2f, low-frequency share %.2f, cosine to "
                            "other inputs' maps %.2f)",
                            mean[0], mean[1], mean[2]);
            seeds++;
            with += degenerate > 0;
        }
        ss_run_close(r);
    }
    if (!seeds)
        ss_str_add(numbers, "unknown, no probe tells");
    ss_str_addf(test,
                "probes of the baseline's last good checkpoint, %d seeds: decoder blocks whose "
                "maps degenerate at the highest noise level, at least one in each seed",
                seeds);
    f->verdict = verdict(seeds >= LEAST_SEEDS, with == seeds);
    return rc;
}

ss_code ss_story_judge(ss_story *s, ss_err *e)
{
#define X(name, text) [SS_FINDING_##name] = text,
    static const char *const claims[SS_N_FINDINGS] = {SS_FINDINGS(X)};
#undef X
    static ss_code (*const judges[SS_N_FINDINGS])(const ss_story *, ss_story_finding *, ss_str *,
                                                  ss_str *, ss_err *) = {
        [SS_FINDING_GROWTH] = judge_growth,     [SS_FINDING_DECODER] = judge_decoder,
        [SS_FINDING_SPECTRUM] = judge_spectrum, [SS_FINDING_BLOBS] = judge_blobs,
        [SS_FINDING_ENTROPY] = judge_entropy,   [SS_FINDING_REMEDIES] = judge_remedies,
        [SS_FINDING_PENALTY] = judge_penalty,   [SS_FINDING_ADAM] = judge_adam,
    };
    ss_code rc = SS_OK;

    for (int i = 0; i < SS_N_FINDINGS && rc == SS_OK; i++) {
        ss_story_finding *f = &s->findings[i];
        ss_str test = {0}, numbers = {0};

        f->claim = claims[i];
        rc = judges[i](s, f, &test, &numbers, e);
        f->test = ss_str_detach(&test);
        f->numbers = ss_str_detach(&numbers);
        if (rc == SS_OK && (!f->test || !f->numbers))
            rc = ss_fail(e, SS_NOMEM, "%s: out of memory", s->folder);
    }
    return rc;
}
