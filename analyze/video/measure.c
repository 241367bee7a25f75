/* measure.c - see measure.h */
#include "analyze/video/measure.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>

const char *ss_video_measure_name(ss_video_measure_id k)
{
#define X(name, text, format) text,
    static const char *const names[] = {SS_VIDEO_MEASURES(X)};
#undef X
    return names[k];
}

const char *ss_video_measure_format(ss_video_measure_id k)
{
#define X(name, text, format) format,
    static const char *const formats[] = {SS_VIDEO_MEASURES(X)};
#undef X
    return formats[k];
}

void ss_video_measures_shrink(ss_video_measures *m)
{
    ss_free(m->movement.flow);
    ss_free(m->movement.hidden);
    m->movement.flow = NULL;
    m->movement.hidden = NULL;
}

void ss_video_measures_release(ss_video_measures *m)
{
    ss_free(m->difference);
    ss_free(m->second);
    ss_free(m->look);
    ss_free(m->tile);
    ss_movement_release(&m->movement);
    *m = (ss_video_measures){0};
}

static double mean_of(const double *x, int n)
{
    double sum = 0;
    int seen = 0;

    for (int i = 0; i < n; i++) {
        if (isnan(x[i]))
            continue;
        sum += x[i];
        seen++;
    }
    return seen ? sum / seen : NAN;
}

static ss_code measure_seams(const ss_video_options *opt, ss_video_measures *m, ss_err *e)
{
    const int pairs = m->size.frames - 1;
    int *joint = ss_alloc((size_t)pairs + 1, sizeof *joint);
    ss_code rc = joint ? SS_OK : ss_no_memory(e, "seams");

    if (rc == SS_OK) {
        const int n =
            opt->window ? ss_seams_joints(m->size.frames, opt->window, opt->overlap, joint) : 0;

        rc = ss_seams_test(m->difference, 1, pairs, joint, n, opt->seed, &m->seam, e);
        if (rc == SS_OK)
            rc = ss_seams_test(m->movement.warping, 1, pairs, joint, n, opt->seed, &m->warped_seam,
                               e);
    }
    ss_free(joint);
    return rc == SS_OK ? ss_seams_search(m->tile, m->n_tiles, pairs, opt->seed, &m->found, e) : rc;
}

/* The numbers by which videos are compared. */
static void summarise(ss_video_measures *m)
{
    const int F = m->size.frames, pairs = F - 1, stride = sizeof *m->look / sizeof(double);
    const ss_movement *w = &m->movement;
    double *to = m->value;

    to[SS_VIDEO_MEAN_DRIFT] = ss_change_trend(&m->look[0].mean, F, stride);
    to[SS_VIDEO_STD_DRIFT] = ss_change_trend(&m->look[0].std, F, stride);
    if (pairs < 1)
        return;
    to[SS_VIDEO_FLICKER] = ss_change_flicker(m->difference, F);
    to[SS_VIDEO_DIFFERENCE] = mean_of(m->difference, pairs);
    to[SS_VIDEO_SECOND] = mean_of(m->second, pairs - 1);
    to[SS_VIDEO_SPEED] = mean_of(w->speed, pairs);
    to[SS_VIDEO_TOP] = mean_of(w->top, pairs);
    to[SS_VIDEO_DYNAMIC] = w->moving >= w->needed;
    to[SS_VIDEO_HIDDEN] = mean_of(w->gone, pairs);
    to[SS_VIDEO_WARPING] = mean_of(w->warping, pairs);
    if (m->boiling.frames && m->boiling.followed > 0) {
        to[SS_VIDEO_BOILING] = sqrt(m->boiling.band[0].fast);
        to[SS_VIDEO_SHARE] = m->boiling.band[0].share;
    }
    to[SS_VIDEO_SEAM] = m->seam.score;
    to[SS_VIDEO_COLOUR_DRIFT] = ss_change_colour(&m->look[0], &m->look[F - 1]);
    to[SS_VIDEO_LOW_DRIFT] = m->look[F - 1].low;
}

ss_code ss_video_measure(const ss_video *v, const ss_video_options *opt, ss_video_measures *m,
                         ss_err *e)
{
    const size_t F = (size_t)v->size.frames;
    ss_code rc = SS_OK;

    *m = (ss_video_measures){.size = v->size, .found = {-1, NAN, NAN}};
    m->seam = m->warped_seam = (ss_seam){0, NAN, NAN, NAN, NAN, false};
    for (int k = 0; k < SS_VIDEO_N_MEASURES; k++)
        m->value[k] = NAN;
    for (int64_t i = 0; i < ss_sample_values(v->size); i++)
        m->not_finite += !isfinite(v->x[i]);
    if (m->not_finite)
        return SS_OK;
    m->difference = ss_calloc(F, sizeof *m->difference);
    m->second = ss_calloc(F, sizeof *m->second);
    m->look = ss_calloc(F, sizeof *m->look);
    m->tile = ss_calloc(F, SS_CHANGE_TILES * sizeof *m->tile);
    if (!m->difference || !m->second || !m->look || !m->tile)
        rc = ss_no_memory(e, "a video's measures");
    if (rc == SS_OK)
        rc = ss_change_looks(v, m->look, e);
    if (rc == SS_OK)
        rc = ss_video_features_find(v, m->features, e);
    if (rc == SS_OK && F > 1) {
        ss_change_differences(v, m->difference, m->second);
        m->n_tiles = ss_change_tiles(v, m->tile);
        rc = ss_movement_find(v, &m->movement, e);
        if (rc == SS_OK)
            rc = ss_boiling_find(v, &m->movement, &m->boiling, e);
        if (rc == SS_OK)
            rc = measure_seams(opt, m, e);
    }
    if (rc == SS_OK)
        summarise(m);
    else
        ss_video_measures_release(m);
    return rc;
}
