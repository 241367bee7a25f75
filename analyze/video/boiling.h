/* boiling.h - fast changes of what should stay the same: the spectrum over time, along the motion
 *
 * Points start at every pixel of the first frame of a window of T = min(F, 16) frames and follow
 * the flow to its last one; a point that is hidden on the way is left out. Windows begin every T /
 * 2 frames. Along a point, brightness s[t] splits into
 *
 *   still    square of its mean over t
 *   change   P[k] = |sum_t z[t] (s[t] - mean) exp(-2 pi i k t / T)|^2 (2 for 0 < k < T/2)
 *                   / (T sum z^2),   k = 0 .. T/2,   z = sin^2(pi (t + 1/2) / T)
 *   fast     sum of P[k] with k > T/8: above a quarter of the Nyquist frequency
 *
 * each averaged over points and windows, unit grey levels squared. z keeps slow changes out of fast
 * ones; the sum of P is the mean square of the change where that is noise. `share` is fast /
 * change.
 *
 * Once for the whole picture, and once for each octave of it: differences of the picture after
 * Gaussian filters of 0.75, 1.5, 3 ... pixels, that is, waves of 2 to 4, 4 to 8, 8 to 16 ...
 * pixels, and what is left of longer ones. Of the picture and of the longest its overall mean is
 * taken off.
 *
 * A still video has only `still`. Noise of standard deviation s that is drawn again for every frame
 * has fast = 11/16 s^2 (5/8 s^2 for T = 8). What the flow does not follow, and rounding between
 * pixels, counts as change: in fine textures a few hundredths of a pixel are some grey levels.
 */
#ifndef SS_ANALYZE_VIDEO_BOILING_H
#define SS_ANALYZE_VIDEO_BOILING_H

#include "analyze/video/movement.h"

/* Less change than the rounding of bytes makes has no share to speak of: 1/12. */
#define SS_BOILING_LEAST_CHANGE (1.0 / 12)

enum { SS_BOILING_LEAST = 8, SS_BOILING_FRAMES = 16, SS_BOILING_BANDS = 10 };

typedef struct {
    double finest, coarsest; /* wavelengths in pixels; 0 and inf for the whole picture */
    double still, change, fast;
    double share;                            /* NaN where nothing changes */
    double power[SS_BOILING_FRAMES / 2 + 1]; /* P */
} ss_boiling_band;

typedef struct {
    int frames, windows; /* T; 0: the video has less than SS_BOILING_LEAST */
    int n_bands;         /* the first is the whole picture */
    double followed;     /* share of the points that reach the end; 0: nothing else is defined */
    ss_boiling_band band[SS_BOILING_BANDS];
} ss_boiling;

ss_code ss_boiling_find(const ss_video *v, const ss_movement *m, ss_boiling *b, ss_err *e);

#endif
