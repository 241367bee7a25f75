/* adam_owners.h - whose moments are whose: Adam's state and the network's parameters
 *
 * States with names are matched by them, without the parts that wrappers of a training put in
 * (file/wrapped_names.h) and without what stands before the network's names in most of them,
 * "unet."; parameters that were not trained have none, and states of other networks are left out.
 *
 * States with numbers must be as many as the network's parameters, in PyTorch's order
 * (torch_order.h). Either way every shape must confirm it.
 */
#ifndef SS_MODELS_ADAM_OWNERS_H
#define SS_MODELS_ADAM_OWNERS_H

#include "models/file/adam_state.h"
#include "models/model.h"

typedef struct {
    ss_weight *w;
    const ss_adam_moment *moment; /* never NULL; without m and v where it was never updated */
} ss_adam_owner;

/* Fills owners [number of the model's weights]; path is for messages. A state that does not fit the
 * model is SS_SHAPE, one that fits in several ways too. */
ss_code ss_adam_owners(const ss_model *m, const ss_adam_state *s, const char *path,
                       ss_adam_owner *owners, ss_err *e);

#endif
