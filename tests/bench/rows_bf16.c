/* rows_bf16.c - a forward pass in bf16 arithmetic: in per cent of the one in f32, and its time
 *
 * All that operations read and write is rounded to bf16; where the processor multiplies bf16, it
 * does so. PyTorch has parameters and activations in bfloat16.
 */
#include "tests/bench/watch.h"

#include <string.h>

/* Adds what PyTorch takes: the share of its f32, and the time. */
static void beside_pytorch(bench *b, const bench_case *k, bench_row *share, bench_row *time)
{
    bench_reference *reference = bench_case_reference(b, k);
    bench_question plain = {reference, "forward"}, bf16 = {reference, "bf16"};
    bench_side theirs[] = {{bench_ask, &plain, 0, 0}, {bench_ask, &bf16, 0, 0}};

    bench_alternate(theirs, 2, k->seconds / 2);
    bench_reference_close(reference);
    share->theirs = 100 * theirs[1].to_first;
    time->theirs = 1e3 * theirs[1].median;
    bench_add_bar(share, BENCH_OURS, 60);
    bench_add_bar(time, BENCH_RATIO, k->large ? 0.6 : 0.8);
    if (k->large)
        bench_add_bar(time, BENCH_OF_LIMIT, 85);
}

static void one(bench *b, const bench_case *k)
{
    bench_row share = bench_row_of("%", "forward in bf16: %s x %d", k->name, k->batch);
    bench_row time = bench_row_of("ms", "the same, its time");
    bench_network n;

    bench_network_open(k->folder, k->batch, b->threads, &n);
    bench_watched in_f32 = {&n, {0}};
    bench_watched in_bf16 = {&n, {.precision = "bf16", .scope = SS_ROUND_HALF}};
    bench_side ours[] = {{bench_watched_run, &in_f32, 0, 0}, {bench_watched_run, &in_bf16, 0, 0}};

    bench_alternate(ours, 2, k->seconds / 2);
    share.ours = 100 * ours[1].to_first;
    time.ours = 1e3 * ours[1].median;
    time.limit = 1e3 * bench_network_flops(&n) / bench_peak_bf16(b->threads);
    if (strstr(ss_ctx_device_text(n.c), "with bf16"))
        beside_pytorch(b, k, &share, &time);
    else
        share.note = time.note = "emulated: no bf16 on this CPU";
    bench_network_close(&n);
    bench_report(b, &share);
    bench_report(b, &time);
}

void bench_rows_bf16(bench *b)
{
    for (const bench_case *k = bench_cases; k < bench_cases + BENCH_N_CASES; k++)
        if (!k->large || b->slow)
            one(b, k);
}
