/* rows_recorder.c - what the recorder of python/ adds to a training step of PyTorch, in per cent,
 * and its memory
 *
 * Of whole cycles: steps with exponents and without, the growth of the file, calls in steps that
 * are not recorded. Beside it ("PyTorch"): forward hooks on the outputs of all modules that compute
 * the same statistics plainly, in as many steps.
 */
#include "tests/bench/bench.h"
#include "tests/bench/training.h"

#include <math.h>

static void add_row(bench *b, const char *what, const char *unit, int threads, double ours,
                    double theirs, double bar)
{
    bench_row r =
        bench_row_of(unit, "recorder, %s, %d thread%s", what, threads, threads == 1 ? "" : "s");

    r.ours = ours;
    r.theirs = theirs;
    if (bar > 0)
        bench_add_bar(&r, BENCH_OURS, bar);
    bench_report(b, &r);
}

void bench_rows_recorder(bench *b)
{
    enum { RARELY = 50 };
    if (!bench_training_possible())
        return;
    const int threads[] = {1, b->threads};

    for (int i = 0; i < (b->threads > 1 ? 2 : 1); i++) {
        bench with = *b;
        with.threads = threads[i];
        bench_reference *reference = bench_reference_open(
            &with, (const char *[]){"recorder", "tests/bench/configs/fast-16", NULL});
        bench_question memory = {reference, "memory"};
        const double most = bench_ask(&memory); /* first: a process keeps its peak */
        bench_question each = {reference, "each"}, rarely = {reference, "rarely"};
        bench_question plainly = {reference, "plainly"};
        bench_side sides[] = {
            {bench_ask, &each, 0, 0}, {bench_ask, &rarely, 0, 0}, {bench_ask, &plainly, 0, 0}};

        bench_alternate(sides, 3, 60);
        bench_reference_close(reference);
        const double hooks = sides[2].median;
        add_row(b, "every=1", "%", threads[i], sides[0].median, hooks, 25);
        add_row(b, "every=50", "%", threads[i], sides[1].median, hooks / RARELY, 1);
        if (i == 0)
            add_row(b, "peak memory", "MiB", threads[i], most, NAN, 0);
    }
}
