/* rows_scaling.c - cost against batch, noise levels, inputs and threads: linear, and nothing lost
 * to the second thread
 *
 * The limit of a batch is so many single samples, that of a probe lies on the line through two
 * smaller ones, that of threads is their share of one thread's time.
 */
#include "probe/probe.h"
#include "tests/bench/bench.h"
#include "tests/bench/files.h"

#include <stdio.h>
#include <unistd.h>

static void batch(bench *b)
{
    enum { SMALL = 8, LARGE = 64 };
    const char *folder = "demo/fashion-mnist/step-06000/unet";
    bench_row r = bench_row_of("ms", "the bundled network: %d samples, %d times %d", LARGE,
                               LARGE / SMALL, SMALL);
    bench_network small, large;

    bench_network_open(folder, SMALL, b->threads, &small);
    bench_network_open(folder, LARGE, b->threads, &large);
    bench_side sides[] = {{bench_network_run, &small, 0, 0}, {bench_network_run, &large, 0, 0}};
    bench_alternate(sides, 2, 5);
    bench_network_close(&small);
    bench_network_close(&large);
    r.ours = 1e3 * sides[1].median;
    r.limit = 1e3 * sides[0].median * LARGE / SMALL;
    bench_add_bar(&r, BENCH_OF_LIMIT, 95);
    bench_report(b, &r);
}

typedef struct {
    const char *sigmas;
    int samples, threads;
    const char *path;
} probing;

static double probe(void *state)
{
    const probing *p = state;
    static const char *const inputs[] = {"noise:white"};
    ss_probe_options o = ss_probe_defaults();
    ss_probe_summary s;
    ss_err e = {0};

    unlink(p->path);
    const double start = bench_now();
    o.network.model = "demo/fashion-mnist/step-06000";
    o.output = p->path;
    o.command = "bench";
    o.sigmas = p->sigmas;
    o.inputs = inputs;
    o.n_inputs = 1;
    o.samples = p->samples;
    o.batch = 16;
    o.threads = p->threads;
    bench_need(ss_probe_run(&o, &s, &e), &e);
    return bench_now() - start;
}

static void levels_and_inputs(bench *b)
{
    bench_row r = bench_row_of("ms", "probe: 8 levels x 128 inputs, as 4 x 64 and 8 x 64");
    char path[256];

    bench_scratch(path, sizeof path);
    probing runs[] = {{"0.02:80:4", 64, b->threads, path},
                      {"0.02:80:8", 64, b->threads, path},
                      {"0.02:80:8", 128, b->threads, path}};
    bench_side sides[] = {
        {probe, &runs[0], 0, 0}, {probe, &runs[1], 0, 0}, {probe, &runs[2], 0, 0}};
    bench_alternate(sides, 3, 20);
    unlink(path);
    r.ours = 1e3 * sides[2].median;
    r.limit = 1e3 * (sides[1].median + 2 * (sides[1].median - sides[0].median));
    bench_add_bar(&r, BENCH_OF_LIMIT, 95);
    bench_report(b, &r);
}

static void threads(bench *b, const char *name, const char *folder, int samples)
{
    enum { TWO = 2 };
    bench_row r = bench_row_of("ms", "%s x %d: two threads, one's halved", name, samples);
    bench_network one, two;

    if (b->threads < TWO)
        return;
    bench_network_open(folder, samples, 1, &one);
    bench_network_open(folder, samples, TWO, &two);
    bench_side sides[] = {{bench_network_run, &one, 0, 0}, {bench_network_run, &two, 0, 0}};
    bench_alternate(sides, 2, 20);
    bench_network_close(&one);
    bench_network_close(&two);
    r.ours = 1e3 * sides[1].median;
    r.limit = 1e3 * sides[0].median / TWO;
    bench_add_bar(&r, BENCH_OF_LIMIT, 95); /* 1.9 times as fast */
    bench_report(b, &r);
}

void bench_rows_scaling(bench *b)
{
    batch(b);
    levels_and_inputs(b);
    threads(b, "ddpm-cifar10-32", "tests/bench/configs/cifar10", 8);
    threads(b, "DeepFloyd IF-I-M", "tests/bench/configs/if-i-m", 1);
}
