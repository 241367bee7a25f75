/* seams.h - do frames change more where windows meet than inside of them?
 *
 * A long video is made of windows of N frames, each M of them overlapping the one before. The joint
 * is where a window ends: between frame k (N - M) + N - 1 and the next, k = 0, 1, ... d[t] is any
 * number of the pair of frames t and t + 1, as their difference or their warping error.
 *
 *   score   mean of d at the joints - mean of d elsewhere
 *   p       share of all ways to place that many joints whose score is at least that large: counted
 *           where there are at most 20,000, else from 9,999 ways drawn, (1 + count) / 10,000. It
 *           takes pairs as exchangeable, and of n pairs with one joint it cannot be below 1 / n
 *
 * Where windows are not known, a search: series of d of several parts of the picture, and of
 * several videos made alike, are ranked each by itself, and where their ranks together stand out
 * most from both neighbours' is the place that is found,
 *
 *   contrast[t] = mean over series of rank[t] - mean(rank[t - 1], rank[t + 1])
 *
 * p is the share of 999 random orders, drawn for each series by itself, in which the largest
 * contrast is as large: what changes everywhere at once is found, what changes here or there, or
 * slowly, is not. A cut, or a movement of the whole picture that starts and stops, is found too.
 *
 * Source: Phipson & Smyth 2010, "Permutation p-values should never be zero".
 */
#ifndef SS_ANALYZE_VIDEO_SEAMS_H
#define SS_ANALYZE_VIDEO_SEAMS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SS_SEAMS_EXACT = 20000,
    SS_SEAMS_DRAWS = 9999,
    SS_SEAMS_ORDERS = 999,
    SS_SEAMS_SERIES = 1024
};

/* The joints of a video as indices of pairs, at most frames - 1, into `joint`; returns how many.
 * 0 <= overlap < window. */
int ss_seams_joints(int frames, int window, int overlap, int *joint);

typedef struct {
    int n;                 /* joints */
    double joints, inside; /* means of d */
    double score, p;       /* NaN without a joint, or without a pair that is none */
    bool exact;
} ss_seam;

/* Several series: the mean of their scores, joints placed in each by itself. d [series][n], finite
 * or NaN, which leaves the series out. */
ss_code ss_seams_test(const double *d, int series, int n, const int *joint, int n_joints,
                      uint64_t seed, ss_seam *out, ss_err *e);

typedef struct {
    int at;             /* pair; -1: less than 4 pairs, or no series */
    double contrast, p; /* in ranks; NaN with at -1 */
} ss_seam_found;

/* Searches; of more than SS_SEAMS_SERIES series it takes the first. */
ss_code ss_seams_search(const double *d, int series, int n, uint64_t seed, ss_seam_found *out,
                        ss_err *e);

#endif
