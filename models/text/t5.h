/* t5.h - the encoders of T5 and UMT5
 *
 *   h = embed_tokens(ids)
 *   h = h + SelfAttention(layer_norm(h))     logits q.k + bias(place of key - place of query)
 *   h = h + DenseReluDense(layer_norm(h))    wo(act(wi(z))), gated: wo(act(wi_0(z)) wi_1(z))
 *   last = final_layer_norm(h)               (the two for each block)
 *
 * layer_norm divides by the root of the mean square and does not subtract a mean. T5's blocks share
 * the first one's bias, UMT5's have one each.
 *
 * In half precision as transformers computes it: a sum is as wide as its widest operand, so that
 * the stream h stays fp32 from the first wo on that is kept in fp32 (ss_module.promotes). Where
 * h is fp16 and has an inf after attention or feed-forward, it is limited to +-64512.
 *
 * Sources: Raffel et al. 2020; Shazeer 2020 (gates); Chung et al. 2023 (UMT5).
 */
#ifndef SS_MODELS_T5_H
#define SS_MODELS_T5_H

#include "models/net/loader.h"
#include "models/net/text_states.h"
#include "models/text/t5_config.h"

typedef struct ss_t5 ss_t5;

/* Builds the network in n; ss_net_finish says what is missing or misshapen. A decoder in the
 * checkpoint is left out. */
ss_t5 *ss_t5_new(ss_net *n, const ss_t5_config *g);
/* Encodes prompts; false after an error, which the context has. */
bool ss_t5_embed(ss_ctx *c, const ss_t5 *t5, const ss_text_tokens *t, ss_text_states *states);

/* Returns the bucket of a distance, the place of a key less that of its query: half of the buckets
 * are for keys after the query; half of each half for one distance each, the others for logarithmic
 * ranges up to `most`. */
int64_t ss_t5_bucket(int64_t distance, int buckets, int most);

#endif
