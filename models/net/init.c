/* init.c - see init.h */
#include "models/net/init.h"

#include "base/rng.h"
#include "base/str.h"
#include "kernels/step.h"

#include <math.h>
#include <string.h>

static bool matches(const char *const *globs, int n, const char *path)
{
    for (int i = 0; i < n; i++) {
        if (ss_glob_module(globs[i], path))
            return true;
    }
    return false;
}

static bool is_zero(const ss_init *init, const char *path)
{
    return matches(init->zero, init->n_zero, path);
}

/* Fills a product's weight [out][in][...] or bias [out] so that it gives what it gets. */
static ss_code fill_identity(const ss_module *m, bool weight, ss_shape s, float *w, ss_err *e)
{
    const int64_t n = ss_shape_numel(s);

    if (weight && (s.rank < 2 || s.dim[0] != s.dim[1]))
        return ss_fail(e, SS_USAGE,
                       "%s: only a convolution or Linear of as many outputs as inputs can begin as "
                       "identity",
                       m->path);
    memset(w, 0, (size_t)n * sizeof *w);
    const int64_t row = weight ? n / s.dim[0] : 0, taps = weight ? row / s.dim[1] : 0;

    for (int64_t i = 0; weight && i < s.dim[0]; i++)
        w[i * row + i * taps + taps / 2] = 1;
    return SS_OK;
}

/* Returns a stream of random numbers of its own for each parameter, by path and name. */
static ss_rng stream_of(const ss_init *init, const ss_module *m, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

    for (const char *p = m->path; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    return ss_rng_stream(init->seed, name, hash, 0);
}

ss_code ss_init_fill(const ss_init *init, const ss_module *m, const char *name, ss_shape shape,
                     int64_t fan_in, bool normalised, float *w, ss_err *e)
{
    const bool weight = strcmp(name, "weight") == 0;
    const bool norm = strcmp(m->kind, "GroupNorm") == 0 || strcmp(m->kind, "LayerNorm") == 0 ||
                      strcmp(m->kind, "T5LayerNorm") == 0 || strcmp(m->kind, "UMT5LayerNorm") == 0;
    const bool table = strcmp(m->kind, "Embedding") == 0;
    const bool position = strcmp(name, "positional_embedding") == 0;
    const bool product = strcmp(m->kind, "Conv2d") == 0 || strcmp(m->kind, "Conv3d") == 0 ||
                         strcmp(m->kind, "Linear") == 0;
    const bool mix = strcmp(name, "mix_factor") == 0; /* half of each: its sigmoid counts */
    const bool factor = strcmp(name, "residual_scale") == 0 || strcmp(name, "skip_scale") == 0;
    const bool gain = strcmp(name, "gain") == 0;
    const ss_rng r = stream_of(init, m, name);
    const int64_t n = ss_shape_numel(shape);
    const double k = fan_in > 0 ? 1 / sqrt((double)fan_in) : 0;

    if (!norm && !table && !position && !product && !factor && !mix)
        return ss_fail(e, SS_UNSUPPORTED, "%s.%s: there is no rule how a %s begins untrained",
                       m->path, name, m->kind);
    if (matches(init->identity, init->n_identity, m->path))
        return fill_identity(m, weight, shape, w, e);
    if (is_zero(init, m->path) && normalised)
        return ss_fail(
            e, SS_USAGE,
            "%s.%s: a normalised weight cannot begin at zero; its gain does, where it has one",
            m->path, name);
    if (is_zero(init, m->path) || gain || mix) {
        memset(w, 0, (size_t)n * sizeof *w);
        return SS_OK;
    }
    if (table || position || normalised)
        ss_rng_normals(r, 0, w, (size_t)n);
    if (normalised) {
        ss_unit_rows(w, n, n / shape.dim[0]);
        return SS_OK;
    }
    if (factor)
        w[0] = 1;
    for (int64_t i = 0; i < n && position; i++)
        w[i] *= (float)k;
    for (int64_t i = 0; i < n && norm; i++)
        w[i] = weight;
    for (int64_t i = 0; i < n && product; i++)
        w[i] = (float)(k * (2 * ss_rng_uniform(r, (uint64_t)i) - 1));
    return SS_OK;
}
