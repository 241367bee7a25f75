/* rows_start.c - from the start of a process to the end of its first forward pass
 *
 * The weights lie in a file whose pages are in memory. Ours maps them and computes; PyTorch's
 * process imports torch and diffusers, and reads them by from_pretrained. fp16 files are made fp32
 * by both, as fp16 does not compute on a CPU.
 */
#include "tests/bench/bench.h"
#include "tests/bench/files.h"

#include <math.h>
#include <stdio.h>

void bench_child_start(const bench *b, char **args)
{
    bench_network n;

    bench_network_load(args[0], 1, b->threads, &n);
    bench_network_run(&n);
    puts("0");
    bench_network_close(&n);
}

typedef struct {
    const bench *b;
    const char *folder;
} model;

static double ours(void *state)
{
    const model *m = state;
    const double start = bench_now();

    bench_run_child(m->b, (const char *[]){"start", m->folder, NULL});
    return bench_now() - start;
}

static double theirs(void *state)
{
    const model *m = state;
    const double start = bench_now();
    bench_reference *r = bench_reference_open(m->b, (const char *[]){"start", m->folder, NULL});
    const double seconds = r ? bench_now() - start : NAN;

    bench_reference_close(r);
    return seconds;
}

static void one(bench *b, const char *name, const char *config, ss_dtype dtype)
{
    const char *type = dtype == SS_F32 ? "fp32" : "fp16";
    bench_row r = bench_row_of("s", "start to first forward: %s, %s", name, type);
    char folder[256];

    bench_scratch(folder, sizeof folder);
    bench_write_model(config, dtype, folder);
    model m = {b, folder};
    bench_side sides[] = {{ours, &m, 0, 0}, {theirs, &m, 0, 0}};
    bench_alternate(sides, 2, 1);
    bench_remove_model(folder);
    r.ours = sides[0].median;
    r.theirs = sides[1].median;
    bench_add_bar(&r, BENCH_RATIO, 0.5);
    bench_report(b, &r);
}

void bench_rows_start(bench *b)
{
    one(b, "ddpm-cifar10-32", "tests/bench/configs/cifar10", SS_F32);
    if (!b->slow)
        return;
    one(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", SS_F32);
    one(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", SS_F16);
}
