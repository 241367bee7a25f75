/* network.h - the network of a run: model, noise schedule and sizes, and what is done to it
 *
 *   ss_network_open(&opt, &k, &err);
 *   ss_network_bind(&k, ctx, hooks, &err);     // parameters to the device, changes into place
 *   ss_network_infer(&k, ctx, t, &cond, &err); // shapes, before anything is computed
 *   ... ss_model_forward(ctx, k.model, ...) ...
 *   ss_network_close(&k);                      // before the context goes
 */
#ifndef SS_PROBE_NETWORK_H
#define SS_PROBE_NETWORK_H

#include "models/model.h"
#include "models/schedule.h"
#include "probe/changes.h"
#include "probe/run_file.h"

typedef struct {
    const char *model;           /* folder */
    const char *variant;         /* of its weights (models/weight_files.h), or NULL */
    int height, width;           /* of the input; 0: the model's sample_size */
    const char *beta_schedule;   /* of a model without scheduler_config.json; NULL: its file's */
    const char *prediction_type; /* likewise */
    ss_changes_options changes;
} ss_network_options;

typedef struct {
    ss_model *model;
    ss_schedule *schedule;
    double sigma_data; /* of an EDM network (models/edm.h); 0: it is none */
    ss_changes changes;
    char sha256[65]; /* "" before ss_network_identify */
    int height, width;
    int channels, out_channels;
} ss_network;

/* opt is borrowed while the network lives. On failure *k stays as it was. */
ss_code ss_network_open(const ss_network_options *opt, ss_network *k, ss_err *e);
void ss_network_close(ss_network *k); /* {0} is fine */

/* Sets sha256. Reads every file of the model, so it comes after what is checked quickly. */
ss_code ss_network_identify(ss_network *k, ss_err *e);

/* hooks may be NULL. A change whose glob matches no module is SS_USAGE. */
ss_code ss_network_bind(ss_network *k, ss_ctx *c, const ss_hooks *hooks, ss_err *e);

/* One sample through the bound network without computing; hooks see it. SS_SHAPE where the
 * output is not as large as the input. */
ss_code ss_network_infer(const ss_network *k, ss_ctx *c, float t, const ss_condition *cond,
                         ss_err *e);

/* Samples in one forward pass, each of `rows` rows: as wanted, or where that is 0 by the input's
 * size; at most all. */
int ss_network_batch(const ss_network *k, int wanted, int rows, int all);

/* True for a network that has no timesteps but takes sigma, or a function of it: NCSN++, EDM. */
bool ss_network_takes_sigma(const ss_network *k);

/* What the network is told at a noise level: the timestep nearest in the logarithm, or sigma, or of
 * an EDM network ln(sigma) / 4. */
float ss_network_told(const ss_network *k, double sigma);

/* What it sees there, x = a x0 + s n: variance preserving; a = 1 (NCSN++); a = c_in (EDM). */
ss_noise_level ss_network_level(const ss_network *k, double sigma);

/* Size of every parameter, for a run file; *list is the caller's to ss_free, its names are the
 * model's. Warns where some are inf or NaN. */
ss_code ss_network_measure(const ss_network *k, ss_ctx *c, ss_run_parameter **list, int *n,
                           ss_err *e);

/* Fills what a run file says of tool, network, changes and device; created [32] gets the time. */
void ss_network_describe(const ss_network *k, const ss_ctx *c, ss_run_spec *spec, char created[32]);

/* What the network should have answered, so that its mean squared difference from the answer
 * is the training loss; and what its answer y to x says of the clean picture. As schedule.h
 * defines them for timestep models. A network that takes sigma itself (NCSN++) answers the
 * score of x = x0 + sigma n: the target is -n / sigma, and x0 is x + sigma^2 y (Song et al.
 * 2021). An EDM network answers F, as models/edm.h has it. n values; out may be one of the inputs.
 */
void ss_network_target(const ss_network *k, ss_noise_level level, const float *x0,
                       const float *noise, int64_t n, float *out);
void ss_network_denoised(const ss_network *k, ss_noise_level level, const float *x, const float *y,
                         int64_t n, float *out);

#endif
