/* speed.c - see speed.h
 *
 * A measure runs an operation so often that a few tens of milliseconds pass, waits for the device,
 * and takes the median of some such rounds. Operands are random, and there are several of them in
 * turns, together larger than a cache. Bytes are those that must be moved at least: every operand
 * is read once, the result written once. Floating-point operations are those of products.
 */
#include "selftest/speed.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernels/results.h"
#include "kernels/tape.h"
#include "selftest/modules.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, MAX_TURNS = 8, CACHE_BYTES = 192 << 20 };
static const double ROUND_SECONDS = 0.03;

typedef struct {
    ss_ctx *c;
    const ss_case *k;
    int turns;
    ss_tensor *x[MAX_TURNS][SS_CASE_OPERANDS];
    float *host[SS_CASE_OPERANDS]; /* which parameters read */
    ss_tensor *dy;
    int64_t bytes; /* of one run */
    bool with_gradient;
    bool of_a_copy; /* statistics, which are remembered with a tensor: of a new one each time */
    bool copy_alone;
} bench;

static void nothing(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s, int n)
{
    (void)self, (void)c, (void)m, (void)p, (void)s, (void)n;
}

static void no_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                        const float *rms, int n, int64_t width)
{
    (void)self, (void)c, (void)m, (void)p, (void)absmax, (void)rms, (void)n, (void)width;
}

/* One run; its result, or NULL where there is none. */
static ss_tensor *forward(const bench *b, int turn)
{
    ss_tensor *const *x = b->x[turn % b->turns];

    if (b->k->operation->forward)
        return b->k->operation->forward(b->c, b->k, x);
    if (b->of_a_copy) {
        ss_tensor *y = ss_affine(b->c, x[0], 1, 0);

        if (!b->copy_alone)
            ss_ask_stats(b->c, y, true, ss_case_module, SS_PORT_OUTPUT, nothing, NULL);
        ss_release(y);
        return NULL;
    }
    ss_ask_channels(b->c, x[0], ss_case_module, SS_PORT_OUTPUT, no_channels, NULL);
    return NULL;
}

static void run(bench *b, int turn)
{
    if (b->with_gradient)
        ss_tape_begin(b->c, NULL, NULL);
    ss_tensor *y = forward(b, turn);

    if (b->with_gradient) {
        ss_tape_seed(b->c, y, b->dy, 1);
        ss_tape_backward(b->c, NULL);
    }
    ss_release(y);
}

static double round_seconds(bench *b, int64_t n, ss_err *e)
{
    const double start = ss_now();

    for (int64_t i = 0; i < n; i++)
        run(b, (int)(i % b->turns));
    return ss_ctx_finish(b->c, e) == SS_OK ? ss_now() - start : NAN;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median seconds of one run; NaN after an error. */
static double measure(bench *b, ss_err *e)
{
    double round[ROUNDS], once = round_seconds(b, 2, e) / 2;

    once = round_seconds(b, 2, e) / 2; /* the first two have made what is kept */
    const int64_t n = once > 0 && once < ROUND_SECONDS ? 1 + (int64_t)(ROUND_SECONDS / once) : 1;
    for (int i = 0; i < ROUNDS; i++)
        round[i] = round_seconds(b, n, e) / (double)n;
    qsort(round, ROUNDS, sizeof *round, ascending);
    return ss_ctx_failed(b->c) ? NAN : round[ROUNDS / 2];
}

static void release(bench *b)
{
    for (int t = 0; t < b->turns; t++)
        for (int i = 0; i < SS_CASE_OPERANDS; i++)
            ss_release(b->x[t][i]);
    ss_release(b->dy);
    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        ss_free(b->host[i]);
}

static int64_t operand_bytes(const ss_case *k)
{
    int64_t bytes = 0;

    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        bytes += k->in[i].rank ? 4 * ss_shape_numel(k->in[i]) : 0;
    return bytes;
}

static ss_code prepare(bench *b, ss_ctx *c, const ss_case *k, ss_err *e)
{
    const int64_t bytes = operand_bytes(k);

    *b = (bench){.c = c, .k = k, .bytes = bytes};
    b->of_a_copy = strcmp(k->operation->name, "stats") == 0;
    b->turns = (int)(CACHE_BYTES / bytes) + 1;
    b->turns = b->turns > MAX_TURNS ? MAX_TURNS : b->turns;
    for (int i = 0; i < SS_CASE_OPERANDS; i++) {
        const int64_t n = k->in[i].rank ? ss_shape_numel(k->in[i]) : 0;

        if (!n)
            continue;
        if (!(b->host[i] = ss_alloc((size_t)n, sizeof(float))))
            return ss_no_memory(e, "operands");
        ss_case_operand(k, i, SS_VALUES_RANDOM, b->host[i], n);
        for (int t = 0; t < b->turns; t++)
            b->x[t][i] = k->operation->operands[i] == 'p' && t > 0 ? ss_retain(b->x[0][i])
                         : k->operation->operands[i] == 'p'
                             ? ss_param(c, SS_F32, k->in[i], b->host[i])
                             : ss_upload(c, k->in[i], b->host[i]);
    }
    ss_tensor *y = forward(b, 0); /* its size, and that it works */

    b->bytes += y ? 4 * ss_shape_numel(ss_shape_get(y)) : 0;
    if (y)
        b->dy = ss_full(c, ss_shape_get(y), 0.37f);
    ss_release(y);
    return ss_ctx_finish(c, e);
}

static void want_gradients(bench *b)
{
    b->with_gradient = b->k->operation->forward;
    for (int t = 0; b->with_gradient && t < b->turns; t++)
        for (int i = 0; i < SS_CASE_OPERANDS; i++)
            if (b->x[t][i])
                ss_tensor_want_gradient(b->x[t][i], b->k->operation->operands[i] != 'c');
}

typedef struct {
    double seconds, gradient; /* of forward, and of the gradient alone; NaN: none */
    double bytes, flops;
} speed;

static ss_code measure_case(ss_ctx *c, const ss_case *k, bool gradient, speed *s, ss_err *e)
{
    bench b;
    ss_code rc = prepare(&b, c, k, e);

    *s = (speed){NAN, NAN, (double)b.bytes, 0};
    if (rc == SS_OK) {
        ss_ctx_usage_reset(c);
        run(&b, 0);
        s->flops = (double)ss_ctx_usage(c).flops;
        s->seconds = measure(&b, e);
        if (b.of_a_copy) {
            b.copy_alone = true;
            s->seconds -= measure(&b, e);
        }
        want_gradients(&b);
        if (gradient && b.with_gradient)
            s->gradient = measure(&b, e) - s->seconds;
        rc = ss_ctx_finish(c, e);
    }
    release(&b);
    ss_ctx_clear(c);
    return rc;
}

/* ---- ceilings ---- */

#define S(...) ss_shape_of(__VA_ARGS__)

static const ss_operation *called(const char *name)
{
    int i = 0;

    while (strcmp(ss_operations[i].name, name) != 0)
        i++;
    return &ss_operations[i];
}

typedef struct {
    double copy, gemm, tensor; /* bytes and operations a second; NaN: not measured */
} ceilings;

static ss_code put_ceiling(ss_table *t, const char *name, ss_ctx *c, const ss_case *k, bool flops,
                           double *rate, ss_err *e)
{
    char text[140];
    speed s;
    ss_code rc = measure_case(c, k, false, &s, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "measuring %s", name);
    *rate = (flops ? s.flops : s.bytes) / s.seconds;
    ss_table_row(t);
    ss_table_text(t, name);
    ss_table_text(t, ss_case_name(k, text, sizeof text));
    ss_table_number(t, 1e6 * s.seconds);
    ss_table_number(t, flops ? NAN : 1e-9 * *rate);
    ss_table_number(t, flops ? 1e-9 * *rate : NAN);
    return SS_OK;
}

static ss_code measure_ceilings(const ss_selftest_options *opt, ceilings *most, ss_table *t,
                                ss_err *e)
{
    const bool tiny = opt->speed == SS_SPEED_TINY;
    const int64_t n = tiny ? 4096 : 32 << 20, side = tiny ? 32 : 4096;
    const ss_case copy = {.operation = called("concat"), .in = {S(1, n), S(1, n)}, .option = {0}};
    const ss_case gemm = {.operation = called("linear"), .in = {S(side, side), S(side, side)}};
    ss_code rc = ss_table_init(t, "ceilings", e);

    *most = (ceilings){NAN, NAN, NAN};
    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "ceiling", SS_COL_TEXT, NULL);
    ss_table_column(t, "of", SS_COL_TEXT, NULL);
    ss_table_column(t, "us", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "GB/s", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "GFLOP/s", SS_COL_NUMBER, "%.1f");
    rc = put_ceiling(t, "copy", opt->device, &copy, false, &most->copy, e);
    if (rc == SS_OK)
        rc = put_ceiling(t, "product in f32", opt->device, &gemm, true, &most->gemm, e);
    if (rc == SS_OK && opt->tensor)
        rc = put_ceiling(t, "product in TF32", opt->tensor, &gemm, true, &most->tensor, e);
    return rc;
}

/* ---- operations at real sizes ---- */

/* Sizes of Stable Diffusion 1.5 with two samples, or small ones. */
static int make_cases(bool tiny, ss_case *k)
{
    const int64_t side = tiny ? 4 : 64, C = tiny ? 32 : 320, tokens = side * side, N = 2;
    const ss_shape picture = S(N, side, side, C), sequence = S(N, tokens, C);
    int n = 0;

#define CASE(name, ...) k[n++] = (ss_case){.operation = called(name), __VA_ARGS__}
    CASE("conv2d", .in = {picture, S(C, C, 3, 3), S(C)}, .option = {1, 1, 1, 1, 1});
    CASE("conv2d", .in = {S(N, side / 4, side / 4, 4 * C), S(4 * C, 4 * C, 3, 3), S(4 * C)},
         .option = {1, 1, 1, 1, 1});
    CASE("conv2d", .in = {picture, S(C, C, 3, 3), S(C)}, .option = {2, 1, 1, 1, 1});
    CASE("linear", .in = {sequence, S(8 * C, C), S(8 * C)});
    CASE("attention", .in = {sequence, sequence, sequence}, .option = {8});
    CASE("attention", .in = {sequence, S(N, 77, C), S(N, 77, C)}, .option = {8});
    CASE("group_norm", .in = {picture, S(C), S(C)}, .option = {32, SS_ACT_SILU});
    CASE("layer_norm", .in = {sequence, S(C), S(C)});
    CASE("rms_norm", .in = {sequence, S(C)});
    CASE("unit_rms", .in = {sequence}, .option = {(double)C, 1});
    CASE("activate", .in = {picture}, .option = {SS_ACT_SILU});
    CASE("geglu", .in = {S(N, tokens, 8 * C)});
    CASE("affine", .in = {picture});
    CASE("add", .in = {picture, picture}, .option = {1});
    CASE("multiply", .in = {picture, picture});
    CASE("add_channels", .in = {picture, S(N, C)});
    CASE("modulate", .in = {picture, S(N, 2 * C)});
    CASE("concat", .in = {picture, picture}, .option = {3});
    CASE("permute", .in = {S(N, tokens, C)}, .option = {0, 2, 1});
    CASE("upsample_nearest", .in = {S(N, side / 2, side / 2, 2 * C)},
         .option = {(double)side, (double)side});
    CASE("avg_pool2", .in = {picture});
    CASE("fir_resample", .in = {picture}, .option = {1, 2, 1, 1});
    CASE("mean_tokens", .in = {sequence});
    CASE("stats", .in = {picture});
    CASE("channel_stats", .in = {picture});
#undef CASE
    return n;
}

static void put_speed(ss_table *t, const ss_case *k, const speed *s, const ceilings *most)
{
    char text[140];

    ss_table_row(t);
    ss_table_text(t, ss_case_name(k, text, sizeof text));
    ss_table_number(t, 1e6 * s->seconds);
    ss_table_number(t, 1e-9 * s->bytes / s->seconds);
    ss_table_number(t, 100 * s->bytes / s->seconds / most->copy);
    ss_table_number(t, s->flops > 0 ? 1e-9 * s->flops / s->seconds : NAN);
    ss_table_number(t, s->flops > 0 ? 100 * s->flops / s->seconds / most->gemm : NAN);
    ss_table_number(t, 1e6 * s->gradient);
}

ss_code ss_measure_speed(const ss_selftest_options *opt, ss_selftest_result *r, ss_err *e)
{
    static const char *const columns[] = {
        "us", "GB/s", "% of copy", "GFLOP/s", "% of f32 product", "gradient us"};
    ss_case cases[32];
    const int n = make_cases(opt->speed == SS_SPEED_TINY, cases);
    ceilings most;
    ss_code rc =
        ss_ctx_setup(opt->device, &(ss_setup){.modules = ss_case_modules, .n_modules = 1}, e);

    if (rc == SS_OK && opt->tensor)
        rc = ss_ctx_setup(opt->tensor, &(ss_setup){.modules = ss_case_modules, .n_modules = 1}, e);
    if (rc == SS_OK)
        rc = measure_ceilings(opt, &most, &r->ceilings, e);
    if (rc == SS_OK)
        rc = ss_table_init(&r->speeds, "speeds", e);
    if (rc != SS_OK)
        return rc;
    ss_table_column(&r->speeds, "operation", SS_COL_TEXT, NULL);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(&r->speeds, columns[i], SS_COL_NUMBER, "%.1f");
    for (int i = 0; i < n && rc == SS_OK; i++) {
        speed s;

        if (opt->only && !ss_glob_match(opt->only, cases[i].operation->name))
            continue;
        rc = measure_case(opt->device, &cases[i], true, &s, e);
        if (rc == SS_OK)
            put_speed(&r->speeds, &cases[i], &s, &most);
        else
            ss_fail_prefix(e, "measuring %s", cases[i].operation->name);
    }
    return rc;
}
