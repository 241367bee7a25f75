/* plot.c - see plot.h; draw.c draws */
#include "reports/page/plot.h"

#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* Length of the UTF-8 character at c, 0 if it is none. */
static size_t character(const char *c)
{
    const unsigned char b = (unsigned char)*c;
    const size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;

    return strnlen(c, n) == n && ss_utf8_valid(c, n) ? n : 0;
}

static void add_label(ss_str *s, const char *text)
{
    /* In single quotes gnuplot interprets nothing; a doubled quote is one quote. */
    ss_str_add(s, "'");
    for (const char *c = text; *c;) {
        const size_t n = character(c);

        if (*c == '\'' || *c == '`')
            ss_str_add(s, "''");
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            ss_str_add(s, " ");
        else
            ss_str_addn(s, n ? c : "?", n ? n : 1);
        c += n ? n : 1;
    }
    ss_str_add(s, "'");
}

void ss_plot_label(ss_plot *p, const char *text)
{
    add_label(&p->script, text);
}

/* Letters of a text: bytes that begin a character. */
static int letters(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

/* A word of a path ends here. */
static const char *word_end(const char *word)
{
    return word + strcspn(word, ".");
}

/* "up_blocks.1.resnets.0.conv_shortcut (input)" with at most n letters of each word but the last.
 */
static void abbreviate(const char *name, size_t n, char *out, size_t room)
{
    size_t at = 0;

    for (const char *end; *(end = word_end(name)); name = end + 1) {
        const size_t len = (size_t)(end - name), kept = len < n ? len : n;

        snprintf(out + at, room - at, "%.*s.", (int)kept, name);
        at += kept + 1;
    }
    snprintf(out + at, room - at, "%s", name);
}

/* Makes room by shorter words, and leaves all numbers: those tell modules apart. */
static bool shorten_words(const char *name, int most, char *out, size_t room)
{
    const char *last = strrchr(name, '.');

    if (!last || strlen(name) >= room)
        return false;
    for (const char *c = name; c < last; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.')
            return false;
    for (size_t n = 12; n > 0; n--) {
        abbreviate(name, n, out, room);
        if (letters(out) <= most)
            return true;
    }
    return false;
}

int ss_plot_short(ss_str *s, const char *name, int most)
{
    const char *fold = strstr(name, " = "); /* what a container repeats, see fold.h */
    char head[512], words[512];
    int n = letters(name);
    ss_str text = {0};

    if (n > most && fold && strlen(name) < sizeof head) {
        const char *port = strstr(fold, " (");

        snprintf(head, sizeof head, "%.*s%s", (int)(fold - name), name, port ? port : "");
        name = head;
        n = letters(name);
    }
    if (n > most && shorten_words(name, most, words, sizeof words)) {
        name = words;
        n = letters(name);
    }
    if (n > most) {
        for (int skip = n - most + 1; skip > 0; name++)
            skip -= (name[1] & 0xc0) != 0x80;
        ss_str_add(&text, "\xe2\x80\xa6");
    }
    ss_str_add(&text, name);
    add_label(s, text.s ? text.s : "");
    s->failed |= text.failed;
    ss_str_release(&text);
    return n < most ? n : most;
}

/* gnuplot gives up where an axis would have to reach farther. */
static bool fits(double v)
{
    return fabs(v) < 1e200;
}

void ss_plot_number(ss_plot *p, double v)
{
    if (fits(v))
        ss_plot_addf(p, "%.9g", v);
    else
        ss_plot_add(p, "NaN");
}

void ss_plot_settings(ss_plot *p)
{
    p->settings_at = p->script.len;
}

void ss_plot_panel(ss_plot *p, const char *title, const char *x, const char *y)
{
    if (p->n_panels == SS_PLOT_PANELS) {
        p->script.failed = true; /* a bug of the caller's: it shows as a figure that is missing */
        return;
    }
    ss_plot_panel_info *panel = &p->panel[p->n_panels++];

    *panel = (ss_plot_panel_info){.at = p->script.len, .inf = NAN};
    snprintf(panel->x, sizeof panel->x, "%s", x);
    snprintf(panel->y, sizeof panel->y, "%s", y);
    p->n_limits = 0;
    if (*title) {
        ss_plot_add(p, "set title ");
        ss_plot_label(p, title);
        ss_plot_add(p, "\n");
    }
}

static void add_item(ss_plot *p, const char *text)
{
    ss_str_add(&p->items, p->n_items++ ? ", " : "plot ");
    ss_str_add(&p->items, text);
}

void ss_plot_item(ss_plot *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_item(p, text);
}

/* The number of a line in the legend, from 1; 0 without memory. */
static int legend_line(ss_plot *p, int type, ss_plot_style style, const char *title)
{
    ss_plot_line *grown;

    for (int i = 0; i < p->n_lines; i++) {
        if (p->line[i].type == type && strcmp(p->line[i].title, title) == 0)
            return i + 1;
    }
    grown = ss_grow(p->line, &p->line_cap, (size_t)p->n_lines + 1, sizeof *grown);
    if (!grown) {
        p->script.failed = true;
        return 0;
    }
    p->line = grown;
    p->line[p->n_lines] = (ss_plot_line){.title = ss_strdup(title), .type = type, .style = style};
    if (!p->line[p->n_lines].title) {
        p->script.failed = true;
        return 0;
    }
    return ++p->n_lines;
}

/* Writes the numbers of points for the SVG alone: between \1 and \2. */
static void add_hits(ss_plot *p, int line, const char *data, int x, int y)
{
    ss_str_addf(&p->items,
                "\1, %s using %d:%d:(sprintf('%d %%.9g %%.9g',$%d,$%d)) with labels hypertext "
                "point pt 7 ps 1 notitle\2",
                data, x, y, line, x, y);
}

void ss_plot_series(ss_plot *p, int type, ss_plot_style style, const char *title, const char *data,
                    int x, int y)
{
    static const char *const with[] = {"lines", "points", "linespoints", "histeps"};
    const int line = legend_line(p, type, style, title);

    ss_plot_item(p, "%s using %d:%d with %s lt %d lc rgb LINE(%d,%d) notitle", data, x, y,
                 with[style], type, type, line);
    add_hits(p, line, data, x, y);
}

void ss_plot_band(ss_plot *p, int type, const char *title, const char *data, int x, int low,
                  int high)
{
    const int line = legend_line(p, type, SS_PLOT_BAND, title);

    ss_plot_item(p,
                 "%s using %d:%d:%d with filledcurves lt %d lc rgb LINE(%d,%d) fs transparent "
                 "solid 0.3 notitle",
                 data, x, low, high, type, type, line);
    add_hits(p, line, data, x, low);
    add_hits(p, line, data, x, high);
}

void ss_plot_row(ss_plot *p, const char *name)
{
    ss_plot_add(p, p->n_rows ? "set ytics add (" : "set ytics scale 0 (");
    ss_plot_short(&p->script, name, SS_PLOT_LETTERS);
    ss_plot_addf(p, " %d)\n", p->n_rows++);
    for (; *name; name++)
        ss_str_addn(&p->rows, *name == '\n' ? " " : name, 1);
    ss_str_add(&p->rows, "\n");
    p->script.failed |= p->rows.failed;
}

void ss_plot_limit(ss_plot *p, const char *name, double y)
{
    static const char *const dashes[] = {"(12,4)", "(4,4)", "(12,4,2,4)", "(2,3)",
                                         "(12,4,2,4,2,4)"};
    enum { N = sizeof dashes / sizeof *dashes };
    enum { KEPT = sizeof p->limit / sizeof *p->limit };
    bool close = false; /* to another line: the name goes to the other end, below it */

    for (int i = 0; i < p->n_limits && i < KEPT; i++)
        close |= fabs(log(y / p->limit[i])) < 0.7;
    ss_plot_item(p, "%.9g with lines lt %d dt %s notitle", y, SS_PLOT_LIMIT,
                 dashes[p->n_limits % N]);
    ss_str_add(&p->marks, "set label ");
    add_label(&p->marks, name);
    ss_str_addf(&p->marks,
                " at graph %s, first %.9g %s offset 0,%s textcolor rgb LINE(%d,0) front\n",
                close ? "0.02" : "0.98", y, close ? "left" : "right", close ? "-0.6" : "0.6",
                SS_PLOT_LIMIT);
    p->limit[p->n_limits % KEPT] = y;
    p->n_limits++;
}

void ss_plot_items_end(ss_plot *p)
{
    if (p->marks.s)
        ss_str_add(&p->script, p->marks.s);
    if (p->n_items == 0)
        ss_str_add(&p->script,
                   "set yrange [0.1:1]\n"
                   "set label 9 'nothing here is a finite number' at graph 0.5,0.5 center "
                   "textcolor rgb ink\n"
                   "plot NaN notitle\nunset label 9\nset yrange [*:*]");
    else if (p->items.s)
        ss_str_add(&p->script, p->items.s);
    ss_str_add(&p->script, "\n");
    p->script.failed |= p->items.failed || p->marks.failed;
    ss_str_release(&p->items);
    ss_str_release(&p->marks);
    p->n_items = 0;
}

bool ss_plot_any(const double *v, int n, bool log)
{
    bool any = false;

    for (int i = 0; i < n; i++)
        any |= fits(v[i]) && (v[i] > (log ? 1e-200 : -INFINITY));
    return any;
}

void ss_plot_release(ss_plot *p)
{
    ss_str_release(&p->script);
    ss_str_release(&p->items);
    ss_str_release(&p->marks);
    ss_str_release(&p->rows);
    ss_str_release(&p->hover);
    for (int i = 0; i < p->n_lines; i++)
        ss_free(p->line[i].title);
    ss_free(p->line);
    *p = (ss_plot){0};
}
