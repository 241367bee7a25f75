/* frames.c - see frames.h */
#include "reports/sections/frames.h"

#include <math.h>

int ss_frames_shown(ss_sample_size size, int frames[SS_FRAMES_SHOWN])
{
    const int all = ss_sample_frames(size), n = all < SS_FRAMES_SHOWN ? all : SS_FRAMES_SHOWN;

    for (int i = 0; i < n; i++)
        frames[i] = n == 1 ? 0 : (int)lround((double)i * (all - 1) / (n - 1));
    return n;
}

void ss_frames_tile(ss_sample_size size, int side, int *h, int *w)
{
    ss_tiles_fit(size.height, size.width, size.frames ? side / 2 : side, h, w);
}

void ss_frames_put(ss_tiles *t, int row, int column, const float *x, ss_sample_size size,
                   double limit)
{
    const int64_t one = ss_sample_area(size) * size.channels;
    int frames[SS_FRAMES_SHOWN];
    const int n = ss_frames_shown(size, frames);

    for (int i = 0; i < n; i++)
        ss_tiles_picture(t, row, column * n + i, x + frames[i] * one, size.height, size.width,
                         size.channels, limit);
}

void ss_frames_say(ss_str *caption, ss_sample_size size)
{
    int frames[SS_FRAMES_SHOWN];
    const int n = ss_frames_shown(size, frames);

    if (!size.frames)
        return;
    ss_str_addf(caption, " Each is a video of %d frames; from left to right, frame ", size.frames);
    for (int i = 0; i < n; i++)
        ss_str_addf(caption, "%s%d", i == 0 ? "" : i == n - 1 ? " and " : ", ", frames[i] + 1);
    ss_str_add(caption, ".");
}
