/* video.c - see video.h */
#include "base/video.h"

#include "base/mem.h"

void ss_video_release(ss_video *v)
{
    ss_free(v->x);
    *v = (ss_video){0};
}

float *ss_video_frame(const ss_video *v, int t)
{
    return v->x + t * ss_sample_area(v->size) * v->size.channels;
}
