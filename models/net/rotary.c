/* rotary.c - see rotary.h
 *
 *   y = x cos + swap(x) sin'      swap exchanges the halves of each head, sin' = (-sin, sin)
 *
 * The factors are those of a frame, so both products are ss_modulate of the frames of all samples,
 * [N F][H W][C], with mod = factor - 1.
 */
#include "models/net/rotary.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "kernels/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define THETA 10000.0

enum { MOST_TRAINED = 1 << 20 };

ss_code ss_extension_parse(const char *text, ss_extension *x, ss_err *e)
{
    static const char *const names[] = {
#define X(name, text) text,
        SS_EXTENSIONS(X)
#undef X
    };
    const char *colon = text ? strchr(text, ':') : NULL;
    const size_t n = !text ? 0 : colon ? (size_t)(colon - text) : strlen(text);

    *x = (ss_extension){0};
    if (!text)
        return SS_OK;
    for (int k = SS_EXTEND_LINEAR; k <= SS_EXTEND_YARN; k++) {
        if (strlen(names[k]) == n && strncmp(text, names[k], n) == 0)
            x->kind = (ss_extension_kind)k;
    }
    if (colon) {
        char *end;
        const long trained = strtol(colon + 1, &end, 10);

        if (colon[1] < '0' || colon[1] > '9' || *end || trained < 1 || trained > MOST_TRAINED)
            x->kind = SS_EXTEND_NONE;
        x->trained = x->kind ? (int)trained : 0;
    }
    if (!x->kind)
        return ss_fail(e, SS_USAGE,
                       "'%s' is no extension of positions; linear, ntk or yarn, with ':FRAMES' "
                       "where the network was trained on another number of frames than its own",
                       SS_SHOW(text));
    return SS_OK;
}

double ss_extension_factor(const ss_extension *x, int64_t frames)
{
    return x->kind && frames > x->trained ? (double)frames / x->trained : 1;
}

double ss_rotary_logits(const ss_extension *x, double s)
{
    const double k = 0.1 * log(s) + 1;

    return x->kind == SS_EXTEND_YARN ? k * k : 1;
}

/* Returns the index of the frequency that turns so many times within L frames. */
static double correction(double turns, int width, int L)
{
    return width * log(L / (turns * 2 * M_PI)) / (2 * log(THETA));
}

void ss_rotary_frequencies(const ss_extension *x, int width, double s, double *f)
{
    const bool ntk = x->kind == SS_EXTEND_NTK && width > 2;
    const double theta = ntk ? THETA * pow(s, (double)width / (width - 2)) : THETA;
    double low = 0, high = 0;

    if (x->kind == SS_EXTEND_YARN) {
        low = fmax(floor(correction(32, width, x->trained)), 0);
        high = fmin(ceil(correction(1, width, x->trained)), width - 1);
        if (high == low)
            high += 0.001; /* as transformers has it */
    }
    for (int i = 0; i < width / 2; i++) {
        f[i] = pow(theta, -2.0 * i / width);
        if (x->kind == SS_EXTEND_LINEAR)
            f[i] /= s;
        if (x->kind == SS_EXTEND_YARN) {
            const double r = fmin(fmax((i - low) / (high - low), 0), 1);

            f[i] = f[i] / s * r + f[i] * (1 - r);
        }
    }
}

/* Fills the factors less 1 of the frames of N samples, each [N][F][C]. */
static void fill_factors(const double *f, int64_t N, int64_t F, int64_t C, int width, float *cosine,
                         float *sine)
{
    for (int64_t i = 0; i < F * C; i++) {
        const int64_t k = i % C % width;
        const double angle = (double)(i / C) * f[k % (width / 2)];

        cosine[i] = (float)(cos(angle) - 1);
        sine[i] = (float)((k < width / 2 ? -sin(angle) : sin(angle)) - 1);
    }
    for (int64_t n = 1; n < N; n++) {
        memcpy(cosine + n * F * C, cosine, (size_t)(F * C) * sizeof *cosine);
        memcpy(sine + n * F * C, sine, (size_t)(F * C) * sizeof *sine);
    }
}

/* Makes cos - 1 and sin' - 1, each [N F][C]. */
static void make_factors(ss_ctx *c, const ss_shape *s, int heads, const ss_extension *ext,
                         ss_tensor **cosine, ss_tensor **sine)
{
    const int64_t N = s->dim[0], F = s->dim[1], C = s->dim[4];
    const int width = (int)(C / heads);
    const size_t n = (size_t)(N * F * C);
    float *host = ss_alloc(2 * n, sizeof *host);
    double *f = ss_alloc((size_t)width / 2, sizeof *f);

    *cosine = *sine = NULL;
    if (host && f) {
        ss_rotary_frequencies(ext, width, ss_extension_factor(ext, F), f);
        fill_factors(f, N, F, C, width, host, host + n);
        *cosine = ss_upload(c, ss_shape_of(N * F, C), host);
        *sine = ss_upload(c, ss_shape_of(N * F, C), host + n);
    } else {
        ss_ctx_fail(c, SS_NOMEM, "rotary positions: out of memory");
    }
    ss_free(host);
    ss_free(f);
}

/* Exchanges the halves of the heads; keeps the shape. */
static ss_tensor *swap_halves(ss_ctx *c, const ss_tensor *x, int width)
{
    const ss_shape s = ss_shape_get(x);
    ss_tensor *pairs = ss_reshape(c, x, ss_shape_of(ss_shape_numel(s) / width, (int64_t)width));
    ss_tensor *first = ss_slice(c, pairs, 1, 0, width / 2);
    ss_tensor *second = ss_slice(c, pairs, 1, width / 2, width);
    ss_tensor *y = ss_concat(c, second, first, 1);

    ss_release(pairs);
    ss_release(first);
    ss_release(second);
    ss_set(&y, ss_reshape(c, y, s));
    return y;
}

ss_tensor *ss_rotary_run(ss_ctx *c, const ss_tensor *x, int heads, const ss_extension *ext)
{
    const ss_shape s = ss_shape_get(x);
    ss_tensor *cosine, *sine;

    if (!x)
        return NULL;
    make_factors(c, &s, heads, ext, &cosine, &sine);
    ss_tensor *y =
        ss_reshape(c, x, ss_shape_of(s.dim[0] * s.dim[1], s.dim[2] * s.dim[3], s.dim[4]));
    ss_tensor *turned = swap_halves(c, y, (int)(s.dim[4] / heads));

    ss_set(&y, ss_modulate(c, y, cosine));
    ss_set(&turned, ss_modulate(c, turned, sine));
    ss_set(&y, ss_add(c, y, turned, 1));
    ss_release(turned);
    ss_release(cosine);
    ss_release(sine);
    ss_set(&y, ss_reshape(c, y, s));
    return y;
}
