/* rows_forward.c - a forward pass of published networks, and of the bundled one */
#include "tests/bench/bench.h"

#include <stdio.h>

void bench_rows_forward(bench *b)
{
    static const struct {
        const char *name, *folder;
        int batch;
        double seconds;
        bool large; /* all convolutions and products, so near the peak */
    } cases[] = {
        {"Stable Diffusion 1.5", "tests/bench/configs/sd15", 1, 60, true},
        {"DeepFloyd IF-I-M", "tests/bench/configs/if-i-m", 1, 40, true},
        {"ddpm-cifar10-32", "tests/bench/configs/cifar10", 8, 15, false},
        {"the bundled network", "demo/fashion-mnist/step-06000/unet", 32, 10, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench_row r = bench_row_of("ms", "forward: %s x %d", cases[i].name, cases[i].batch);
        bench_network n;
        char batch[16];

        snprintf(batch, sizeof batch, "%d", cases[i].batch);
        bench_reference *reference = bench_reference_open(
            b, (const char *[]){"forward", cases[i].folder, "--batch", batch, NULL});
        bench_question theirs = {reference, "forward"};
        bench_network_open(cases[i].folder, cases[i].batch, b->threads, &n);
        r.limit = 1e3 * bench_network_flops(&n) / b->peak;
        bench_side sides[] = {{bench_network_run, &n, 0, 0}, {bench_ask, &theirs, 0, 0}};
        bench_alternate(sides, 2, cases[i].seconds);
        bench_network_close(&n);
        bench_reference_close(reference);
        r.ours = 1e3 * sides[0].median;
        r.theirs = 1e3 * sides[1].median;
        bench_add_bar(&r, BENCH_RATIO, 0.7);
        if (cases[i].large)
            bench_add_bar(&r, BENCH_OF_LIMIT, 75);
        bench_report(b, &r);
    }
}
