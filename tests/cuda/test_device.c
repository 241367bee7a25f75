/* test_device.c - what goes between host and device while the device works (kernels/cuda/later.c),
 * and the card's memory
 */
#include "kernels/context.h"
#include "kernels/ops.h"
#include "kernels/results.h"
#include "tests/ss_test.h"

#include <stdio.h>

static ss_ctx *open_device(const char *name)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = name}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static const char *cuda(void)
{
    if (!test_device())
        setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 1);
    return test_device();
}

static float value(int64_t i)
{
    return (float)((i * 37 + 11) % 1009) / 16 - 3;
}

static void finish(ss_ctx *c)
{
    ss_err e = {0};

    if (ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* Larger than all pinned buffers together. The host's values may go as soon as the call returns. */
static void test_large_copies(void **state)
{
    (void)state;
    enum { N = 25000003 };
    ss_ctx *c = open_device(cuda());
    float *host = malloc(N * sizeof *host);
    ss_err e = {0};

    for (int64_t i = 0; i < N; i++)
        host[i] = value(i);
    ss_tensor *x = ss_upload(c, ss_shape_of(1, N), host);
    memset(host, 0xff, N * sizeof *host);
    assert_int_equal(ss_download(c, x, host, &e), SS_OK);
    for (int64_t i = 0; i < N; i++)
        if (host[i] != value(i))
            fail_msg("value %lld is %g, want %g", (long long)i, host[i], value(i));
    free(host);
    ss_release(x);
    ss_ctx_free(c);
}

/* More operands than their ring holds, while the device has read none of them. */
static void test_many_operands(void **state)
{
    (void)state;
    enum { N = 70001, TIMES = 20 };
    ss_ctx *c = open_device(cuda());
    float *k = malloc(N * sizeof *k), *got = malloc(N * sizeof *got);
    ss_tensor *x = ss_full(c, ss_shape_of(N, 1), 1), *y[TIMES];
    ss_err e = {0};

    for (int t = 0; t < TIMES; t++) {
        for (int64_t i = 0; i < N; i++)
            k[i] = value(i + t);
        y[t] = ss_scale_samples(c, x, k);
    }
    memset(k, 0xff, N * sizeof *k);
    for (int t = 0; t < TIMES; t++) {
        assert_int_equal(ss_download(c, y[t], got, &e), SS_OK);
        for (int64_t i = 0; i < N; i++)
            if (got[i] != value(i + t))
                fail_msg("operand %d, value %lld: %g", t, (long long)i, got[i]);
        ss_release(y[t]);
    }
    ss_release(x);
    free(k);
    free(got);
    ss_ctx_free(c);
}

typedef struct {
    int taken;
    bool wrong;
} order;

/* The k-th result is of the k-th tensor, all whose values are k. */
static void take(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s, int n)
{
    (void)c, (void)m, (void)p;
    order *o = self;

    for (int i = 0; i < n; i++)
        o->wrong = o->wrong || s[i].max != (float)o->taken || s[i].min != (float)o->taken ||
                   s[i].count != 5 || s[i].nonfinite;
    o->taken++;
}

/* Results of several chunks, of tensors that are gone, in the order in which they were asked for;
 * and once more, when chunks are used a second time. */
static void test_many_results(void **state)
{
    (void)state;
    enum { TENSORS = 700, SAMPLES = 3 };
    ss_ctx *c = open_device(cuda());

    for (int round = 0; round < 2; round++) {
        order o = {0};

        for (int k = 0; k < TENSORS; k++) {
            ss_tensor *x = ss_full(c, ss_shape_of(SAMPLES, 5), (float)k);

            ss_ask_stats(c, x, true, NULL, SS_PORT_OUTPUT, take, &o);
            ss_release(x);
        }
        assert_int_equal(o.taken, 0);
        finish(c);
        assert_int_equal(o.taken, TENSORS);
        assert_false(o.wrong);
    }
    ss_ctx_free(c);
}

typedef struct {
    int64_t n;
    bool wrong;
} sample;

static void take_sample(void *self, ss_ctx *c, const ss_module *m, ss_port p, int k,
                        const float *values, int64_t n)
{
    (void)c, (void)m, (void)p;
    sample *s = self;

    s->n += n;
    for (int64_t i = 0; i < n; i++)
        s->wrong = s->wrong || values[i] != value(k * n + i);
}

/* Samples of a tensor that is freed, and whose memory is written over, before the host waits. */
static void test_samples_of_freed_tensors(void **state)
{
    (void)state;
    enum { SAMPLES = 3, N = 300001 };
    ss_ctx *c = open_device(cuda());
    float *host = malloc(sizeof *host * SAMPLES * N);
    sample s = {0};

    for (int64_t i = 0; i < SAMPLES * N; i++)
        host[i] = value(i);
    ss_tensor *x = ss_upload(c, ss_shape_of(SAMPLES, N), host);
    free(host);
    for (int k = 0; k < SAMPLES; k++)
        ss_ask_sample(c, x, k, NULL, SS_PORT_OUTPUT, take_sample, &s);
    ss_release(x);
    ss_release(ss_full(c, ss_shape_of(SAMPLES, N), -1));
    finish(c);
    assert_int_equal(s.n, SAMPLES * N);
    assert_false(s.wrong);
    ss_ctx_free(c);
}

/* Parameters of each type come back as f32. */
static void test_parameters(void **state)
{
    (void)state;
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0x03ff};
    static const float want[] = {1, -2, 0x1p-24f, -0.0f, 65504, INFINITY, 0x1.ff8p-15f};
    static const uint16_t brain[] = {0x3f80, 0xc000, 0x0001, 0x8000, 0x7f7f, 0x7f80, 0x4049};
    static const float want_brain[] = {1, -2, 0x1p-133f, -0.0f, 0x1.fep127f, INFINITY, 3.140625f};
    ss_ctx *c = open_device(cuda());
    float got[7];
    ss_err e = {0};

    ss_tensor *x = ss_param(c, SS_F16, ss_shape_of(7), half);
    assert_int_equal(ss_download(c, x, got, &e), SS_OK);
    assert_memory_equal(got, want, sizeof want);
    ss_release(x);
    x = ss_param(c, SS_BF16, ss_shape_of(7), brain);
    assert_int_equal(ss_download(c, x, got, &e), SS_OK);
    assert_memory_equal(got, want_brain, sizeof want_brain);
    ss_release(x);
    ss_ctx_free(c);
}

/* A tensor that does not fit is an error that says what there is; smaller ones still fit, also
 * where what was kept of earlier ones stands in the way. */
static void test_out_of_memory(void **state)
{
    (void)state;
    if (strcmp(cuda(), "cuda") != 0 || !getenv("SIGMASCOPE_CUDA_LIBRARIES"))
        skip_because("a real card's memory is not the test's");
    setenv("SIGMASCOPE_CUDA_MEMORY", "134217728", 1);
    ss_ctx *c = open_device("cuda");
    ss_err e = {0};

    for (int k = 1; k < 4; k++) { /* of a size each that no kept block fits */
        ss_release(ss_full(c, ss_shape_of(1, k * 5000000), 1));
        finish(c);
    }
    assert_null(ss_full(c, ss_shape_of(1, 100000000), 1));
    assert_int_equal(ss_ctx_check(c, &e), SS_NOMEM);
    assert_non_null(strstr(e.msg, "out of memory: a tensor of 0.373 GiB; in use here"));
    assert_non_null(strstr(e.msg, "of 0.125. Fewer samples at a time need less"));
    ss_ctx_clear(c);
    ss_release(ss_full(c, ss_shape_of(1, 10), 1));
    finish(c);
    ss_ctx_free(c);
    unsetenv("SIGMASCOPE_CUDA_MEMORY");
}

/* Two cards, used in turns by one thread. */
static void test_two_cards(void **state)
{
    (void)state;
    if (!getenv("SIGMASCOPE_CUDA_LIBRARIES"))
        skip_because("it is not known how many cards there are");
    setenv("SIGMASCOPE_CUDA_CARDS", "2", 1);
    ss_ctx *c[2] = {open_device("cuda"), open_device("cuda:1")};
    ss_tensor *x[2];
    float got[5];
    ss_err e = {0};

    assert_non_null(strstr(ss_ctx_device_text(c[1]), "cuda:1: "));
    for (int i = 0; i < 2; i++)
        x[i] = ss_full(c[i], ss_shape_of(1, 5), (float)i);
    for (int i = 0; i < 2; i++)
        ss_set(&x[i], ss_affine(c[i], x[i], 1, 2));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ss_download(c[i], x[i], got, &e), SS_OK);
        assert_true(got[0] == (float)i + 2 && got[4] == (float)i + 2);
        ss_release(x[i]);
    }
    ss_ctx_free(c[0]);
    ss_ctx_free(c[1]);
    unsetenv("SIGMASCOPE_CUDA_CARDS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_copies), cmocka_unit_test(test_many_operands),
        cmocka_unit_test(test_many_results), cmocka_unit_test(test_samples_of_freed_tensors),
        cmocka_unit_test(test_parameters),   cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_two_cards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
