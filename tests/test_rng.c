/* test_rng.c - Philox against its known answers, and the laws of what is drawn from it */
#include "base/rng.h"
#include "tests/ss_test.h"

#include <omp.h>

/* Random123 1.14, tests/kat_vectors, lines "philox4x32 10": counter, key, answer. */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t i, stream, seed;
        uint32_t want[4];
    } cases[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88,
         0x0370734413198a2e,
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t k = 0; k < N_OF(cases); k++) {
        ss_rng r = {cases[k].seed, cases[k].stream};
        uint32_t got[4];

        ss_rng_block(r, cases[k].i, got);
        assert_memory_equal(got, cases[k].want, sizeof got);
        for (uint64_t w = 0; w < 4 && cases[k].i < UINT64_MAX / 4; w++)
            assert_int_equal(ss_rng_u32(r, 4 * cases[k].i + w), got[w]);
    }
}

/* The inverse of the normal law at the words of the first known answer, with 20 digits by
 * mpmath 1.3: sqrt(2) erfinv(2 (word + 1/2) / 2^32 - 1). */
static void test_normals_at_known_words(void **state)
{
    (void)state;
    static const double want[] = {-0.25581597043298149869, 1.177591239172135126,
                                  0.63018365635604347567, 0.26756224939052000406};

    for (uint64_t i = 0; i < N_OF(want); i++) /* worst seen: 1.5e-16 */
        assert_true(fabs(ss_rng_normal((ss_rng){0, 0}, i) - want[i]) < 4e-16);
}

/* Phi(z(u)) = u for as many u as one likes, far into both tails. */
static void test_normal_inverts_the_law(void **state)
{
    (void)state;
    ss_rng r = ss_rng_stream(1, "tails", 0, 0);
    double worst = 0, largest = 0;

    for (uint64_t i = 0; i < 1 << 20; i++) {
        double u = ss_rng_uniform(r, i), z = ss_rng_normal(r, i);
        double tail = u < 0.5 ? u : 1 - u;

        worst = fmax(worst, fabs(0.5 * erfc(fabs(z) / sqrt(2)) - tail) / tail);
        largest = fmax(largest, fabs(z));
        assert_true((z < 0) == (u < 0.5));
    }
    assert_true(worst < 5e-14); /* worst seen: 1.1e-14, about z^2 times the rounding of z */
    assert_true(largest > 4.5);
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void test_normal_law(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    float *x = malloc(N * sizeof *x);
    double sum[5] = {0}, ks = 0, lag = 0;

    ss_rng_normals(ss_rng_stream(7, "noise", 2, 3), 0, x, N);
    for (int i = 0; i < N; i++) {
        double p = 1;

        for (int k = 1; k <= 4; k++)
            sum[k] += (p *= x[i]) / N;
        lag += i ? (double)x[i] * x[i - 1] / N : 0;
    }
    /* Each bound is five standard errors. */
    double se = 5 / sqrt(N);

    assert_true(fabs(sum[1]) < se);
    assert_true(fabs(sum[2] - 1) < se * sqrt(2));
    assert_true(fabs(sum[3]) < se * sqrt(15));
    assert_true(fabs(sum[4] - 3) < se * sqrt(96));
    assert_true(fabs(lag) < se);

    qsort(x, N, sizeof *x, ascending);
    for (int i = 0; i < N; i++) {
        double phi = 0.5 * erfc(-x[i] / sqrt(2));

        ks = fmax(ks, fmax(phi - (double)i / N, (i + 1.0) / N - phi));
    }
    assert_true(ks < 1.95 / sqrt(N)); /* Kolmogorov's law: p = 0.001 */
    free(x);
}

static void test_any_order_draws_the_same(void **state)
{
    (void)state;
    enum { N = 1000 };
    ss_rng r = ss_rng_stream(3, "order", 0, 0);
    float all[N], pieces[N], threads[N], one[N];

    ss_rng_normals(r, 5, all, N);
    for (int at = N, n; at > 0; at -= n) { /* backwards, in pieces of 1 to 7 */
        n = at % 7 + 1 < at ? at % 7 + 1 : at;
        ss_rng_normals(r, (uint64_t)(5 + at - n), pieces + at - n, (size_t)n);
    }
#pragma omp parallel for num_threads(4) schedule(static, 1)
    for (int i = 0; i < N; i++)
        ss_rng_normals(r, (uint64_t)(5 + i), threads + i, 1);
    for (int i = 0; i < N; i++)
        one[i] = (float)ss_rng_normal(r, (uint64_t)(5 + i));
    assert_memory_equal(pieces, all, sizeof all);
    assert_memory_equal(threads, all, sizeof all);
    assert_memory_equal(one, all, sizeof all);
}

static void test_streams_differ(void **state)
{
    (void)state;
    ss_rng r[] = {
        ss_rng_stream(1, "noise", 0, 0), ss_rng_stream(2, "noise", 0, 0),
        ss_rng_stream(1, "nois", 0, 0),  ss_rng_stream(1, "noise", 1, 0),
        ss_rng_stream(1, "noise", 0, 1), ss_rng_stream(1, "noise", 1, 1),
        ss_rng_stream(1, "", 0, 0),
    };

    for (size_t i = 0; i < N_OF(r); i++) {
        for (size_t j = 0; j < i; j++) {
            double dot = 0;

            for (uint64_t k = 0; k < 4096; k++)
                dot += ss_rng_normal(r[i], k) * ss_rng_normal(r[j], k) / 4096;
            assert_true(fabs(dot) < 5 / sqrt(4096));
        }
    }
    ss_rng again = ss_rng_stream(1, "noise", 0, 0);
    assert_memory_equal(&again, &r[0], sizeof again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_normals_at_known_words),
        cmocka_unit_test(test_normal_inverts_the_law),
        cmocka_unit_test(test_normal_law),
        cmocka_unit_test(test_any_order_draws_the_same),
        cmocka_unit_test(test_streams_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
