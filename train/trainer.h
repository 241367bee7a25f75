/* trainer.h - a network in training, one step after another; trainer_checkpoint.h saves and loads
 * it
 *
 *   rc = ss_trainer_new(&opt, &t, &err);
 *   while (ss_trainer_steps(t) < n) {
 *       rc = ss_trainer_step(t, &did, &err);
 *       printf("%g %g\n", did.loss, did.norm);
 *   }
 *   ss_trainer_free(t);
 *
 * What step s draws depends on the seeds and s alone (data.h, objective.h). The state is therefore
 * the weights, the optimiser's state, and some counters: a run that is loaded and goes on has the
 * bits of one that was never stopped.
 */
#ifndef SS_TRAIN_TRAINER_H
#define SS_TRAIN_TRAINER_H

#include "kernels/context.h"
#include "models/net/init.h"
#include "models/weight_stats.h"
#include "train/data.h"
#include "train/gradients.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/references.h"
#include "train/spikes.h"
#include "train/train_stages.h"

#include <jansson.h>

/* Limits: steps, and other counts, are whole in a double, and counting on never overflows. */
#define SS_MOST_STEPS 1e15

typedef struct {
    const json_t *config;      /* config.json of the network */
    const char *config_name;   /* its name in messages */
    ss_init init;              /* initial weights */
    const char *from;          /* model folder whose weights it begins with; NULL: init's. What the
                                  network has more than it keeps init's, and new input channels of
                                  conv_in begin at zero */
    const char *const *freeze; /* [n_freeze] globs of parameters that are not trained (freeze.h) */
    int n_freeze;
    ss_data_options data; /* h, w and c are ignored: they are the network's; frames are for
                             autoencoders, whose config.json does not say them */
    ss_references_options references; /* of a network with reference frames */
    ss_objective objective;
    ss_optimizer_options optimizer;
    int batch;      /* samples that go through the network together */
    int accumulate; /* so many batches make a step, with the gradients of one batch of all their
                       samples */
    const ss_train_stage *stages; /* [n_stages], or none */
    int n_stages;

    double lambda; /* of the activation penalty; 0: none */
    int interval;  /* steps from one penalty to the next, each times interval * lambda */
    const char *const *penalty; /* [n_penalty] globs of its modules; none: all blocks */
    int n_penalty;

    const ss_precision *precision;        /* or NULL: f32 */
    const ss_intervention *interventions; /* [n_interventions], trained through */
    int n_interventions;
    ss_loss_scale_options scale;
    ss_spike_options spikes;
    int bins;                /* of the running loss by noise level, 1 to SS_LOSS_MAX_BINS */
    double bin_lo, bin_hi;   /* sigmas where the bins begin and end */
    const json_t *scheduler; /* scheduler_config.json that is saved with the weights, or NULL */
    const json_t *record;    /* saved in training.json as "run", or NULL */
    bool recompute;          /* gradient checkpointing */
    int threads;             /* 0: all */
    const char *device;
    ss_arithmetic arithmetic;
    const char *text; /* pipeline whose text encoders encode the captions; NULL: no text */
} ss_trainer_options;

/* batch 32, one a step, interval 1, no loss scaling, 16 bins from 0.01 to 100; defaults of each
 * part. */
ss_trainer_options ss_trainer_defaults(void);

typedef struct ss_trainer ss_trainer;

/* opt is copied; what its pointers point at is borrowed until free. */
ss_code ss_trainer_new(const ss_trainer_options *opt, ss_trainer **t, ss_err *e);
void ss_trainer_free(ss_trainer *t); /* NULL is fine */

typedef struct {
    int64_t step;        /* counted from 1 */
    int stage;           /* counted from 1; 0: the training has none */
    double loss;         /* without the penalty */
    double penalty;      /* NaN: this step has none */
    double norm;         /* of all gradients, before clipping */
    double rate;         /* learning rate */
    double scale;        /* of the loss, in this step */
    double staleness;    /* the largest of all tensors (optimizer.h); NaN: not known */
    const char *stalest; /* the tensor that has it, or NULL */
    double lost;         /* the largest share in a tensor of second moments that are 0 though their
                            gradients are not */
    bool spike;          /* the loss stands out (spikes.h) */
    bool skipped;        /* gradients were not finite: the weights stay as they were */
    bool exhausted;      /* if skipped: a smaller loss scale cannot help */
} ss_trainer_did;

ss_code ss_trainer_step(ss_trainer *t, ss_trainer_did *did, ss_err *e);
int64_t ss_trainer_steps(const ss_trainer *t); /* done, skipped ones too */

/* The stage of a step with nothing left out, and its index; what there is without stages if the
 * training has none. */
ss_train_stage ss_trainer_stage(const ss_trainer *t, int64_t step, int *index);
/* Samples of the last step, and of the largest that there is, in all its batches. */
int ss_trainer_samples(const ss_trainer *t);
int ss_trainer_most_samples(const ss_trainer *t);

/* Losses and noise levels of the last step, [samples]; borrowed until the next step. */
const double *ss_trainer_losses(const ss_trainer *t);
const ss_level *ss_trainer_levels(const ss_trainer *t);
/* The update of each parameter in the last step that was not skipped; all 0 before. All members are
 * NaN for one that is frozen. */
const ss_update *ss_trainer_updates(const ss_trainer *t);
/* Sizes of parameter i (in the order of ss_model_weights) as it is now. */
ss_code ss_trainer_weight_stats(ss_trainer *t, int i, ss_weight_stats *out, ss_err *e);
/* A parameter whose gradient was not finite in the last step, which was skipped: the first that the
 * backward pass reaches, which is the last in order of definition. NULL: there is none. */
ss_code ss_trainer_bad_gradient(ss_trainer *t, const char **name, ss_err *e);

/* Counters of all steps so far. */
const ss_loss_bins *ss_trainer_bins(const ss_trainer *t);
const ss_spikes *ss_trainer_spikes(const ss_trainer *t);
const ss_loss_scale *ss_trainer_scale(const ss_trainer *t);
int ss_trainer_rewinds(const ss_trainer *t);
int64_t ss_trainer_overflows(const ss_trainer *t); /* steps whose loss was inf or NaN */

/* Marks the training as ended early; checkpoints keep the reason. */
ss_code ss_trainer_end(ss_trainer *t, const char *reason, ss_err *e);
const char *ss_trainer_ended(const ss_trainer *t); /* the reason; NULL: it did not end early */

ss_model *ss_trainer_model(ss_trainer *t); /* with its current weights, bound to the context */
ss_ctx *ss_trainer_context(ss_trainer *t);

/* Looks at a step: hooks, and what is called before each pass over samples [first, first + n) of
 * its batch (NULL: nothing). */
typedef struct {
    const ss_hooks *hooks;
    void *self;
    void (*begin)(void *self, int first, int n);
} ss_trainer_eyes;

/* Sets eyes that see the coming steps, until others or NULL are set; borrowed until then. They
 * change no bit. */
ss_code ss_trainer_watch(ss_trainer *t, const ss_trainer_eyes *eyes, ss_err *e);
/* Runs a forward pass over the batch of the last step with the current weights; only these eyes see
 * it. shapes_only: nothing is computed, of the first pass alone. */
ss_code ss_trainer_look(ss_trainer *t, const ss_trainer_eyes *eyes, bool shapes_only, ss_err *e);

#endif
