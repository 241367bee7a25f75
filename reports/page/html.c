/* html.c - see html.h */
#include "reports/page/html.h"

#include <stdarg.h>

void html_raw(FILE *f, const char *markup)
{
    fputs(markup, f);
}

void html_text(FILE *f, const char *text)
{
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        case '\'': fputs("&#39;", f); break;
        default:
            if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
                fputs("\xef\xbf\xbd", f); /* U+FFFD: HTML has no way to write them */
            else
                fputc(*p, f);
        }
    }
}

static void text_v(FILE *f, const char *fmt, va_list args)
{
    char text[2048];

    vsnprintf(text, sizeof text, fmt, args);
    html_text(f, text);
}

void html_textf(FILE *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    text_v(f, fmt, args);
    va_end(args);
}

void html_element(FILE *f, const char *tag, const char *class, const char *fmt, ...)
{
    va_list args;

    fprintf(f, "<%s", tag);
    if (class) {
        html_raw(f, " class=\"");
        html_text(f, class);
        html_raw(f, "\"");
    }
    html_raw(f, ">");
    va_start(args, fmt);
    text_v(f, fmt, args);
    va_end(args);
    fprintf(f, "</%s>", tag);
}

static void write_number(FILE *f, double v, const char *format)
{
    /* page.js sorts by the value, not by its rounded text. */
    fprintf(f, "<td class=\"n\" data-v=\"%.9g\">", v);
    html_textf(f, format, v);
    html_raw(f, "</td>");
}

static void write_cell(FILE *f, const json_t *column, const json_t *cell)
{
    const char *format = json_string_value(json_object_get(column, "format"));

    if (json_is_number(cell)) {
        write_number(f, json_number_value(cell), format ? format : "%g");
    } else if (json_is_string(cell)) {
        html_raw(f, "<td>");
        html_text(f, json_string_value(cell));
        html_raw(f, "</td>");
    } else {
        html_raw(f, "<td class=\"n\">\xe2\x80\x93</td>"); /* an en dash: no value */
    }
}

void html_table(FILE *f, const ss_table *t)
{
    size_t i, k;
    json_t *row, *cell, *column;

    html_raw(f, "<div class=\"scroll\"><table class=\"data\">");
    if (t->note)
        html_element(f, "caption", NULL, "%s", t->note);
    html_raw(f, "<thead><tr>");
    json_array_foreach(t->columns, i, column)
        html_element(f, "th", NULL, "%s", json_string_value(json_object_get(column, "name")));
    html_raw(f, "</tr></thead><tbody>\n");
    json_array_foreach(t->rows, i, row)
    {
        html_raw(f, "<tr>");
        json_array_foreach(row, k, cell) write_cell(f, json_array_get(t->columns, k), cell);
        html_raw(f, "</tr>\n");
    }
    html_raw(f, "</tbody></table></div>\n");
}

void html_themed_picture(FILE *f, const char *name, int width, int height, const char *alt)
{
    html_raw(f, "<picture><source media=\"screen and (prefers-color-scheme: dark)\" srcset=\"");
    html_text(f, name);
    html_raw(f, "-dark.png\">");
    html_raw(f, "<img src=\"");
    html_text(f, name);
    fprintf(f, ".png\" width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"", width, height);
    html_text(f, alt);
    html_raw(f, "\"></picture>");
}
