/* mechanism_explain.c - see mechanism_explain.h */
#include "analyze/training/mechanism_explain.h"

#include "base/str.h"

#include <math.h>

const char *ss_mechanism_text(ss_mechanism m)
{
#define X(name, key, text) text,
    static const char *const texts[] = {SS_MECHANISMS(X) "not identified"};
#undef X

    return texts[m];
}

const char *ss_mechanism_key(ss_mechanism m)
{
#define X(name, key, text) key,
    static const char *const keys[] = {SS_MECHANISMS(X) "none"};
#undef X

    return keys[m];
}

static const ss_evidence *row_of(const ss_mechanism_finding *m, ss_mechanism k, int i)
{
    for (int r = 0; r < m->n; r++) {
        if (m->rows[r].mechanism == k && i-- == 0)
            return &m->rows[r];
    }
    return NULL;
}

/* "; at step 1600 up_blocks.0.upsamplers.0 is the first that is inf or NaN". */
static void say_end(const ss_course *c, ss_str *s)
{
    char step[64], site[SS_EVIDENCE_WHERE];
    const ss_mechanism_point *p;

    if (c->broken >= 0) {
        ss_course_step_name(c, c->broken, step, sizeof step);
        ss_str_addf(s, "; at %s the stream broke, from %.3g to %.3g", step,
                    c->p.points[c->broken - 1].stream, c->p.points[c->broken].stream);
    }
    if (c->end < 0)
        return;
    p = &c->p.points[c->end];
    ss_course_step_name(c, c->end, step, sizeof step);
    if (p->first.module >= 0)
        ss_site_name(ss_mechanism_run(&c->p, c->end), p->first, site, sizeof site);
    ss_str_addf(s, "; at %s %s is the first that is inf or NaN", step,
                p->first.module < 0 ? "a weight" : site);
}

static void say_stream(ss_course *c, ss_str *s)
{
    const int last = c->to - 1;
    char site[SS_EVIDENCE_WHERE], from[64], to[64];

    ss_course_step_name(c, c->from, from, sizeof from);
    ss_course_step_name(c, last, to, sizeof to);
    ss_str_addf(s, "the largest |x| of the stream went from %.3g to %.3g between %s and %s (%s)",
                c->p.points[c->from].stream, c->p.points[last].stream, from, to,
                ss_course_site_name(c, last, site, sizeof site));
}

static void say_name(ss_course *c, const ss_mechanism_finding *m, const ss_runaway *x, ss_str *s)
{
    const ss_evidence *a = row_of(m, m->name, 0), *b = row_of(m, m->name, 1);
    const bool bins = c->p.n > 0 && ss_mechanism_run(&c->p, 0)->binned;

    switch (m->name) {
    case SS_MECHANISM_DATA:
        ss_str_addf(s,
                    "%s %.3g times the largest |x| or loss of %s step (%s), and "
                    "what the network read of %s is %.3g times what is usual at %s noise level",
                    bins ? "the samples near one noise level have" : "one sample has", a->value,
                    bins ? "the" : "its", a->where, bins ? "them" : "it", b->value,
                    bins ? "their" : "its");
        break;
    case SS_MECHANISM_RATE:
        ss_str_addf(
            s,
            "a step changes the weights by %.2g of their size in the median parameter (%s), "
            "against %g and less in trainings that go well; the largest |x| of the stream "
            "grew %.3g-fold",
            a->value, a->where, SS_MECHANISM_UPDATE, b->value);
        break;
    case SS_MECHANISM_SPIKE:
        ss_str_addf(s,
                    "staleness %.3g (%s), in %.0f %% of the parameters, and loss or largest |x| "
                    "there are %.3g times the largest before",
                    a->value, a->where, 100 * row_of(m, m->name, 3)->value, b->value);
        if (row_of(m, m->name, 4)->speaks == SS_SPEAKS_FOR)
            ss_str_addf(s,
                        "; it is a rare kind of batch: its pictures are %.3g times the usual ones",
                        row_of(m, m->name, 4)->value);
        break;
    case SS_MECHANISM_WEIGHTS:
        ss_str_addf(
            s, "the weights' RMS grew %.3g-fold, and the stream %.3g-fold, as their power %.2g",
            a->value, b->value, row_of(m, m->name, 2)->value);
        break;
    case SS_MECHANISM_LOGITS:
        ss_str_addf(
            s,
            "the logits of %s reach %.3g, still grew %.3g-fold in the last third, %.3g times "
            "as much as the square of the stream, and the least entropy of a head there is "
            "%.2g of ln N",
            c->p.names[x->layer], a->value, x->late, x->outrun, x->entropy);
        break;
    case SS_MECHANISM_STREAM:
        say_stream(c, s);
        if (x->layer >= 0)
            ss_str_addf(s,
                        ", and logits do not outrun it: those of %s are at %.3g, late growth %.3g",
                        c->p.names[x->layer], x->level, x->late);
        else
            ss_str_add(s, ", and there is no attention");
        break;
    case SS_MECHANISM_NONE: break;
    }
    if (c->p.clamp > 0)
        ss_str_addf(s, "; blocks clamp their outputs to %g, which hides what is above", c->p.clamp);
    say_end(c, s);
}

static void say_agrees(const ss_mechanism_finding *m, ss_str *s)
{
    int n = 0;

    for (int k = 0; k < SS_N_MECHANISMS; k++) {
        if (m->agrees[k])
            ss_str_addf(s, "%s%s",
                        n++ ? ", " : "; it agrees with: ", ss_mechanism_text((ss_mechanism)k));
    }
}

/* Says what the stream lacks, which is the last mechanism in the order of causes. */
static void say_nearest(const ss_mechanism_finding *m, ss_str *s)
{
    const ss_evidence *miss = NULL;

    for (int i = 0; i < m->n; i++) {
        const ss_evidence *row = &m->rows[i];

        if (row->mechanism == SS_MECHANISM_STREAM && row->required &&
            row->speaks == SS_SPEAKS_AGAINST)
            miss = row;
    }
    if (miss)
        ss_str_addf(s, "; of \"%s\" it lacks: %s is %.3g, threshold %.3g",
                    ss_mechanism_text(miss->mechanism), miss->measure, miss->value,
                    miss->threshold);
}

static void say_why_not(ss_course *c, const ss_mechanism_finding *m, ss_str *s)
{
    char step[64];

    if (*c->p.why)
        ss_str_add(s, c->p.why);
    else if (c->p.n == 0 || (c->end < 0 && isnan(c->p.points[c->p.n - 1].stream)))
        ss_str_add(s, "no finite value of the residual stream was recorded");
    else if (c->end == 0)
        ss_str_addf(s,
                    "inf or NaN from the first %s on: an earlier checkpoint, or finer "
                    "statistics, would show it",
                    c->p.training ? "measured step" : "run");
    else if (!c->p.training && c->p.n == 1)
        ss_str_add(s, "one run has levels and no growth: a run of an earlier checkpoint would "
                      "show it");
    else if (*c->p.limit)
        ss_str_addf(s, "the stream stands at the limit of %s, which hides its growth", c->p.limit);
    else if (!ss_course_enough(c))
        ss_str_addf(s,
                    "only %d finite %s before %s: a growth needs %d and more; measure more "
                    "often",
                    ss_course_n(c), c->p.training ? "measured steps" : "runs",
                    c->end < 0 ? "the end" : ss_course_step_name(c, c->end, step, sizeof step),
                    c->p.training ? SS_MECHANISM_POINTS : 2);
    else if (m->agrees[SS_MECHANISM_STREAM] && c->p.attends && !c->p.n_layers)
        ss_str_addf(s, "\"%s\" and \"%s\" differ in the attention, which was not recorded",
                    ss_mechanism_text(SS_MECHANISM_STREAM), ss_mechanism_text(SS_MECHANISM_LOGITS));
    else if (ss_course_growth(c, ss_course_stream, 0) < SS_MECHANISM_GROWS && c->end < 0)
        ss_str_addf(s, "nothing grew: the stream %.3g-fold",
                    ss_course_growth(c, ss_course_stream, 0));
    else {
        ss_str_add(s, "no mechanism has all the evidence that it needs");
        say_nearest(m, s);
    }
    if (c->end > 0)
        say_end(c, s);
    say_agrees(m, s);
}

ss_code ss_mechanism_explain(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m, ss_err *e)
{
    ss_str s = {0};

    ss_str_addf(&s, "Mechanism: %s: ", ss_mechanism_text(m->name));
    if (m->name != SS_MECHANISM_NONE)
        say_name(c, m, x, &s);
    else
        say_why_not(c, m, &s);
    ss_str_add(&s, ".");
    m->sentence = ss_str_detach(&s);
    return m->sentence ? SS_OK : ss_no_memory(e, "mechanism");
}
