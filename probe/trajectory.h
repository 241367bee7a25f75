/* trajectory.h - samples pictures from a network, and records it on the way if wanted
 *
 *   ss_trajectory_open(&opt, &t, &err);       // reads and checks everything, computes nothing
 *   ss_trajectory_run(t, ctx, NULL, NULL, &err);
 *   x = ss_trajectory_picture(t, i);          // [H][W][C] or [F][H][W][C] of sample i
 *   ss_trajectory_close(t);                   // before the context goes
 *
 * The first noise of sample i is the normal numbers of stream ("noise", i), as in a probe, so it is
 * the same for all models and batch sizes. With a strength below 1 sampling begins from clean
 * pictures, to which that noise is added (ss_sampler_shorten). Guidance g (Ho & Salimans 2022)
 * follows
 *
 *   y = y_negative + g (y_positive - y_negative)
 *
 * with both halves in one batch; at g = 1 the network is asked once. A learned variance is the
 * positive half's.
 *
 * In a run file each noise level is one step of the sampler, from high to low; /inputs/x is what
 * the network saw there. /outputs/denoised is the clean picture by the network's answer alone,
 * before guidance and clipping. The input axis is "trajectory", or "conditional" and
 * "unconditional" under guidance. heun evaluates twice in a step; only the first evaluation is
 * recorded.
 */
#ifndef SS_PROBE_TRAJECTORY_H
#define SS_PROBE_TRAJECTORY_H

#include "models/sampling/sampler.h"
#include "probe/conditions.h"
#include "probe/network.h"
#include "probe/reel.h"

typedef struct {
    ss_network_options network;
    ss_condition_options condition; /* `guided` is set from guidance */
    const char *concat;             /* as ss_concat_open takes it */
    const ss_sampler_kind *sampler; /* NULL: the scheduler file's */
    int steps;
    double guidance; /* 1: none */
    double eta;      /* of ddim; < 0: 0 */
    double strength; /* below 1: part of the steps that is made, from reel.init on */
    ss_reel_options
        reel; /* windows, and frames that are given; init: also what strength begins from */
    int samples;
    int batch; /* samples in one forward pass; 0: chosen from the input's size */
    uint64_t seed;

    int threads;            /* of the context that it is run in, as the two below */
    const char *device;     /* as ss_ctx_options has it */
    const char *arithmetic; /* a name of SS_ARITHMETICS (kernels/context.h) */

    const char *run; /* run file to write, or NULL */
    bool replace_run;
    const char *command; /* for the record */
} ss_trajectory_options;

/* Returns the defaults of the list in runfile/plan_list.h. */
ss_trajectory_options ss_trajectory_defaults(void);

typedef struct ss_trajectory ss_trajectory;

/* opt is borrowed while the trajectory lives. */
ss_code ss_trajectory_open(const ss_trajectory_options *opt, ss_trajectory **t, ss_err *e);
void ss_trajectory_close(ss_trajectory *t); /* NULL is fine */

ss_sampler_kind ss_trajectory_sampler(const ss_trajectory *t);
const ss_network *ss_trajectory_network(const ss_trajectory *t);
int ss_trajectory_evaluations(const ss_trajectory *t);     /* of the sampler */
ss_sample_size ss_trajectory_size(const ss_trajectory *t); /* of a sample */

/* Function that is called before each evaluation. */
typedef void (*ss_trajectory_tick)(void *self, int evaluation);

/* Samples all pictures; tick may be NULL. After ss_interrupt (interrupt.h) it ends with the current
 * batch, with SS_INTERRUPTED; the run file then holds the finished steps. */
ss_code ss_trajectory_run(ss_trajectory *t, ss_ctx *c, ss_trajectory_tick tick, void *self,
                          ss_err *e);

/* Numbers of one run among several of a trajectory. */
typedef struct {
    /* [samples] clean pictures, [H][W][C] or [F][H][W][C] in the network's units, that a run of
     * strength below 1 begins from; borrowed until it ends. NULL: those of the options' init. */
    const float *init;
    uint32_t draw; /* other numbers are other noise; 0 is that of ss_trajectory_run */
} ss_trajectory_start;

/* Samples as ss_trajectory_run. The run file, if one is wanted, is that of the first run. SS_USAGE
 * where the strength is below 1 and there is nothing to begin from. */
ss_code ss_trajectory_run_from(ss_trajectory *t, ss_ctx *c, const ss_trajectory_start *start,
                               ss_trajectory_tick tick, void *self, ss_err *e);

/* [H][W][C] or [F][H][W][C] of a finished run, in the network's units, not clipped; borrowed. */
const float *ss_trajectory_picture(const ss_trajectory *t, int sample);

#endif
