/* mechanism_course.h - how numbers develop over the points of a training: levels, growth, jumps
 *
 * The points from c->from to before c->to are finite and take part. A growth is a ratio of two
 * levels, each the median of a third of the points; mechanism.h says why and names the thresholds.
 */
#ifndef SS_ANALYZE_MECHANISM_COURSE_H
#define SS_ANALYZE_MECHANISM_COURSE_H

#include "analyze/training/mechanism.h"
#include "analyze/training/mechanism_points.h"

typedef struct {
    ss_mechanism_points p;
    int from, to;
    int end;         /* index of the first bad point, or -1 */
    int broken;      /* of the first at which the stream broke, or -1 */
    double *scratch; /* for medians: every point, and every pair of late points */
} ss_course;

/* The course up to the first bad point; the first point of a training's own file takes no part.
 * Arguments as those of ss_mechanism_find. */
ss_code ss_course_make(ss_run *const *runs, const int64_t *steps, int n, ss_course *c, ss_err *e);
void ss_course_release(ss_course *c); /* {0} is fine */

/* Ends the course before the point where the stream breaks, if it does after enough points for a
 * growth. Checkpoints may be so far apart that it grows as much between two of them: only a
 * training's own file can show a break. */
void ss_course_end_at_break(ss_course *c);

int ss_course_n(const ss_course *c);       /* points that take part */
bool ss_course_enough(const ss_course *c); /* for a growth */

/* A number of a point, or of an attention layer at a point; NaN where it is not known. */
typedef double ss_course_value(const ss_course *c, int point, int layer);
double ss_course_stream(const ss_course *c, int point, int layer);
double ss_course_weights(const ss_course *c, int point, int layer);
double ss_course_logit(const ss_course *c, int point, int layer);
/* Size of q and k over that of what they are computed from. */
double ss_course_projection(const ss_course *c, int point, int layer);
const ss_mechanism_layer *ss_course_layer(const ss_course *c, int point, int layer);

/* Levels: over the first third of the points, and over the last; growth is their ratio. */
double ss_course_first(ss_course *c, ss_course_value *f, int layer);
double ss_course_last(ss_course *c, ss_course_value *f, int layer);
double ss_course_growth(ss_course *c, ss_course_value *f, int layer);
/* Growth within the last third, and that third's first point. */
double ss_course_late_growth(ss_course *c, ss_course_value *f, int layer);
int ss_course_late_from(const ss_course *c);

/* The largest stream up to the first bad point, that included, over its first level. */
double ss_course_reach(ss_course *c);
/* The jump of loss or activations at a point and in the steps after it, over all points before.
 * Activations take part where the point has enough before it: a network that begins to learn leaves
 * zero, which is no jump. */
double ss_course_jump(const ss_course *c, int point);

/* The point, from `from` to before `to`, with the largest value; -1 where none is known. */
int ss_course_largest(const ss_course *c, ss_course_value *f, int from, int to);

/* "step 300", or "run 2 of 3"; and where the stream of a point is largest, "-" if nowhere. */
const char *ss_course_step_name(const ss_course *c, int point, char *out, size_t n);
const char *ss_course_site_name(const ss_course *c, int point, char *out, size_t n);

#endif
