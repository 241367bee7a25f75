/* rows.c - see rows.h */
#include "reports/page/rows.h"

#include "base/mem.h"
#include "reports/page/html.h"

#include <math.h>
#include <string.h>

enum {
    CELL = 256,      /* bytes of a number's text */
    TOPS = 2,        /* columns that stay beside the first one */
    COMFORT = 20,    /* characters of a text that are better not broken */
    GAP = 2,         /* characters between columns */
    FITS = 40,       /* characters in a line of a phone, */
    FITS_PAPER = 84, /* of A4, */
    FITS_DESK = 134  /* and of a window 1280 pixels wide */
};

static bool breaks_after(char c)
{
    return c == '.' || c == '/' || c == ':' || c == ',' || c == '_';
}

int html_unbroken(const char *text)
{
    int longest = 0, n = 0;

    for (const char *c = text; *c; c++) {
        if (*c == ' ') {
            n = 0;
            continue;
        }
        n += ((unsigned char)*c & 0xc0) != 0x80;
        longest = n > longest ? n : longest;
        if (breaks_after(*c))
            n = 0;
    }
    return longest;
}

void html_breaking(FILE *f, const char *text)
{
    for (const char *c = text; *c; c++) {
        const char one[] = {*c, '\0'};

        html_text(f, one);
        if (breaks_after(*c) && c[1] && c[1] != ' ')
            html_raw(f, "<wbr>");
    }
}

/* A column's name as a string of CSS inside of an attribute. */
static void label(FILE *f, int i, const char *name)
{
    char clean[CELL];
    size_t n = 0;

    for (const char *c = name; *c && n + 1 < sizeof clean; c++)
        clean[n++] = *c;
    clean[n] = '\0';
    for (char *c = clean; *c; c++) {
        if (*c == '\\' || *c == '\'' || (unsigned char)*c < 0x20)
            *c = ' ';
    }
    fprintf(f, "--c%d:&#39;", i + 1);
    html_text(f, clean);
    html_raw(f, "&#39;;");
}

static const char *class_of(const html_column *columns, int n)
{
    int need = 0;

    for (int i = 0; i < n; i++) {
        const int heading = html_unbroken(columns[i].name) + GAP; /* room for the arrow */

        need += (columns[i].width > heading ? columns[i].width : heading) + GAP;
    }
    return need <= FITS         ? "fits"
           : need <= FITS_PAPER ? "middle"
           : need <= FITS_DESK  ? "wide"
                                : "huge";
}

void html_table_begin(FILE *f, const char *kind, const html_column *columns, int n,
                      const char *note)
{
    html_raw(f, "<div class=\"rows\">");
    if (note) /* not a caption: those are as narrow as their tables */
        html_element(f, "p", "note", "%s", note);
    html_raw(f, "<table class=\"");
    html_text(f, kind);
    html_raw(f, " ");
    html_raw(f, class_of(columns, n));
    html_raw(f, "\" style=\"");
    for (int i = 0; i < n && i < SS_ROWS_LABELS; i++)
        label(f, i, columns[i].name);
    html_raw(f, "\">");
    html_raw(f, "<thead><tr>");
    for (int i = 0; i < n; i++) {
        html_raw(f, "<th scope=\"col\"");
        html_raw(f, columns[i].number && columns[i].top ? " class=\"n top\""
                    : columns[i].number                 ? " class=\"n\""
                                                        : "");
        html_raw(f, ">");
        html_text(f, columns[i].name);
        html_raw(f, "</th>");
    }
    html_raw(f, "</tr></thead><tbody>\n");
}

void html_table_end(FILE *f)
{
    html_raw(f, "</tbody></table></div>\n");
}

static const char *number_class(bool top)
{
    return top ? "n top" : "n";
}

void html_number(FILE *f, double v, const char *format, bool top)
{
    if (isnan(v)) {
        fprintf(f, "<td class=\"%s none\">\xe2\x80\x93</td>", number_class(top));
        return;
    }
    /* page.js sorts by the value, not by its rounded text. */
    if (isinf(v))
        fprintf(f, "<td class=\"%s\" data-v=\"%sInfinity\">%s</td>", number_class(top),
                v < 0 ? "-" : "", v < 0 ? "-inf" : "inf");
    else {
        fprintf(f, "<td class=\"%s\" data-v=\"%.9g\">", number_class(top), v);
        html_textf(f, format, v);
        html_raw(f, "</td>");
    }
}

static bool is_number(const ss_table *t, size_t column)
{
    const ss_col_kind kind = ss_table_column_kind(t, column);

    return kind == SS_COL_NUMBER || kind == SS_COL_AXIS;
}

/* Infinities are texts in tables, because JSON has no numbers for them. */
static bool is_infinite(const char *text, double *v)
{
    *v = *text == '-' ? -INFINITY : INFINITY;
    return strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0;
}

/* True for a cell that says something. */
static bool says(const json_t *cell)
{
    const char *text = json_string_value(cell);

    return json_is_number(cell) || json_is_object(cell) ||
           (text && *text && strcmp(text, "-") != 0);
}

static int cell_width(const ss_table *t, size_t row, size_t column)
{
    char *text = ss_table_cell(t, row, column);
    const int whole = text ? (int)strlen(text) : 1, part = text ? html_unbroken(text) : 1;
    const int comfort = whole < COMFORT ? whole : COMFORT;

    ss_free(text);
    if (is_number(t, column))
        return whole;
    return part > comfort ? part : comfort;
}

/* Finds names, widths and kinds of the columns; empty[i]: no row says anything there. */
static void find_columns(const ss_table *t, html_column *columns, bool *empty)
{
    const json_t *row;
    size_t i, r;
    int tops = 0;

    for (i = 0; i < json_array_size(t->columns); i++) {
        columns[i] = (html_column){.name = ss_table_column_name(t, i), .number = is_number(t, i)};
        empty[i] = true;
        json_array_foreach(t->rows, r, row)
        {
            const json_t *cell = json_array_get(row, i);
            const int width = cell_width(t, r, i);

            columns[i].width = width > columns[i].width ? width : columns[i].width;
            empty[i] &= !says(cell);
        }
        empty[i] = i > 0 && (empty[i] || ss_table_is_usual(t, i));
        if (i > 0 && columns[i].number && !empty[i] && tops < TOPS) {
            columns[i].top = true;
            tops++;
        }
    }
}

static void write_cell(FILE *f, const ss_table *t, size_t row, size_t column, const html_column *as,
                       const char *link)
{
    const json_t *cell = json_array_get(json_array_get(t->rows, row), column);
    char *own = json_is_string(cell) ? NULL : ss_table_cell(t, row, column);
    const char *text = json_is_string(cell) ? json_string_value(cell) : own ? own : "";
    double v;

    if (json_is_number(cell)) {
        /* page.js sorts by the value, not by its rounded text. */
        fprintf(f, "<td class=\"%s\" data-v=\"%.9g\">", number_class(as->top),
                json_number_value(cell));
        html_text(f, text);
        html_raw(f, "</td>");
    } else if (json_is_string(cell) && as->number && is_infinite(text, &v)) {
        html_number(f, v, "%g", as->top);
    } else if (json_is_string(cell) || json_is_object(cell)) {
        html_raw(f, says(cell) ? "<td>" : "<td class=\"none\">");
        if (link) {
            html_raw(f, "<a href=\"");
            html_text(f, link);
            html_raw(f, "\">");
        }
        html_breaking(f, text);
        html_raw(f, link ? "</a></td>" : "</td>");
    } else {
        html_number(f, NAN, "", as->top);
    }
    ss_free(own);
}

/* Takes the columns that are empty out of the list, and keeps where each of the others was. */
static int pack(html_column *columns, const bool *empty, int *from, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++) {
        if (empty[i])
            continue;
        from[kept] = i;
        columns[kept++] = columns[i];
    }
    return kept;
}

static void name_empty(FILE *f, const ss_table *t, const bool *empty)
{
    const json_t *column;
    size_t i;
    int n = 0;

    json_array_foreach(t->columns, i, column)
    {
        if (!empty[i] || ss_table_is_usual(t, i))
            continue;
        html_raw(f, n++ ? ", " : "<p class=\"left-out\">No row has a value for: ");
        html_text(f, json_string_value(json_object_get(column, "name")));
    }
    if (n)
        html_raw(f, ".</p>\n");
}

void html_table(FILE *f, const ss_table *t, const char *const *links)
{
    const size_t n = json_array_size(t->columns);
    html_column *columns = ss_calloc(n + 1, sizeof *columns);
    bool *empty = ss_calloc(n + 1, sizeof *empty);
    int *from = ss_calloc(n + 1, sizeof *from), kept;
    const json_t *row;
    size_t r;

    if (!columns || !empty || !from || t->failed) {
        html_element(f, "p", "missing", "The table \"%s\" is missing: out of memory.", t->title);
    } else if (json_array_size(t->rows) == 0) {
        html_element(f, "p", "no-rows", "No row: %s.", t->note ? t->note : t->title);
    } else {
        find_columns(t, columns, empty);
        kept = pack(columns, empty, from, (int)n);
        html_table_begin(f, "data", columns, kept, t->note);
        json_array_foreach(t->rows, r, row)
        {
            html_raw(f, "<tr>");
            for (int i = 0; i < kept; i++)
                write_cell(f, t, r, (size_t)from[i], &columns[i],
                           links && i == 0 ? links[r] : NULL);
            html_raw(f, "</tr>\n");
        }
        html_table_end(f);
        name_empty(f, t, empty);
    }
    ss_free(columns);
    ss_free(empty);
    ss_free(from);
}
