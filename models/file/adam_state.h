/* adam_state.h - Adam's moments as PyTorch's optimizers save them
 *
 *   optimizer.bin, optimizer.pt    {"state": {0: {"step", "exp_avg", "exp_avg_sq"}, 1: ...},
 *                                   "param_groups": [{"lr", "betas", "eps", "params": [0, 1, ..]}]}
 *   checkpoint.pt                  the same below "optimizer", "optimizer_state_dict" or
 *                                  "optimizer_states" (Lightning)
 *   FOLDER/.metadata               the same in a torch.distributed.checkpoint (dcp.h), below any
 *                                  keys; mostly with names for numbers (adam_dcp.c)
 *
 * Numbers are 0, 1, ... in the order in which the optimizer got its parameters, group after group.
 */
#ifndef SS_MODELS_ADAM_STATE_H
#define SS_MODELS_ADAM_STATE_H

#include "models/file/dcp.h"
#include "models/file/pickle.h"

typedef struct {
    char *name;                    /* of the parameter; NULL where it has a number */
    const ss_stored_tensor *m, *v; /* exp_avg and exp_avg_sq; NULL: it was never updated */
    int group;
    double step, rate, beta1, beta2, eps;
} ss_adam_moment;

typedef struct {
    ss_pickle *file;
    ss_dcp *folder;       /* one of both */
    ss_adam_moment *list; /* in the order of the parameters' numbers; all named, or none */
    size_t n, cap;
    int n_groups;
} ss_adam_state;

/* Reads the state of a file, or of a folder; its values stay in it. States that are not Adam's, or
 * of 8 bits, are SS_UNSUPPORTED. */
ss_code ss_adam_state_open(const char *path, ss_adam_state *s, ss_err *e);
void ss_adam_state_close(ss_adam_state *s); /* {0} is fine */

/* True for a torch.distributed.checkpoint that has moments of Adam, by the path of its .metadata;
 * false after an error too. */
bool ss_adam_is_in_dcp(const char *path, ss_err *e);

#endif
