/* decision.c - see decision.h */
#include "analyze/math/decision.h"

#include "analyze/math/power_law.h"

#include <math.h>

static const double LEVEL = 0.95;

static bool counts(double x, bool ratio)
{
    return isfinite(x) && (!ratio || x > 0);
}

static double scale(double x, bool ratio)
{
    return ratio ? log(x) : x;
}

static double back(double x, bool ratio)
{
    return ratio ? exp(x) : x;
}

/* Half the width of the interval of the mean of n. */
static double half_width(double s, int n)
{
    return ss_student_t(LEVEL, n - 1) * s / sqrt(n);
}

static int seeds_needed(double s, double distance, int from)
{
    int n = from > SS_LEAST_SEEDS ? from : SS_LEAST_SEEDS;

    if (!(distance > 0))
        return 0;
    while (n < SS_MANY_SEEDS && half_width(s, n) >= distance)
        n++;
    return n;
}

ss_decision ss_decide(const double *x, int n, double threshold, bool ratio)
{
    const double at = scale(threshold, ratio);
    ss_decision d = {.mean = NAN, .low = NAN, .high = NAN, .least = NAN, .most = NAN};
    double sum = 0, squares = 0;

    for (int i = 0; i < n; i++) {
        if (!counts(x[i], ratio)) {
            d.missing++;
            continue;
        }
        d.n++;
        d.n_over += x[i] > threshold;
        d.least = fmin(d.least, x[i]);
        d.most = fmax(d.most, x[i]);
        sum += scale(x[i], ratio);
    }
    if (d.n == 0)
        return d;

    const double mean = sum / d.n;

    d.mean = back(mean, ratio);
    if (d.n < 2)
        return d;
    for (int i = 0; i < n; i++) {
        if (counts(x[i], ratio))
            squares += pow(scale(x[i], ratio) - mean, 2);
    }
    const double s = sqrt(squares / (d.n - 1)), half = half_width(s, d.n);

    d.low = back(mean - half, ratio);
    d.high = back(mean + half, ratio);
    if (d.n >= SS_LEAST_SEEDS && d.missing == 0 && d.n_over == d.n && mean - half > at)
        d.side = SS_SIDE_OVER;
    else if (d.n >= SS_LEAST_SEEDS && d.missing == 0 && d.n_over == 0 && mean + half < at)
        d.side = SS_SIDE_UNDER;
    else
        d.needed = seeds_needed(s, fabs(mean - at), d.n + 1);
    return d;
}
