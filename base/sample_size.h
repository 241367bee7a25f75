/* sample_size.h - the size of one sample: a picture, or a video of several frames
 *
 * A picture is [H][W][C], a video [F][H][W][C]. A video of one frame still has its axis of frames;
 * `frames` of 0 says that there is none. Whatever is done to a picture (a filter, a spectrum,
 * coloured noise) is done to each frame of a video by itself.
 */
#ifndef SS_BASE_SAMPLE_SIZE_H
#define SS_BASE_SAMPLE_SIZE_H

#include "base/shape.h"

typedef struct {
    int frames; /* 0: a picture */
    int height, width, channels;
} ss_sample_size;

int ss_sample_frames(ss_sample_size s);     /* pictures in a sample: 1 of a picture */
int64_t ss_sample_area(ss_sample_size s);   /* pixels of a frame: height * width */
int64_t ss_sample_pixels(ss_sample_size s); /* of all frames */
int64_t ss_sample_values(ss_sample_size s); /* pixels * channels */

/* The same size with other channels. */
ss_sample_size ss_sample_with_channels(ss_sample_size s, int channels);

/* [H][W][C] or [F][H][W][C], and n of them. */
ss_shape ss_sample_shape(ss_sample_size s);
ss_shape ss_sample_batch(int64_t n, ss_sample_size s);
/* The size that such a shape has, of one sample; false for one of another rank, or with a side that
 * is 0 or over INT_MAX. */
bool ss_sample_size_of(int rank, const int64_t *dim, ss_sample_size *s);

/* Tensors in files have the layout of PyTorch, [C][H][W] or [C][F][H][W]. */
ss_shape ss_sample_torch_shape(ss_sample_size s);
void ss_sample_from_torch(ss_sample_size s, const float *from, float *to);
void ss_sample_to_torch(ss_sample_size s, const float *from, float *to);

#endif
