/* correlate.c - see correlate.h */
#include "analyze/video/correlate.h"

#include "base/mem.h"
#include "fft/plane.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

struct ss_correlator {
    ss_plane plane;
    float *fade;          /* [h][w] */
    float *weight;        /* [h][half] */
    fftwf_complex *first; /* [h][half] */
};

void ss_correlator_free(ss_correlator *k)
{
    if (!k)
        return;
    ss_plane_release(&k->plane);
    ss_free(k->fade);
    ss_free(k->weight);
    ss_free(k->first);
    ss_free(k);
}

static double hann(int i, int n)
{
    const double s = sin(M_PI * (i + 0.5) / n);

    return s * s;
}

ss_code ss_correlator_new(int h, int w, ss_correlator **out, ss_err *e)
{
    ss_correlator *k = ss_calloc(1, sizeof *k);
    ss_code rc = k ? ss_plane_init(&k->plane, h, w, e) : ss_no_memory(e, "optical flow");

    if (rc == SS_OK) {
        const int half = k->plane.half;

        k->fade = ss_alloc((size_t)h * (size_t)w, sizeof *k->fade);
        k->weight = ss_alloc((size_t)h * (size_t)half, sizeof *k->weight);
        k->first = ss_alloc((size_t)h * (size_t)half, sizeof *k->first);
        rc = k->fade && k->weight && k->first ? SS_OK : ss_no_memory(e, "optical flow");
    }
    if (rc != SS_OK) {
        ss_correlator_free(k);
        return rc;
    }
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++)
            k->fade[(ptrdiff_t)y * w + x] = (float)(hann(y, h) * hann(x, w));
        for (int x = 0; x < k->plane.half; x++) {
            const double fy = (double)(y <= h / 2 ? y : y - h) / h, fx = (double)x / w;

            k->weight[(ptrdiff_t)y * k->plane.half + x] =
                (float)exp(-(fy * fy + fx * fx) / (2 * 0.2 * 0.2));
        }
    }
    *out = k;
    return SS_OK;
}

/* Transforms a tile; false if it is of one value. */
static bool transform(ss_correlator *k, const float *a, int width, int top, int left)
{
    ss_plane *p = &k->plane;
    double mean = 0, energy = 0;

    for (int y = 0; y < p->h; y++)
        for (int x = 0; x < p->w; x++)
            mean += a[(ptrdiff_t)(top + y) * width + left + x];
    mean /= (double)p->h * p->w;
    for (int y = 0; y < p->h; y++) {
        for (int x = 0; x < p->w; x++) {
            const ptrdiff_t at = (ptrdiff_t)y * p->w + x;
            const double d = a[(ptrdiff_t)(top + y) * width + left + x] - mean;

            energy += d * d;
            p->x[at] = (float)d * k->fade[at];
        }
    }
    fftwf_execute(p->forward);
    return energy > 1e-3 * p->h * p->w;
}

void ss_correlator_run(ss_correlator *k, const float *a, const float *b, int width, int top,
                       int left, int *dy, int *dx)
{
    ss_plane *p = &k->plane;
    const ptrdiff_t n = (ptrdiff_t)p->h * p->half;
    ptrdiff_t best = 0;

    *dy = *dx = 0;
    if (!transform(k, a, width, top, left))
        return;
    for (ptrdiff_t i = 0; i < n; i++)
        k->first[i] = p->f[i];
    if (!transform(k, b, width, top, left))
        return;
    for (ptrdiff_t i = 0; i < n; i++) {
        const fftwf_complex cross = conjf(k->first[i]) * p->f[i];
        const float size = cabsf(cross);

        p->f[i] = size > 1e-12f ? cross / size * k->weight[i] : 0;
    }
    p->f[0] = 0;
    fftwf_execute(p->inverse);
    for (ptrdiff_t i = 1; i < (ptrdiff_t)p->h * p->w; i++)
        if (p->x[i] > p->x[best])
            best = i;
    *dy = (int)(best / p->w);
    *dx = (int)(best % p->w);
    *dy -= *dy > p->h / 2 ? p->h : 0;
    *dx -= *dx > p->w / 2 ? p->w : 0;
}
