/* training.c - see training.h */
#include "tests/bench/training.h"

#include "base/file.h"
#include "tests/bench/bench.h"

#include <stdio.h>

static const char pictures[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
                  labels[] = "/usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz";

bool bench_training_possible(void)
{
    if (ss_file_exists(pictures) && ss_file_exists(labels))
        return true;
    fprintf(stderr, "bench: no %s: Debian has it as dataset-fashion-mnist\n", pictures);
    return false;
}

ss_trainer_options bench_training(int size, int threads)
{
    static const char *const zero[] = {"*.conv2", "*.to_out.0"};
    ss_trainer_options o = ss_trainer_defaults();

    o.config_name = size == 16 ? "tests/bench/configs/fast-16" : "tests/bench/configs/fast-32";
    o.config = bench_config(o.config_name);
    o.init = (ss_init){.seed = 1, .zero = zero, .n_zero = 2};
    o.data.kind = SS_DATA_IDX;
    o.data.path = pictures;
    o.data.labels = labels;
    o.data.pool = size == 16 ? 2 : 1;
    o.data.null_class = 10;
    o.data.dropout = 0.1;
    o.optimizer.lr = 5e-3;
    o.optimizer.warmup = 100;
    o.batch = 32;
    o.threads = threads;
    return o;
}

ss_trainer_options bench_video_training(int threads)
{
    static const char *const freeze[] = {"*", "!*.motion.*"};
    ss_trainer_options o = bench_training(16, threads);

    o.config_name = "tests/bench/configs/video-16";
    o.config = bench_config(o.config_name);
    o.freeze = freeze;
    o.n_freeze = 2;
    o.data.kind = SS_DATA_MOVING;
    o.batch = 4;
    return o;
}

double bench_training_step(void *trainer)
{
    const double start = bench_now();
    ss_trainer_did did;
    ss_err e = {0};

    bench_need(ss_trainer_step(trainer, &did, &e), &e);
    if (did.skipped)
        bench_die("step %lld of the training is not finite", (long long)did.step);
    return bench_now() - start;
}
