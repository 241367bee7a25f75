/* clock.c - taking turns: what disturbs the machine disturbs all sides alike
 *
 * Medians of times, and of the ratios within each round, which a slow drift of the clock rate or
 * of other load leaves alone.
 */
#include "base/mem.h"
#include "tests/bench/bench.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { MIN_ROUNDS = 3, MAX_ROUNDS = 401 };

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    for (int i = 0; i < n; i++)
        if (isnan(v[i]))
            return NAN;
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

void bench_alternate(bench_side *sides, int n, double seconds)
{
    double *times = ss_alloc((size_t)n * MAX_ROUNDS, sizeof *times); /* [side][round] */
    double *ratios = ss_alloc(MAX_ROUNDS, sizeof *ratios);
    int rounds = 0;

    if (!times || !ratios)
        bench_die("out of memory");
    for (int s = 0; s < n; s++)
        sides[s].run(sides[s].state);
    const double start = bench_now();
    while (rounds < MIN_ROUNDS || (rounds < MAX_ROUNDS && bench_now() - start < seconds)) {
        for (int i = 0; i < n; i++) {
            const int s = rounds % 2 ? n - 1 - i : i; /* so that none always comes after another */

            times[s * MAX_ROUNDS + rounds] = sides[s].run(sides[s].state);
        }
        rounds++;
    }
    for (int s = 0; s < n; s++) {
        for (int r = 0; r < rounds; r++)
            ratios[r] = times[s * MAX_ROUNDS + r] / times[r];
        sides[s].to_first = median(ratios, rounds);
    }
    for (int s = 0; s < n; s++)
        sides[s].median = median(times + s * MAX_ROUNDS, rounds);
    ss_free(times);
    ss_free(ratios);
}
