/* run_column.c - everything recorded at one noise level, in memory
 *
 * Each data set has a buffer [outer][inner] (run_layout.h), which the setters fill and the
 * writing thread spreads over the file.
 */
#include "base/mem.h"
#include "runfile/run_writer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void fill_nan(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = NAN;
}

static const ss_run_set *channel_set(const ss_run_layout *l, int i)
{
    return &l->sets[l->at.channels + 2 * i];
}

static bool alloc_sets(ss_run_column *col)
{
    const ss_run_layout *l = &col->w->layout;
    size_t n = l->at.dumps >= 0 ? (size_t)l->at.dumps : l->n_sets;

    for (size_t i = 0; i < n; i++) {
        const ss_run_set *s = &l->sets[i];
        int64_t values = s->outer * s->inner;

        col->data[i] = ss_calloc((size_t)values, ss_run_value_bytes(s->type));
        if (!col->data[i])
            return false;
        if (s->type == SS_SET_F32)
            fill_nan(col->data[i], values);
    }
    for (int i = 0; i < l->n_channels; i++) {
        size_t values = (size_t)(channel_set(l, i)->outer * channel_set(l, i)->inner);

        col->squares[i] = ss_calloc(values, sizeof **col->squares);
        col->counts[i] = ss_calloc(values, sizeof **col->counts);
        if (!col->squares[i] || !col->counts[i])
            return false;
    }
    return true;
}

ss_code ss_run_column_new(ss_run_writer *w, int s, ss_run_column **out, ss_err *e)
{
    const ss_run_layout *l = &w->layout;
    size_t rows = (size_t)l->n_modules * SS_N_PORTS * (size_t)l->n_inputs;
    ss_run_column *col = ss_calloc(1, sizeof *col);

    assert(s >= 0 && s < l->n_sigmas);
    *out = NULL;
    if (col) {
        col->w = w;
        col->sigma = s;
        col->job = ss_calloc(1, sizeof *col->job);
        col->data = ss_calloc(l->n_sets, sizeof *col->data);
        col->seen = ss_calloc(rows, 1);
        col->squares = ss_calloc((size_t)l->n_channels, sizeof *col->squares);
        col->counts = ss_calloc((size_t)l->n_channels, sizeof *col->counts);
    }
    if (!col || !col->job || !col->data || !col->seen || !col->squares || !col->counts ||
        !alloc_sets(col)) {
        ss_run_column_free(col);
        return ss_fail(e, SS_NOMEM, "%s: no memory for the results of a noise level", w->path);
    }
    col->job->column = col;
    *out = col;
    return SS_OK;
}

void ss_run_column_free(ss_run_column *col)
{
    if (!col)
        return;
    for (size_t i = 0; col->data && i < col->w->layout.n_sets; i++)
        ss_free(col->data[i]);
    for (int i = 0; i < col->w->layout.n_channels; i++) {
        if (col->squares)
            ss_free(col->squares[i]);
        if (col->counts)
            ss_free(col->counts[i]);
    }
    ss_free(col->data);
    ss_free(col->seen);
    ss_free(col->squares);
    ss_free(col->counts);
    ss_free(col->job);
    ss_free(col);
}

static int64_t module_row(const ss_run_layout *l, int module, ss_port port, int input)
{
    assert(module >= 0 && module < l->n_modules && (int)port >= 0 && port < SS_N_PORTS &&
           input >= 0 && input < l->n_inputs);
    return ((int64_t)module * SS_N_PORTS + (int)port) * l->n_inputs + input;
}

void ss_run_put_stats(ss_run_column *col, int module, ss_port port, int input, int sample,
                      const ss_stats *s)
{
    const ss_run_layout *l = &col->w->layout;
    const int64_t row = module_row(l, module, port, input), at = row * l->n_samples + sample;
    void **stat = col->data + l->at.stats;

    assert(sample >= 0 && sample < l->n_samples);
#define X(name) ((float *)*stat++)[at] = s->name;
    SS_STATS(X)
#undef X
    ((uint64_t *)col->data[l->at.nonfinite])[at] = s->nonfinite;
    col->seen[row] = 1;
    if (l->at.hist < 0)
        return;

    uint64_t *counts = (uint64_t *)col->data[l->at.hist] + row * SS_N_EXPONENTS;
    for (int i = 0; i < SS_N_EXPONENTS; i++)
        counts[i] += s->exponent[i];
}

void ss_run_put_attention(ss_run_column *col, int layer, int head, int input, int sample,
                          const ss_attention_stats *s)
{
    const ss_run_layout *l = &col->w->layout;
    const int64_t at =
        (((int64_t)layer * l->n_heads + head) * l->n_inputs + input) * l->n_samples + sample;
    void **stat = col->data + l->at.attention;

    assert(layer >= 0 && layer < l->n_layers && head >= 0 && head < l->n_heads && input >= 0 &&
           input < l->n_inputs && sample >= 0 && sample < l->n_samples);
#define X(name) ((float *)*stat++)[at] = s->name;
    SS_ATTENTION_STATS(X)
#undef X
    for (int k = 0; k < 2 && l->at.frames >= 0 && s->frames; k++) {
        assert(s->frames <= l->n_frames);
        memcpy((float *)col->data[l->at.frames + k] + at * l->n_frames,
               s->frame_mass + k * s->frames, (size_t)s->frames * sizeof *s->frame_mass);
    }
}

/* Finds where a sample begins in the buffer of a set [input][sigma][sample, ...], and its values
 * *n. */
static float *sample_of(ss_run_column *col, int set, int input, int sample, int64_t *n)
{
    const ss_run_layout *l = &col->w->layout;
    const ss_run_set *s = &l->sets[set];

    assert(set >= 0 && input >= 0 && input < l->n_inputs && sample >= 0 && sample < l->n_samples);
    *n = s->inner / l->n_samples;
    return (float *)col->data[set] + input * s->inner + sample * *n;
}

void ss_run_put_x(ss_run_column *col, int input, int sample, const float *x)
{
    int64_t n;
    float *to = sample_of(col, col->w->layout.at.x, input, sample, &n);

    memcpy(to, x, (size_t)n * sizeof *x);
}

void ss_run_put_denoised(ss_run_column *col, int input, int sample, const float *x)
{
    int64_t n;
    float *to = sample_of(col, col->w->layout.at.denoised, input, sample, &n);

    memcpy(to, x, (size_t)n * sizeof *x);
}

void ss_run_put_psd(ss_run_column *col, int input, int sample, const double *psd)
{
    int64_t n;
    float *to = sample_of(col, col->w->layout.at.psd, input, sample, &n);

    for (int64_t i = 0; i < n; i++)
        to[i] = (float)psd[i];
}

void ss_run_put_loss(ss_run_column *col, int input, int sample, double loss)
{
    int64_t n;

    *sample_of(col, col->w->layout.at.loss, input, sample, &n) = (float)loss;
}

void ss_run_put_step(ss_run_column *col, const ss_run_step *s)
{
    void **to = col->data + col->w->layout.at.step;

#define X(name) *(float *)*to++ = s->name;
    SS_RUN_TRAINING(X)
#undef X
}

void ss_run_put_level(ss_run_column *col, int sample, double sigma, double loss)
{
    const ss_run_layout *l = &col->w->layout;

    assert(sample >= 0 && sample < l->n_samples);
    ((float *)col->data[l->at.level])[sample] = (float)sigma;
    ((float *)col->data[l->at.level + 1])[sample] = (float)loss;
}

void ss_run_put_bin(ss_run_column *col, int bin, double loss)
{
    const int set = col->w->layout.at.bins;

    assert(set >= 0 && bin >= 0 && bin < col->w->layout.sets[set].outer);
    ((float *)col->data[set])[bin] = (float)loss;
}

void ss_run_put_update(ss_run_column *col, int64_t parameter, const ss_run_update *u)
{
    const ss_run_layout *l = &col->w->layout;
    void **to = col->data + l->at.updates;

    assert(parameter >= 0 && parameter < l->sets[l->at.updates].outer);
#define X(name) ((float *)*to++)[parameter] = u->name;
    SS_RUN_UPDATES(X)
#undef X
}

void ss_run_put_channels(ss_run_column *col, int channels, ss_port port, int input, int64_t n,
                         const float *absmax, const float *rms)
{
    const ss_run_layout *l = &col->w->layout;
    const ss_run_set *s = channel_set(l, channels);
    const int64_t at = ((int64_t)port * l->n_inputs + input) * s->inner;
    float *most = (float *)col->data[l->at.channels + 2 * channels] + at;

    assert(channels >= 0 && channels < l->n_channels && n <= s->inner);
    for (int64_t c = 0; c < n; c++) {
        if (isnan(rms[c])) /* a channel without finite values in this sample */
            continue;
        most[c] = fmaxf(most[c], absmax[c]); /* fmaxf ignores a NaN */
        col->squares[channels][at + c] += (double)rms[c] * rms[c];
        col->counts[channels][at + c]++;
    }
}

void ss_run_column_close(ss_run_column *col)
{
    const ss_run_layout *l = &col->w->layout;

    for (int i = 0; i < l->n_channels; i++) {
        const ss_run_set *s = channel_set(l, i);
        float *rms = col->data[l->at.channels + 2 * i + 1];

        for (int64_t k = 0; k < s->outer * s->inner; k++) {
            if (col->counts[i][k])
                rms[k] = (float)sqrt(col->squares[i][k] / col->counts[i][k]);
        }
    }
}
