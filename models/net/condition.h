/* condition.h - what a network is conditioned on beside picture and timestep */
#ifndef SS_MODELS_CONDITION_H
#define SS_MODELS_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

/* The condition of a forward pass of N samples: arrays on the host, borrowed for the pass; NULL
 * where there is none. */
typedef struct {
    const float *class_labels; /* [N][class_width]: vectors, or indices or numbers of width 1 */
    int64_t class_width;       /* 0 stands for 1 */

    const float *encoder_hidden_states; /* [N][tokens][width] */
    int64_t tokens, width;
    const float *encoder_mask; /* [N][tokens]: 1 keeps a token, 0 hides it */

    const float *text_embeds; /* [N][text_width] */
    int64_t text_width;
    const float *time_ids; /* [N][n_time_ids] */
    int64_t n_time_ids;

    const float *timestep_cond; /* [N][timestep_cond_width]: the guidance scale, embedded (LCM) */
    int64_t timestep_cond_width;
} ss_condition;

/* The conditions that a network needs, unless one says that it is optional; 0: it takes none. */
typedef struct {
    bool text_optional;     /* without a text, attention looks at the picture */
    int64_t guidance_width; /* width of timestep_cond; optional */
    int64_t text_width;     /* width of encoder_hidden_states */
    int64_t class_width;    /* width of class labels */
    int64_t n_classes;      /* labels are indices below this number; 0: they are not */
    int64_t added_width;    /* text_width + n_time_ids * time_id_width must be this (SDXL: 2816) */
    int64_t time_id_width;  /* width of each embedded time_id (SDXL: 256) */
    bool numbers_only; /* added_width is that of the time_ids alone, without text_embeds (SVD) */
    int64_t table_classes; /* classes in class_embeddings.safetensors; the last is the null class */
    int64_t table_tokens;  /* tokens of each of these, of text_width */
    int64_t concat_channels;    /* input channels after those of the picture */
    int64_t reference_channels; /* so many of these are a reference frame, and the one after them is
                                   a mask, 1 where there is such a frame; zeros elsewhere */
} ss_condition_needs;

#endif
