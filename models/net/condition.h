/* condition.h - what a network is told beside picture and timestep, and what it needs */
#ifndef SS_MODELS_CONDITION_H
#define SS_MODELS_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

/* Host arrays, borrowed for the forward pass; NULL where there is none. N is the batch. */
typedef struct {
    const float *class_labels; /* [N][class_width]; class_width is 1 for an index or a number */
    int64_t class_width;       /* 0 means 1 */

    const float *encoder_hidden_states; /* [N][tokens][width] */
    int64_t tokens, width;
    const float *encoder_mask; /* [N][tokens]: 1 keeps a token, 0 hides it */

    const float *text_embeds; /* [N][text_width] */
    int64_t text_width;
    const float *time_ids; /* [N][n_time_ids] */
    int64_t n_time_ids;

    const float *timestep_cond; /* [N][timestep_cond_width], of the guidance (LCM) */
    int64_t timestep_cond_width;
} ss_condition;

/* What a network cannot run without, unless it says optional; 0 is nothing. */
typedef struct {
    bool text_optional;      /* without a text, its attention looks at the picture */
    int64_t guidance_width;  /* timestep_cond of this width; optional */
    int64_t text_width;      /* encoder_hidden_states of this width */
    int64_t class_width;     /* class labels of this width, */
    int64_t n_classes;       /*   which are indices below this number, if it is not 0 */
    int64_t added_width;     /* text_embeds and time_ids: text_width + n_time_ids * time_id_width */
    int64_t time_id_width;   /*   must be this (SDXL: 2816 = 1280 + 6 * 256) */
    int64_t table_classes;   /* class_embeddings.safetensors has this many classes, the last one */
    int64_t table_tokens;    /*   being the null class, of this many tokens of text_width */
    int64_t concat_channels; /* channels of the input behind those of the picture */
} ss_condition_needs;

#endif
