/* text_tokens.h - prompts inside of a text encoder: tokens are rows, but for attention
 *
 * Values are [n tokens][channels] (models/net/text_states.h).
 */
#ifndef SS_MODELS_TEXT_TOKENS_H
#define SS_MODELS_TEXT_TOKENS_H

#include "kernels/ops.h"
#include "models/net/text_states.h"

/* Checks that there are prompts of at most so many tokens (0: any number), each with a token that
 * is seen; of causal attention the first one is. SS_USAGE in the context otherwise; true when all
 * is well. */
bool ss_text_tokens_check(ss_ctx *c, const ss_text_tokens *t, int64_t most, bool causal);

/* Makes what is added to logits, [n][tokens]: 0, or ss_hidden_logit where a token is hidden. NULL
 * without a mask, and after an error. */
ss_tensor *ss_text_mask(ss_ctx *c, const ss_text_tokens *t);

/* Runs attention within each prompt: q, k, v [n tokens][C] -> the same shape. Takes q, k and v. */
ss_tensor *ss_text_attention(ss_ctx *c, const ss_text_tokens *t, ss_tensor *q, ss_tensor *k,
                             ss_tensor *v, const ss_tensor *mask, const ss_attention_opt *opt);

/* Returns x [n tokens][C] as [n][tokens][C]. */
ss_tensor *ss_text_prompts(ss_ctx *c, const ss_text_tokens *t, const ss_tensor *x);

#endif
