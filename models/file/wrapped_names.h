/* wrapped_names.h - names of tensors as a training's wrappers changed them
 *
 *   module.conv_in.weight                        DDP, DeepSpeed
 *   _orig_mod.conv_in.weight                     torch.compile
 *   _fsdp_wrapped_module.down_blocks.0._fsdp_wrapped_module.resnets.0.conv1.weight       FSDP 1
 *   down_blocks.0._checkpoint_wrapped_module.resnets.0.conv1.weight        activation checkpoints
 *   online_model.conv_in.weight, ema_model.conv_in.weight, initted, step   ema-pytorch
 *   unet.conv_in.weight, model.unet.conv_in.weight                         attributes of a module
 *
 * Parts in the middle are known by name. What stands before a network's names may be anything:
 * it is removed where what remains is most of the names that the network asks for, so that a
 * prefix is never guessed.
 */
#ifndef SS_MODELS_WRAPPED_NAMES_H
#define SS_MODELS_WRAPPED_NAMES_H

#include "models/file/checkpoint_edit.h"

/* Gives the tensors of k the names that a network asks for, asked [n], and says what was removed.
 * Of two copies of the network the trained one is taken, or the averaged one with ema; the other is
 * dropped, and so are a wrapper's counters. Two copies that cannot be told apart are SS_USAGE.
 * *changed: a name changed or a tensor was dropped. */
ss_code ss_checkpoint_unwrap(ss_checkpoint *k, const char *const *asked, size_t n, bool ema,
                             bool *changed, ss_err *e);

/* Copies a name without the parts that wrappers put in the middle, the caller's to ss_free; NULL
 * where memory is out. Bit w of *inside: part w of their list was there. */
char *ss_unwrapped_name(const char *name, unsigned *inside);

#endif
