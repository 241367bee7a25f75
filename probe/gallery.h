/* gallery.h - samples as pictures: one by one, and all on a contact sheet */
#ifndef SS_PROBE_GALLERY_H
#define SS_PROBE_GALLERY_H

#include "base/png.h"
#include "base/sample_size.h"

#include <stdint.h>

/* A sample x as a picture, low black and high white; what is beyond is clipped, what is not
 * finite magenta. One channel is gray, three are RGB. Others are no colours (latents): the
 * channels lie side by side in gray, each from its own smallest to its own largest value. Frames of
 * a video follow one another from left to right, without gaps, so that they can be cut apart; where
 * they are wider than a PNG file may be, SS_UNSUPPORTED. *im is released by the caller. */
ss_code ss_gallery_draw(const float *x, ss_sample_size size, float low, float high, ss_image *im,
                        ss_err *e);

/* How many of n values are not finite, and the largest |x| of the others, 0 where there are none.
 */
int64_t ss_gallery_measure(const float *x, int64_t n, double *absmax);

/* All pictures [rows][columns] on one sheet in mid-gray: thin gaps, tiny pictures repeated by a
 * whole factor. Those that a PNG file has no room for are left out, at the right and at the bottom.
 */
ss_code ss_gallery_sheet(const ss_image *pictures, int rows, int columns, ss_image *sheet,
                         ss_err *e);

#endif
