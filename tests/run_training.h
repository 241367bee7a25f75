/* run_training.h - the run file of a made training, whose every number is known
 *
 * At step k, of a sample with noise level sigma, largest |x| of the output:
 *
 *   conv_in       4                        does not grow
 *   mid_block     k^0.5 sigma^0.1
 *   up_blocks.0   0.2 k sigma^0.25         over 448 (fp8-e4m3) from step 2000 on, at sigma 10
 *   up_blocks.1   4, and 7 values that are inf at sigma 10 from step 2000 on
 *
 * RMS is half of it. The samples of each step have sigma 10, 0.1 and 1. Step 500 was skipped, so
 * nothing was updated. The staleness of up_blocks.0.weight is 2.5 at step 1000, 3 at step 2000.
 */
#ifndef SS_TESTS_RUN_TRAINING_H
#define SS_TESTS_RUN_TRAINING_H

#include "runfile/run_file.h"

#include <math.h>

enum { TRN_STEPS = 6, TRN_SAMPLES = 3, TRN_MODULES = 4, TRN_PARAMETERS = 2, TRN_BINS = 3 };

static const int64_t trn_steps[] = {1, 250, 500, 1000, 2000, 4000};
static const double trn_sigmas[] = {10, 0.1, 1};
static const double trn_bins[] = {0.1, 1, 10};
static const ss_run_module trn_modules[] = {
    {"conv_in", "Conv2d", true},
    {"mid_block", "UNetMidBlock2D", true},
    {"up_blocks.0", "UpBlock2D", true},
    {"up_blocks.1", "UpBlock2D", true},
};
static const ss_run_parameter trn_parameters[] = {{"conv_in.weight", 2.5f, 0.5f, 0},
                                                  {"up_blocks.0.weight", 1, 0.25f, 0}};

static inline ss_run_spec trn_spec(void)
{
    static const char *const input[] = {"training"};

    return (ss_run_spec){
        .histogram = true,
        .tool = "sigmascope test",
        .command = "sigmascope train c.json",
        .model_path = "model.json",
        .family = "UNet2DModel",
        .precision = "fp32",
        .plan = "{\"steps\": 4000}",
        .modules = trn_modules,
        .n_modules = TRN_MODULES,
        .inputs = input,
        .n_inputs = 1,
        .steps = trn_steps,
        .n_sigmas = TRN_STEPS,
        .n_samples = TRN_SAMPLES,
        .bins = trn_bins,
        .n_bins = TRN_BINS,
        .parameters = trn_parameters,
        .n_parameters = TRN_PARAMETERS,
    };
}

static inline double trn_absmax(int module, int step, int sample)
{
    const double k = (double)trn_steps[step], sigma = trn_sigmas[sample];

    return module == 1 ? sqrt(k) * pow(sigma, 0.1) : module == 2 ? 0.2 * k * pow(sigma, 0.25) : 4;
}

static inline bool trn_skipped(int step)
{
    return trn_steps[step] == 500;
}

static inline ss_run_step trn_step(int step)
{
    return (ss_run_step){.loss = 1 / (1 + (float)step),
                         .penalty = NAN,
                         .norm = 2 + (float)step,
                         .rate = 0.001f,
                         .scale = 1024,
                         .skipped = trn_skipped(step),
                         .skips = (float)(trn_steps[step] / 200)};
}

/* The highest bin is known from the second step on. */
static inline float trn_bin(int bin, int step)
{
    return bin == 2 && step == 0 ? NAN : (float)bin + 1 / (1 + (float)step);
}

static inline ss_run_update trn_update(int parameter, int step)
{
    const int64_t k = trn_steps[step];

    return (ss_run_update){
        .gradient_rms = (float)(parameter + 1) * (float)k,
        .update_rms = 0.01f * (float)(parameter + 1),
        .weight_rms = 0.5f,
        .staleness = parameter == 0 ? 1
                     : k == 1000    ? 2.5f
                     : k == 2000    ? 3
                                    : 1.5f,
    };
}

static inline ss_code trn_submit(ss_run_writer *w, int step, ss_err *e)
{
    const ss_run_step did = trn_step(step);
    ss_run_column *col;
    ss_code rc = ss_run_column_new(w, step, &col, e);

    if (rc != SS_OK)
        return rc;
    for (int n = 0; n < TRN_SAMPLES; n++) {
        for (int m = 0; m < TRN_MODULES; m++) {
            const float y = (float)trn_absmax(m, step, n);
            const bool bad = m == 3 && n == 0 && trn_steps[step] >= 2000;
            const ss_stats st = {
                .count = 100, .absmax = y, .max = y, .rms = y / 2, .nonfinite = bad ? 7 : 0};

            ss_run_put_stats(col, m, SS_PORT_OUTPUT, 0, n, &st);
        }
        ss_run_put_level(col, n, trn_sigmas[n], 0.5 + n);
    }
    ss_run_put_step(col, &did);
    for (int b = 0; b < TRN_BINS; b++)
        ss_run_put_bin(col, b, trn_bin(b, step));
    for (int p = 0; p < TRN_PARAMETERS && !trn_skipped(step); p++) {
        const ss_run_update u = trn_update(p, step);

        ss_run_put_update(col, p, &u);
    }
    return ss_run_submit(w, col, e);
}

/* Steps from..to-1 that are not done, or all of them. */
static inline ss_code trn_continue(ss_run_writer *w, int from, int to, bool again, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int s = from; s < to && rc == SS_OK; s++) {
        if (again || !ss_run_is_done(w, s))
            rc = trn_submit(w, s, e);
    }
    return rc;
}

/* The first n steps; all of them finish the file. */
static inline ss_code trn_write(const char *path, int n, ss_err *e)
{
    const ss_run_spec spec = trn_spec();
    ss_run_writer *w;
    ss_code rc = ss_run_create(path, &spec, true, &w, e);

    if (rc != SS_OK)
        return rc;
    rc = trn_continue(w, 0, n, false, e);
    if (rc == SS_OK && n == TRN_STEPS)
        return ss_run_finish(w, e);
    ss_run_abandon(w);
    return rc;
}

#endif
