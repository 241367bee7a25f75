/* Statistics of tensors against a naive loop in double, value by value, on data that is hard:
 * NaN, inf, subnormals, -0, huge values, |mean| >> std, odd sizes, several samples. */
#include "kernels/context.h"
#include "kernels/results.h"
#include "kernels/stats.h"
#include "tests/ss_isa.h"

#include <float.h>
#include <stdio.h>

static uint32_t seed;

/* Evenly in [-1, 1) */
static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)(seed ^ seed >> 16) * 0x1p-31f;
}

static float plain(int64_t i)
{
    (void)i;
    return random_value() * 3;
}

static float offset(int64_t i) /* mean / std is 2e5 */
{
    (void)i;
    return 10000 + random_value() * 0.1f;
}

static float offset_late(int64_t i) /* nothing finite where a sum would find its origin */
{
    return i < 20000 ? NAN : offset(i);
}

static float mixed(int64_t i)
{
    static const float special[] = {NAN,      INFINITY,  -INFINITY,  0,       -0.0f, FLT_MAX,
                                    -FLT_MAX, 0x1p-149f, -0x1p-130f, FLT_MIN, 1,     0x1.fffffep0f};

    return i % 3 ? random_value() : special[i / 3 % (int64_t)N_OF(special)];
}

static float huge(int64_t i)
{
    (void)i;
    return random_value() * 1e30f;
}

static float tiny(int64_t i)
{
    (void)i;
    return random_value() * 0x1p-130f;
}

static float small(int64_t i) /* squares have few digits in f32 */
{
    (void)i;
    return random_value() * 0x1p-70f;
}

static float outlier_first(int64_t i)
{
    return i == 0 ? 1e20f : random_value();
}

static float rarely_finite(int64_t i)
{
    return i % 70000 == 69999 ? random_value() : i % 2 ? NAN : INFINITY;
}

static float never_finite(int64_t i)
{
    return i % 2 ? NAN : -INFINITY;
}

static float constant(int64_t i)
{
    (void)i;
    return -0.1f;
}

static float minus_zero(int64_t i)
{
    (void)i;
    return -0.0f;
}

static float any_exponent(int64_t i) /* all but that of infinities */
{
    const int exponent = (int)(i * 2654435761 % 0xffffffff % 255);

    return ldexpf(1.5f, exponent - 127);
}

static float mostly_zero(int64_t i)
{
    return i % 37 ? 0 : random_value();
}

static float far_apart(int64_t i) /* far below the largest value, and few of it */
{
    return i % 50 ? random_value() * 1e-5f : random_value() * 1e5f;
}

static const struct {
    const char *name;
    float (*value)(int64_t i);
} kinds[] = {
    {"plain", plain},
    {"offset", offset},
    {"offset late", offset_late},
    {"mixed", mixed},
    {"huge", huge},
    {"tiny", tiny},
    {"small", small},
    {"outlier first", outlier_first},
    {"rarely finite", rarely_finite},
    {"never finite", never_finite},
    {"constant", constant},
    {"minus zero", minus_zero},
    {"any exponent", any_exponent},
    {"mostly zero", mostly_zero},
    {"far apart", far_apart},
};

static ss_stats naive(const float *x, int64_t n)
{
#define X(name) .name = NAN,
    ss_stats s = {SS_STATS(X).count = (uint64_t)n}; /* NaN stays where nothing below sets it */
#undef X
    long double sum = 0, square = 0, spread = 0;
    int64_t finite = 0;

    for (int64_t i = 0; i < n; i++) {
        uint32_t u;

        memcpy(&u, &x[i], sizeof u);
        s.exponent[u >> 23 & 255]++;
        if (!isfinite(x[i])) {
            s.nonfinite++;
            continue;
        }
        finite++;
        s.min = fminf(s.min, x[i]);
        s.max = fmaxf(s.max, x[i]);
        s.absmax = fmaxf(s.absmax, fabsf(x[i]));
        sum += x[i];
        square += (long double)x[i] * x[i];
    }
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            spread += (x[i] - sum / finite) * (x[i] - sum / finite);
    s.mean = finite ? (float)(sum / finite) : NAN;
    s.std = finite ? (float)sqrtl(spread / finite) : NAN;
    s.rms = finite ? (float)sqrtl(square / finite) : NAN;
    s.l2 = finite ? (float)sqrtl(square) : NAN;
    return s;
}

static void check(const char *kind, int64_t len, const ss_stats *got, const ss_stats *want)
{
    char what[96];

/* Terms of either sign cancel in a mean, so its error is held against the values' size, too. */
#define X(name)                                                                 \
    snprintf(what, sizeof what, "%s of %lld: %s", kind, (long long)len, #name); \
    assert_close(what, &got->name, &want->name, 1,                              \
                 strcmp(#name, "mean") == 0 ? 4e-9 * fabs((double)want->rms) : 0, 1.2e-7);
    SS_STATS(X)
#undef X
    assert_int_equal(got->nonfinite, want->nonfinite);
    assert_int_equal(got->count, want->count);
    assert_memory_equal(got->exponent, want->exponent, sizeof got->exponent);
}

/* Asked for without the histogram, the others are the same bits; asked for with it later, it comes.
 */
static void check_without_histogram(ss_ctx *c, const float *x, int64_t N, int64_t len,
                                    const ss_stats *want)
{
    ss_tensor *t = ss_upload(c, ss_shape_of(N, len), x);
    const ss_stats *s = ss_tensor_stats(c, t, false);

    for (int64_t k = 0; k < N; k++)
        assert_memory_equal(&s[k], &want[k], offsetof(ss_stats, exponent));
    s = ss_tensor_stats(c, t, true);
    assert_memory_equal(s, want, (size_t)N * sizeof *s);
    ss_release(t);
}

/* Statistics of x [N][len] by so many threads; the caller frees them. */
static ss_stats *measure(const float *x, int64_t N, int64_t len, int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *t = ss_upload(c, ss_shape_of(N, len), x);
    const ss_stats *s = ss_tensor_stats(c, t, true);
    if (!s)
        fail_msg("no statistics");
    ss_stats *copy = malloc((size_t)N * sizeof *copy);
    memcpy(copy, s, (size_t)N * sizeof *copy);
    check_without_histogram(c, x, N, len, s);
    ss_release(t);
    ss_ctx_free(c);
    return copy;
}

static void test_matches_naive_loop(void **state)
{
    static const int64_t sizes[][2] = {
        {1, 1}, {3, 7}, {2, 33}, {5, 4095}, {1, 4097}, {2, 65536}, {1, 3 * 65536 + 11}};

    (void)state;
    for (size_t k = 0; k < N_OF(kinds); k++) {
        for (size_t i = 0; i < N_OF(sizes); i++) {
            const int64_t N = sizes[i][0], len = sizes[i][1];
            float *x = malloc((size_t)(N * len) * sizeof *x);

            seed = (uint32_t)(k + 100 * i);
            for (int64_t j = 0; j < N * len; j++)
                x[j] = kinds[k].value(j);
            ss_stats *one = measure(x, N, len, 1), *two = measure(x, N, len, 2);

            assert_memory_equal(one, two, (size_t)N * sizeof *one);
            for (int64_t s = 0; s < N; s++) {
                const ss_stats want = naive(x + s * len, len);

                check(kinds[k].name, len, &one[s], &want);
            }
            free(one);
            free(two);
            free(x);
        }
    }
}

/* Every instruction set sees the same values, and counts alike. */
static void test_instructions(void **state)
{
    enum { N = 70001 };
    static float x[N];

    use_isa(*state);
    for (size_t k = 0; k < N_OF(kinds); k++) {
        seed = 5;
        for (int64_t i = 0; i < N; i++)
            x[i] = kinds[k].value(i);
        const ss_stats want = naive(x, N);
        ss_stats *s = measure(x, 1, N, 1);

        check(kinds[k].name, N, s, &want);
        free(s);
    }
}

/* max |x| of a -0 is 0, not -0: a table would show it. */
static void test_signs_of_zero(void **state)
{
    ss_stats *s = measure((const float[]){-0.0f, -0.0f}, 1, 2, 1);

    (void)state;
    assert_false(signbit(s->absmax));
    assert_int_equal(s->exponent[0], 2);
    free(s);
}

typedef struct {
    float *absmax, *rms;
} channels;

static void take_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                          const float *rms, int n, int64_t width)
{
    const channels *to = self;

    (void)c, (void)m, (void)p;
    memcpy(to->absmax, absmax, (size_t)(n * width) * sizeof *absmax);
    memcpy(to->rms, rms, (size_t)(n * width) * sizeof *rms);
}

static void test_channels(void **state)
{
    enum { N = 2, ROWS = 3001, C = 37 };
    static float x[N * ROWS * C], absmax[2][N * C], rms[2][N * C];

    (void)state;
    seed = 9;
    for (int64_t i = 0; i < N * ROWS * C; i++)
        x[i] = i % C == 5 ? NAN : i % C == 6 ? mixed(i) : random_value() * (float)(i % C);
    for (int t = 0; t < 2; t++) {
        ss_ctx *c;

        assert_int_equal(
            ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = t + 1}, &c, NULL),
            SS_OK);
        ss_tensor *tensor = ss_upload(c, ss_shape_of(N, ROWS, C), x);
        channels got = {absmax[t], rms[t]};

        ss_ask_channels(c, tensor, NULL, SS_PORT_OUTPUT, take_channels, &got);
        ss_release(tensor);
        assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
        ss_ctx_free(c);
    }
    assert_memory_equal(absmax[0], absmax[1], sizeof absmax[0]);
    assert_memory_equal(rms[0], rms[1], sizeof rms[0]);
    for (int i = 0; i < N * C; i++) {
        static float column[ROWS];

        for (int r = 0; r < ROWS; r++)
            column[r] = x[(i / C * ROWS + r) * C + i % C];
        const ss_stats want = naive(column, ROWS);
        assert_close("absmax", &absmax[0][i], &want.absmax, 1, 0, 0);
        assert_close("rms", &rms[0][i], &want.rms, 1, 0, 1e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_naive_loop),
        ISA_TESTS(test_instructions),
        cmocka_unit_test(test_signs_of_zero),
        cmocka_unit_test(test_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
