/* clip.h - CLIP's text encoders
 *
 *   h = token_embedding(ids) + position_embedding(0, 1, 2...)
 *   h = h + self_attn(layer_norm1(h))      each token sees itself and those before it
 *   h = h + mlp(layer_norm2(h))            mlp(z) = fc2(act(fc1(z)))    (for each layer)
 *   last = final_layer_norm(h)
 *   pooled = last at the end token         projected = text_projection(pooled)
 *
 * Source: Radford et al. 2021, as transformers writes it. Names of modules follow the checkpoint:
 * "text_model.encoder.layers.0" as everywhere before transformers 5, where those of a CLIPTextModel
 * begin with "encoder.layers.0".
 */
#ifndef SS_MODELS_CLIP_H
#define SS_MODELS_CLIP_H

#include "models/net/loader.h"
#include "models/net/text_states.h"
#include "models/text/clip_config.h"

typedef struct ss_clip ss_clip;

/* Builds the network in n; ss_net_finish says what is missing or misshapen. */
ss_clip *ss_clip_new(ss_net *n, const ss_clip_config *g);
/* Encodes prompts; false after an error, which the context has. */
bool ss_clip_embed(ss_ctx *c, const ss_clip *clip, const ss_text_tokens *t, ss_text_states *states);

#endif
