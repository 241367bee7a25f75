/* color.h - the colour map of pixels and cells
 *
 * Viridis goes from dark violet to yellow, for magnitudes: perceptually uniform, readable with any
 * colour vision and in print. S. van der Walt, N. Smith 2015, CC0.
 */
#ifndef SS_REPORTS_COLOR_H
#define SS_REPORTS_COLOR_H

#include <stdint.h>

typedef struct {
    uint8_t r, g, b;
} ss_rgb;

/* t from 0 to 1, limited to that; NaN is magenta, a colour that the map does not have. */
ss_rgb ss_viridis(double t);

/* Black or white, whichever has the better contrast on the ground (WCAG 2.1). */
ss_rgb ss_ink_on(ss_rgb ground);

#endif
