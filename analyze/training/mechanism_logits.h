/* mechanism_logits.h - whether the logits of an attention layer run away
 *
 * Four needs must be met: logits are large, still grow in the last third, outrun the square of the
 * stream, and the entropy of a head has collapsed. Thresholds: mechanism.h, attn/.
 */
#ifndef SS_ANALYZE_MECHANISM_LOGITS_H
#define SS_ANALYZE_MECHANISM_LOGITS_H

#include "analyze/training/mechanism_course.h"

enum { SS_RUNAWAY_NEEDS = 4 };

typedef struct {
    int layer;      /* -1: there is none */
    double level;   /* of the logits, over the last third of the points */
    double late;    /* their growth within it */
    double outrun;  /* their growth over the square of the stream's */
    double entropy; /* the least within the last third */
} ss_runaway;

/* The layer that meets most needs; of several the one with the largest logits. */
ss_runaway ss_runaway_leading(ss_course *c);

/* The number of needs that it meets; NaN if it is not known. */
double ss_runaway_met(const ss_course *c, const ss_runaway *x);

/* The number that the leading layer of the points before this one met: logits that had run away by
 * then explain a gradient that the optimiser had not seen the like of. Unknown counts as 0; NaN for
 * point -1. */
double ss_runaway_met_before(ss_course *c, int point);

/* Growth of the stream at the first point where the entropy of the layer has collapsed; *point is
 * -1 and the growth NaN where there is none. */
double ss_runaway_stream_at_collapse(ss_course *c, int layer, int *point);

#endif
