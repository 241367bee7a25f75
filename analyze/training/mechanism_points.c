/* mechanism_points.c - see mechanism_points.h */
#include "analyze/training/mechanism_points.h"

#include "analyze/math/median.h"
#include "analyze/one/not_finite.h"
#include "analyze/one/stages.h"
#include "analyze/several/align.h"
#include "analyze/training/updates.h"
#include "attn/entropy.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_BINS = 80 }; /* of noise levels, 2^-20 to 2^20 */

/* The data sets of one run, and those of its columns that make up one point. */
typedef struct {
    ss_run *r;
    const float *absmax, *rms, *entropy, *logit, *keys;
    const uint64_t *nonfinite;
    const float *weights, *first_weights; /* RMS of the parameters, here and at the first point */
    ss_sites all;
    uint8_t *is; /* [all.n] what a site is: IS_STREAM, IS_OTHER, or nothing that is asked for */
    const int *columns, *inputs;
    int n_columns, n_inputs;
    double low, high; /* noise levels of the lower third are up to, of the upper one from; or NaN */
    const float *sigma;                         /* [column][sample] of a training, else NULL */
    const float *loss;                          /* likewise */
    double picture[N_BINS], usual_loss[N_BINS]; /* what is usual there */
    ss_site in;                                 /* what reads the pictures; port -1: not recorded */
    double *scratch; /* n_scratch values for medians; behind them, three values for each cell */
} look;

enum { IS_NOTHING, IS_OTHER, IS_STREAM };

static ss_code out_of_memory(const ss_run *r, ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);
}

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0 && (n == m || path[n - m - 1] == '.');
}

/* A convolution that reads the stream as it is, by the names of diffusers and of the original code.
 */
static bool reads_stream(const char *path)
{
    static const char *const ends[] = {"conv_shortcut", "nin_shortcut", "skip_connection",
                                       "conv_in"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_in(path, ends[i]))
            return true;
    }
    return strstr(path, "upsamplers.") || strstr(path, "downsamplers.");
}

static int what_is(const ss_run *r, ss_site s)
{
    const char *port = r->ports[s.port], *path = r->modules[s.module];

    if (strcmp(port, "residual") == 0)
        return IS_STREAM;
    if (strcmp(port, "output") != 0)
        return IS_NOTHING;
    if (r->inner && r->inner[s.module] != SS_INNER_NONE)
        return ends_in(path, "residual_sum") ? IS_STREAM : IS_NOTHING;
    if (strcmp(path, SS_ROOT) == 0)
        return IS_NOTHING;
    if ((r->blocks && r->blocks[s.module] && !ends_in(path, "conv_out")) || reads_stream(path))
        return IS_STREAM;
    for (int m = s.module + 1; m < r->n_modules;
         m++) { /* a container returns what is inside of it */
        if (ss_module_inside(r->modules[m], path))
            return IS_NOTHING;
    }
    return IS_OTHER;
}

/* The module whose input is the noised picture: conv_in, or where there is none the whole model. */
static int input_module(const ss_run *r)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (ends_in(r->modules[m], "conv_in"))
            return m;
    }
    return 0;
}

/* All cells of a run, and room for a number of each, or of each parameter. */
static size_t n_all(const ss_run *r)
{
    return (size_t)r->n_samples * (size_t)r->n_inputs * (size_t)r->n_sigmas;
}

static size_t n_scratch(const ss_run *r)
{
    return n_all(r) + (size_t)r->n_parameters;
}

static ss_code open_look(ss_run *r, look *l, ss_err *e)
{
    ss_code rc = ss_run_stat(r, "absmax", &l->absmax, e);

    l->r = r;
    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &l->rms, e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &l->nonfinite, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention(r, "entropy", &l->entropy, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention(r, "max_logit", &l->logit, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention_keys(r, &l->keys, e);
    if (rc == SS_OK && r->n_parameters)
        rc = ss_run_weights(r, "rms", &l->weights, e);
    if (rc == SS_OK && l->absmax)
        rc = ss_sites_find(r, NULL, 0, SS_SITES_ALL, &l->all, e);
    if (rc == SS_OK && !(l->is = ss_alloc((size_t)l->all.n, sizeof *l->is)))
        rc = out_of_memory(r, e);
    if (rc == SS_OK && !(l->scratch = ss_alloc(n_scratch(r) + 3 * n_all(r), sizeof *l->scratch)))
        rc = out_of_memory(r, e);
    l->in = (ss_site){input_module(r), ss_run_port(r, "input")};
    for (int i = 0; i < l->all.n && rc == SS_OK; i++)
        l->is[i] = (uint8_t)what_is(r, l->all.site[i]);
    return rc;
}

static void close_look(look *l)
{
    ss_sites_release(&l->all);
    ss_free(l->is);
    ss_free(l->scratch);
    *l = (look){0};
}

/* A cell: the noise level, input and sample number k of those that the point looks at. */
typedef struct {
    int column, input, sample;
} cell;

static int n_cells(const look *l)
{
    return l->n_columns * l->n_inputs * l->r->n_samples;
}

static cell cell_at(const look *l, int k)
{
    const int sample = k % l->r->n_samples, rest = k / l->r->n_samples;

    return (cell){l->columns[rest / l->n_inputs], l->inputs[rest % l->n_inputs], sample};
}

static size_t at_cell(const look *l, ss_site s, cell c)
{
    return ss_run_at(l->r, s.module, s.port, c.input, c.column, c.sample);
}

static double sigma_of(const look *l, cell c)
{
    if (l->sigma)
        return l->sigma[(size_t)c.column * (size_t)l->r->n_samples + (size_t)c.sample];
    return l->r->sigmas ? l->r->sigmas[c.column] : NAN;
}

/* inf and NaN: at the first site in forward order. A file without counts knows an infinity. */
static void find_bad(const look *l, ss_mechanism_point *p)
{
    for (int i = 0; i < l->all.n && !p->bad; i++) {
        for (int k = 0; k < n_cells(l) && !p->bad; k++) {
            const size_t at = at_cell(l, l->all.site[i], cell_at(l, k));

            if ((l->nonfinite && l->nonfinite[at]) || isinf(l->absmax[at])) {
                p->bad = true;
                p->first = l->all.site[i];
            }
        }
    }
}

/* Noise levels of a training go into bins of a factor of 1.41, what is beyond into the outer ones.
 */
static int bin_of(double sigma)
{
    const double bin = N_BINS / 2 + floor(2 * log2(sigma));

    return bin < 0 ? 0 : bin < N_BINS ? (int)bin : N_BINS - 1;
}

static double picture_of(const look *l, cell c)
{
    return l->in.port < 0 ? NAN : (double)l->absmax[at_cell(l, l->in, c)];
}

static double loss_of(const look *l, cell c)
{
    return l->loss ? (double)l->loss[(size_t)c.column * (size_t)l->r->n_samples + (size_t)c.sample]
                   : NAN;
}

/* The usual value at a noise level: the median over samples of all steps whose noise level falls
 * into this bin or one of its two neighbours. One batch has too few samples at one noise level. NaN
 * with fewer than three samples. */
static double usual_in(const look *l, int bin, double (*value)(const look *, cell))
{
    int n = 0;

    for (int c = 0; c < l->r->n_sigmas; c++) {
        for (int s = 0; s < l->r->n_samples && l->r->done[c]; s++) {
            const double sigma = sigma_of(l, (cell){c, 0, s});

            if (sigma > 0 && abs(bin_of(sigma) - bin) <= 1)
                l->scratch[n++] = value(l, (cell){c, 0, s});
        }
    }
    return n < 3 ? NAN : ss_median(l->scratch, n);
}

static void find_usual(look *l)
{
    for (int bin = 0; bin < N_BINS; bin++) {
        l->picture[bin] = usual_in(l, bin, picture_of);
        l->usual_loss[bin] = usual_in(l, bin, loss_of);
    }
}

/* Where no picture is known, the sample alone decides, after all those whose picture is. */
double ss_outlier(double sample, double picture)
{
    return isnan(picture) ? 1e-6 * sample
                          : fmin(sample / SS_OUTLIER_SAMPLE, picture / SS_OUTLIER_PICTURE);
}

/* Divides each value by the median of its group, of at least three. */
static void over_median(const look *l, double *x, int from, int n)
{
    memcpy(l->scratch, x + from, (size_t)n * sizeof *x);

    const double median = n < 3 ? NAN : ss_median(l->scratch, n);

    for (int k = from; k < from + n; k++)
        x[k] = median > 0 ? x[k] / median : NAN;
}

/* The sample that stands out most among the others of its step or, in a probe, of its noise level
 * and input: by its largest |x| or its loss, and by its picture. peaks: [n_cells], of the stream.
 * The factors by which it stands out are weighed as their thresholds are. */
static void find_sample(const look *l, double *peaks, ss_mechanism_point *p)
{
    const int samples = l->r->n_samples, n = n_cells(l);
    double *pictures = peaks + n, *losses = pictures + n, best = NAN;

    for (int k = 0; k < n; k++) {
        const cell c = cell_at(l, k);
        const double sigma = sigma_of(l, c);

        const bool known = l->r->steps && sigma > 0;

        pictures[k] = picture_of(l, c) / (known         ? l->picture[bin_of(sigma)]
                                          : l->r->steps ? NAN
                                                        : 1);
        losses[k] = known ? loss_of(l, c) / l->usual_loss[bin_of(sigma)] : NAN;
    }
    for (int k = 0; k < n; k += samples) {
        over_median(l, peaks, k, samples);
        over_median(l, losses, k, samples);
        if (!l->r->steps)
            over_median(l, pictures, k, samples);
    }
    for (int k = 0; k < n; k++) {
        const double out = fmax(peaks[k], losses[k]);
        const double both = ss_outlier(out, pictures[k]);

        if (isnan(out) || both <= best)
            continue;
        best = both;
        p->sample = out;
        p->picture = pictures[k];
        p->sigma = sigma_of(l, cell_at(l, k));
        p->sample_index = cell_at(l, k).sample;
    }
    memcpy(l->scratch, pictures, (size_t)n * sizeof *pictures);
    p->pictures = l->r->steps ? ss_median(l->scratch, n) : NAN;
}

static void find_stream(const look *l, ss_mechanism_point *p)
{
    double *peaks = l->scratch + n_scratch(l->r);

    for (int k = 0; k < n_cells(l); k++)
        peaks[k] = NAN;
    for (int i = 0; i < l->all.n; i++) {
        const ss_site s = l->all.site[i];
        const ss_stage stage = ss_stage_of(l->r->modules[s.module]);

        for (int k = 0; k < n_cells(l) && l->is[i] != IS_NOTHING; k++) {
            const cell c = cell_at(l, k);
            const double v = l->absmax[at_cell(l, s, c)], sigma = sigma_of(l, c);

            if (isnan(v))
                continue;
            if (l->is[i] == IS_OTHER) {
                p->others = fmax(p->others, v);
                continue;
            }
            if (!(v <= p->stream)) {
                p->stream = v;
                p->at = s;
            }
            peaks[k] = fmax(peaks[k], v);
            if (sigma <= l->low)
                p->low = fmax(p->low, v);
            if (sigma >= l->high)
                p->high = fmax(p->high, v);
            if (stage == SS_STAGE_ENCODER)
                p->encoder = fmax(p->encoder, v);
            if (stage == SS_STAGE_DECODER)
                p->decoder = fmax(p->decoder, v);
        }
    }
    if (p->at.module >= 0)
        find_sample(l, peaks, p);
}

/* ---- attention ---- */

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

static double value_at(const look *l, const float *x, int module, int port, cell c)
{
    return x && module >= 0 && port >= 0 ? (double)x[at_cell(l, (ss_site){module, port}, c)] : NAN;
}

static ss_mechanism_layer layer_at(const look *l, const char *name, int layer)
{
    const int q = module_below(l->r, name, "to_q"), own = module_below(l->r, name, "to_k");
    const int k = own >= 0 ? own : module_below(l->r, name, "add_k_proj");
    const int logits = module_below(l->r, name, "logits");
    const int in = ss_run_port(l->r, "input"), out = ss_run_port(l->r, "output");
    ss_mechanism_layer y = {NAN, NAN, NAN, NAN};

    for (int i = 0; i < n_cells(l); i++) {
        const cell c = cell_at(l, i);

        y.product =
            fmax(y.product, value_at(l, l->rms, q, out, c) * value_at(l, l->rms, k, out, c));
        y.input = fmax(y.input, value_at(l, l->rms, q, in, c) * value_at(l, l->rms, k, in, c));
        y.logit = fmax(y.logit, value_at(l, l->absmax, logits, out, c));
        for (int h = 0; h < l->r->n_heads && l->logit; h++)
            y.logit =
                fmax(y.logit,
                     l->logit[ss_run_attention_at(l->r, layer, h, c.input, c.column, c.sample)]);
    }
    for (int h = 0; h < l->r->n_heads && l->entropy && l->keys; h++) {
        for (int i = 0; i < n_cells(l); i += l->r->n_samples) {
            double sum = 0;
            int n = 0;

            for (int s = 0; s < l->r->n_samples; s++) {
                const cell c = cell_at(l, i + s);
                const double v =
                    l->entropy[ss_run_attention_at(l->r, layer, h, c.input, c.column, c.sample)];

                if (!isnan(v)) {
                    sum += v;
                    n++;
                }
            }
            if (n)
                y.entropy = fmin(y.entropy, ss_entropy_normalised(sum / n, l->keys[layer]));
        }
    }
    return y;
}

static void find_layers(const look *l, const ss_mechanism_points *p, int point)
{
    for (int i = 0; i < p->n_layers; i++) {
        const int layer = ss_align_label(l->r->layers, l->r->n_layers, p->names[i]);

        p->layers[(size_t)point * (size_t)p->n_layers + (size_t)i] =
            layer < 0 ? (ss_mechanism_layer){NAN, NAN, NAN, NAN} : layer_at(l, p->names[i], layer);
    }
}

/* ---- updates and weights ---- */

static bool is_bias(const char *name)
{
    return ends_in(name, "bias");
}

/* Of the parameters that moved: from zeros that come after them, most have no gradient at first. */
static double median_update(const look *l, const float *update, const float *weight, int column)
{
    int n = 0;

    for (int64_t i = 0; i < l->r->n_parameters && update && weight; i++) {
        const size_t at = (size_t)i * (size_t)l->r->n_sigmas + (size_t)column;

        if (!is_bias(l->r->parameters[i]) && weight[at] > 0 && update[at] > 0)
            l->scratch[n++] = (double)update[at] / (double)weight[at];
    }
    return ss_median(l->scratch, n);
}

static ss_code find_updates(const look *l, int column, ss_mechanism_point *p, ss_err *e)
{
    const float *x, *stale, *update, *weight;
    double *const to[] = {&p->loss, &p->norm, &p->rate};
    static const char *const names[] = {"loss", "norm", "rate"};
    int over = 0, n = 0;
    ss_code rc = SS_OK;

    for (size_t i = 0; i < sizeof to / sizeof *to && rc == SS_OK; i++) {
        rc = ss_run_training(l->r, names[i], &x, e);
        if (rc == SS_OK && x)
            *to[i] = x[column];
    }
    if (rc != SS_OK || !l->r->n_parameters ||
        (rc = ss_run_updates(l->r, "staleness", &stale, e)) != SS_OK ||
        (rc = ss_run_updates(l->r, "update_rms", &update, e)) != SS_OK ||
        (rc = ss_run_updates(l->r, "weight_rms", &weight, e)) != SS_OK)
        return rc;
    for (int64_t i = 0; i < l->r->n_parameters && stale; i++) {
        const double v = stale[(size_t)i * (size_t)l->r->n_sigmas + (size_t)column];

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
    p->update = median_update(l, update, weight, column);
    n = 0;
    for (int64_t i = 0; i < l->r->n_parameters && weight && l->weights; i++) {
        const double w = weight[(size_t)i * (size_t)l->r->n_sigmas + (size_t)column];

        if (!is_bias(l->r->parameters[i]) && l->weights[i] > 0 && !isnan(w))
            l->scratch[n++] = w / (double)l->weights[i];
    }
    p->weights = ss_median(l->scratch, n);
    return SS_OK;
}

/* Of a checkpoint, against the first: parameters by their names, which all checkpoints share. */
static void find_weights(const look *l, const ss_run *first, ss_mechanism_point *p)
{
    int n = 0;

    for (int64_t i = 0; i < l->r->n_parameters && l->weights && l->first_weights; i++) {
        if (i < first->n_parameters && !is_bias(l->r->parameters[i]) && l->first_weights[i] > 0 &&
            !isnan(l->weights[i]) && strcmp(l->r->parameters[i], first->parameters[i]) == 0)
            l->scratch[n++] = (double)l->weights[i] / (double)l->first_weights[i];
    }
    p->weights = ss_median(l->scratch, n);
}

/* ---- points ---- */

static ss_mechanism_point nothing_known(double step, int run)
{
    return (ss_mechanism_point){.step = step,
                                .run = run,
                                .first = {-1, -1},
                                .at = {-1, -1},
                                .stream = NAN,
                                .others = NAN,
                                .low = NAN,
                                .high = NAN,
                                .encoder = NAN,
                                .decoder = NAN,
                                .sample = NAN,
                                .picture = NAN,
                                .sigma = NAN,
                                .loss = NAN,
                                .norm = NAN,
                                .rate = NAN,
                                .staleness = NAN,
                                .stale_share = NAN,
                                .stale_parameter = -1,
                                .sample_index = -1,
                                .pictures = NAN,
                                .update = NAN,
                                .weights = NAN};
}

static void look_at(const look *l, ss_mechanism_points *p, int point)
{
    find_bad(l, &p->points[point]);
    find_stream(l, &p->points[point]);
    find_layers(l, p, point);
}

static bool names_attention(const ss_run *r)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (strstr(r->modules[m], "attn") || strstr(r->modules[m], "attention"))
            return true;
    }
    return r->n_layers > 0;
}

static ss_code make_room(ss_run *first, int n, ss_mechanism_points *p, ss_err *e)
{
    p->n_layers = first->n_layers;
    p->names = first->layers;
    p->points = ss_calloc((size_t)n, sizeof *p->points);
    p->layers = ss_calloc((size_t)n * (size_t)p->n_layers, sizeof *p->layers);
    return p->points && p->layers && p->runs ? SS_OK : out_of_memory(first, e);
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The thirds of all noise levels of a training. */
static void cut_levels(look *l)
{
    int n = 0;

    l->low = l->high = NAN;
    for (int c = 0; c < l->r->n_sigmas && l->sigma; c++) {
        for (int s = 0; s < l->r->n_samples && l->r->done[c]; s++) {
            const double v = sigma_of(l, (cell){c, 0, s});

            if (!isnan(v))
                l->scratch[n++] = v;
        }
    }
    if (n < 3)
        return;
    qsort(l->scratch, (size_t)n, sizeof *l->scratch, rising);
    l->low = l->scratch[n / 3];
    l->high = l->scratch[2 * n / 3];
}

static ss_code of_training(ss_run *r, ss_mechanism_points *p, ss_err *e)
{
    look l = {0};
    int *inputs = ss_alloc((size_t)r->n_inputs, sizeof *inputs);
    ss_code rc = inputs ? open_look(r, &l, e) : out_of_memory(r, e);

    p->training = true;
    if (rc == SS_OK)
        rc = make_room(r, r->n_done, p, e);
    if (rc == SS_OK)
        rc = ss_run_training(r, "sigma", &l.sigma, e);
    if (rc == SS_OK)
        rc = ss_run_training(r, "sample_loss", &l.loss, e);
    if (rc != SS_OK)
        goto out;
    cut_levels(&l);
    find_usual(&l);
    for (int i = 0; i < r->n_inputs; i++)
        inputs[i] = i;
    for (int c = 0; c < r->n_sigmas && rc == SS_OK; c++) {
        if (!r->done[c])
            continue;
        p->points[p->n] = nothing_known((double)r->steps[c], 0);
        l.columns = &c;
        l.n_columns = 1;
        l.inputs = inputs;
        l.n_inputs = r->n_inputs;
        look_at(&l, p, p->n);
        rc = find_updates(&l, c, &p->points[p->n], e);
        p->updates |= !isnan(p->points[p->n].staleness) || !isnan(p->points[p->n].update);
        p->n++;
    }
out:
    close_look(&l);
    ss_free(inputs);
    return rc;
}

/* Where a run has looked as all others have; alone, everywhere. a: NULL, of one run. */
static void where_alike(const ss_aligned *a, int at, look *l, int *columns, int *inputs)
{
    l->n_columns = a ? a->n_sigmas : l->r->n_done;
    l->n_inputs = a ? a->n_inputs : l->r->n_inputs;
    for (int i = 0; i < l->n_columns && a; i++)
        columns[i] = ss_align_sigma(a, i, at);
    for (int i = 0; i < l->n_inputs; i++)
        inputs[i] = a ? ss_align_input(a, i, at) : i;
    l->columns = columns;
    l->inputs = inputs;
}

static ss_code of_run(const ss_aligned *a, int at, const float *first_weights,
                      ss_mechanism_points *p, ss_err *e)
{
    ss_run *r = p->runs[at];
    look l = {0};
    int *columns = a ? ss_alloc((size_t)a->n_sigmas, sizeof *columns) : ss_sigma_order(r);
    int *inputs = ss_alloc((size_t)(a ? a->n_inputs : r->n_inputs), sizeof *inputs);
    ss_code rc = columns && inputs ? open_look(r, &l, e) : out_of_memory(r, e);

    if (rc != SS_OK)
        goto out;
    where_alike(a, at, &l, columns, inputs);
    l.first_weights = first_weights ? first_weights : l.weights;
    l.low = l.high = NAN;
    if (l.n_columns > 1 && r->sigmas) {
        l.low = r->sigmas[columns[(l.n_columns - 1) / 3]];
        l.high = r->sigmas[columns[l.n_columns - 1 - (l.n_columns - 1) / 3]];
    }
    look_at(&l, p, at);
    find_weights(&l, p->runs[0], &p->points[at]);
out:
    close_look(&l);
    ss_free(columns);
    ss_free(inputs);
    return rc;
}

/* Weights that are inf or NaN, and limits that the stream of the last point stands at. */
static ss_code ask_not_finite(ss_mechanism_points *p, int run, ss_err *e)
{
    ss_not_finite x;
    ss_code rc = ss_not_finite_find(p->runs[run], &x, e);

    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < p->n; i++) {
        if (p->points[i].run == run && x.n_weights && (!p->training || i == 0)) {
            p->points[i].bad = true;
            p->points[i].first = (ss_site){-1, -1};
        }
    }
    for (int i = 0; i < x.n_limits && !*p->limit && run == p->n_runs - 1; i++) {
        for (int k = 0; k < p->n && !*p->limit; k++) {
            if (p->points[k].run == run && p->points[k].stream == (double)(float)x.limits[i].limit)
                snprintf(p->limit, sizeof p->limit, "%s", x.limits[i].what);
        }
    }
    ss_not_finite_release(&x);
    return SS_OK;
}

/* Runs that have nothing in common are no points, and no error: then p->why says why. */
static ss_code of_runs(const int64_t *steps, ss_mechanism_points *p, ss_err *e)
{
    ss_aligned a = {0};
    ss_err why = {0};
    const float *first;
    const bool alone = p->n_runs == 1;
    ss_code rc = alone ? SS_OK : ss_align(p->runs, p->n_runs, NULL, 0, &a, &why);

    if (rc == SS_SHAPE)
        snprintf(p->why, sizeof p->why, "%.*s", (int)sizeof p->why - 1, why.msg);
    if (rc != SS_OK)
        return rc == SS_SHAPE ? SS_OK : ss_fail(e, why.code, "%s", why.msg);
    rc = make_room(p->runs[0], p->n_runs, p, e);
    if (rc == SS_OK)
        rc = ss_run_weights(p->runs[0], "rms", &first, e);
    for (int i = 0; i < p->n_runs && rc == SS_OK; i++) {
        p->points[i] = nothing_known(steps ? (double)steps[i] : NAN, i);
        rc = of_run(alone ? NULL : &a, i, first, p, e);
        p->n++;
    }
    ss_align_release(&a);
    return rc;
}

/* The remedy of a training's plan. */
static double clamp_of(const ss_run *r)
{
    json_t *plan = json_loads(r->plan, 0, NULL);
    const json_t *remedies = json_object_get(json_object_get(plan, "model"), "remedies");
    const json_t *clamp = json_object_get(remedies, "clamp");
    const double value = json_is_number(clamp) ? json_number_value(clamp) : NAN;

    json_decref(plan);
    return value;
}

/* Sorts runs and their steps, lowest first; few of them. */
static void sort_runs(ss_run **runs, int64_t *steps, int n)
{
    for (int i = 1; i < n; i++) {
        ss_run *r = runs[i];
        const int64_t step = steps[i];
        int at = i;

        for (; at > 0 && steps[at - 1] > step; at--) {
            runs[at] = runs[at - 1];
            steps[at] = steps[at - 1];
        }
        runs[at] = r;
        steps[at] = step;
    }
}

ss_code ss_mechanism_points_find(ss_run *const *runs, const int64_t *steps, int n,
                                 ss_mechanism_points *p, ss_err *e)
{
    int64_t *sorted = ss_alloc((size_t)n, sizeof *sorted);
    ss_code rc;

    *p = (ss_mechanism_points){.n_runs = n};
    if (!sorted || !(p->runs = ss_alloc((size_t)n, sizeof *p->runs))) {
        ss_free(sorted);
        return out_of_memory(runs[0], e);
    }
    memcpy(p->runs, runs, (size_t)n * sizeof *p->runs);
    for (int i = 0; i < n && steps; i++)
        sorted[i] = steps[i];
    if (steps)
        sort_runs(p->runs, sorted, n);
    p->clamp = clamp_of(p->runs[0]);
    p->attends = names_attention(p->runs[0]);
    rc = n == 1 && runs[0]->steps ? of_training(p->runs[0], p, e)
                                  : of_runs(steps ? sorted : NULL, p, e);
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ask_not_finite(p, i, e);
    ss_free(sorted);
    if (rc != SS_OK)
        ss_mechanism_points_release(p);
    return rc;
}

void ss_mechanism_points_release(ss_mechanism_points *p)
{
    ss_free(p->points);
    ss_free(p->layers);
    ss_free(p->runs);
    *p = (ss_mechanism_points){0};
}

const ss_run *ss_mechanism_run(const ss_mechanism_points *p, int point)
{
    return p->runs[p->points[point].run];
}
