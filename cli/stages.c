/* stages.c - see stages.h */
#include "cli/stages.h"

#include "analyze/video/set.h"
#include "base/mem.h"
#include "probe/videos.h"

static const ss_video_measure_id shown[] = {
    SS_VIDEO_FLICKER, SS_VIDEO_DIFFERENCE, SS_VIDEO_SECOND, SS_VIDEO_SPEED,
    SS_VIDEO_WARPING, SS_VIDEO_BOILING,    SS_VIDEO_SEAM,
};
enum { SHOWN = sizeof shown / sizeof *shown };

/* Measures the videos one by one; what else there is of them is not kept. */
static ss_code measure(const ss_videos *l, ss_video_set *s, ss_err *e)
{
    const ss_video_options opt = {0};
    ss_code rc = SS_OK;

    if (!(s->video = ss_calloc((size_t)l->n + 1, sizeof *s->video)))
        return ss_no_memory(e, "videos");
    for (int i = 0; i < l->n && rc == SS_OK; i++) {
        ss_measured_video *to = &s->video[i];
        ss_video v = {0};

        *to = (ss_measured_video){
            .model = l->entry[i].model, .stage = l->entry[i].stage, .name = l->entry[i].name};
        s->n = i + 1;
        rc = ss_videos_read(l, i, &v, e);
        if (rc == SS_OK)
            rc = ss_video_measure(&v, &opt, &to->m, e);
        ss_video_measures_shrink(&to->m);
        ss_video_release(&v);
    }
    return rc == SS_OK ? ss_video_set_compare(s, &opt, e) : rc;
}

static ss_code fill(const ss_video_set *s, ss_table *t, ss_err *e)
{
    const ss_code rc = ss_table_init(t, "what stages add", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t, "means over a stage's videos; frames and pixels differ from stage to stage "
                     "(sigmascope video has all numbers, and their meaning)");
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    for (int k = 0; k < SHOWN; k++)
        ss_table_column(t, ss_video_measure_name(shown[k]), SS_COL_NUMBER,
                        ss_video_measure_format(shown[k]));
    for (int i = 0; i < s->n_groups; i++) {
        ss_table_row(t);
        ss_table_text(t, s->group[i].stage);
        for (int k = 0; k < SHOWN; k++)
            ss_table_number(t, s->group[i].mean[shown[k]]);
    }
    return SS_OK;
}

ss_code cli_stage_table(const char *dir, ss_table *t, ss_err *e)
{
    const ss_videos_options opt = {0};
    ss_videos *l = NULL;
    ss_video_set s = {0};
    ss_code rc = ss_videos_find(&l, dir, &opt, e);

    if (rc == SS_OK)
        rc = measure(l, &s, e);
    if (rc == SS_OK)
        rc = fill(&s, t, e);
    ss_video_set_release(&s);
    ss_videos_free(l);
    return rc;
}
