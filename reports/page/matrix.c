/* matrix.c - see matrix.h */
#include "reports/page/matrix.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdarg.h>
#include <string.h>

enum { SHORT = 7 }; /* characters that fit above the picture of a column on a phone */

void ss_matrix_label(ss_str *list, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ss_str_addn(list, text, strlen(text) + 1); /* each ends in NUL */
}

/* Goes from one name to the next; NULL after the last. */
static const char *next_label(const ss_str *list, const char *label)
{
    const char *next = label ? label + strlen(label) + 1 : list->s;

    return next && next < list->s + list->len ? next : NULL;
}

void ss_matrix_columns(ss_page *p, const ss_str *columns)
{
    const char *label = NULL;
    size_t longest = 0;
    int n = 0;

    while ((label = next_label(columns, label))) {
        longest = strlen(label) > longest ? strlen(label) : longest;
        n++;
    }
    fprintf(p->f, "<div class=\"columns%s\" style=\"--n:%d\">", longest > SHORT ? " long" : "", n);
    while ((label = next_label(columns, label))) {
        html_raw(p->f, "<span>");
        html_breaking(p->f, label);
        html_raw(p->f, "</span>");
    }
    html_raw(p->f, "</div>\n");
}

static void legend(ss_page *p, const ss_matrix *m)
{
    html_raw(p->f, "<p class=\"legend\">");
    if (m->low) {
        html_raw(p->f, "<span>");
        html_text(p->f, m->low);
        html_raw(p->f,
                 m->viridis ? " <i class=\"ramp viridis\"></i> " : " <i class=\"ramp\"></i> ");
        html_text(p->f, m->high);
        html_raw(p->f, "</span>\n");
    }
    if (m->marked) {
        html_raw(p->f, "<span><i class=\"framed\"></i> ");
        html_text(p->f, m->marked);
        html_raw(p->f, "</span>\n");
    }
    html_raw(p->f, "<span><i class=\"not-finite\"></i> inf or NaN</span></p>\n");
}

/* Writes row k of the sheet as a picture. */
static ss_code write_row(ss_page *p, const ss_tiles *t, const char *file, int k, ss_err *e)
{
    ss_image row = t->sheet;
    char *path = ss_path_join(p->folder, file);
    ss_code rc = SS_OK;

    row.h = t->h;
    row.data += (size_t)k * (size_t)(t->h + SS_TILE_GAP) * (size_t)row.w * (size_t)row.c;
    rc = path ? ss_image_write_png(path, &row, e) : ss_no_memory(e, file);
    ss_free(path);
    return rc;
}

ss_code ss_page_matrix(ss_page *p, ss_tiles *t, ss_matrix *m, ss_err *e)
{
    const char *label = NULL;
    char file[200];
    ss_code rc = m->rows.failed || m->columns.failed ? ss_no_memory(e, m->name) : SS_OK;

    if (rc == SS_OK) {
        fprintf(p->f, "<figure class=\"pictures\" style=\"--width:%dpx\">\n<div class=\"matrix\">",
                t->sheet.w);
        html_element(p->f, "span", "corner", "%s", m->corner);
        ss_matrix_columns(p, &m->columns);
    }
    for (int k = 0; k < t->rows && rc == SS_OK; k++) {
        snprintf(file, sizeof file, "%s%s-%d.png", p->prefix, m->name, k + 1);
        if ((rc = write_row(p, t, file, k, e)) != SS_OK)
            break;
        label = next_label(&m->rows, label);
        html_raw(p->f, "<span class=\"row\">");
        html_breaking(p->f, label ? label : "");
        html_raw(p->f, "</span><img class=\"pixels\" src=\"");
        html_text(p->f, file);
        fprintf(p->f, "\" width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"", t->sheet.w, t->h);
        html_textf(p->f, "%s Row: %s", m->alt, label ? label : "");
        html_raw(p->f, "\">\n");
    }
    if (rc == SS_OK) {
        html_raw(p->f, "</div>\n");
        legend(p, m);
        html_element(p->f, "figcaption", NULL, "%s", m->caption);
        html_raw(p->f, "</figure>\n");
        p->summary->n_figures++;
    }
    ss_image_release(&t->sheet);
    ss_str_release(&m->rows);
    ss_str_release(&m->columns);
    return rc;
}
