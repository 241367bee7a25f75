/* mechanism_logits.c - see mechanism_logits.h */
#include "analyze/training/mechanism_logits.h"

#include "attn/entropy.h"
#include "attn/logits.h"

#include <math.h>

static double entropy_of(const ss_course *c, int i, int layer)
{
    return ss_course_layer(c, i, layer)->entropy;
}

/* The least over the last third. */
static double least_entropy(const ss_course *c, int layer)
{
    double least = NAN;

    for (int i = ss_course_late_from(c); i < c->to; i++)
        least = fmin(least, entropy_of(c, i, layer));
    return least;
}

static ss_runaway of_layer(ss_course *c, int layer)
{
    const double stream = ss_course_growth(c, ss_course_stream, 0);

    return (ss_runaway){layer, ss_course_last(c, ss_course_logit, layer),
                        ss_course_late_growth(c, ss_course_logit, layer),
                        ss_course_growth(c, ss_course_logit, layer) /
                            pow(fmax(stream, 1), SS_MECHANISM_SQUARE),
                        least_entropy(c, layer)};
}

/* The number of needs that are met; *known: one of the others is known not to be. */
static int n_met(const ss_runaway *x, bool *known)
{
    const bool met[SS_RUNAWAY_NEEDS] = {x->level >= SS_LARGE_LOGIT, x->late >= SS_MECHANISM_RUNS,
                                        x->outrun >= 1, ss_entropy_collapsed(x->entropy)};
    const double values[SS_RUNAWAY_NEEDS] = {x->level, x->late, x->outrun, x->entropy};
    int n = 0;

    *known = false;
    for (int i = 0; i < SS_RUNAWAY_NEEDS; i++) {
        n += met[i];
        *known |= !met[i] && !isnan(values[i]);
    }
    return n;
}

ss_runaway ss_runaway_leading(ss_course *c)
{
    ss_runaway best = {-1, NAN, NAN, NAN, NAN};
    int most = -1;
    bool known;

    for (int l = 0; l < c->p.n_layers && ss_course_n(c) > 0; l++) {
        const ss_runaway x = of_layer(c, l);
        const int n = n_met(&x, &known);

        if (n > most || (n == most && x.level > best.level)) {
            best = x;
            most = n;
        }
    }
    return best;
}

double ss_runaway_stream_at_collapse(ss_course *c, int layer, int *point)
{
    *point = -1;
    for (int i = c->from; i < c->to && layer >= 0; i++) {
        if (ss_entropy_collapsed(entropy_of(c, i, layer))) {
            *point = i;
            return c->p.points[i].stream / ss_course_first(c, ss_course_stream, 0);
        }
    }
    return NAN;
}

double ss_runaway_met(const ss_course *c, const ss_runaway *x)
{
    bool known;
    const int n = n_met(x, &known);

    if (x->layer < 0)
        return c->p.attends ? NAN : 0;
    return n == SS_RUNAWAY_NEEDS || known ? n : NAN;
}

double ss_runaway_met_before(ss_course *c, int point)
{
    const int to = c->to;
    double met = 0;

    if (point < 0)
        return NAN;
    c->to = point;
    if (ss_course_n(c) > 0) {
        const ss_runaway x = ss_runaway_leading(c);

        met = ss_runaway_met(c, &x);
    }
    c->to = to;
    return isnan(met) ? 0 : met;
}
