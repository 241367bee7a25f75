/* measure.h - everything that is measured of one video
 *
 *   ss_video_measures m;
 *   rc = ss_video_measure(&video, &opt, &m, &err);
 *   printf("%g\n", m.value[SS_VIDEO_FLICKER]);
 *   ss_video_measures_release(&m);
 *
 * What a video is too short for, or which is not finite, is NaN.
 */
#ifndef SS_ANALYZE_VIDEO_MEASURE_H
#define SS_ANALYZE_VIDEO_MEASURE_H

#include "analyze/video/boiling.h"
#include "analyze/video/change.h"
#include "analyze/video/features.h"
#include "analyze/video/seams.h"

/* One number a video, by which videos and models are compared: name, heading, printf format. */
#define SS_VIDEO_MEASURES(X)                                                                \
    X(FLICKER, "flicker", "%.4f")          /* VBench's, 1 is still */                       \
    X(DIFFERENCE, "difference", "%.3f")    /* between frames, grey levels */                \
    X(SECOND, "second difference", "%.3f") /* grey levels */                                \
    X(SPEED, "speed", "%.3f")              /* mean over pairs, pixels a frame */            \
    X(TOP, "top 5 %", "%.3f")              /* speed of what moves most, mean over pairs */  \
    X(DYNAMIC, "dynamic", "%.2f")          /* 0 or 1 */                                     \
    X(HIDDEN, "hidden", "%.3f")            /* share of pixels without a partner */          \
    X(WARPING, "warping error", "%.3f")    /* grey levels */                                \
    X(BOILING, "boiling", "%.3f")          /* sqrt of `fast` of the picture, grey levels */ \
    X(SHARE, "fast share", "%.3f")         /* of the change along the motion */             \
    X(SEAM, "seam", "%.3f")                /* score of the differences, grey levels */      \
    X(MEAN_DRIFT, "brightness", "%.2f")    /* trend over the video, grey levels */          \
    X(STD_DRIFT, "contrast", "%.2f")       /* trend of the standard deviation */            \
    X(COLOUR_DRIFT, "colour", "%.2f")      /* of the last frame from the first, CIELAB */   \
    X(LOW_DRIFT, "large shapes", "%.2f")   /* of the last frame from the first, grey levels */

#define X(name, text, format) SS_VIDEO_##name,
typedef enum { SS_VIDEO_MEASURES(X) SS_VIDEO_N_MEASURES } ss_video_measure_id;
#undef X

const char *ss_video_measure_name(ss_video_measure_id k);   /* "warping error" */
const char *ss_video_measure_format(ss_video_measure_id k); /* "%.3f" */

typedef struct {
    int window, overlap; /* of which long videos are made; window 0: not known */
    uint64_t seed;       /* of permutations */
} ss_video_options;

typedef struct {
    ss_sample_size size;
    int64_t not_finite; /* values that are inf or NaN; if any, nothing else is defined */
    double value[SS_VIDEO_N_MEASURES];
    double *difference, *second; /* [F - 1], [F - 2] */
    ss_change_look *look;        /* [F] */
    ss_movement movement;
    ss_boiling boiling;
    int n_tiles;
    double *tile;              /* [n_tiles][F - 1] */
    ss_seam seam, warped_seam; /* of differences, and of warping errors */
    ss_seam_found found;       /* searched over all frames */
    float features[SS_VIDEO_FEATURES];
} ss_video_measures;

ss_code ss_video_measure(const ss_video *v, const ss_video_options *opt, ss_video_measures *m,
                         ss_err *e);
void ss_video_measures_release(ss_video_measures *m); /* {0} is fine */

/* Lets go of the flow, which is by far the largest part. */
void ss_video_measures_shrink(ss_video_measures *m);

#endif
