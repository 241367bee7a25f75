/* lora.h - LoRA and its kin, merged into a checkpoint when it is opened
 *
 *   targets[i] = (ss_lora_target){"mid_block.attentions.0.proj_in.weight", stored};
 *   rc = ss_lora_merge(k, "style.safetensors:0.8", "denoiser", targets, n, &layers, &err);
 *
 * A file is matched as strictly as weights are: a layer that the network does not have, and a part
 * that cannot be merged, are errors; layers of other components of a pipeline are noted. Values
 * are computed when they are used (lora_values.h).
 *
 *   scale of a layer = SCALE alpha / rank, or SCALE alpha / sqrt(rank) with rsLoRA
 *
 * alpha is the layer's own tensor, or lora_alpha and alpha_pattern of adapter_config.json beside
 * adapter_model.safetensors (PEFT) or of the file's metadata (diffusers), else the rank.
 */
#ifndef SS_MODELS_LORA_H
#define SS_MODELS_LORA_H

#include "models/file/checkpoint_edit.h"

/* A weight of the network, and the tensor that it would be loaded from. */
typedef struct {
    const char *name;
    const ss_stored_tensor *stored;
} ss_lora_target;

/* A layer that was merged; all pointers live as long as the checkpoint. */
typedef struct {
    const char *weight; /* name of the weight */
    const char *file;
    const char *kind;    /* "LoRA", "DoRA", "LoHa", "LoKr", "full" */
    int64_t rank;        /* 0: none */
    double alpha, scale; /* alpha NaN: none */
    const ss_stored_tensor *before, *after;
} ss_lora_layer;

/* Layers of all files that were merged; {0} begins one. */
typedef struct {
    ss_lora_layer *list;
    size_t n, cap;
} ss_lora_layers;
void ss_lora_layers_release(ss_lora_layers *l);

/* Reads FILE or FILE:SCALE, where FILE may be a folder with adapter_model.safetensors or
 * pytorch_lora_weights.safetensors in it; *file is the caller's to ss_free. */
ss_code ss_lora_spec_read(const char *spec, char **file, double *scale, ss_err *e);

/* Merges the layers of a file that belong to the component ("denoiser", "text_encoder", ...) into
 * the list of k, which owns the file from then on, and adds them to layers. */
ss_code ss_lora_merge(ss_checkpoint *k, const char *spec, const char *component,
                      const ss_lora_target *targets, size_t n, ss_lora_layers *layers, ss_err *e);

#endif
