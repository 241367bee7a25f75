/* rows_forward.c - a forward pass of published networks, and of the bundled one */
#include "tests/bench/bench.h"

void bench_rows_forward(bench *b)
{
    for (const bench_case *k = bench_cases; k < bench_cases + BENCH_N_CASES; k++) {
        bench_row r = bench_row_of("ms", "forward: %s x %d", k->name, k->batch);
        bench_reference *reference = bench_case_reference(b, k);
        bench_question theirs = {reference, "forward"};
        bench_network n;

        bench_network_open(k->folder, k->batch, b->threads, &n);
        r.limit = 1e3 * bench_network_flops(&n) / b->peak;
        bench_side sides[] = {{bench_network_run, &n, 0, 0}, {bench_ask, &theirs, 0, 0}};
        bench_alternate(sides, 2, k->seconds);
        bench_network_close(&n);
        bench_reference_close(reference);
        r.ours = 1e3 * sides[0].median;
        r.theirs = 1e3 * sides[1].median;
        bench_add_bar(&r, BENCH_RATIO, 0.7);
        if (k->large)
            bench_add_bar(&r, BENCH_OF_LIMIT, 75);
        bench_report(b, &r);
    }
}
