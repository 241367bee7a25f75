/* plane.c - see plane.h */
#include "fft/plane.h"

#include "base/mem.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

ss_code ss_plane_init(ss_plane *p, int h, int w, ss_err *e)
{
    *p = (ss_plane){0};
    if (h < 1 || w < 1)
        return ss_fail(e, SS_SHAPE, "a Fourier transform of %d x %d pixels: sides are 1 or more", h,
                       w);
    p->h = h;
    p->w = w;
    p->half = w / 2 + 1;
    p->x = ss_alloc_aligned((size_t)h * (size_t)w * sizeof *p->x);
    p->f = ss_alloc_aligned((size_t)h * (size_t)p->half * sizeof *p->f);
    if (p->x && p->f) {
        pthread_mutex_lock(&planner);
        p->forward = fftwf_plan_dft_r2c_2d(h, w, p->x, p->f, FFTW_ESTIMATE);
        p->inverse = fftwf_plan_dft_c2r_2d(h, w, p->f, p->x, FFTW_ESTIMATE);
        pthread_mutex_unlock(&planner);
    }
    if (p->forward && p->inverse)
        return SS_OK;
    ss_plane_release(p);
    return ss_fail(e, SS_NOMEM, "a Fourier transform of %d x %d pixels: out of memory", h, w);
}

void ss_plane_release(ss_plane *p)
{
    pthread_mutex_lock(&planner);
    fftwf_destroy_plan(p->forward);
    fftwf_destroy_plan(p->inverse);
    pthread_mutex_unlock(&planner);
    ss_free(p->x);
    ss_free(p->f);
    *p = (ss_plane){0};
}

double ss_plane_load(ss_plane *p, const float *image, int c, int channel)
{
    const ptrdiff_t n = (ptrdiff_t)p->h * p->w;
    double mean = 0;

    for (ptrdiff_t i = 0; i < n; i++)
        mean += image[i * c + channel];
    mean /= (double)n;
    for (ptrdiff_t i = 0; i < n; i++)
        p->x[i] = (float)(image[i * c + channel] - mean);
    return mean;
}

void ss_plane_store(const ss_plane *p, float *image, int c, int channel, double scale, double mean)
{
    const ptrdiff_t n = (ptrdiff_t)p->h * p->w;

    for (ptrdiff_t i = 0; i < n; i++)
        image[i * c + channel] = (float)(scale * p->x[i] + mean);
}

double ss_plane_radius(int h, int w, int ky, int kx)
{
    double m = h < w ? h : w;
    double fy = (ky <= h / 2 ? ky : ky - h) * m / h;
    double fx = (kx <= w / 2 ? kx : kx - w) * m / w;

    return sqrt(fy * fy + fx * fx);
}
