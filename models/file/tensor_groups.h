/* tensor_groups.h - which of the sets of tensors in a file is the model
 *
 * A training keeps more than a model in a file: {"step": 500, "state_dict": {...}, "ema": {...},
 * "optimizer": {...}}. Each dict that holds tensors is a group, known by the keys that lead to it.
 */
#ifndef SS_MODELS_TENSOR_GROUPS_H
#define SS_MODELS_TENSOR_GROUPS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *key; /* "state_dict", "ema.module"; "" for the outermost dict */
    size_t n;  /* tensors */
    const void *source;
} ss_tensor_group;

typedef struct {
    ss_tensor_group *g;
    size_t n, cap;
} ss_tensor_groups;

/* Adds a group, copying its key. */
ss_code ss_tensor_groups_add(ss_tensor_groups *l, const char *key, size_t n, const void *source,
                             ss_err *e);
void ss_tensor_groups_release(ss_tensor_groups *l); /* {0} is fine */

/* True for a key that leads to other states of a training: "optimizer", "lr_scheduler". */
bool ss_tensor_group_other(const char *key, size_t n);

/* Chooses: the group of that key, where one is given; else the only one; else the outermost where
 * no other has more; else the first whose keys are all among state_dict, model, module,
 * model_state_dict, net, network, params, ema, model_ema, ema_model, params_ema, in this order.
 * *note says which it was where there was a choice, the caller's to ss_free; else NULL. SS_USAGE
 * lists the keys where there is doubt; file is for messages. */
ss_code ss_tensor_groups_choose(const ss_tensor_groups *l, const char *file, const char *key,
                                const ss_tensor_group **chosen, char **note, ss_err *e);

#endif
