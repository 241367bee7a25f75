/* plot.c - see plot.h */
#include "reports/page/plot.h"

#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *program = "gnuplot";

typedef struct {
    const char *suffix, *ground, *text, *grid;
    const char *line[10]; /* line types 1 to 10 */
} theme;

/* Okabe & Ito's colours; on dark ground blue, black and vermillion are lighter, for contrast. */
static const theme themes[] = {
    {"",
     "#ffffff",
     "#1f2328",
     "#d0d7de",
     {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#000000",
      "#c4c9d0", "#b00020"}},
    {"-dark",
     "#161b22",
     "#e6edf3",
     "#30363d",
     {"#4aa8e0", "#f0843c", "#2cc79b", "#e29cc4", "#e6b440", "#8fd0f5", "#9aa2ad", "#ffffff",
      "#4a525c", "#ff7b86"}},
};
enum { N_THEMES = sizeof themes / sizeof *themes };

/* viridis (S. van der Walt, N. Smith; CC0) at nine points; between them the error is below 2 of
 * 255. */
static const char palette[] =
    "set palette defined (0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#2c728e', 4 '#21918c', "
    "5 '#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725')\n";

void ss_plot_program(const char *name)
{
    program = name;
}

void ss_plot_add(ss_plot *p, const char *text)
{
    ss_str_add(&p->script, text);
}

void ss_plot_addf(ss_plot *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ss_str_add(&p->script, text);
}

void ss_plot_label(ss_plot *p, const char *text)
{
    /* In single quotes gnuplot interprets nothing; a doubled quote is one quote. */
    ss_str_add(&p->script, "'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '`')
            ss_str_add(&p->script, "''");
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            ss_str_add(&p->script, " ");
        else
            ss_str_addn(&p->script, c, 1);
    }
    ss_str_add(&p->script, "'");
}

void ss_plot_number(ss_plot *p, double v)
{
    if (isfinite(v))
        ss_plot_addf(p, "%.9g", v);
    else
        ss_plot_add(p, "NaN");
}

void ss_plot_item(ss_plot *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ss_str_add(&p->script, p->n_items++ ? ", " : "plot ");
    ss_str_add(&p->script, text);
}

void ss_plot_items_end(ss_plot *p)
{
    if (p->n_items == 0)
        ss_str_add(&p->script,
                   "set yrange [0.1:1]\n"
                   "set label 9 'nothing here is a finite number' at graph 0.5,0.5 center "
                   "textcolor rgb ink\n"
                   "plot NaN notitle\nunset label 9\nset yrange [*:*]");
    ss_str_add(&p->script, "\n");
    p->n_items = 0;
}

bool ss_plot_any(const double *v, int n, bool log)
{
    bool any = false;

    for (int i = 0; i < n; i++)
        any |= isfinite(v[i]) && (v[i] > 0 || !log);
    return any;
}

static void add_theme(ss_str *s, const theme *t, const char *name, int width, int height)
{
    ss_str_addf(s,
                "reset\nset terminal pngcairo size %d,%d background rgb '%s' "
                "font 'DejaVu Sans,10' fontscale 1.8 linewidth 2 noenhanced\n",
                2 * width, 2 * height, t->ground);
    ss_str_addf(s, "set output '%s%s.png'\n", name, t->suffix);
    for (int i = 0; i < 10; i++)
        ss_str_addf(s, "set linetype %d lc rgb '%s' lw %s pt 7 ps 0.8%s\n", i + 1, t->line[i],
                    i == 8 ? "0.7" : "1.6", i == 9 ? " dt (6,4)" : "");
    ss_str_add(s, palette);
    ss_str_addf(s, "ink = '%s'\nground = '%s'\n", t->text, t->ground);
    ss_str_addf(s,
                "set border 3 lc rgb '%s' lw 0.7\nset tics nomirror textcolor rgb '%s'\n"
                "set grid lc rgb '%s' lw 0.5\nset key textcolor rgb '%s' samplen 2\n"
                "set title textcolor rgb '%s'\nset xlabel textcolor rgb '%s'\n"
                "set ylabel textcolor rgb '%s'\nset cblabel textcolor rgb '%s'\n"
                "set datafile missing 'NaN'\n",
                t->text, t->text, t->grid, t->text, t->text, t->text, t->text, t->text);
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
                       : ss_fail(e, SS_IO, "figure %s: %s failed: %s", name, program, complaint);
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

ss_code ss_plot_draw(ss_plot *p, const char *folder, const char *name, int width, int height,
                     ss_err *e)
{
    ss_str all = {0};
    char path[4096];
    ss_code rc = SS_OK;

    ss_str_add(&all, "set encoding utf8\n");
    for (int i = 0; i < N_THEMES; i++) {
        add_theme(&all, &themes[i], name, width, height);
        ss_str_add(&all, p->script.s ? p->script.s : "");
        ss_str_add(&all, "\nunset output\n");
    }
    if (all.failed || p->script.failed)
        rc = ss_fail(e, SS_NOMEM, "figure %s: out of memory", name);
    else
        rc = run(&all, folder, name, e);
    for (int i = 0; i < N_THEMES; i++) {
        snprintf(path, sizeof path, "%s/%s%s.png", folder, name, themes[i].suffix);
        if (rc == SS_OK && !is_whole(path))
            rc = ss_fail(e, SS_IO, "figure %s: %s left no whole picture; is the disk full?", name,
                         program);
    }
    for (int i = 0; i < N_THEMES && rc != SS_OK; i++) {
        snprintf(path, sizeof path, "%s/%s%s.png", folder, name, themes[i].suffix);
        unlink(path);
    }
    ss_str_release(&all);
    ss_str_release(&p->script);
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
