/* components.h - the networks of a pipeline, probed one after the other
 *
 *   rc = ss_components_pick("sdxl/", "text,denoiser,vae", "run.h5", &runs, &err);
 *   for (int i = 0; i < runs.n && rc == SS_OK; i++)
 *       rc = ss_components_probe(&opt, &runs, i, &err);    // run.text_encoder.h5, run.unet.h5 ...
 *   ss_components_release(&runs);
 *
 * Options are shared out: prompts go to the text encoders and, as their states, to the denoiser,
 * which also gets what else conditions it and the noise levels; the VAE gets pictures and what the
 * denoiser made. A glob (of modules, dumps, formats, interventions) goes to the components in
 * which it matches a module.
 */
#ifndef SS_PROBE_COMPONENTS_H
#define SS_PROBE_COMPONENTS_H

#include "probe/input.h"
#include "probe/probe.h"

typedef struct {
    char *component; /* its folder in the pipeline; NULL: MODEL's own, or the denoiser */
    ss_role role;
    char *output; /* the run file */
    ss_probe_summary summary;
} ss_component_run;

typedef struct {
    ss_component_run *list; /* in the order in which a sample passes them */
    int n;
} ss_component_runs;

/* Picks components of MODEL by a list (NULL: MODEL's own network, or the denoiser) of roles
 * ("text", "denoiser", "vae"), of folders
 * ("text_encoder_2"), or "all". One component is written to `output` itself, RUN.h5, several to
 * RUN.COMPONENT.h5. SS_USAGE if a name is not there, or its class cannot be opened; `all` leaves
 * such a one out with a note. */
ss_code ss_components_pick(const char *model, const char *list, const char *output,
                           ss_component_runs *runs, ss_err *e);
void ss_components_release(ss_component_runs *runs); /* {0} is fine */

/* Probes component i of the list; opt is of the whole command. */
ss_code ss_components_probe(const ss_probe_options *opt, ss_component_runs *runs, int i, ss_err *e);

#endif
