/* motion_adapter.h - a MotionAdapter of AnimateDiff, put onto a UNet2DConditionModel
 *
 *   rc = ss_motion_adapter_put(k, "motion-adapter-v1-5-3/", &json, &config, &err);
 *
 * The adapter has the motion modules of all levels, and nothing of the UNet. It is
 *
 *   a folder as diffusers writes it, config.json and diffusion_pytorch_model.safetensors
 *   a file of such weights, with that config.json beside it or not
 *   a file as AnimateDiff publishes it, mm_sd_v15_v2.ckpt, whose names differ:
 *
 *     temporal_transformer.norm                 norm
 *     ...attention_blocks.0, 1                  attn1, attn2
 *     ...norms.0, norms.1, ff_norm              norm1, norm2, norm3
 *     ...pos_encoder.pe                         made again when the network is
 *
 * A checkpoint of a whole network trained by AnimateDiff is such a file, too: only its motion
 * modules are taken, and a prefix "module." is dropped.
 *
 * Source of the names: convert_animatediff_checkpoint_to_diffusers, diffusers 0.42.
 */
#ifndef SS_MODELS_MOTION_ADAPTER_H
#define SS_MODELS_MOTION_ADAPTER_H

#include "base/json.h"
#include "models/file/checkpoint_edit.h"

/* Adds the adapter's tensors to k, which has those of the UNet by its own names and owns the
 * adapter's files from then on, and notes what was done. unet is the UNet's configuration; *config
 * becomes that of the two together (adapter_config.h), the caller's to json_decref. */
ss_code ss_motion_adapter_put(ss_checkpoint *k, const char *path, ss_json *unet, json_t **config,
                              ss_err *e);

#endif
