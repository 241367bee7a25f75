/* beside.h - an entry of a backend beside the CPU's, bit for bit
 *
 *   static ss_code clamp(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg,
 *                        ss_err *e)
 *   {
 *       return s->be->clamp(s->d, x[0], -1, 1, y, e);
 *   }
 *   beside_open();
 *   beside_compare(&(ss_beside){.what = "clamp", .run = clamp, .n_in = 1,
 *                               .in = {{.shape = s}}, .out = s, .in_place = true});
 *   beside_close();
 *
 * The tested device's arrays begin at any value of a block of memory, among others that must not
 * change. Inputs are numbers of all sizes with NaN, infinities and zeros of both signs among them.
 */
#ifndef SS_TESTS_CUDA_BESIDE_H
#define SS_TESTS_CUDA_BESIDE_H

#include "kernels/backend.h"
#include "kernels/context.h"
#include "tests/ss_test.h"

#include <stdio.h>

typedef struct {
    const ss_backend *be;
    ss_device *d;
} ss_side;

static ss_side beside_cpu, beside_cuda;

/* At the beginning of a test, which is skipped where the CPU rounds other than a GPU. */
static inline void beside_open(void)
{
    const ss_ctx_options opt = {.threads = 1};
    ss_err e = {0};

    if (!__builtin_cpu_supports("fma"))
        skip_because("this processor has no fused multiply-add");
    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    assert_string_equal(test_device(), "cuda");
    beside_cpu.be = &ss_backend_cpu;
    beside_cuda.be = &ss_backend_cuda;
    if (beside_cpu.be->open(0, &opt, &beside_cpu.d, &e) != SS_OK ||
        beside_cuda.be->open(0, &opt, &beside_cuda.d, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static inline void beside_close(void)
{
    beside_cpu.be->close(beside_cpu.d);
    beside_cuda.be->close(beside_cuda.d);
}

/* ---- inputs ---- */

static uint64_t beside_state = 1;

static inline uint32_t beside_random(void)
{
    beside_state = beside_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(beside_state >> 32);
}

/* One of 0 ... n - 1. */
static inline int64_t beside_below(int64_t n)
{
    return (int64_t)(beside_random() % (uint64_t)n);
}

static inline float beside_value(void)
{
    static const float special[] = {0,    -0.0f, 1,         -1,         INFINITY, -INFINITY,
                                    NAN,  0.5f,  0x1p-149f, -0x1p-130f, 1e38f,    65504,
                                    -448, 20,    -90,       6};
    const uint32_t r = beside_random();
    float any;

    if (r % 16 == 0)
        return special[r / 16 % N_OF(special)];
    if (r % 16 == 1) {
        const uint32_t bits = beside_random();

        memcpy(&any, &bits, sizeof any);
        return any;
    }
    return (float)(int32_t)beside_random() * 0x1p-29f; /* -4 to 4 */
}

/* ---- arrays on a device ---- */

enum { BESIDE_AROUND = 8 }; /* values after an array; before it as many as it is displaced */
static const float beside_guard = 12345.5f;

typedef struct {
    ss_tensor t; /* first: a tensor is its array */
    ss_buffer buf;
    void *block;
    int64_t before;
} ss_array_on;

/* host may be NULL: NaN. Of type f16 or bf16 its values are truncated, and nothing is around. */
static inline ss_tensor *beside_array(const ss_side *s, ss_shape shape, ss_dtype type,
                                      const float *host, int64_t before)
{
    const int64_t n = ss_shape_numel(shape), all = before + n + BESIDE_AROUND;
    float *values = malloc((size_t)all * sizeof *values);
    ss_array_on *a = calloc(1, sizeof *a);
    ss_err e = {0};

    for (int64_t i = 0; i < all; i++)
        values[i] = i < before || i >= before + n ? beside_guard : host ? host[i - before] : NAN;
    if (type != SS_F32) { /* the upper half of an f32 is a bf16, and some f16 */
        uint16_t *half = (uint16_t *)values;

        for (int64_t i = 0; i < n; i++) {
            uint32_t bits;

            memcpy(&bits, &host[i], sizeof bits);
            half[i] = (uint16_t)(bits >> 16);
        }
    }
    if (s->be->alloc(s->d, (size_t)all * sizeof *values, &a->block, &e) != SS_OK ||
        s->be->upload(s->d, a->block, values, (size_t)all * sizeof *values, &e) != SS_OK)
        fail_msg("%s", e.msg);
    a->buf = (ss_buffer){.data = a->block, .bytes = (size_t)n * sizeof(float), .refs = 1};
    a->t = (ss_tensor){.refs = 1,
                       .dtype = type,
                       .shape = shape,
                       .buf = &a->buf,
                       .data = type == SS_F32 ? (float *)a->block + before : a->block};
    a->before = type == SS_F32 ? before : 0;
    free(values);
    return &a->t;
}

static inline void beside_free(const ss_side *s, ss_tensor *t)
{
    ss_array_on *a = (ss_array_on *)t;

    for (int k = 0; k < SS_N_PREPARED; k++)
        if (t->prepared[k].form)
            t->prepared[k].free(s->d, t->prepared[k].form);
    s->be->free(s->d, a->block);
    free(a);
}

/* The values of an f32 array; what is around it must be as it was. */
static inline float *beside_values(const char *what, const ss_side *s, const ss_tensor *t)
{
    const ss_array_on *a = (const ss_array_on *)t;
    const int64_t n = ss_shape_numel(t->shape), all = a->before + n + BESIDE_AROUND;
    ss_tensor whole = *t;
    float *values = malloc((size_t)all * sizeof *values);
    ss_err e = {0};

    whole.shape = ss_shape_of(all);
    whole.data = a->block;
    if (s->be->download(s->d, &whole, values, &e) != SS_OK || s->be->finish(s->d, &e) != SS_OK)
        fail_msg("%s: %s", what, e.msg);
    for (int64_t i = 0; i < all; i++)
        if ((i < a->before || i >= a->before + n) && values[i] != beside_guard)
            fail_msg("%s wrote value %lld of an array of %lld", what, (long long)(i - a->before),
                     (long long)n);
    memmove(values, values + a->before, (size_t)n * sizeof *values);
    return values;
}

/* ---- comparison ---- */

enum { BESIDE_MOST_IN = 3 };
typedef struct {
    const char *what;
    /* y is NULL, or one of x, where it is in place */
    ss_code (*run)(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg,
                   ss_err *e);
    const void *arg;
    int n_in;
    struct {
        ss_shape shape;
        ss_dtype type;
    } in[BESIDE_MOST_IN];
    ss_shape out;
    bool in_place; /* y may be any input of its shape */
} ss_beside;

/* Values of y after run. in_place: the input that y is, or -1. */
static inline float *beside_run(const ss_beside *b, const ss_side *s, float *const host[],
                                const int64_t before[], int in_place)
{
    ss_tensor *x[BESIDE_MOST_IN] = {0}, *y;
    ss_err e = {0};

    for (int k = 0; k < b->n_in; k++)
        x[k] = beside_array(s, b->in[k].shape, b->in[k].type, host[k], before[k]);
    y = in_place >= 0 ? x[in_place] : beside_array(s, b->out, SS_F32, NULL, before[b->n_in]);
    if (b->run(s, x, y, b->arg, &e) != SS_OK)
        fail_msg("%s: %s", b->what, e.msg);
    float *values = beside_values(b->what, s, y);
    if (in_place < 0)
        beside_free(s, y);
    for (int k = 0; k < b->n_in; k++)
        beside_free(s, x[k]);
    return values;
}

static inline void beside_assert_same(const ss_beside *b, const char *how, const float *got,
                                      const float *want)
{
    for (int64_t i = 0; i < ss_shape_numel(b->out); i++)
        if (memcmp(&got[i], &want[i], sizeof *got) && !(isnan(got[i]) && isnan(want[i]))) {
            char shape[96];

            fail_msg("%s %s, %s: value %lld is %a, on the CPU %a", b->what,
                     ss_shape_text(b->out, shape, sizeof shape), how, (long long)i, got[i],
                     want[i]);
        }
}

static inline void beside_compare(const ss_beside *b)
{
    static const int64_t displaced[][BESIDE_MOST_IN + 1] = {{0}, {1, 2, 3, 1}, {4, 0, 0, 2}};
    float *host[BESIDE_MOST_IN] = {0};

    for (int k = 0; k < b->n_in; k++) {
        const int64_t n = ss_shape_numel(b->in[k].shape);

        host[k] = malloc((size_t)(n + 1) * sizeof *host[k]);
        for (int64_t i = 0; i < n; i++)
            host[k][i] = beside_value();
    }
    float *want = beside_run(b, &beside_cpu, host, displaced[0], -1);
    for (size_t i = 0; i < N_OF(displaced); i++) {
        for (int place = -1; place < (b->in_place ? b->n_in : 0); place++) {
            if (place >= 0 && !ss_shape_equal(b->in[place].shape, b->out))
                continue;
            char how[64];
            float *got = beside_run(b, &beside_cuda, host, displaced[i], place);

            snprintf(how, sizeof how, "displaced %zu, in place %d", i, place);
            beside_assert_same(b, how, got, want);
            free(got);
        }
    }
    free(want);
    for (int k = 0; k < b->n_in; k++)
        free(host[k]);
}

#endif
