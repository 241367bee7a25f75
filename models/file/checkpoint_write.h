/* checkpoint_write.h - a model folder as diffusers writes and loads it
 *
 *   DIR/config.json                            options of the network, _class_name among them
 *   DIR/diffusion_pytorch_model.safetensors    the weights, metadata {"format": "pt"}
 *   DIR/scheduler_config.json                  how it was noised, where that is known
 *
 *   from diffusers import UNet2DModel, DDPMScheduler
 *   unet, schedule = UNet2DModel.from_pretrained(DIR), DDPMScheduler.from_pretrained(DIR)
 */
#ifndef SS_MODELS_CHECKPOINT_WRITE_H
#define SS_MODELS_CHECKPOINT_WRITE_H

#include "models/file/safetensors_write.h"

#include <jansson.h>

typedef struct {
    const json_t *config;    /* an object with _class_name; all fields are borrowed */
    const json_t *scheduler; /* an object, or NULL */
    const ss_st_item *weights;
    size_t n_weights;
} ss_checkpoint_parts;

/* Writes the folder whole or not at all. With replace, a folder that is there and has a config.json
 * is replaced; without it, one that is there is SS_IO. */
ss_code ss_checkpoint_write(const char *dir, const ss_checkpoint_parts *parts, bool replace,
                            ss_err *e);

/* Writes the same three files into a folder that exists, one after the other, for callers that fill
 * a larger folder (outdir.h) of which this is a part. */
ss_code ss_checkpoint_write_into(const char *dir, const ss_checkpoint_parts *parts, ss_err *e);

#endif
