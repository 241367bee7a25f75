/* mechanism_measure.h - what one point of a training measures; NaN and -1 stay where nothing is
 * known
 */
#ifndef SS_ANALYZE_MECHANISM_MEASURE_H
#define SS_ANALYZE_MECHANISM_MEASURE_H

#include "analyze/training/mechanism_points.h"
#include "analyze/training/mechanism_view.h"

/* inf and NaN: at the first site in forward order. A file without counts knows infinities only. */
void ss_point_bad(const ss_view *view, ss_mechanism_point *p);

/* The residual stream, other outputs, and the sample that stands out. */
void ss_point_stream(const ss_view *view, ss_mechanism_point *p);

/* The attention layers of a point: p->layers[point]. */
void ss_point_layers(const ss_view *view, const ss_mechanism_points *p, int point);

/* The update of a training's step, and its weights over those before training. */
ss_code ss_point_updates(const ss_view *view, int column, ss_mechanism_point *p, ss_err *e);

/* The weights of a checkpoint over those of the first; parameters have the same names in both. */
void ss_point_weights(const ss_view *view, const ss_run *first, ss_mechanism_point *p);

#endif
