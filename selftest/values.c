/* values.c - the numbers that cases are run with (operation.h) */
#include "base/rng.h"
#include "selftest/operation.h"

#include <math.h>
#include <string.h>

#define X(name, text) text,
static const char *const names[] = {SS_CASE_VALUES(X)};
#undef X

const char *ss_case_values_name(ss_case_values v)
{
    return names[v];
}

/* Uniform numbers: of multiplications and additions alone, so that all machines have the same. */
static void uniform(ss_rng r, double low, double high, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(low + (high - low) * ss_rng_uniform(r, (uint64_t)i));
}

/* Weights get a size that keeps the size of what they are multiplied with. */
static double reach(const ss_case *k, int i)
{
    const ss_shape *s = &k->in[i];

    if (k->operation->operands[i] != 'p' || s->rank < 2 || s->dim[0] == 0)
        return 2;
    return sqrt(3 * (double)s->dim[0] / (double)ss_shape_numel(*s));
}

void ss_case_operand(const ss_case *k, int i, ss_case_values v, float *out, int64_t n)
{
    static const float single[SS_N_CASE_VALUES] = {[SS_VALUES_NAN] = NAN,
                                                   [SS_VALUES_INF] = INFINITY,
                                                   [SS_VALUES_MINUS_INF] = -INFINITY,
                                                   [SS_VALUES_HUGE] = 1e30f};
    const double size = reach(k, i);
    const ss_rng r = ss_rng_stream(1, k->operation->name, (uint64_t)i, (uint64_t)n);

    uniform(r, -size + 0.25, size + 0.25, out, n);
    if (i != 0 || n == 0)
        return;
    if (v == SS_VALUES_ZEROS)
        memset(out, 0, (size_t)n * sizeof *out);
    else if (v == SS_VALUES_TINY)
        uniform(r, -1e-39, 1e-39, out, n);
    else if (v != SS_VALUES_RANDOM)
        out[n / 2] = single[v];
}

void ss_case_seed(const ss_case *k, float *out, int64_t n)
{
    uniform(ss_rng_stream(1, k->operation->name, 99, (uint64_t)n), -1, 1.25, out, n);
}
