/* pickle_weights.h - .pt, .pth, .bin and .ckpt files as weights: the model in a pickle
 *
 * The model is a dict of tensors somewhere in the pickle (tensor_groups.h says which), or a module
 * itself, as torch.save(model) writes it, whose parameters and buffers then have the names that its
 * state_dict() would give them.
 */
#ifndef SS_MODELS_PICKLE_WEIGHTS_H
#define SS_MODELS_PICKLE_WEIGHTS_H

#include "models/file/weight_format.h"

extern const ss_weight_format ss_pickle_format;

#endif
