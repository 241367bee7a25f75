/* test_cuda_values.c - the kernels of values.cu, shape.cu and pictures.cu beside the CPU's, bit for
 * bit, on the device SIGMASCOPE_DEVICE, cuda-emulated if it is not set
 */
#if SS_CUDA
#include "tests/cuda/beside.h"

/* Values that one multiprocessor's threads take in several rounds. */
enum { MANY = 40001 };

static ss_shape random_shape(int rank, const int64_t *sizes, int64_t n)
{
    ss_shape s = {.rank = rank};

    for (int k = 0; k < rank; k++)
        s.dim[k] = sizes[beside_below(n)];
    return s;
}

/* ---- each value by itself ---- */

/* The body of an entry's call. */
#define CALL(name, ...)                                                                        \
    static ss_code name(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg, \
                        ss_err *e)                                                             \
    {                                                                                          \
        (void)x, (void)arg;                                                                    \
        return s->be->__VA_ARGS__;                                                             \
    }
CALL(call_fill, fill(s->d, y, -1.5f, e))
CALL(call_affine, affine(s->d, x[0], 1.7f, -0.3f, y, e))
CALL(call_clamp, clamp(s->d, x[0], -1, 2.5f, y, e))
CALL(call_gain, gain(s->d, x[0], x[1], y, e))
CALL(call_round, round(s->d, x[0], arg, y, e))
CALL(call_add, add(s->d, x[0], x[1], 0.7f, y, e))
CALL(call_multiply, multiply(s->d, x[0], x[1], y, e))
CALL(call_activate, activate(s->d, x[0], *(const ss_act *)arg, y, e))
CALL(call_slope, back_activate(s->d, x[0], *(const ss_act *)arg, x[1], y, e))
CALL(call_back_clamp, back_clamp(s->d, x[0], -1, 2.5f, x[1], y, e))

static void compare_values(ss_shape s)
{
    static const char *const formats[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e4m3-nan", "e5m10-sat"};

    beside_compare(&(ss_beside){.what = "fill", .run = call_fill, .out = s});
    beside_compare(&(ss_beside){
        .what = "affine", .run = call_affine, .n_in = 1, .in = {{s}}, .out = s, .in_place = true});
    beside_compare(&(ss_beside){
        .what = "clamp", .run = call_clamp, .n_in = 1, .in = {{s}}, .out = s, .in_place = true});
    beside_compare(&(ss_beside){
        .what = "add", .run = call_add, .n_in = 2, .in = {{s}, {s}}, .out = s, .in_place = true});
    beside_compare(&(ss_beside){.what = "multiply",
                                .run = call_multiply,
                                .n_in = 2,
                                .in = {{s}, {s}},
                                .out = s,
                                .in_place = true});
    beside_compare(&(ss_beside){.what = "gradient of clamp",
                                .run = call_back_clamp,
                                .n_in = 2,
                                .in = {{s}, {s}},
                                .out = s});
    for (ss_dtype t = SS_F32; t <= SS_BF16; t++)
        beside_compare(&(ss_beside){.what = "gain",
                                    .run = call_gain,
                                    .n_in = 2,
                                    .in = {{s}, {ss_shape_of(1), t}},
                                    .out = s});
    for (size_t i = 0; i < N_OF(formats); i++) {
        ss_format f;

        assert_int_equal(ss_format_parse(formats[i], &f, NULL), SS_OK);
        beside_compare(&(ss_beside){.what = formats[i],
                                    .run = call_round,
                                    .arg = &f,
                                    .n_in = 1,
                                    .in = {{s}},
                                    .out = s,
                                    .in_place = true});
    }
    for (ss_act act = 0; act < SS_N_ACTS; act++) {
        beside_compare(&(ss_beside){.what = "activation",
                                    .run = call_activate,
                                    .arg = &act,
                                    .n_in = 1,
                                    .in = {{s}},
                                    .out = s,
                                    .in_place = true});
        beside_compare(&(ss_beside){.what = "gradient of activation",
                                    .run = call_slope,
                                    .arg = &act,
                                    .n_in = 2,
                                    .in = {{s}, {s}},
                                    .out = s});
    }
}

static void test_values(void **state)
{
    static const int64_t sizes[] = {0, 1, 3, 7, 33, 4099, MANY};

    (void)state;
    beside_open();
    for (size_t i = 0; i < N_OF(sizes); i++)
        compare_values(ss_shape_of(sizes[i]));
    beside_close();
}

/* ---- samples and channels ---- */

CALL(call_scale, scale_samples(s->d, x[0], arg, y, e))
CALL(call_add_channels, add_channels(s->d, x[0], x[1], y, e))

static void compare_samples_and_channels(int64_t N, int64_t P, int64_t C, const float *k)
{
    const ss_shape s = ss_shape_of(N, P, C);

    beside_compare(&(ss_beside){.what = "scale samples",
                                .run = call_scale,
                                .arg = k,
                                .n_in = 1,
                                .in = {{s}},
                                .out = s,
                                .in_place = true});
    beside_compare(&(ss_beside){.what = "add channels",
                                .run = call_add_channels,
                                .n_in = 2,
                                .in = {{s}, {ss_shape_of(N, C)}},
                                .out = s});
}

static void test_samples_and_channels(void **state)
{
    static const int64_t samples[] = {0, 1, 3, 300}, sizes[] = {0, 1, 3, 4, 7, 8, 33};
    float k[300];

    (void)state;
    beside_open();
    for (size_t i = 0; i < N_OF(k); i++)
        k[i] = (float)i * 0.37f - 3;
    for (size_t i = 0; i < N_OF(samples); i++) {
        for (size_t j = 0; j < N_OF(sizes) * N_OF(sizes); j++) {
            const int64_t P = sizes[j / N_OF(sizes)], C = sizes[j % N_OF(sizes)];

            if (samples[i] < 300 || P * C <= 100)
                compare_samples_and_channels(samples[i], P, C, k);
        }
    }
    compare_samples_and_channels(2, MANY / 1000, 1000, k);
    beside_close();
}

/* ---- copies ---- */

typedef struct {
    int64_t x_offset, x_stride, y_offset, y_stride, rows, len;
} copy;

static ss_code call_copy(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg,
                         ss_err *e)
{
    const copy *c = arg;
    const ss_code rc = s->be->fill(s->d, y, 7, e);

    return rc == SS_OK ? s->be->copy_rows(s->d, x[0], c->x_offset, c->x_stride, y, c->y_offset,
                                          c->y_stride, c->rows, c->len, e)
                       : rc;
}

static void test_copy_rows(void **state)
{
    (void)state;
    beside_open();
    for (int i = 0; i < 100; i++) {
        const int64_t unit = i % 2 ? 4 : 1, len = beside_below(40) * unit + (i == 1 ? unit : 0);
        const copy c = {.rows = i == 1 ? MANY / len : beside_below(9),
                        .len = len,
                        .x_offset = beside_below(5) * unit,
                        .y_offset = beside_below(5) * unit,
                        .x_stride = len + beside_below(3) * unit,
                        .y_stride = len + beside_below(3) * unit};

        beside_compare(&(ss_beside){.what = "copy",
                                    .run = call_copy,
                                    .arg = &c,
                                    .n_in = 1,
                                    .in = {{ss_shape_of(c.x_offset + c.rows * c.x_stride)}},
                                    .out = ss_shape_of(c.y_offset + c.rows * c.y_stride)});
    }
    beside_close();
}

CALL(call_permute, permute(s->d, x[0], arg, y, e))

static void compare_permute(ss_shape s, const int *axes)
{
    ss_shape out = s;

    for (int k = 0; k < s.rank; k++)
        out.dim[k] = s.dim[axes[k]];
    beside_compare(&(ss_beside){
        .what = "permute", .run = call_permute, .arg = axes, .n_in = 1, .in = {{s}}, .out = out});
}

static void test_permute(void **state)
{
    static const int64_t small[] = {1, 2, 3, 4, 7, 8, 12}, large[] = {8, 9, 32, 33, 40, 65};
    static const int swap[] = {0, 2, 1}, turn[] = {2, 1, 0}, outer[] = {1, 0, 2};

    (void)state;
    beside_open();
    for (int i = 0; i < 150; i++) {
        const int rank = 1 + i % SS_MAX_RANK;
        int axes[SS_MAX_RANK];

        for (int k = 0; k < rank; k++) { /* a shuffle */
            const int at = (int)beside_below(k + 1);

            axes[k] = axes[at];
            axes[at] = k;
        }
        compare_permute(random_shape(rank, small, N_OF(small)), axes);
    }
    for (int i = 0; i < 40; i++) {
        ss_shape s = random_shape(3, large, N_OF(large));

        s.dim[i % 2] = 1 + i % 3;
        compare_permute(s, i % 2 ? turn : swap);
    }
    compare_permute(ss_shape_of(3, 0, 40), swap);
    compare_permute(ss_shape_of(40, MANY / 8000, 200), outer);
    beside_close();
}

/* ---- pictures ---- */

CALL(call_upsample, upsample_nearest(s->d, x[0], y, e))
CALL(call_back_upsample, back_upsample_nearest(s->d, x[0], y, e))
CALL(call_pool, avg_pool2(s->d, x[0], y, e))
CALL(call_back_pool, back_avg_pool2(s->d, x[0], y, e))

static void compare_both_ways(const char *what, ss_shape x, ss_shape y,
                              ss_code (*forward)(const ss_side *, ss_tensor *const[], ss_tensor *,
                                                 const void *, ss_err *),
                              ss_code (*back)(const ss_side *, ss_tensor *const[], ss_tensor *,
                                              const void *, ss_err *),
                              const void *arg)
{
    char gradient[64];

    snprintf(gradient, sizeof gradient, "gradient of %s", what);
    beside_compare(
        &(ss_beside){.what = what, .run = forward, .arg = arg, .n_in = 1, .in = {{x}}, .out = y});
    beside_compare(
        &(ss_beside){.what = gradient, .run = back, .arg = arg, .n_in = 1, .in = {{y}}, .out = x});
}

static void test_pictures(void **state)
{
    static const int64_t channels[] = {1, 3, 4, 7, 13, 16};

    (void)state;
    beside_open();
    for (int i = 0; i < 60; i++) {
        const int64_t C = channels[i % 6], N = 1 + beside_below(3);
        const int64_t H = i == 5 ? 40 : 2 + beside_below(7), W = i == 5 ? 40 : 2 + beside_below(7);
        const int64_t h = i % 3 ? 1 + beside_below(16) : 2 * H,
                      w = i % 3 ? 1 + beside_below(16) : 2 * W;

        compare_both_ways("upsample", ss_shape_of(N, H, W, C), ss_shape_of(N, h, w, C),
                          call_upsample, call_back_upsample, NULL);
        compare_both_ways("average pool", ss_shape_of(N, H, W, C), ss_shape_of(N, H / 2, W / 2, C),
                          call_pool, call_back_pool, NULL);
    }
    beside_close();
}

static ss_code call_fir(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg,
                        ss_err *e)
{
    ss_fir_args a = *(const ss_fir_args *)arg;

    a.x = x[0];
    a.y = y;
    return s->be->fir_resample(s->d, &a, e);
}

static ss_code call_back_fir(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg,
                             ss_err *e)
{
    ss_fir_args a = *(const ss_fir_args *)arg;

    a.x = x[0];
    a.y = y;
    return s->be->back_fir_resample(s->d, &a, e);
}

static void test_fir(void **state)
{
    static const int64_t channels[] = {1, 3, 4, 8};
    static const float kernel[] = {0.1f, -0.3f, 0.7f, 0.4f, 0.25f, -0.6f, 1.1f, 0.05f};

    (void)state;
    beside_open();
    for (int i = 0; i < 80; i++) {
        const int64_t H = 1 + beside_below(9), W = 1 + beside_below(9), C = channels[i % 4];
        const ss_fir_args a = {.kernel = kernel,
                               .taps = 1 + (int)beside_below(8),
                               .up = 1 + (int)beside_below(3),
                               .down = 1 + (int)beside_below(3),
                               .pad0 = (int)beside_below(10) - 3,
                               .pad1 = (int)beside_below(10) - 3};
        const int64_t h = H * a.up + a.pad0 + a.pad1 - a.taps;
        const int64_t w = W * a.up + a.pad0 + a.pad1 - a.taps;

        if (h < 0 || w < 0)
            continue;
        compare_both_ways("fir", ss_shape_of(2, H, W, C),
                          ss_shape_of(2, h / a.down + 1, w / a.down + 1, C), call_fir,
                          call_back_fir, &a);
    }
    beside_close();
}

/* ---- tokens and tables ---- */

CALL(call_mean, mean_tokens(s->d, x[0], y, e))
CALL(call_back_mean, back_mean_tokens(s->d, x[0], y, e))
CALL(call_embedding, embedding(s->d, x[0], arg, y, e))
CALL(call_back_embedding, back_embedding(s->d, arg, x[0], y, e))

static void test_tokens_and_tables(void **state)
{
    static const int64_t sizes[] = {1, 3, 4, 7, 13, 33, 64, 300};

    (void)state;
    beside_open();
    for (int i = 0; i < 40; i++) {
        const int64_t N = beside_below(4), C = sizes[beside_below(8)], T = sizes[beside_below(8)];
        const int64_t K = sizes[beside_below(8)];
        int64_t ids[300];

        compare_both_ways("mean over tokens", ss_shape_of(N, T, C), ss_shape_of(N, 1, C), call_mean,
                          call_back_mean, NULL);
        for (size_t k = 0; k < N_OF(ids); k++)
            ids[k] = beside_below(K);
        const int64_t n = i % 8 ? T : 0;
        for (ss_dtype t = SS_F32; t <= SS_BF16; t++)
            beside_compare(&(ss_beside){.what = "embedding",
                                        .run = call_embedding,
                                        .arg = ids,
                                        .n_in = 1,
                                        .in = {{ss_shape_of(K, C), t}},
                                        .out = ss_shape_of(n, C)});
        beside_compare(&(ss_beside){.what = "gradient of embedding",
                                    .run = call_back_embedding,
                                    .arg = ids,
                                    .n_in = 1,
                                    .in = {{ss_shape_of(n, C)}},
                                    .out = ss_shape_of(K, C)});
    }
    beside_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_samples_and_channels),
        cmocka_unit_test(test_copy_rows),
        cmocka_unit_test(test_permute),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_fir),
        cmocka_unit_test(test_tokens_and_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
#include "tests/ss_test.h"

static void test_kernels(void **state)
{
    (void)state;
    skip_because("this build has no CUDA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
