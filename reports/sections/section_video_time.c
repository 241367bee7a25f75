/* section_video_time.c - what changes over time: the spectrum along the motion, and seams */
#include "base/mem.h"
#include "reports/sections/section_video.h"

#include <math.h>
#include <string.h>

static int n_shown(const ss_video_set *s)
{
    return s->n_groups < SS_VIDEO_GROUPS_SHOWN ? s->n_groups : SS_VIDEO_GROUPS_SHOWN;
}

/* Data of a group: frequency and root of the power of the whole picture; octave and fast part. */
static void spectrum_data(ss_plot *p, const ss_boiling *b, int g)
{
    ss_plot_addf(p, "$f%d << E\n", g);
    for (int f = 0; f <= b->frames / 2 && b->frames; f++)
        if (b->band[0].power[f] > 0)
            ss_plot_addf(p, "%.6g %.6g\n", (double)f / b->frames, sqrt(b->band[0].power[f]));
    ss_plot_addf(p, "E\n$o%d << E\n", g);
    for (int k = 1; k < b->n_bands; k++)
        ss_plot_addf(p, "%d %.6g\n", k, sqrt(b->band[k].fast));
    ss_plot_add(p, "E\n");
}

ss_code ss_section_video_boiling(ss_page *page, const ss_video_set *s, ss_err *e)
{
    ss_plot p = {0};
    ss_table t;
    char label[200], name[64];
    int most = -1;
    ss_code rc = SS_OK;

    ss_page_section(page, "boiling", "Boiling: fast changes along the motion");
    for (int g = 0; g < n_shown(s); g++) {
        const ss_boiling *b = &s->group[g].boiling;

        spectrum_data(&p, b, g);
        if (b->frames && (most < 0 || b->n_bands > s->group[most].boiling.n_bands))
            most = g;
    }
    if (most < 0) {
        ss_plot_release(&p);
        ss_page_nothing(page, "no video has 8 frames whose points can be followed.");
        return SS_OK;
    }
    ss_plot_settings(&p);
    ss_plot_add(&p, "set ylabel 'grey levels'\nset yrange [0:*]\n");
    ss_plot_panel(&p, "whole picture", "cycles a frame", "grey levels");
    ss_plot_add(&p, "set xrange [0:0.5]\nset xlabel 'frequency, cycles a frame'\n"
                    "set arrow 1 from 0.125,graph 0 to 0.125,graph 1 nohead lt 10\n");
    for (int g = 0; g < n_shown(s); g++) {
        if (!(s->group[g].boiling.frames && s->group[g].boiling.band[0].change > 0))
            continue;
        snprintf(name, sizeof name, "$f%d", g);
        ss_plot_series(&p, g % 8 + 1, SS_PLOT_BOTH, ss_video_group_label(s, g, label, sizeof label),
                       name, 1, 2);
    }
    ss_plot_items_end(&p);
    ss_plot_panel(&p, "fast part, by length of waves", "octave", "grey levels");
    ss_plot_addf(&p, "unset arrow 1\nset xlabel 'pixels'\nset xrange [0.5:%d.5]\nset xtics (",
                 s->group[most].boiling.n_bands - 1);
    for (int k = 1; k < s->group[most].boiling.n_bands; k++) {
        ss_boiling_band_name(&s->group[most].boiling.band[k], name, sizeof name);
        name[strcspn(name, "p") - 1] = '\0'; /* "2 to 4" of "2 to 4 px" */
        ss_plot_addf(&p, "%s'%s%s' %d", k > 1 ? ", " : "", name,
                     isinf(s->group[most].boiling.band[k].coarsest) ? "+" : "", k);
    }
    ss_plot_add(&p, ")\n");
    for (int g = 0; g < n_shown(s); g++)
        if (s->group[g].boiling.frames) {
            snprintf(name, sizeof name, "$o%d", g);
            ss_plot_series(&p, g % 8 + 1, SS_PLOT_BOTH,
                           ss_video_group_label(s, g, label, sizeof label), name, 1, 2);
        }
    ss_plot_items_end(&p);
    rc = ss_page_figure(
        page, &p, "boiling", SS_PANEL_WIDTH, 300,
        "First: change along the motion by frequency in time. Second: its fast part by octave.",
        "Points follow the motion; of a video without flaw they keep their brightness. First: how "
        "much they change at each frequency in time, root mean square; right of the dashed line, a "
        "quarter of the Nyquist frequency, is boiling. Second: that fast part in each octave.",
        e);
    if (rc == SS_OK && (rc = ss_video_boiling_table(s, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

/* Mean difference of each pair over a group's videos that have as many pairs as its first. Returns
 * how many pairs there are. */
static int mean_differences(ss_plot *p, const ss_video_set *s, int g)
{
    int pairs = 0;

    for (int i = 0; i < s->n && !pairs; i++) {
        const ss_measured_video *v = &s->video[i];

        if (!strcmp(v->model, s->group[g].model) && !strcmp(v->stage, s->group[g].stage) &&
            !v->m.not_finite)
            pairs = v->m.size.frames - 1;
    }
    ss_plot_addf(p, "$d%d << E\n", g);
    for (int t = 0; t < pairs; t++) {
        double sum = 0, warped = 0;
        int n = 0;

        for (int i = 0; i < s->n; i++) {
            const ss_measured_video *v = &s->video[i];

            if (strcmp(v->model, s->group[g].model) || strcmp(v->stage, s->group[g].stage) ||
                v->m.not_finite || v->m.size.frames - 1 != pairs)
                continue;
            sum += v->m.difference[t];
            warped += v->m.movement.warping[t];
            n++;
        }
        ss_plot_addf(p, "%.1f %.6g ", t + 1.5, sum / n);
        ss_plot_number(p, warped / n);
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "E\n");
    return pairs;
}

static ss_code mark_joints(ss_plot *p, int frames, const ss_video_options *opt, ss_err *e)
{
    int *joint = ss_alloc((size_t)frames + 1, sizeof *joint);

    if (!joint)
        return ss_no_memory(e, "seams");
    const int n = opt->window ? ss_seams_joints(frames, opt->window, opt->overlap, joint) : 0;
    for (int i = 0; i < n && i < 60; i++)
        ss_plot_addf(p, "set arrow %d from %.1f,graph 0 to %.1f,graph 1 nohead lt 10\n", i + 1,
                     joint[i] + 1.5, joint[i] + 1.5);
    ss_free(joint);
    return SS_OK;
}

ss_code ss_section_video_seams(ss_page *page, const ss_video_set *s, const ss_video_options *opt,
                               ss_err *e)
{
    ss_plot p = {0};
    ss_table t;
    char label[200], data[16];
    int most = 0, pairs[SS_VIDEO_GROUPS_SHOWN] = {0};
    ss_code rc;

    ss_page_section(page, "seams", "Seams: where frames change more than elsewhere");
    for (int g = 0; g < n_shown(s); g++) {
        pairs[g] = mean_differences(&p, s, g);
        most = pairs[g] > most ? pairs[g] : most;
    }
    if (most < 2) {
        ss_plot_release(&p);
        ss_page_nothing(page, "no video has three frames.");
        return SS_OK;
    }
    ss_plot_settings(&p);
    if ((rc = mark_joints(&p, most + 1, opt, e)) != SS_OK)
        goto out;
    ss_plot_addf(&p,
                 "set xrange [1:%d]\nset yrange [0:*]\nset xlabel 'frame'\n"
                 "set ylabel 'grey levels'\nset offsets 0, 0, graph 0.1, 0\n",
                 most + 1);
    for (int column = 2; column <= 3; column++) {
        ss_plot_panel(&p, column == 2 ? "difference from the next frame" : "warping error", "frame",
                      "grey levels");
        for (int g = 0; g < n_shown(s); g++) {
            if (!pairs[g] || (column == 3 && isnan(s->group[g].mean[SS_VIDEO_WARPING])))
                continue;
            snprintf(data, sizeof data, "$d%d", g);
            ss_plot_series(&p, g % 8 + 1, SS_PLOT_BOTH,
                           ss_video_group_label(s, g, label, sizeof label), data, 1, column);
        }
        ss_plot_items_end(&p);
    }
    rc =
        ss_page_figure(page, &p, "seams", SS_PANEL_WIDTH, 300,
                       "Mean difference of neighbouring frames over the frames of a video.",
                       opt->window ? "Means over the videos of a model. Dashed: where windows meet."
                                   : "Means over the videos of a model.",
                       e);
    if (rc == SS_OK && (rc = ss_video_seam_table(s, true, &t, e)) == SS_OK)
        ss_page_table(page, &t);
out:
    ss_plot_release(&p);
    return rc;
}
