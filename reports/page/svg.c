/* svg.c - see svg.h */
#include "reports/page/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK = 0xe7, DEPTH = 16, VALUE = 64 };

/* The style that a group sets for what is in it; text keeps its place too. */
typedef struct {
    char stroke[VALUE], color[VALUE], fill[VALUE], transform[VALUE], anchor[VALUE], size[VALUE];
    double width;
} style;

typedef struct {
    ss_str *out;
    const ss_svg_names *names;
    style level[DEPTH];
    int depth;
    int line; /* of the hypertext that the next mark belongs to; 0: a visible mark */
    double x, y;
    ss_str crosses;      /* of one class, as one path: there may be thousands */
    char crossed[VALUE]; /* their class and width */
} writer;

/* Length in bytes of the UTF-8 character at p, 0 if it is none that XML has. */
static size_t character(const char *p)
{
    const unsigned char c = (unsigned char)*p;
    const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (c < 0x20)
        return c == '\n' || c == '\t';
    return c != 0x7f && strnlen(p, n) == n && ss_utf8_valid(p, n) ? n : 0;
}

void ss_svg_text(ss_str *out, const char *text)
{
    for (const char *p = text; *p;) {
        const size_t n = character(p);

        switch (n ? *p : '\1') {
        case '&': ss_str_add(out, "&amp;"); break;
        case '<': ss_str_add(out, "&lt;"); break;
        case '>': ss_str_add(out, "&gt;"); break;
        case '"': ss_str_add(out, "&quot;"); break;
        case '\'': ss_str_add(out, "&#39;"); break;
        case '\1': ss_str_add(out, "\xef\xbf\xbd"); break;
        default: ss_str_addn(out, p, n);
        }
        p += n ? n : 1;
    }
}

/* Copies the value of an attribute, "" where there is none; tag ends before `end`. False if it is
 * longer than out. */
static bool attribute(const char *tag, const char *end, const char *name, char *out, size_t size)
{
    const size_t length = strlen(name);

    *out = '\0';
    for (const char *p = tag; p + length < end; p++) {
        if ((p[-1] != ' ' && p[-1] != '\n' && p[-1] != '\t') || strncmp(p, name, length) != 0)
            continue;
        p += length;
        p += strspn(p, " ");
        if (*p++ != '=')
            continue;
        p += strspn(p, " ");
        const char quote = *p++;
        const char *close = memchr(p, quote, (size_t)(end - p));
        if ((quote != '"' && quote != '\'') || !close || (size_t)(close - p) >= size)
            return false;
        memcpy(out, p, (size_t)(close - p));
        out[close - p] = '\0';
        return true;
    }
    return true;
}

static double number_of(const char *tag, const char *end, const char *name)
{
    char text[VALUE];

    attribute(tag, end, name, text, sizeof text);
    return strtod(text, NULL);
}

/* A coordinate to a tenth of a pixel. */
static void add_number(ss_str *out, double v)
{
    const double tenth = round(v * 10) / 10;

    ss_str_addf(out, "%g", tenth == 0 ? 0 : tenth);
}

static bool color_of(const char *text, int *r, int *g, int *b)
{
    unsigned u;

    if (sscanf(text, "rgb( %d , %d , %d )", r, g, b) == 3) // NOLINT(cert-err34-c)
        return true;
    if (sscanf(text, "#%6x", &u) != 1) // NOLINT(cert-err34-c)
        return false;
    *r = (int)(u >> 16 & 0xff);
    *g = (int)(u >> 8 & 0xff);
    *b = (int)(u & 0xff);
    return true;
}

/* Writes the class of an element, and its colour if no class has it; what: "f" where the colour
 * fills, "" where it is a line's. */
static void add_color(ss_str *out, const char *text, const char *what)
{
    int r, g, b;

    if (!color_of(text, &r, &g, &b))
        ss_str_addf(out, " class=\"c11%s\"", what);
    else if (r != MARK)
        ss_str_addf(out, " %s=\"#%02x%02x%02x\"", *what ? "fill" : "stroke", r & 255, g & 255,
                    b & 255);
    else if (b > 0)
        ss_str_addf(out, " class=\"c%d%s s%d\"", g, what, b);
    else
        ss_str_addf(out, " class=\"c%d%s\"", g, what);
}

static const style *top(const writer *w)
{
    return &w->level[w->depth];
}

/* The colour of a line or mark: its own, or the group's, which may refer to its "color". */
static const char *stroke_of(const writer *w, const char *own)
{
    if (*own && strcmp(own, "currentColor") != 0)
        return own;
    return strcmp(top(w)->stroke, "currentColor") == 0 ? top(w)->color : top(w)->stroke;
}

/* Writes coordinates "M79.70,364.00 L424.82,364.00 ..." or "1,2 3,4" shorter; leaves out points in
 * the middle of a level line. */
static void add_points(ss_str *out, const char *p, const char *end)
{
    double x, y, x1 = NAN, y1 = NAN;
    bool held = false, straight = false; /* a point of a level line waits for the next */

    while (p < end) {
        char *rest;

        if (*p == 'Z' && held) {
            ss_str_add(out, straight ? "L" : "");
            held = false;
        }
        if (*p == 'Z')
            ss_str_add(out, "Z");
        if (*p != 'M' && *p != 'L' && *p != '-' && (*p < '0' || *p > '9')) {
            p++;
            continue;
        }
        const bool move = *p == 'M', letter = move || *p == 'L';

        x = strtod(p + letter, &rest);
        if (rest == p + letter || *rest != ',')
            return;
        y = strtod(rest + 1, &rest);
        p = rest;
        if (letter && !move && y == y1 && x > x1 && straight) {
            x1 = x;
            held = true;
            continue;
        }
        if (held) {
            ss_str_add(out, "L");
            add_number(out, x1);
            ss_str_add(out, " ");
            add_number(out, y1);
            held = false;
        }
        straight = letter && !move && y == y1 && x > x1;
        ss_str_add(out, move ? "M" : letter ? "L" : " ");
        add_number(out, x);
        ss_str_add(out, letter ? " " : ",");
        add_number(out, y);
        x1 = x;
        y1 = y;
    }
    if (held) {
        ss_str_add(out, "L");
        add_number(out, x1);
        ss_str_add(out, " ");
        add_number(out, y1);
    }
}

/* The attribute's value inside the tag; *n: its length. NULL: none. */
static const char *long_attribute(const char *tag, const char *end, const char *name, size_t *n)
{
    const size_t length = strlen(name);

    for (const char *p = tag + 1; p + length + 2 < end; p++) {
        const char *q = p + length;

        if ((p[-1] != ' ' && p[-1] != '\t') || strncmp(p, name, length) != 0)
            continue;
        q += strspn(q, " =");
        if (*q != '\'' && *q != '"')
            continue;
        const char *close = memchr(q + 1, *q, (size_t)(end - q - 1));
        if (!close)
            return NULL;
        *n = (size_t)(close - q - 1);
        return q + 1;
    }
    return NULL;
}

static void path(writer *w, const char *tag, const char *end)
{
    char own[VALUE], dash[VALUE];
    size_t n;
    const char *d = long_attribute(tag, end, "d", &n);

    attribute(tag, end, "stroke", own, sizeof own);
    if (!attribute(tag, end, "stroke-dasharray", dash, sizeof dash) ||
        strspn(dash, "0123456789.,") != strlen(dash))
        *dash = '\0';
    if (!d)
        return;
    ss_str_add(w->out, "<path");
    add_color(w->out, stroke_of(w, own), "");
    if (top(w)->width != 1)
        ss_str_addf(w->out, " stroke-width=\"%g\"", top(w)->width);
    if (*dash)
        ss_str_addf(w->out, " stroke-dasharray=\"%s\"", dash);
    ss_str_add(w->out, " d=\"");
    add_points(w->out, d, d + n);
    ss_str_add(w->out, "\"/>\n");
}

static void polygon(writer *w, const char *tag, const char *end)
{
    char fill[VALUE], opacity[VALUE];
    size_t n;
    const char *points = long_attribute(tag, end, "points", &n);

    attribute(tag, end, "fill", fill, sizeof fill);
    attribute(tag, end, "fill-opacity", opacity, sizeof opacity);
    if (!points)
        return;
    ss_str_add(w->out, "<polygon");
    add_color(w->out, stroke_of(w, fill), "f");
    if (*opacity)
        ss_str_addf(w->out, " fill-opacity=\"%.2g\"", strtod(opacity, NULL));
    ss_str_add(w->out, " points=\"");
    add_points(w->out, points, points + n);
    ss_str_add(w->out, "\"/>\n");
}

/* gnuplot's marks, in units of their size; the letter tells whether they are filled. */
static const struct {
    bool filled;
    const char *d; /* NULL: a circle */
} marks[] = {
    {false, "M-1 0h2M0-1v2"},
    {false, "M-1-1L1 1M1-1L-1 1"},
    {false, "M-1 0h2M0-1v2M-1-1L1 1M-1 1L1-1"},
    {false, "M-1-1h2v2h-2z"},
    {true, "M-1-1h2v2h-2z"},
    {false, NULL},
    {true, NULL},
    {false, "M0-1.33L-1.33.67h2.66z"},
    {true, "M0-1.33L-1.33.67h2.66z"},
    {false, "M0 1.33L-1.33-.67h2.66z"},
    {true, "M0 1.33L-1.33-.67h2.66z"},
    {false, "M0-1.41L1.41 0L0 1.41L-1.41 0z"},
    {true, "M0-1.41L1.41 0L0 1.41L-1.41 0z"},
};

/* The name of row number y, and the end of its line. */
static void add_row(ss_str *out, const char *rows, double y)
{
    ss_str name = {0};

    for (int i = 0; i < (int)lround(y) && *rows; i++)
        rows += strcspn(rows, "\n") + 1;
    ss_str_addn(&name, rows, strcspn(rows, "\n"));
    ss_svg_text(out, name.s ? name.s : "");
    ss_str_add(out, "\n");
    out->failed |= name.failed;
    ss_str_release(&name);
}

static void hit(writer *w, double x, double y)
{
    const ss_svg_names *names = w->names;

    ss_str_addf(w->out, "<circle class=\"hit s%d\" cx=\"", w->line);
    add_number(w->out, x);
    ss_str_add(w->out, "\" cy=\"");
    add_number(w->out, y);
    ss_str_add(w->out, "\" r=\"7\"><title>");
    if (w->line >= 1 && w->line <= names->n_names)
        ss_svg_text(w->out, names->names[w->line - 1]);
    ss_str_add(w->out, "\n");
    if (names->rows)
        add_row(w->out, names->rows, w->y);
    ss_svg_text(w->out, names->x);
    if (fabs(w->x - names->inf) <= 1e-6 * fabs(names->inf))
        ss_str_add(w->out, " inf");
    else
        ss_str_addf(w->out, " %.4g", w->x);
    if (!names->rows) {
        ss_str_add(w->out, "\n");
        ss_svg_text(w->out, names->y);
        ss_str_addf(w->out, " %.4g", w->y);
    }
    ss_str_add(w->out, "</title></circle>\n");
}

void ss_svg_mark(ss_str *out, int mark, double x, double y, double scale, double width,
                 const char *classes)
{
    const int n = (int)(sizeof marks / sizeof *marks);
    const int k = mark >= 0 && mark < n ? mark : 6;

    ss_str_add(out, marks[k].d ? "<path" : "<circle");
    ss_str_add(out, classes);
    if (!marks[k].filled)
        ss_str_addf(out, " stroke-width=\"%.2g\"", marks[k].d ? width / scale : width);
    if (!marks[k].d) {
        ss_str_add(out, " cx=\"");
        add_number(out, x);
        ss_str_add(out, "\" cy=\"");
        add_number(out, y);
        ss_str_addf(out, "\" r=\"%g\"/>\n", scale);
        return;
    }
    ss_str_add(out, " transform=\"translate(");
    add_number(out, x);
    ss_str_add(out, " ");
    add_number(out, y);
    ss_str_addf(out, ") scale(%g)\" d=\"%s\"/>\n", scale, marks[k].d);
}

bool ss_svg_mark_filled(int mark)
{
    const int n = (int)(sizeof marks / sizeof *marks);

    return mark < 0 || mark >= n || marks[mark].filled;
}

static void end_crosses(writer *w)
{
    if (w->crosses.len) {
        ss_str_addf(w->out, "<path%s d=\"", w->crossed);
        ss_str_add(w->out, w->crosses.s);
        ss_str_add(w->out, "\"/>\n");
    }
    w->out->failed |= w->crosses.failed;
    ss_str_release(&w->crosses);
}

static void cross(writer *w, double x, double y, double scale, const char *classes)
{
    char now[VALUE];

    snprintf(now, sizeof now, "%s stroke-width=\"%.2g\"", classes, top(w)->width);
    if (strcmp(now, w->crossed) != 0)
        end_crosses(w);
    memcpy(w->crossed, now, sizeof now);
    ss_str_add(&w->crosses, "M");
    add_number(&w->crosses, x - scale);
    ss_str_add(&w->crosses, " ");
    add_number(&w->crosses, y - scale);
    ss_str_addf(&w->crosses, "l%.3g %.3gm0-%.3gl-%.3g %.3g", 2 * scale, 2 * scale, 2 * scale,
                2 * scale, 2 * scale);
}

static void use(writer *w, const char *tag, const char *end)
{
    char place[VALUE], color[VALUE], which[VALUE];
    ss_str classes = {0};
    double x, y, scale;
    int mark = -1;

    attribute(tag, end, "transform", place, sizeof place);
    attribute(tag, end, "xlink:href", which, sizeof which);
    attribute(tag, end, "color", color, sizeof color);
    // NOLINTNEXTLINE(cert-err34-c)
    if (sscanf(place, "translate(%lf,%lf) scale(%lf)", &x, &y, &scale) != 3)
        return;
    if (w->line) {
        hit(w, x, y);
        w->line = 0;
        return;
    }
    if (strncmp(which, "#gpPt", 5) == 0)
        mark = (int)strtol(which + 5, NULL, 10);
    add_color(&classes, stroke_of(w, color), ss_svg_mark_filled(mark) ? "f" : "");
    if (mark == 1)
        cross(w, x, y, scale, classes.s ? classes.s : "");
    else
        ss_svg_mark(w->out, mark, x, y, scale, top(w)->width, classes.s ? classes.s : "");
    w->out->failed |= classes.failed;
    ss_str_release(&classes);
}

static void image(writer *w, const char *tag, const char *end)
{
    static const char head[] = "data:image/png;base64,";
    size_t n;
    const char *data = long_attribute(tag, end, "xlink:href", &n);

    if (!data || n < sizeof head || strncmp(data, head, sizeof head - 1) != 0 ||
        memchr(data, '<', n) || memchr(data, '"', n))
        return;
    ss_str_addf(w->out,
                "<image class=\"cells\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" ",
                number_of(tag, end, "x"), number_of(tag, end, "y"), number_of(tag, end, "width"),
                number_of(tag, end, "height"));
    ss_str_add(w->out, "preserveAspectRatio=\"none\" href=\"");
    ss_str_addn(w->out, data, n);
    ss_str_add(w->out, "\"/>\n");
}

/* Text as gnuplot escaped it; what it leaves as it is can end a section of CDATA. */
static void add_escaped(ss_str *out, const char *p, const char *end)
{
    for (; p < end; p++) {
        const size_t n = character(p);

        if (*p == '>')
            ss_str_add(out, "&gt;");
        else if (!n || p + n > end)
            ss_str_add(out, "\xef\xbf\xbd");
        else {
            ss_str_addn(out, p, n);
            p += n - 1;
        }
    }
}

static void text(writer *w, const char *content, const char *end)
{
    const style *s = top(w);
    double x, y, angle = 0;

    // NOLINTNEXTLINE(cert-err34-c)
    if (sscanf(s->transform, "translate(%lf,%lf) rotate(%lf)", &x, &y, &angle) < 2)
        return;
    while (content < end && *content == ' ') /* gnuplot sets a blank before the numbers of axes */
        content++;
    ss_str_add(w->out, "<text");
    add_color(w->out, s->fill, "f");
    ss_str_addf(w->out, " transform=\"translate(%.1f %.1f)", x, y);
    if (angle != 0)
        ss_str_addf(w->out, " rotate(%g)", angle);
    ss_str_addf(w->out, "\" font-size=\"%g\"", strtod(s->size, NULL));
    if (strcmp(s->anchor, "start") != 0 && strspn(s->anchor, "midlen") == strlen(s->anchor))
        ss_str_addf(w->out, " text-anchor=\"%s\"", s->anchor);
    ss_str_add(w->out, ">");
    add_escaped(w->out, content, end);
    ss_str_add(w->out, "</text>\n");
}

static void take(const char *tag, const char *end, const char *name, char *out)
{
    char value[VALUE];

    if (attribute(tag, end, name, value, sizeof value) && *value)
        memcpy(out, value, sizeof value);
}

static void group(writer *w, const char *tag, const char *end)
{
    size_t n;
    const char *hyper = long_attribute(tag, end, "onmousemove", &n);
    char width[VALUE];

    if (w->depth + 1 < DEPTH) {
        w->level[w->depth + 1] = w->level[w->depth];
        w->depth++;
    }
    style *s = &w->level[w->depth];
    take(tag, end, "stroke", s->stroke);
    take(tag, end, "color", s->color);
    take(tag, end, "fill", s->fill);
    take(tag, end, "transform", s->transform);
    take(tag, end, "text-anchor", s->anchor);
    take(tag, end, "font-size", s->size);
    attribute(tag, end, "stroke-width", width, sizeof width);
    s->width = *width ? strtod(width, NULL) : s->width;
    if (hyper && (hyper = memchr(hyper, '\'', n)))
        // NOLINTNEXTLINE(cert-err34-c)
        if (sscanf(hyper, "'%d %lf %lf'", &w->line, &w->x, &w->y) != 3)
            w->line = 0;
}

static bool is(const char *tag, const char *name)
{
    const size_t n = strlen(name);

    return strncmp(tag, name, n) == 0 && strchr(" \t\n>/", tag[n]);
}

/* One tag, from after its < to its >. Returns where to read on. */
static const char *element(writer *w, const char *tag, const char *end, const char *stop)
{
    if (is(tag, "g")) {
        group(w, tag, end);
    } else if (is(tag, "/g")) {
        w->depth -= w->depth > 0;
    } else if (is(tag, "defs")) {
        const char *close = memmem(end, (size_t)(stop - end), "</defs>", 7);

        return close ? close + 7 : stop;
    } else if (is(tag, "text")) {
        const char *close = memmem(end, (size_t)(stop - end), "</text>", 7);

        if (!close)
            return stop;
        text(w, end + 1, close);
        return close + 7;
    } else if (is(tag, "path")) {
        path(w, tag, end);
    } else if (is(tag, "polygon")) {
        polygon(w, tag, end);
    } else if (is(tag, "use")) {
        use(w, tag, end);
    } else if (is(tag, "image")) {
        image(w, tag, end);
    }
    return end + 1;
}

/* The > that ends a tag: outside of quotes. */
static const char *tag_end(const char *p, const char *stop)
{
    char quote = 0;

    for (; p < stop; p++) {
        if (quote)
            quote = *p == quote ? 0 : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>')
            return p;
    }
    return NULL;
}

bool ss_svg_inline(ss_str *out, const char *svg, size_t n, const ss_svg_names *names)
{
    static const char closing[] = "</svg>";
    const char *const stop = svg + n;
    const char *p = memmem(svg, n, "viewBox=\"", 9), *end;
    double width, height;
    writer w = {.out = out, .names = names};

    w.level[0] = (style){.stroke = "black", .color = "black", .size = "12", .width = 1};
    // NOLINTNEXTLINE(cert-err34-c)
    if (!p || sscanf(p, "viewBox=\"0 0 %lf %lf\"", &width, &height) != 2 ||
        !memmem(svg, n, closing, sizeof closing - 1))
        return false;
    ss_str_addf(out,
                "<svg viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"",
                width, height, width, height);
    ss_svg_text(out, names->alt);
    ss_str_add(out, "\">\n");
    while ((p = memchr(p, '<', (size_t)(stop - p))) != NULL) {
        if (!(end = tag_end(p + 1, stop)))
            break;
        if (w.crosses.len && !is(p + 1, "use") && !is(p + 1, "g") && !is(p + 1, "/g"))
            end_crosses(&w);
        p = element(&w, p + 1, end, stop);
    }
    end_crosses(&w);
    ss_str_add(out, "</svg>");
    return !out->failed;
}
