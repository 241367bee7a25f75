/* data_source.c - see data_source.h */
#include "train/data_source.h"

int64_t ss_data_pick(ss_rng r, uint64_t i, int64_t n)
{
    return (int64_t)(((unsigned __int128)ss_rng_u32(r, i) * (uint64_t)n) >> 32);
}

int ss_data_frames(const ss_data *d)
{
    return d->opt.frames ? d->opt.frames : 1;
}

size_t ss_data_frame_values(const ss_data *d)
{
    return (size_t)d->opt.h * (size_t)d->opt.w * (size_t)d->opt.c;
}
