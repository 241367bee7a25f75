/* rows_device.c - a GPU beside PyTorch on the same one: `bench --device cuda device`
 *
 * PyTorch eager and channels last, once with products in f32 (TF32 off), once with its defaults.
 * Both sides take turns. With --tiny small networks try the measuring, on any device.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/ops.h"
#include "tests/bench/training.h"
#include "tests/bench/watch.h"

#include <math.h>
#include <stdio.h>

static bench_reference *beside(const bench *b, const char *kind, const char *folder, int batch)
{
    char count[16];

    snprintf(count, sizeof count, "%d", batch);
    return bench_reference_open(
        b, (const char *[]){kind, folder, "--batch", count, "--device", b->reference, NULL});
}

static void add_times(bench *b, const char *name, const char *how, const bench_side *ours,
                      const bench_side *theirs, double bar)
{
    bench_row r = bench_row_of("ms", "%s%s", name, how);

    r.ours = 1e3 * ours->median;
    r.theirs = 1e3 * theirs->median;
    if (!isnan(bar))
        bench_add_bar(&r, BENCH_RATIO, bar);
    bench_report(b, &r);
}

static void network(bench *b, const char *title, const char *folder, int batch, double seconds)
{
    char name[64];
    bench_network n;
    bench_reference *reference = beside(b, "forward", folder, batch);
    bench_question exact = {reference, "exact"}, usual = {reference, "defaults"},
                   hooked = {reference, "statistics"};

    snprintf(name, sizeof name, "%s x %d", title, batch);
    bench_network_open(folder, batch, b->threads, &n);
    bench_watched none = {&n, {0}}, all = {&n, {.statistics = true, .histogram = true}};
    bench_side sides[] = {{bench_watched_run, &none, 0, 0},
                          {bench_watched_run, &all, 0, 0},
                          {bench_ask, &exact, 0, 0},
                          {bench_ask, &usual, 0, 0},
                          {bench_ask, &hooked, 0, 0}};
    bench_alternate(sides, 5, seconds);
    bench_network_close(&n);
    bench_reference_close(reference);
    add_times(b, name, "", &sides[0], &sides[2], 0.9);
    add_times(b, name, ", PyTorch's defaults", &sides[0], &sides[3], NAN);

    bench_row r = bench_row_of("%", "%s, all statistics", name);
    r.ours = 100 * (sides[1].median / sides[0].median - 1);
    r.theirs = 100 * (sides[4].median / sides[2].median - 1);
    bench_add_bar(&r, BENCH_OURS, 10);
    bench_report(b, &r);
}

/* ---- single operations, many times before the device is waited for ---- */

enum { TIMES = 20 };

typedef struct {
    ss_ctx *c;
    ss_tensor *x;
    ss_tensor *(*run)(ss_ctx *c, const ss_tensor *x);
} operation;

static double many(void *state)
{
    const operation *o = state;
    const double start = bench_now();
    ss_err e = {0};

    for (int i = 0; i < TIMES; i++)
        ss_release(o->run(o->c, o->x));
    bench_need(ss_ctx_finish(o->c, &e), &e);
    return (bench_now() - start) / TIMES;
}

static ss_tensor *attend(ss_ctx *c, const ss_tensor *x)
{
    return ss_attention(c, x, x, x, NULL, &(ss_attention_opt){.heads = 8, .scale = 0.15811388f});
}

static ss_tensor *norm_silu(ss_ctx *c, const ss_tensor *x)
{
    return ss_group_norm(c, x, NULL, NULL, NULL, 32, 1e-5f, SS_ACT_SILU, NULL);
}

static void single(bench *b, const char *kind, const char *name,
                   ss_tensor *(*run)(ss_ctx *c, const ss_tensor *x), ss_shape shape, double bar)
{
    const int64_t n = ss_shape_numel(shape);
    float *v = ss_alloc((size_t)n, sizeof *v);
    bench_reference *reference = beside(b, kind, "-", b->tiny ? 1 : 0);
    bench_question exact = {reference, "exact"};
    operation o = {.run = run};
    ss_err e = {0};

    if (!v)
        bench_die("out of memory");
    ss_rng_normals(ss_rng_stream(1, kind, 0, 0), 0, v, (size_t)n);
    bench_need(ss_ctx_new(&(ss_ctx_options){.device = b->device, .threads = b->threads}, &o.c, &e),
               &e);
    o.x = ss_upload(o.c, shape, v);
    bench_side sides[] = {{many, &o, 0, 0}, {bench_ask, &exact, 0, 0}};
    bench_alternate(sides, 2, b->tiny ? 0.1 : 3);
    add_times(b, name, "", &sides[0], &sides[1], bar);
    ss_release(o.x);
    ss_ctx_free(o.c);
    bench_reference_close(reference);
    ss_free(v);
}

static void training(bench *b, int size, double seconds)
{
    char name[64];
    ss_trainer_options o = bench_training(size, b->threads);
    bench_reference *reference = beside(b, "train", o.config_name, 32);
    bench_question exact = {reference, "step"};
    ss_trainer *t;
    ss_err e = {0};

    o.device = b->device;
    if (b->tiny)
        o.batch = 1;
    if (!bench_training_possible()) {
        o.data.kind = SS_DATA_SHAPES;
        o.data.path = o.data.labels = NULL;
        o.data.pool = 1;
    }
    snprintf(name, sizeof name, "training step FAST-%d x %d", size, o.batch);
    bench_need(ss_trainer_new(&o, &t, &e), &e);
    bench_side sides[] = {{bench_training_step, t, 0, 0}, {bench_ask, &exact, 0, 0}};
    bench_alternate(sides, 2, seconds);
    ss_trainer_free(t);
    bench_reference_close(reference);
    add_times(b, name, "", &sides[0], &sides[1], 0.8);
}

void bench_rows_device(bench *b)
{
    static const char cifar10[] = "tests/bench/configs/cifar10";
    const int64_t side = b->tiny ? 4 : 64;

    if (!b->device)
        return;
    if (b->tiny) {
        network(b, "the bundled network", "demo/fashion-mnist/step-06000/unet", 1, 0);
    } else {
        network(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", 1, 12);
        network(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", 8, 15);
        network(b, "DeepFloyd IF-I-M", "tests/bench/configs/if-i-m", 1, 12);
        network(b, "ddpm-cifar10-32", cifar10, 64, 10);
    }
    single(b, "attention", b->tiny ? "attention, 16 tokens" : "attention, 4096 tokens", attend,
           ss_shape_of(1, side * side, 320), NAN);
    single(b, "norm", b->tiny ? "group norm + SiLU 2x4x4x320" : "group norm + SiLU 2x64x64x320",
           norm_silu, ss_shape_of(2, side, side, 320), 0.5);
    training(b, 16, b->tiny ? 0 : 8);
    if (!b->tiny)
        training(b, 32, 8);
}
