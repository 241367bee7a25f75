/* torch_order.h - the order in which PyTorch lists a network's parameters
 *
 * model.parameters() goes through modules as their classes made them, which is not the order in
 * which they run: attention before resnets, up_blocks before mid_block. States of optimizers have
 * numbers in that order, and no names.
 */
#ifndef SS_MODELS_TORCH_ORDER_H
#define SS_MODELS_TORCH_ORDER_H

#include "models/net/loader.h"

/* Sorts weights [n] as diffusers' UNets list theirs. A name that is not known there is
 * SS_UNSUPPORTED, and the order is undefined. */
ss_code ss_torch_order(ss_weight **weights, size_t n, ss_err *e);

#endif
