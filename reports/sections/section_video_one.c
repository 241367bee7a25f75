/* section_video_one.c - one video: frames, flow, and its curves over frames */
#include "base/mem.h"
#include "reports/page/matrix.h"
#include "reports/page/tiles.h"
#include "reports/sections/section_video.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 8, SIDE = 104 };

/* rgb [3] = colour of a flow: its direction as hue, right red, down green-yellow, its length up to
 * `most` as how full the colour is; -1 to 1. Hue and value are those of HSV. */
static void flow_colour(float u, float v, double most, float *rgb)
{
    const double length = fmin(hypot(u, v) / most, 1);
    const double hue = (atan2(v, u) / (2 * M_PI) + 1) * 6;

    for (int k = 0; k < 3; k++) {
        const double x = fmod(hue + (k == 0 ? 0 : k == 1 ? 4 : 2), 6); /* 0: this channel is full */
        const double full = fmin(fmax(fabs(x - 3) - 1, 0), 1);

        rgb[k] = (float)(2 * (1 - length * (1 - full)) - 1);
    }
}

/* The speed that gets the full colour: the largest mean of the fastest 5 % of a pair, at least half
 * a pixel. */
static double full_speed(const ss_movement *m)
{
    double most = 0.5;

    for (int t = 0; t < m->pairs; t++)
        most = fmax(most, m->top[t]);
    return most;
}

/* Frame t as values of -1 to 1 with one or three channels. */
static int frame_values(const ss_video *v, int t, float *to)
{
    const int c = v->size.channels, shown = c == 3 ? 3 : 1;
    const float *x = ss_video_frame(v, t);

    for (int64_t i = 0; i < ss_sample_area(v->size); i++)
        for (int k = 0; k < shown; k++)
            to[i * shown + k] = x[i * c + k] / 127.5f - 1;
    return shown;
}

static ss_code pictures(ss_page *page, const ss_measured_video *v, const char *prefix, ss_err *e)
{
    const ss_sample_size size = v->video.size;
    const ss_movement *m = &v->m.movement;
    const int columns = size.frames < COLUMNS ? size.frames : COLUMNS;
    const int64_t n = ss_sample_area(size);
    const double most = full_speed(m);
    float *room = ss_alloc((size_t)n, 3 * sizeof *room);
    ss_tiles tiles = {0};
    char name[64], caption[600], alt[160];
    ss_matrix matrix = {.name = name, .alt = alt, .caption = caption, .corner = "frame"};
    int h, w;
    ss_code rc = room ? SS_OK : ss_no_memory(e, "a picture of flow");

    ss_tiles_fit(size.height, size.width, SIDE, &h, &w);
    if (rc == SS_OK)
        rc = ss_tiles_new(&tiles, m->flow ? 2 : 1, columns, h, w, e);
    for (int k = 0; k < columns && rc == SS_OK; k++) {
        const int t = columns > 1 ? (int)lround((double)k * (size.frames - 1) / (columns - 1)) : 0;
        const int c = frame_values(&v->video, t, room);

        ss_tiles_picture(&tiles, 0, k, room, size.height, size.width, c, 1);
        if (t >= m->pairs || !m->flow)
            continue;
        for (int64_t i = 0; i < n; i++) {
            const float *flow = m->flow + 2 * (t * n + i);

            flow_colour(flow[0], flow[1], most, room + 3 * i);
            for (int q = 0; q < 3 && m->hidden[t * n + i]; q++)
                room[3 * i + q] = -0.5f;
        }
        ss_tiles_picture(&tiles, 1, k, room, size.height, size.width, 3, 1);
    }
    ss_free(room);
    if (rc != SS_OK) {
        ss_image_release(&tiles.sheet);
        return rc;
    }
    for (int k = 0; k < columns; k++)
        ss_matrix_label(
            &matrix.columns, "%d",
            1 + (columns > 1 ? (int)lround((double)k * (size.frames - 1) / (columns - 1)) : 0));
    ss_matrix_label(&matrix.rows, "picture");
    ss_matrix_label(&matrix.rows, "flow to the next frame");
    snprintf(name, sizeof name, "%sflow", prefix);
    snprintf(alt, sizeof alt, "%d of %d frames, and the flow to the next frame.", columns,
             size.frames);
    snprintf(caption, sizeof caption, "%d of %d frames, from the first to the last%s", columns,
             size.frames, m->flow ? "" : ".");
    if (m->flow)
        snprintf(
            caption + strlen(caption), sizeof caption - strlen(caption),
            "; below, the flow from each to the next: red moves right, yellow-green down, cyan "
            "left, violet up, white not at all; full colour is %.3g pixels a frame; dark pixels "
            "have no partner in the next frame.",
            most);
    return ss_page_matrix(page, &tiles, &matrix, e);
}

static void add_curves(ss_plot *p, const ss_video_measures *m)
{
    const int F = m->size.frames;

    ss_plot_add(p, "$v << E\n");
    for (int t = 0; t < F; t++) {
        const bool pair = t + 1 < F, inner = t > 0 && t + 1 < F;
        const ss_change_look *l = &m->look[t];
        const double row[] = {
            t + 1,
            pair ? m->difference[t] : NAN,
            inner ? m->second[t - 1] : NAN,
            pair ? m->movement.warping[t] : NAN,
            pair ? m->movement.speed[t] : NAN,
            pair ? m->movement.top[t] : NAN,
            pair ? m->movement.gone[t] : NAN,
            l->mean,
            l->std,
            ss_change_colour(&m->look[0], l),
            l->low,
        };

        for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
            ss_plot_number(p, row[k]);
            ss_plot_add(p, " ");
        }
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "E\n");
}

/* One panel of two or three columns of the data. */
static void panel(ss_plot *p, const char *title, const char *unit, int first, const int *columns,
                  const char *const *names, int n)
{
    ss_plot_panel(p, title, "frame", unit);
    ss_plot_addf(p, "set ylabel '%s'\n", unit);
    for (int k = 0; k < n; k++)
        ss_plot_series(p, first + k, SS_PLOT_BOTH, names[k], "$v", 1, columns[k]);
    ss_plot_items_end(p);
}

static ss_code curves(ss_page *page, const ss_video_measures *m, const ss_video_options *opt,
                      const char *prefix, ss_err *e)
{
    ss_plot p = {0};
    char name[64];
    int *joint = ss_alloc((size_t)m->size.frames + 1, sizeof *joint);

    if (!joint)
        return ss_no_memory(e, "seams");
    const int n =
        opt->window ? ss_seams_joints(m->size.frames, opt->window, opt->overlap, joint) : 0;
    add_curves(&p, m);
    ss_plot_settings(&p);
    for (int i = 0; i < n && i < 60; i++)
        ss_plot_addf(&p, "set arrow %d from %.1f,graph 0 to %.1f,graph 1 nohead lt 10\n", i + 1,
                     joint[i] + 1.5, joint[i] + 1.5);
    ss_free(joint);
    ss_plot_addf(&p,
                 "set xrange [1:%d]\nset xlabel 'frame'\nset yrange [0:*]\n"
                 "set offsets 0, 0, graph 0.1, 0\n",
                 m->size.frames);
    panel(&p, "change to the next frame", "grey levels", 1, (const int[]){2, 3, 4},
          (const char *const[]){"difference", "second difference", "warping error"}, 3);
    panel(&p, "motion", "pixels a frame", 4, (const int[]){5, 6},
          (const char *const[]){"mean", "top 5 %"}, 2);
    panel(&p, "drift", "grey levels", 6, (const int[]){8, 9},
          (const char *const[]){"brightness", "its standard deviation"}, 2);
    panel(&p, "drift from the first frame", "grey levels, CIELAB", 1, (const int[]){11, 10},
          (const char *const[]){"large shapes", "colour"}, 2);
    snprintf(name, sizeof name, "%scurves", prefix);
    return ss_page_figure(page, &p, name, SS_PANEL_WIDTH, SS_PANEL_HEIGHT,
                          "Four panels over frames: change, motion, drift of brightness, drift.",
                          n ? "Over the frames of this video. Dashed: where windows meet."
                            : "Over the frames of this video.",
                          e);
}

ss_code ss_section_video_one(ss_page *page, const ss_video_set *s, int i,
                             const ss_video_options *opt, ss_err *e)
{
    const ss_measured_video *v = &s->video[i];
    char id[32], prefix[32];
    ss_code rc;

    snprintf(id, sizeof id, "video-%d", i + 1);
    snprintf(prefix, sizeof prefix, "video-%d-", i + 1);
    ss_str title = {0};
    ss_str_addf(&title, "Video %s%s%s of %s", v->name, *v->stage ? ", " : "", v->stage,
                v->model + s->shared);
    ss_page_section(page, id, title.failed ? v->name : title.s);
    ss_str_release(&title);
    if (v->m.not_finite) {
        ss_page_nothing(page, "values of this video are inf or NaN.");
        return SS_OK;
    }
    rc = pictures(page, v, prefix, e);
    return rc == SS_OK && v->m.size.frames > 1 ? curves(page, &v->m, opt, prefix, e) : rc;
}
