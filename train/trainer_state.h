/* trainer_state.h - the inside of a trainer; private to trainer*.c */
#ifndef SS_TRAIN_TRAINER_STATE_H
#define SS_TRAIN_TRAINER_STATE_H

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
    char *ended;       /* why no step follows, or NULL */

    ss_weight *const *weights; /* [n] */
    int n;
    ss_trained *trained; /* [n], w owned */
    float **gradient;    /* [n] */
    ss_update *updates;  /* [n] */

    int h, w, channels;
    float *x0, *input, *target; /* [batch][h][w][channels] */
    float *noise;               /* [h][w][channels] */
    int64_t *ids;               /* [batch] labels as the data have them, */
    float *labels;              /*   and as the network wants them */
    ss_level *levels;           /* [batch] */
    int64_t drawn;              /* the step that all this is of; -1: nothing was drawn yet */
    double *losses;
};

/* Fetches the network's parameters to the host, where the optimiser changes them, and asks for
 * their gradients. After an error, too, close releases what there is. */
ss_code ss_trainer_open_weights(ss_trainer *t, ss_err *e);
void ss_trainer_close_weights(ss_trainer *t);

/* Gradients to the host; those on the device are zero from then on. */
ss_code ss_trainer_fetch_gradients(ss_trainer *t, ss_err *e);

/* The weights on the device become those of t->trained. */
ss_code ss_trainer_set_weights(ss_trainer *t, ss_err *e);

/* Fills t->trained from a model folder whose tensors are those of the network. */
ss_code ss_trainer_read_weights(ss_trainer *t, const char *folder, ss_err *e);

/* NULL: there is none of that name. */
const ss_weight *ss_weight_named(ss_weight *const *weights, int n, const char *name);

#endif
