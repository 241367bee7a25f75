/* prompt_states.h - texts as a denoiser sees them: the states of the pipeline's text encoders
 *
 * Which state of which encoder is what diffusers' pipelines give: the last one; of a denoiser that
 * is also told a pooled text (SDXL) the penultimate ones of all encoders, side by side, and the
 * projected state of the last encoder that has one.
 */
#ifndef SS_PROBE_PROMPT_STATES_H
#define SS_PROBE_PROMPT_STATES_H

#include "kernels/context.h"
#include "models/file/safetensors.h"
#include "probe/prompts.h"

typedef struct {
    ss_array states;     /* [n][tokens][width], the positive texts first */
    ss_array pooled;     /* [n][width], or rank 0 */
    bool zeros_for_none; /* the pipeline takes zeros where no negative text is given (SDXL) */
} ss_prompt_states;

/* A denoiser as far as prompts matter. */
typedef struct {
    const ss_condition_needs *needs;
    const char *name;         /* for messages */
    const char *pipeline;     /* that it is in, or NULL: opt->tokenizer may name another */
    const char *variant;      /* of the weights, where an encoder has such; or NULL */
    const char *const *loras; /* merged into the encoders, as far as they have parts for them */
    int n_loras;
} ss_prompt_reader;

/* Encodes all texts of opt for a denoiser, in fp32 on the device. SS_USAGE if the denoiser takes no
 * text, or if there are no encoders that make states of its width; the message says what there is.
 * Release on success. */
ss_code ss_prompt_states_make(const ss_prompt_options *opt, const ss_prompt_reader *denoiser,
                              const ss_ctx_options *device, ss_prompt_states *out, ss_err *e);
void ss_prompt_states_release(ss_prompt_states *s); /* {0} is fine */

#endif
