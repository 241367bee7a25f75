/* mechanism_points.h - the numbers that tell mechanisms apart, at each point of a training
 *
 * A point is a finished step of a training's own run file, or the run of a checkpoint; the runs of
 * several checkpoints count where they have looked alike (align.h).
 *
 *   stream   sums of the residual stream (outputs of blocks, ports "residual", inner sums x + h)
 * and convolutions that read it with no norm before: samplers, shortcuts, conv_in others everything
 * else that modules return; inner values are neither
 */
#ifndef SS_ANALYZE_MECHANISM_POINTS_H
#define SS_ANALYZE_MECHANISM_POINTS_H

#include "analyze/one/sites.h"

/* A sample stands out whose largest |x|, or loss, is so many times the median of its step's: those
 * of one step differ by 2 to 3, by 5 at the highest noise level. */
#define SS_OUTLIER_SAMPLE 5.0
/* And its picture, against the median of all samples at its noise level: pictures of one data set
 * differ by less than 2. */
#define SS_OUTLIER_PICTURE 3.0

/* NaN where something is not known. */
typedef struct {
    double step;
    bool bad;         /* something is inf or NaN */
    ss_site first;    /* then: where first, in forward order; module -1: in the weights */
    int run;          /* index of the run that it is of */
    double stream;    /* largest |x| in it */
    ss_site at;       /* where that is; module -1 without */
    double others;    /* largest |x| of what is no stream */
    double low, high; /* of the stream, over the lower and the upper third of the noise levels */
    double encoder, decoder; /* of the stream there */
    double
        sample; /* largest |x| of one sample over the median of its step, or its loss, likewise */
    double picture;   /* what the network read of it, over the median at its noise level */
    int sample_index; /* its number, -1 */
    double sigma;     /* its noise level */
    double pictures;  /* of a training: median over the samples of the step of such a ratio */
    double loss, norm, rate;
    double staleness, stale_share; /* the largest; share of parameters above SS_STALE */
    int64_t stale_parameter;       /* the one with the largest, -1 */
    double update;                 /* over weight, median of parameters that are no biases */
    double weights;                /* RMS over that of the first point, median of the same */
} ss_mechanism_point;

/* An attention layer at a point. */
typedef struct {
    double logit;   /* largest, or largest |logit| where its site was recorded */
    double product; /* RMS(q) RMS(k), */
    double input;   /*   and of what they read; largest over samples */
    double entropy; /* normalised, least over heads of the mean over samples */
} ss_mechanism_layer;

typedef struct {
    ss_mechanism_point *points; /* [n] lowest step first */
    int n;
    ss_mechanism_layer *layers; /* [n][n_layers] */
    int n_layers;
    char **names;  /* [n_layers], borrowed of the first run */
    bool attends;  /* a module's name says that it is attention */
    bool training; /* of a training's own file */
    bool updates;  /* which has what its updates did */
    ss_run **runs; /* [n_runs] in the order of the points, or of a training [1] */
    int n_runs;
    double clamp;    /* blocks of the network clamp their outputs to it, by the plan; NaN: do not */
    char why[256];   /* there are no points: what the runs have not in common */
    char limit[160]; /* "clamp:20" and where, if the stream stands at one at the last
                        point; or "" */
} ss_mechanism_points;

ss_code ss_mechanism_points_find(ss_run *const *runs, const int64_t *steps, int n,
                                 ss_mechanism_points *p, ss_err *e);
void ss_mechanism_points_release(ss_mechanism_points *p); /* {0} is fine */

/* By how much a sample stands out, 1 and more: by both. For comparison only where the picture is
 * not known. */
double ss_outlier(double sample, double picture);

/* The run of a point. */
const ss_run *ss_mechanism_run(const ss_mechanism_points *p, int point);

#endif
