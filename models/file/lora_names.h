/* lora_names.h - names of tensors in files of LoRA and its kin
 *
 *   lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight, .alpha       sd-scripts
 *   lora_unet_input_blocks_1_1_proj_in.lora_down.weight                         its XL trainer
 *   unet.down_blocks.0.attentions.0.proj_in.lora.down.weight                    diffusers
 *   unet.down_blocks.0.attentions.0.proj_in.lora_A.weight                       diffusers, newer
 *   unet.down_blocks.0...attn1.processor.to_q_lora.down.weight                  diffusers, older
 *   base_model.model.down_blocks.0.attentions.0.proj_in.lora_A.weight           PEFT
 *   diffusion_model.input_blocks.1.1.proj_in.lora_up.weight                     ComfyUI
 *
 * A name is read as a component, a layer in diffusers' names with _ for each dot (sd-scripts does
 * not keep the difference), and a part of that layer.
 */
#ifndef SS_MODELS_LORA_NAMES_H
#define SS_MODELS_LORA_NAMES_H

#include "base/err.h"

typedef enum {
    SS_LORA_DOWN, /* A */
    SS_LORA_UP,   /* B */
    SS_LORA_MID,
    SS_LORA_ALPHA,
    SS_LORA_MAGNITUDE, /* DoRA */
    SS_LOHA_1A,
    SS_LOHA_1B,
    SS_LOHA_2A,
    SS_LOHA_2B,
    SS_LOKR_1,
    SS_LOKR_1A,
    SS_LOKR_1B,
    SS_LOKR_2,
    SS_LOKR_2A,
    SS_LOKR_2B,
    SS_LORA_DIFF, /* the whole change */
    SS_LORA_N_PARTS
} ss_lora_part;

typedef struct {
    const char *component; /* "denoiser", "text_encoder", "text_encoder_2", ..; "" where the name
                              does not say */
    char *layer;           /* "down_blocks_0_attentions_0_proj_in" */
    ss_lora_part part;
} ss_lora_name;

/* Reads a name; per_block is how many layers a block of the UNet has, its change of resolution
 * included, for names of latent diffusion. A kind of layer that cannot be merged is
 * SS_UNSUPPORTED, with its name. Release on success. */
ss_code ss_lora_name_read(const char *key, int per_block, ss_lora_name *n, ss_err *e);
void ss_lora_name_release(ss_lora_name *n); /* {0} is fine */

/* Copies a layer's name with _ for each dot; the caller's to ss_free; NULL: no memory. */
char *ss_lora_layer_name(const char *module);

#endif
