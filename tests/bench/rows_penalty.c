/* rows_penalty.c - what is added to a training step: the activation penalty at every step and at
 * every 8th, and all statistics every 50 steps, in per cent of the step without
 */
#include "tests/bench/bench.h"
#include "tests/bench/training.h"
#include "tests/bench/watch.h"

enum { EVERY = 8, RARELY = 50 };

typedef struct {
    ss_trainer *t;
    int steps;
    bool watched;
} training;

static double run(void *state)
{
    const training *t = state;
    double seconds = 0;
    ss_err e = {0};

    const ss_trainer_eyes eyes = {.hooks = &bench_hooks};
    bench_need(ss_trainer_watch(t->t, t->watched ? &eyes : NULL, &e), &e);
    for (int i = 0; i < t->steps; i++)
        seconds += bench_training_step(t->t);
    return seconds;
}

static training begin(double lambda, int interval, int steps)
{
    ss_trainer_options o = bench_training(16, 1);
    training t = {.steps = steps};
    ss_err e = {0};

    o.lambda = lambda;
    o.interval = interval;
    bench_need(ss_trainer_new(&o, &t.t, &e), &e);
    return t;
}

static void add_row(bench *b, const char *name, double ours, double theirs, double bar)
{
    bench_row r = bench_row_of("%", "FAST-16, %s", name);

    r.ours = 100 * ours;
    r.theirs = 100 * theirs;
    bench_add_bar(&r, BENCH_OURS, bar);
    bench_report(b, &r);
}

void bench_rows_penalty(bench *b)
{
    if (!bench_training_possible())
        return;
    bench with = *b;
    with.threads = 1;
    bench_reference *reference =
        bench_reference_open(&with, (const char *[]){"train", "tests/bench/configs/fast-16", NULL});
    bench_question plain = {reference, "step"}, penalty = {reference, "penalty"};
    bench_question statistics = {reference, "statistics"};
    training none = begin(0, 1, 1), each = begin(1e-4, 1, 1), watched = begin(0, 1, 1);
    training none8 = begin(0, 1, EVERY), eighth = begin(1e-4, EVERY, EVERY);
    watched.watched = true;
    bench_side ours[] = {{run, &none, 0, 0}, {run, &each, 0, 0}, {run, &watched, 0, 0}};
    bench_side ours8[] = {{run, &none8, 0, 0}, {run, &eighth, 0, 0}};
    bench_side theirs[] = {
        {bench_ask, &plain, 0, 0}, {bench_ask, &penalty, 0, 0}, {bench_ask, &statistics, 0, 0}};

    bench_alternate(ours, 3, 20);
    bench_alternate(ours8, 2, 30);
    bench_alternate(theirs, 3, 10);
    bench_reference_close(reference);
    const training all[] = {none, each, watched, none8, eighth};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ss_trainer_free(all[i].t);

    const double their_penalty = theirs[1].to_first - 1;
    add_row(b, "penalty every step", ours[1].to_first - 1, their_penalty, 4);
    add_row(b, "penalty every 8th step", ours8[1].to_first - 1, their_penalty / EVERY, 0.6);
    add_row(b, "all statistics every 50 steps", (ours[2].to_first - 1) / RARELY,
            (theirs[2].to_first - 1) / RARELY, 1);
}
