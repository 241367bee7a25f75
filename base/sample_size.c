/* sample_size.c - see sample_size.h */
#include "base/sample_size.h"

#include <limits.h>

int ss_sample_frames(ss_sample_size s)
{
    return s.frames ? s.frames : 1;
}

int64_t ss_sample_area(ss_sample_size s)
{
    return (int64_t)s.height * s.width;
}

int64_t ss_sample_pixels(ss_sample_size s)
{
    return ss_sample_frames(s) * ss_sample_area(s);
}

int64_t ss_sample_values(ss_sample_size s)
{
    return ss_sample_pixels(s) * s.channels;
}

ss_sample_size ss_sample_with_channels(ss_sample_size s, int channels)
{
    s.channels = channels;
    return s;
}

ss_shape ss_sample_shape(ss_sample_size s)
{
    return s.frames ? ss_shape_of(s.frames, s.height, s.width, s.channels)
                    : ss_shape_of(s.height, s.width, s.channels);
}

ss_shape ss_sample_batch(int64_t n, ss_sample_size s)
{
    return s.frames ? ss_shape_of(n, s.frames, s.height, s.width, s.channels)
                    : ss_shape_of(n, s.height, s.width, s.channels);
}

bool ss_sample_size_of(int rank, const int64_t *dim, ss_sample_size *s)
{
    *s = (ss_sample_size){0};
    if (rank != 3 && rank != 4)
        return false;
    for (int i = 0; i < rank; i++)
        if (dim[i] < 1 || dim[i] > INT_MAX)
            return false;
    if (rank == 4)
        s->frames = (int)*dim++;
    s->height = (int)dim[0];
    s->width = (int)dim[1];
    s->channels = (int)dim[2];
    return true;
}

ss_shape ss_sample_torch_shape(ss_sample_size s)
{
    return s.frames ? ss_shape_of(s.channels, s.frames, s.height, s.width)
                    : ss_shape_of(s.channels, s.height, s.width);
}

/* Frames lie inside of channels, as rows do: all pixels of a channel stand together. */
void ss_sample_from_torch(ss_sample_size s, const float *from, float *to)
{
    const int64_t pixels = ss_sample_pixels(s);

    for (int64_t i = 0; i < pixels; i++)
        for (int k = 0; k < s.channels; k++)
            *to++ = from[k * pixels + i];
}

void ss_sample_to_torch(ss_sample_size s, const float *from, float *to)
{
    const int64_t pixels = ss_sample_pixels(s);

    for (int64_t i = 0; i < pixels; i++)
        for (int k = 0; k < s.channels; k++)
            to[k * pixels + i] = *from++;
}
