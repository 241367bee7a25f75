/* model.h - a model: opened from a folder, inspected, run
 *
 *   ss_model *m;
 *   rc = ss_model_open("sd15/", NULL, &m, &err);      // reads headers, needs no device
 *   printf("%s\n", ss_model_about(m)->family);         // also ss_model_modules, _weights
 *   rc = ss_model_bind(m, ctx, &err);                 // parameters go to the device
 *   y = ss_model_forward(ctx, m, x, t, &condition);   // [N,H,W,in] -> [N,H,W,out]
 *   ss_model_close(m);                                // before ss_ctx_free(ctx)
 *
 * Weights stay in the mapped file: opening touches no more than the headers.
 */
#ifndef SS_MODELS_MODEL_H
#define SS_MODELS_MODEL_H

#include "base/json.h"
#include "models/file/lora.h"
#include "models/file/single_infer.h"
#include "models/model_paths.h"
#include "models/net/family.h"

typedef struct ss_model ss_model;

typedef struct {
    const char *const *ignore; /* globs of tensors of the checkpoint that need not be used */
    int n_ignore;
    ss_checkpoint_options weights; /* which of several */
    ss_model_places places;        /* files that are not where they are looked for */
    const char *const *loras; /* FILE or FILE:SCALE, merged in this order (models/file/lora.h) */
    int n_loras;
    const char *adapter;   /* motion modules for a UNet2DConditionModel (video/motion_adapter.h) */
    const char *groupnorm; /* of motion modules (net/motion.h); NULL: as the config says */
} ss_model_options;

/* Opens a model folder, a pipeline folder, the folder of the network in one, or a file of weights
 * (model_paths.h); of a single file the component that places names (file/single.h). Loading is
 * strict: every tensor of the checkpoint is used unless opt ignores it, every tensor that the
 * config asks for is there, and an option of the config that is not supported is an error that
 * names it. opt may be NULL. */
ss_code ss_model_open(const char *model, const ss_model_options *opt, ss_model **m, ss_err *e);
/* Makes a network that was never trained from a config.json in memory, which stays shared with its
 * owner; name is what messages call it. It has no checkpoint: ss_model_checkpoint gives NULL and
 * ss_model_sha256 SS_USAGE. */
ss_code ss_model_create(const json_t *config, const char *name, const ss_init *init, ss_model **m,
                        ss_err *e);
void ss_model_close(ss_model *m); /* NULL is fine */

typedef struct {
    const char *path;    /* as given */
    const char *folder;  /* where the weights are; NULL: in memory only */
    const char *weights; /* the same, or the file of weights that was named */
    const char *config;  /* path of config.json; NULL where its content was inferred */
    const char *family;  /* class that it names */
    ss_role role;
    const char *pipeline;  /* folder of the pipeline that it is in, or the single file, or NULL */
    const char *component; /* folder of the network in its pipeline; "" if it is alone */
    const char
        *format; /* format of the weights, "safetensors"; "untrained" where there is no file */
    const char *scheduler; /* path of scheduler_config.json, or NULL */
    /* Its content as inferred from a single file, or NULL, and why it lacks what the network
     * predicts, or "" (noising.h). */
    const json_t *inferred_scheduler;
    const char *ask_prediction;
    ss_network_info net;  /* what the network takes and gives (net/family.h) */
    int64_t n_parameters; /* number of values */
    uint64_t weight_bytes;
    bool has_vae; /* a VAE is beside it in the pipeline, so its pictures are latents */
    const char
        *weight_notes;   /* what was done to the checkpoint's tensors, "...; ..."; "" for nothing */
    const char *ignored; /* tensors of the checkpoint that are not used, "a, b"; "" for none */
    int n_ignored;
} ss_model_info;

const ss_model_info *ss_model_about(const ss_model *m); /* borrowed, as everything below */

/* The JSON of config.json, for display. */
const json_t *ss_model_config(const ss_model *m);
const ss_checkpoint *ss_model_checkpoint(const ss_model *m);
/* Lists the values of the configuration that were inferred, with their reasons; none where there is
 * a config.json. */
const ss_single_inferred *ss_model_inferred(const ss_model *m, size_t *n);
/* Hashes every file of the model (ss_checkpoint_sha256), so it takes as long as the disk does. */
ss_code ss_model_sha256(const ss_model *m, char hex[65], ss_err *e);

/* Both lists are in the order of definition. */
const ss_module *const *ss_model_modules(const ss_model *m, int *n);
ss_weight *const *ss_model_weights(const ss_model *m, int *n);
/* The layers of LoRA files that were merged; empty where there are none. */
const ss_lora_layers *ss_model_lora_layers(const ss_model *m);
/* Adds what lets the network's activations grow; structure.h makes the whole list. */
void ss_model_structure(const ss_model *m, ss_structure_list *l);

/* Reads class k of class_embeddings.safetensors as encoder_hidden_states of one sample, out
 * [table_tokens][text_width]; k < 0 is the null class. A model without that table, or without that
 * class in it, is SS_USAGE. */
ss_code ss_model_class_embedding(const ss_model *m, int64_t k, float *out, ss_err *e);

/* Sets how positions of frames are extended beyond the trained number, from the next forward pass
 * on. SS_USAGE where the network has none that can be; SS_EXTEND_NONE is always fine. */
ss_code ss_model_extend(ss_model *m, const ss_extension *x, ss_err *e);

/* Makes the parameters' tensors in a context. A model is bound to one context at a time; binding it
 * again moves the parameters. */
ss_code ss_model_bind(ss_model *m, ss_ctx *c, ss_err *e);

/* Runs a denoiser: x [N,H,W,in_channels] (videos [N,F,H,W,in_channels]) and timesteps [N] on the
 * host, fractions allowed, give the same shape with out_channels, the caller's. cond may be NULL.
 * NULL after an error, which the context has. */
ss_tensor *ss_model_forward(ss_ctx *c, const ss_model *m, const ss_tensor *x,
                            const float *timesteps, const ss_condition *cond);

/* The calls of the other roles (net/family.h): of an autoencoder, and of a text encoder. */
ss_tensor *ss_model_encode(ss_ctx *c, const ss_model *m, const ss_tensor *x);
ss_tensor *ss_model_decode(ss_ctx *c, const ss_model *m, const ss_tensor *z);
ss_tensor *ss_model_reconstruct(ss_ctx *c, const ss_model *m, const ss_tensor *x,
                                ss_latent_draw *draw, void *self);
bool ss_model_embed(ss_ctx *c, const ss_model *m, const ss_text_tokens *tokens,
                    ss_text_states *states);

#endif
