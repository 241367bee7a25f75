/* rank.h - effective rank of a matrix
 *
 *   p_i = s_i^2 / sum of s^2,   s the singular values
 *   effective rank = exp(-sum of p_i ln p_i)
 *
 * It is 1 when all rows are multiples of one, and min(rows, columns) when all singular values
 * are equal. p is the share of the energy that lies in each singular direction, so the number
 * does not change when the matrix is scaled, and a few huge rows hide the rest as they do in
 * the network. Roy & Vetterli 2007, "The effective rank: a measure of effective
 * dimensionality", EUSIPCO, take p_i = s_i / sum of s instead, which is larger: it counts weak
 * directions more. The matrix is taken as it is, its mean is not removed.
 */
#ifndef SS_ANALYZE_RANK_H
#define SS_ANALYZE_RANK_H

#include "base/err.h"

/* Work grows with the cube of the smaller side: 0.3 s at 1024 on one core. */
enum { SS_RANK_MAX_SIDE = 2048 };

/* *rank of x [rows][columns]; NaN where it is not defined: a matrix of zeros only, or one with
 * values that are not finite, or whose smaller side is over SS_RANK_MAX_SIDE. */
ss_code ss_effective_rank(const float *x, int rows, int columns, double *rank, ss_err *e);

#endif
