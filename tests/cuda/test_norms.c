/* test_norms.c - norms and modulation on a device against those of the CPU
 *
 * Entries of the backend's table are called on both with the same random operands: numbers of
 * samples, positions and channels that are 1, odd, large; tensors at any multiple of four bytes;
 * parameters of each type, present and not; huge values, inf and NaN. The CPU's are checked against
 * PyTorch and double elsewhere (test_ops.c, test_gradients.c). A device with another number of
 * multiprocessors must give the same bits.
 *
 * Without SIGMASCOPE_DEVICE the device is the emulated one, where the build has it.
 */
#include "kernels/internal.h"
#include "tests/ss_test.h"

#include <stdio.h>

enum { CPU, DEVICE, OTHER, N_DEVICES }; /* OTHER: as DEVICE, with more multiprocessors */
static ss_ctx *ctx[N_DEVICES];

/* ---- operands ---- */

static uint64_t seed;

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

/* About normal. */
static float random_value(void)
{
    float sum = 0;

    for (int i = 0; i < 4; i++)
        sum += (float)(int32_t)random_bits() * 0x1p-31f;
    return sum * 0.9f;
}

/* The same tensor on both devices, at[k]; its values begin `offset` floats into memory[k]. */
typedef struct {
    ss_tensor *at[N_DEVICES], *memory[N_DEVICES], shifted[N_DEVICES];
    int64_t n;
    void *host; /* of a parameter */
} operand;

static void release(operand *p)
{
    for (int k = 0; k < N_DEVICES; k++)
        ss_release(p->memory[k]);
    free(p->host);
    free(p);
}

static operand *operand_new(int64_t n)
{
    operand *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->n = n;
    return p;
}

static void check(void)
{
    ss_err e = {0};

    for (int k = 0; k < N_DEVICES; k++)
        if (ss_ctx_check(ctx[k], &e) != SS_OK)
            fail_msg("%s", e.msg);
}

static operand *make(ss_shape s, const float *values, int offset)
{
    operand *p = operand_new(ss_shape_numel(s));
    float *all = calloc((size_t)(p->n + offset) + 1, sizeof *all);

    memcpy(all + offset, values, (size_t)p->n * sizeof *all);
    for (int k = 0; k < N_DEVICES; k++) {
        p->memory[k] = ss_upload(ctx[k], offset ? ss_shape_of(p->n + offset) : s, all);
        check();
        p->at[k] = p->memory[k];
        if (!offset)
            continue;
        p->shifted[k] = *p->memory[k];
        p->shifted[k].shape = s;
        p->shifted[k].data = (float *)p->memory[k]->data + offset;
        p->at[k] = &p->shifted[k];
    }
    free(all);
    return p;
}

static operand *random_operand(ss_shape s, float mean, float std, int offset)
{
    const int64_t n = ss_shape_numel(s);
    float *values = malloc((size_t)(n + 1) * sizeof *values);

    for (int64_t i = 0; i < n; i++)
        values[i] = mean + std * random_value();
    operand *p = make(s, values, offset);
    free(values);
    return p;
}

/* Memory for a result, of values that none is. */
static operand *result(ss_shape s, int offset)
{
    return random_operand(s, 1e6f, 1e3f, offset);
}

/* A parameter [n] of the type, with values about 1. */
static operand *parameter(int64_t n, ss_dtype t)
{
    operand *p = operand_new(n);
    uint16_t *half = p->host = malloc((size_t)n * sizeof(float));
    float *full = p->host;

    for (int64_t i = 0; i < n; i++) {
        const float v = 1 + 0.4f * random_value();
        uint32_t u;

        memcpy(&u, &v, sizeof u);
        if (t == SS_F32)
            full[i] = v;
        else
            half[i] = (uint16_t)(t == SS_BF16 ? u >> 16 : 0x3800 + random_bits() % 0x800);
    }
    for (int k = 0; k < N_DEVICES; k++)
        p->at[k] = p->memory[k] = ss_param(ctx[k], t, ss_shape_of(n), p->host);
    check();
    return p;
}

static ss_tensor *on(const operand *p, int k)
{
    return p ? p->at[k] : NULL;
}

/* ---- comparison ---- */

static void assert_called(int k, ss_code rc, const char *what, const ss_err *e)
{
    ss_err finish = {0};

    if (rc != SS_OK)
        fail_msg("%s: %s", what, e->msg);
    if (ctx[k]->be->finish(ctx[k]->dev, &finish) != SS_OK)
        fail_msg("%s: %s", what, finish.msg);
}

static float *values_of(const operand *p, int k)
{
    float *y = malloc((size_t)(p->n + 1) * sizeof *y);
    ss_err e = {0};

    assert_called(k, ctx[k]->be->download(ctx[k]->dev, p->at[k], y, &e), "download", &e);
    return y;
}

/* Results whose sums the device adds in another order: close in the mean, relative to themselves
 * and to `terms`, of whose difference they are; and with inf and NaN at the same places. */
static void assert_near(const char *what, const operand *p, double tolerance, double terms)
{
    if (!p)
        return;
    float *want = values_of(p, CPU), *got = values_of(p, DEVICE), *other = values_of(p, OTHER);
    double error = 0, size = (double)p->n * terms * terms;

    for (int64_t i = 0; i < p->n; i++) {
        if (memcmp(&got[i], &other[i], sizeof *got) && !(isnan(got[i]) && isnan(other[i])))
            fail_msg("%s[%lld] = %a, with more multiprocessors %a", what, (long long)i, got[i],
                     other[i]);
        if (isnan(got[i]) != isnan(want[i]) || (isinf(want[i]) && got[i] != want[i]) ||
            isinf(got[i]) != isinf(want[i]))
            fail_msg("%s[%lld] = %g, want %g", what, (long long)i, got[i], want[i]);
        if (isfinite(want[i])) {
            error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
            size += (double)want[i] * want[i];
        }
    }
    if (error > tolerance * tolerance * size)
        fail_msg("%s differs by %.3g of %.3g", what, sqrt(error), sqrt(size));
    free(want);
    free(got);
    free(other);
}

static void assert_alike(const char *what, const operand *p, double tolerance)
{
    assert_near(what, p, tolerance, 0);
}

/* ---- group norm ---- */

typedef struct {
    int64_t n, positions, channels;
    int groups;
} group_shape;

/* How a case differs from the plain one. */
typedef struct {
    bool gamma, beta, mod, plain, torch, rms;
    ss_dtype type;
    ss_act act;
    const char *format;
    int offset;
} options;

static options random_options(void)
{
    const uint32_t r = random_bits();

    return (options){.gamma = r & 1,
                     .beta = r & 2,
                     .mod = r & 4,
                     .plain = r & 8,
                     .torch = r & 16,
                     .type = (ss_dtype)((r >> 8) % 3),
                     .act = (ss_act)((r >> 12) % SS_N_ACTS),
                     .format = r & 32 ? "fp8-e4m3-nan" : NULL,
                     .offset = (int)(r >> 20) % 4};
}

static char name_text[300];
static const char *values_name = "random values";

static const char *name_of(const char *what, const group_shape *s, const options *o)
{
    snprintf(
        name_text, sizeof name_text,
        "%s of %lld x %lld x %lld, %d groups: %s%s%s%s%s type %d act %d %s offset %d, %s, seed %s",
        what, (long long)s->n, (long long)s->positions, (long long)s->channels, s->groups,
        o->gamma ? "gamma " : "", o->beta ? "beta " : "", o->mod ? "mod " : "",
        o->plain ? "plain " : "", o->torch ? "torch" : "", (int)o->type, (int)o->act,
        o->format ? o->format : "", o->offset, values_name,
        getenv("SIGMASCOPE_CUDA_SEED") ? getenv("SIGMASCOPE_CUDA_SEED") : "0");
    return name_text;
}

typedef struct {
    operand *x, *gamma, *beta, *mod;
    ss_format format;
    float eps;
} norm_operands;

static norm_operands norm_operands_of(operand *x, int64_t n, int64_t channels, const options *o)
{
    norm_operands p = {.x = x, .eps = 1e-5f};

    p.gamma = o->gamma ? parameter(channels, o->type) : NULL;
    p.beta = o->beta ? parameter(channels, o->type) : NULL;
    p.mod = o->mod ? random_operand(ss_shape_of(n, 2 * channels), 0, 1, 0) : NULL;
    if (o->format)
        assert_int_equal(ss_format_parse(o->format, &p.format, NULL), SS_OK);
    return p;
}

static void release_all(operand *const *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            release(p[i]);
}

static ss_group_norm_args group_args(const norm_operands *p, const group_shape *s, const options *o,
                                     int k)
{
    return (ss_group_norm_args){.x = on(p->x, k),
                                .gamma = on(p->gamma, k),
                                .beta = on(p->beta, k),
                                .mod = on(p->mod, k),
                                .n = s->n,
                                .positions = s->positions,
                                .channels = s->channels,
                                .groups = s->groups,
                                .eps = p->eps,
                                .act = o->act,
                                .weight_format = o->format ? &p->format : NULL,
                                .torch = o->torch};
}

static ss_shape shape_of(const group_shape *s)
{
    return ss_shape_of(s->n, s->positions, s->channels);
}

static void forward(norm_operands *p, const group_shape *s, const options *o, double tolerance)
{
    operand *y = result(shape_of(s), o->offset);
    operand *plain = o->plain ? result(shape_of(s), o->offset) : NULL;

    for (int k = 0; k < N_DEVICES; k++) {
        ss_group_norm_args a = group_args(p, s, o, k);
        ss_err e = {0};

        a.y = on(y, k);
        a.plain = on(plain, k);
        assert_called(k, ctx[k]->be->group_norm(ctx[k]->dev, &a, &e), name_of("", s, o), &e);
    }
    assert_alike(name_of("group norm", s, o), y, tolerance);
    assert_alike(name_of("plain group norm", s, o), plain, tolerance);
    release_all((operand *[]){y, plain}, 2);
}

/* wanted: bits of dx, dgamma, dbeta, dmod */
static void backward(norm_operands *p, const group_shape *s, const options *o, uint32_t wanted,
                     double tolerance)
{
    const ss_shape of_channels = ss_shape_of(s->channels);
    operand *dy = random_operand(shape_of(s), 0.1f, 1, o->offset);
    operand *dx = wanted & 1 ? result(shape_of(s), o->offset) : NULL;
    operand *dgamma = p->gamma && wanted & 2 ? result(of_channels, 0) : NULL;
    operand *dbeta = p->beta && wanted & 4 ? result(of_channels, 0) : NULL;
    operand *dmod = p->mod && wanted & 8 ? result(ss_shape_of(s->n, 2 * s->channels), 0) : NULL;

    for (int k = 0; k < N_DEVICES; k++) {
        const ss_group_norm_args a = group_args(p, s, o, k);
        const ss_norm_gradients g = {on(dy, k), on(dx, k), on(dgamma, k), on(dbeta, k),
                                     on(dmod, k)};
        ss_err e = {0};

        assert_called(k, ctx[k]->be->back_group_norm(ctx[k]->dev, &a, &g, &e), name_of("", s, o),
                      &e);
    }
    assert_alike(name_of("dx", s, o), dx, tolerance);
    assert_alike(name_of("dgamma", s, o), dgamma, tolerance);
    assert_alike(name_of("dbeta", s, o), dbeta, tolerance);
    assert_alike(name_of("dmod", s, o), dmod, tolerance);
    release_all((operand *[]){dy, dx, dgamma, dbeta, dmod}, 5);
}

static void run_group_norm(const group_shape *s, const options *o, float mean, float std)
{
    operand *x = random_operand(shape_of(s), mean, std, o->offset);
    norm_operands p = norm_operands_of(x, s->n, s->channels, o);

    forward(&p, s, o, 3e-7);
    backward(&p, s, o, 15, 2e-6);
    backward(&p, s, o, random_bits(), 2e-6);
    release_all((operand *[]){p.x, p.gamma, p.beta, p.mod}, 4);
}

/* One block, several blocks, several chunks; groups of one channel, one group, wider than a block;
 * channels by fours and one by one. */
static const group_shape group_shapes[] = {
    {1, 1, 1, 1},       {3, 1, 8, 2},     {2, 7, 3, 3},     {2, 9, 33, 11},     {5, 33, 13, 1},
    {3, 13, 7, 7},      {2, 16, 256, 32}, {7, 4, 40, 4},    {1, 64, 1280, 32},  {1, 37, 64, 64},
    {2, 300, 12, 4},    {1, 5000, 1, 1},  {1, 5000, 20, 2}, {2, 4500, 33, 3},   {1, 3, 600, 1},
    {2, 40, 515, 1},    {1, 33, 1040, 2}, {1, 4200, 6, 6},  {1, 1100, 320, 32}, {2, 5000, 3, 1},
    {1, 100, 1030, 10}, {33, 2, 4, 1},    {2, 200, 5, 1},
};

static void test_group_norm(void **state)
{
    (void)state;
    seed = 1;
    for (size_t i = 0; i < N_OF(group_shapes); i++)
        for (int k = 0; k < 2; k++) {
            options o = random_options();

            o.offset = k ? o.offset : 0;
            run_group_norm(&group_shapes[i], &o, 0.5f, 2);
        }

    static const group_shape many = {1030, 1, 516, 1}; /* more samples than a launch takes */
    const options plain = {.act = SS_ACT_NONE};
    norm_operands p = {.x = random_operand(shape_of(&many), 0, 1, 0), .eps = 1e-5f};
    forward(&p, &many, &plain, 3e-7);
    release(p.x);
}

/* ---- modulation ---- */

static void run_modulate(const group_shape *s, bool shift, uint32_t wanted)
{
    const ss_shape shape = shape_of(s), width = ss_shape_of(s->n, s->channels * (1 + shift));
    operand *x = random_operand(shape, 1, 2, 0), *mod = random_operand(width, 0, 1, 0);
    operand *dy = random_operand(shape, 0.1f, 1, 0);
    operand *dx = wanted & 1 ? result(shape, 0) : NULL, *dmod = result(width, 0);
    const options o = {.beta = shift};

    for (int k = 0; k < N_DEVICES; k++) {
        ss_err e = {0};

        assert_called(k,
                      ctx[k]->be->back_modulate(ctx[k]->dev, on(x, k), on(mod, k), on(dy, k),
                                                on(dx, k), on(dmod, k), &e),
                      "gradient of modulate", &e);
    }
    assert_alike(name_of("dx of modulate", s, &o), dx, 1e-7);
    assert_alike(name_of("dmod of modulate", s, &o), dmod, 1e-6);
    release_all((operand *[]){x, mod, dy, dx, dmod}, 5);
}

static void test_gradient_of_modulate(void **state)
{
    static const group_shape many = {4100, 33, 1, 1}; /* more samples than a launch takes */

    (void)state;
    seed = 7;
    values_name = "random values";
    for (size_t i = 0; i < N_OF(group_shapes); i++)
        for (int k = 0; k < 4; k++)
            run_modulate(&group_shapes[i], k & 1, k >> 1);
    run_modulate(&many, true, 1);
}

/* Values that are hard on sums, in one group of channels of one sample; the others are ordinary. */
typedef struct {
    const char *name;
    float first, others, spread; /* the first value, and others + spread * random */
    bool forward_only;           /* gradients are of no more than rounding errors */
} hard_values;

static const hard_values hard[] = {
    {"a large mean", 1e4f, 1e4f, 1, false},
    {"a first value far off", 1e6f, 0, 1, false},
    {"a first value at 0", 0, 3e4f, 1, false},
    {"huge", 1e30f, 0, 1e30f, false},
    {"one huge", 1e30f, 0, 1, false},
    {"as large as may be", -3e38f, 0, 1e38f, true},
    {"tiny", 1e-30f, 0, 1e-30f, false},
    {"all the same", 7, 7, 0, true},
    {"all 0", 0, 0, 0, false},
    {"one inf", INFINITY, 0, 1, false},
    {"one NaN", NAN, 0, 1, false},
    {"a later inf", 1, 0, 1, false},
};

/* The last group of the last sample. */
static operand *hard_operand(const group_shape *s, const hard_values *h)
{
    const int64_t C = s->channels, group = C / s->groups, rows = s->n * s->positions;
    float *x = malloc((size_t)(rows * C) * sizeof *x);

    for (int64_t i = 0; i < rows * C; i++) {
        const bool in = i / C / s->positions == s->n - 1 && i % C >= C - group;

        x[i] = random_value() * (in ? h->spread : 1) + (in ? h->others : 0);
    }
    x[(rows - s->positions) * C + C - group] = h->first;
    if (h == &hard[N_OF(hard) - 1])
        x[rows * C - 1] = -INFINITY;
    operand *p = make(shape_of(s), x, 0);
    free(x);
    return p;
}

static void test_group_norm_of_hard_values(void **state)
{
    static const group_shape shapes[] = {
        {2, 16, 32, 4}, {2, 1, 24, 3}, {1, 4400, 20, 5}, {2, 3000, 7, 1}};

    (void)state;
    seed = 2;
    for (size_t i = 0; i < N_OF(shapes); i++)
        for (size_t k = 0; k < N_OF(hard); k++)
            for (int torch = 0; torch < 2; torch++) {
                const options o = {.gamma = true, .beta = true, .act = SS_ACT_SILU, .torch = torch};
                norm_operands p = norm_operands_of(hard_operand(&shapes[i], &hard[k]), shapes[i].n,
                                                   shapes[i].channels, &o);

                values_name = hard[k].name;
                forward(&p, &shapes[i], &o, 1e-6);
                if (!hard[k].forward_only)
                    backward(&p, &shapes[i], &o, 15, 1e-5);
                release_all((operand *[]){p.x, p.gamma, p.beta}, 3);
            }
}

/* Where the variance overflows as PyTorch's does, nothing is left of x, and no gradient. */
static void test_no_gradient_of_overflow(void **state)
{
    static const group_shape shapes[] = {{1, 16, 32, 4}, {1, 4400, 20, 5}};

    (void)state;
    seed = 3;
    for (size_t i = 0; i < N_OF(shapes); i++) {
        const group_shape *s = &shapes[i];
        const options o = {.act = SS_ACT_SILU, .torch = true};
        operand *x = random_operand(shape_of(s), 0, 1e30f, 0);
        operand *dy = random_operand(shape_of(s), 0, 1, 0), *dx = result(shape_of(s), 0);
        const norm_operands p = {.x = x, .eps = 1e-5f};

        for (int k = 0; k < N_DEVICES; k++) {
            const ss_group_norm_args a = group_args(&p, s, &o, k);
            const ss_norm_gradients g = {.dy = on(dy, k), .dx = on(dx, k)};
            ss_err e = {0};

            assert_called(k, ctx[k]->be->back_group_norm(ctx[k]->dev, &a, &g, &e), "dx", &e);
            float *values = values_of(dx, k);
            for (int64_t j = 0; j < dx->n; j++)
                assert_true(values[j] == 0);
            free(values);
        }
        release_all((operand *[]){x, dy, dx}, 3);
    }
}

/* ---- layer norm ---- */

typedef struct {
    int64_t rows, channels;
} row_shape;

static const char *row_name(const char *what, const row_shape *s, const options *o)
{
    const group_shape g = {1, s->rows, s->channels, 1};

    return name_of(what, &g, o);
}

static void run_layer_norm(const row_shape *s, const options *o, operand *x, double tolerance)
{
    const ss_shape shape = ss_shape_of(s->rows, s->channels),
                   of_channels = ss_shape_of(s->channels);
    const norm_operands p = norm_operands_of(x, 1, s->channels, o);
    operand *y = result(shape, o->offset), *dy = random_operand(shape, 0.1f, 1, o->offset);
    operand *dx = result(shape, o->offset);
    operand *dgamma = p.gamma && !o->plain ? result(of_channels, 0) : NULL;
    operand *dbeta = p.beta && !o->plain ? result(of_channels, 0) : NULL;

    for (int k = 0; k < N_DEVICES; k++) {
        const ss_layer_norm_args a = {.x = on(x, k),
                                      .gamma = on(p.gamma, k),
                                      .beta = on(p.beta, k),
                                      .rows = s->rows,
                                      .channels = s->channels,
                                      .eps = p.eps,
                                      .weight_format = o->format ? &p.format : NULL,
                                      .torch = o->torch,
                                      .rms = o->rms,
                                      .stored = o->rms && o->format ? &p.format : NULL,
                                      .y = on(y, k)};
        const ss_norm_gradients g = {on(dy, k), on(dx, k), on(dgamma, k), on(dbeta, k), NULL};
        ss_err e = {0};

        assert_called(k, ctx[k]->be->layer_norm(ctx[k]->dev, &a, &e), "layer norm", &e);
        assert_called(k, ctx[k]->be->back_layer_norm(ctx[k]->dev, &a, &g, &e), "dx", &e);
    }
    assert_alike(row_name(o->rms ? "RMS norm" : "layer norm", s, o), y,
                 o->rms && o->format ? 0.13 : tolerance); /* a unit of 4 bits */
    assert_near(row_name("dx of layer norm", s, o), dx, 10 * tolerance, 1);
    assert_alike(row_name("dgamma of layer norm", s, o), dgamma, 10 * tolerance);
    assert_alike(row_name("dbeta of layer norm", s, o), dbeta, 10 * tolerance);
    release_all((operand *[]){x, p.gamma, p.beta, p.mod, y, dy, dx, dgamma, dbeta}, 9);
}

/* Rows of a warp and of a block, by fours and one by one; one row and many. */
static const row_shape row_shapes[] = {
    {1, 1},    {3, 2},     {33, 3},   {7, 8},    {13, 33},  {300, 64},  {9, 257},  {9, 320},
    {1, 1024}, {17, 1028}, {2, 1279}, {3, 1280}, {5000, 7}, {4500, 12}, {2, 4096}, {1, 10001},
};

static void test_layer_norm(void **state)
{
    (void)state;
    seed = 4;
    values_name = "random values";
    for (size_t i = 0; i < N_OF(row_shapes); i++)
        for (int k = 0; k < 4; k++) {
            const row_shape *s = &row_shapes[i];
            options o = random_options();

            o.offset = k % 2 ? o.offset : 0;
            o.rms = k / 2;
            o.beta = o.beta && !o.rms;
            run_layer_norm(s, &o, random_operand(ss_shape_of(s->rows, s->channels), 3, 2, o.offset),
                           3e-7);
        }
}

static void test_layer_norm_of_hard_values(void **state)
{
    static const row_shape shapes[] = {{3, 24}, {2, 33}, {3, 2000}};

    (void)state;
    seed = 5;
    for (size_t i = 0; i < N_OF(shapes); i++)
        for (size_t k = 0; k < N_OF(hard); k++)
            for (int kind = 0; kind < 4; kind++) {
                const options o = {.gamma = true, .torch = kind % 2, .rms = kind / 2};
                const group_shape one = {shapes[i].rows, 1, shapes[i].channels, 1};

                values_name = hard[k].name;
                run_layer_norm(&shapes[i], &o, hard_operand(&one, &hard[k]), 1e-6);
            }
}

/* ---- unit RMS ---- */

static void run_unit_rms(operand *x, int64_t rows, int64_t row, int offset)
{
    const ss_shape shape = ss_shape_of(rows, row);
    operand *y = result(shape, offset), *dx = result(shape, offset);
    operand *dy = random_operand(shape, 0.1f, 1, offset);
    const row_shape s = {rows, row};
    const options o = {.type = x->at[CPU]->dtype, .offset = offset};

    for (int k = 0; k < N_DEVICES; k++) {
        const ss_backend *be = ctx[k]->be;
        ss_device *d = ctx[k]->dev;
        ss_err e = {0};

        assert_called(k, be->unit_rms(d, on(x, k), row, 0.7f, on(y, k), &e), "unit RMS", &e);
        assert_called(k, be->back_unit_rms(d, on(x, k), row, 0.7f, on(dy, k), on(dx, k), &e),
                      "gradient of unit RMS", &e);
    }
    assert_alike(row_name("unit RMS", &s, &o), y, 2e-7);
    assert_near(row_name("dx of unit RMS", &s, &o), dx, 1e-6, 1);
    release_all((operand *[]){x, y, dx, dy}, 4);
}

static void test_unit_rms(void **state)
{
    (void)state;
    seed = 6;
    values_name = "random values";
    for (size_t i = 0; i < N_OF(row_shapes); i++) {
        const row_shape *s = &row_shapes[i];

        for (int offset = 0; offset < 2; offset++)
            run_unit_rms(random_operand(ss_shape_of(s->rows, s->channels), 0, 1, offset), s->rows,
                         s->channels, offset);
        for (int t = 0; t < 3; t++)
            run_unit_rms(parameter(s->rows * s->channels, (ss_dtype)t), s->rows, s->channels, 0);
    }
    for (size_t k = 0; k < N_OF(hard); k++) {
        const group_shape one = {3, 1, 40, 1}, wide = {2, 1, 1500, 1};

        values_name = hard[k].name;
        run_unit_rms(hard_operand(&one, &hard[k]), 3, 40, 0);
        run_unit_rms(hard_operand(&wide, &hard[k]), 2, 1500, 0);
    }
}

static int setup(void **state)
{
    ss_err e = {0};

    (void)state;
#if SS_CUDA
    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
#endif
    for (int k = 0; k < N_DEVICES; k++) {
        const char *device = k == CPU ? "cpu" : test_device();

        setenv("SIGMASCOPE_CUDA_MULTIPROCESSORS", k == OTHER ? "40" : "1", 1);
        if (ss_ctx_new(&(ss_ctx_options){.device = device, .threads = 1}, &ctx[k], &e) != SS_OK) {
            print_error("%s\n", e.msg);
            return 1;
        }
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int k = 0; k < N_DEVICES; k++)
        ss_ctx_free(ctx[k]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_norm),
        cmocka_unit_test(test_group_norm_of_hard_values),
        cmocka_unit_test(test_no_gradient_of_overflow),
        cmocka_unit_test(test_gradient_of_modulate),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_layer_norm_of_hard_values),
        cmocka_unit_test(test_unit_rms),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
