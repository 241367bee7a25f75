/* transformer_block.h - BasicTransformerBlock: two attentions and a feed-forward part on a stream
 */
#ifndef SS_MODELS_TRANSFORMER_BLOCK_H
#define SS_MODELS_TRANSFORMER_BLOCK_H

#include "models/net/layers.h"

typedef struct {
    int heads, head;  /* their product is the width of the stream */
    int context;      /* width of the context */
    bool only_cross;  /* the first attention looks at the context too */
    bool double_self; /* the second looks at the stream, as the first */
    int positions;    /* tokens of a row know their place by sinusoids, up to so many; 0: not */
    bool upcast;      /* attention.h */
    bool over_frames; /* the tokens of a row are frames: so attention.h */
} ss_transformer_block_spec;

typedef struct ss_transformer_block ss_transformer_block;

/* "transformer_blocks.INDEX" */
ss_transformer_block *ss_transformer_block_new(ss_net *n, const ss_module *parent, int index,
                                               const ss_transformer_block_spec *spec);
/* Takes h [N][T][width], or [N][R][T][width], whose R rows do not see each other: frames in a
 * spatial block, positions in a temporal one. context [N][S][context] serves all rows of a sample,
 * or NULL; mask [N][S] or NULL. Returns the stream, of the same shape. */
ss_tensor *ss_transformer_block_run(ss_ctx *c, const ss_transformer_block *b, ss_tensor *h,
                                    const ss_tensor *context, const ss_tensor *mask);

#endif
