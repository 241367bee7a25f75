/* subject.h - what a probe does with a network, by its role; private to probe/
 *
 * probe.c opens, binds and measures the network, makes the run file and goes through the noise
 * levels. What is fed and what is kept of the answer is the subject's:
 *
 *   denoiser   pictures with noise, told their noise level          probe_denoiser.c
 *   VAE        pictures to latents, latents with noise to pictures  probe_vae.c
 *   text       prompts; each token is a sample                      probe_text.c
 */
#ifndef SS_PROBE_SUBJECT_H
#define SS_PROBE_SUBJECT_H

#include "base/log.h"
#include "fft/spectrum.h"
#include "probe/plan.h"
#include "probe/recorder.h"

/* All that lives as long as the run. */
typedef struct {
    const ss_probe_options *opt;
    ss_plan plan;
    ss_run_part part; /* what of the plan is done here */
    ss_ctx *ctx;
    ss_recorder *recorder;
    ss_run_writer *writer;
    ss_spectrum *spectrum;
    ss_run_parameter *parameters;
    int n_parameters;
    /* one batch, channels last */
    float *x;      /* [batch][H][W][C], what the network, or the decoder, sees */
    float *y;      /* [batch][H][W][Cout] */
    float *clean;  /* [batch][H][W][Cpic] */
    float *noise;  /* [batch][H][W][Cpic] */
    float *result; /* [H][W][Cpic], one sample */
    double *psd;
    /* for people */
    ss_progress progress; /* of samples at noise levels */
    int in_batch;         /* samples of the batch that is running */
    char doing[64];
} ss_probing;

typedef struct {
    /* Resolves the options into p, whose network is open: levels, inputs, samples, batch. */
    ss_code (*plan)(const ss_probe_options *opt, ss_plan *p, ss_err *e);
    ss_code (*allocate)(ss_probing *p, ss_err *e);
    /* Fills what the run file holds of inputs and outputs. */
    void (*describe)(const ss_probing *p, ss_run_spec *spec);
    /* Runs the network without computing, so that the recorder learns all shapes. */
    ss_code (*infer)(ss_probing *p, ss_err *e);
    /* Runs a batch: sample k is sample[k] of input[k], all at one noise level. */
    ss_code (*run)(ss_probing *p, ss_run_column *col, const ss_plan_level *l, int n,
                   const int *input, const int *sample, ss_err *e);
} ss_subject;

extern const ss_subject ss_subject_denoiser, ss_subject_vae, ss_subject_text;

/* The subject of a role. */
const ss_subject *ss_subject_of(ss_role r);

#endif
