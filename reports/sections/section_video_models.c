/* section_video_models.c - models beside one another: a dot a video, and how fast pixels move */
#include "base/mem.h"
#include "reports/sections/section_video.h"

#include <math.h>
#include <string.h>

static int n_shown(const ss_video_set *s)
{
    return s->n_groups < SS_VIDEO_GROUPS_SHOWN ? s->n_groups : SS_VIDEO_GROUPS_SHOWN;
}

char *ss_video_group_label(const ss_video_set *s, int group, char *out, size_t n)
{
    const ss_video_group *g = &s->group[group];
    bool model = s->n_groups == 1, stage = false;

    for (int i = 0; i < s->n_groups; i++) {
        model |= strcmp(s->group[i].model, g->model) != 0;
        stage |= strcmp(s->group[i].stage, g->stage) != 0;
    }
    snprintf(out, n, "%s%s%s", model ? ss_video_group_model(s, g) : "",
             model && stage && *g->stage ? ", " : "", stage ? g->stage : "");
    return out;
}

/* Writes x tics with the groups' names. */
static void add_names(ss_plot *p, const ss_video_set *s)
{
    char label[120];

    ss_plot_add(p, "set xtics (");
    for (int g = 0; g < n_shown(s); g++) {
        char *text = ss_video_group_label(s, g, label, sizeof label);
        const size_t n = strlen(text);

        ss_plot_add(p, g ? ", " : "");
        ss_plot_label(p, n > 18 ? text + n - 18 : text); /* the end tells names apart */
        ss_plot_addf(p, " %d", g);
    }
    ss_plot_add(p, ")\n");
}

static bool in_group(const ss_measured_video *v, const ss_video_group *g)
{
    return strcmp(v->model, g->model) == 0 && strcmp(v->stage, g->stage) == 0;
}

/* Dots of one measure; *low and *high are those of all of them. Returns how many there are. */
static int add_dots(ss_plot *p, const ss_video_set *s, ss_video_measure_id k)
{
    int n = 0;

    ss_plot_addf(p, "$m%d << E\n", (int)k);
    for (int g = 0; g < n_shown(s); g++) {
        int in = 0;

        for (int i = 0; i < s->n; i++) {
            const double v = s->video[i].m.value[k];

            if (!in_group(&s->video[i], &s->group[g]) || isnan(v))
                continue;
            ss_plot_addf(p, "%.4f %.9g %d\n", g + 0.07 * (in++ % 7 - 3), v, g + 1);
            n++;
        }
    }
    ss_plot_addf(p, "E\n$a%d << E\n", (int)k);
    for (int g = 0; g < n_shown(s); g++)
        if (!isnan(s->group[g].mean[k]))
            ss_plot_addf(p, "%d %.9g\n", g, s->group[g].mean[k]);
    ss_plot_add(p, "E\n");
    return n;
}

static ss_code dots(ss_page *page, const ss_video_set *s, ss_err *e)
{
    ss_video_measure_id which[] = {SS_VIDEO_FLICKER, SS_VIDEO_TOP,  SS_VIDEO_WARPING,
                                   SS_VIDEO_BOILING, SS_VIDEO_SEAM, SS_VIDEO_MEAN_DRIFT};
    static const char *const units[] = {"1: still",    "pixels a frame", "grey levels",
                                        "grey levels", "grey levels",    "grey levels"};
    enum { N = sizeof which / sizeof *which };
    ss_plot p = {0};
    int n[N];
    bool seams = false;

    for (int g = 0; g < s->n_groups; g++)
        seams |= !isnan(s->group[g].mean[SS_VIDEO_SEAM]);
    if (!seams)
        which[4] = SS_VIDEO_SECOND;
    for (int k = 0; k < N; k++)
        n[k] = add_dots(&p, s, which[k]);
    ss_plot_settings(&p);
    ss_plot_addf(&p, "set xrange [-0.5:%d.5]\n", n_shown(s) - 1);
    add_names(&p, s);
    if (n_shown(s) > 3)
        ss_plot_add(&p, "set xtics rotate by -30\n");
    for (int k = 0; k < N; k++) {
        ss_plot_panel(&p, ss_video_measure_name(which[k]), "", units[k]);
        ss_plot_addf(&p, "set ylabel '%s'\n", units[k]);
        if (n[k]) {
            ss_plot_item(&p, "$m%d using 1:2:3 with points pt 7 ps 0.7 lc variable notitle",
                         (int)which[k]);
            ss_plot_item(&p,
                         "$a%d using ($1-0.3):2:(0.6):(0) with vectors nohead lt 9 lw 2 notitle",
                         (int)which[k]);
        }
        ss_plot_items_end(&p);
    }
    return ss_page_figure(page, &p, "models", SS_PANEL_WIDTH, SS_PANEL_HEIGHT,
                          "Six measures, a dot a video, in a column for each model.",
                          "A dot is a video, a line the mean of its model "
                          "and stage.",
                          e);
}

ss_code ss_section_video_models(ss_page *page, const ss_video_set *s, ss_err *e)
{
    ss_table t;
    ss_code rc;

    ss_page_section(page, "models",
                    s->n_distances    ? "Models compared"
                    : s->n_groups > 1 ? "Models and stages"
                                      : "All videos");
    if ((rc = dots(page, s, e)) == SS_OK && (rc = ss_video_change_table(s, true, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && s->n_comparisons && (rc = ss_video_comparison_table(s, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && s->n_distances && (rc = ss_video_distance_table(s, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

ss_code ss_section_video_motion(ss_page *page, const ss_video_set *s, ss_err *e)
{
    ss_plot p = {0};
    ss_table t;
    char label[200], data[16];
    int drawn = 0;
    ss_code rc = SS_OK;

    ss_page_section(page, "motion", "Motion");
    for (int g = 0; g < n_shown(s); g++) {
        double speeds[SS_SPEED_BINS] = {0}, total = 0;

        for (int i = 0; i < s->n; i++)
            for (int k = 0; k < SS_SPEED_BINS && in_group(&s->video[i], &s->group[g]); k++) {
                speeds[k] += (double)s->video[i].m.movement.speeds[k];
                total += (double)s->video[i].m.movement.speeds[k];
            }
        ss_plot_addf(&p, "$g%d << E\n", g);
        for (int k = 0; k < SS_SPEED_BINS && total > 0; k++)
            ss_plot_addf(&p, "%d %.6g\n", k, speeds[k] / total);
        ss_plot_add(&p, "E\n");
    }
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "speed, class", "share of pixels");
    ss_plot_addf(&p, "set xrange [-0.5:%d.5]\nset yrange [0:1]\nset xtics (", SS_SPEED_BINS - 1);
    for (int k = 0; k < SS_SPEED_BINS; k++)
        ss_plot_addf(&p, "%s'%s' %d", k ? ", " : "", ss_movement_bin(k), k);
    ss_plot_add(&p, ")\nset xlabel 'speed, pixels a frame'\nset ylabel 'share of pixels'\n");
    for (int g = 0; g < n_shown(s); g++) {
        if (isnan(s->group[g].mean[SS_VIDEO_SPEED]))
            continue;
        snprintf(data, sizeof data, "$g%d", g);
        ss_plot_series(&p, g % 8 + 1, SS_PLOT_BOTH, ss_video_group_label(s, g, label, sizeof label),
                       data, 1, 2);
        drawn++;
    }
    ss_plot_items_end(&p);
    if (drawn)
        rc = ss_page_figure(page, &p, "speeds", SS_PLOT_WIDTH, 320,
                            "Share of pixels by speed, a line for each model.",
                            "How fast pixels move between neighbouring frames, by our own optical "
                            "flow.",
                            e);
    else
        ss_page_nothing(page, "no video has two frames that are finite.");
    ss_plot_release(&p);
    if (rc == SS_OK && (rc = ss_video_motion_table(s, true, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
