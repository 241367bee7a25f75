/* power_law.c - see power_law.h */
#include "analyze/math/power_law.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

static const double LEVEL = 0.95;

/* P(|T| <= t) with theta = atan(t / sqrt(df)): finite series, exact. */
static double probability_within(double theta, int df)
{
    const double c = cos(theta), s = sin(theta);
    double term = df % 2 ? c : 1, sum = 0;

    for (int k = df % 2 ? 3 : 2; k <= df; k += 2) {
        sum += term;
        term *= c * c * (k - 1) / k;
    }
    return df % 2 ? 2 / M_PI * (theta + s * sum) : s * sum;
}

double ss_student_t(double p, int df)
{
    double low = 0, high = M_PI / 2;

    assert(p > 0 && p < 1 && df >= 1);
    for (int i = 0; i < 64; i++) {
        double mid = (low + high) / 2;

        if (probability_within(mid, df) < p)
            low = mid;
        else
            high = mid;
    }
    return sqrt(df) * tan((low + high) / 2);
}

static bool counts(double x, double y)
{
    return x > 0 && y > 0 && isfinite(x) && isfinite(y);
}

/* The parabola's part that is orthogonal to the line: w = u^2 without its mean and its slope,
 * all about mean u. sse: what the line leaves. */
static ss_bend bend_of(const double *x, const double *y, int n, const ss_power_law *p, double sse)
{
    double u3 = 0, u4 = 0, u2 = p->suu / p->n, sww = 0, swv = 0;

    for (int i = 0; i < n; i++) {
        double u = counts(x[i], y[i]) ? log(x[i]) - p->mean_u : 0;

        u3 += u * u * u;
        u4 += u * u * u * u;
    }
    for (int i = 0; i < n; i++) {
        if (counts(x[i], y[i])) {
            double u = log(x[i]) - p->mean_u, w = u * u - u2 - u3 / p->suu * u;

            sww += w * w;
            swv += w * (log(y[i]) - p->mean_v - p->b * u);
        }
    }
    /* three different x are on a parabola; with less there is none */
    if (p->n < 4 || sww <= 1e-12 * u4)
        return SS_BEND_UNKNOWN;
    const double left = fmax(0, sse - swv * swv / sww);
    const double t = ss_student_t(LEVEL, p->n - 3);
    const bool scatters = p->s >= M_LN2;

    if (swv * swv / sww > t * t * left / (p->n - 3) || (scatters && left <= sse / 3))
        return swv > 0 ? SS_BEND_UP : SS_BEND_DOWN;
    return scatters ? SS_BEND_NO_LAW : SS_BEND_NONE;
}

ss_power_law ss_power_law_fit(const double *x, const double *y, int n)
{
    ss_power_law p = {.error = NAN, .low = NAN, .high = NAN, .s = NAN, .r2 = NAN};
    double u0 = NAN, v0 = NAN, suv = 0, svv = 0, sse = 0;

    for (int i = 0; i < n; i++) { /* about the first point: equal values have no spread at all */
        if (counts(x[i], y[i])) {
            u0 = p.n ? u0 : log(x[i]);
            v0 = p.n ? v0 : log(y[i]);
            p.mean_u += log(x[i]) - u0;
            p.mean_v += log(y[i]) - v0;
            p.n++;
        }
    }
    p.mean_u = u0 + p.mean_u / p.n;
    p.mean_v = v0 + p.mean_v / p.n;
    for (int i = 0; i < n; i++) {
        if (counts(x[i], y[i])) {
            double u = log(x[i]) - p.mean_u, v = log(y[i]) - p.mean_v;

            p.suu += u * u;
            suv += u * v;
            svv += v * v;
        }
    }
    p.b = p.n > 1 && p.suu > 0 ? suv / p.suu : NAN;
    p.a = p.mean_v - p.b * p.mean_u;
    if (isnan(p.b))
        return p;
    for (int i = 0; i < n; i++) {
        if (counts(x[i], y[i])) {
            double residual = log(y[i]) - p.a - p.b * log(x[i]);

            sse += residual * residual;
        }
    }
    p.r2 = svv > 0 ? fmax(0, 1 - sse / svv) : NAN;
    if (p.n < 3)
        return p;
    p.s = sqrt(sse / (p.n - 2));
    p.error = p.s / sqrt(p.suu);
    p.low = p.b - ss_student_t(LEVEL, p.n - 2) * p.error;
    p.high = p.b + ss_student_t(LEVEL, p.n - 2) * p.error;
    p.bend = bend_of(x, y, n, &p, sse);
    return p;
}

bool ss_power_law_holds(const ss_power_law *p)
{
    /* with three points a bend and scatter cannot be distinguished; the interval covers both */
    return p->n == 3 || (p->n > 3 && p->s < M_LN2);
}

ss_crossing ss_power_law_reach(const ss_power_law *p, double y)
{
    const ss_crossing never = {NAN, NAN, NAN};
    const double rise = log(y) - p->mean_v;

    if (p->n < 3 || !(p->b > 0) || p->low <= 0)
        return never;
    ss_crossing c = {exp(p->mean_u + rise / p->b), NAN, NAN};
    /* the quadratic in d = u - mean u; g < 1 because the interval of b does not hold 0 */
    const double ts = ss_student_t(LEVEL, p->n - 2) * p->s / p->b;
    const double g = ts * ts / p->suu, d = rise / p->b;
    const double half = ts * sqrt(d * d / p->suu + (1 + 1.0 / p->n) * (1 - g));

    c.low = exp(p->mean_u + (d - half) / (1 - g));
    c.high = exp(p->mean_u + (d + half) / (1 - g));
    return c;
}
