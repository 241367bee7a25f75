/* spikes.h - steps whose loss stands out from the steps before
 *
 *   d = loss - mean;  spike if d > threshold * sqrt(var), at least `quiet` steps after the last one
 *   mean += (1 - decay) d;  var = decay (var + (1 - decay) d^2)
 *
 * with mean and var as they were before the step. No step up to `warmup` is a spike, so that they
 * can settle. var is the variance in an exponential window of about 1 / (1 - decay) steps (West
 * 1979). Source of 3.2 standard deviations and 10 quiet steps: Wortsman et al. 2023, "Stable and
 * low-precision training for large-scale vision-language models", appendix D.
 */
#ifndef SS_TRAIN_SPIKES_H
#define SS_TRAIN_SPIKES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double threshold; /* in standard deviations */
    double decay;
    int64_t warmup, quiet; /* steps */
} ss_spike_options;

/* 3.2, 0.99, 100, 10. */
ss_spike_options ss_spike_defaults(void);

/* Plain data: it can be saved and read back as it is. {0} is the beginning. */
typedef struct {
    double mean, var;
    int64_t n;     /* losses so far */
    int64_t last;  /* number of the loss that was the last spike, from 1; 0: none yet */
    int64_t count; /* spikes so far */
} ss_spikes;

/* Adds a loss; true if it is a spike. One that is not finite is none, and changes nothing. */
bool ss_spikes_add(ss_spikes *s, const ss_spike_options *opt, double loss);

#endif
