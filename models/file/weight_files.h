/* weight_files.h - which weights are in a model folder, and which of them are meant
 *
 * diffusers' save_pretrained has written weights under these names, V being a variant ("fp16"):
 *
 *   diffusion_pytorch_model[.V].safetensors               one file
 *   diffusion_pytorch_model.safetensors.index[.V].json    the index of several, now and in mid 2024
 *   diffusion_pytorch_model.safetensors.V.index.json      likewise, in early 2024
 *   diffusion_pytorch_model[.V]-00001-of-00002.safetensors, diffusion_pytorch_model-...[.V]...
 *                                                         shards, of no use without an index
 *
 * and in place of .safetensors the endings of other formats (weight_formats.h), of which the first
 * that is there is preferred. The stem "model" is transformers' and accelerate's, "pytorch_model"
 * that of pickles. accelerate numbers the models of one training: model.safetensors,
 * model_1.safetensors. Another stem, as in unet.fp16.safetensors, is taken if there is no doubt.
 * A folder of torch.distributed.checkpoint has .metadata, or shards of its own (dcp.h).
 * Pickles that a training leaves beside its model (optimizer.bin, random_states_0.pkl) are not its
 * weights.
 */
#ifndef SS_MODELS_WEIGHT_FILES_H
#define SS_MODELS_WEIGHT_FILES_H

#include "models/file/weight_format.h"

typedef struct {
    const ss_weight_format *format; /* format of the file, or of the shards */
    char *path;
    char *variant; /* "" for none */
    bool index;    /* it is an index of several files */
    int stem;      /* 0: named as above; 1, 2: "model", "pytorch_model"; 3: otherwise */
    char *beside;  /* "model_1.safetensors": other models of the same training, or NULL */
    int ending;    /* which ending of the format the name has */
    char *note;    /* what the user ought to know about the choice, or NULL */
} ss_weight_file;

/* Finds the weights of a variant; NULL means those without a variant, or the only ones that there
 * are. An error lists what is there and says what to do. Release on success. */
ss_code ss_weight_file_find(const char *folder, const char *variant, ss_weight_file *w, ss_err *e);
/* Takes a file of weights, or an index of several, that was named itself. If its name has no
 * known ending, the preferred format is assumed. */
ss_code ss_weight_file_take(const char *path, ss_weight_file *w, ss_err *e);
/* True for a path whose name is that of weights, or of an index. */
bool ss_weight_file_named(const char *path);
void ss_weight_file_release(ss_weight_file *w); /* {0} is fine */

#endif
