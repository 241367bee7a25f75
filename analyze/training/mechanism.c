/* mechanism.c - see mechanism.h */
#include "analyze/training/mechanism.h"

#include "analyze/math/median.h"
#include "analyze/training/mechanism_points.h"
#include "analyze/training/updates.h"
#include "attn/entropy.h"
#include "attn/logits.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *ss_mechanism_text(ss_mechanism m)
{
#define X(name, key, text) text,
    static const char *const texts[] = {SS_MECHANISMS(X) "cannot be told"};
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

static const char *speaks_text(ss_speaks s)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_SPEAKS(X)};
#undef X

    return texts[s];
}

/* The points (steps, or checkpoints) of one training, which of them growth is measured over, and
 * the finding that is being filled in. */
typedef struct {
    ss_mechanism_points p;
    int from, to;    /* the points from `from` to before `to` are finite and take part */
    int end;         /* index of the first bad one, or -1 */
    int broken;      /* of the first at which the stream broke, or -1 */
    double *scratch; /* for medians: every point, and every pair of late points */
    ss_mechanism_finding *m;
} judge;

/* ---- growth ---- */

typedef double value_of(const judge *j, int point, int layer);

static double stream_of(const judge *j, int i, int layer)
{
    (void)layer;
    return j->p.points[i].stream;
}

static double weights_of(const judge *j, int i, int layer)
{
    (void)layer;
    return j->p.points[i].weights;
}

static const ss_mechanism_layer *layer_of(const judge *j, int i, int layer)
{
    return &j->p.layers[(size_t)i * (size_t)j->p.n_layers + (size_t)layer];
}

static double logit_of(const judge *j, int i, int layer)
{
    return layer_of(j, i, layer)->logit;
}

/* How much larger q and k are than what they read. */
static double projection_of(const judge *j, int i, int layer)
{
    const ss_mechanism_layer *y = layer_of(j, i, layer);

    return y->product / y->input;
}

/* The median over points that have a value above 0; *n: how many. */
static double median_over(judge *j, value_of *f, int layer, int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        const double v = f(j, i, layer);

        if (v > 0 && isfinite(v))
            j->scratch[n++] = v;
    }
    return ss_median(j->scratch, n);
}

static int n_taking(const judge *j)
{
    return j->to - j->from;
}

static bool enough(const judge *j)
{
    return n_taking(j) >= (j->p.training ? SS_MECHANISM_POINTS : 2);
}

/* Length of a third of the points, one at least. */
static int third(const judge *j)
{
    return n_taking(j) < 6 ? 1 : n_taking(j) / 3;
}

static double first_level(judge *j, value_of *f, int layer)
{
    return median_over(j, f, layer, j->from, j->from + third(j));
}

static double last_level(judge *j, value_of *f, int layer)
{
    return median_over(j, f, layer, j->to - third(j), j->to);
}

static double growth(judge *j, value_of *f, int layer)
{
    return enough(j) ? last_level(j, f, layer) / first_level(j, f, layer) : NAN;
}

/* The first point of the last third. */
static int late_from(const judge *j)
{
    const int n = third(j) < SS_MECHANISM_LATE ? SS_MECHANISM_LATE : third(j);

    return j->to - n > j->from ? j->to - n : j->from;
}

/* So many points are enough for a slope, and their pairs are few. */
enum { MOST_LATE = 64 };

static double late_growth(judge *j, value_of *f, int layer)
{
    const int from = late_from(j), every = 1 + (j->to - from - 1) / MOST_LATE;
    int n = 0;

    for (int a = from; a < j->to && enough(j); a += every) {
        for (int b = a + every; b < j->to; b += every) {
            const double rise = log(f(j, b, layer) / f(j, a, layer)) / (b - a);

            if (isfinite(rise))
                j->scratch[n++] = rise;
        }
    }
    return n ? exp(ss_median(j->scratch, n) * (j->to - 1 - from)) : NAN;
}

/* ---- rows ---- */

static ss_evidence *add(judge *j, ss_mechanism mechanism, const char *measure, double value,
                        double threshold, bool below, bool required)
{
    ss_evidence *row = &j->m->rows[j->m->n];

    if (j->m->n + 1 < SS_MAX_EVIDENCE)
        j->m->n++;
    *row =
        (ss_evidence){mechanism, measure, value, threshold, below, required, SS_SPEAKS_UNKNOWN, ""};
    if (!isnan(value))
        row->speaks =
            (below ? value < threshold : value >= threshold) ? SS_SPEAKS_FOR : SS_SPEAKS_AGAINST;
    return row;
}

static const char *step_name(const judge *j, int point, char *out, size_t n)
{
    const ss_mechanism_point *p = &j->p.points[point];

    if (isnan(p->step))
        snprintf(out, n, "run %d of %d", point + 1, j->p.n);
    else
        snprintf(out, n, "step %.0f", p->step);
    return out;
}

static void at_point(const judge *j, ss_evidence *row, int point, const char *what)
{
    char step[64];

    step_name(j, point, step, sizeof step);
    snprintf(row->where, sizeof row->where, "%s%s%s", what, *what ? ", " : "", step);
}

static const char *site_of(const judge *j, int point, char *out, size_t n)
{
    const ss_mechanism_point *p = &j->p.points[point];

    snprintf(out, n, "-");
    return p->at.module < 0 ? out : ss_site_name(ss_mechanism_run(&j->p, point), p->at, out, n);
}

/* The point with the largest of something; -1 where nothing is known. */
static int largest_point(const judge *j, value_of *f, int from, int to)
{
    int most = -1;

    for (int i = from; i < to; i++) {
        if (!isnan(f(j, i, 0)) && (most < 0 || f(j, i, 0) > f(j, most, 0)))
            most = i;
    }
    return most;
}

static double outlier_of(const judge *j, int i, int layer)
{
    const ss_mechanism_point *p = &j->p.points[i];

    (void)layer;
    return ss_outlier(p->sample, p->picture);
}

/* One sample against the others of its step, at the point where it stands out most. */
static void look_for_data(judge *j)
{
    const int at = largest_point(j, outlier_of, j->from, j->to);
    const ss_mechanism_point *p = at < 0 ? NULL : &j->p.points[at];
    ss_evidence *row;
    char what[64];

    row = add(j, SS_MECHANISM_DATA, "|x| or loss / step's median", p ? p->sample : NAN,
              SS_OUTLIER_SAMPLE, false, true);
    if (p) {
        snprintf(what, sizeof what, "sample %d", p->sample_index);
        at_point(j, row, at, what);
    }
    row = add(j, SS_MECHANISM_DATA, "picture / usual at sigma", p ? p->picture : NAN,
              SS_OUTLIER_PICTURE, false, true);
    if (p && !isnan(p->sigma))
        snprintf(row->where, sizeof row->where, "sigma %.3g", p->sigma);
}

/* How far the stream came, up to and with the first bad point. */
static double reach(judge *j)
{
    if (j->p.n == 0)
        return NAN;
    const int from = n_taking(j) > 0 ? j->from : 0, last = j->end < 0 ? j->p.n - 1 : j->end;
    const double first =
        n_taking(j) > 0 ? first_level(j, stream_of, 0) : median_over(j, stream_of, 0, 0, 1);
    const int most = largest_point(j, stream_of, from, last + 1);

    return most < 0 ? NAN : j->p.points[most].stream / first;
}

/* A step that most parameters are stale at is a spike, whatever the rate. */
static double update_of(const judge *j, int i, int layer)
{
    (void)layer;
    return j->p.points[i].stale_share > 0.5 ? NAN : j->p.points[i].update;
}

/* The first bad step changed nothing, but its rate is known, and by how much an earlier one of
 * another rate changed the weights. */
static double update_at_end(const judge *j)
{
    const ss_mechanism_point *last = j->to > 0 ? &j->p.points[j->to - 1] : NULL;

    if (j->end < 0 || !last || !(last->rate > 0))
        return NAN;
    return last->update * j->p.points[j->end].rate / last->rate;
}

static void look_for_rate(judge *j)
{
    const int at = largest_point(j, update_of, j->from, j->to);
    const double last = n_taking(j) < 2 ? update_at_end(j) : NAN;
    const double most = at < 0 ? NAN : j->p.points[at].update;
    const bool at_end = !isnan(last) && !(last <= most);
    ss_evidence *row;

    row = add(j, SS_MECHANISM_RATE, "update / weight, median", at_end ? last : most,
              SS_MECHANISM_UPDATE, false, true);
    if (at_end)
        at_point(j, row, j->end, "by its rate");
    else if (at >= 0)
        at_point(j, row, at, "");
    add(j, SS_MECHANISM_RATE, "|x| of stream / its first", reach(j), SS_MECHANISM_GROWS, false,
        true);
}

static double loss_of(const judge *j, int i, int layer)
{
    (void)layer;
    return j->p.points[i].loss;
}

/* The largest of f at a point and in the steps that a spike takes, over the largest at the points
 * from `from` on before. */
static double jump_of(const judge *j, value_of *f, int from, int at)
{
    double before = NAN, after = NAN;

    for (int i = from; i < at; i++)
        before = fmax(before, f(j, i, 0));
    for (int i = at;
         i < j->p.n && j->p.points[i].step <= j->p.points[at].step + SS_MECHANISM_SPIKE_STEPS; i++)
        after = fmax(after, f(j, i, 0));
    return before > 0 ? after / before : NAN;
}

/* A network that begins to learn leaves zero behind, which is no jump: activations count from the
 * points on from which a growth is asked. */
static double jump_at(const judge *j, int at)
{
    const double loss = jump_of(j, loss_of, 0, at);

    return at - j->from < SS_MECHANISM_POINTS ? loss
                                              : fmax(loss, jump_of(j, stream_of, j->from, at));
}

/* The power of the weights' growth that the stream's is; what does not grow needs none. */
static double weight_power(double stream, double weights)
{
    if (isnan(stream) || isnan(weights))
        return NAN;
    return weights > 1 ? log(fmax(stream, 1)) / log(weights) : stream > 1 ? INFINITY : 0;
}

static void look_for_weights(judge *j)
{
    const double stream = growth(j, stream_of, 0);
    const double weights = enough(j) ? last_level(j, weights_of, 0) : NAN; /* over the beginning */

    add(j, SS_MECHANISM_WEIGHTS, "growth of weights, median", weights, SS_MECHANISM_WEIGHTS_GROW,
        false, true);
    add(j, SS_MECHANISM_WEIGHTS, "growth of the stream", stream, SS_MECHANISM_GROWS, false, true);
    add(j, SS_MECHANISM_WEIGHTS, "stream's power of weights", weight_power(stream, weights),
        SS_MECHANISM_WEIGHT_POWER, true, true);
}

/* ---- logits and stream ---- */

/* The four numbers by which an attention layer's logits are said to run away: their size, their
 * growth in the last third, their growth over the square of the stream's, the least entropy. */
typedef struct {
    int layer;
    double level, late, outrun, entropy;
} runaway;

static double entropy_of(const judge *j, int i, int layer)
{
    return layer_of(j, i, layer)->entropy;
}

/* The least over the last third. */
static double least_entropy(const judge *j, int layer)
{
    double least = NAN;

    for (int i = late_from(j); i < j->to; i++)
        least = fmin(least, entropy_of(j, i, layer));
    return least;
}

static runaway runaway_of(judge *j, int layer)
{
    const double stream = growth(j, stream_of, 0);

    return (runaway){layer, last_level(j, logit_of, layer), late_growth(j, logit_of, layer),
                     growth(j, logit_of, layer) / pow(fmax(stream, 1), SS_MECHANISM_SQUARE),
                     least_entropy(j, layer)};
}

/* How many of the requirements are met; *known: whether those that are not are known not to be. */
static int n_met(const runaway *x, bool *known)
{
    const bool met[] = {x->level >= SS_LARGE_LOGIT, x->late >= SS_MECHANISM_RUNS, x->outrun >= 1,
                        ss_entropy_collapsed(x->entropy)};
    const double values[] = {x->level, x->late, x->outrun, x->entropy};
    int n = 0;

    *known = false;
    for (size_t i = 0; i < sizeof met / sizeof *met; i++) {
        n += met[i];
        *known |= !met[i] && !isnan(values[i]);
    }
    return n;
}

/* The layer that meets most of them, of several the one with the largest logits. */
static runaway leading_layer(judge *j)
{
    runaway best = {-1, NAN, NAN, NAN, NAN};
    int most = -1;
    bool known;

    for (int l = 0; l < j->p.n_layers && n_taking(j) > 0; l++) {
        const runaway x = runaway_of(j, l);
        const int n = n_met(&x, &known);

        if (n > most || (n == most && x.level > best.level)) {
            best = x;
            most = n;
        }
    }
    return best;
}

/* Growth of the stream at the first point where the entropy of a layer is collapsed. */
static double stream_at_collapse(judge *j, int layer, int *point)
{
    *point = -1;
    for (int i = j->from; i < j->to && layer >= 0; i++) {
        if (ss_entropy_collapsed(entropy_of(j, i, layer))) {
            *point = i;
            return j->p.points[i].stream / first_level(j, stream_of, 0);
        }
    }
    return NAN;
}

static void look_for_logits(judge *j, const runaway *x)
{
    const char *name = x->layer < 0 ? "" : j->p.names[x->layer];
    ss_evidence *row;
    int at;

    row = add(j, SS_MECHANISM_LOGITS, "largest logit", x->level, SS_LARGE_LOGIT, false, true);
    snprintf(row->where, sizeof row->where, "%s", name);
    row = add(j, SS_MECHANISM_LOGITS, "their late growth", x->late, SS_MECHANISM_RUNS, false, true);
    row = add(j, SS_MECHANISM_LOGITS, "growth / stream's squared", x->outrun, 1, false, true);
    row = add(j, SS_MECHANISM_LOGITS, "least entropy / ln N", x->entropy, SS_COLLAPSED_BELOW, true,
              true);
    const double stream = stream_at_collapse(j, x->layer, &at);

    row = add(j, SS_MECHANISM_LOGITS, "stream's growth at collapse", stream, SS_MECHANISM_GROWS,
              true, false);
    if (at >= 0)
        at_point(j, row, at, "");
    add(j, SS_MECHANISM_LOGITS, "growth of q k / their input",
        x->layer < 0 ? NAN : growth(j, projection_of, x->layer), SS_MECHANISM_GROWS, false, false);
}

/* Requirements of the logits that are met; NaN where that is not known. */
static double logits_met(const judge *j, const runaway *x)
{
    bool known;
    const int n = n_met(x, &known);

    if (x->layer < 0)
        return j->p.attends ? NAN : 0;
    return n == 4 || known ? n : NAN;
}

/* The same at the points before one, in the layer that led there: logits that ran away before make
 * the gradient that the optimiser then has not seen the like of. Unknown is none. */
static double logits_met_before(judge *j, int point)
{
    const int to = j->to;
    double met = 0;

    if (point < 0)
        return NAN;
    j->to = point;
    if (n_taking(j) > 0) {
        const runaway x = leading_layer(j);

        met = logits_met(j, &x);
    }
    j->to = to;
    return isnan(met) ? 0 : met;
}

/* At the stale step after which most happened, or, without any, the one that is nearest to it. */
static void look_for_spike(judge *j)
{
    int at = -1;
    ss_evidence *row;

    for (int i = j->from; i < j->to && i < j->p.n; i++) {
        const double v = j->p.points[i].staleness, best = at < 0 ? NAN : j->p.points[at].staleness;
        const bool stale = v > SS_STALE, had = best > SS_STALE;

        if (isnan(v))
            continue;
        if (at < 0 || (stale && !had) || (!had && v > best) ||
            (stale && had && jump_at(j, i) > jump_at(j, at)))
            at = i;
    }
    const ss_mechanism_point *p = at < 0 ? NULL : &j->p.points[at];

    row = add(j, SS_MECHANISM_SPIKE, "largest staleness", p ? p->staleness : NAN, SS_STALE, false,
              true);
    if (p && p->stale_parameter >= 0)
        at_point(j, row, at, ss_mechanism_run(&j->p, at)->parameters[p->stale_parameter]);
    row = add(j, SS_MECHANISM_SPIKE, "loss or |x| / those before", p ? jump_at(j, at) : NAN,
              SS_MECHANISM_JUMP, false, true);
    if (p)
        at_point(j, row, at, "");
    row = add(j, SS_MECHANISM_SPIKE, "logits' needs met before", logits_met_before(j, at),
              SS_MECHANISM_BEFORE, true, true);
    if (p)
        at_point(j, row, at, "");
    row = add(j, SS_MECHANISM_SPIKE, "share of stale parameters", p ? p->stale_share : NAN, 0.5,
              true, false);
    if (p)
        at_point(j, row, at, "");
    row = add(j, SS_MECHANISM_SPIKE, "pictures / usual at sigma", p ? p->pictures : NAN,
              SS_OUTLIER_PICTURE, false, false);
    if (p)
        at_point(j, row, at, "");
}

static void look_for_stream(judge *j, const runaway *x)
{
    const int last = j->to - 1;
    const ss_mechanism_point *p = n_taking(j) > 0 ? &j->p.points[last] : NULL;
    ss_evidence *row;
    char what[SS_EVIDENCE_WHERE];

    row = add(j, SS_MECHANISM_STREAM, "growth of the stream", growth(j, stream_of, 0),
              SS_MECHANISM_GROWS, false, true);
    if (p)
        at_point(j, row, last, site_of(j, last, what, sizeof what));
    add(j, SS_MECHANISM_STREAM, "stream / largest of others", p ? p->stream / p->others : NAN, 1,
        false, true);
    row = add(j, SS_MECHANISM_STREAM, "logits' needs met, of 4", logits_met(j, x), 4, true, true);
    if (x->layer >= 0)
        snprintf(row->where, sizeof row->where, "%s", j->p.names[x->layer]);
    add(j, SS_MECHANISM_STREAM, "decoder / encoder", p ? p->decoder / p->encoder : NAN, 1, false,
        false);
    add(j, SS_MECHANISM_STREAM, "high / low noise levels", p ? p->high / p->low : NAN, 1, false,
        false);
    if (j->end >= 0) {
        const ss_mechanism_point *end = &j->p.points[j->end];

        row = add(j, SS_MECHANISM_STREAM, "first inf or NaN: no weight", end->first.module >= 0, 1,
                  false, false);
        ss_site_name(ss_mechanism_run(&j->p, j->end),
                     end->first.module < 0 ? (ss_site){0, 0} : end->first, what, sizeof what);
        at_point(j, row, j->end, end->first.module < 0 ? "weights" : what);
    }
}

/* ---- the rule ---- */

/* FOR: all required rows speak for it; AGAINST: one does not; UNKNOWN: neither. */
static ss_speaks state_of(const ss_mechanism_finding *m, ss_mechanism k)
{
    ss_speaks state = SS_SPEAKS_FOR;

    for (int i = 0; i < m->n; i++) {
        const ss_evidence *row = &m->rows[i];

        if (row->mechanism != k || !row->required || row->speaks == SS_SPEAKS_FOR)
            continue;
        if (row->speaks == SS_SPEAKS_AGAINST)
            return SS_SPEAKS_AGAINST;
        state = SS_SPEAKS_UNKNOWN;
    }
    return state;
}

static int n_for(const ss_mechanism_finding *m, ss_mechanism k)
{
    int n = 0;

    for (int i = 0; i < m->n; i++)
        n += m->rows[i].mechanism == k && m->rows[i].speaks == SS_SPEAKS_FOR;
    return n;
}

static void decide(judge *j)
{
    ss_mechanism_finding *m = j->m;

    m->name = SS_MECHANISM_NONE;
    for (int k = SS_N_MECHANISMS - 1; k >= 0; k--) {
        const ss_speaks s = state_of(m, (ss_mechanism)k);

        m->agrees[k] = s == SS_SPEAKS_UNKNOWN && n_for(m, (ss_mechanism)k) > 0;
        if (s == SS_SPEAKS_FOR)
            m->name = (ss_mechanism)k;
    }
    /* Values that are cut off at a limit show no growth and no lead. */
    if (*j->p.limit && (m->name == SS_MECHANISM_STREAM || m->name == SS_MECHANISM_LOGITS))
        m->name = SS_MECHANISM_NONE;
}

/* ---- sentences ---- */

static const ss_evidence *row_of(const ss_mechanism_finding *m, ss_mechanism k, int i)
{
    for (int r = 0; r < m->n; r++) {
        if (m->rows[r].mechanism == k && i-- == 0)
            return &m->rows[r];
    }
    return NULL;
}

/* " at step 1600 up_blocks.0.upsamplers.0 is inf or NaN". */
static void say_end(const judge *j, ss_str *s)
{
    char step[64], site[SS_EVIDENCE_WHERE];
    const ss_mechanism_point *p;

    if (j->broken >= 0) {
        step_name(j, j->broken, step, sizeof step);
        ss_str_addf(s, "; at %s the stream broke, from %.3g to %.3g", step,
                    j->p.points[j->broken - 1].stream, j->p.points[j->broken].stream);
    }
    if (j->end < 0)
        return;
    p = &j->p.points[j->end];
    step_name(j, j->end, step, sizeof step);
    if (p->first.module >= 0)
        ss_site_name(ss_mechanism_run(&j->p, j->end), p->first, site, sizeof site);
    ss_str_addf(s, "; at %s %s is the first that is inf or NaN", step,
                p->first.module < 0 ? "a weight" : site);
}

static void say_stream(judge *j, ss_str *s)
{
    const int last = j->to - 1;
    char site[SS_EVIDENCE_WHERE], from[64], to[64];

    step_name(j, j->from, from, sizeof from);
    step_name(j, last, to, sizeof to);
    ss_str_addf(s, "the largest |x| of the stream went from %.3g to %.3g between %s and %s (%s)",
                j->p.points[j->from].stream, j->p.points[last].stream, from, to,
                site_of(j, last, site, sizeof site));
}

static void say_name(judge *j, const runaway *x, ss_str *s)
{
    const ss_mechanism_finding *m = j->m;
    const ss_evidence *a = row_of(m, m->name, 0), *b = row_of(m, m->name, 1);

    switch (m->name) {
    case SS_MECHANISM_DATA:
        ss_str_addf(s,
                    "one sample has %.3g times the largest |x| or loss of its step (%s), and "
                    "what the network read of it is %.3g times what is usual at its noise level",
                    a->value, a->where, b->value);
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
            j->p.names[x->layer], a->value, x->late, x->outrun, x->entropy);
        break;
    case SS_MECHANISM_STREAM:
        say_stream(j, s);
        if (x->layer >= 0)
            ss_str_addf(s,
                        ", and logits do not outrun it: those of %s are at %.3g, late growth %.3g",
                        j->p.names[x->layer], x->level, x->late);
        else
            ss_str_add(s, ", and there is no attention");
        break;
    case SS_MECHANISM_NONE: break;
    }
    if (j->p.clamp > 0)
        ss_str_addf(s, "; blocks clamp their outputs to %g, which hides what is above", j->p.clamp);
    say_end(j, s);
}

static void say_agrees(const judge *j, ss_str *s)
{
    const ss_mechanism_finding *m = j->m;
    int n = 0;

    for (int k = 0; k < SS_N_MECHANISMS; k++) {
        if (m->agrees[k])
            ss_str_addf(s, "%s%s",
                        n++ ? ", " : "; it agrees with: ", ss_mechanism_text((ss_mechanism)k));
    }
}

/* The mechanism that misses least, and what of it. */
static void say_nearest(const judge *j, ss_str *s)
{
    const ss_evidence *miss = NULL;

    for (int i = 0; i < j->m->n; i++) {
        const ss_evidence *row = &j->m->rows[i];

        if (row->mechanism == SS_MECHANISM_STREAM && row->required &&
            row->speaks == SS_SPEAKS_AGAINST)
            miss = row;
    }
    if (miss)
        ss_str_addf(s, "; of \"%s\" it lacks: %s is %.3g, threshold %.3g",
                    ss_mechanism_text(miss->mechanism), miss->measure, miss->value,
                    miss->threshold);
}

static void say_why_not(judge *j, ss_str *s)
{
    const ss_mechanism_finding *m = j->m;
    char step[64];

    if (*j->p.why)
        ss_str_add(s, j->p.why);
    else if (j->p.n == 0 || (j->end < 0 && isnan(j->p.points[j->p.n - 1].stream)))
        ss_str_add(s, "no finite value of the residual stream was recorded");
    else if (j->end == 0)
        ss_str_addf(s,
                    "inf or NaN from the first %s on: an earlier checkpoint, or finer "
                    "statistics, would tell",
                    j->p.training ? "measured step" : "run");
    else if (!j->p.training && j->p.n == 1)
        ss_str_add(s, "one run has levels and no growth: a run of an earlier checkpoint would "
                      "tell");
    else if (*j->p.limit)
        ss_str_addf(s, "the stream stands at the limit of %s, which hides its growth", j->p.limit);
    else if (!enough(j))
        ss_str_addf(s,
                    "only %d finite %s before %s: growth is asked of %d and more; measure more "
                    "often",
                    n_taking(j), j->p.training ? "measured steps" : "runs",
                    j->end < 0 ? "the end" : step_name(j, j->end, step, sizeof step),
                    j->p.training ? SS_MECHANISM_POINTS : 2);
    else if (m->agrees[SS_MECHANISM_STREAM] && j->p.attends && !j->p.n_layers)
        ss_str_addf(s, "\"%s\" and \"%s\" differ in the attention, which was not recorded",
                    ss_mechanism_text(SS_MECHANISM_STREAM), ss_mechanism_text(SS_MECHANISM_LOGITS));
    else if (growth(j, stream_of, 0) < SS_MECHANISM_GROWS && j->end < 0)
        ss_str_addf(s, "nothing grew: the stream %.3g-fold", growth(j, stream_of, 0));
    else {
        ss_str_add(s, "no mechanism has all the evidence that it needs");
        say_nearest(j, s);
    }
    if (j->end > 0)
        say_end(j, s);
    say_agrees(j, s);
}

static ss_code say(judge *j, const runaway *x, ss_err *e)
{
    ss_str s = {0};

    ss_str_addf(&s, "Mechanism: %s: ", ss_mechanism_text(j->m->name));
    if (j->m->name != SS_MECHANISM_NONE)
        say_name(j, x, &s);
    else
        say_why_not(j, &s);
    ss_str_add(&s, ".");
    j->m->sentence = ss_str_detach(&s);
    return j->m->sentence ? SS_OK : ss_fail(e, SS_NOMEM, "mechanism: out of memory");
}

/* ---- all of it ---- */

static void set_points(judge *j)
{
    j->end = -1;
    for (int i = 0; i < j->p.n && j->end < 0; i++) {
        if (j->p.points[i].bad)
            j->end = i;
    }
    j->to = j->end < 0 ? j->p.n : j->end;
    j->from = j->p.training && j->to > 0 ? 1 : 0;
    j->m->bad = j->end >= 0;
    j->m->end = j->end < 0 ? NAN : j->p.points[j->end].step;
    j->m->n_points = j->to;
    j->broken = -1;
}

/* Where the stream breaks, behind enough points to tell a growth; -1: nowhere. Checkpoints may be
 * so far apart that it grows as much between two. */
static int break_of(const judge *j)
{
    double before = NAN;

    for (int i = j->from; i < j->to && j->p.training; i++) {
        if (i - j->from >= SS_MECHANISM_POINTS &&
            j->p.points[i].stream >= SS_MECHANISM_BREAKS * before)
            return i;
        before = fmax(before, j->p.points[i].stream);
    }
    return -1;
}

ss_code ss_mechanism_find(ss_run *const *runs, const int64_t *steps, int n, ss_mechanism_finding *m,
                          ss_err *e)
{
    judge j = {.m = m};
    runaway x;
    ss_code rc;

    *m = (ss_mechanism_finding){.name = SS_MECHANISM_NONE, .end = NAN};
    if ((rc = ss_mechanism_points_find(runs, steps, n, &j.p, e)) != SS_OK)
        return rc;
    j.scratch = ss_alloc((size_t)j.p.n + MOST_LATE * MOST_LATE, sizeof *j.scratch);
    if (!j.scratch) {
        rc = ss_fail(e, SS_NOMEM, "%s: out of memory", runs[0]->path);
        goto out;
    }
    set_points(&j);
    look_for_data(&j);
    look_for_rate(&j);
    look_for_spike(&j);
    j.broken = break_of(&j);
    if (j.broken >= 0)
        m->n_points = j.to = j.broken;
    x = leading_layer(&j);
    look_for_weights(&j);
    look_for_logits(&j, &x);
    look_for_stream(&j, &x);
    decide(&j);
    m->grew = m->bad || reach(&j) >= SS_MECHANISM_GROWS;
    rc = say(&j, &x, e);
out:
    ss_free(j.scratch);
    ss_mechanism_points_release(&j.p);
    if (rc != SS_OK)
        ss_mechanism_release(m);
    return rc;
}

void ss_mechanism_release(ss_mechanism_finding *m)
{
    ss_free(m->sentence);
    *m = (ss_mechanism_finding){.name = SS_MECHANISM_NONE, .end = NAN};
}

bool ss_mechanism_matters(const ss_mechanism_finding *m)
{
    return m->bad || m->grew || m->name != SS_MECHANISM_NONE;
}

ss_code ss_mechanism_table(const ss_mechanism_finding *m, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "mechanism", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "mechanism", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "limit", SS_COL_TEXT, NULL);
    ss_table_column(t, "speaks", SS_COL_TEXT, NULL);
    ss_table_column(t, "need", SS_COL_TEXT, NULL);
    ss_table_column(t, "where", SS_COL_TEXT, NULL);
    for (int i = 0; i < m->n; i++) {
        const ss_evidence *row = &m->rows[i];
        char limit[32];

        snprintf(limit, sizeof limit, "%s %.3g", row->below ? "<" : ">=", row->threshold);
        ss_table_row(t);
        ss_table_text(t, ss_mechanism_key(row->mechanism));
        ss_table_text(t, row->measure);
        ss_table_number(t, row->value);
        ss_table_text(t, limit);
        ss_table_text(t, speaks_text(row->speaks));
        ss_table_text(t, row->required ? "yes" : "-");
        ss_table_text(t, *row->where ? row->where : "-");
    }
    ss_table_note(t, "%s; the name is the first whose needed rows all speak for it",
                  ss_mechanism_text(m->name));
    return SS_OK;
}
