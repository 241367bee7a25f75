/* set_table.c - tables of set.h */
#include "analyze/video/set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A row, of a video or of a group. */
typedef struct {
    const char *model, *stage, *name;
    int n, not_finite;
    const double *value;
    const ss_video_measures *m; /* NULL: a group */
    const ss_seam *seam, *warped_seam;
    const ss_seam_found *found;
} row;

static int n_rows(const ss_video_set *s, bool groups)
{
    return groups ? s->n_groups : s->n;
}

static row row_at(const ss_video_set *s, bool groups, int i)
{
    if (groups) {
        const ss_video_group *g = &s->group[i];

        return (row){g->model + s->shared, g->stage, "",   g->n,
                     g->not_finite,        g->mean,  NULL, &g->seam,
                     &g->warped_seam,      &g->found};
    }
    const ss_measured_video *v = &s->video[i];

    return (row){v->model + s->shared, v->stage,   v->name, 1,
                 v->m.not_finite > 0,  v->m.value, &v->m,   &v->m.seam,
                 &v->m.warped_seam,    &v->m.found};
}

/* Adds the columns that say which row it is. */
static ss_code begin(ss_table *t, const char *title, bool groups, ss_err *e)
{
    const ss_code rc = ss_table_init(t, title, e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "model", SS_COL_TEXT, NULL);
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    if (groups)
        ss_table_column(t, "videos", SS_COL_NUMBER, "%.0f");
    else
        ss_table_column(t, "video", SS_COL_TEXT, NULL);
    return SS_OK;
}

static void add_row(ss_table *t, bool groups, const row *r)
{
    ss_table_row(t);
    ss_table_text(t, r->model);
    ss_table_text(t, r->stage);
    if (groups)
        ss_table_number(t, r->n);
    else
        ss_table_text(t, r->name);
}

/* Drops the columns that say the same in every row. */
static void end(const ss_video_set *s, ss_table *t)
{
    bool model = false, stage = false;

    for (int i = 0; i < s->n_groups; i++) {
        model |= strcmp(s->group[i].model, s->group[0].model) != 0;
        stage |= strcmp(s->group[i].stage, s->group[0].stage) != 0;
    }
    if (!model)
        ss_table_drop(t, "model");
    if (!stage)
        ss_table_drop(t, "stage");
}

static void add_measures(ss_table *t, const ss_video_measure_id *which, int n)
{
    for (int k = 0; k < n; k++)
        ss_table_column(t, ss_video_measure_name(which[k]), SS_COL_NUMBER,
                        ss_video_measure_format(which[k]));
}

ss_code ss_video_change_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e)
{
    static const ss_video_measure_id which[] = {
        SS_VIDEO_FLICKER,   SS_VIDEO_DIFFERENCE,   SS_VIDEO_SECOND,   SS_VIDEO_MEAN_DRIFT,
        SS_VIDEO_STD_DRIFT, SS_VIDEO_COLOUR_DRIFT, SS_VIDEO_LOW_DRIFT};
    enum { N = sizeof which / sizeof *which };
    const ss_code rc = begin(t, groups ? "change by model" : "change", groups, e);
    char size[64];

    if (rc != SS_OK)
        return rc;
    if (!groups) {
        ss_table_column(t, "frames", SS_COL_NUMBER, "%.0f");
        ss_table_column(t, "size", SS_COL_TEXT, NULL);
    }
    ss_table_column(t, "not finite", SS_COL_NUMBER, "%.0f");
    add_measures(t, which, N);
    ss_table_note(t,
                  "flicker as VBench (1: still); differences in grey levels of 255; brightness to "
                  "large shapes: drift from the first frame to the last");
    for (int i = 0; i < n_rows(s, groups); i++) {
        const row r = row_at(s, groups, i);

        add_row(t, groups, &r);
        if (!groups) {
            snprintf(size, sizeof size, "%dx%dx%d", r.m->size.height, r.m->size.width,
                     r.m->size.channels);
            ss_table_number(t, r.m->size.frames);
            ss_table_text(t, size);
        }
        ss_table_number(t, groups ? r.not_finite : (double)r.m->not_finite);
        for (int k = 0; k < N; k++)
            ss_table_number(t, r.value[which[k]]);
    }
    end(s, t);
    return SS_OK;
}

ss_code ss_video_motion_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e)
{
    static const ss_video_measure_id which[] = {SS_VIDEO_SPEED,  SS_VIDEO_TOP,     SS_VIDEO_DYNAMIC,
                                                SS_VIDEO_HIDDEN, SS_VIDEO_WARPING, SS_VIDEO_BOILING,
                                                SS_VIDEO_SHARE};
    enum { N = sizeof which / sizeof *which };
    const ss_code rc = begin(t, groups ? "motion by model" : "motion", groups, e);
    char moving[48];

    if (rc != SS_OK)
        return rc;
    if (!groups)
        ss_table_column(t, "moving pairs", SS_COL_TEXT, NULL);
    add_measures(t, which, N);
    ss_table_note(t,
                  "speeds in pixels a frame, by our own flow (not RAFT); warping error and boiling "
                  "in grey levels; fast share: of the change along the motion");
    for (int i = 0; i < n_rows(s, groups); i++) {
        const row r = row_at(s, groups, i);

        add_row(t, groups, &r);
        if (!groups) {
            snprintf(moving, sizeof moving, "%d of %d", r.m->movement.moving, r.m->movement.pairs);
            ss_table_text(t, r.m->movement.pairs ? moving : "-");
        }
        for (int k = 0; k < N; k++)
            ss_table_number(t, r.value[which[k]]);
    }
    end(s, t);
    return SS_OK;
}

ss_code ss_video_seam_table(const ss_video_set *s, bool groups, ss_table *t, ss_err *e)
{
    const ss_code rc = begin(t, groups ? "seams by model" : "seams", groups, e);
    char found[48];

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "joints", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "at joints", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "elsewhere", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "p", SS_COL_NUMBER, "%.4f");
    ss_table_column(t, "warped, joints", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "warped, else", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "warped, p", SS_COL_NUMBER, "%.4f");
    ss_table_column(t, "stands out", SS_COL_TEXT, NULL);
    ss_table_column(t, "p of that", SS_COL_NUMBER, "%.3f");
    ss_table_note(
        t, "difference of frames (warped: warping error) where windows meet; stands out: the "
           "frames, from 1, between which all parts of the picture change most at once");
    for (int i = 0; i < n_rows(s, groups); i++) {
        const row r = row_at(s, groups, i);

        add_row(t, groups, &r);
        ss_table_number(t, r.seam->n);
        ss_table_number(t, r.seam->joints);
        ss_table_number(t, r.seam->inside);
        ss_table_number(t, r.seam->p);
        ss_table_number(t, r.warped_seam->joints);
        ss_table_number(t, r.warped_seam->inside);
        ss_table_number(t, r.warped_seam->p);
        snprintf(found, sizeof found, "%d to %d", r.found->at + 1, r.found->at + 2);
        ss_table_text(t, r.found->at >= 0 ? found : "-");
        ss_table_number(t, r.found->p);
    }
    end(s, t);
    return SS_OK;
}

char *ss_boiling_band_name(const ss_boiling_band *b, char *out, size_t n)
{
    if (b->finest == 0)
        snprintf(out, n, "all");
    else if (isinf(b->coarsest))
        snprintf(out, n, "%g px and more", b->finest);
    else
        snprintf(out, n, "%g to %g px", b->finest, b->coarsest);
    return out;
}

ss_code ss_video_boiling_table(const ss_video_set *s, ss_table *t, ss_err *e)
{
    const ss_code rc = begin(t, "boiling", true, e);
    char name[64];

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "waves", SS_COL_TEXT, NULL);
    ss_table_column(t, "still", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "change", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "fast", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "fast share", SS_COL_NUMBER, "%.3f");
    ss_table_note(
        t, "along the motion, root mean squares in grey levels; fast: above a quarter of the "
           "Nyquist frequency in time; share: of the change's energy");
    for (int g = 0; g < s->n_groups; g++) {
        const ss_boiling *b = &s->group[g].boiling;

        for (int k = 0; k < b->n_bands; k++) {
            const row r = row_at(s, true, g);
            const ss_boiling_band *band = &b->band[k];

            add_row(t, true, &r);
            ss_table_text(t, ss_boiling_band_name(band, name, sizeof name));
            ss_table_number(t, sqrt(band->still));
            ss_table_number(t, sqrt(band->change));
            ss_table_number(t, sqrt(band->fast));
            ss_table_number(t, band->share);
        }
    }
    end(s, t);
    return SS_OK;
}

ss_code ss_video_comparison_table(const ss_video_set *s, ss_table *t, ss_err *e)
{
    const ss_code rc = ss_table_init(t, "models compared", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "A", SS_COL_TEXT, NULL);
    ss_table_column(t, "B", SS_COL_TEXT, NULL);
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "videos", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "mean A", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "mean B", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "B - A", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "more", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "less", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "sign p", SS_COL_NUMBER, "%.4f");
    ss_table_note(t, "videos of the same name in pairs; low, high: 95 %% interval of the mean "
                     "difference; more, less: videos in which B has more of it");
    for (int i = 0; i < s->n_comparisons; i++) {
        const ss_video_comparison *c = &s->comparison[i];

        ss_table_row(t);
        ss_table_text(t, ss_video_group_model(s, &s->group[c->a]));
        ss_table_text(t, ss_video_group_model(s, &s->group[c->b]));
        ss_table_text(t, s->group[c->a].stage);
        ss_table_text(t, ss_video_measure_name(c->measure));
        ss_table_number(t, c->n);
        ss_table_number(t, c->mean_a);
        ss_table_number(t, c->mean_b);
        ss_table_number(t, c->difference);
        ss_table_number(t, c->low);
        ss_table_number(t, c->high);
        ss_table_number(t, c->more);
        ss_table_number(t, c->less);
        ss_table_number(t, c->p);
    }
    end(s, t);
    return SS_OK;
}

ss_code ss_video_distance_table(const ss_video_set *s, ss_table *t, ss_err *e)
{
    const ss_code rc = ss_table_init(t, "random-feature distance", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "A", SS_COL_TEXT, NULL);
    ss_table_column(t, "B", SS_COL_TEXT, NULL);
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    ss_table_column(t, "videos A", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "videos B", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "A to B", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "A to A", SS_COL_NUMBER, "%.4g");
    ss_table_note(t,
                  "Frechet distance of %d features of a random network, not FVD; A to A: of every "
                  "second video from the others, which few videos make too large",
                  (int)SS_VIDEO_FEATURES);
    for (int i = 0; i < s->n_distances; i++) {
        const ss_video_distance *d = &s->distance[i];

        ss_table_row(t);
        ss_table_text(t, ss_video_group_model(s, &s->group[d->a]));
        ss_table_text(t, ss_video_group_model(s, &s->group[d->b]));
        ss_table_text(t, s->group[d->a].stage);
        ss_table_number(t, d->n_a);
        ss_table_number(t, d->n_b);
        ss_table_number(t, d->distance);
        ss_table_number(t, d->within);
    }
    end(s, t);
    return SS_OK;
}
