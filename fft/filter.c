/* filter.c - see filter.h */
#include "fft/filter.h"

#include "fft/plane.h"

#include <math.h>
#include <stddef.h>

static double gain(ss_filter_kind kind, double f, double cutoff)
{
    double t = f / cutoff;

    /* expm1: near the mean 1 - exp() would cancel. */
    return kind == SS_LOWPASS ? exp(-t * t / 2) : -expm1(-t * t / 2);
}

static void filter_channel(ss_plane *p, ss_filter_kind kind, double cutoff, float *x, int channels,
                           int channel)
{
    const double mean = ss_plane_load(p, x, channels, channel);

    fftwf_execute(p->forward);
    for (int ky = 0; ky < p->h; ky++) {
        for (int kx = 0; kx < p->half; kx++)
            p->f[(ptrdiff_t)ky * p->half + kx] *=
                (float)gain(kind, ss_plane_radius(p->h, p->w, ky, kx), cutoff);
    }
    fftwf_execute(p->inverse);
    ss_plane_store(p, x, channels, channel, 1 / ((double)p->h * p->w),
                   kind == SS_LOWPASS ? mean : 0);
}

ss_code ss_filter_gaussian(ss_filter_kind kind, double cutoff, ss_sample_size size, float *x,
                           ss_err *e)
{
    const int64_t frame = ss_sample_area(size) * size.channels;
    ss_plane p;

    if (!(cutoff > 0) || !isfinite(cutoff))
        return ss_fail(e, SS_USAGE, "filter cutoff %g: expected a positive number of cycles",
                       cutoff);
    ss_code rc = ss_plane_init(&p, size.height, size.width, e);

    if (rc != SS_OK)
        return rc;
    for (int f = 0; f < ss_sample_frames(size); f++)
        for (int channel = 0; channel < size.channels; channel++)
            filter_channel(&p, kind, cutoff, x + f * frame, size.channels, channel);
    ss_plane_release(&p);
    return SS_OK;
}
