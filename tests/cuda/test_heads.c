/* test_heads.c - attention and matrix products of the CUDA device beside the CPU's, on the
 * device SIGMASCOPE_DEVICE, cuda-emulated if it is not set: outputs, all statistics of logits,
 * gradients; in one strip and in many; with rows for each of the kernels
 *
 * Queries and keys are small integers, and the scale is a power of two, so that logits are exact
 * and what is counted of them must be equal.
 */
#include "kernels/call.h"
#include "tests/ss_test.h"

#include <stdio.h>

static uint32_t seed;

/* One of 0 ... n - 1. */
static int64_t below(int64_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int64_t)(seed >> 8) % n;
}

typedef enum { NO_MASK, BIASES, SOME_KEYS, ONE_KEY, NO_KEY } mask_kind;

typedef struct {
    int64_t n, T, S;
    int heads, D;
    float scale;
    mask_kind mask, bias; /* the latter for each query */
    int biases;           /* heads, or 1 */
    bool cosine;
    const char *format; /* or NULL */
    ss_attention_code code;
    int bits;       /* of the largest query and key */
    float bad;      /* a value among the queries and the keys, unless 0 */
    float gradient; /* largest of dy; 0: forward only */
} problem;

/* Values of all sizes up to 2^bits, of which a product has few digits. */
static void fill_integers(float *x, int64_t n, int bits)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = ldexpf((float)(below(15) - 7), (int)below(3) + bits - 5);
}

static void fill_evenly(float *x, int64_t n, float size)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = ((float)below(1 << 16) / (1 << 15) - 1) * size;
}

static void fill_mask(mask_kind kind, float *mask, int64_t n, int64_t keys)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < keys; j++) {
            const bool seen = kind == BIASES || (kind == SOME_KEYS && j % 3 != 1) ||
                              (kind == ONE_KEY && j == keys / 2) || (kind == NO_KEY && i % 2 == 0);

            mask[i * keys + j] = !seen ? -INFINITY : kind == BIASES ? (float)below(9) - 4 : 0;
        }
}

/* One device's results for a problem. */
typedef struct {
    float *y, *d[3];
    ss_attention_stats *stats;
    ss_logit_stats *logits;
} answer;

static ss_ctx *open_device(const char *device)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = device, .threads = 1}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static void get(ss_ctx *c, ss_tensor *x, float *to)
{
    ss_err e = {0};

    if (ss_download(c, x, to, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(x);
}

static void check_code(ss_ctx *c, ss_code rc)
{
    if (rc != SS_OK)
        fail_msg("%s", c->op_err.msg);
}

/* q, k, v, mask and dy as they come from the host. */
typedef struct {
    float *q, *k, *v, *mask, *bias, *dy;
} inputs;

static void run(const char *device, const problem *p, const inputs *in, bool watched, answer *a)
{
    ss_ctx *c = open_device(device);
    const ss_shape of_q = ss_shape_of(p->n, p->T, p->heads * p->D);
    const ss_shape of_k = ss_shape_of(p->n, p->S, p->heads * p->D);
    ss_tensor *x[] = {ss_upload(c, of_q, in->q),
                      ss_upload(c, of_k, in->k),
                      ss_upload(c, of_k, in->v),
                      ss_upload(c, of_q, in->dy),
                      p->mask ? ss_upload(c, ss_shape_of(p->n, p->S), in->mask) : NULL,
                      p->bias ? ss_upload(c, ss_shape_of(p->biases, p->T, p->S), in->bias) : NULL};
    ss_format f, g;
    ss_err e = {0};

    ss_format_parse(p->format ? p->format : "fp32", &f, NULL);
    ss_format_parse("fp8-e5m2", &g, NULL);
    ss_attention_gradient_args args = {.forward = {.q = x[0],
                                                   .k = x[1],
                                                   .v = x[2],
                                                   .mask = x[4],
                                                   .bias = x[5],
                                                   .n = p->n,
                                                   .queries = p->T,
                                                   .keys = p->S,
                                                   .heads = p->heads,
                                                   .width = p->D,
                                                   .scale = p->scale,
                                                   .cosine = p->cosine,
                                                   .rounding = p->format ? &f : NULL,
                                                   .code = p->code,
                                                   .stats = watched ? a->stats : NULL,
                                                   .logits = watched ? a->logits : NULL,
                                                   .y = ss_tensor_new(c, of_q)},
                                       .dy = x[3],
                                       .rounding = p->format ? &g : NULL};

    check_code(c, ss_do_attention(c, &args.forward));
    if (p->gradient > 0) {
        args.dq = ss_tensor_new(c, of_q);
        args.dk = ss_tensor_new(c, of_k);
        args.dv = ss_tensor_new(c, of_k);
        check_code(c, ss_back_attention(c, &args));
        get(c, args.dq, a->d[0]);
        get(c, args.dk, a->d[1]);
        get(c, args.dv, a->d[2]);
    }
    get(c, args.forward.y, a->y);
    for (size_t i = 0; i < N_OF(x); i++)
        ss_release(x[i]);
    if (ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_ctx_free(c);
}

static float *floats(int64_t n)
{
    return calloc((size_t)n, sizeof(float));
}

static answer answer_of(const problem *p)
{
    const int64_t q = p->n * p->T * p->heads * p->D, k = p->n * p->S * p->heads * p->D;
    const size_t heads = (size_t)(p->n * p->heads);

    return (answer){.y = floats(q),
                    .d = {floats(q), floats(k), floats(k)},
                    .stats = calloc(heads, sizeof(ss_attention_stats)),
                    .logits = calloc(heads, sizeof(ss_logit_stats))};
}

static void drop(answer *a)
{
    free(a->y);
    for (int i = 0; i < 3; i++)
        free(a->d[i]);
    free(a->stats);
    free(a->logits);
}

/* Equal where NaN or inf, close in the mean elsewhere. */
static void check_values(const char *what, float *got, float *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(got[i]) != isfinite(want[i]) || isnan(got[i]) != isnan(want[i]) ||
            (isinf(want[i]) && got[i] != want[i]))
            fail_msg("%s[%lld] is %g, on the CPU %g", what, (long long)i, got[i], want[i]);
        if (!isfinite(want[i]))
            got[i] = want[i] = 0;
    }
    const double error = relative_l2(got, want, n);
    if (getenv("SS_TEST_VERBOSE"))
        printf("%s %.2e of %lld\n", what, error, (long long)n);
    double size = 0;

    for (int64_t i = 0; i < n; i++)
        size += fabs((double)want[i]);
    if (size > 0 && !(error <= tolerance))
        fail_msg("%s: relative error %.3g", what, error);
}

static void check_equal(const char *what, int64_t head, float got, float want)
{
    if (got != want && !(isnan(got) && isnan(want)))
        fail_msg("%s of head %lld is %.9g, on the CPU %.9g", what, (long long)head, got, want);
}

static void check_count(const char *what, int64_t head, uint64_t got, uint64_t want)
{
    if (got != want)
        fail_msg("%s of head %lld is %llu, on the CPU %llu", what, (long long)head,
                 (unsigned long long)got, (unsigned long long)want);
}

static void check_logits(const ss_logit_stats *got, const ss_logit_stats *want, int64_t head)
{
    char name[16];

#define FLOATS(X) X(least) X(most) X(raw_least) X(raw_most) X(peak) X(raw_peak)
#define X(name) check_equal(#name, head, got->name, want->name);
    FLOATS(X)
#undef X
#define COUNTS(X) X(nonfinite) X(raw_nonfinite) X(lost)
#define X(name) check_count(#name, head, got->name, want->name);
    COUNTS(X)
#undef X
    assert_close("probability", &got->probability, &want->probability, 1, 0, 1e-6);
    for (int k = 0; k < SS_LOGIT_EXPONENTS; k++) {
        snprintf(name, sizeof name, "large[%d]", k);
        check_count(name, head, got->large[k], want->large[k]);
        snprintf(name, sizeof name, "raw_large[%d]", k);
        check_count(name, head, got->raw_large[k], want->raw_large[k]);
    }
}

static void compare_answers(const problem *p, answer *got, answer *want)
{
    static const char *const names[] = {"dq", "dk", "dv"};
    const int64_t C = p->heads * p->D, q = p->n * p->T * C, k = p->n * p->S * C;
    /* rounded values fall to either side where sums differ */
    const double tolerance = p->format ? 2e-3 : 3e-6;

    check_values("y", got->y, want->y, q, tolerance);
    for (int i = 0; i < 3 && p->gradient > 0; i++)
        check_values(names[i], got->d[i], want->d[i], i ? k : q, p->format ? 2e-2 : 5e-6);
    for (int64_t i = 0; i < p->n * p->heads; i++) {
        const ss_attention_stats *s = &got->stats[i], *t = &want->stats[i];

        assert_close("entropy", &s->entropy, &t->entropy, 1, 2e-6, 2e-6);
        assert_close("entropy_min", &s->entropy_min, &t->entropy_min, 1, 2e-6, 2e-6);
        assert_close("sink", &s->sink, &t->sink, 1, 0, p->format ? 1e-3 : 2e-6);
        if (p->cosine) /* whose logits are not exact */
            continue;
        check_equal("max_logit", i, s->max_logit, t->max_logit);
        check_logits(&got->logits[i], &want->logits[i], i);
    }
}

static inputs inputs_of(const problem *p)
{
    const int64_t C = p->heads * p->D, q = p->n * p->T * C, k = p->n * p->S * C;
    const inputs in = {
        floats(q), floats(k), floats(k), floats(p->n * p->S), floats(p->biases * p->T * p->S),
        floats(q)};

    seed = (uint32_t)(p->T * 31 + p->S * 7 + p->D);
    fill_integers(in.q, q, p->bits);
    fill_integers(in.k, k, p->bits);
    fill_evenly(in.v, k, 1);
    for (int64_t i = 0; i < k; i++)
        in.v[i] += 0.5f; /* a mean of many is not about 0 */
    fill_evenly(in.dy, q, p->gradient);
    fill_mask(p->mask, in.mask, p->n, p->S);
    fill_mask(p->bias, in.bias, p->biases * p->T, p->S);
    if (p->bad != 0) {
        in.q[below(q)] = p->bad;
        in.k[below(k)] = p->bad;
    }
    return in;
}

/* Both devices' answers, which must be alike; and the CUDA device's with and without statistics,
 * the same bits. */
static void compare(const problem *p)
{
    const size_t bytes = (size_t)(p->n * p->T * p->heads * p->D) * sizeof(float);
    const inputs in = inputs_of(p);
    answer cpu = answer_of(p), cuda = answer_of(p), plain = answer_of(p);

    run("cpu", p, &in, true, &cpu);
    run(test_device(), p, &in, true, &cuda);
    run(test_device(), p, &in, false, &plain);
    assert_memory_equal(plain.y, cuda.y, bytes);
    compare_answers(p, &cuda, &cpu);
    drop(&cpu);
    drop(&cuda);
    drop(&plain);
    free(in.q);
    free(in.k);
    free(in.v);
    free(in.mask);
    free(in.bias);
    free(in.dy);
}

static const problem usual = {
    .n = 2, .T = 33, .S = 21, .heads = 3, .D = 7, .scale = 0.25f, .bits = 1, .gradient = 1};

static void test_shapes(void **state)
{
    static const struct {
        int64_t n, T, S;
        int heads, D;
    } shapes[] = {
        {1, 1, 1, 1, 1},    {2, 1, 33, 3, 5},  {1, 13, 1, 2, 3},    {3, 7, 77, 1, 8},
        {2, 40, 256, 1, 4}, {1, 3, 257, 2, 3}, {1, 2, 1030, 1, 16}, {1, 2, 4099, 1, 2},
        {1, 2, 8195, 1, 1}, {5, 3, 9, 2, 4},   {1, 5000, 3, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(shapes); i++) {
        problem p = usual;

        p.n = shapes[i].n;
        p.T = shapes[i].T;
        p.S = shapes[i].S;
        p.heads = shapes[i].heads;
        p.D = shapes[i].D;
        compare(&p);
        p.cosine = true;
        compare(&p);
    }
}

static void test_masks(void **state)
{
    (void)state;
    for (int mask = BIASES; mask <= NO_KEY; mask++) {
        problem p = usual;

        p.mask = (mask_kind)mask;
        compare(&p);
        p.S = 300;
        compare(&p);
    }
}

static void test_biases(void **state)
{
    (void)state;
    for (int bias = BIASES; bias <= NO_KEY; bias++) {
        problem p = usual;

        p.bias = (mask_kind)bias;
        for (p.biases = 1; p.biases <= p.heads; p.biases += p.heads - 1) {
            p.S = 21;
            p.mask = (mask_kind)((bias + p.biases) % (NO_KEY + 1));
            compare(&p);
            p.S = 300;
            compare(&p);
        }
    }
}

static void test_rounding(void **state)
{
    static const char *const formats[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e4m3-nan", "fp8-e5m2"};

    (void)state;
    for (size_t i = 0; i < N_OF(formats); i++)
        for (int code = 0; code < SS_N_ATTENTION_CODES; code++) {
            problem p = usual;

            p.format = formats[i];
            p.code = (ss_attention_code)code;
            p.mask = (mask_kind)((i + (size_t)code) % (NO_KEY + 1));
            compare(&p);
            p.bias = BIASES;
            p.biases = 1;
            compare(&p);
        }
}

/* Logits whose exponents are counted, up to those that overflow. */
static void test_large_logits(void **state)
{
    (void)state;
    for (int bits = 2; bits <= 62; bits += 20)
        for (int code = -1; code < SS_N_ATTENTION_CODES; code++) {
            problem p = usual;

            p.bits = bits;
            p.S = code % 2 ? 21 : 521;
            p.D = bits > 56 ? 1 : 4; /* beyond, sums of several overflow in one order or another */
            p.format = code < 0 ? NULL : bits % 4 ? "fp16" : "bf16";
            p.code = (ss_attention_code)(code < 0 ? 0 : code);
            p.gradient = 0;
            compare(&p);
        }
}

static void test_values_that_are_not_finite(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t i = 0; i < N_OF(bad); i++)
        for (int code = -1; code < SS_N_ATTENTION_CODES; code++) {
            problem p = usual;

            p.bad = bad[i];
            p.format = code < 0 ? NULL : "fp16";
            p.code = (ss_attention_code)(code < 0 ? 0 : code);
            p.gradient = 0;
            p.bits = 4;
            p.S = code % 2 ? 21 : 270;
            compare(&p);
        }
}

/* A card so small that a strip, of 1.3 MB, is some rows of one head, a head, or some samples. */
static void test_strips(void **state)
{
    static const struct {
        int64_t n, T, S;
        mask_kind mask;
        const char *format;
        bool cosine;
    } cases[] = {{1, 900, 401, BIASES, "bf16", false},
                 {2, 600, 399, NO_MASK, NULL, true},
                 {9, 150, 300, SOME_KEYS, NULL, false}};

    (void)state;
    setenv("SIGMASCOPE_CUDA_MEMORY", "42000000", 1);
    for (size_t i = 0; i < N_OF(cases); i++) {
        problem p = usual;

        p.n = cases[i].n;
        p.T = cases[i].T;
        p.S = cases[i].S;
        p.heads = 2;
        p.D = 3;
        p.mask = cases[i].mask;
        p.format = cases[i].format;
        p.cosine = cases[i].cosine;
        compare(&p);
        p.bias = SOME_KEYS;
        p.biases = i ? 2 : 1;
        compare(&p);
    }
    unsetenv("SIGMASCOPE_CUDA_MEMORY");
}

static void test_multiprocessors(void **state)
{
    static const char *const counts[] = {"1", "7", "132"};
    const int64_t n = usual.n * usual.T * usual.heads * usual.D;
    const inputs in = inputs_of(&usual);
    answer first = answer_of(&usual);

    (void)state;
    for (size_t i = 0; i < N_OF(counts); i++) {
        answer a = answer_of(&usual);

        setenv("SIGMASCOPE_CUDA_MULTIPROCESSORS", counts[i], 1);
        run(test_device(), &usual, &in, true, i ? &a : &first);
        if (i) {
            assert_memory_equal(a.y, first.y, (size_t)n * sizeof *a.y);
            assert_memory_equal(a.d[0], first.d[0], (size_t)n * sizeof *a.y);
            assert_memory_equal(a.stats, first.stats,
                                (size_t)(usual.n * usual.heads) * sizeof *a.stats);
        }
        drop(&a);
    }
    unsetenv("SIGMASCOPE_CUDA_MULTIPROCESSORS");
    drop(&first);
    free(in.q);
    free(in.k);
    free(in.v);
    free(in.mask);
    free(in.bias);
    free(in.dy);
}

/* ---- matrix products ---- */

static void linear(const char *device, ss_shape of_x, int64_t out, bool biased, const float *x,
                   const float *w, const float *bias, float *y)
{
    ss_ctx *c = open_device(device);
    const int64_t in = of_x.dim[of_x.rank - 1];
    ss_tensor *t[] = {ss_upload(c, of_x, x), ss_upload(c, ss_shape_of(out, in), w),
                      biased ? ss_upload(c, ss_shape_of(out), bias) : NULL};

    get(c, ss_linear(c, t[0], t[1], t[2]), y);
    for (size_t i = 0; i < N_OF(t); i++)
        ss_release(t[i]);
    ss_ctx_free(c);
}

static void test_linear(void **state)
{
    static const struct {
        int64_t rows, in, out;
    } sizes[] = {{1, 1, 1}, {7, 3, 13}, {1, 33, 4}, {65, 16, 36}, {3, 5, 1100}, {300, 2, 8}};

    (void)state;
    seed = 1;
    for (size_t i = 0; i < N_OF(sizes) * 2; i++) {
        const int64_t rows = sizes[i / 2].rows, in = sizes[i / 2].in, out = sizes[i / 2].out;
        float *x = floats(rows * in), *w = floats(in * out), *bias = floats(out);
        float *y = floats(rows * out), *want = floats(rows * out);

        fill_evenly(x, rows * in, 2);
        fill_evenly(w, in * out, 1);
        fill_evenly(bias, out, 1);
        linear("cpu", ss_shape_of(rows, in), out, i % 2, x, w, bias, want);
        linear(test_device(), ss_shape_of(rows, in), out, i % 2, x, w, bias, y);
        assert_close("y", y, want, rows * out, 1e-6, 1e-6);
        free(x);
        free(w);
        free(bias);
        free(y);
        free(want);
    }
}

/* Gradients of a product of so many rows, as the engine asks for them, against plain sums. */
static void check_gradients_of_linear(int64_t rows, int64_t in, int64_t out)
{
    ss_ctx *c = open_device(test_device());
    float *x = floats(rows * in), *w = floats(in * out), *dy = floats(rows * out);
    float *dx = floats(rows * in), *dw = floats(in * out);
    float *want_dx = floats(rows * in), *want_dw = floats(in * out);

    fill_evenly(x, rows * in, 2);
    fill_evenly(w, in * out, 1);
    fill_evenly(dy, rows * out, 1);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++) {
                want_dx[r * in + i] += dy[r * out + o] * w[o * in + i];
                want_dw[o * in + i] += dy[r * out + o] * x[r * in + i];
            }
    ss_tensor *t[] = {ss_upload(c, ss_shape_of(rows, in), x), ss_upload(c, ss_shape_of(out, in), w),
                      ss_upload(c, ss_shape_of(rows, out), dy)};
    const ss_conv2d_gradient_args a = {.x = t[0],
                                       .w = t[1],
                                       .dy = t[2],
                                       .n = 1,
                                       .h = 1,
                                       .width = rows,
                                       .in = in,
                                       .out_h = 1,
                                       .out_w = rows,
                                       .out = out,
                                       .kh = 1,
                                       .kw = 1,
                                       .opt = {.stride = 1}};
    ss_tensor *to_x = ss_tensor_new(c, t[0]->shape), *to_w = ss_tensor_new(c, t[1]->shape);

    check_code(c, ss_back_conv2d_data(c, &a, to_x));
    check_code(c, ss_back_conv2d_weights(c, &a, to_w));
    get(c, to_x, dx);
    get(c, to_w, dw);
    assert_close("dx", dx, want_dx, rows * in, 4e-6, 2e-6);
    assert_close("dw", dw, want_dw, in * out, 4e-6 * (double)(rows + 1), 2e-6);
    for (size_t i = 0; i < N_OF(t); i++)
        ss_release(t[i]);
    ss_ctx_free(c);
    float *const all[] = {x, w, dy, dx, dw, want_dx, want_dw};
    for (size_t i = 0; i < N_OF(all); i++)
        free(all[i]);
}

static void test_gradients_of_linear(void **state)
{
    (void)state;
    seed = 2;
    check_gradients_of_linear(1, 1, 1);
    check_gradients_of_linear(7, 3, 13);
    check_gradients_of_linear(1, 33, 4);
    check_gradients_of_linear(65, 16, 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),       cmocka_unit_test(test_masks),
        cmocka_unit_test(test_biases),       cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_large_logits), cmocka_unit_test(test_values_that_are_not_finite),
        cmocka_unit_test(test_strips),       cmocka_unit_test(test_multiprocessors),
        cmocka_unit_test(test_linear),       cmocka_unit_test(test_gradients_of_linear),
    };

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
