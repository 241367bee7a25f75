/* blob_metrics.h - is an activation map a blob?
 *
 * A map x is [h][w][c], or tokens [n][c] without a place in a picture. Its energy is the sum
 * of x^2; nothing is subtracted first.
 *
 *   rank           effective rank of the matrix [positions][channels] (rank.h)
 *   low            share of the energy in waves of at most one cycle per picture, the mean
 *                  included: |f| <= 1 as fft/plane.h measures it, all channels together. NaN
 *                  where a side is below 4, for there is nearly nothing else then; white noise
 *                  has 5/(h w) on a square
 *   cosine         cosine between the map and the sum of all other maps of the same module and
 *                  noise level, over inputs and samples: 1 when the input does not matter, 0
 *                  when maps have nothing in common. NaN for a single map
 *   top_channel    share of the energy in the channel that has most
 *   top_positions  share of it in the 1 % of positions (rounded up) that have most
 *   spread         participation ratio over positions, e the energy of one:
 *                  (sum e)^2 / (positions * sum e^2): 1 when all have the same, 1/positions
 *                  when one has all
 *   squareness     edges along the pixel grid against edges along its diagonals. With g the
 *                  gradient by Scharr's 3 x 3 operator at inner positions, t its direction:
 *                  per channel sum |g|^2 cos 4t / sum |g|^2, times 2 min(X, Y) / (X + Y) with
 *                  X = sum gx^2, Y = sum gy^2, so that stripes are no square; averaged over
 *                  channels with weight sum |g|^2. Rectangles have 1, discs and noise 0,
 *                  rectangles turned by 45 degrees -1. NaN where a side is below 3 or nothing
 *                  has an edge
 *
 * All are NaN for a map that is zero, or has a value that is not finite.
 *
 * A map is degenerate when at least two of these hold, or both where one is not known:
 *
 *   rank < 2    of a matrix whose smaller side is at least 4
 *   low > 0.75
 *   cosine > 0.85
 *
 * The limits lie between what a healthy and a diverging network were measured to have in their
 * last decoder block: rank 4.1 and 1.6, low 0.58 and 0.87, cosine 0.74 and 0.92 (low and pure
 * noise).
 *
 * Scharr 2000, "Optimale Operatoren in der digitalen Bildverarbeitung", Heidelberg.
 */
#ifndef SS_ANALYZE_BLOB_METRICS_H
#define SS_ANALYZE_BLOB_METRICS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SS_BLOBS(X)            \
    X(RANK, "rank")            \
    X(LOW, "lf")               \
    X(COSINE, "cos")           \
    X(TOP_CHANNEL, "channel")  \
    X(TOP_POSITIONS, "top 1%") \
    X(SPREAD, "spread")        \
    X(SQUARENESS, "square")
#define X(name, text) SS_BLOB_##name,
typedef enum { SS_BLOBS(X) SS_N_BLOBS } ss_blob;
#undef X

const char *ss_blob_name(ss_blob b);

typedef struct {
    int h, w; /* 0 for tokens */
    int positions, channels;
} ss_map_shape;

/* values: [SS_N_BLOBS] by ss_blob. The cosine is NaN: it takes other maps too. */
ss_code ss_blob_measure(const float *x, const ss_map_shape *shape, double *values, ss_err *e);

/* The cosine of x [n] with sum - x; NaN where either is 0 or not finite. */
double ss_blob_cosine(const float *x, const double *sum, int64_t n);

bool ss_blob_degenerate(const float *values, const ss_map_shape *shape);

#endif
