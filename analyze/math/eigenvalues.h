/* eigenvalues.h - of a symmetric matrix */
#ifndef SS_ANALYZE_EIGENVALUES_H
#define SS_ANALYZE_EIGENVALUES_H

#include "base/err.h"

/* The eigenvalues of the symmetric a [n][n], in no order, into values [n]: Householder
 * reduction to tridiagonal form, then QL steps with implicit shifts (Golub & Van Loan 2013,
 * "Matrix computations", sections 8.3.1 and 8.3.3). Each is off by a few times 1e-16 of the
 * largest. SS_FORMAT when they do not converge, as with values that are not finite. */
ss_code ss_symmetric_eigenvalues(const double *a, int n, double *values, ss_err *e);

#endif
