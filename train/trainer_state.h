/* trainer_state.h - the inside of a trainer; private to trainer*.c */
#ifndef SS_TRAIN_TRAINER_STATE_H
#define SS_TRAIN_TRAINER_STATE_H

#include "train/captions.h"
#include "train/trainer.h"

struct ss_trainer {
    ss_trainer_options opt;
    ss_ctx *c;
    ss_model *model;
    ss_data *data;
    ss_penalty *penalty; /* or NULL */
    ss_optimizer *optimizer;

    int64_t step;
    ss_loss_scale scale;
    ss_spikes spikes;
    ss_loss_bins bins;
    int rewinds;
    int64_t overflows; /* steps whose loss was not finite */
    char *ended;       /* why it ended early, or NULL */

    ss_weight *const *weights; /* [n] */
    int n;
    int *slot;           /* [n] index of each among the trained ones; -1: frozen */
    ss_trained *trained; /* [n_trained] the weights that are not frozen, in their order */
    int n_trained;
    const ss_tensor **gradient; /* [n_trained] of the last step; NULL stands for zeros */
    ss_update *done;            /* [n_trained] what the last step did */
    ss_update *updates;         /* [n] the same; NaN for those that are frozen */

    ss_sample_size own_size;    /* of a sample where no stage gives another */
    ss_train_stage stage;       /* that the data are open for, with nothing left out */
    ss_sample_size size;        /* of a sample in it */
    int samples;                /* of a step in it */
    int most, most_batch;       /* samples of the largest step, and of the largest pass */
    double own_lr;              /* learning rate where no stage gives another */
    ss_trainer_eyes eyes;       /* those of the coming steps, {0}: none */
    ss_sample_size seen;        /* by the network: with the channels of reference frames */
    float *x0, *input, *target; /* [samples]; input is of size `seen` */
    float *noised;              /* one sample; NULL without reference frames */
    float *noise;               /* one sample; of a video, its frames' are independent */
    int64_t latents;            /* values of a sample's in the stage, of an autoencoder; else 0 */
    float *latent_noise;        /* [samples][latents], or NULL */
    int64_t *ids;               /* [samples] labels, as the data have them */
    float *labels;              /* [samples] the same, as the network wants them */
    ss_captions *captions;      /* the same of a network with text; else NULL */
    ss_level *levels;           /* [samples] */
    int64_t drawn;              /* the step whose batch this is; -1: none was drawn yet */
    double *losses;             /* [samples] */
};

/* Lists the network's parameters that are trained for the optimiser, and asks for their gradients.
 * After an error, too, close releases what there is. */
ss_code ss_trainer_open_weights(ss_trainer *t, ss_err *e);
void ss_trainer_close_weights(ss_trainer *t);

/* Lists in t->gradient what the tape left; forget drops it. */
void ss_trainer_take_gradients(ss_trainer *t);
void ss_trainer_forget_gradients(ss_trainer *t);

/* The parameters become those of a model folder, whose tensors are those of the network; one that
 * is not is SS_SHAPE. begin: the network may have more than the folder, which stays as it was
 * initialised, and its conv_in more input channels, which become zero; a note says so. */
ss_code ss_trainer_read_weights(ss_trainer *t, const char *folder, bool begin, ss_err *e);

/* Opens the data of the stage that t->size and t->stage describe. */
ss_code ss_trainer_open_data(ss_trainer *t, ss_err *e);
/* Makes room for the samples of the largest step, and opens the data of the first stage. */
ss_code ss_trainer_begin_stages(ss_trainer *t, ss_err *e);
/* Opens each stage once and infers its shapes, so that what is wrong with it shows before the first
 * step; the first one stays. */
ss_code ss_trainer_try_stages(ss_trainer *t, ss_err *e);
/* Makes the stage of a step the one that data are open for. */
ss_code ss_trainer_enter_stage(ss_trainer *t, int64_t step, ss_err *e);
/* The samples from `first` on that go through the network together; *condition is part of them. */
ss_batch ss_trainer_batch(const ss_trainer *t, int first, ss_condition *condition);
/* Passes them through the network, for hooks. */
ss_code ss_trainer_forward(ss_trainer *t, int first, ss_err *e);
/* Infers the shapes of a pass in the stage; computes nothing. */
ss_code ss_trainer_infer(ss_trainer *t, ss_err *e);

/* The weight of that name, or NULL. */
ss_weight *ss_weight_named(ss_weight *const *weights, int n, const char *name);

#endif
