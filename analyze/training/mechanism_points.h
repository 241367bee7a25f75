/* mechanism_points.h - the numbers that distinguish mechanisms, at each point of a training
 *
 * A point is a finished step of a training's own run file, or the run of a checkpoint; the runs of
 * several checkpoints count where they have looked alike (align.h).
 *
 *   stream   sums of the residual stream (outputs of blocks, ports "residual", inner sums x + h),
 *            and convolutions that read it with no norm before them: samplers, shortcuts, conv_in
 *   others   everything else that modules return; inner values are neither
 */
#ifndef SS_ANALYZE_MECHANISM_POINTS_H
#define SS_ANALYZE_MECHANISM_POINTS_H

#include "analyze/one/sites.h"

/* A number that is not known is NaN. */
typedef struct {
    double step;
    bool bad;                /* something is inf or NaN */
    ss_site first;           /* if bad: the first such site in forward order; module -1: a weight */
    int run;                 /* index of its run */
    double stream;           /* largest |x| of the stream */
    ss_site at;              /* where that is; module -1: nowhere */
    double others;           /* largest |x| of what is no stream */
    double low, high;        /* of the stream, over the lower and the upper third of noise levels */
    double encoder, decoder; /* of the stream, in the encoder and in the decoder */
    double sample;           /* largest |x| or loss of the sample that stands out, over the median
                                of its step */
    double picture;          /* what the network read of it, over the median at its noise level */
    int sample_index;        /* its number, -1: none */
    double sigma;            /* its noise level */
    double pictures;         /* of a training: median of that ratio over all samples of the step */
    double loss, norm, rate;
    double staleness;        /* the largest of all parameters */
    double stale_share;      /* share of parameters above SS_STALE */
    int64_t stale_parameter; /* the parameter with the largest, -1: none */
    double update;           /* RMS over that of the weight, median of parameters, no biases */
    double weights;          /* RMS over that at the first point, median of parameters, no biases */
} ss_mechanism_point;

/* An attention layer at a point. */
typedef struct {
    double logit;   /* the largest, or the largest |logit| where its site was recorded */
    double product; /* RMS(q) RMS(k), largest over samples */
    double input;   /* the same product of what q and k are computed from */
    double entropy; /* normalised, the least over heads of the mean over samples */
} ss_mechanism_layer;

typedef struct {
    ss_mechanism_point *points; /* [n] lowest step first */
    int n;
    ss_mechanism_layer *layers; /* [n][n_layers] */
    int n_layers;
    char **names;  /* [n_layers], borrowed of the first run */
    bool attends;  /* a module's name says that it is attention */
    bool training; /* points are steps of a training's own file, not checkpoints */
    ss_run **runs; /* [n_runs] in the order of the points; of a training [1] */
    int n_runs;
    double clamp;  /* what blocks clamp their outputs to, by the plan; NaN: they do not */
    char why[256]; /* without points: what the runs do not have in common */
    char
        limit[160]; /* "clamp:20" and where, if the stream stands at one at the last point; or "" */
} ss_mechanism_points;

/* Arguments as those of ss_mechanism_find. Runs that have nothing in common are no error: then
 * there are no points, and p->why says why. */
ss_code ss_mechanism_points_find(ss_run *const *runs, const int64_t *steps, int n,
                                 ss_mechanism_points *p, ss_err *e);
void ss_mechanism_points_release(ss_mechanism_points *p); /* {0} is fine */

const ss_run *ss_mechanism_run(const ss_mechanism_points *p, int point);

#endif
