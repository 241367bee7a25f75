/* power_law.h - y = c x^b through measured points, with its errors, and where it reaches a value
 *
 * Least squares on logarithms. With u = ln x, v = ln y, over n points,
 *
 *   v = a + b u + e,   e independent, normal, of equal size
 *   b = Suv / Suu,     s^2 = sum (v - a - b u)^2 / (n - 2),    error of b = s / sqrt(Suu)
 *   R^2 = 1 - sum (v - a - b u)^2 / Svv
 *
 * Intervals hold 95 % and use Student's t with n - 2 degrees of freedom. A parabola through the
 * points tests whether they lie on a line at all: its quadratic coefficient against its own error,
 * with n - 3 degrees of freedom. With few points that test misses what is plain to see, so points
 * also bend where they scatter about the line by a factor of 2 and more (s >= ln 2) and the
 * parabola takes away two thirds of that; and where they scatter as much without, they follow no
 * law, and no line is straight enough to say where it leads.
 *
 * Points along one training run are not quite independent, and a law need not go on to hold, so
 * intervals are optimistic: they know the scatter about the line and nothing else.
 *
 * Sources: Draper & Smith, Applied Regression Analysis, 3rd ed. 1998, sections 1.4 and 3.2;
 * Fieller 1954, J. R. Statist. Soc. B 16, 175-185.
 */
#ifndef SS_ANALYZE_POWER_LAW_H
#define SS_ANALYZE_POWER_LAW_H

#include <stdbool.h>

/* How the points bend, by a parabola through them. UNKNOWN: fewer than 4 points; NO_LAW: they
 * scatter about any line. */
typedef enum { SS_BEND_UNKNOWN, SS_BEND_NONE, SS_BEND_UP, SS_BEND_DOWN, SS_BEND_NO_LAW } ss_bend;

typedef struct {
    int n;                   /* points that count: x and y positive and finite */
    double a, b;             /* NaN with fewer than two different x */
    double error, low, high; /* of b, and its interval; NaN with n < 3 */
    double r2;               /* NaN where all y are equal */
    ss_bend bend;
    double s, mean_u, mean_v, suu; /* s is NaN with n < 3 */
} ss_power_law;

/* x, y: [n], borrowed; points that do not count are left out. */
ss_power_law ss_power_law_fit(const double *x, const double *y, int n);

/* Is there a line to speak of? False with fewer than three points, and where they scatter about it
 * by a factor of 2 and more, bent or not. A slight bend is reported, and the line still holds. */
bool ss_power_law_holds(const ss_power_law *p);

/* Where the line reaches y, and from where to where a measured point may reach it: the x at which
 * y lies inside the 95 % interval of a new point (inverse prediction, Fieller's theorem),
 *
 *   (a + b u - ln y)^2 <= t^2 s^2 (1 + 1/n + (u - mean u)^2 / Suu)
 *
 * All three are NaN where the line does not certainly rise: b <= 0, or its interval holds 0.
 * Two points have no interval, so there all three are NaN, too. Values may be infinite where
 * exp() is. */
typedef struct {
    double at, low, high;
} ss_crossing;
ss_crossing ss_power_law_reach(const ss_power_law *p, double y);

/* The t for which |T| <= t with the probability p, 0 < p < 1, T of Student's distribution with
 * df >= 1 degrees of freedom. Source: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4, inverted by
 * bisection; relative error below 1e-12. */
double ss_student_t(double p, int df);

#endif
