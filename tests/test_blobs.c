/* test_blobs.c - metrics of activation maps: laws, cases that are known, numpy's numbers, and a
 * run whose modules degenerate at a known noise level
 *
 * Golden file: tests/golden/blobs.safetensors, written by make_blobs.py with numpy in float64.
 */
#include "analyze/math/eigenvalues.h"
#include "analyze/math/rank.h"
#include "analyze/one/blobs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

#include <stdio.h>

static void ok(ss_code rc, const ss_err *e)
{
    if (rc != SS_OK)
        fail_msg("%s", e->msg);
}

static double rank_of(const float *x, int rows, int columns)
{
    double rank;
    ss_err e = {0};

    ok(ss_effective_rank(x, rows, columns, &rank, &e), &e);
    return rank;
}

static void measure(const float *x, int h, int w, int c, double *v)
{
    const ss_map_shape s = {.h = h, .w = w, .positions = h * w, .channels = c};
    ss_err e = {0};

    ok(ss_blob_measure(x, &s, v, &e), &e);
}

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s = %.9g, want %.9g", what, got, want);
}

static void test_rank(void **state)
{
    (void)state;
    enum { R = 40, C = 70 };
    static float x[R * C], y[R * C];

    for (int i = 0; i < R * C; i++) /* one row, many times over */
        x[i] = (float)(i / C - 7.5) * (float)(i % C + 1);
    near("rank of an outer product", rank_of(x, R, C), 1, 1e-6);
    for (int i = 0; i < R * C; i++)
        x[i] = i / C == i % C ? 3e30f : 0;
    near("rank of orthogonal rows", rank_of(x, R, C), R, 1e-9);
    for (int i = 0; i < R; i++) /* energies 1, 1, 4, 0, ... */
        x[i * C + i] = i < 2 ? 1 : i == 2 ? 2 : 0;
    near("rank of known energies", rank_of(x, R, C),
         exp(-2 * log(1 / 6.0) / 6 - 4 * log(4 / 6.0) / 6), 1e-9);

    ss_rng_normals((ss_rng){.seed = 3}, 0, x, R * C);
    for (int i = 0; i < R * C; i++)
        y[i % C * R + i / C] = 1e-18f * x[i];
    near("rank of the transpose, scaled", rank_of(y, C, R), rank_of(x, R, C), 1e-5);

    memset(x, 0, sizeof x);
    assert_true(isnan(rank_of(x, R, C)));
    x[7] = NAN;
    assert_true(isnan(rank_of(x, R, C)));
    x[7] = 2;
    near("rank of a single number", rank_of(x + 7, 1, 1), 1, 0);
}

/* Sum, and sum of squares, of the eigenvalues of a b b^T + diag(d) with random numbers. */
static void test_eigenvalues(void **state)
{
    (void)state;
    enum { N = 150 }; /* above where threads begin */
    static double a[N * N], values[N];
    static float b[2 * N];
    double trace = 0, square = 0;
    ss_err e = {0};

    ss_rng_normals((ss_rng){.seed = 5}, 0, b, 2 * N);
    for (int i = 0; i < N * N; i++) {
        a[i] = (double)b[i / N] * b[i % N] + (i / N == i % N ? 10 * b[N + i % N] : 0);
        trace += i / N == i % N ? a[i] : 0;
        square += a[i] * a[i];
    }
    ok(ss_symmetric_eigenvalues(a, N, values, &e), &e);
    for (int i = 0; i < N; i++) {
        trace -= values[i];
        square -= values[i] * values[i];
    }
    near("trace", trace, 0, 1e-10);
    near("squares", square, 0, 1e-8);

    a[0] = NAN;
    assert_int_equal(ss_symmetric_eigenvalues(a, 3, values, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "3 x 3"));
}

/* One pattern and hardly anything else: an eigenvalue is much larger than all entries, and what
 * rounding leaves of the others has no digit that is right. */
static void test_nearly_rank_one(void **state)
{
    (void)state;
    enum { R = 512, C = 128 };
    static float x[R * C];

    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (int power = 0; power < 4; power++) {
            ss_rng_normals((ss_rng){.seed = seed}, 0, x, R * C);
            for (int i = 0; i < R * C; i++)
                x[i] = (float)((1 + sin(i % C) / 2) * (2 + sin(i / C * 0.01)) +
                               pow(10, -6 - power) * x[i]);
            near("nearly rank 1", rank_of(x, R, C), 1, 1e-6);
        }
    }
}

static void test_low_share(void **state)
{
    (void)state;
    enum { S = 16, C = 3 };
    static float x[S * S * C];
    double v[SS_N_BLOBS];

    for (int i = 0; i < S * S * C; i++)
        x[i] = (float)(i % C - 1);
    measure(x, S, S, C, v);
    near("low of a constant", v[SS_BLOB_LOW], 1, 1e-9);
    near("spread of a constant", v[SS_BLOB_SPREAD], 1, 1e-6);
    assert_true(isnan(v[SS_BLOB_SQUARENESS]));
    for (int i = 0; i < S * S * C; i++)
        x[i] = (i / C / S + i / C % S) % 2 ? 1 : -1;
    measure(x, S, S, C, v);
    near("low of a checkerboard", v[SS_BLOB_LOW], 0, 1e-9);
    for (int cycles = 1; cycles <= 2; cycles++) { /* a mean of 1 beside a wave of energy 1/2 */
        for (int i = 0; i < S * S * C; i++)
            x[i] = 1 + (float)cos(2 * M_PI * cycles * (i / C / S) / S);
        measure(x, S, S, C, v);
        near("low of a wave and a mean", v[SS_BLOB_LOW], cycles == 1 ? 1 : 2 / 3.0, 1e-6);
    }
}

static void test_concentration(void **state)
{
    (void)state;
    enum { S = 20, C = 4 };
    static float x[S * S * C];
    double v[SS_N_BLOBS];

    memset(x, 0, sizeof x);
    x[(7 * S + 3) * C + 2] = -5;
    measure(x, S, S, C, v);
    near("top 1 % of a spike", v[SS_BLOB_TOP_POSITIONS], 1, 0);
    near("top channel of a spike", v[SS_BLOB_TOP_CHANNEL], 1, 0);
    near("spread of a spike", v[SS_BLOB_SPREAD], 1.0 / (S * S), 1e-12);
    near("rank of a spike", v[SS_BLOB_RANK], 1, 1e-9);
    for (int i = 0; i < S * S * C; i++)
        x[i] = i % C == 1 ? 3 : 1;
    measure(x, S, S, C, v);
    near("top channel", v[SS_BLOB_TOP_CHANNEL], 9 / 12.0, 1e-9);
    near("top 1 % of an even map", v[SS_BLOB_TOP_POSITIONS], 0.01, 1e-9);
}

/* A figure with soft edges: inside where norm(u, v) < 1. */
static double square_norm(double u, double v)
{
    return fmax(fabs(u), fabs(v));
}

static double disc_norm(double u, double v)
{
    return sqrt(u * u + v * v);
}

static double diamond_norm(double u, double v)
{
    return fabs(u) + fabs(v);
}

static double stripe_norm(double u, double v)
{
    (void)v;
    return fabs(u);
}

static double squareness_of(double (*norm)(double, double))
{
    enum { S = 48 };
    static float x[S * S];
    double v[SS_N_BLOBS];

    for (int i = 0; i < S * S; i++) {
        const double r = norm((i / S - 23.2) / 14, (i % S - 23.9) / 14);

        x[i] = (float)(1 / (1 + exp(20 * (r - 1))));
    }
    measure(x, S, S, 1, v);
    return v[SS_BLOB_SQUARENESS];
}

static void test_squareness(void **state)
{
    (void)state;
    enum { S = 64 };
    static float x[S * S];
    double v[SS_N_BLOBS];

    assert_true(squareness_of(square_norm) > 0.9);
    near("squareness of a disc", squareness_of(disc_norm), 0, 0.02);
    assert_true(squareness_of(diamond_norm) < -0.9);
    near("squareness of a stripe", squareness_of(stripe_norm), 0, 1e-6);
    ss_rng_normals((ss_rng){.seed = 9}, 0, x, S * S);
    measure(x, S, S, 1, v);
    near("squareness of noise", v[SS_BLOB_SQUARENESS], 0, 0.06);
}

static void test_cosine(void **state)
{
    (void)state;
    const float x[] = {1, -2, 3}, zero[] = {0, 0, 0};

    near("same maps", ss_blob_cosine(x, (double[]){5, -10, 15}, 3), 1, 1e-12);
    near("opposite maps", ss_blob_cosine(x, (double[]){0, 0, 0}, 3), -1, 1e-12);
    near("orthogonal maps", ss_blob_cosine(x, (double[]){3, -1, 3}, 3), 0, 1e-12);
    assert_true(isnan(ss_blob_cosine(x, (double[]){1, -2, 3}, 3))); /* there is no other */
    assert_true(isnan(ss_blob_cosine(zero, (double[]){1, 1, 1}, 3)));
}

/* Values for which nothing is defined, and shapes for which some of it is not. */
static void test_undefined(void **state)
{
    (void)state;
    float x[3 * 3 * 2] = {0};
    double v[SS_N_BLOBS];

    measure(x, 3, 3, 2, v);
    for (int b = 0; b < SS_N_BLOBS; b++)
        assert_true(isnan(v[b]));
    for (int i = 0; i < 18; i++)
        x[i] = i == 4 ? INFINITY : 1;
    measure(x, 3, 3, 2, v);
    for (int b = 0; b < SS_N_BLOBS; b++)
        assert_true(isnan(v[b]));
    x[4] = 2;
    measure(x, 3, 3, 2, v);
    assert_true(isnan(v[SS_BLOB_LOW]));
    assert_false(isnan(v[SS_BLOB_SQUARENESS]));
    measure(x, 1, 9, 2, v);
    assert_true(isnan(v[SS_BLOB_SQUARENESS]));
    assert_false(isnan(v[SS_BLOB_RANK]));
    measure(x, 0, 0, 0, v); /* a map of nothing */
    assert_true(isnan(v[SS_BLOB_RANK]));
}

static void test_matches_numpy(void **state)
{
    (void)state;
    static const char *const cases[] = {"noise", "odd", "blob", "wide", "thin", "tokens"};

    for (size_t k = 0; k < N_OF(cases); k++) {
        ss_array a[3];
        const char *const kinds[] = {"x", "others", "y"};
        double v[SS_N_BLOBS], sum[16 * 16 * 40];
        float got[SS_N_BLOBS];
        char name[128];
        ss_err e = {0};

        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "tests/golden/blobs.safetensors#%s:%s", kinds[i], cases[k]);
            ok(ss_safetensors_load_f32(name, &a[i], &e), &e);
        }
        const bool picture = a[0].rank == 3;
        const ss_map_shape s = {
            .h = picture ? (int)a[0].dim[0] : 0,
            .w = picture ? (int)a[0].dim[1] : 0,
            .positions = (int)(picture ? a[0].dim[0] * a[0].dim[1] : a[0].dim[0]),
            .channels = (int)a[0].dim[a[0].rank - 1],
        };
        const int n = s.positions * s.channels;

        for (int i = 0; i < n; i++)
            sum[i] = a[1].values[i];
        ok(ss_blob_measure(a[0].values, &s, v, &e), &e);
        v[SS_BLOB_COSINE] = ss_blob_cosine(a[0].values, sum, n);
        for (int b = 0; b < SS_N_BLOBS; b++)
            got[b] = (float)v[b];
        assert_close(cases[k], got, a[2].values, SS_N_BLOBS, 0, 2e-6); /* worst seen: 3e-7 */
        for (int i = 0; i < 3; i++)
            ss_array_release(&a[i]);
    }
}

static void test_degenerate(void **state)
{
    (void)state;
    static const struct {
        float rank, low, cosine;
        int channels;
        bool want;
    } cases[] = {
        {1.56f, 0.87f, 0.92f, 16, true}, /* pure noise, measured */
        {4.1f, 0.58f, 0.74f, 16, false}, /* low noise, measured */
        {1.5f, 0.6f, 0.9f, 16, true},    /* two of three */
        {1.5f, 0.6f, 0.8f, 16, false},   /* one of three */
        {1, 0.6f, 0.9f, 1, false},       /* one channel: any map has rank 1 */
        {1.5f, NAN, 0.9f, 16, true},     /* tokens */
        {1.5f, NAN, 0.8f, 16, false},    /* tokens */
        {1.5f, NAN, NAN, 16, false},     /* one criterion is not enough */
        {NAN, NAN, NAN, 16, false},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        float v[SS_N_BLOBS] = {0};
        const ss_map_shape s = {8, 8, 64, cases[i].channels};

        v[SS_BLOB_RANK] = cases[i].rank;
        v[SS_BLOB_LOW] = cases[i].low;
        v[SS_BLOB_COSINE] = cases[i].cosine;
        if (ss_blob_degenerate(v, &s) != cases[i].want)
            fail_msg("case %zu: %s", i, cases[i].want ? "is degenerate" : "is not degenerate");
    }
}

/* Half of the maps make a module degenerate; those that could not be measured do not count. */
static void test_half_of_the_maps(void **state)
{
    (void)state;
    float values[5][SS_N_BLOBS];
    ss_run r = {.n_inputs = 1, .n_sigmas = 1, .n_samples = 5};
    const ss_blob_row row = {.shape = {8, 8, 64, 16}, .n_maps = 5, .values = values[0]};

    for (int k = 0; k < 5; k++) {
        for (int b = 0; b < SS_N_BLOBS; b++)
            values[k][b] = k == 4 ? NAN : k == 0 && b != SS_BLOB_RANK ? 1 : 0.5f;
    }
    for (int k = 0; k < 4; k++)
        values[k][SS_BLOB_RANK] = k == 0 ? 1 : 5;
    assert_false(ss_blob_row_degenerate(&r, &row, SS_ALL, 0));
    values[1][SS_BLOB_RANK] = 1;
    values[1][SS_BLOB_COSINE] = 1;
    assert_true(ss_blob_row_degenerate(&r, &row, SS_ALL, 0));
    near("mean", ss_blob_mean(&r, &row, SS_BLOB_RANK, 0, 0), 3, 0);
}

/* A run of 2 inputs, 3 noise levels, 2 samples. What its modules give:
 *
 *   down_blocks.0   noise, always
 *   mid_block       tokens of noise
 *   time_embedding  a vector
 *   encoder.text    tokens that are the same everywhere
 *   up_blocks.0     noise at sigma 0.1, from 1 on one smooth bump in all channels
 *   up_blocks.1     as up_blocks.0, but noise again at 10; NaN for sample 0 of input 0
 */
enum { DOWN, MID, TIME, TEXT, UP, UP_NAN, N_MODULES };
enum { N_INPUTS = 2, N_SIGMAS = 3, N_SAMPLES = 2, SIDE = 8, C = 6 };
static const ss_run_module modules[N_MODULES] = {
    {"down_blocks.0", "Down", true},   {"mid_block", "Mid", true},
    {"time_embedding", "Time", false}, {"encoder.text", "Linear", false},
    {"up_blocks.0", "Up", true},       {"up_blocks.1", "Up", true},
};
static const double sigmas[N_SIGMAS] = {10, 0.1, 1}; /* not sorted, on purpose */

static ss_shape dump_shape(int module)
{
    if (module == MID || module == TEXT)
        return (ss_shape){.rank = 2, .dim = {SIDE * SIDE, C}};
    return module == TIME ? (ss_shape){.rank = 1, .dim = {C}}
                          : (ss_shape){.rank = 3, .dim = {SIDE, SIDE, C}};
}

static void fill_map(int module, int input, int sigma, int sample, float *x)
{
    const uint64_t seed = (uint64_t)(((module * 10 + input) * 10 + sigma) * 10 + sample);
    const bool blob = (module == UP || module == UP_NAN) && sigmas[sigma] >= 1 &&
                      !(module == UP_NAN && sigmas[sigma] == 10);

    ss_rng_normals((ss_rng){.seed = module == TEXT ? 7 : seed}, 0, x, SIDE * SIDE * C);
    for (int i = 0; blob && i < SIDE * SIDE * C; i++) {
        const double y = i / C / SIDE - 3.5, z = i / C % SIDE - 3.5;

        x[i] = 0.1f * x[i] + (float)(exp(-(y * y + z * z) / 12) * (3 + sample + i % C));
    }
    if (module == UP_NAN && input == 0 && sample == 0)
        x[5] = NAN;
}

/* self: module, input, sigma, sample */
static ss_code put_map(void *self, float *to, ss_err *e)
{
    static float x[SIDE * SIDE * C];
    const int *at = self;

    (void)e;
    fill_map(at[0], at[1], at[2], at[3], x);
    memcpy(to, x, (size_t)ss_shape_numel(dump_shape(at[0])) * sizeof *to);
    return SS_OK;
}

static void write_run(const char *path)
{
    static const char *const inputs[N_INPUTS] = {"images:x", "noise:white"};
    ss_run_dump dumps[N_MODULES];
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};

    for (int m = 0; m < N_MODULES; m++)
        dumps[m] = (ss_run_dump){.path = modules[m].path, .shape = dump_shape(m)};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_MODULES,
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = N_SAMPLES,
        .dumps = dumps,
        .n_dumps = N_MODULES,
    };

    ok(ss_run_create(path, &spec, true, &w, &e), &e);
    for (int s = 0; s < N_SIGMAS; s++) {
        ok(ss_run_column_new(w, s, &col, &e), &e);
        for (int m = 0; m < N_MODULES; m++) {
            for (int k = 0; k < N_INPUTS * N_SAMPLES; k++) {
                const ss_stats st = {.count = 1, .absmax = 1, .rms = 1};

                ss_run_put_stats(col, m, SS_PORT_OUTPUT, k / N_SAMPLES, k % N_SAMPLES, &st);
                ok(ss_run_put_activation(col, m, k / N_SAMPLES, k % N_SAMPLES, put_map,
                                         (int[]){m, k / N_SAMPLES, s, k % N_SAMPLES}, &e),
                   &e);
            }
        }
        ok(ss_run_submit(w, col, &e), &e);
    }
    ok(ss_run_finish(w, &e), &e);
}

static const ss_blob_row *row_of(const ss_blobs *b, int module)
{
    for (int i = 0; i < b->n; i++) {
        if (b->rows[i].module == module)
            return &b->rows[i];
    }
    return NULL;
}

static void test_run(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_blobs b;
    ss_table t;
    ss_err e = {0};

    write_run(in_tmp("blobs.h5"));
    ok(ss_run_open(in_tmp("blobs.h5"), &r, &e), &e);
    ok(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), &e);
    ok(ss_blobs_find(r, &sites, &b, &e), &e);

    assert_int_equal(b.n, 4);
    assert_int_equal(b.n_left_out, 2);
    assert_int_equal(b.rows[0].module, UP); /* becomes degenerate */
    assert_int_equal(b.rows[0].from, 2);
    assert_int_equal(b.rows[0].n_degenerate, 2);
    assert_int_equal(b.rows[1].module, UP_NAN); /* at some noise level */
    assert_int_equal(b.rows[1].from, -1);
    assert_int_equal(b.rows[1].n_degenerate, 1);
    assert_int_equal(b.rows[2].module, DOWN);
    assert_int_equal(b.rows[2].n_degenerate, 0);
    assert_null(row_of(&b, TIME));
    assert_null(row_of(&b, TEXT));

    const ss_blob_row *up = row_of(&b, UP), *nan = row_of(&b, UP_NAN), *mid = row_of(&b, MID);

    assert_true(ss_blob_mean(r, up, SS_BLOB_COSINE, SS_ALL, 0) > 0.99);
    assert_true(fabs(ss_blob_mean(r, up, SS_BLOB_COSINE, SS_ALL, 1)) < 0.2);
    assert_true(isnan(ss_blob_values(r, nan, 0, 2, 0)[SS_BLOB_RANK]));
    assert_false(isnan(ss_blob_mean(r, nan, SS_BLOB_RANK, 0, 2)));
    assert_true(isnan(ss_blob_mean(r, mid, SS_BLOB_LOW, SS_ALL, 0)));
    assert_true(ss_blob_row_degenerate(r, up, 1, 2));
    assert_false(ss_blob_row_degenerate(r, up, 1, 1));

    ok(ss_blobs_table(r, &b, 2, &t, &e), &e);
    json_t *rows = t.rows;
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_array_get(json_array_get(rows, 0), 2)), "from 1");
    assert_string_equal(json_string_value(json_array_get(json_array_get(rows, 1), 2)), "at 1 of 3");
    ss_table_release(&t);
    ok(ss_blob_levels_table(r, &b, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), N_SIGMAS * N_INPUTS);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(t.rows, 2), 4)), 2);
    ss_table_release(&t);
    ok(ss_blob_shapes_table(r, &b, 9, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 4);
    ss_table_release(&t);
    ss_blobs_release(&b);
    ss_sites_release(&sites);
    ss_run_close(r);
}

/* Each allocation fails once: an error, and nothing lost (the sanitizers look). */
static void test_no_memory(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_err e = {0};

    ok(ss_run_open(in_tmp("blobs.h5"), &r, &e), &e);
    ok(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), &e);
    for (unsigned long k = 1;; k += k < 40 ? 1 : 29) {
        ss_blobs b;
        unsigned long before = ss_mem_calls();

        ss_mem_fail_at(k);
        ss_code rc = ss_blobs_find(r, &sites, &b, &e);
        ss_mem_fail_at(0);
        if (ss_mem_calls() - before < k) { /* it did not get so far */
            ok(rc, &e);
            ss_blobs_release(&b);
            break;
        }
        assert_int_equal(rc, SS_NOMEM);
    }
    ss_sites_release(&sites);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_eigenvalues),
        cmocka_unit_test(test_nearly_rank_one),
        cmocka_unit_test(test_low_share),
        cmocka_unit_test(test_concentration),
        cmocka_unit_test(test_squareness),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_matches_numpy),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_half_of_the_maps),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
