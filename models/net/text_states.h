/* text_states.h - what a text encoder takes and gives
 *
 * Tokens are rows: inside of a text encoder values are [tokens of all prompts][channels], so that
 * statistics and pictures of them are of each token. Only attention sees prompts apart.
 */
#ifndef SS_MODELS_TEXT_STATES_H
#define SS_MODELS_TEXT_STATES_H

#include "kernels/tensor.h"

/* Sizes of a text encoder, by its configuration. */
typedef struct {
    int64_t vocabulary;  /* ids are below it */
    int64_t most_tokens; /* of one prompt; 0: any number */
    int64_t width;       /* of a state */
    int64_t projected;   /* width of ss_text_states.projected; 0: there is none */
    bool pooled;         /* it has a pooled state */
} ss_text_info;

/* Token ids of n prompts of equal length, on the host; borrowed. */
typedef struct {
    const int64_t *ids; /* [n][tokens] */
    const float *mask;  /* [n][tokens]: 1 keeps a token, 0 hides it; NULL: all are seen */
    int64_t n, tokens;
} ss_text_tokens;

/* Every tensor is the caller's to ss_release. */
typedef struct {
    ss_tensor *last;        /* [n][tokens][width], after the final norm: last_hidden_state */
    ss_tensor *penultimate; /* [n][tokens][width], what the last layer is given, without the final
                               norm: hidden_states[-2]; where CLIP skip looks */
    ss_tensor *pooled;    /* [n][width]: the state of the end token after the final norm, or NULL */
    ss_tensor *projected; /* [n][projected]: text_embeds, or NULL */
} ss_text_states;

#endif
