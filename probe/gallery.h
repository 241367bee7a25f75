/* gallery.h - draws samples: one by one, and all on a contact sheet */
#ifndef SS_PROBE_GALLERY_H
#define SS_PROBE_GALLERY_H

#include "base/png.h"
#include "base/sample_size.h"

#include <stdint.h>

/* Draws a sample x: low is black, high is white, values beyond them are clipped, and those that are
 * not finite are magenta. One channel is gray, three are RGB. Other numbers of channels are
 * latents, which have no colours: the channels are side by side in gray, each from its smallest to
 * its largest value. Frames of a video follow one another from left to right, without gaps, so that
 * they can be cut apart; SS_UNSUPPORTED if they are wider than a PNG file may be. The caller
 * releases *im. */
ss_code ss_gallery_draw(const float *x, ss_sample_size size, float low, float high, ss_image *im,
                        ss_err *e);

/* Returns how many of n values are not finite; *absmax: the largest |x| of the others, 0 if there
 * are none. */
int64_t ss_gallery_measure(const float *x, int64_t n, double *absmax);

/* Puts pictures [rows][columns] on one sheet in mid-gray, with thin gaps; tiny ones are enlarged by
 * a whole factor. Those that a PNG file has no room for are left out, at the right and at the
 * bottom.
 */
ss_code ss_gallery_sheet(const ss_image *pictures, int rows, int columns, ss_image *sheet,
                         ss_err *e);

#endif
