/* draw.c - a figure as SVG for the page and as PNG for papers; see plot.h */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "reports/page/plot.h"
#include "reports/page/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    INK = 11, /* the colours after the ten line types, see figure.css */
    GRID = 13,
    N_COLORS = 13,
    LETTER = 7, /* width in pixels, of the key in the PNG */
    KEY_SAMPLE = 48,
    KEY_ROW = 18,
    SVG_MAX = 64 << 20
};

static const char *program = "gnuplot";

/* Okabe & Ito's colours on white; figure.css has them for the page. */
static const char light[] = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #8a8f98 #000000 "
                            "#c4c9d0 #b00020 #1f2328 #ffffff #d0d7de";

/* Patterns and marks by line type. Neighbours differ in both. */
static const struct {
    const char *dashes;
    int mark;
} styles[] = {{"", 7},    {"10,4", 5},         {"4,3", 9}, {"12,3,3,3", 11}, {"", 13},
              {"2,3", 6}, {"12,3,3,3,3,3", 4}, {"6,3", 8}, {"", 7},          {"6,4", 7}};

/* viridis (S. van der Walt, N. Smith; CC0) at nine points; between them the error is below 2 of
 * 255. */
static const char palette[] =
    "set palette maxcolors 128 defined (0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#2c728e', "
    "4 '#21918c', 5 '#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725')\n";

void ss_plot_program(const char *name)
{
    program = name;
}

const char *ss_plot_dashes(int type)
{
    return type >= 1 && type <= SS_PLOT_LIMIT ? styles[type - 1].dashes : "";
}

int ss_plot_mark(int type)
{
    return type >= 1 && type <= SS_PLOT_LIMIT ? styles[type - 1].mark : 7;
}

static void add_colors(ss_str *s, bool svg)
{
    if (svg)
        ss_str_add(s, "LINE(t,s) = sprintf('#e7%02x%02x', t, s)\n");
    else
        ss_str_addf(s, "LINE(t,s) = word('%s', t)\n", light);
    ss_str_addf(s, "ink = LINE(%d,0)\n", INK);
    for (int i = 1; i <= SS_PLOT_LIMIT; i++) {
        const char *dashes = ss_plot_dashes(i);

        ss_str_addf(s, "set linetype %d lc rgb LINE(%d,0) lw %s pt %d ps 0.8 dt %s%s%s\n", i, i,
                    i == SS_PLOT_MUTED ? "0.7" : "1.6", ss_plot_mark(i), *dashes ? "(" : "solid",
                    dashes, *dashes ? ")" : "");
    }
}

static void add_theme(ss_str *s)
{
    ss_str_add(s, "reset\n");
    ss_str_add(s, palette);
    ss_str_addf(s,
                "set border 3 lc rgb ink lw 0.7\nset tics nomirror textcolor rgb ink\n"
                "set grid lc rgb LINE(%d,0) lt 1 dt solid lw 0.5\n"
                "set key textcolor rgb ink samplen 2\n"
                "set title textcolor rgb ink\nset xlabel textcolor rgb ink\n"
                "set ylabel textcolor rgb ink\nset cblabel textcolor rgb ink\n"
                "set datafile missing 'NaN'\n",
                GRID);
}

static int n_panels(const ss_plot *p)
{
    return p->n_panels ? p->n_panels : 1;
}

static void add_part(ss_str *s, const ss_plot *p, size_t from, size_t to)
{
    if (p->script.s && to > from)
        ss_str_addn(s, p->script.s + from, to - from);
}

/* Data come once, before the panels. */
static void add_data(ss_str *s, const ss_plot *p)
{
    add_part(s, p, 0, p->settings_at);
}

static void add_panel(ss_str *s, const ss_plot *p, int i)
{
    if (p->n_panels == 0) {
        add_part(s, p, p->settings_at, p->script.len);
        return;
    }
    add_part(s, p, p->settings_at, p->panel[0].at);
    add_part(s, p, p->panel[i].at, i + 1 < p->n_panels ? p->panel[i + 1].at : p->script.len);
}

/* How the key of the PNG is laid out. */
typedef struct {
    int columns, rows, height;
} key;

static key key_of(const ss_plot *p, int width)
{
    size_t longest = 0;
    key k = {0};

    for (int i = 0; i < p->n_lines; i++)
        longest = strlen(p->line[i].title) > longest ? strlen(p->line[i].title) : longest;
    if (p->n_lines == 0)
        return k;
    k.columns = width / (int)(KEY_SAMPLE + LETTER * (longest < 100 ? longest : 100));
    k.columns = k.columns < 1 ? 1 : k.columns;
    k.rows = (p->n_lines + k.columns - 1) / k.columns;
    k.height = k.rows * KEY_ROW + KEY_ROW / 2;
    return k;
}

static void add_key(ss_str *s, ss_plot *p, key k, double share)
{
    static const char *const with[] = {"lines", "points", "linespoints", "lines", "filledcurves"};

    add_theme(s);
    ss_str_addf(s,
                "set size 1,%.6f\nset origin 0,0\nunset border\nunset tics\nunset grid\n"
                "set margins 0,0,0,0\nset xrange [0:1]\nset yrange [0:1]\n"
                "set key at screen 0.01, screen %.6f left top Left reverse horizontal maxcols %d\n",
                share, share * 0.97, k.columns);
    for (int i = 0; i < p->n_lines; i++) {
        const size_t before = p->script.len;

        ss_str_addf(s, "%s%s with %s lt %d%s title ", i ? ", " : "plot ",
                    p->line[i].style == SS_PLOT_BAND ? "'+' using 1:(NaN):(NaN)" : "NaN",
                    with[p->line[i].style], p->line[i].type,
                    p->line[i].style == SS_PLOT_BAND ? " fs transparent solid 0.3" : "");
        ss_plot_label(p, p->line[i].title);
        add_part(s, p, before, p->script.len);
        p->script.len = before;
    }
    ss_str_add(s, "\n");
}

static void add_png(ss_str *s, ss_plot *p, const char *name, int width, int height)
{
    const int n = n_panels(p), columns = n <= 3 ? n : 2, rows = (n + columns - 1) / columns;
    const key k = key_of(p, columns * width);
    const double share = (double)k.height / (rows * height + k.height);
    const size_t end = p->script.len;

    ss_str_addf(s,
                "set terminal pngcairo size %d,%d background rgb '#ffffff' "
                "font 'DejaVu Sans,10' fontscale %s linewidth 2 noenhanced\n"
                "set output '%s.png'\n",
                2 * columns * width, 2 * (rows * height + k.height), n > 1 ? "1.8" : "2", name);
    add_colors(s, false);
    if (p->n_panels)
        ss_str_add(s, "set multiplot\n");
    for (int i = 0; i < n; i++) {
        add_theme(s);
        if (p->n_panels)
            ss_str_addf(s, "set size %.6f,%.6f\nset origin %.6f,%.6f\n", 1.0 / columns,
                        (1 - share) / rows, (double)(i % columns) / columns,
                        share + (1 - share) * (rows - 1 - i / columns) / rows);
        add_panel(s, p, i);
        ss_str_add(s, "\n");
    }
    if (p->n_panels && p->n_lines)
        add_key(s, p, k, share);
    p->script.len = end;
    ss_str_add(s, p->n_panels ? "unset multiplot\nunset output\n" : "unset output\n");
}

static void add_svgs(ss_str *s, const ss_plot *p, const char *name, int width, int height)
{
    for (int i = 0; i < n_panels(p); i++) {
        ss_str_addf(s,
                    "set terminal svg size %d,%d dynamic noenhanced font 'DejaVu Sans,%d'\n"
                    "set output '%s-%d.svg'\n",
                    width, height, p->n_panels > 1 ? 12 : 13, name, i + 1);
        add_colors(s, true);
        add_theme(s);
        add_panel(s, p, i);
        ss_str_add(s, "\nunset output\n");
    }
}

/* Cuts out what is between \1 and \2, which only the SVG has. */
static void drop_hover(ss_str *s, size_t from)
{
    char *to;

    if (!s->s)
        return;
    to = s->s + from;
    for (const char *c = to; *c; c++) {
        if (*c == '\1')
            while (*c && *c != '\2')
                c++;
        else
            *to++ = *c;
        if (!*c)
            break;
    }
    *to = '\0';
    s->len = (size_t)(to - s->s);
}

static void keep_hover(ss_str *s, size_t from)
{
    for (size_t i = from; i < s->len; i++)
        if (s->s[i] == '\1' || s->s[i] == '\2')
            s->s[i] = ' ';
}

static ss_code run(const ss_str *script, const char *folder, const char *name, ss_err *e)
{
    /* -d: without the user's own settings */
    static const char *const arguments[] = {"-d", NULL};
    char complaint[200];
    ss_child gnuplot;
    ss_code rc = ss_child_start(&gnuplot, program, arguments, folder, e);

    if (rc == SS_UNSUPPORTED)
        return ss_fail(e, rc, "%s cannot be run; figures need it: install gnuplot-nox", program);
    if (rc != SS_OK)
        return rc;
    ss_child_feed(&gnuplot, script->s, script->len);
    const int status = ss_child_end(&gnuplot, complaint, sizeof complaint);
    if (status == 127)
        return ss_fail(e, SS_UNSUPPORTED, "%s cannot be run; figures need it: install gnuplot-nox",
                       program);
    return status == 0 ? SS_OK
                       : ss_fail(e, SS_IO, "figure %s: %s failed with exit status %d: %s", name,
                                 program, status, complaint);
}

/* True when the picture is there to its end: gnuplot does not notice a full disk. */
static bool is_whole(const char *path)
{
    static const unsigned char end[] = {'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    unsigned char tail[sizeof end];
    FILE *f = fopen(path, "rbe");
    bool whole = f && fseek(f, -(long)sizeof tail, SEEK_END) == 0 &&
                 fread(tail, 1, sizeof tail, f) == sizeof tail &&
                 memcmp(tail, end, sizeof end) == 0;

    if (f)
        fclose(f);
    return whole;
}

/* A button for each line, with its pattern and mark. */
static void add_legend(ss_str *out, const ss_plot *p)
{
    if (p->n_lines == 0)
        return;
    ss_str_add(out, "<ul class=\"legend\">\n");
    for (int i = 0; i < p->n_lines; i++) {
        const ss_plot_line *line = &p->line[i];
        const char *dashes = ss_plot_dashes(line->type);
        const int mark = ss_plot_mark(line->type) - 1;
        char classes[40];

        ss_str_addf(out,
                    "<li><button type=\"button\" aria-pressed=\"true\" data-line=\"%d\">"
                    "<svg viewBox=\"0 0 34 12\" width=\"34\" height=\"12\" aria-hidden=\"true\">",
                    i + 1);
        if (line->style == SS_PLOT_BAND)
            ss_str_addf(out, "<path class=\"c%df\" fill-opacity=\"0.3\" d=\"M1 1H33V11H1z\"/>",
                        line->type);
        else if (line->style != SS_PLOT_POINTS)
            ss_str_addf(out,
                        "<path class=\"c%d\" stroke-width=\"1.6\" stroke-dasharray=\"%s\" "
                        "d=\"M1 6L33 6\"/>",
                        line->type, *dashes ? dashes : "none");
        snprintf(classes, sizeof classes, " class=\"c%d%s\"", line->type,
                 ss_svg_mark_filled(mark) ? "f" : "");
        if (line->style == SS_PLOT_POINTS || line->style == SS_PLOT_BOTH)
            ss_svg_mark(out, mark, 17, 6, 3.6, 1.6, classes);
        ss_str_add(out, "</svg><span>");
        ss_svg_text(out, line->title);
        ss_str_add(out, "</span></button></li>\n");
    }
    ss_str_add(out, "</ul>\n");
}

/* Reads the panels' SVGs, and deletes them. */
static ss_code add_markup(ss_str *out, const ss_plot *p, const char *folder, const char *name,
                          const char *alt, ss_err *e)
{
    char path[4096], panel_alt[2048];
    const char *names[256];
    const int n_names = p->n_lines < 255 ? p->n_lines : 255;
    ss_code rc = SS_OK;

    for (int i = 0; i < n_names; i++)
        names[i] = p->line[i].title;
    ss_str_add(out, "<div class=\"panels\">\n");
    for (int i = 0; i < n_panels(p) && rc == SS_OK; i++) {
        ss_svg_names what = {names, n_names, "", "", p->rows.s, NAN, alt};
        char *svg = NULL;
        size_t n;

        snprintf(panel_alt, sizeof panel_alt, "%s (%d of %d)", alt, i + 1, n_panels(p));
        if (p->n_panels) {
            what.x = p->panel[i].x;
            what.y = p->panel[i].y;
            what.inf = p->panel[i].inf;
        }
        if (n_panels(p) > 1)
            what.alt = panel_alt;
        snprintf(path, sizeof path, "%s/%s-%d.svg", folder, name, i + 1);
        rc = ss_file_read(path, SVG_MAX, &svg, &n, e);
        if (rc != SS_OK || !ss_svg_inline(out, svg, n, &what))
            rc = out->failed
                     ? ss_fail(e, SS_NOMEM, "figure %s: out of memory", name)
                     : ss_fail(e, SS_IO, "figure %s: %s left no whole picture; is the disk full?",
                               name, program);
        ss_str_add(out, "\n");
        ss_free(svg);
    }
    ss_str_add(out, "</div>\n");
    add_legend(out, p);
    if (p->hover.len) {
        ss_str_add(out, "<script type=\"application/json\" class=\"cells\">");
        ss_str_addn(out, p->hover.s, p->hover.len);
        ss_str_add(out, "</script>\n");
    }
    return out->failed ? ss_fail(e, SS_NOMEM, "figure %s: out of memory", name) : rc;
}

ss_code ss_plot_draw(ss_plot *p, const char *folder, const char *name, int width, int height,
                     const char *alt, ss_str *markup, ss_err *e)
{
    ss_str all = {0};
    char path[4096];
    const size_t before = markup ? markup->len : 0;
    ss_code rc = SS_OK;

    ss_str_add(&all, "set encoding utf8\n");
    add_data(&all, p);
    if (markup)
        add_svgs(&all, p, name, width, height);
    keep_hover(&all, 0);
    const size_t png_at = all.len;
    add_png(&all, p, name, width, height);
    drop_hover(&all, png_at);
    if (all.failed || p->script.failed || p->hover.failed)
        rc = ss_fail(e, SS_NOMEM, "figure %s: out of memory", name);
    else
        rc = run(&all, folder, name, e);
    snprintf(path, sizeof path, "%s/%s.png", folder, name);
    if (rc == SS_OK && !is_whole(path))
        rc = ss_fail(e, SS_IO, "figure %s: %s left no whole picture; is the disk full?", name,
                     program);
    if (rc == SS_OK && markup)
        rc = add_markup(markup, p, folder, name, alt, e);
    if (rc != SS_OK) {
        unlink(path);
        if (markup && markup->s && markup->len > before) {
            markup->len = before;
            markup->s[before] = '\0';
        }
    }
    for (int i = 0; markup && i < n_panels(p); i++) {
        snprintf(path, sizeof path, "%s/%s-%d.svg", folder, name, i + 1);
        unlink(path);
    }
    ss_str_release(&all);
    ss_plot_release(p);
    return rc;
}

char *ss_plot_version(char *out, size_t n)
{
    static const char *const arguments[] = {"--version", NULL};
    ss_child gnuplot;

    *out = '\0';
    if (ss_child_start(&gnuplot, program, arguments, NULL, NULL) == SS_OK &&
        ss_child_end(&gnuplot, out, n) != 0)
        *out = '\0';
    return out;
}
