/* Attention and its statistics against the whole matrix in double, and laws: a uniform row
 * has entropy log n, one key has none, the order of the keys does not matter, watching
 * changes no bit, memory is linear in the tokens. */
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "tests/ss_isa.h"

#include <float.h>
#include <stdio.h>
#include <sys/resource.h>

static uint32_t seed;

/* Evenly in [-1, 1) */
static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)(seed ^ seed >> 16) * 0x1p-31f;
}

/* One problem: q [n][T][heads*D], k and v [n][S][heads*D], mask [n][S] and bias [biases][T][S], or
 * NULL. */
typedef struct {
    int64_t n, T, S;
    int heads, D;
    float scale;
    bool cosine;
    const ss_format *rounding;
    ss_attention_code code;
    float *q, *k, *v, *mask, *bias;
    int biases; /* heads, or 1 */
} problem;

static float *random_values(int64_t n, float size)
{
    float *x = malloc((size_t)n * sizeof *x);

    for (int64_t i = 0; i < n; i++)
        x[i] = random_value() * size;
    return x;
}

static problem make(int64_t n, int64_t T, int64_t S, int heads, int D, float size)
{
    problem p = {.n = n, .T = T, .S = S, .heads = heads, .D = D};

    seed = (uint32_t)(T * 31 + S * 7 + D);
    p.scale = 1 / sqrtf((float)D);
    p.q = random_values(n * T * heads * D, size);
    p.k = random_values(n * S * heads * D, size);
    p.v = random_values(n * S * heads * D, 1);
    return p;
}

static void drop(problem *p)
{
    free(p->q);
    free(p->k);
    free(p->v);
    free(p->mask);
    free(p->bias);
}

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m, (void)p;
    return false;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return true;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    (void)c, (void)m, (void)keys;
    memcpy(self, s, (size_t)(n * heads) * sizeof *s);
}

/* y [n][T][heads*D]; stats [n][heads] or NULL. Statistics, cosine attention and rounding are
 * asked for as a user does: by a module that is watched, changed, rounded. */
static void run(const problem *p, int threads, float *y, ss_attention_stats *stats)
{
    static const ss_module module = {.path = "attention", .kind = "Attention", .parent = -1};
    const ss_hooks hooks = {stats, wants, wants_attention, NULL, see_attention, NULL};
    const ss_intervention cosine = {SS_COSINE_ATTENTION, p->scale, "attention"};
    ss_precision precision = {.scope = SS_ROUND_HALF};
    ss_setup setup = {.modules = (const ss_module *[]){&module},
                      .n_modules = 1,
                      .hooks = stats ? &hooks : NULL,
                      .interventions = &cosine,
                      .n_interventions = p->cosine};
    const int64_t C = p->heads * p->D;
    ss_ctx *c;
    ss_err e = {0};

    if (p->rounding) {
        precision.format = *p->rounding;
        precision.attention = p->code;
        setup.precision = &precision;
    }
    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) !=
            SS_OK ||
        ss_ctx_setup(c, &setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *q = ss_upload(c, ss_shape_of(p->n, p->T, C), p->q);
    ss_tensor *k = ss_upload(c, ss_shape_of(p->n, p->S, C), p->k);
    ss_tensor *v = ss_upload(c, ss_shape_of(p->n, p->S, C), p->v);
    ss_tensor *mask = p->mask ? ss_upload(c, ss_shape_of(p->n, p->S), p->mask) : NULL;

    ss_tensor *bias = p->bias ? ss_upload(c, ss_shape_of(p->biases, p->T, p->S), p->bias) : NULL;

    ss_enter(c, &module, q);
    ss_tensor *out = ss_leave(
        c, &module,
        ss_attention(c, q, k, v, mask,
                     &(ss_attention_opt){.heads = p->heads, .scale = p->scale, .bias = bias}));
    if (ss_ctx_finish(c, &e) != SS_OK || ss_download(c, out, y, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(out);
    ss_release(bias);
    ss_release(mask);
    ss_release(v);
    ss_release(k);
    ss_release(q);
    ss_ctx_free(c);
}

static double dot(const float *a, const float *b, int D)
{
    double s = 0;

    for (int i = 0; i < D; i++)
        s += (double)a[i] * b[i];
    return s;
}

/* Adds bias and mask to the logits of a query; says which keys that masks. */
static void add_and_mask(const problem *p, int64_t n, int h, int64_t i, double *l, bool *masked)
{
    const bool rounds = p->rounding && p->code != SS_ATTENTION_SDPA;

    for (int64_t j = 0; j < p->S; j++) {
        const double bias = p->bias ? p->bias[((p->biases > 1 ? h * p->T : 0) + i) * p->S + j] : 0;
        const double mask = p->mask ? p->mask[n * p->S + j] : 0;

        masked[j] = bias <= -65504 || mask <= -65504;
        if (p->bias && rounds)
            l[j] = ss_format_round(p->rounding, (float)(l[j] + bias));
        else
            l[j] += bias;
        l[j] += mask;
        if (rounds)
            l[j] = ss_format_round(p->rounding, (float)l[j]);
    }
}

/* The same with the matrix written out, for one head. */
static void naive_head(const problem *p, int64_t n, int h, float *y, ss_attention_stats *stats)
{
    const int64_t C = p->heads * p->D;
    double *l = malloc((size_t)p->S * sizeof *l), *mass = calloc((size_t)p->S, sizeof *mass);
    double sum = 0, least = INFINITY, top = -INFINITY, sink = 0;
    bool *masked = malloc((size_t)p->S * sizeof *masked);

    for (int64_t i = 0; i < p->T; i++) {
        const float *q = p->q + (n * p->T + i) * C + h * p->D;
        double m = -INFINITY, Z = 0, H = 0;

        for (int64_t j = 0; j < p->S; j++) {
            const float *k = p->k + (n * p->S + j) * C + h * p->D;
            double length = 1;

            if (p->cosine)
                length = sqrt(dot(q, q, p->D)) * sqrt(dot(k, k, p->D));
            l[j] = length > 0 ? p->scale * dot(q, k, p->D) / length : 0;
            if (p->rounding && (p->code == SS_ATTENTION_EAGER_UNSCALED ||
                                (p->bias && p->code == SS_ATTENTION_EAGER))) {
                l[j] = ss_format_round(p->rounding, (float)(l[j] / p->scale));
                l[j] = ss_format_round(p->rounding, (float)(l[j] * p->scale));
            }
        }
        add_and_mask(p, n, h, i, l, masked);
        for (int64_t j = 0; j < p->S; j++) {
            m = l[j] > m ? l[j] : m;
            if (isfinite(l[j]) && !masked[j] && l[j] > top)
                top = l[j];
        }
        for (int64_t j = 0; j < p->S; j++)
            Z += exp(l[j] - m);
        for (int64_t j = 0; j < p->S; j++) {
            const double prob = exp(l[j] - m) / Z;

            H -= prob > 0 ? prob * log(prob) : isnan(prob) ? prob : 0;
            l[j] = prob;
            if (p->rounding && p->code == SS_ATTENTION_SDPA)
                l[j] = ss_format_round(p->rounding, (float)(prob * Z)) / Z;
            else if (p->rounding)
                l[j] = ss_format_round(p->rounding, (float)prob);
            mass[j] += l[j];
        }
        sum += H;
        least = H < least || isnan(H) ? H : least;
        for (int d = 0; d < p->D; d++) {
            double s = 0;

            for (int64_t j = 0; j < p->S; j++)
                s += l[j] * p->v[(n * p->S + j) * C + h * p->D + d];
            y[(n * p->T + i) * C + h * p->D + d] =
                p->rounding ? ss_format_round(p->rounding, (float)s) : (float)s;
        }
    }
    for (int64_t j = 0; j < p->S; j++)
        sink = mass[j] > sink || isnan(mass[j]) ? mass[j] : sink;
    *stats = (ss_attention_stats){(float)(sum / (double)p->T),
                                  (float)least,
                                  isinf(top) ? NAN : (float)top,
                                  (float)(sink / (double)p->T),
                                  0,
                                  NULL};
    free(l);
    free(mass);
    free(masked);
}

/* Runs p with and without statistics and by 1 to 3 threads, which must not change a bit, and
 * compares with the matrix. */
static void check(const char *name, const problem *p, double tolerance)
{
    const int64_t count = p->n * p->T * p->heads * p->D, heads = p->n * p->heads;
    const size_t bytes = (size_t)count * sizeof(float),
                 stats_bytes = (size_t)heads * sizeof(ss_attention_stats);
    float *y = malloc(bytes), *other = malloc(bytes), *want = malloc(bytes);
    ss_attention_stats *s = malloc(stats_bytes), *s2 = malloc(stats_bytes), w;

    run(p, 1, y, s);
    run(p, 1, other, NULL);
    assert_memory_equal(y, other, bytes);
    for (int threads = 2; threads <= 3; threads++) {
        run(p, threads, other, s2);
        assert_memory_equal(y, other, bytes);
        assert_memory_equal(s, s2, stats_bytes);
    }
    for (int64_t i = 0; i < heads; i++) {
        naive_head(p, i / p->heads, (int)(i % p->heads), want, &w);
        assert_close(name, &s[i].entropy, &w.entropy, 1, 2e-6, 2e-6);
        assert_close(name, &s[i].entropy_min, &w.entropy_min, 1, 2e-6, 2e-6);
        assert_close(name, &s[i].max_logit, &w.max_logit, 1, 1e-6, 1e-6);
        assert_close(name, &s[i].sink, &w.sink, 1, 0, 2e-6);
    }
    for (int64_t i = 0; i < count; i++)
        if ((isnan(y[i]) && isnan(want[i])) || (isinf(y[i]) && y[i] == want[i]))
            y[i] = want[i] = 0;
    const double error = relative_l2(y, want, count);
    if (getenv("SS_TEST_VERBOSE"))
        printf("%-24s %.2e\n", name, error);
    if (!(error <= tolerance))
        fail_msg("%s: relative error %.3g, at most %.3g", name, error, tolerance);
    free(y);
    free(other);
    free(want);
    free(s);
    free(s2);
}

static void test_matches_the_matrix(void **state)
{
    static const struct {
        int64_t n, T, S;
        int heads, D;
        float size;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1},      {2, 7, 1, 3, 8, 1},    {1, 1, 50, 2, 5, 1},
        {2, 33, 77, 2, 40, 2},   {1, 24, 16, 1, 64, 1}, {1, 25, 17, 1, 7, 3},
        {1, 300, 520, 2, 16, 1}, {3, 50, 31, 5, 3, 6},  {1, 100, 1030, 1, 33, 2},
        {1, 49, 49, 1, 160, 1},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(shapes); i++) {
        problem p = make(shapes[i].n, shapes[i].T, shapes[i].S, shapes[i].heads, shapes[i].D,
                         shapes[i].size);
        char name[32];

        snprintf(name, sizeof name, "shape %zu", i);
        check(name, &p, 1e-6); /* worst seen: 6.5e-7 */
        p.cosine = true;
        p.scale = 8;
        p.q[0] = 0; /* with D = 1, a zero vector */
        check(name, &p, 1e-6);
        drop(&p);
    }
}

static void test_masks(void **state)
{
    problem p = make(2, 40, 37, 2, 8, 1);

    (void)state;
    p.mask = random_values(p.n * p.S, 4);
    check("bias", &p, 6e-7);
    for (int64_t j = 20; j < p.S; j++)
        p.mask[j] = -INFINITY;
    check("some keys masked", &p, 6e-7);
    for (int64_t j = 0; j < p.S; j++) /* the second sample: one key left */
        p.mask[p.S + j] = j == 5 ? 0 : -INFINITY;
    check("one key left", &p, 6e-7);
    p.mask[p.S + 5] = -INFINITY;
    check("all keys masked", &p, 6e-7); /* NaN, for this sample alone */
    drop(&p);
}

/* A bias for each head, one for all, and with a mask; causal, by -inf and by the least number. */
static void test_biases(void **state)
{
    static const int64_t tokens[] = {1, 7, 77, 300};

    (void)state;
    for (size_t i = 0; i < N_OF(tokens); i++) {
        const int64_t T = tokens[i];

        for (int heads = 1; heads <= 2; heads++) {
            problem p = make(2, T, T, 2, 8, 1);

            p.biases = heads;
            p.bias = random_values(heads * T * T, 5);
            check("bias", &p, 6e-7);
            p.mask = random_values(p.n * T, 3);
            for (int64_t j = T / 2 + 1; j < T; j++)
                p.mask[j] = -65504;
            check("bias and mask", &p, 6e-7);
            for (int64_t j = 0; j < heads * T * T; j++)
                p.bias[j] = j % T > j / T % T ? heads == 1 ? -INFINITY : -FLT_MAX : 0;
            check("causal and mask", &p, 6e-7);
            drop(&p);
        }
    }
}

/* Each sum is rounded where a code stores logits. Queries and keys make exact products. */
static void test_biases_in_half_precision(void **state)
{
    ss_format f;

    (void)state;
    assert_int_equal(ss_format_parse("fp16", &f, NULL), SS_OK);
    for (int code = 0; code < SS_N_ATTENTION_CODES; code++) {
        problem p = make(1, 20, 20, 2, 4, 2);

        p.scale = 1;
        for (int64_t j = 0; j < 20 * 8; j++) {
            p.q[j] = ldexpf(1, (int)(p.q[j] * 3));
            p.k[j] = ldexpf(1, (int)(p.k[j] * 3));
            p.v[j] = ss_format_round(&f, p.v[j]);
        }
        p.rounding = &f;
        p.code = (ss_attention_code)code;
        p.biases = 2;
        p.bias = random_values(2 * 20 * 20, 9);
        p.mask = random_values(20, 2);
        for (int64_t j = 0; j < 2 * 20 * 20; j++)
            p.bias[j] = ss_format_round(&f, p.bias[j]);
        for (int64_t j = 0; j < 20; j++)
            p.mask[j] = ss_format_round(&f, p.mask[j]);
        check("fp16", &p, 3e-4);
        drop(&p);
    }
}

static void test_bias_of_another_shape(void **state)
{
    static const float zeros[60];
    ss_ctx *c;
    ss_err e = {0};

    (void)state;
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e), SS_OK);
    ss_tensor *x = ss_upload(c, ss_shape_of(1, 5, 4), zeros);
    ss_tensor *bias = ss_upload(c, ss_shape_of(2, 5, 6), zeros);
    assert_null(
        ss_attention(c, x, x, x, NULL, &(ss_attention_opt){.heads = 2, .scale = 1, .bias = bias}));
    assert_int_equal(ss_ctx_check(c, &e), SS_SHAPE);
    assert_string_equal(e.msg, "attention: bias [2,5,6] does not fit 2 heads of 5 by 5");
    ss_release(bias);
    ss_release(x);
    ss_ctx_free(c);
}

/* Bad values spoil the rows they reach, as in PyTorch, and no others. */
static void test_values_that_are_not_finite(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t i = 0; i < N_OF(bad); i++) {
        problem p = make(1, 30, 35, 2, 8, 1);

        p.q[3 * 16 + 1] = bad[i]; /* query 3, head 0 */
        check("bad query", &p, 6e-7);
        drop(&p);
        p = make(1, 30, 35, 2, 8, 1);
        p.v[7 * 16 + 9] = bad[i]; /* value 7, head 1 */

        float y[30 * 16];
        run(&p, 1, y, NULL);
        for (int t = 0; t < 30; t++)
            for (int c = 0; c < 16; c++)
                assert_int_equal(isfinite(y[t * 16 + c]) != 0, c != 9);
        drop(&p);
    }
}

static void test_rounding(void **state)
{
    static const char *const names[] = {"bf16", "fp16", "fp8-e4m3"};
    static const struct {
        int64_t T, S;
        int heads, D;
    } shapes[] = {{60, 45, 2, 16}, {3, 33, 1, 7}, {1, 1, 3, 1}};

    (void)state;
    for (size_t i = 0; i < N_OF(names) * N_OF(shapes); i++) {
        const char *name = names[i / N_OF(shapes)];
        const size_t k = i % N_OF(shapes);
        problem p = make(1, shapes[k].T, shapes[k].S, shapes[k].heads, shapes[k].D, 2);
        const int C = p.heads * p.D;
        ss_format f;

        assert_int_equal(ss_format_parse(name, &f, NULL), SS_OK);
        /* Powers of two make products exact, so that both sides round the same numbers. */
        for (int64_t j = 0; j < p.T * C; j++)
            p.q[j] = ldexpf(1, (int)(p.q[j] * 2)) * (p.q[j] < 0 ? -1 : 1);
        for (int64_t j = 0; j < p.S * C; j++)
            p.k[j] = ldexpf(1, (int)(p.k[j] * 2)) * (p.k[j] < 0 ? -1 : 1);
        for (int64_t j = 0; j < p.S * C; j++) /* operands are of the format too */
            p.v[j] = ss_format_round(&f, p.v[j]);
        p.rounding = &f;
        for (int code = 0; code < SS_N_ATTENTION_CODES; code++) {
            p.code = (ss_attention_code)code;
            check(name, &p, 1e-3); /* a value at a tie may fall to either side */
        }
        drop(&p);
    }
}

static void round_all(const ss_format *f, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = ss_format_round(f, x[i]);
}

/* Operands of bf16, which some processors multiply: the logits are those of f32, and pairs that an
 * odd number leaves open are closed with zeros. */
static void test_bf16(void **state)
{
    static const struct {
        int64_t n, T, S;
        int heads, D;
        float size;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1},    {2, 7, 1, 3, 3, 1},       {1, 3, 33, 2, 7, 3},
        {2, 33, 77, 2, 40, 2}, {1, 100, 1031, 1, 33, 2}, {1, 49, 49, 1, 160, 1},
    };
    ss_format f;

    (void)state;
    assert_int_equal(ss_format_parse("bf16", &f, NULL), SS_OK);
    for (size_t i = 0; i < N_OF(shapes); i++) {
        problem p = make(shapes[i].n, shapes[i].T, shapes[i].S, shapes[i].heads, shapes[i].D,
                         shapes[i].size);
        const int64_t C = p.heads * p.D;
        char name[32];

        round_all(&f, p.q, p.n * p.T * C);
        round_all(&f, p.k, p.n * p.S * C);
        round_all(&f, p.v, p.n * p.S * C);
        p.rounding = &f;
        snprintf(name, sizeof name, "bf16, shape %zu", i);
        check(name, &p, 2e-4); /* worst seen: 1.5e-4 */
        p.mask = random_values(p.n * p.S, 4);
        round_all(&f, p.mask, p.n * p.S);
        check(name, &p, 2e-4);
        drop(&p);
    }
}

/* A NaN of bf16 stays one, also where 16 bits would make it an infinity. */
static void test_bad_values_in_bf16(void **state)
{
    const uint32_t bad[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0x7f800000, 0xff800000};
    ss_format f;

    (void)state;
    assert_int_equal(ss_format_parse("bf16", &f, NULL), SS_OK);
    for (size_t i = 0; i < N_OF(bad); i++) {
        problem p = make(1, 30, 35, 2, 8, 1);
        float y[30 * 16];

        round_all(&f, p.q, p.T * 16);
        round_all(&f, p.k, p.S * 16);
        round_all(&f, p.v, p.S * 16);
        p.rounding = &f;
        memcpy(&p.v[7 * 16 + 9], &bad[i], sizeof bad[i]); /* value 7, head 1 */
        check("bad value", &p, 2e-4);
        run(&p, 1, y, NULL);
        for (int t = 0; t < 30; t++)
            assert_int_equal(isnan(y[t * 16 + 9]), i < 3);
        memcpy(&p.q[3 * 16 + 1], &bad[i], sizeof bad[i]); /* query 3, head 0 */
        check("bad query", &p, 2e-4);
        drop(&p);
    }
}

static void test_laws(void **state)
{
    enum { T = 50, S = 100, D = 16 };
    problem p = make(1, T, S, 1, D, 1);
    ss_attention_stats s;
    static float y[T * D], z[T * D];

    (void)state;
    memset(p.q, 0, T * D * sizeof *p.q);
    run(&p, 1, y, &s);
    assert_close("uniform", &s.entropy, &(float){logf(S)}, 1, 0, 1e-6);
    assert_close("uniform", &s.entropy_min, &(float){logf(S)}, 1, 0, 1e-6);
    assert_close("uniform", &s.sink, &(float){1.0f / S}, 1, 0, 1e-6);
    assert_true(s.max_logit == 0);
    drop(&p);

    p = make(1, T, S, 1, D, 1); /* every query looks at key 42 */
    for (int i = 0; i < T; i++)
        p.q[i * D] = 1000;
    for (int j = 0; j < S; j++)
        p.k[j * D] = j == 42;
    run(&p, 1, y, &s);
    assert_true(s.entropy >= 0 && s.entropy < 1e-30f && s.entropy_min >= 0);
    assert_close("sink", &s.sink, &(float){1}, 1, 0, 1e-6);
    for (int i = 0; i < T; i++)
        assert_memory_equal(y + i * D, p.v + 42 * D, D * sizeof *y);
    drop(&p);

    p = make(1, T, S, 1, D, 2); /* keys in another order */
    run(&p, 1, y, &s);
    for (int j = 0; j < S / 2; j++)
        for (int d = 0; d < D; d++) {
            const int a = j * D + d, b = (S - 1 - j) * D + d;
            const float k = p.k[a], v = p.v[a];

            p.k[a] = p.k[b], p.v[a] = p.v[b];
            p.k[b] = k, p.v[b] = v;
        }
    ss_attention_stats r;
    run(&p, 1, z, &r);
    assert_true(relative_l2(y, z, T * D) < 5e-7);
    assert_close("entropy", &s.entropy, &r.entropy, 1, 0, 1e-6);
    assert_close("sink", &s.sink, &r.sink, 1, 0, 1e-6);
    drop(&p);

    p = make(1, T, 1, 1, D, 2); /* one key */
    run(&p, 1, y, &s);
    assert_true(s.entropy == 0 && s.entropy_min == 0);
    assert_close("sink", &s.sink, &(float){1}, 1, 0, 0);
    drop(&p);
}

/* 16384 tokens: the matrix would take 1 GiB, what linear memory takes is a few MiB, or 256 MiB on a
 * GPU; an emulated one's memory is this process's. */
static void test_memory_is_linear(void **state)
{
    problem p = make(1, 16384, 16384, 1, 8, 1);
    float *y = malloc(16384 * 8 * sizeof *y);
    struct rusage before, after;
    ss_attention_stats s;

    (void)state;
    getrusage(RUSAGE_SELF, &before);
    run(&p, 2, y, &s);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < (test_device() ? 384 : 64) << 10); /* KiB */
    free(y);
    drop(&p);
}

static void test_instructions(void **state)
{
    use_isa(*state);
    problem p = make(2, 33, 77, 2, 40, 2);

    check(*state, &p, 6e-7);
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_the_matrix),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_biases),
        cmocka_unit_test(test_biases_in_half_precision),
        cmocka_unit_test(test_bias_of_another_shape),
        cmocka_unit_test(test_values_that_are_not_finite),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_bad_values_in_bf16),
        cmocka_unit_test(test_laws),
        cmocka_unit_test(test_memory_is_linear),
        ISA_TESTS(test_instructions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
