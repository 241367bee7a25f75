/* lora_alpha.h - what a file of LoRA says of its scales beside its tensors
 *
 *   adapter_config.json                     PEFT: {"lora_alpha": 6, "r": 4, "use_rslora": false,
 *                                           "alpha_pattern": {"to_k": 5}, "rank_pattern": {}}
 *   __metadata__ "lora_adapter_metadata"    diffusers: the same keys, "unet.lora_alpha"
 */
#ifndef SS_MODELS_LORA_ALPHA_H
#define SS_MODELS_LORA_ALPHA_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct {
    char *path;    /* of adapter_config.json, or NULL */
    json_t *root;  /* NULL: nothing is known */
    bool metadata; /* keys have the component before them */
} ss_lora_config;

/* Reads what there is beside, or in, a file; nothing is no error. */
ss_code ss_lora_config_read(const char *file, ss_lora_config *c, ss_err *e);
void ss_lora_config_release(ss_lora_config *c); /* {0} is fine */

/* The alpha and the rank of a module, "mid_block.attentions.0.proj_in", by their patterns; NaN
 * where they are not known. A pattern that is no end of a name is SS_UNSUPPORTED. */
ss_code ss_lora_config_numbers(const ss_lora_config *c, const char *component, const char *module,
                               double *alpha, double *rank, bool *by_root, ss_err *e);

#endif
