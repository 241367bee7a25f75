/* picture.h - from a picture in bytes to what a network takes: channels, size, range */
#ifndef SS_PROBE_PICTURE_H
#define SS_PROBE_PICTURE_H

#include "base/err.h"
#include "base/png.h"

/* x [h][w][c] = the picture, cut to its middle in the aspect of h and w, resampled, v/127.5 - 1.
 *
 * Along a side that shrinks, a value is the mean over the pixels it covers, those that it
 * covers in part with that part as weight; along a side that grows, it is interpolated
 * linearly between the nearest two, pixels having their value at their middle. A picture of
 * the same size is taken as it is.
 *
 * c is 1 or 3. RGB becomes gray by L = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to
 * a byte by the same integers as PIL's convert("L"); gray becomes RGB by repetition. */
ss_code ss_picture_fit(const ss_image *im, float *x, int h, int w, int c, ss_err *e);

/* x [h][w][c] = the picture, which is not larger, in the middle of a field of -1 (nearer to the
 * top and left by half a pixel where it cannot be in the middle). */
void ss_picture_pad(const ss_image *im, float *x, int h, int w, int c);

/* SS_USAGE unless a network of c channels can take pictures. */
ss_code ss_picture_check_channels(int c, ss_err *e);

#endif
