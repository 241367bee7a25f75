/* run_sets.c - reading the data sets of a run file; see run_reader.h
 *
 * A data set has the dimensions of run_file.h, in that order. A dimension whose axis the file lacks
 * is left out, or has one entry.
 */
#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_cache.h"
#include "runfile/run_file.h"
#include "runfile/run_layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A dimension that a data set should have, and which part of it to read. */
typedef struct {
    int64_t n;   /* its size; -1: any */
    bool absent; /* the file lacks its axis, n is 1 */
    int64_t start, count;
} want;

/* True if the dimensions fit, with or without those of absent axes. */
static bool fits(const ss_h5_shape *s, const want *w, int n, bool with_absent)
{
    int at = 0;

    for (int i = 0; i < n; i++) {
        if (w[i].absent && !with_absent)
            continue;
        if (at >= s->rank || (w[i].n >= 0 && s->dim[at] != w[i].n))
            return false;
        at++;
    }
    return at == s->rank;
}

static ss_code misfit(const ss_run *r, const char *name, const ss_h5_shape *s, const want *w, int n,
                      ss_err *e)
{
    ss_str is = {0}, wanted = {0};

    for (int i = 0; i < s->rank; i++)
        ss_str_addf(&is, "%s%lld", i ? "," : "", (long long)s->dim[i]);
    for (int i = 0; i < n; i++) {
        if (w[i].absent)
            continue;
        if (w[i].n < 0)
            ss_str_addf(&wanted, "%s*", wanted.len ? "," : "");
        else
            ss_str_addf(&wanted, "%s%lld", wanted.len ? "," : "", (long long)w[i].n);
    }
    ss_fail(e, SS_SHAPE, "%s: %s is [%s], its axes say [%s]", r->path, name, is.s ? is.s : "",
            wanted.s ? wanted.s : "");
    ss_str_release(&is);
    ss_str_release(&wanted);
    return SS_SHAPE;
}

/* Reads the part of an open data set that w selects. */
static ss_code read_open(const ss_run *r, hid_t set, const char *name, const want *w, int n,
                         hid_t mem, void *x, ss_err *e)
{
    hsize_t start[SS_H5_MAX_RANK], count[SS_H5_MAX_RANK];
    ss_h5_shape shape;
    int rank = 0;
    ss_code rc = ss_h5_shape_of(set, name, &shape, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "%s", r->path);
    bool with_absent = !fits(&shape, w, n, false);
    if (with_absent && !fits(&shape, w, n, true))
        return misfit(r, name, &shape, w, n, e);
    for (int i = 0; i < n; i++) {
        if (w[i].absent && !with_absent)
            continue;
        start[rank] = (hsize_t)w[i].start;
        count[rank++] = (hsize_t)w[i].count;
    }
    rc = ss_h5_read(set, name, rank, start, count, mem, x, e);
    return rc == SS_OK ? rc : ss_fail_prefix(e, "%s", r->path);
}

static ss_code read_part(const ss_run *r, const char *name, const want *w, int n, hid_t mem,
                         void *x, ss_err *e)
{
    hid_t set = H5Dopen2(r->cache->file, name, H5P_DEFAULT);

    if (set < 0)
        return ss_h5_fail(e, SS_FORMAT, "%s: %s", r->path, name);
    ss_code rc = read_open(r, set, name, w, n, mem, x, e);
    H5Dclose(set);
    return rc;
}

static want whole(int64_t n, bool absent)
{
    return (want){.n = n, .absent = absent, .count = n};
}

static want one_of(int64_t n, bool absent, int64_t i)
{
    return (want){.n = n, .absent = absent, .start = i, .count = 1};
}

/* All columns of noise levels or steps, as far as they are done. */
static want columns_of(const ss_run *r)
{
    return (want){.n = r->cache->n_columns, .count = r->cache->span};
}

/* Sets noise levels that are not done to NaN or 0; x is [outer][sigma][inner] of f32 or u64. */
static void blank_unfinished(const ss_run *r, void *x, bool f32, int64_t outer, int64_t inner)
{
    for (int64_t o = 0; o < outer && r->n_done < r->n_sigmas; o++) {
        for (int s = 0; s < r->n_sigmas; s++) {
            const int64_t at = (o * r->n_sigmas + s) * inner;

            for (int64_t k = 0; !r->done[s] && k < inner; k++) {
                if (f32)
                    ((float *)x)[at + k] = NAN;
                else
                    ((uint64_t *)x)[at + k] = 0;
            }
        }
    }
}

/* Copies the columns that the run has out of `all`, [outer][span][inner] values of `size` bytes. */
static void pick_columns(const ss_run *r, const char *all, size_t size, int64_t outer,
                         int64_t inner, char *x)
{
    const size_t bytes = (size_t)inner * size;

    for (int64_t o = 0; o < outer; o++) {
        for (int s = 0; s < r->n_sigmas; s++, x += bytes)
            memcpy(x,
                   all + ((size_t)o * (size_t)r->cache->span + (size_t)r->cache->column[s]) * bytes,
                   bytes);
    }
}

/* Reads a part with all columns into x, [outer][sigma][inner] of f32 or u64, and blanks columns
 * that are not done. */
static ss_code read_columns(const ss_run *r, const char *name, const want *w, int n, bool f32,
                            int64_t outer, int64_t inner, void *x, ss_err *e)
{
    const size_t size = f32 ? sizeof(float) : sizeof(uint64_t);
    const hid_t mem = f32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_UINT64;
    const bool holes = r->cache->span > r->n_sigmas;
    void *all = holes ? ss_alloc((size_t)(outer * r->cache->span * inner), size) : x;

    if (!all)
        return ss_fail(e, SS_NOMEM, "%s: %s: out of memory", r->path, name);
    const ss_code rc = read_part(r, name, w, n, mem, all, e);
    if (rc == SS_OK && holes)
        pick_columns(r, all, size, outer, inner, x);
    if (holes)
        ss_free(all);
    if (rc == SS_OK)
        blank_unfinished(r, x, f32, outer, inner);
    return rc;
}

/* Returns a whole data set, which is read only once. sigma: the index of that dimension in w, or
 * -1. */
static ss_code cached(ss_run *r, const char *name, const want *w, int n, int sigma, bool f32,
                      const void **x, ss_err *e)
{
    ss_run_cache *c = r->cache;
    int64_t outer = 1, inner = 1;
    void *data = NULL;
    ss_code rc = SS_OK;

    *x = NULL;
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->sets[i].name, name) == 0) {
            *x = c->sets[i].data;
            return SS_OK;
        }
    }
    for (int i = 0; i < n; i++) { /* ss_run_open checked these products */
        if (i < sigma)
            outer *= w[i].n;
        else if (i > sigma)
            inner *= w[i].n;
    }
    if (ss_h5_has(c->file, name)) {
        int64_t values = outer * inner * (sigma >= 0 ? r->n_sigmas : 1);

        data = ss_alloc((size_t)values, f32 ? sizeof(float) : sizeof(uint64_t));
        if (!data)
            return ss_fail(e, SS_NOMEM, "%s: %s: out of memory", r->path, name);
        if (sigma >= 0)
            rc = read_columns(r, name, w, n, f32, outer, inner, data, e);
        else
            rc = read_part(r, name, w, n, f32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_UINT64, data, e);
    }
    struct ss_run_cached *sets = ss_grow(c->sets, &c->cap, c->n + 1, sizeof *sets);
    if (sets)
        c->sets = sets;
    char *copy = sets && rc == SS_OK ? ss_strdup(name) : NULL;
    if (!copy) {
        ss_free(data);
        return rc == SS_OK ? ss_fail(e, SS_NOMEM, "%s: %s: out of memory", r->path, name) : rc;
    }
    sets[c->n++] = (struct ss_run_cached){.name = copy, .data = data};
    *x = data;
    return SS_OK;
}

static ss_code module_set(ss_run *r, const char *name, bool f32, const void **x, ss_err *e)
{
    const ss_run_cache *c = r->cache;
    const want w[] = {whole(r->n_modules, false), whole(r->n_ports, c->no_port),
                      whole(r->n_inputs, c->no_input), columns_of(r),
                      whole(r->n_samples, c->no_sample)};

    return cached(r, name, w, 5, 3, f32, x, e);
}

ss_code ss_run_stat(ss_run *r, const char *name, const float **x, ss_err *e)
{
    char path[64];

    snprintf(path, sizeof path, "/stats/%s", name);
    return module_set(r, path, true, (const void **)x, e);
}

ss_code ss_run_nonfinite(ss_run *r, const uint64_t **x, ss_err *e)
{
    return module_set(r, "/stats/nonfinite", false, (const void **)x, e);
}

ss_code ss_run_attention(ss_run *r, const char *name, const float **x, ss_err *e)
{
    const ss_run_cache *c = r->cache;
    const want w[] = {whole(r->n_layers, false), whole(r->n_heads, c->no_head),
                      whole(r->n_inputs, c->no_input), columns_of(r),
                      whole(r->n_samples, c->no_sample)};
    char path[64];

    *x = NULL;
    if (!r->n_layers)
        return SS_OK;
    snprintf(path, sizeof path, "/attention/%s", name);
    return cached(r, path, w, 5, 3, true, (const void **)x, e);
}

ss_code ss_run_attention_keys(ss_run *r, const float **keys, ss_err *e)
{
    const want w[] = {whole(r->n_layers, false)};

    *keys = NULL;
    return r->n_layers ? cached(r, "/attention/keys", w, 1, -1, true, (const void **)keys, e)
                       : SS_OK;
}

ss_code ss_run_attention_heads(ss_run *r, const float **heads, ss_err *e)
{
    const want w[] = {whole(r->n_layers, false)};

    *heads = NULL;
    return r->n_layers ? cached(r, "/attention/heads", w, 1, -1, true, (const void **)heads, e)
                       : SS_OK;
}

ss_code ss_run_attention_frames(ss_run *r, const float **frames, ss_err *e)
{
    const want w[] = {whole(r->n_layers, false)};

    *frames = NULL;
    return r->n_frames ? cached(r, "/attention/frames", w, 1, -1, true, (const void **)frames, e)
                       : SS_OK;
}

ss_code ss_run_frame_mass(ss_run *r, bool of_keys, const float **x, ss_err *e)
{
    const ss_run_cache *c = r->cache;
    const want w[] = {whole(r->n_layers, false),         whole(r->n_heads, c->no_head),
                      whole(r->n_inputs, c->no_input),   columns_of(r),
                      whole(r->n_samples, c->no_sample), whole(r->n_frames, false)};
    const char *name = of_keys ? "/attention/key_frame_mass" : "/attention/frame_mass";

    *x = NULL;
    return r->n_frames ? cached(r, name, w, 6, 3, true, (const void **)x, e) : SS_OK;
}

ss_code ss_run_weights(ss_run *r, const char *name, const float **x, ss_err *e)
{
    const want w[] = {whole(r->n_parameters, false)};
    char path[64];

    *x = NULL;
    if (!r->n_parameters)
        return SS_OK;
    snprintf(path, sizeof path, "/weights/%s", name);
    return cached(r, path, w, 1, -1, true, (const void **)x, e);
}

/* True for "MODULE.weight" and "MODULE.bias"; for "weight" if the module is the whole model, "". */
static bool is_parameter_of(const char *parameter, const char *module)
{
    const char *dot = strrchr(parameter, '.');
    const size_t n = dot ? (size_t)(dot - parameter) : 0;

    return n ? strncmp(parameter, module, n) == 0 && !module[n] : strcmp(module, SS_RUN_ROOT) == 0;
}

ss_code ss_run_module_weights(ss_run *r, const float **x, ss_err *e)
{
    const float *absmax;
    ss_code rc = ss_run_weights(r, "absmax", &absmax, e);

    *x = r->module_weights;
    if (rc != SS_OK || !absmax || *x)
        return rc;
    float *made = ss_alloc((size_t)r->n_modules, sizeof *made);
    if (!made)
        return ss_no_memory(e, r->path);
    for (int m = 0; m < r->n_modules; m++) {
        made[m] = NAN;
        for (int64_t p = 0; p < r->n_parameters && !r->inner[m]; p++)
            if (is_parameter_of(r->parameters[p], r->modules[m]))
                made[m] = fmaxf(made[m], absmax[p]);
    }
    *x = r->module_weights = made;
    return SS_OK;
}

ss_code ss_run_weights_nonfinite(ss_run *r, const uint64_t **x, ss_err *e)
{
    const want w[] = {whole(r->n_parameters, false)};

    *x = NULL;
    return r->n_parameters ? cached(r, "/weights/nonfinite", w, 1, -1, false, (const void **)x, e)
                           : SS_OK;
}

ss_code ss_run_loss(ss_run *r, const float **x, ss_err *e)
{
    const want w[] = {whole(r->n_inputs, r->cache->no_input), columns_of(r),
                      whole(r->n_samples, r->cache->no_sample)};

    return cached(r, "/outputs/loss", w, 3, 1, true, (const void **)x, e);
}

ss_code ss_run_psd(ss_run *r, const float **x, ss_err *e)
{
    const want w[] = {whole(r->n_inputs, r->cache->no_input), columns_of(r),
                      whole(r->n_samples, r->cache->no_sample), whole(r->n_radii, false)};

    *x = NULL;
    return r->n_radii ? cached(r, "/inputs/psd", w, 4, 1, true, (const void **)x, e) : SS_OK;
}

ss_code ss_run_training(ss_run *r, const char *name, const float **x, ss_err *e)
{
    const bool samples = strcmp(name, "sigma") == 0 || strcmp(name, "sample_loss") == 0 ||
                         strcmp(name, "samples") == 0;
    const bool bins = strcmp(name, "loss_by_sigma") == 0;
    const want step[] = {columns_of(r), whole(r->n_samples, r->cache->no_sample)};
    const want bin[] = {whole(r->n_bins, false), columns_of(r)};
    char path[64];

    *x = NULL;
    if (!r->steps || (bins && !r->n_bins))
        return SS_OK;
    snprintf(path, sizeof path, "/training/%s", name);
    if (bins)
        return cached(r, path, bin, 2, 1, true, (const void **)x, e);
    return cached(r, path, step, samples ? 2 : 1, 0, true, (const void **)x, e);
}

ss_code ss_run_updates(ss_run *r, const char *name, const float **x, ss_err *e)
{
    const want w[] = {whole(r->n_parameters, false), columns_of(r)};
    char path[64];

    *x = NULL;
    if (!r->steps || !r->n_parameters)
        return SS_OK;
    snprintf(path, sizeof path, "/updates/%s", name);
    return cached(r, path, w, 2, 1, true, (const void **)x, e);
}

bool ss_run_has_hist(const ss_run *r)
{
    return ss_h5_has(r->cache->file, "/hist/exponent");
}

ss_code ss_run_hist(ss_run *r, int module, uint64_t *counts, ss_err *e)
{
    const ss_run_cache *c = r->cache;
    const want w[] = {one_of(r->n_modules, false, module), whole(r->n_ports, c->no_port),
                      whole(r->n_inputs, c->no_input), columns_of(r), whole(SS_N_EXPONENTS, false)};

    return read_columns(r, "/hist/exponent", w, 5, false, (int64_t)r->n_ports * r->n_inputs,
                        SS_N_EXPONENTS, counts, e);
}

/* Makes "/channels/PATH/NAME", or "/channels/PATH" if name is NULL; false if it does not fit. */
static bool channel_set(const ss_run *r, int module, const char *name, char *out, size_t n)
{
    char *link = ss_run_link_name(r->modules[module]);
    int len = link ? snprintf(out, n, "/channels/%s/%s", link, name) : -1;

    ss_free(link);
    return len > 0 && (size_t)len < n;
}

bool ss_run_has_channels(ss_run *r, int module, int64_t *channels)
{
    const ss_run_cache *c = r->cache;
    const want w[] = {
        whole(r->n_ports, c->no_port), whole(r->n_inputs, c->no_input), columns_of(r), {.n = -1}};
    ss_h5_shape shape;
    char name[4096];

    if (!channel_set(r, module, "absmax", name, sizeof name) || !ss_h5_has(c->file, name))
        return false;
    hid_t set = H5Dopen2(c->file, name, H5P_DEFAULT);
    bool ok = set >= 0 && ss_h5_shape_of(set, name, &shape, NULL) == SS_OK &&
              (fits(&shape, w, 4, false) || fits(&shape, w, 4, true)) &&
              shape.dim[shape.rank - 1] <=
                  SS_RUN_MAX_VALUES / ((int64_t)r->n_ports * r->n_inputs * c->span);

    if (ok)
        *channels = shape.dim[shape.rank - 1];
    H5Dclose(set);
    return ok;
}

ss_code ss_run_channel_stats(ss_run *r, int module, const char *name, float *x, ss_err *e)
{
    const ss_run_cache *c = r->cache;
    int64_t channels;
    char path[4096];

    if (!ss_run_has_channels(r, module, &channels) ||
        !channel_set(r, module, name, path, sizeof path))
        return ss_fail(e, SS_FORMAT, "%s: no channel statistics of %s", r->path,
                       r->modules[module]);
    const want w[] = {whole(r->n_ports, c->no_port), whole(r->n_inputs, c->no_input), columns_of(r),
                      whole(channels, false)};

    return read_columns(r, path, w, 4, true, (int64_t)r->n_ports * r->n_inputs, channels, x, e);
}

/* Sets w to the dimensions before those of a sample, and returns how many of them a data set of
 * this shape has; 0 if it does not fit. */
static int leading(const ss_run *r, const ss_h5_shape *shape, int input, int sigma, int sample,
                   want w[3])
{
    const ss_run_cache *c = r->cache;
    ss_h5_shape head = *shape;

    w[0] = one_of(r->n_inputs, c->no_input, input);
    w[1] = one_of(c->n_columns, false, c->column ? c->column[sigma] : sigma);
    w[2] = one_of(r->n_samples, c->no_sample, sample);
    for (head.rank = 3; head.rank >= 1; head.rank--) {
        if (head.rank < shape->rank && shape->rank - head.rank <= 4 &&
            (fits(&head, w, 3, false) || fits(&head, w, 3, true)))
            return head.rank;
    }
    return 0;
}

bool ss_run_has_pictures(ss_run *r, const char *name, ss_run_shape *out)
{
    want w[3];
    ss_h5_shape shape;
    int lead = 0;

    *out = (ss_run_shape){.n = 1};
    if (!ss_h5_has(r->cache->file, name))
        return false;
    hid_t set = H5Dopen2(r->cache->file, name, H5P_DEFAULT);
    if (set >= 0 && ss_h5_shape_of(set, name, &shape, NULL) == SS_OK)
        lead = leading(r, &shape, 0, 0, 0, w);
    H5Dclose(set);
    if (!lead)
        return false;
    out->rank = shape.rank - lead;
    for (int i = 0; i < out->rank; i++) {
        out->dim[i] = shape.dim[lead + i];
        if (__builtin_mul_overflow(out->n, out->dim[i], &out->n) || out->n > SS_RUN_MAX_VALUES)
            return false;
    }
    return out->n > 0;
}

ss_code ss_run_picture(ss_run *r, const char *name, int input, int sigma, int sample, float *x,
                       ss_err *e)
{
    want w[3 + 4];
    ss_run_shape shape;
    ss_h5_shape full;

    if (!ss_run_has_pictures(r, name, &shape))
        return ss_fail(e, SS_FORMAT, "%s: %s is missing or does not fit the axes", r->path, name);
    if (!r->done[sigma]) {
        for (int64_t i = 0; i < shape.n; i++)
            x[i] = NAN;
        return SS_OK;
    }
    hid_t set = H5Dopen2(r->cache->file, name, H5P_DEFAULT);
    ss_code rc = ss_h5_shape_of(set, name, &full, e);
    if (rc == SS_OK) {
        leading(r, &full, input, sigma, sample, w);
        for (int i = 0; i < shape.rank; i++)
            w[3 + i] = whole(shape.dim[i], false);
        rc = read_open(r, set, name, w, 3 + shape.rank, H5T_NATIVE_FLOAT, x, e);
    }
    H5Dclose(set);
    return rc;
}

char *ss_run_activation_set(const char *path)
{
    char *link = ss_run_link_name(path);
    ss_str b = {0};

    if (!link)
        return NULL;
    ss_str_addf(&b, "/activations/%s", link);
    ss_free(link);
    return ss_str_detach(&b);
}
