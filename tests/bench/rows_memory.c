/* rows_memory.c - the most memory that a process ever holds: one forward pass, training steps
 *
 * Each in a process of its own, the libraries' own memory included, as a user sees it.
 */
#include "tests/bench/bench.h"
#include "tests/bench/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_child_forward(const bench *b, char **args)
{
    bench_network n;

    bench_network_open(args[0], atoi(args[1]), b->threads, &n);
    bench_network_run(&n);
    printf("%.1f\n", bench_memory(true));
    bench_network_close(&n);
}

void bench_child_train(const bench *b, char **args)
{
    const ss_trainer_options o = bench_training(atoi(args[0]), b->threads);
    ss_trainer *t;
    ss_err e = {0};

    bench_need(ss_trainer_new(&o, &t, &e), &e);
    for (int i = 0; i < 3; i++)
        bench_training_step(t);
    printf("%.1f\n", bench_memory(true));
    ss_trainer_free(t);
}

static void report(bench *b, bench_row *r, const char *const *ours, const char *const *theirs,
                   const char *method)
{
    bench_reference *reference = bench_reference_open(b, theirs);
    bench_question work = {reference, method}, peak = {reference, "peak"};

    for (int i = 0; i < 3; i++)
        bench_ask(&work);
    r->theirs = bench_ask(&peak);
    bench_reference_close(reference);
    r->ours = bench_run_child(b, ours);
    bench_add_bar(r, BENCH_RATIO, 0.7);
    bench_report(b, r);
}

static void forward(bench *b, const char *name, const char *folder, const char *batch)
{
    bench_row r = bench_row_of("MiB", "memory, forward: %s x %s", name, batch);

    report(b, &r, (const char *[]){"forward", folder, batch, NULL},
           (const char *[]){"forward", folder, "--batch", batch, NULL}, "forward");
}

static void train(bench *b, const char *size, const char *folder)
{
    bench_row r = bench_row_of("MiB", "memory, training: FAST-%s", size);

    report(b, &r, (const char *[]){"train", size, NULL}, (const char *[]){"train", folder, NULL},
           "step");
}

void bench_rows_memory(bench *b)
{
    forward(b, "ddpm-cifar10-32", "tests/bench/configs/cifar10", "8");
    if (b->slow)
        forward(b, "Stable Diffusion 1.5", "tests/bench/configs/sd15", "1");
    if (!bench_training_possible())
        return;
    train(b, "16", "tests/bench/configs/fast-16");
    train(b, "32", "tests/bench/configs/fast-32");
}
