/* trajectory_record.h - the run file of a sampling trajectory; private to trajectory*.c
 *
 *   // once, with the network bound through it
 *   rc = ss_track_open(&k, opt, path, samples, net, sampler, conditions, size, batch, ctx, &err);
 *   for (int i = 0; i < steps; i++) {
 *       rc = ss_track_begin(&k, i, &err);
 *       for (int from = 0; from < samples; from += batch) {
 *           ss_track_batch(&k, batch, sample + from);
 *           ... // forward
 *           rc = ss_track_put(&k, i, batch, x, y, &err);
 *       }
 *       rc = ss_track_end(&k, &err);
 *   }
 *   rc = ss_track_finish(&k, &err);
 */
#ifndef SS_PROBE_TRAJECTORY_RECORD_H
#define SS_PROBE_TRAJECTORY_RECORD_H

#include "fft/spectrum.h"
#include "probe/recorder.h"
#include "probe/trajectory.h"

typedef struct {
    const ss_network *net;
    const ss_sampler *sampler;
    ss_sample_size size; /* of a sample of the sampler: the network's without --concat's channels */
    int samples;
    bool guided;
    ss_recorder *recorder;
    ss_run_writer *writer;
    ss_run_column *column; /* of the current step; NULL between steps, and if none is recorded */
    ss_spectrum *spectrum;
    ss_run_parameter *parameters;
    int *input, *sample; /* [2 * batch] of the current batch */
    float *picture;      /* [3] samples, scratch */
    double *psd;
} ss_track;

/* Binds the network with hooks, infers shapes and creates the file at `path`, of so many samples:
 * of a video in windows each window of a sample is one. The caller releases k also on failure. */
ss_code ss_track_open(ss_track *k, const ss_trajectory_options *opt, const char *path, int samples,
                      ss_network *net, const ss_sampler *sampler, ss_conditions *conditions,
                      ss_sample_size size, int batch, ss_ctx *c, ss_err *e);
/* Frees all; an unfinished file keeps its steps. {0} is fine. */
void ss_track_release(ss_track *k);

/* Call it before evaluation i of the sampler. heun's second evaluations are not recorded. */
ss_code ss_track_begin(ss_track *k, int i, ss_err *e);
/* Call it before a forward pass of n samples, or, under guidance, of 2 n rows, the samples twice.
 */
void ss_track_batch(ss_track *k, int n, const int *sample);
/* Call it after the pass: the network saw x [rows][H][W][in_channels] at evaluation i and answered
 * y [rows][H][W][out_channels]. */
ss_code ss_track_put(ss_track *k, int i, int n, const float *x, const float *y, ss_err *e);
ss_code ss_track_end(ss_track *k, ss_err *e);
ss_code ss_track_finish(ss_track *k, ss_err *e);

#endif
