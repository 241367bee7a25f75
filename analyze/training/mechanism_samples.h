/* mechanism_samples.h - which sample of a point stands out from the others */
#ifndef SS_ANALYZE_MECHANISM_SAMPLES_H
#define SS_ANALYZE_MECHANISM_SAMPLES_H

#include "analyze/training/mechanism_points.h"
#include "analyze/training/mechanism_view.h"

/* A sample stands out if its largest |x|, or its loss, is this many times the median of its step's:
 * usual samples of a step differ by 2 to 3, by 5 at the highest noise level. */
#define SS_OUTLIER_SAMPLE 5.0
/* And if its picture is this many times the median of all samples at its noise level: pictures of
 * one data set differ by less than 2. */
#define SS_OUTLIER_PICTURE 3.0

/* A measure of how much a sample stands out in both; from 1 on it does. If its picture is not
 * known, it is far below 1, and serves to compare such samples only. */
double ss_sample_outlier(double sample, double picture);

/* Finds what is usual at each noise level of a training: the median of picture and loss over the
 * samples of all steps whose noise level falls into the same bin or a neighbour of it (one batch
 * has too few samples at one noise level). NaN with fewer than three samples. */
void ss_samples_find_usual(ss_view *view);

/* The sample that stands out most among the others of its step or, in a probe, of its noise level
 * and input: by its largest |x| or its loss, and by its picture. peaks: [n_cells], of the stream;
 * the beginning of view->cells, overwritten. Sets p->sample, picture, sigma, sample_index and
 * pictures. */
void ss_samples_find_outlier(const ss_view *view, double *peaks, ss_mechanism_point *p);

#endif
