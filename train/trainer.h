/* trainer.h - a network in training: one step after another, and its state on disk
 *
 *   rc = ss_trainer_new(&opt, &t, &err);
 *   while (ss_trainer_steps(t) < n) {
 *       rc = ss_trainer_step(t, &did, &err);
 *       ...did.loss, did.norm...
 *   }
 *   rc = ss_trainer_save(t, "out/step-01000", false, &err);
 *   ss_trainer_free(t);
 *
 * What step s draws depends on the seeds and s alone (data.h, objective.h), so the state is the
 * weights and the optimiser's: a run that is loaded and goes on has the bits of one that was
 * never stopped.
 */
#ifndef SS_TRAIN_TRAINER_H
#define SS_TRAIN_TRAINER_H

#include "models/init.h"
#include "train/data.h"
#include "train/gradients.h"
#include "train/optimizer.h"

typedef struct {
    const char *model;    /* folder with the config.json of the network */
    ss_init init;         /* how it begins */
    ss_data_options data; /* h, w and c are the network's, whatever is here */
    ss_objective objective;
    ss_optimizer_options optimizer;
    int batch;

    double lambda;              /* of the activation penalty; 0: none */
    int interval;               /* it is added at every interval-th step, with interval * lambda */
    const char *const *penalty; /* globs of its modules, [n_penalty]; none: all blocks */
    int n_penalty;

    const ss_precision *precision;        /* or NULL: f32 */
    const ss_intervention *interventions; /* [n_interventions], trained through */
    int n_interventions;
    double scale;   /* of the loss while gradients are computed (gradients.h) */
    bool recompute; /* gradient checkpointing */
    int threads;    /* 0: all */
    const char *device;
} ss_trainer_options;

/* batch 32, interval 1, scale 1; defaults of each part. */
ss_trainer_options ss_trainer_defaults(void);

typedef struct ss_trainer ss_trainer;

/* All of opt may go afterwards, but for the model's folder and the texts of data and precision. */
ss_code ss_trainer_new(const ss_trainer_options *opt, ss_trainer **t, ss_err *e);
void ss_trainer_free(ss_trainer *t); /* NULL is fine */

typedef struct {
    int64_t step;   /* counted from 1 */
    double loss;    /* without the penalty */
    double penalty; /* NaN in steps without */
    double norm;    /* of all gradients, before clipping */
    double rate;    /* learning rate */
    bool skipped;   /* gradients were not finite: the weights stay as they were */
} ss_trainer_did;

ss_code ss_trainer_step(ss_trainer *t, ss_trainer_did *did, ss_err *e);
int64_t ss_trainer_steps(const ss_trainer *t); /* done, skipped ones too */

/* Of the last step, [batch]; borrowed until the next. */
const double *ss_trainer_losses(const ss_trainer *t);
const ss_level *ss_trainer_levels(const ss_trainer *t);

ss_model *ss_trainer_model(ss_trainer *t); /* with the weights of now, bound to */
ss_ctx *ss_trainer_context(ss_trainer *t);

/* FOLDER, a model as diffusers loads it, with optimizer.safetensors and training.json beside the
 * weights; whole or not at all. ema: the weights' averages in place of the weights; such a
 * folder cannot be loaded to go on. */
ss_code ss_trainer_save(const ss_trainer *t, const char *folder, bool ema, ss_err *e);

/* Goes on from a folder that save wrote, for the same network and optimiser. On failure the
 * trainer must be freed. */
ss_code ss_trainer_load(ss_trainer *t, const char *folder, ss_err *e);

#endif
