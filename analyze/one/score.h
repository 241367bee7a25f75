/* score.h - how good samples are, as numbers that follow from a classifier
 *
 *   accuracy    share of the samples that the classifier takes for the class that was asked for. A
 *               sample that is not finite or all one value counts as wrong. With Wilson's interval
 *   distance    Fréchet distance (frechet.h) of the features of the samples that are finite to
 *               those of reference pictures, which are weighted to the samples' mix of classes
 *   corrected   the distance without the bias of a finite number of samples: 2 d - mean(d*), d* of
 *               samples drawn again with replacement, class by class; for samples as good as real
 *               pictures it is about 0, above or below. Its 95 % interval is 2 d - (97.5 and 2.5 %
 *               quantile of d*). What the reference's own number adds to both stays: n / (n + its
 *               number) of what real pictures have
 *   real        the distance of as many real pictures of the same classes, drawn several times
 *               without a picture twice, where there are enough
 *
 * The order of samples changes nothing, not a bit.
 *
 * Sources: Wilson 1927, JASA 22, 209-212; Efron & Tibshirani 1993, chapters 10 and 13 (bias and the
 * basic interval); Chong & Forsyth 2020 (the bias of FID).
 */
#ifndef SS_ANALYZE_SCORE_H
#define SS_ANALYZE_SCORE_H

#include "base/err.h"

#include <stdint.h>

enum { SS_SCORE_DRAWS = 10, SS_SCORE_RESAMPLES = 200 };

typedef enum { SS_SAMPLE_FINE, SS_SAMPLE_FLAT, SS_SAMPLE_NOT_FINITE } ss_sample_state;

/* Pictures and their classification; borrowed. */
typedef struct {
    int64_t n;
    int width;                    /* features of a picture */
    const float *features;        /* [n][width]; of those that are not finite: not read */
    const int *label;             /* [n] the class it is of, or was asked to be; -1: none */
    const int *taken;             /* [n] the class that the classifier took it for */
    const float *confidence;      /* [n] probability of that */
    const ss_sample_state *state; /* [n], or NULL: all fine */
} ss_scored;

typedef struct {
    int64_t n, not_finite, flat;
    int64_t asked, right; /* samples that a class was asked for; those taken for it */
    double accuracy, accuracy_low, accuracy_high; /* NaN where no class was asked for */
    double confidence;                            /* mean over the finite ones */
    int64_t used;                                 /* finite ones, which the distance is of */
    double distance, corrected, low, high;        /* NaN with less than 2 of them */
    int64_t real_n; /* pictures in each draw of real ones, `used` where there are enough */
    int draws;
    double real_least, real_mean, real_most; /* of their distances */
} ss_score;

/* Half of `real` (every second picture) is the reference, the other half what real pictures are
 * drawn from. SS_USAGE for samples of a class of which either half has less than 2. */
ss_code ss_score_samples(const ss_scored *samples, const ss_scored *real, uint64_t seed,
                         ss_score *s, ss_err *e);

/* All of that but the distances, which are NaN: what needs no other pictures. */
void ss_score_classes(const ss_scored *samples, ss_score *s);

/* Wilson's 95 % interval of k out of n. NaN for n = 0. */
void ss_wilson(int64_t k, int64_t n, double *low, double *high);

#endif
