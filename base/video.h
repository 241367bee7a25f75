/* video.h - a video in memory */
#ifndef SS_BASE_VIDEO_H
#define SS_BASE_VIDEO_H

#include "base/sample_size.h"

/* x [F][H][W][C] in grey levels: 0 is black, 255 is white. Bytes of pictures are whole numbers;
 * what a network put out is neither rounded nor cut to that range. */
typedef struct {
    ss_sample_size size; /* frames is 1 or more */
    float *x;            /* owned; ss_video_release frees */
} ss_video;

void ss_video_release(ss_video *v); /* {0} is fine */

/* Frame t, [H][W][C]. */
float *ss_video_frame(const ss_video *v, int t);

#endif
