/* config.h - the JSON file that describes a training run
 *
 * Every key may be left out but `model` and `data`; docs/train.md describes them all. Paths are
 * relative to the file. `model` is a diffusers config.json (a path, or the object itself), to which
 * `remedies` adds those that are part of the network (models/net/remedies.h).
 *
 *   ss_train_config *t;
 *   rc = ss_train_config_read("train.json", sets, n_sets, &t, &err);
 *   rc = ss_trainer_new(&t->trainer, &trainer, &err);
 *   ss_train_config_free(t);
 *
 * One list of fields (config_fields.h) reads the file, checks each value, and writes the effective
 * configuration, in which nothing is left out: a run of that file is the same run.
 */
#ifndef SS_TRAIN_CONFIG_H
#define SS_TRAIN_CONFIG_H

#include "train/trainer.h"

/* What happens when a step is not finite, and a smaller loss scale cannot help:
 *   stop       training ends with an error; the last checkpoint stays
 *   rollback   back to weights and optimiser of the last checkpoint, on with other batches
 *   skip       the step is left out, as those that the loss scale answers for
 * max_overflows ends the training in each of the three. */
#define SS_ON_NONFINITE(X)  \
    X(STOP, "stop")         \
    X(ROLLBACK, "rollback") \
    X(SKIP, "skip")
#define X(name, text) SS_NONFINITE_##name,
typedef enum { SS_ON_NONFINITE(X) } ss_on_nonfinite;
#undef X

typedef struct {
    ss_trainer_options trainer;
    const char *output; /* folder */
    int64_t steps;
    uint64_t seed;
    bool init_state; /* a branch: trainer.from is a checkpoint, which it goes on from as it was */
    ss_on_nonfinite on_nonfinite;
    int max_rollbacks;     /* one more ends the training */
    int64_t max_overflows; /* so many steps whose loss is inf or NaN end it; 0: no limit */

    int64_t statistics_every; /* steps; 0: no statistics.h5 */
    const char *const *statistics_modules;
    int n_statistics_modules; /* 0: all */
    bool tensorboard;

    int64_t checkpoint_every; /* steps; the last step always has one */
    int64_t checkpoint_keep;  /* how many stay, the newest; 0: all. The one of an interruption is
                                 besides, until the next */
    bool checkpoint_ema;      /* also the averages, as step-N-ema */

    json_t *effective; /* the whole of it, owned */
    struct ss_train_config_parts *parts;
} ss_train_config;

/* sets: "KEY=VALUE", which stand for what the file says at that key ("optimizer.lr=1e-3",
 * "data.path=other.gz"); VALUE is JSON, or else a string. Messages name the file, the key, the
 * value and what is allowed. */
ss_code ss_train_config_read(const char *path, const char *const *sets, int n_sets,
                             ss_train_config **t, ss_err *e);
void ss_train_config_free(ss_train_config *t); /* NULL is fine */

/* What determines a training's numbers, as the plan of its run file: the effective configuration,
 * with this number of steps, but without what no measured number depends on (the output's name,
 * when a training that overflows ends, that it is no branch). ss_free; NULL: no memory. */
char *ss_train_config_plan(const ss_train_config *t, int64_t steps);

/* True if what a step does depends on how many there are: the learning rate does. */
bool ss_train_config_steps_matter(const ss_train_config *t);
/* The configuration as checkpoints have it: without the number of steps where no step depends on
 * it, so that a training which gets more of them has the same checkpoints. NULL: no memory. */
json_t *ss_train_config_record(const ss_train_config *t);

/* What of an effective configuration must be the same to go on with a training. NULL: no memory. */
json_t *ss_train_config_fixed(const json_t *effective);

/* Where two effective configurations first differ: "optimizer.lr is 0.001 there, 0.002 here" into
 * out. False where they are equal. */
bool ss_train_config_differs(const json_t *there, const json_t *here, char *out, size_t n);

#endif
