/* rows_scaling.c - cost against batch and threads: linear, and nothing lost to the second thread
 *
 * The limit of a batch is so many single samples, that of threads their share of one thread's time.
 */
#include "tests/bench/bench.h"

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

static void threads(bench *b)
{
    enum { TWO = 2 };
    bench_row r = bench_row_of("ms", "ddpm-cifar10-32 x 8: two threads, one's halved");
    bench_network one, two;

    if (b->threads < TWO)
        return;
    bench_network_open("tests/bench/configs/cifar10", 8, 1, &one);
    bench_network_open("tests/bench/configs/cifar10", 8, TWO, &two);
    bench_side sides[] = {{bench_network_run, &one, 0, 0}, {bench_network_run, &two, 0, 0}};
    bench_alternate(sides, 2, 15);
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
    threads(b);
}
