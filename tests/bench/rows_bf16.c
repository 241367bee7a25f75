/* rows_bf16.c - a forward pass in bf16 arithmetic, where there is any */
#include "tests/bench/bench.h"

#include <cpuid.h>

static bool has_bf16(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}

void bench_rows_bf16(bench *b)
{
    bench_row r = bench_row_of("ms", "forward in bf16");

    r.note = has_bf16() ? "the engine computes in fp32 only" : "no bf16 on this CPU";
    bench_report(b, &r);
}
