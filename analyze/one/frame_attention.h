/* frame_attention.h - how attention over the frames of a video spreads over them
 *
 * Of each head of the layers whose keys are frames (runfile/run_file.h, /attention/frames), the
 * mean over finished noise levels, the inputs asked for, and samples in which it is finite. Masses
 * are shares of all attention, base/stats.h:
 *
 *   own         on the query's own frame
 *   next        on the frames beside it
 *   reach       mean distance, sum of d mass[d]; `even`: that of attention that is spread evenly,
 *               (F^2 - 1) / (3 F)
 *   beyond      at distances that do not occur within the trained number of frames L, d >= L
 *   references  on the frames that were given as references
 *
 * Spread evenly, a distance d has the mass 1/F if d = 0, else 2 (F - d) / F^2.
 */
#ifndef SS_ANALYZE_FRAME_ATTENTION_H
#define SS_ANALYZE_FRAME_ATTENTION_H

#include "analyze/one/not_finite.h"
#include "base/table.h"

typedef struct {
    int layer, head, frames;
    double own, next, reach, even;
    double beyond, references; /* NaN where there are no such distances, or frames */
} ss_frame_head;

typedef struct {
    ss_frame_head *heads; /* by layer, then by head; those that are finite anywhere */
    int n;                /* 0: no layer's keys are frames */
    int most_frames;      /* of any layer */
    double *mass;         /* [n][most_frames] by distance, NaN beyond the frames of a layer */
    int trained;          /* L, or 0: not known */
    int n_references;
} ss_frame_attention;

/* Layers whose path matches any of the globs, no globs: all. input: an index, or SS_ALL. */
ss_code ss_frame_attention_find(ss_run *r, const char *const *globs, int n_globs, int input,
                                ss_frame_attention *a, ss_err *e);
void ss_frame_attention_release(ss_frame_attention *a); /* {0} is fine */

/* Returns the mass at a distance of attention that is spread evenly over the frames. */
double ss_even_mass(int frames, int distance);

/* One row a head, at most `top`, those first whose reach is furthest from even. */
ss_code ss_frame_attention_table(const ss_run *r, const ss_frame_attention *a, int top, ss_table *t,
                                 ss_err *e);

#endif
