/* pipeline.h - the networks of a pipeline: text encoders, denoiser, VAE
 *
 *   ss_pipeline p;
 *   rc = ss_pipeline_find("sdxl/", &p, &err);
 *   for (int i = 0; i < p.n; i++)
 *       printf("%s: %s\n", p.list[i].name, p.list[i].class_name);
 *   ss_pipeline_release(&p);
 *
 * A folder of a pipeline has model_index.json, {"unet": ["diffusers", CLASS], ...}; where that is
 * missing, the folders that are there by the names of such pipelines count. A component is opened
 * by ss_model_open with its name (model.h).
 */
#ifndef SS_MODELS_PIPELINE_H
#define SS_MODELS_PIPELINE_H

#include "models/net/family.h"

typedef struct {
    char *name;       /* its folder in the pipeline: "text_encoder_2" */
    char *class_name; /* "CLIPTextModelWithProjection" */
    ss_role role;
    bool known; /* the class can be opened; else its role follows from its name */
} ss_component;

typedef struct {
    char *class_name;   /* of the pipeline, "StableDiffusionXLPipeline"; NULL where no file says */
    ss_component *list; /* in the order in which a sample passes them: text, denoiser, VAE */
    int n;
} ss_pipeline;

/* Lists the networks of MODEL, a folder or a single file (file/single.h). A model folder that is no
 * pipeline is one component, itself. A component without a config.json is left out. */
ss_code ss_pipeline_find(const char *model, ss_pipeline *p, ss_err *e);
void ss_pipeline_release(ss_pipeline *p); /* {0} is fine */

/* The component of that name, or NULL. */
const ss_component *ss_pipeline_named(const ss_pipeline *p, const char *name);

/* "text", "denoiser", "vae" */
const char *ss_role_name(ss_role r);
bool ss_role_parse(const char *name, ss_role *r);
/* The role of a component by the name of its folder; false for one that is no network of a role. */
bool ss_role_of_folder(const char *folder, ss_role *r);

#endif
