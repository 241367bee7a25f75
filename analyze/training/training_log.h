/* training_log.h - what the folder of a training run says, in numbers
 *
 * Reads what `sigmascope train` left in FOLDER (train/train.h): config.json, log.jsonl,
 * events.jsonl, statistics.h5; if they exist, also summary.json, the --json output of the command,
 * and score.json, the --json output of `sigmascope score` for pictures of its last checkpoint.
 *
 * Peaks are those of block outputs, which make up the residual stream; of all modules if the file
 * does not say which are blocks. A batch of few samples has high noise levels at some steps only,
 * so peaks are compared as geometric means over windows: `early` is the first eighth of the steps
 * from SS_SETTLED to the first overflow, or to the end, and `late` the last eighth. Steps with
 * values that are not finite are left out. What grew between the two grew in training, not in the
 * warm-up, and before anything was inf or NaN.
 */
#ifndef SS_ANALYZE_TRAINING_LOG_H
#define SS_ANALYZE_TRAINING_LOG_H

#include "analyze/one/stages.h"
#include "analyze/training/mechanism.h"
#include "base/err.h"

#include <stdint.h>

enum { SS_TRAINING_POINTS = 256, SS_SETTLED = 100 };

typedef struct {
    char name[256]; /* last part of the folder's path */
    int64_t seed;
    int64_t steps;          /* the last step that was done */
    int64_t planned;        /* as the configuration says; 0: unknown */
    int64_t first_overflow; /* step; 0: none */
    int64_t first_skipped;  /* step, also if only gradients overflowed; 0: none */
    int64_t skipped, spikes;
    int64_t last_good; /* the last step that was not skipped */
    double loss;       /* mean over the last SS_TRAINING_LAST finite steps; NaN: none */
    double staleness;  /* the largest from step SS_SETTLED on (optimizer.h); NaN: none */
    double ms; /* processor time of a step, with statistics and checkpoints; NaN: not known */

    /* Samples that overflowed in the first SS_FIRST_OVERFLOWS steps with an overflow: later ones
     * follow from damaged weights. */
    int overflows, by_stage[SS_N_STAGES + 1];
    int high_noise;   /* of them: at sigma over SS_HIGH_NOISE */
    int in_motion;    /* of them: in motion blocks, whose paths have a part "motion" */
    char module[256]; /* where the first one overflowed, or "" */

    double limit; /* largest number of the training's format; NaN: fp32, or several formats */
    int64_t early, late; /* first and last measured step of the two windows; 0: not measured */
    double peak[2][SS_N_STAGES + 1]; /* early and late mean of the largest |x|, of each stage; the
                                        last: of all blocks */
    double largest;                  /* largest |x| over all measured steps */
    double exponent;                 /* of the decoder's peak over steps from early to late */
    double weights;                  /* median over parameters of RMS late / RMS early */
    double weights_max;              /* the largest of these */
    struct {
        double step, peak;       /* the largest |x| of the batch; finite values only */
    } point[SS_TRAINING_POINTS]; /* of measured steps, thinned out if they are more */
    int n_points;
    double entropy;    /* late: the lowest normalised entropy of a head, mean over samples and steps
                          of the window; NaN without attention */
    double logit;      /* late: the largest logit; NaN without attention */
    double frechet;    /* distance of its pictures (score.json); NaN: not known */
    double recognised; /* share of its pictures (score.json); NaN: not known */
    ss_mechanism mechanism;
} ss_training_log;

enum { SS_FIRST_OVERFLOWS = 10 };
#define SS_HIGH_NOISE 10.0

/* A folder without log.jsonl or statistics.h5 is SS_IO. */
ss_code ss_training_log_read(const char *folder, ss_training_log *t, ss_err *e);

#endif
