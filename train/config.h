/* config.h - the JSON file that describes a training run
 *
 * Every key may be left out but `model` and `data`; docs/train.md describes them all. Paths are
 * relative to the file. `model` is a diffusers config.json (a path, or the object itself), to which
 * `remedies` adds remedies that are part of the network (models/net/remedies.h).
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

/* The answer to a step that is not finite, if a smaller loss scale cannot help:
 *   stop       the training ends with an error; the last checkpoint stays
 *   rollback   weights and optimiser go back to the last checkpoint, and on with other batches
 *   skip       nothing: the step is skipped, and so may be the next
 * max_overflows ends the training in all three cases. */
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
    bool init_state; /* a branch: goes on from the state of the checkpoint trainer.from */
    ss_on_nonfinite on_nonfinite;
    int max_rollbacks;     /* one more ends the training */
    int64_t max_overflows; /* steps whose loss is inf or NaN until it ends; 0: no limit */

    int64_t statistics_every; /* steps; 0: no statistics.h5 */
    const char *const *statistics_modules;
    int n_statistics_modules; /* 0: all */
    bool tensorboard;

    int64_t checkpoint_every; /* steps; the last step always has one */
    int64_t checkpoint_keep; /* how many of the newest stay, besides one that an interruption saved;
                                0: all stay */
    bool checkpoint_ema;     /* the averages of the weights too, as step-N-ema */

    json_t *effective; /* with nothing left out; owned */
    struct ss_train_config_parts *parts;
} ss_train_config;

/* sets: "KEY=VALUE" replaces what the file says at that key ("optimizer.lr=1e-3",
 * "data.path=other.gz"); VALUE is JSON, or a string if it is none. Messages name the file, the key,
 * the value and what is allowed. */
ss_code ss_train_config_read(const char *path, const char *const *sets, int n_sets,
                             ss_train_config **t, ss_err *e);
void ss_train_config_free(ss_train_config *t); /* NULL is fine */

/* All that determines a training's numbers, as the plan of its run file: the effective
 * configuration, with this number of steps, but without what no measured number depends on (the
 * output's name, when a training that overflows ends, that it is no branch). ss_free; NULL: no
 * memory. */
char *ss_train_config_plan(const ss_train_config *t, int64_t steps);

/* True if what a step does depends on how many there are: the learning rate does. */
bool ss_train_config_steps_matter(const ss_train_config *t);
/* The configuration as checkpoints have it: without the number of steps where no step depends on
 * it, so that a training which gets more of them has the same checkpoints. NULL: no memory. */
json_t *ss_train_config_record(const ss_train_config *t);

/* The part of an effective configuration that must be the same to go on with a training. NULL: no
 * memory. */
json_t *ss_train_config_fixed(const json_t *effective);

/* True if two effective configurations differ; out says where first: "optimizer.lr is 0.001 there,
 * 0.002 here". */
bool ss_train_config_differs(const json_t *there, const json_t *here, char *out, size_t n);

#endif
