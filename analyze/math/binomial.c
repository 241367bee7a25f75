/* binomial.c - see binomial.h */
#include "analyze/math/binomial.h"

#include <math.h>

/* P(X >= k | p) of n trials. */
static double tail(int64_t k, int64_t n, double p)
{
    const double log_p = log(p), log_q = log1p(-p), all = lgamma((double)n + 1);
    double sum = 0;

    if (k <= 0)
        return 1;
    for (int64_t i = n; i >= k; i--)
        sum += exp(all - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * log_p +
                   (double)(n - i) * log_q);
    return sum < 1 ? sum : 1;
}

/* The p at which P(X >= k | p), which grows with p, is `wanted`; 0 < k <= n. */
static double solve(int64_t k, int64_t n, double wanted)
{
    double low = 0, high = 1;

    while (high - low > 1e-13) {
        const double p = (low + high) / 2;

        if (tail(k, n, p) < wanted)
            low = p;
        else
            high = p;
    }
    return (low + high) / 2;
}

void ss_binomial_interval(int64_t k, int64_t n, double *low, double *high)
{
    *low = k > 0 ? solve(k, n, 0.025) : 0;
    *high = k < n ? solve(k + 1, n, 0.975) : 1; /* P(X <= k) = 1 - P(X >= k + 1) */
}

double ss_binomial_fair(int64_t k, int64_t n)
{
    const int64_t more = k > n - k ? k : n - k;
    const double p = 2 * tail(more, n, 0.5);

    return p < 1 ? p : 1;
}
