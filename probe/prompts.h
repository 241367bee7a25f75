/* prompts.h - texts as one text encoder sees them: tokens
 *
 *   rc = ss_prompts_tokenize(&opt, encoder, &prompts, &err);
 *   tokens = ss_prompts_of(&prompts, 0);
 *   ok = ss_model_embed(ctx, encoder, &tokens, &states);
 *   ss_text_states_release(&states);
 *   ss_prompts_release(&prompts);
 *
 * A pipeline's tokenizers lie beside its text encoders: tokenizer/ beside text_encoder/,
 * tokenizer_2/ beside text_encoder_2/. How a prompt is cut, padded and masked is as diffusers'
 * pipeline of that class does it (models/text/tokenizer.h).
 */
#ifndef SS_PROBE_PROMPTS_H
#define SS_PROBE_PROMPTS_H

#include "models/model.h"

/* Texts that the user gives; negative ones are those that guidance leads away from. */
typedef struct {
    const char *const *positive, *const *negative;
    int n_positive, n_negative;
    /* Folder of a tokenizer, or of a pipeline with some, whose text encoders also serve a denoiser
     * that is in no pipeline; NULL: the model's own. */
    const char *tokenizer;
} ss_prompt_options;

/* Prompts as one encoder sees them, all of equal length. */
typedef struct {
    char **texts; /* [n], the positive ones first */
    int n;
    int64_t tokens;
    int64_t *ids;  /* [n][tokens] */
    float *mask;   /* [n][tokens], 1 or 0; NULL: the encoder sees padding, too */
    char **pieces; /* [n][tokens] texts of the tokens, printable */
} ss_prompts;

/* Tokenizes all texts of opt, the positive ones first, for an encoder. SS_USAGE if there are none,
 * or no tokenizer; SS_SHAPE if the tokenizer has ids that the encoder has not. A note says how many
 * tokens were cut off. */
ss_code ss_prompts_tokenize(const ss_prompt_options *opt, const ss_model *encoder, ss_prompts *out,
                            ss_err *e);
void ss_prompts_release(ss_prompts *p); /* {0} is fine */

/* Tokens of prompt i, borrowed. */
ss_text_tokens ss_prompts_of(const ss_prompts *p, int i);
/* Text of a token, borrowed. */
const char *ss_prompts_piece(const ss_prompts *p, int prompt, int token);
/* SHA-256 of the tokens of prompt i. */
ss_code ss_prompts_sha256(const ss_prompts *p, int i, char hex[65], ss_err *e);

/* Frees all tensors of *s, and leaves {0}. */
void ss_text_states_release(ss_text_states *s);

#endif
