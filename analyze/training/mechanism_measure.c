/* mechanism_measure.c - see mechanism_measure.h */
#include "analyze/training/mechanism_measure.h"

#include "analyze/math/median.h"
#include "analyze/one/stages.h"
#include "analyze/several/align.h"
#include "analyze/training/mechanism_samples.h"
#include "analyze/training/updates.h"
#include "attn/entropy.h"

#include <math.h>
#include <string.h>

void ss_point_bad(const ss_view *view, ss_mechanism_point *p)
{
    for (int i = 0; i < view->all.n && !p->bad; i++) {
        for (int k = 0; k < ss_view_cells(view) && !p->bad; k++) {
            const size_t at = ss_view_at(view, view->all.site[i], ss_view_cell(view, k));

            if ((view->nonfinite && view->nonfinite[at]) || isinf(view->absmax[at])) {
                p->bad = true;
                p->first = view->all.site[i];
            }
        }
    }
}

void ss_point_stream(const ss_view *view, ss_mechanism_point *p)
{
    double *peaks = view->cells;

    for (int k = 0; k < ss_view_cells(view); k++)
        peaks[k] = NAN;
    for (int i = 0; i < view->all.n; i++) {
        const ss_site s = view->all.site[i];
        const ss_stage stage = ss_stage_of(view->r->modules[s.module]);

        for (int k = 0; k < ss_view_cells(view) && view->is[i] != SS_IS_NOTHING; k++) {
            const ss_point_cell c = ss_view_cell(view, k);
            const double v = view->absmax[ss_view_at(view, s, c)], sigma = ss_view_sigma(view, c);

            if (isnan(v))
                continue;
            if (view->is[i] == SS_IS_OTHER) {
                p->others = fmax(p->others, v);
                continue;
            }
            if (!(v <= p->stream)) {
                p->stream = v;
                p->at = s;
            }
            peaks[k] = fmax(peaks[k], v);
            if (sigma <= view->low)
                p->low = fmax(p->low, v);
            if (sigma >= view->high)
                p->high = fmax(p->high, v);
            if (stage == SS_STAGE_ENCODER)
                p->encoder = fmax(p->encoder, v);
            if (stage == SS_STAGE_DECODER)
                p->decoder = fmax(p->decoder, v);
        }
    }
    if (p->at.module >= 0)
        ss_samples_find_outlier(view, peaks, p);
}

static int module_below(const ss_run *r, const char *layer, const char *child)
{
    const size_t n = strlen(layer);

    for (int m = 0; m < r->n_modules; m++) {
        const char *path = r->modules[m];

        if (strncmp(path, layer, n) == 0 && path[n] == '.' && strcmp(path + n + 1, child) == 0)
            return m;
    }
    return -1;
}

static double value_at(const ss_view *view, const float *x, int module, int port, ss_point_cell c)
{
    return x && module >= 0 && port >= 0 ? (double)x[ss_view_at(view, (ss_site){module, port}, c)]
                                         : NAN;
}

static ss_mechanism_layer layer_at(const ss_view *view, const char *name, int layer)
{
    const int q = module_below(view->r, name, "to_q"), own = module_below(view->r, name, "to_k");
    const int k = own >= 0 ? own : module_below(view->r, name, "add_k_proj");
    const int logits = module_below(view->r, name, "logits");
    const int in = ss_run_port(view->r, "input"), out = ss_run_port(view->r, "output");
    ss_mechanism_layer y = {NAN, NAN, NAN, NAN};

    for (int i = 0; i < ss_view_cells(view); i++) {
        const ss_point_cell c = ss_view_cell(view, i);

        y.product = fmax(y.product, value_at(view, view->rms, q, out, c) *
                                        value_at(view, view->rms, k, out, c));
        y.input = fmax(y.input,
                       value_at(view, view->rms, q, in, c) * value_at(view, view->rms, k, in, c));
        y.logit = fmax(y.logit, value_at(view, view->absmax, logits, out, c));
        for (int h = 0; h < view->r->n_heads && view->logit; h++)
            y.logit = fmax(
                y.logit,
                view->logit[ss_run_attention_at(view->r, layer, h, c.input, c.column, c.sample)]);
    }
    for (int h = 0; h < view->r->n_heads && view->entropy && view->keys; h++) {
        for (int i = 0; i < ss_view_cells(view); i += view->r->n_samples) {
            double sum = 0;
            int n = 0;

            for (int s = 0; s < view->r->n_samples; s++) {
                const ss_point_cell c = ss_view_cell(view, i + s);
                const double v = view->entropy[ss_run_attention_at(view->r, layer, h, c.input,
                                                                   c.column, c.sample)];

                if (!isnan(v)) {
                    sum += v;
                    n++;
                }
            }
            if (n)
                y.entropy = fmin(y.entropy, ss_entropy_normalised(sum / n, view->keys[layer]));
        }
    }
    return y;
}

void ss_point_layers(const ss_view *view, const ss_mechanism_points *p, int point)
{
    for (int i = 0; i < p->n_layers; i++) {
        const int layer = ss_align_label(view->r->layers, view->r->n_layers, p->names[i]);

        p->layers[(size_t)point * (size_t)p->n_layers + (size_t)i] =
            layer < 0 ? (ss_mechanism_layer){NAN, NAN, NAN, NAN}
                      : layer_at(view, p->names[i], layer);
    }
}

static bool is_bias(const char *name)
{
    return ss_module_ends(name, "bias");
}

/* The median over the parameters that moved: at first most have no gradient, because a layer after
 * them begins at zero. */
static double median_update(const ss_view *view, const float *update, const float *weight,
                            int column)
{
    int n = 0;

    for (int64_t i = 0; i < view->r->n_parameters && update && weight; i++) {
        const size_t at = (size_t)i * (size_t)view->r->n_sigmas + (size_t)column;

        if (!is_bias(view->r->parameters[i]) && weight[at] > 0 && update[at] > 0)
            view->scratch[n++] = (double)update[at] / (double)weight[at];
    }
    return ss_median(view->scratch, n);
}

ss_code ss_point_updates(const ss_view *view, int column, ss_mechanism_point *p, ss_err *e)
{
    const float *x, *stale, *update, *weight;
    double *const to[] = {&p->loss, &p->norm, &p->rate};
    static const char *const names[] = {"loss", "norm", "rate"};
    int over = 0, n = 0;
    ss_code rc = SS_OK;

    for (size_t i = 0; i < sizeof to / sizeof *to && rc == SS_OK; i++) {
        rc = ss_run_training(view->r, names[i], &x, e);
        if (rc == SS_OK && x)
            *to[i] = x[column];
    }
    if (rc != SS_OK || !view->r->n_parameters ||
        (rc = ss_run_updates(view->r, "staleness", &stale, e)) != SS_OK ||
        (rc = ss_run_updates(view->r, "update_rms", &update, e)) != SS_OK ||
        (rc = ss_run_updates(view->r, "weight_rms", &weight, e)) != SS_OK)
        return rc;
    for (int64_t i = 0; i < view->r->n_parameters && stale; i++) {
        const double v = stale[(size_t)i * (size_t)view->r->n_sigmas + (size_t)column];

        if (isnan(v))
            continue;
        n++;
        over += v > SS_STALE;
        if (!(v <= p->staleness)) {
            p->staleness = v;
            p->stale_parameter = i;
        }
    }
    p->stale_share = n ? (double)over / n : NAN;
    p->update = median_update(view, update, weight, column);
    n = 0;
    for (int64_t i = 0; i < view->r->n_parameters && weight && view->weights; i++) {
        const double w = weight[(size_t)i * (size_t)view->r->n_sigmas + (size_t)column];

        if (!is_bias(view->r->parameters[i]) && view->weights[i] > 0 && !isnan(w))
            view->scratch[n++] = w / (double)view->weights[i];
    }
    p->weights = ss_median(view->scratch, n);
    return SS_OK;
}

void ss_point_weights(const ss_view *view, const ss_run *first, ss_mechanism_point *p)
{
    int n = 0;

    for (int64_t i = 0; i < view->r->n_parameters && view->weights && view->first_weights; i++) {
        if (i < first->n_parameters && !is_bias(view->r->parameters[i]) &&
            view->first_weights[i] > 0 && !isnan(view->weights[i]) &&
            strcmp(view->r->parameters[i], first->parameters[i]) == 0)
            view->scratch[n++] = (double)view->weights[i] / (double)view->first_weights[i];
    }
    p->weights = ss_median(view->scratch, n);
}
