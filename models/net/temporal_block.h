/* temporal_block.h - TemporalBasicTransformerBlock: a transformer block over the frames of each
 * position */
#ifndef SS_MODELS_TEMPORAL_BLOCK_H
#define SS_MODELS_TEMPORAL_BLOCK_H

#include "models/net/layers.h"

typedef struct ss_temporal_block ss_temporal_block;

/* Makes "temporal_transformer_blocks.INDEX"; heads times head is the width of the stream, context
 * that of the text. */
ss_temporal_block *ss_temporal_block_new(ss_net *n, const ss_module *parent, int index, int heads,
                                         int head, int context);
/* h [N][F][H W][width], context [N][S][context] -> [N][F][H W][width] */
ss_tensor *ss_temporal_block_run(ss_ctx *c, const ss_temporal_block *b, const ss_tensor *h,
                                 const ss_tensor *context);

#endif
