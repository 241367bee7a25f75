/* color_match.h - gives a picture the distribution of colours of another
 *
 * Each channel of CIE L*a*b* (D65, of sRGB; for gray the values themselves) is mapped so that the
 * share of pixels up to a value is that of the reference: a value goes to where the reference's
 * cumulative shares, joined by lines, reach its own. That holds frames to the colours of frame 0,
 * as Deforum's "Match Frame 0 LAB" does by skimage's match_histograms.
 */
#ifndef SS_PROBE_COLOR_MATCH_H
#define SS_PROBE_COLOR_MATCH_H

#include "base/err.h"

#include <stdint.h>

/* Changes x [pixels][c] to match `reference` [pixels][c]; values from -1 to 1, c 1 or 3. RGB that
 * leaves that range is cut to it. Pictures with values that are not finite stay as they are. */
ss_code ss_color_match(float *x, const float *reference, int64_t pixels, int c, ss_err *e);

#endif
