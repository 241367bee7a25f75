/* frechet.h - how far two clouds of features are apart, as if both were normal distributions
 *
 *   d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))
 *
 * is the squared Fréchet (2-Wasserstein) distance of N(m1, S1) and N(m2, S2), which is what is
 * reported as FID (features of pictures) and FVD (of videos). The features may come
 * from anywhere.
 *
 * The root is never taken: with S1 = A A^T and S2 = B B^T (Cholesky, with pivots, so that singular
 * ones pass) the trace of (S1 S2)^(1/2) is the sum of the singular values of A^T B, and those are
 * the positive eigenvalues of [0, A^T B; B^T A, 0]. Squares of them would cost half of the digits.
 *
 * Of n rows the distance is too large, by about C / n: compare distances of as many rows only, or
 * take the bootstrap's estimate of that bias off (score.h).
 *
 * Sources: Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions";
 * Heusel et al. 2017, "GANs trained by a two time-scale update rule" (FID).
 */
#ifndef SS_ANALYZE_FRECHET_H
#define SS_ANALYZE_FRECHET_H

#include "base/err.h"

#include <stdint.h>

typedef struct {
    int n;              /* dimensions */
    double *mean;       /* [n] */
    double *covariance; /* [n][n], symmetric */
} ss_gaussian;

/* Mean and covariance of x [rows][n]. Row i counts as weight[i], which add up to 1; NULL: all
 * alike. With s the sum of their squares (1 / rows, where all are alike), the covariance is
 * divided by 1 - s and so without bias; of one row it is 0. SS_FORMAT for values that are not
 * finite, SS_USAGE for no rows. */
ss_code ss_gaussian_of(const float *x, int64_t rows, int n, const double *weight, ss_gaussian *g,
                       ss_err *e);
void ss_gaussian_release(ss_gaussian *g); /* {0} is fine */

/* The squared distance, 0 and above. Covariances may be singular; what is negative in them by more
 * than rounding is SS_FORMAT, and so is what is not finite; SS_SHAPE for different dimensions. */
ss_code ss_frechet_distance(const ss_gaussian *a, const ss_gaussian *b, double *distance,
                            ss_err *e);

#endif
