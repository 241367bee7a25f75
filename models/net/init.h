/* init.h - the weights of an untrained network
 *
 * They are drawn as PyTorch's layers do, so that a training starts here as it does there:
 *
 *   Conv2d, Conv3d, Linear   weight and bias uniform in (-k, k), k = 1 / sqrt(fan_in), fan_in =
 *                          inputs per output value: kaiming_uniform with a = sqrt(5)
 *                          (torch.nn.modules.conv, He et al. 2015)
 *   GroupNorm, LayerNorm, T5LayerNorm, UMT5LayerNorm   weight 1, bias 0
 *   Embedding              standard normal
 *   residual_scale, skip_scale   1 (remedies.h)
 *   AttentionPooling       its positional_embedding normal, of variance 1 / width (diffusers)
 *   gain                   0 (magnitude.h); mix_factor 0, the half of a sigmoid (diffusers)
 *   normalised weights     standard normal, each row brought to unit RMS (magnitude.h)
 *   modules that match `zero`: 0 throughout, which makes a residual branch begin as nothing
 *   products that match `identity`: 1 from each channel to itself, in the middle of the kernel
 *
 * A value depends on seed, name and place alone, not on what else the network has.
 */
#ifndef SS_MODELS_INIT_H
#define SS_MODELS_INIT_H

#include "kernels/hooks.h"

typedef struct {
    uint64_t seed;
    const char *const *zero; /* [n_zero] globs over module paths */
    int n_zero;
    const char *const *identity; /* [n_identity] likewise */
    int n_identity;
} ss_init;

/* Fills w, the parameter NAME of m. fan_in is that of the module's weight, 0 where it has none.
 * normalised: the forward pass normalises it, so that it may not be zero (SS_USAGE). Only a product
 * of as many outputs as inputs can begin as identity (SS_USAGE). A kind of
 * module that has no rule here is SS_UNSUPPORTED. */
ss_code ss_init_fill(const ss_init *init, const ss_module *m, const char *name, ss_shape shape,
                     int64_t fan_in, bool normalised, float *w, ss_err *e);

#endif
