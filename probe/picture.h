/* picture.h - converts a picture in bytes to the channels, size and range that a network takes */
#ifndef SS_PROBE_PICTURE_H
#define SS_PROBE_PICTURE_H

#include "base/err.h"
#include "base/png.h"

/* x [h][w][c] = v / 127.5 - 1 of the picture, cut to its middle in the aspect of h and w, and
 * resampled.
 *
 * Along a side that shrinks, a value is the mean over the pixels that it covers, weighted by how
 * much of each it covers. Along a side that grows, it is interpolated linearly between the middles
 * of the nearest two pixels. A picture of the same size is not resampled.
 *
 * c is 1 or 3. RGB becomes gray by L = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to
 * a byte by the same integers as PIL's convert("L"); gray becomes RGB by repetition. */
ss_code ss_picture_fit(const ss_image *im, float *x, int h, int w, int c, ss_err *e);

/* x [h][w][c] = the picture in the middle of a field of -1, half a pixel nearer to the top and left
 * if it cannot be exactly there. The picture must not be larger than h x w. */
void ss_picture_pad(const ss_image *im, float *x, int h, int w, int c);

/* SS_USAGE unless a network of c channels can take pictures. */
ss_code ss_picture_check_channels(int c, ss_err *e);

#endif
