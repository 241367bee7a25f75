/* rows_watch.c - what watching and emulating cost: statistics of all modules, fp16 block outputs
 *
 * In per cent of the forward pass without them. PyTorch takes the same statistics in forward
 * hooks on the inputs and outputs of all modules, and rounds the blocks' outputs to half and back.
 */
#include "tests/bench/watch.h"

#include <math.h>
#include <stdio.h>

static void add_row(bench *b, const char *what, const char *name, int batch, double ours,
                    double theirs, double bar)
{
    bench_row r = bench_row_of("%", "%s: %s x %d", what, name, batch);

    r.ours = 100 * (ours - 1);
    r.theirs = 100 * (theirs - 1);
    bench_add_bar(&r, BENCH_OURS, bar);
    bench_report(b, &r);
}

static void one(bench *b, const char *name, const char *folder, int batch, double seconds)
{
    char count[16];
    bench_network n;

    snprintf(count, sizeof count, "%d", batch);
    bench_reference *reference =
        bench_reference_open(b, (const char *[]){"forward", folder, "--batch", count, NULL});
    bench_question plain = {reference, "forward"}, statistics = {reference, "statistics"};
    bench_question rounded = {reference, "rounded"};
    bench_network_open(folder, batch, b->threads, &n);
    bench_watched none = {&n, {0}}, all = {&n, {.statistics = true, .histogram = true}};
    bench_watched emulated = {&n, {.precision = "fp16", .scope = SS_ROUND_BLOCKS}};
    bench_watched fewer = {&n, {.statistics = true}};
    bench_side ours[] = {{bench_watched_run, &none, 0, 0},
                         {bench_watched_run, &all, 0, 0},
                         {bench_watched_run, &emulated, 0, 0},
                         {bench_watched_run, &fewer, 0, 0}};
    bench_question moments = {reference, "moments"};
    bench_side theirs[] = {{bench_ask, &plain, 0, 0},
                           {bench_ask, &statistics, 0, 0},
                           {bench_ask, &rounded, 0, 0},
                           {bench_ask, &moments, 0, 0}};

    bench_alternate(ours, 4, seconds);
    bench_alternate(theirs, 4, seconds);
    bench_network_close(&n);
    bench_reference_close(reference);
    add_row(b, "all statistics", name, batch, ours[1].to_first, theirs[1].to_first, 5);
    add_row(b, "without histogram", name, batch, ours[3].to_first, theirs[3].to_first, 3);
    add_row(b, "fp16 blocks", name, batch, ours[2].to_first, theirs[2].to_first, 5);
}

void bench_rows_watch(bench *b)
{
    one(b, "ddpm-cifar10-32", "tests/bench/configs/cifar10", 8, 12);
    one(b, "the bundled network", "demo/fashion-mnist/step-06000/unet", 32, 8);
    if (b->slow)
        one(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", 1, 90);
}
