/* section_player.c - the network over sigma, frame by frame: what it saw, what it made of it,
 * and the largest activation of every block
 */
#include "base/file.h"
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/page/matrix.h"
#include "reports/sections/frames.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { MAX_FRAMES = 64, TILE = 64 };

static double scale_of(const float *x, int64_t n)
{
    double m = 1;

    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            m = fmax(m, fabs(x[i]));
    return m;
}

/* The samples that are shown: what the network sees and, if denoised, what it makes of it. */
typedef struct {
    ss_sample_size in, out;
    bool denoised;
    float *room;
} pictures;

/* Writes the picture of noise level k: inputs in the upper row, what the network makes of them in
 * the lower one. */
static ss_code draw(ss_page *page, const ss_analysis *x, int k, const pictures *p, ss_err *e)
{
    const int n = x->run->n_inputs < SS_SHOWN_INPUTS ? x->run->n_inputs : SS_SHOWN_INPUTS;
    const int sigma = x->order[k];
    const ss_sample_size in = p->in, out = p->out;
    int frames[SS_FRAMES_SHOWN];
    ss_tiles t = {0};
    char file[160], *path = NULL;
    int h, w;
    ss_code rc;

    ss_frames_tile(in, TILE, &h, &w);
    rc = ss_tiles_new(&t, p->denoised ? 2 : 1, n * ss_frames_shown(in, frames), h, w, e);
    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < n && rc == SS_OK; i++) {
        if ((rc = ss_run_picture(x->run, "/inputs/x", i, sigma, 0, p->room, e)) != SS_OK)
            break;
        ss_frames_put(&t, 0, i, p->room, in, scale_of(p->room, ss_sample_values(in)));
        if (!p->denoised)
            continue;
        if ((rc = ss_run_picture(x->run, "/outputs/denoised", i, sigma, 0, p->room, e)) == SS_OK)
            ss_frames_put(&t, 1, i, p->room, out,
                          out.channels > 3 ? scale_of(p->room, ss_sample_values(out)) : 1);
    }
    snprintf(file, sizeof file, "%sframe-%02d.png", page->prefix, k);
    if (rc == SS_OK && !(path = ss_path_join(page->folder, file)))
        rc = ss_no_memory(e, file);
    if (rc == SS_OK)
        rc = ss_image_write_png(path, &t.sheet, e);
    ss_free(path);
    ss_image_release(&t.sheet);
    return rc;
}

/* True when the run has answers with as many frames as the inputs. */
static bool has_answers(ss_run *r, ss_sample_size in, ss_sample_size *out)
{
    ss_run_shape shape;

    return ss_run_has_pictures(r, "/outputs/denoised", &shape) &&
           ss_sample_size_of(shape.rank, shape.dim, out) && out->frames == in.frames;
}

/* Writes the pictures of all noise levels; *n is 0 where the run has none. *size: of the inputs. */
static ss_code draw_all(ss_page *page, const ss_analysis *x, int *n, bool *denoised,
                        ss_sample_size *size, ss_err *e)
{
    ss_run_shape shape;
    pictures p = {0};
    ss_code rc = SS_OK;

    *n = 0;
    if (!ss_run_has_pictures(x->run, "/inputs/x", &shape) ||
        !ss_sample_size_of(shape.rank, shape.dim, &p.in))
        return SS_OK;
    *denoised = p.denoised = has_answers(x->run, p.in, &p.out);
    *size = p.in;
    const int64_t in = ss_sample_values(p.in), out = p.denoised ? ss_sample_values(p.out) : 0;
    p.room = ss_alloc((size_t)(out > in ? out : in), sizeof *p.room);
    if (!p.room)
        return ss_fail(e, SS_NOMEM, "%s: pictures: out of memory", x->run->path);
    for (int k = 0; k < x->n && rc == SS_OK; k++)
        rc = draw(page, x, k, &p, e);
    *n = x->n;
    ss_free(p.room);
    return rc;
}

/* The ends of the logarithmic scale that all bars share. */
static void scale(const ss_analysis *x, double ends[2])
{
    double low = INFINITY, high = 0;

    for (int i = 0; i < x->rows.n; i++) {
        for (int k = 0; k < x->n; k++) {
            const double v = ss_analysis_peak(x, x->rows.site[i], k);

            if (v > 0 && isfinite(v)) {
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
    }
    ends[0] = isfinite(low) ? low * 0.8 : 1e-3;
    ends[1] = fmax(high, 1e-2);
}

/* The data that page.js plays, as one JSON object. */
static json_t *script_data(const ss_page *page, const ss_analysis *x, int n_frames,
                           const double *ends)
{
    json_t *labels = json_array(), *absmax = json_array(), *over = json_array();
    json_t *names = n_frames ? json_array() : NULL; /* appending to NULL frees the item */
    json_t *alts = n_frames ? json_array() : NULL;
    char text[160];

    for (int k = 0; k < x->n; k++) {
        json_array_append_new(labels, json_sprintf("sigma %.4g", x->run->sigmas[x->order[k]]));
        snprintf(text, sizeof text, "%sframe-%02d.png", page->prefix, k);
        json_array_append_new(names, json_string(text));
        json_array_append_new(alts, json_sprintf("What the network saw at sigma %.4g, and what it "
                                                 "made of it.",
                                                 x->run->sigmas[x->order[k]]));
    }
    for (int i = 0; i < x->rows.n; i++) {
        json_t *row = json_array(), *row_over = json_array();

        for (int k = 0; k < x->n; k++) {
            const double v = ss_analysis_peak(x, x->rows.site[i], k);

            json_array_append_new(row, isfinite(v) ? json_real(v) : json_null());
            json_array_append_new(row_over, json_integer(ss_overflows(&x->format[0], v)));
        }
        json_array_append_new(absmax, row);
        json_array_append_new(over, row_over);
    }
    return json_pack("{s:o, s:o*, s:o*, s:o, s:o, s:f, s:f}", "labels", labels, "frames", names,
                     "alts", alts, "absmax", absmax, "over", over, "low", ends[0], "high", ends[1]);
}

static void controls(FILE *f, int n, double sigma)
{
    html_raw(f, "<div class=\"player\"><div class=\"controls\">"
                "<button type=\"button\">Play</button>"
                "<input type=\"range\" min=\"0\" aria-label=\"noise level\"");
    fprintf(f, " max=\"%d\" value=\"%d\">", n - 1, n - 1);
    fprintf(f, "<output>sigma %.4g</output></div>\n", sigma);
}

/* The picture that the script exchanges, between the names of its rows and columns. */
static void frame(ss_page *page, const ss_analysis *x, const char *file, bool denoised)
{
    FILE *f = page->f;
    ss_str columns = {0};

    for (int i = 0; i < x->run->n_inputs && i < SS_SHOWN_INPUTS; i++)
        ss_matrix_label(&columns, "%s", x->run->inputs[i]);
    html_raw(f, "<div class=\"matrix two\"><span class=\"corner\">input</span>");
    ss_matrix_columns(page, &columns);
    html_raw(f, "<span class=\"row\">saw</span>");
    if (denoised)
        html_raw(f, "<span class=\"row\">made</span>");
    html_raw(f, "<img src=\"");
    html_text(f, file);
    html_raw(f, "\" alt=\"What the network saw at the highest sigma.\"></div>\n");
    ss_str_release(&columns);
}

/* Bars at the highest noise level, which page.js moves to others: without it they are right, too.
 */
static void bars(FILE *f, const ss_analysis *x, const double *ends)
{
    char name[256];

    html_raw(f, "<div class=\"bars\">\n");
    for (int i = 0; i < x->rows.n; i++) {
        const double v = ss_analysis_peak(x, x->rows.site[i], x->n - 1);
        const double share = isfinite(v) && v > 0 ? log(v / ends[0]) / log(ends[1] / ends[0]) : 0;

        html_element(f, "span", "name row", "%s",
                     ss_site_name(x->run, x->rows.site[i], name, sizeof name));
        fprintf(f, "<span><span class=\"bar%s\" style=\"width:%.1f%%\"></span></span>",
                ss_overflows(&x->format[0], v) ? " over" : "", 100 * fmin(1, fmax(0, share)));
        if (isfinite(v))
            html_element(f, "span", "value", "%.3g", v);
        else
            html_raw(f, "<span class=\"value\">\xe2\x80\x93</span>");
        html_raw(f, "\n");
    }
    html_raw(f, "</div>\n");
}

ss_code ss_section_player(ss_page *page, const ss_analysis *x, ss_err *e)
{
    FILE *f = page->f;
    json_t *data;
    char *text, last[160];
    double ends[2];
    int n_frames;
    bool denoised = false;
    ss_sample_size size = {0};
    ss_str videos = {0};
    ss_code rc;

    if (x->n < 2 || x->n > MAX_FRAMES || x->rows.n == 0)
        return SS_OK;
    if ((rc = draw_all(page, x, &n_frames, &denoised, &size, e)) != SS_OK)
        return rc;
    scale(x, ends);
    data = script_data(page, x, n_frames, ends);
    text = data ? json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(5)) : NULL;
    json_decref(data);
    if (!text)
        return ss_no_memory(e, x->run->path);
    ss_page_section(page, "player", "Through the network, over sigma");
    ss_frames_say(&videos, size);
    html_element(f, "p", NULL,
                 "Slide, play, or use the arrow keys.%s%s%s The bars are the largest |x| in "
                 "forward order, on one logarithmic scale (%s); red: overflows %s.",
                 n_frames ? " The upper row is what the network saw" : "",
                 !n_frames               ? ""
                 : !denoised             ? "."
                 : ss_run_is_vae(x->run) ? ", the lower one the picture that it made of it."
                                         : ", the lower one what it takes for the clean picture.",
                 videos.s ? videos.s : "", x->rows_are, x->format[0].name);
    ss_str_release(&videos);
    controls(f, x->n, x->run->sigmas[x->order[x->n - 1]]);
    if (n_frames) {
        snprintf(last, sizeof last, "%sframe-%02d.png", page->prefix, x->n - 1);
        frame(page, x, last, denoised);
    }
    bars(f, x, ends);
    html_raw(f, "<script type=\"application/json\">");
    html_raw(f, text); /* numbers and names of our own: no markup can be in it */
    html_raw(f, "</script></div>\n");
    ss_free(text);
    return SS_OK;
}
