/* convert.h - weights of any kind that opens, written as diffusers has them
 *
 *   ss_convert_options opt = {.prediction = "v_prediction"};
 *   rc = ss_convert("sd21.safetensors", "sd21/", &opt, &t, &err);
 *
 *   DST/model_index.json                             a whole pipeline
 *   DST/unet/config.json
 *   DST/unet/diffusion_pytorch_model.safetensors     vae/ likewise
 *   DST/text_encoder/model.safetensors
 *   DST/scheduler/scheduler_config.json
 *
 * Tensors keep their bytes and dtypes, unless they are asked for in half precision; those that are
 * made from others when they are used (a LoRA merged, 8 bits with scales) are written as made. One
 * tensor is in memory at a time.
 */
#ifndef SS_MODELS_CONVERT_H
#define SS_MODELS_CONVERT_H

#include "base/table.h"
#include "models/model.h"

typedef struct {
    ss_model_options model; /* places.component: that network alone */
    const char *prediction; /* of a denoiser whose file does not say it: "v_prediction" */
    const char *tokenizer; /* a folder with tokenizer files, or a pipeline that has them; or NULL */
    bool half;             /* F32 becomes F16 (models/file/half_tensor.h) */
    bool replace;          /* a DST that is there */
} ss_convert_options;

/* Converts SRC, a model, a pipeline or a single file, to DST: a file if its name ends in
 * .safetensors (one network), else a folder. DST appears whole or not at all. A pipeline's folder
 * keeps its other parts. Fills *t, a fresh table, with component, class, tensors, megabytes, file.
 * SS_USAGE where a file does not say what its denoiser predicts and opt does not either, SS_IO
 * for a DST that is there. */
ss_code ss_convert(const char *src, const char *dst, const ss_convert_options *opt, ss_table *t,
                   ss_err *e);

#endif
