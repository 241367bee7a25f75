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

/* Weights the waves of every channel of a frame, and scales it. */
static void shape(ss_plane *p, ss_noise_color color, float *x, int channels)
{
    const int64_t n = (int64_t)p->h * p->w * channels;
    double square = 0;

    for (int channel = 0; channel < channels; channel++) {
        ss_plane_load(p, x, channels, channel);
        fftwf_execute(p->forward);
        for (int ky = 0; ky < p->h; ky++) {
            for (int kx = 0; kx < p->half; kx++)
                p->f[(ptrdiff_t)ky * p->half + kx] *=
                    (float)weight(color, ss_plane_radius(p->h, p->w, ky, kx));
        }
        fftwf_execute(p->inverse);
        ss_plane_store(p, x, channels, channel, 1 / ((double)p->h * p->w), 0);
    }
    for (int64_t i = 0; i < n; i++)
        square += (double)x[i] * x[i];
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(x[i] / sqrt(square / (double)n));
}

ss_code ss_noise_draw(ss_noise_color color, ss_rng rng, ss_sample_size size, float *x, ss_err *e)
{
    const int64_t frame = ss_sample_area(size) * size.channels;
    const int h = size.height, w = size.width;
    ss_plane p;

    if (color != SS_NOISE_WHITE && (h < 1 || w < 1 || (h == 1 && w == 1)))
        return ss_fail(e, SS_SHAPE, "%s noise of %d x %d pixels: no wave fits into it",
                       ss_noise_name(color), h, w);
    ss_rng_normals(rng, 0, x, (size_t)ss_sample_values(size));
    if (color == SS_NOISE_WHITE)
        return SS_OK;

    ss_code rc = ss_plane_init(&p, h, w, e);

    if (rc != SS_OK)
        return rc;
    for (int f = 0; f < ss_sample_frames(size); f++)
        shape(&p, color, x + f * frame, size.channels);
    ss_plane_release(&p);
    return SS_OK;
}
