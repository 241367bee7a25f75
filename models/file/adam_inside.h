/* adam_inside.h - inside of adam_state.h: what pickles and folders have in common */
#ifndef SS_MODELS_ADAM_INSIDE_H
#define SS_MODELS_ADAM_INSIDE_H

#include "models/file/adam_state.h"

enum { SS_ADAM_MAX_PARAMETERS = 1 << 15, SS_ADAM_MAX_GROUPS = 1 << 10 };

double ss_adam_scalar(const ss_stored_tensor *t); /* a tensor of one value; else NaN, as for NULL */
double ss_adam_number(const ss_pickle_value *v);  /* a number, or such a tensor; else NaN */
bool ss_adam_has_options(const ss_adam_moment *p); /* those that Adam needs, in their ranges */

/* Checks the moments and the step of *p, parameter `name` in messages. */
ss_code ss_adam_check(const char *path, const char *name, const ss_adam_moment *p, ss_err *e);

/* Reads the state in a folder of torch.distributed.checkpoint into *s, which is {0}; s is to be
 * closed in any case. */
ss_code ss_adam_read_dcp(const char *path, ss_adam_state *s, ss_err *e);

#endif
