/* network.h - the network of a run: model, noise schedule, sizes and changes
 *
 *   ss_network_open(&opt, &k, &err);
 *   ss_network_bind(&k, ctx, hooks, &err);     // parameters to the device, sets the changes
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

/* Value of round_timestep with which timesteps keep their fraction. */
#define SS_TIMESTEP_EXACT "none"

enum { SS_MAX_FRAMES = 4096 };

typedef struct {
    const char *model;     /* folder */
    const char *component; /* folder of the network in a pipeline; NULL: the denoiser */
    const char *variant;   /* variant of the weights (models/file/weight_files.h), or NULL */
    const char *key;       /* dict of weights in a pickle (models/file/tensor_groups.h), or NULL */
    const char *const *loras; /* FILE or FILE:SCALE (models/file/lora.h) */
    int n_loras;
    const char *adapter;       /* motion modules (models/video/motion_adapter.h), or NULL */
    const char *groupnorm;     /* how they see frames (models/net/motion.h); NULL: as configured */
    bool ema;                  /* the average beside the network (models/average_folder.h) */
    int height, width;         /* of the input; 0: the model's sample_size */
    int frames;                /* of a video; 0: the model's number */
    const char *extend;        /* of positions of frames (models/net/rotary.h), or NULL */
    const char *const *ignore; /* globs of tensors of the checkpoint that are not used */
    int n_ignore;
    const char *config;        /* config.json or its folder; NULL: the model's own */
    const char *scheduler;     /* scheduler_config.json or its folder; NULL: the model's own */
    const char *beta_schedule; /* overrides the file; NULL: its own, or the default */
    const char *beta_start, *beta_end; /* likewise */
    const char *prediction_type;
    const char *round_timestep; /* a format, or SS_TIMESTEP_EXACT; NULL: to a whole step */
    ss_changes_options changes;
} ss_network_options;

typedef struct {
    ss_model *model;
    const char *const *loras; /* the options', borrowed */
    int n_loras;
    const char *variant; /* of the weights, as asked for; borrowed from the options */
    ss_noising *noising; /* of a denoiser, else NULL */
    bool exact;          /* --round-timestep none */
    ss_format told;      /* format to which timesteps are rounded before the network is told */
    ss_changes changes;
    char sha256[65];     /* "" before ss_network_identify */
    ss_sample_size size; /* of a sample of its input, a VAE's picture; none of a text encoder */
    int out_channels;
} ss_network;

/* The options that decide which files are read. */
ss_model_options ss_network_files(const ss_network_options *opt);

/* Opens the model; opt is borrowed while the network lives. On failure *k stays as it was. A note
 * says which schedule is assumed, if no file has one; a caller that needs the schedule calls
 * ss_noising_check. */
ss_code ss_network_open(const ss_network_options *opt, ss_network *k, ss_err *e);
void ss_network_close(ss_network *k); /* {0} is fine */

/* Prints notes with what was done to the checkpoint's tensors, and with those that are ignored. */
void ss_network_say_ignored(const ss_network *k);

/* Sets sha256. It reads every file of the model, so quick checks come before it. */
ss_code ss_network_identify(ss_network *k, ss_err *e);

/* Binds the model to a context, with hooks, which may be NULL. A change whose glob matches no
 * module is SS_USAGE. */
ss_code ss_network_bind(ss_network *k, ss_ctx *c, const ss_hooks *hooks, ss_err *e);

/* Runs one sample through the bound network without computing; hooks see it. SS_SHAPE if the output
 * has another size than the input; it may have other channels. */
ss_code ss_network_infer(const ss_network *k, ss_ctx *c, float t, const ss_condition *cond,
                         ss_err *e);

/* Returns the number of samples in one forward pass, each of `rows` rows: `wanted`, or, if that is
 * 0, by the input's size; at most `all`. */
int ss_network_batch(const ss_network *k, int wanted, int rows, int all);

/* Returns what the network is told at a noise level, and what it sees there, x = a x0 + s n
 * (models/sampling/noising.h). */
bool ss_network_takes_sigma(const ss_network *k);
float ss_network_told(const ss_network *k, double sigma);
/* Returns a timestep as the network is told it, rounded to the format of --round-timestep. */
float ss_network_rounded(const ss_network *k, float timestep);
ss_noise_level ss_network_level(const ss_network *k, double sigma);

/* Measures all parameters, for a run file. The caller frees *list with ss_free; its names are
 * borrowed from the model. Warns if weights are inf or NaN. */
ss_code ss_network_measure(const ss_network *k, ss_ctx *c, ss_run_parameter **list, int *n,
                           ss_err *e);

/* Fills the attributes of the spec about tool, network, changes and device; created [32] is the
 * time. */
void ss_network_describe(const ss_network *k, const ss_ctx *c, ss_run_spec *spec, char created[32]);
/* Fills the structure of the spec, whose parameters are complete or empty. The caller frees *s when
 * the spec is no longer used. */
ss_code ss_network_structure(const ss_model *m, ss_run_spec *spec, ss_structure **s, ss_err *e);

/* See models/sampling/noising.h. */
void ss_network_target(const ss_network *k, ss_noise_level level, const float *x0,
                       const float *noise, int64_t n, float *out);
void ss_network_denoised(const ss_network *k, ss_noise_level level, const float *x, const float *y,
                         int64_t n, float *out);

#endif
