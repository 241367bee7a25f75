/* tokens.c - see tokens.h */
#include "analyze/one/tokens.h"

#include "analyze/math/median.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sample_size.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for one map. */
typedef struct {
    float *x;              /* [frame][position][channel] of a sample */
    double *norm, *sorted; /* [position] */
    int *largest;          /* [map] the position with the largest norm, -1 without an outlier */
} workspace;

/* False where a sample is a vector, or too large. */
static bool shape_of(const ss_run_shape *s, ss_token_row *row)
{
    ss_sample_size size;

    if (s->rank < 2 || s->n > INT_MAX || s->n == 0)
        return false;
    row->channels = s->dim[s->rank - 1];
    row->positions = s->n / row->channels;
    if (ss_sample_size_of(s->rank, s->dim, &size)) {
        row->frames = size.frames;
        row->h = size.height;
        row->w = size.width;
        row->positions = ss_sample_area(size);
    }
    return row->positions >= SS_TOKEN_MIN && row->channels >= SS_TOKEN_MIN;
}

/* Norms of all positions. False where a value is not finite. */
static bool find_norms(const ss_token_row *row, const float *map, workspace *ws)
{
    for (int64_t p = 0; p < row->positions; p++) {
        const float *x = map + p * row->channels;
        double sum = 0;

        for (int64_t c = 0; c < row->channels; c++)
            sum += (double)x[c] * x[c];
        if (!isfinite(sum))
            return false;
        ws->norm[p] = ws->sorted[p] = sqrt(sum);
    }
    return true;
}

/* The channel that has most of a position's norm. */
static void find_channel(ss_token_row *row, const float *x)
{
    row->channel = 0;
    for (int64_t c = 1; c < row->channels; c++) {
        if (fabsf(x[c]) > fabsf(x[row->channel]))
            row->channel = c;
    }
    row->of_norm = (double)x[row->channel] * x[row->channel] / (row->norm * row->norm);
}

/* The place of a map. */
typedef struct {
    int input, sigma, sample, frame;
} place;

/* Notes a map x, number `map`. */
static void add_map(ss_token_row *row, place at, int map, const float *x, workspace *ws)
{
    int64_t most = 0, n_over = 0;

    ws->largest[map] = -1;
    if (!find_norms(row, x, ws))
        return;
    const double usual = ss_median(ws->sorted, (int)row->positions);

    if (!(usual > 0))
        return;
    row->n_maps++;
    for (int64_t p = 0; p < row->positions; p++) {
        if (ws->norm[p] > ws->norm[most])
            most = p;
        n_over += ws->norm[p] >= SS_TOKEN_OUTLIER * usual;
    }
    if (n_over) {
        row->n_with++;
        ws->largest[map] = (int)most;
        row->most = n_over > row->most ? n_over : row->most;
    }
    if (!(ws->norm[most] / usual <= row->ratio)) {
        row->ratio = ws->norm[most] / usual;
        row->norm = ws->norm[most];
        row->position = most;
        row->sigma = at.sigma;
        row->input = at.input;
        row->sample = at.sample;
        row->frame = at.frame;
        find_channel(row, x + most * row->channels);
    }
}

static ss_code measure(ss_run *r, const char *set, ss_token_row *row, ss_err *e)
{
    const int frames = row->frames ? row->frames : 1;
    const int64_t one = row->positions * row->channels;
    const size_t samples = (size_t)r->n_sigmas * (size_t)r->n_inputs * (size_t)r->n_samples;
    workspace ws = {
        .x = ss_alloc((size_t)(frames * one), sizeof *ws.x),
        .norm = ss_alloc((size_t)row->positions, sizeof *ws.norm),
        .sorted = ss_alloc((size_t)row->positions, sizeof *ws.sorted),
        .largest = ss_alloc(samples * (size_t)frames, sizeof *ws.largest),
    };
    int map = 0;
    ss_code rc = SS_OK;

    if (!ws.x || !ws.norm || !ws.sorted || !ws.largest)
        rc = ss_fail(e, SS_NOMEM, "%s: tokens of %s: out of memory", r->path,
                     r->modules[row->module]);
    for (int k = 0; k < r->n_sigmas && rc == SS_OK; k++) {
        for (int i = 0; i < r->n_inputs * r->n_samples && r->done[k] && rc == SS_OK; i++) {
            place at = {.input = i / r->n_samples, .sigma = k, .sample = i % r->n_samples};

            rc = ss_run_picture(r, set, at.input, k, at.sample, ws.x, e);
            for (; at.frame < frames && rc == SS_OK; at.frame++)
                add_map(row, at, map++, ws.x + at.frame * one, &ws);
        }
    }
    for (int i = 0; i < map && rc == SS_OK; i++)
        row->n_same += ws.largest[i] >= 0 && ws.largest[i] == row->position;
    ss_free(ws.x);
    ss_free(ws.norm);
    ss_free(ws.sorted);
    ss_free(ws.largest);
    return rc;
}

static ss_code add_module(ss_run *r, int module, ss_tokens *t, ss_err *e)
{
    char *set = ss_run_activation_set(r->modules[module]);
    ss_token_row row = {.module = module, .ratio = NAN};
    ss_run_shape shape;
    ss_code rc = SS_OK;

    if (!set)
        return ss_no_memory(e, r->path);
    if (ss_run_has_pictures(r, set, &shape) && shape_of(&shape, &row)) {
        rc = measure(r, set, &row, e);
        t->n_modules += row.n_maps > 0;
        if (rc == SS_OK && row.n_with)
            t->rows[t->n++] = row;
    }
    ss_free(set);
    return rc;
}

static int larger_first(const void *a, const void *b)
{
    const ss_token_row *x = a, *y = b;

    if (x->ratio != y->ratio)
        return x->ratio < y->ratio ? 1 : -1;
    return (x->module > y->module) - (x->module < y->module);
}

ss_code ss_tokens_find(ss_run *r, const ss_sites *sites, ss_tokens *t, ss_err *e)
{
    bool *seen = ss_calloc((size_t)r->n_modules, sizeof *seen);
    ss_progress p;
    ss_code rc = SS_OK;

    *t = (ss_tokens){.rows = ss_calloc((size_t)r->n_modules, sizeof *t->rows)};
    if (!seen || !t->rows)
        rc = ss_no_memory(e, r->path);
    for (int i = 0; i < sites->n && rc == SS_OK; i++) { /* once for each module */
        int dumped;

        if ((rc = ss_fold_dumped(r, sites->site[i], &dumped, e)) == SS_OK && dumped >= 0)
            seen[dumped] = true;
    }
    ss_progress_begin(&p, "tokens", r->n_modules);
    for (int m = 0; m < r->n_modules && rc == SS_OK; m++) {
        if (seen[m])
            rc = add_module(r, m, t, e);
        ss_progress_step(&p, m + 1, r->modules[m]);
    }
    ss_progress_end(&p);
    if (rc == SS_OK && t->n)
        qsort(t->rows, (size_t)t->n, sizeof *t->rows, larger_first);
    ss_free(seen);
    if (rc != SS_OK)
        ss_tokens_release(t);
    return rc;
}

void ss_tokens_release(ss_tokens *t)
{
    ss_free(t->rows);
    *t = (ss_tokens){0};
}

char *ss_token_position(const ss_token_row *row, char *out, size_t n)
{
    char frame[16] = "";

    if (row->frames)
        snprintf(frame, sizeof frame, "%d:", row->frame);
    if (row->h)
        snprintf(out, n, "%s%lld,%lld", frame, (long long)(row->position / row->w),
                 (long long)(row->position % row->w));
    else
        snprintf(out, n, "%lld", (long long)row->position);
    return out;
}

ss_code ss_tokens_table(const ss_run *r, const ss_tokens *k, int top, ss_table *t, ss_err *e)
{
    bool videos = false;
    char text[64];
    ss_code rc = ss_table_init(t, "outlier tokens", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    ss_table_column(t, "map", SS_COL_TEXT, NULL);
    ss_table_column(t, "position", SS_COL_TEXT, NULL);
    ss_table_column(t, "norm", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "most", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "share", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "same", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "channel", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "of norm", SS_COL_NUMBER, "%.2f");
    for (int i = 0; i < k->n && i < top; i++) {
        const ss_token_row *row = &k->rows[i];

        videos |= row->frames > 0;
        ss_table_row(t);
        ss_fold_module(t, r, row->module);
        if (row->frames)
            snprintf(text, sizeof text, "%dx%dx%dx%lld", row->frames, row->h, row->w,
                     (long long)row->channels);
        else if (row->h)
            snprintf(text, sizeof text, "%dx%dx%lld", row->h, row->w, (long long)row->channels);
        else
            snprintf(text, sizeof text, "%lldx%lld", (long long)row->positions,
                     (long long)row->channels);
        ss_table_text(t, text);
        ss_table_text(t, ss_token_position(row, text, sizeof text));
        ss_table_number(t, row->norm);
        ss_table_number(t, row->ratio);
        ss_table_number(t, r->sigmas[row->sigma]);
        ss_table_text(t, r->inputs[row->input]);
        ss_table_number(t, (double)row->most);
        ss_table_number(t, (double)row->n_with / row->n_maps);
        ss_table_number(t, (double)row->n_same / row->n_with);
        ss_table_number(t, (double)row->channel);
        ss_table_number(t, row->of_norm);
    }
    if (ss_run_is_text(r))
        ss_table_drop(t, "sigma");
    ss_table_note(t,
                  "in %d of %d dumped modules some position's norm over channels reaches %d times "
                  "the median of the positions (%srow,column of a map); most: how many in one map; "
                  "share of the maps that "
                  "have one; same: of those, the share with the largest at this position; the "
                  "channel that is largest there, and its share of the squared norm",
                  k->n, k->n_modules, SS_TOKEN_OUTLIER, videos ? "frame:" : "");
    return SS_OK;
}
