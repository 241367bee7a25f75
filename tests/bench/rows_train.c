/* rows_train.c - one step of a small training: draw, forward, backward, update
 *
 * On one thread, as the many small trainings of a reproduction run, and on all.
 */
#include "tests/bench/bench.h"
#include "tests/bench/training.h"

static double step_flops(ss_trainer *t)
{
    ss_ctx_usage_reset(ss_trainer_context(t));
    bench_training_step(t);
    return (double)ss_ctx_usage(ss_trainer_context(t)).flops;
}

/* The training step of o, whose PyTorch twin is a case of bench_reference.py. */
static void one(bench *b, const char *name, const char *twin, const ss_trainer_options *o)
{
    const int threads = o->threads;
    bench_row r = bench_row_of("ms", "training step: %s, %d thread%s", name, threads,
                               threads == 1 ? "" : "s");
    bench with = *b;
    ss_trainer *t;
    ss_err e = {0};

    with.threads = threads;
    bench_reference *reference =
        bench_reference_open(&with, (const char *[]){twin, o->config_name, NULL});
    bench_question theirs = {reference, "step"};
    bench_need(ss_trainer_new(o, &t, &e), &e);
    r.limit = 1e3 * step_flops(t) / bench_peak(threads);
    bench_side sides[] = {{bench_training_step, t, 0, 0}, {bench_ask, &theirs, 0, 0}};
    bench_alternate(sides, 2, 8);
    ss_trainer_free(t);
    bench_reference_close(reference);
    r.ours = 1e3 * sides[0].median;
    r.theirs = 1e3 * sides[1].median;
    bench_add_bar(&r, BENCH_RATIO, 0.6);
    bench_report(b, &r);
}

void bench_rows_train(bench *b)
{
    if (!bench_training_possible())
        return;
    const int threads[] = {1, b->threads};

    for (int i = 0; i < (b->threads > 1 ? 2 : 1); i++) {
        const ss_trainer_options small = bench_training(16, threads[i]);
        const ss_trainer_options large = bench_training(32, threads[i]);
        const ss_trainer_options video = bench_video_training(threads[i]);

        one(b, "FAST-16", "train", &small);
        one(b, "FAST-32", "train", &large);
        one(b, "VIDEO-16", "video", &video);
    }
}
