/* network.h - the network of a run: model, noise schedule and sizes, and what is done to it
 *
 *   ss_network_open(&opt, &k, &err);
 *   ss_network_bind(&k, ctx, hooks, &err);     // parameters to the device, changes into place
 *   ss_network_infer(&k, ctx, t, &cond, &err); // shapes, before anything is computed
 *   y = ss_model_forward(ctx, k.model, x, &t, &cond);
 *   ss_network_close(&k);                      // before the context goes
 */
#ifndef SS_PROBE_NETWORK_H
#define SS_PROBE_NETWORK_H

#include "base/sample_size.h"
#include "models/model.h"
#include "models/sampling/noising.h"
#include "models/structure.h"
#include "probe/changes.h"
#include "runfile/run_file.h"

/* In place of a format: timesteps keep their fraction. */
#define SS_TIMESTEP_EXACT "none"

typedef struct {
    const char *model;         /* folder */
    const char *variant;       /* of its weights (models/file/weight_files.h), or NULL */
    int height, width;         /* of the input; 0: the model's sample_size */
    const char *const *ignore; /* globs: tensors of the checkpoint that are not used */
    int n_ignore;
    const char *config;        /* config.json or its folder; NULL: the model's own */
    const char *scheduler;     /* scheduler_config.json or its folder; NULL: the model's own */
    const char *beta_schedule; /* these win over the file; NULL: its own, or the defaults */
    const char *beta_start, *beta_end;
    const char *prediction_type;
    const char *round_timestep; /* a format, or "none": not to a whole step; NULL: to a step */
    ss_changes_options changes;
} ss_network_options;

typedef struct {
    ss_model *model;
    ss_noising *noising;
    bool exact;     /* --round-timestep none */
    ss_format told; /* what timesteps are rounded to before the network is told */
    ss_changes changes;
    char sha256[65];     /* "" before ss_network_identify */
    ss_sample_size size; /* of what it takes */
    int out_channels;
} ss_network;

/* What of the options says which files are read. */
ss_model_options ss_network_files(const ss_network_options *opt);

/* opt is borrowed while the network lives. On failure *k stays as it was. A schedule that is
 * assumed is said in a note; whether it is needed is for the caller to know
 * (ss_noising_check). */
ss_code ss_network_open(const ss_network_options *opt, ss_network *k, ss_err *e);
void ss_network_close(ss_network *k); /* {0} is fine */

/* Notes which tensors of the checkpoint are ignored, where there are some. */
void ss_network_say_ignored(const ss_network *k);

/* Sets sha256. Reads every file of the model, so it comes after what is checked quickly. */
ss_code ss_network_identify(ss_network *k, ss_err *e);

/* hooks may be NULL. A change whose glob matches no module is SS_USAGE. */
ss_code ss_network_bind(ss_network *k, ss_ctx *c, const ss_hooks *hooks, ss_err *e);

/* One sample through the bound network without computing; hooks see it. SS_SHAPE where the
 * output is not of the input's size, but for its channels. */
ss_code ss_network_infer(const ss_network *k, ss_ctx *c, float t, const ss_condition *cond,
                         ss_err *e);

/* Samples in one forward pass, each of `rows` rows: as wanted, or where that is 0 by the input's
 * size; at most all. */
int ss_network_batch(const ss_network *k, int wanted, int rows, int all);

/* What the network is told at a noise level, and what it sees there, x = a x0 + s n; see
 * models/sampling/noising.h. */
bool ss_network_takes_sigma(const ss_network *k);
float ss_network_told(const ss_network *k, double sigma);
/* A timestep as the network is told it: rounded to the format of --round-timestep. */
float ss_network_rounded(const ss_network *k, float timestep);
ss_noise_level ss_network_level(const ss_network *k, double sigma);

/* Size of every parameter, for a run file; *list is the caller's to ss_free, its names are the
 * model's. Warns where some are inf or NaN. */
ss_code ss_network_measure(const ss_network *k, ss_ctx *c, ss_run_parameter **list, int *n,
                           ss_err *e);

/* Fills what a run file says of tool, network, changes and device; created [32] gets the time. */
void ss_network_describe(const ss_network *k, const ss_ctx *c, ss_run_spec *spec, char created[32]);
/* What lets the model's activations grow, for the same; spec has all its parameters or none. The
 * list is the caller's and outlives the call that the spec is for. */
ss_code ss_network_structure(const ss_model *m, ss_run_spec *spec, ss_structure **s, ss_err *e);

/* models/sampling/noising.h */
void ss_network_target(const ss_network *k, ss_noise_level level, const float *x0,
                       const float *noise, int64_t n, float *out);
void ss_network_denoised(const ss_network *k, ss_noise_level level, const float *x, const float *y,
                         int64_t n, float *out);

#endif
