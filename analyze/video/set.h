/* set.h - many videos that were measured: by model and stage, and between models
 *
 * A group has the videos of one model and stage. Its numbers are means over its videos that have
 * them. Its seams are tested over all of its videos that have as many frames as the first.
 *
 * Two groups of one stage and different models are compared by videos of the same name, which were
 * sampled from the same noise or follow the same prompt. Of n differences B - A of a measure,
 *
 *   interval   95 %, Student's, of their mean (decision.h)
 *   distance   squared Fréchet distance of their random features (features.h), and, as a scale,
 * that between every second video of A and the others of A; from 4 finite videos on sign two-sided
 * exact sign test: p that so many of n differences, none of them 0, have one sign by chance
 */
#ifndef SS_ANALYZE_VIDEO_SET_H
#define SS_ANALYZE_VIDEO_SET_H

#include "analyze/video/measure.h"
#include "base/table.h"

typedef struct {
    const char *model, *stage, *name; /* borrowed */
    ss_video_measures m;
    ss_video video; /* x is NULL where its frames were not kept */
} ss_measured_video;

typedef struct {
    const char *model, *stage;
    int n, not_finite;
    double mean[SS_VIDEO_N_MEASURES];
    ss_seam seam, warped_seam;
    ss_seam_found found;
    ss_boiling boiling; /* means; of the videos of the first one's size */
} ss_video_group;

typedef struct {
    int a, b; /* groups */
    ss_video_measure_id measure;
    int n; /* videos that both have it of */
    double mean_a, mean_b, difference, low, high;
    int more, less; /* videos in which B has more of it, and less */
    double p;
} ss_video_comparison;

typedef struct {
    int a, b;                /* groups */
    int n_a, n_b;            /* finite videos */
    double distance, within; /* NaN with less than 4 */
} ss_video_distance;

typedef struct {
    int n;
    ss_measured_video *video; /* [n] */
    size_t shared;            /* length of the folder in which all models are, as "samples/" */
    int n_groups;
    ss_video_group *group;
    int n_comparisons;
    ss_video_comparison *comparison;
    int n_distances; /* one for each pair of groups that is compared */
    ss_video_distance *distance;
} ss_video_set;

/* Makes groups and comparisons of s->video, which is set. */
ss_code ss_video_set_compare(ss_video_set *s, const ss_video_options *opt, ss_err *e);
/* Releases groups, comparisons, and what the videos have, with the array. {0} is fine. */
void ss_video_set_release(ss_video_set *s);

/* Two-sided exact sign test of `more` against `less`; NaN without any. */
double ss_sign_test(int more, int less);

/* A group's model without the folder that all share. */
const char *ss_video_group_model(const ss_video_set *s, const ss_video_group *g);

/* Tables: a row a video, or, with `groups`, a row a group. Models are named without the folder
 * that all share. The columns "model" and "stage" are left out where all have the same. */
ss_code ss_video_change_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e);
ss_code ss_video_motion_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e);
ss_code ss_video_seam_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e);
/* A row a group and octave. */
ss_code ss_video_boiling_table(const ss_video_set *s, ss_table *t, ss_err *e);
ss_code ss_video_comparison_table(const ss_video_set *s, ss_table *t, ss_err *e);
ss_code ss_video_distance_table(const ss_video_set *s, ss_table *t, ss_err *e);

/* "2 to 4 px", "16 px and more", "all". Returns out. */
char *ss_boiling_band_name(const ss_boiling_band *b, char *out, size_t n);

#endif
