/* blobs.c - see blobs.h */
#include "analyze/one/blobs.h"

#include "analyze/one/stages.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sample_size.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Maps of a module that are read, then measured at the same time: as many as AT_ONCE, or as the
 * memory allows; of videos, the frames of whole samples. */
enum { AT_ONCE = 16, AT_ONCE_BYTES = 64 << 20 };

/* Result of measuring one map. */
typedef struct {
    double values[SS_N_BLOBS];
    ss_code rc;
    ss_err e;
} measured;

/* Room for one module. */
typedef struct {
    int frames;       /* maps in a sample */
    int at_once;      /* samples */
    float *x, *first; /* [at_once][frames] maps, and the first sample of all */
    double *sum;      /* [frames] of all maps at a noise level */
    measured *result; /* [at_once][frames] */
    bool differs;     /* some sample is not as the first, or there is no other */
} workspace;

static size_t value_at(const ss_run *r, const ss_blob_row *row, int input, int sigma, int map)
{
    const size_t i = (size_t)input, s = (size_t)sigma, n = (size_t)map;

    return ((i * (size_t)r->n_sigmas + s) * (size_t)row->n_maps + n) * SS_N_BLOBS;
}

float *ss_blob_values(const ss_run *r, const ss_blob_row *row, int input, int sigma, int map)
{
    return row->values + value_at(r, row, input, sigma, map);
}

/* Finds the shape of a module's maps. False where it is a vector for each sample, or too large. */
static bool find_shape(const ss_run *r, const ss_run_shape *s, ss_blob_row *row)
{
    ss_map_shape *map = &row->shape;
    ss_sample_size size;

    if (s->rank < 2 || s->n < 1 || s->n > INT_MAX)
        return false;
    map->channels = (int)s->dim[s->rank - 1];
    map->positions = (int)(s->n / map->channels);
    row->n_maps = r->n_samples;
    if (ss_sample_size_of(s->rank, s->dim, &size)) {
        map->h = size.height;
        map->w = size.width;
        map->positions = (int)ss_sample_area(size);
        row->frames = size.frames;
        if (__builtin_mul_overflow(r->n_samples, ss_sample_frames(size), &row->n_maps))
            return false;
    }
    return map->positions > 1;
}

static bool is_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

/* Adds up the maps of a noise level, each frame by itself, for the cosine. n: values of a map. */
static ss_code sum_maps(ss_run *r, const char *set, int sigma, int64_t n, workspace *ws, ss_err *e)
{
    memset(ws->sum, 0, (size_t)ws->frames * (size_t)n * sizeof *ws->sum);
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < r->n_samples; k++) {
            ss_code rc = ss_run_picture(r, set, i, sigma, k, ws->x, e);

            if (rc != SS_OK)
                return rc;
            for (int f = 0; f < ws->frames; f++) {
                const bool counts = is_finite(ws->x + f * n, n);

                for (int64_t j = f * n; j < (f + 1) * n && counts; j++)
                    ws->sum[j] += ws->x[j];
            }
        }
    }
    return SS_OK;
}

/* Measures the samples of a noise level from the k-th on, counted over inputs and samples. */
static ss_code measure_some(ss_run *r, const char *set, int sigma, int k, int count, workspace *ws,
                            ss_blob_row *row, ss_err *e)
{
    const int64_t n = (int64_t)row->shape.positions * row->shape.channels, one = ws->frames * n;
    measured *const m = ws->result;

    for (int i = 0; i < count; i++) {
        ss_code rc = ss_run_picture(r, set, (k + i) / r->n_samples, sigma, (k + i) % r->n_samples,
                                    ws->x + i * one, e);

        if (rc != SS_OK)
            return rc;
        ws->differs |= memcmp(ws->first, ws->x + i * one, (size_t)one * sizeof *ws->x) != 0;
    }
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count * ws->frames; i++) {
        const float *x = ws->x + i * n;

        m[i].rc = ss_blob_measure(x, &row->shape, m[i].values, &m[i].e);
        m[i].values[SS_BLOB_COSINE] = ss_blob_cosine(x, ws->sum + i % ws->frames * n, n);
    }
    for (int i = 0; i < count * ws->frames; i++) {
        const int at = k * ws->frames + i; /* of all maps of the noise level */
        float *to = ss_blob_values(r, row, at / row->n_maps, sigma, at % row->n_maps);

        if (m[i].rc != SS_OK) {
            *e = m[i].e;
            return m[i].rc;
        }
        for (int b = 0; b < SS_N_BLOBS; b++)
            to[b] = (float)m[i].values[b];
    }
    return SS_OK;
}

static ss_code measure_level(ss_run *r, const char *set, int sigma, workspace *ws, ss_blob_row *row,
                             ss_err *e)
{
    const int64_t n = (int64_t)row->shape.positions * row->shape.channels;
    const int all = r->n_inputs * r->n_samples;
    ss_code rc = sum_maps(r, set, sigma, n, ws, e);

    for (int k = 0; k < all && rc == SS_OK; k += ws->at_once)
        rc = measure_some(r, set, sigma, k, all - k < ws->at_once ? all - k : ws->at_once, ws, row,
                          e);
    return rc;
}

/* Number of samples of `values` values in `frames` maps that are measured at once. */
static int samples_at_once(int frames, size_t values)
{
    const size_t fit = AT_ONCE_BYTES / (values * sizeof(float)), most = AT_ONCE / (size_t)frames;
    const size_t n = fit < most ? fit : most;

    return n < 1 ? 1 : (int)n;
}

/* Fills row->values; *varies: whether the maps depend on anything. */
static ss_code measure_module(ss_run *r, const char *set, const int *order, ss_blob_row *row,
                              bool *varies, ss_err *e)
{
    const int frames = row->frames ? row->frames : 1;
    const size_t n = (size_t)frames * (size_t)row->shape.positions * (size_t)row->shape.channels;
    const size_t values = value_at(r, row, r->n_inputs, 0, 0);
    const int at_once = samples_at_once(frames, n);
    workspace ws = {
        .frames = frames,
        .at_once = at_once,
        .x = ss_alloc((size_t)at_once * n, sizeof *ws.x),
        .first = ss_alloc(n, sizeof *ws.first),
        .sum = ss_alloc(n, sizeof *ws.sum),
        .result = ss_alloc((size_t)at_once * (size_t)frames, sizeof *ws.result),
        .differs = r->n_done * r->n_inputs * r->n_samples == 1, /* a single one says nothing */
    };
    ss_code rc = SS_OK;

    row->values = ss_alloc(values, sizeof *row->values);
    if (!ws.x || !ws.first || !ws.sum || !ws.result || !row->values)
        rc =
            ss_fail(e, SS_NOMEM, "%s: maps of %s: out of memory", r->path, r->modules[row->module]);
    for (size_t i = 0; i < values && rc == SS_OK; i++)
        row->values[i] = NAN;
    if (rc == SS_OK && r->n_done)
        rc = ss_run_picture(r, set, 0, order[0], 0, ws.first, e);
    for (int k = 0; k < r->n_done && rc == SS_OK; k++)
        rc = measure_level(r, set, order[k], &ws, row, e);
    *varies = ws.differs;
    ss_free(ws.x);
    ss_free(ws.first);
    ss_free(ws.sum);
    ss_free(ws.result);
    return rc;
}

/* Counts the maps that could be measured, and those of them that are degenerate. */
static void count_maps(const ss_run *r, const ss_blob_row *row, int input, int sigma, int *n,
                       int *n_degenerate)
{
    *n = *n_degenerate = 0;
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < row->n_maps && (input == SS_ALL || input == i); k++) {
            const float *v = ss_blob_values(r, row, i, sigma, k);

            *n += !isnan(v[SS_BLOB_SPREAD]); /* which every map has that can be measured */
            *n_degenerate += ss_blob_degenerate(v, &row->shape);
        }
    }
}

bool ss_blob_row_degenerate(const ss_run *r, const ss_blob_row *row, int input, int sigma)
{
    int n, n_degenerate;

    count_maps(r, row, input, sigma, &n, &n_degenerate);
    return n > 0 && 2 * n_degenerate >= n;
}

double ss_blob_mean(const ss_run *r, const ss_blob_row *row, ss_blob metric, int input, int sigma)
{
    double sum = 0;
    int n = 0;

    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < row->n_maps && (input == SS_ALL || input == i); k++) {
            const float v = ss_blob_values(r, row, i, sigma, k)[metric];

            if (!isnan(v)) {
                sum += v;
                n++;
            }
        }
    }
    return n ? sum / n : NAN;
}

static void judge(const ss_run *r, const int *order, ss_blob_row *row)
{
    row->from = -1;
    for (int k = 0; k < r->n_done; k++) {
        const bool is = ss_blob_row_degenerate(r, row, SS_ALL, order[k]);

        row->n_degenerate += is;
        row->from = !is ? -1 : row->from < 0 ? order[k] : row->from;
    }
}

/* 0 becomes degenerate, 1 always is, 2 is at some noise levels, 3 never. */
static int verdict(const ss_run *r, const ss_blob_row *row)
{
    if (row->from >= 0)
        return row->n_degenerate == r->n_done;
    return row->n_degenerate ? 2 : 3;
}

/* Sorts by verdict, then pictures before tokens; stable. There are only eight kinds. */
static ss_code sort_rows(const ss_run *r, ss_blobs *b, ss_err *e)
{
    ss_blob_row *sorted = ss_alloc((size_t)b->n, sizeof *sorted);
    int n = 0;

    if (!sorted)
        return ss_no_memory(e, r->path);
    for (int kind = 0; kind < 8; kind++) {
        for (int i = 0; i < b->n; i++) {
            if (2 * verdict(r, &b->rows[i]) + !b->rows[i].shape.h == kind)
                sorted[n++] = b->rows[i];
        }
    }
    ss_free(b->rows);
    b->rows = sorted;
    return SS_OK;
}

static ss_code add_module(ss_run *r, int module, const int *order, ss_blobs *b, ss_err *e)
{
    char *set = ss_run_activation_set(r->modules[module]);
    ss_blob_row row = {.module = module, .from = -1};
    ss_run_shape shape;
    bool varies = false;
    ss_code rc = SS_OK;

    if (!set)
        return ss_no_memory(e, r->path);
    if (!ss_run_has_pictures(r, set, &shape))
        goto out;
    if (find_shape(r, &shape, &row))
        rc = measure_module(r, set, order, &row, &varies, e);
    if (rc == SS_OK && varies) {
        judge(r, order, &row);
        b->rows[b->n++] = row;
        row.values = NULL; /* now the list's */
    } else {
        b->n_left_out++;
    }
out:
    ss_free(row.values);
    ss_free(set);
    return rc;
}

ss_code ss_blobs_find(ss_run *r, const ss_sites *sites, ss_blobs *b, ss_err *e)
{
    int *order = ss_sigma_order(r);
    bool *seen = ss_calloc((size_t)r->n_modules, sizeof *seen);
    ss_progress p;
    ss_code rc = SS_OK;

    *b = (ss_blobs){.lowest = -1, .highest = -1};
    b->rows = ss_calloc((size_t)r->n_modules, sizeof *b->rows);
    if (!order || !seen || !b->rows)
        rc = ss_no_memory(e, r->path);
    if (rc == SS_OK && r->n_done) {
        b->lowest = order[0];
        b->highest = order[r->n_done - 1];
    }
    for (int i = 0; i < sites->n && rc == SS_OK; i++) { /* once for each module */
        int dumped;

        if ((rc = ss_fold_dumped(r, sites->site[i], &dumped, e)) == SS_OK && dumped >= 0)
            seen[dumped] = true;
    }
    ss_progress_begin(&p, "maps", r->n_modules);
    for (int m = 0; m < r->n_modules && rc == SS_OK; m++) {
        if (seen[m])
            rc = add_module(r, m, order, b, e);
        ss_progress_step(&p, m + 1, r->modules[m]);
    }
    ss_progress_end(&p);
    if (rc == SS_OK)
        rc = sort_rows(r, b, e);
    ss_free(order);
    ss_free(seen);
    if (rc != SS_OK)
        ss_blobs_release(b);
    return rc;
}

void ss_blobs_release(ss_blobs *b)
{
    for (int i = 0; i < b->n; i++)
        ss_free(b->rows[i].values);
    ss_free(b->rows);
    *b = (ss_blobs){0};
}

static char *shape_text(const ss_blob_row *row, char *out, size_t n)
{
    const ss_map_shape *s = &row->shape;

    if (row->frames)
        snprintf(out, n, "%dx%dx%dx%d", row->frames, s->h, s->w, s->channels);
    else if (s->h)
        snprintf(out, n, "%dx%dx%d", s->h, s->w, s->channels);
    else
        snprintf(out, n, "%dx%d", s->positions, s->channels);
    return out;
}

static char *when_text(const ss_run *r, const ss_blob_row *row, char *out, size_t n)
{
    if (row->n_degenerate == 0)
        snprintf(out, n, "never");
    else if (row->n_degenerate == r->n_done)
        snprintf(out, n, "always");
    else if (row->from >= 0)
        snprintf(out, n, "from %.3g", r->sigmas[row->from]);
    else
        snprintf(out, n, "at %d of %d", row->n_degenerate, r->n_done);
    return out;
}

/* Columns and cells of metrics, each at the lowest and the highest noise level. */
static void metric_columns(const ss_blob *metrics, int n, ss_table *t)
{
    char name[32];

    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "%s low", ss_blob_name(metrics[k]));
        ss_table_column(t, name, SS_COL_NUMBER, "%.2f");
        snprintf(name, sizeof name, "%s high", ss_blob_name(metrics[k]));
        ss_table_column(t, name, SS_COL_NUMBER, "%.2f");
    }
}

static void metric_cells(const ss_run *r, const ss_blobs *b, const ss_blob_row *row,
                         const ss_blob *metrics, int n, ss_table *t)
{
    for (int k = 0; k < n; k++) {
        ss_table_number(t, ss_blob_mean(r, row, metrics[k], SS_ALL, b->lowest));
        ss_table_number(t, ss_blob_mean(r, row, metrics[k], SS_ALL, b->highest));
    }
}

ss_code ss_blobs_table(const ss_run *r, const ss_blobs *b, int top, ss_table *t, ss_err *e)
{
    static const ss_blob metrics[] = {SS_BLOB_RANK, SS_BLOB_LOW, SS_BLOB_COSINE};
    int n_degenerate = 0;
    char text[64];
    ss_code rc = ss_table_init(t, "blobs", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    ss_table_column(t, "map", SS_COL_TEXT, NULL);
    ss_table_column(t, "degenerate", SS_COL_TEXT, NULL);
    metric_columns(metrics, 3, t);
    for (int i = 0; i < b->n; i++) {
        const ss_blob_row *row = &b->rows[i];

        n_degenerate += row->from >= 0;
        if (i >= top)
            continue;
        ss_table_row(t);
        ss_fold_module(t, r, row->module);
        ss_table_text(t, shape_text(row, text, sizeof text));
        ss_table_text(t, when_text(r, row, text, sizeof text));
        metric_cells(r, b, row, metrics, 3, t);
    }
    if (b->n)
        ss_table_note(
            t,
            "%d of %d modules degenerate at sigma %g; effective rank, low-frequency share, "
            "cosine to other maps, at sigma %g and %g",
            n_degenerate, b->n, r->sigmas[b->highest], r->sigmas[b->lowest], r->sigmas[b->highest]);
    return SS_OK;
}

ss_code ss_blob_shapes_table(const ss_run *r, const ss_blobs *b, int top, ss_table *t, ss_err *e)
{
    static const ss_blob metrics[] = {SS_BLOB_TOP_CHANNEL, SS_BLOB_TOP_POSITIONS, SS_BLOB_SPREAD,
                                      SS_BLOB_SQUARENESS};
    ss_code rc = ss_table_init(t, "blob shapes", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    metric_columns(metrics, 4, t);
    for (int i = 0; i < b->n && i < top; i++) {
        ss_table_row(t);
        ss_fold_module(t, r, b->rows[i].module);
        metric_cells(r, b, &b->rows[i], metrics, 4, t);
    }
    ss_table_note(t,
                  "energy in the top channel, in the top 1 %% of positions, how even positions "
                  "are, squareness; %d dumps have no maps",
                  b->n_left_out);
    return SS_OK;
}

/* One row: a noise level and an input. */
static void add_level(const ss_run *r, const ss_blobs *b, int input, int sigma, ss_table *t)
{
    static const ss_blob metrics[] = {SS_BLOB_RANK, SS_BLOB_LOW, SS_BLOB_COSINE};
    int degenerate[SS_N_STAGES + 1] = {0}, n[3] = {0};
    double sum[3] = {0};

    for (int i = 0; i < b->n; i++) {
        const ss_blob_row *row = &b->rows[i];
        const ss_stage stage = ss_stage_of(r->modules[row->module]);

        degenerate[stage] += ss_blob_row_degenerate(r, row, input, sigma);
        for (int k = 0; k < 3 && stage == SS_STAGE_DECODER && row->shape.h; k++) {
            const double v = ss_blob_mean(r, row, metrics[k], input, sigma);

            if (!isnan(v)) {
                sum[k] += v;
                n[k]++;
            }
        }
    }
    ss_table_row(t);
    ss_table_number(t, r->sigmas[sigma]);
    ss_table_text(t, r->inputs[input]);
    for (int k = 0; k < SS_N_STAGES; k++)
        ss_table_number(t, degenerate[k]);
    for (int k = 0; k < 3; k++)
        ss_table_number(t, n[k] ? sum[k] / n[k] : NAN);
}

ss_code ss_blob_levels_table(const ss_run *r, const ss_blobs *b, ss_table *t, ss_err *e)
{
    static const char *const means[] = {"decoder rank", "decoder lf", "decoder cos"};
    int n[SS_N_STAGES + 1] = {0};
    int *order = ss_sigma_order(r);
    ss_code rc = order ? ss_table_init(t, "blobs by sigma", e) : ss_no_memory(e, r->path);

    if (rc != SS_OK)
        goto out;
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    for (int k = 0; k < SS_N_STAGES; k++)
        ss_table_column(t, ss_stage_name((ss_stage)k), SS_COL_NUMBER, "%.0f");
    for (int k = 0; k < 3; k++)
        ss_table_column(t, means[k], SS_COL_NUMBER, "%.2f");
    for (int i = 0; i < b->n; i++)
        n[ss_stage_of(r->modules[b->rows[i].module])]++;
    for (int k = 0; k < r->n_done; k++) {
        for (int i = 0; i < r->n_inputs; i++)
            add_level(r, b, i, order[k], t);
    }
    ss_table_note(t,
                  "how many modules are degenerate, of %d, %d, %d in encoder, middle, decoder; "
                  "means over the decoder's pictures",
                  n[0], n[1], n[2]);
out:
    ss_free(order);
    return rc;
}
