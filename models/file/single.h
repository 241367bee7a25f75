/* single.h - components of a pipeline in one file of weights
 *
 * Trainers and their communities exchange Stable Diffusion as one file, in the names of the code
 * base that it came from, without a configuration:
 *
 *   model.diffusion_model.input_blocks.0.0.weight                     the UNet
 *   model_ema.diffusion_modelinput_blocks00weight                     its averaged weights
 *   first_stage_model.decoder.conv_in.weight                          the VAE
 *   cond_stage_model.transformer.text_model.embeddings...             CLIP (1.x)
 *   cond_stage_model.model.transformer.resblocks.0...                 OpenCLIP (2.x)
 *   conditioner.embedders.0.transformer.text_model.embeddings...      CLIP (XL)
 *   conditioner.embedders.1.model.transformer.resblocks.0...          OpenCLIP (XL; 0 in the
 * refiner)
 *
 * One component is taken out: its tensors get diffusers' names (single_tables.c), and a config.json
 * is inferred (single_infer.h). A file with one network in diffusers' own names, but no config.json
 * beside it, is such a file, too.
 *
 *   ss_single s;
 *   ss_single_options opt = {.component = "vae"};
 *   rc = ss_single_take(k, &opt, &s, &err);   // k now has the VAE alone
 *   rc = ss_json_wrap(&json, ss_checkpoint_name(k), s.config, &err);
 *   ss_single_release(&s);
 */
#ifndef SS_MODELS_SINGLE_H
#define SS_MODELS_SINGLE_H

#include "models/file/single_infer.h"

enum { SS_SINGLE_MAX = 4 }; /* components of one file */

typedef struct {
    const char *name;   /* as pipelines call it: "unet", "vae", "text_encoder", "text_encoder_2" */
    const char *class;  /* _class_name, or architectures of transformers */
    const char *prefix; /* of its tensors in the file; "" for none */
    bool translated;    /* it has other names than diffusers gives */
} ss_single_component;

/* Lists the components that are known by their tensors. */
int ss_single_detect(const ss_checkpoint *k, ss_single_component list[SS_SINGLE_MAX]);
/* True where names or the number of components show that the file is no diffusers folder's, so that
 * a config.json beside it is not meant. */
bool ss_single_is_translated(const ss_checkpoint *k);

/* A component that was taken out; release with ss_single_release. */
typedef struct {
    const char *name; /* as in ss_single_component */
    json_t *config;   /* as config.json would have it */
    /* scheduler_config.json, as far as is known; NULL for all but a denoiser in a file with
     * translated names. */
    json_t *scheduler;
    /* Why the file does not say what the network predicts, for the error of those who need it; ""
     * where prediction_type is known, or is assumed as ever. */
    char ask_prediction[256];
    ss_sd_version version;
    bool has_vae; /* a VAE is in the file, too, or its names are those of latent diffusion */
    ss_single_inferred *rows; /* each value with its reason */
    size_t n_rows;
} ss_single;

typedef struct {
    const char *component; /* NULL: the denoiser, or the only one that there is */
    bool ema;              /* the averaged weights of a denoiser */
    bool has_config;       /* nothing is inferred: names are translated, and *s stays empty */
} ss_single_options;

/* Reduces the checkpoint to a component. SS_USAGE where it, or the average, is not there,
 * SS_UNSUPPORTED where the file's names are of a kind that is not known, or its shapes do not say
 * all. The checkpoint's notes tell what was done. */
ss_code ss_single_take(ss_checkpoint *k, const ss_single_options *opt, ss_single *s, ss_err *e);
void ss_single_release(ss_single *s); /* {0} is fine */

/* For single.c: sets s->scheduler and s->ask_prediction of a denoiser, and their reasons. whole has
 * all tensors of the file, sorted by name, as they were. */
ss_code ss_single_schedule(ss_inference *x, ss_single *s, const ss_stored_tensor *const *whole,
                           size_t n);

#endif
