/* spectrum.c - see spectrum.h */
#include "fft/spectrum.h"

#include "base/mem.h"
#include "fft/plane.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct ss_spectrum {
    ss_plane plane;
    double *power; /* [h][w/2 + 1], of the image at hand */
    double *count; /* [rings], how many of the h w waves each has */
};

int ss_spectrum_rings(int h, int w)
{
    return (h < w ? h : w) / 2 + 1;
}

/* Number of waves that the bins of column kx stand for: a wave and its negative, unless it is
 * its own negative's column. */
static int multiplicity(int w, int kx)
{
    return kx == 0 || 2 * kx == w ? 1 : 2;
}

static int ring_of(int h, int w, int ky, int kx)
{
    return (int)(ss_plane_radius(h, w, ky, kx) + 0.5);
}

void ss_spectrum_waves(int h, int w, double *waves)
{
    const int rings = ss_spectrum_rings(h, w);

    memset(waves, 0, (size_t)rings * sizeof *waves);
    for (int ky = 0; ky < h; ky++) {
        for (int kx = 0; kx <= w / 2; kx++) {
            int ring = ring_of(h, w, ky, kx);

            if (ring < rings)
                waves[ring] += multiplicity(w, kx);
        }
    }
}

ss_code ss_spectrum_new(int h, int w, ss_spectrum **out, ss_err *e)
{
    ss_code rc;
    ss_spectrum *s = ss_calloc(1, sizeof *s);

    if (!s)
        return ss_fail(e, SS_NOMEM, "a spectrum of %d x %d pixels: out of memory", h, w);
    rc = ss_plane_init(&s->plane, h, w, e);
    if (rc != SS_OK)
        goto out;

    const int rings = ss_spectrum_rings(h, w), half = s->plane.half;

    s->power = ss_alloc((size_t)h * (size_t)half, sizeof *s->power);
    s->count = ss_alloc((size_t)rings, sizeof *s->count);
    if (!s->power || !s->count) {
        rc = ss_fail(e, SS_NOMEM, "a spectrum of %d x %d pixels: out of memory", h, w);
        goto out;
    }
    ss_spectrum_waves(h, w, s->count);
    *out = s;
    s = NULL; /* now the caller's */
out:
    ss_spectrum_free(s);
    return rc;
}

void ss_spectrum_free(ss_spectrum *s)
{
    if (!s)
        return;
    ss_plane_release(&s->plane);
    ss_free(s->power);
    ss_free(s->count);
    ss_free(s);
}

/* s->power = P of the bins that the real transform keeps. */
static void compute_half(ss_spectrum *s, const float *x, int frames, int c)
{
    ss_plane *p = &s->plane;
    const ptrdiff_t n = (ptrdiff_t)p->h * p->half;
    const double pixels = (double)p->h * p->w, scale = 1 / (pixels * pixels * c * frames);

    memset(s->power, 0, (size_t)n * sizeof *s->power);
    for (int k = 0; k < frames * c; k++) {
        ss_plane_load(p, x + k / c * (ptrdiff_t)p->h * p->w * c, c, k % c);
        fftwf_execute(p->forward);
        for (ptrdiff_t i = 0; i < n; i++) {
            double re = crealf(p->f[i]), im = cimagf(p->f[i]);

            s->power[i] += scale * (re * re + im * im);
        }
    }
    s->power[0] *= 0; /* what rounding left of the mean; NaN stays NaN */
}

void ss_spectrum_power(ss_spectrum *s, const float *x, int c, double *power)
{
    const int h = s->plane.h, w = s->plane.w, half = s->plane.half;

    compute_half(s, x, 1, c);
    for (int ky = 0; ky < h; ky++) {
        for (int kx = 0; kx < w; kx++) {
            bool kept = kx < half;
            int row = kept ? ky : (h - ky) % h, column = kept ? kx : w - kx;

            power[(ptrdiff_t)ky * w + kx] = s->power[(ptrdiff_t)row * half + column];
        }
    }
}

void ss_spectrum_radial(ss_spectrum *s, const float *x, int frames, int c, double *psd)
{
    const int h = s->plane.h, w = s->plane.w, half = s->plane.half;
    const int rings = ss_spectrum_rings(h, w);

    compute_half(s, x, frames, c);
    memset(psd, 0, (size_t)rings * sizeof *psd);
    for (int ky = 0; ky < h; ky++) {
        for (int kx = 0; kx < half; kx++) {
            int ring = ring_of(h, w, ky, kx);

            if (ring < rings)
                psd[ring] += multiplicity(w, kx) * s->power[(ptrdiff_t)ky * half + kx];
        }
    }
    for (int k = 0; k < rings; k++)
        psd[k] /= s->count[k] > 0 ? s->count[k] : 1;
}
