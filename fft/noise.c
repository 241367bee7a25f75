/* noise.c - see noise.h */
#include "fft/noise.h"

#include "fft/plane.h"

#include <math.h>
#include <stddef.h>

const char *ss_noise_name(ss_noise_color color)
{
#define X(name, text) [SS_NOISE_##name] = text,
    static const char *const names[] = {SS_NOISE_COLORS(X)};
#undef X

    return names[color];
}

/* Weight of a wave of f cycles per image; f = 0 is the mean, which coloured noise has not. */
static double weight(ss_noise_color color, double f)
{
    if (f == 0)
        return 0;
    return color == SS_NOISE_PINK ? 1 / f : f;
}

/* Weights the waves of every channel. */
static ss_code shape(ss_noise_color color, float *x, int h, int w, int c, ss_err *e)
{
    ss_plane p;
    ss_code rc = ss_plane_init(&p, h, w, e);

    if (rc != SS_OK)
        return rc;
    for (int channel = 0; channel < c; channel++) {
        ss_plane_load(&p, x, c, channel);
        fftwf_execute(p.forward);
        for (int ky = 0; ky < h; ky++) {
            for (int kx = 0; kx < p.half; kx++)
                p.f[(ptrdiff_t)ky * p.half + kx] *=
                    (float)weight(color, ss_plane_radius(h, w, ky, kx));
        }
        fftwf_execute(p.inverse);
        ss_plane_store(&p, x, c, channel, 1 / ((double)h * w), 0);
    }
    ss_plane_release(&p);
    return SS_OK;
}

ss_code ss_noise_draw(ss_noise_color color, ss_rng rng, float *x, int h, int w, int c, ss_err *e)
{
    const size_t n = (size_t)h * (size_t)w * (size_t)c;
    double square = 0;

    if (color != SS_NOISE_WHITE && (h < 1 || w < 1 || (h == 1 && w == 1)))
        return ss_fail(e, SS_SHAPE, "%s noise of %d x %d pixels: no wave fits into it",
                       ss_noise_name(color), h, w);
    ss_rng_normals(rng, 0, x, n);
    if (color == SS_NOISE_WHITE)
        return SS_OK;

    ss_code rc = shape(color, x, h, w, c, e);

    if (rc != SS_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        square += (double)x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(x[i] / sqrt(square / (double)n));
    return SS_OK;
}
