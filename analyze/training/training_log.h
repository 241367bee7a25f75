/* training_log.h - what the folder of a training run says: one arm of an experiment, in numbers
 *
 * Reads what `sigmascope train` left in FOLDER (train/train.h): config.json, log.jsonl,
 * events.jsonl, statistics.h5, and where they are there summary.json, the --json output of the
 * command, and score.json, that of `sigmascope score` of pictures of its last checkpoint.
 *
 * Peaks are of block outputs, which make up the residual stream; of all modules in files that do
 * not know them. A batch of few samples has high noise among them at some steps only, so peaks are
 * compared as geometric means over windows: `early` is the first eighth of the steps from
 * SS_SETTLED to the first overflow, or the end, and `late` the last; steps with values that are not
 * finite are left out. What grew between the two grew in training, not in the warm-up, and before
 * anything was inf or NaN.
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
    int64_t steps;          /* the last that was done */
    int64_t planned;        /* as the configuration says; 0: unknown */
    int64_t first_overflow; /* step; 0: none */
    int64_t first_skipped;  /* step, also where only gradients overflowed; 0: none */
    int64_t skipped, spikes;
    int64_t last_good; /* the last step that was not skipped */
    double loss;       /* mean over the last 100 steps that were finite */
    double staleness;  /* the largest over steps from 100 on (optimizer.h); NaN without */
    double
        ms; /* of a step, of the processor, statistics and checkpoints included; NaN: not known */

    /* Samples that overflowed, in the first `SS_FIRST_OVERFLOWS` steps that did: later ones follow
     * from weights that were damaged. */
    int overflows, by_stage[SS_N_STAGES + 1];
    int high_noise; /* of them at sigma over SS_HIGH_NOISE */
    char module[256];

    double
        limit; /* the largest number of the format that it was trained in; NaN: fp32, or several */
    int64_t early, late; /* first and last measured step of the two windows; 0: not measured */
    double peak[2][SS_N_STAGES + 1]; /* mean of the largest |x|; last: of all blocks */
    double largest;                  /* over all measured steps */
    double exponent;                 /* of the decoder's peak over steps from early to late */
    double weights;                  /* median over parameters of RMS late / RMS early */
    double weights_max;              /* and the largest of these */
    struct {
        double step, peak;       /* the largest |x| of the batch; finite values only */
    } point[SS_TRAINING_POINTS]; /* of the measured steps, thinned out where they are more */
    int n_points;
    double entropy, logit; /* late: the lowest normalised entropy of a head, mean over samples and
                              steps of the window; the largest logit; NaN without attention */
    double frechet, recognised; /* of its pictures (score.json); NaN: not known */
    ss_mechanism mechanism;
} ss_training_log;

enum { SS_FIRST_OVERFLOWS = 10 };
#define SS_HIGH_NOISE 10.0

/* A folder without log.jsonl or statistics.h5 is SS_IO. */
ss_code ss_training_log_read(const char *folder, ss_training_log *t, ss_err *e);

#endif
