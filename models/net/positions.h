/* positions.h - SinusoidalPositionalEmbedding: tokens are given their place in a row
 *
 *   y[t] = x[t] + pe[t]
 *   pe[t][2i] = sin(t f_i), pe[t][2i+1] = cos(t f_i), f_i = exp(-2i ln(10000) / width)
 *
 * pe is a buffer of the module, so a checkpoint may hold it; then its values count, as in PyTorch.
 */
#ifndef SS_MODELS_POSITIONS_H
#define SS_MODELS_POSITIONS_H

#include "models/net/loader.h"

typedef struct ss_positions ss_positions;

ss_positions *ss_positions_new(ss_net *n, const ss_module *parent, const char *name, int most,
                               int width);
/* x [...][T][width] -> the same shape. T > most is a bug of the caller's. */
ss_tensor *ss_positions_run(ss_ctx *c, const ss_positions *p, const ss_tensor *x);

#endif
