/* run_synth.h - a small run file whose every number is a known function of its place
 *
 * Each stored value is val(set, a, b, c, d, ...) so that a reader of any kind can be
 * checked against the formula, and two ways of writing must agree byte for byte.
 */
#ifndef SS_TESTS_RUN_SYNTH_H
#define SS_TESTS_RUN_SYNTH_H

#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SYN_SIGMAS = 5, SYN_INPUTS = 2, SYN_SAMPLES = 3, SYN_X = 4 * 6 * 3, SYN_ACT = 4 * 6 * 5 };

static const ss_run_module syn_modules[] = {
    {"", "UNet2DModel", false},
    {"conv_in", "Conv2d", true},
    {"down_blocks.0", "DownBlock2D", true},
    {"mid_block", "UNetMidBlock2D", true},
    {"up_blocks.0/odd%\n", "UpBlock2D", true},
};
enum { SYN_MODULES = sizeof syn_modules / sizeof *syn_modules };

static const double syn_sigmas[] = {0.02, 0.5, 0.5, 10, 80};
static const float syn_timesteps[] = {1, 300, 301, 800, 999};
static const char *const syn_inputs[] = {"images:photos", "noise:white"};
static const char *const syn_pictures[] = {"a.png", "b.png", "c.png", "", "", ""};
static const ss_run_layer syn_layers[] = {{"mid_block.attentions.0", 4, 24}, {"up.attn", 2, 6}};
static const ss_run_parameter syn_parameters[] = {{"conv_in.weight", 2.5f, 0.5f, 0},
                                                  {"conv_in.bias", 0.25f, 0.125f, 3}};
static const ss_run_channels syn_channels[] = {{"conv_in", 5}, {"up_blocks.0/odd%\n", 7}};
static const ss_run_dump syn_dumps[] = {
    {"conv_in", {.rank = 3, .dim = {4, 6, 5}}, false},
    {"mid_block", {.rank = 3, .dim = {2, 3, 8}}, true},
};

static inline ss_run_spec syn_spec(void)
{
    return (ss_run_spec){
        .histogram = true,
        .tool = "sigmascope test",
        .command = "sigmascope probe m -o r.h5",
        .model_path = "m",
        .family = "UNet2DModel",
        .model_sha256 = "00",
        .device = "cpu",
        .precision = "fp32",
        .prediction_type = "epsilon",
        .plan = "{\"sigmas\": [0.02, 0.5, 10], \"inputs\": [\"noise:white\"], \"seed\": 7}",
        .threads = 2,
        .seed = 7,
        .modules = syn_modules,
        .n_modules = SYN_MODULES,
        .inputs = syn_inputs,
        .n_inputs = SYN_INPUTS,
        .pictures = syn_pictures,
        .sigmas = syn_sigmas,
        .timesteps = syn_timesteps,
        .n_sigmas = SYN_SIGMAS,
        .n_samples = SYN_SAMPLES,
        .layers = syn_layers,
        .n_layers = 2,
        .parameters = syn_parameters,
        .n_parameters = 2,
        .x = {.rank = 3, .dim = {4, 6, 3}},
        .denoised = {.rank = 3, .dim = {4, 6, 3}},
        .loss = true,
        .n_radii = 2,
        .channels = syn_channels,
        .n_channels = 2,
        .dumps = syn_dumps,
        .n_dumps = 2,
    };
}

/* A number that encodes its place: small, exact in f32 and f16, and never the same for neighbours.
 */
static inline float syn_value(int set, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e)
{
    return (float)((set * 131 + a * 73 + b * 37 + c * 17 + d * 7 + e * 3) % 509) * 0.25f;
}

/* Ports 0 and 1 are seen, the others are not. Module 0 has only an output. */
static inline bool syn_seen(int module, int port)
{
    return port == SS_PORT_OUTPUT || (port == SS_PORT_INPUT && module > 0);
}

static inline ss_stats syn_stats(int m, int p, int i, int s, int n)
{
    ss_stats st = {
#define X(name) .name = syn_value((int)#name[0] + (int)sizeof #name, m, p, i, s, n),
        SS_STATS(X)
#undef X
    };
    st.nonfinite = (uint64_t)(m * 1000 + s * 10 + n);
    st.exponent[127 + s] = (uint64_t)(100 + m);
    st.exponent[0] = (uint64_t)n;
    return st;
}

/* Values that syn_copy fills an activation with. */
typedef struct {
    const float *x;
    size_t n;
} syn_values;

static inline ss_code syn_copy(void *self, float *to, ss_err *e)
{
    const syn_values *v = self;

    (void)e;
    memcpy(to, v->x, v->n * sizeof *to);
    return SS_OK;
}

static inline ss_code syn_activations(ss_run_column *col, int s, ss_err *e)
{
    float x[SYN_ACT];
    ss_code rc = SS_OK;

    for (int d = 0; d < 2; d++) {
        for (int i = 0; i < SYN_INPUTS; i++) {
            for (int n = 0; n < SYN_SAMPLES && rc == SS_OK; n++) {
                const int values = d ? 48 : SYN_ACT;

                for (int k = 0; k < values; k++)
                    x[k] = syn_value(40 + d, i, s, n, k, 0);
                rc = ss_run_put_activation(col, d, i, n, syn_copy, &(syn_values){x, (size_t)values},
                                           e);
            }
        }
    }
    return rc;
}

/* Fills the column of noise level s. */
static inline ss_code syn_fill(ss_run_column *col, int s, ss_err *e)
{
    float x[SYN_X], absmax[7], rms[7];

    for (int m = 0; m < SYN_MODULES; m++)
        for (int p = 0; p < SS_N_PORTS; p++)
            for (int i = 0; i < SYN_INPUTS; i++)
                for (int n = 0; n < SYN_SAMPLES; n++) {
                    ss_stats st = syn_stats(m, p, i, s, n);
                    if (syn_seen(m, p))
                        ss_run_put_stats(col, m, (ss_port)p, i, n, &st);
                }
    for (int i = 0; i < SYN_INPUTS; i++) {
        for (int n = 0; n < SYN_SAMPLES; n++) {
            for (int k = 0; k < SYN_X; k++)
                x[k] = syn_value(30, i, s, n, k, 0);
            ss_run_put_x(col, i, n, x);
            for (int k = 0; k < SYN_X; k++)
                x[k] = syn_value(31, i, s, n, k, 0);
            ss_run_put_denoised(col, i, n, x);
            ss_run_put_psd(col, i, n, (double[]){s + 0.5, n + 0.25});
            ss_run_put_loss(col, i, n, syn_value(32, i, s, n, 0, 0));
            for (int l = 0; l < 2; l++)
                for (int h = 0; h < syn_layers[l].heads; h++) {
                    ss_attention_stats a = {syn_value(20, l, h, i, s, n),
                                            syn_value(21, l, h, i, s, n),
                                            syn_value(22, l, h, i, s, n),
                                            syn_value(23, l, h, i, s, n),
                                            0,
                                            NULL};
                    ss_run_put_attention(col, l, h, i, n, &a);
                }
            for (int c = 0; c < 7; c++) {
                absmax[c] = (float)(n + c + s);
                rms[c] = c == 1 ? NAN : (float)n;
            }
            ss_run_put_channels(col, 0, SS_PORT_OUTPUT, i, 5, absmax, rms);
            ss_run_put_channels(col, 1, SS_PORT_INPUT, i, 7, absmax, rms);
        }
    }
    return syn_activations(col, s, e);
}

static inline ss_code syn_submit(ss_run_writer *w, int s, ss_err *e)
{
    ss_run_column *col;
    ss_code rc = ss_run_column_new(w, s, &col, e);

    if (rc != SS_OK)
        return rc;
    rc = syn_fill(col, s, e);
    if (rc == SS_OK)
        return ss_run_submit(w, col, e);
    ss_run_column_free(col);
    return rc;
}

/* Computes what is not done yet, and finishes. */
static inline ss_code syn_complete(ss_run_writer *w, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int s = 0; s < SYN_SIGMAS && rc == SS_OK; s++) {
        if (!ss_run_is_done(w, s))
            rc = syn_submit(w, s, e);
    }
    if (rc == SS_OK)
        return ss_run_finish(w, e);
    ss_run_abandon(w);
    return rc;
}

#endif
