/* mechanism_evidence.c - see mechanism_evidence.h */
#include "analyze/training/mechanism_evidence.h"

#include "analyze/training/mechanism_samples.h"
#include "analyze/training/updates.h"
#include "attn/entropy.h"
#include "attn/logits.h"

#include <math.h>
#include <stdio.h>

static ss_evidence *add(ss_mechanism_finding *m, ss_mechanism mechanism, const char *measure,
                        double value, double threshold, bool below, bool required)
{
    ss_evidence *row = &m->rows[m->n];

    if (m->n + 1 < SS_MAX_EVIDENCE)
        m->n++;
    *row =
        (ss_evidence){mechanism, measure, value, threshold, below, required, SS_SPEAKS_UNKNOWN, ""};
    if (!isnan(value))
        row->speaks =
            (below ? value < threshold : value >= threshold) ? SS_SPEAKS_FOR : SS_SPEAKS_AGAINST;
    return row;
}

/* Room for the name of a step, and for what stands before it. */
enum { STEP = 32, WHAT = SS_EVIDENCE_WHERE - STEP - 2 };

static void at_point(const ss_course *c, ss_evidence *row, int point, const char *what)
{
    char step[STEP];

    ss_course_step_name(c, point, step, sizeof step);
    snprintf(row->where, sizeof row->where, "%s%s%s", what, *what ? ", " : "", step);
}

static double outlier_of(const ss_course *c, int i, int layer)
{
    const ss_mechanism_point *p = &c->p.points[i];

    (void)layer;
    return ss_sample_outlier(p->sample, p->picture);
}

void ss_evidence_data(ss_course *c, ss_mechanism_finding *m)
{
    const int at = ss_course_largest(c, outlier_of, c->from, c->to);
    const ss_mechanism_point *p = at < 0 ? NULL : &c->p.points[at];
    ss_evidence *row;
    char what[64] = "";

    row = add(m, SS_MECHANISM_DATA, "|x| or loss / step's median", p ? p->sample : NAN,
              SS_OUTLIER_SAMPLE, false, true);
    if (p) {
        if (!ss_mechanism_run(&c->p, at)->binned)
            snprintf(what, sizeof what, "sample %d", p->sample_index);
        else if (!isnan(p->sigma)) /* a bin is known by its noise level */
            snprintf(what, sizeof what, "sigma %.3g", p->sigma);
        at_point(c, row, at, what);
    }
    row = add(m, SS_MECHANISM_DATA, "picture / usual at sigma", p ? p->picture : NAN,
              SS_OUTLIER_PICTURE, false, true);
    if (p && !isnan(p->sigma))
        snprintf(row->where, sizeof row->where, "sigma %.3g", p->sigma);
}

/* A step at which most parameters are stale is a spike, whatever the rate. */
static double update_of(const ss_course *c, int i, int layer)
{
    (void)layer;
    return c->p.points[i].stale_share > 0.5 ? NAN : c->p.points[i].update;
}

/* The update that the first bad step would have made: its rate is known, and the update of the step
 * before at that step's rate. */
static double update_at_end(const ss_course *c)
{
    const ss_mechanism_point *last = c->to > 0 ? &c->p.points[c->to - 1] : NULL;

    if (c->end < 0 || !last || !(last->rate > 0))
        return NAN;
    return last->update * c->p.points[c->end].rate / last->rate;
}

void ss_evidence_rate(ss_course *c, ss_mechanism_finding *m)
{
    const int at = ss_course_largest(c, update_of, c->from, c->to);
    const double last = ss_course_n(c) < 2 ? update_at_end(c) : NAN;
    const double most = at < 0 ? NAN : c->p.points[at].update;
    const bool at_end = !isnan(last) && !(last <= most);
    ss_evidence *row;

    row = add(m, SS_MECHANISM_RATE, "update / weight, median", at_end ? last : most,
              SS_MECHANISM_UPDATE, false, true);
    if (at_end)
        at_point(c, row, c->end, "by its rate");
    else if (at >= 0)
        at_point(c, row, at, "");
    add(m, SS_MECHANISM_RATE, "|x| of stream / its first", ss_course_reach(c), SS_MECHANISM_GROWS,
        false, true);
}

/* Looks at the stale step after which most happened; without any, at the one nearest to it. */
void ss_evidence_spike(ss_course *c, ss_mechanism_finding *m)
{
    int at = -1;
    ss_evidence *row;

    for (int i = c->from; i < c->to && i < c->p.n; i++) {
        const double v = c->p.points[i].staleness, best = at < 0 ? NAN : c->p.points[at].staleness;
        const bool stale = v > SS_STALE, had = best > SS_STALE;

        if (isnan(v))
            continue;
        if (at < 0 || (stale && !had) || (!had && v > best) ||
            (stale && had && ss_course_jump(c, i) > ss_course_jump(c, at)))
            at = i;
    }
    const ss_mechanism_point *p = at < 0 ? NULL : &c->p.points[at];

    row = add(m, SS_MECHANISM_SPIKE, "largest staleness", p ? p->staleness : NAN, SS_STALE, false,
              true);
    if (p && p->stale_parameter >= 0)
        at_point(c, row, at, ss_mechanism_run(&c->p, at)->parameters[p->stale_parameter]);
    row = add(m, SS_MECHANISM_SPIKE, "loss or |x| / those before", p ? ss_course_jump(c, at) : NAN,
              SS_MECHANISM_JUMP, false, true);
    if (p)
        at_point(c, row, at, "");
    row = add(m, SS_MECHANISM_SPIKE, "logits' needs met before", ss_runaway_met_before(c, at),
              SS_MECHANISM_BEFORE, true, true);
    if (p)
        at_point(c, row, at, "");
    row = add(m, SS_MECHANISM_SPIKE, "share of stale parameters", p ? p->stale_share : NAN, 0.5,
              true, false);
    if (p)
        at_point(c, row, at, "");
    row = add(m, SS_MECHANISM_SPIKE, "pictures / usual at sigma", p ? p->pictures : NAN,
              SS_OUTLIER_PICTURE, false, false);
    if (p)
        at_point(c, row, at, "");
}

/* The power of the weights' growth that explains the stream's; what does not grow needs none. */
static double weight_power(double stream, double weights)
{
    if (isnan(stream) || isnan(weights))
        return NAN;
    return weights > 1 ? log(fmax(stream, 1)) / log(weights) : stream > 1 ? INFINITY : 0;
}

void ss_evidence_weights(ss_course *c, ss_mechanism_finding *m)
{
    const double stream = ss_course_growth(c, ss_course_stream, 0);
    const double weights = ss_course_enough(c) ? ss_course_last(c, ss_course_weights, 0)
                                               : NAN; /* over the beginning */

    add(m, SS_MECHANISM_WEIGHTS, "growth of weights, median", weights, SS_MECHANISM_WEIGHTS_GROW,
        false, true);
    add(m, SS_MECHANISM_WEIGHTS, "growth of the stream", stream, SS_MECHANISM_GROWS, false, true);
    add(m, SS_MECHANISM_WEIGHTS, "stream's power of weights", weight_power(stream, weights),
        SS_MECHANISM_WEIGHT_POWER, true, true);
}

void ss_evidence_logits(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m)
{
    const char *name = x->layer < 0 ? "" : c->p.names[x->layer];
    ss_evidence *row;
    int at;

    row = add(m, SS_MECHANISM_LOGITS, "largest logit", x->level, SS_LARGE_LOGIT, false, true);
    snprintf(row->where, sizeof row->where, "%s", name);
    row = add(m, SS_MECHANISM_LOGITS, "their late growth", x->late, SS_MECHANISM_RUNS, false, true);
    row = add(m, SS_MECHANISM_LOGITS, "growth / stream's squared", x->outrun, 1, false, true);
    row = add(m, SS_MECHANISM_LOGITS, "least entropy / ln N", x->entropy, SS_COLLAPSED_BELOW, true,
              true);
    const double stream = ss_runaway_stream_at_collapse(c, x->layer, &at);

    row = add(m, SS_MECHANISM_LOGITS, "stream's growth at collapse", stream, SS_MECHANISM_GROWS,
              true, false);
    if (at >= 0)
        at_point(c, row, at, "");
    add(m, SS_MECHANISM_LOGITS, "growth of q k / their input",
        x->layer < 0 ? NAN : ss_course_growth(c, ss_course_projection, x->layer),
        SS_MECHANISM_GROWS, false, false);
}

void ss_evidence_stream(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m)
{
    const int last = c->to - 1;
    const ss_mechanism_point *p = ss_course_n(c) > 0 ? &c->p.points[last] : NULL;
    ss_evidence *row;
    char what[WHAT];

    row = add(m, SS_MECHANISM_STREAM, "growth of the stream",
              ss_course_growth(c, ss_course_stream, 0), SS_MECHANISM_GROWS, false, true);
    if (p)
        at_point(c, row, last, ss_course_site_name(c, last, what, sizeof what));
    add(m, SS_MECHANISM_STREAM, "stream / largest of others", p ? p->stream / p->others : NAN, 1,
        false, true);
    row = add(m, SS_MECHANISM_STREAM, "logits' needs met, of 4", ss_runaway_met(c, x),
              SS_RUNAWAY_NEEDS, true, true);
    if (x->layer >= 0)
        snprintf(row->where, sizeof row->where, "%s", c->p.names[x->layer]);
    add(m, SS_MECHANISM_STREAM, "decoder / encoder", p ? p->decoder / p->encoder : NAN, 1, false,
        false);
    add(m, SS_MECHANISM_STREAM, "high / low noise levels", p ? p->high / p->low : NAN, 1, false,
        false);
    if (c->end >= 0) {
        const ss_mechanism_point *end = &c->p.points[c->end];

        row = add(m, SS_MECHANISM_STREAM, "first inf or NaN: no weight", end->first.module >= 0, 1,
                  false, false);
        ss_site_name(ss_mechanism_run(&c->p, c->end),
                     end->first.module < 0 ? (ss_site){0, 0} : end->first, what, sizeof what);
        at_point(c, row, c->end, end->first.module < 0 ? "weights" : what);
    }
}
