/* entropy.c - see entropy.h */
#include "attn/entropy.h"

#include <math.h>

double ss_entropy_normalised(double entropy, double keys)
{
    return keys >= 2 ? entropy / log(keys) : NAN;
}

bool ss_entropy_collapsed(double normalised)
{
    return normalised < SS_COLLAPSED_BELOW;
}

bool ss_attention_sink(double mass, double keys)
{
    return keys > SS_SINK_TIMES && mass >= SS_SINK_FROM && mass * keys >= SS_SINK_TIMES;
}

/* With m keys at the top. */
static double two_level_entropy(double m, double spread, double keys)
{
    const double b = exp(-spread), low = (keys - m) * b, z = m + low;

    return log(z) + spread * low / z;
}

double ss_entropy_least(double spread, double keys)
{
    const double b = exp(-spread);

    if (!(keys >= 2) || isnan(spread))
        return NAN;
    if (spread <= 0)
        return log(keys);

    const double m = keys * (spread / expm1(spread) - b) / (1 - b); /* where dH/dm = 0 */
    const double below = fmax(1, fmin(floor(m), keys - 1)), above = fmin(below + 1, keys - 1);

    return fmin(two_level_entropy(below, spread, keys), two_level_entropy(above, spread, keys));
}

double ss_entropy_spread(double entropy, double keys)
{
    const double want = fmax(entropy, 1e-12);
    double lo = 0, hi = 1;

    if (!(keys >= 2) || isnan(entropy))
        return NAN;
    if (want >= log(keys))
        return 0;
    while (ss_entropy_least(hi, keys) > want) /* ends: the bound falls as hi exp(-hi) */
        hi *= 2;
    for (int i = 0; i < 40; i++) { /* bisection, to 2^-40 of the interval */
        const double mid = (lo + hi) / 2;

        if (ss_entropy_least(mid, keys) > want)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}
