/* page.c - see page.h */
#include "reports/page/page.h"

#include "base/file.h"
#include "base/mem.h"
#include "reports/page/assets.h"

#include <stdlib.h>

/* Where the rows of a table become blocks: rows.h says which tables fit at which width. */
static void write_blocks(FILE *f)
{
    static const char *const where[][2] = {{"all and (max-width: 700px)", "middle"},
                                           {"all and (max-width: 1190px)", "wide"},
                                           {"all", "huge"}};

    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        fprintf(f, "@media %s {\ntable.%s {\n", where[i][0], where[i][1]);
        html_raw(f, ss_asset_blocks_css);
        html_raw(f, "}\n}\n");
    }
    for (int i = 1; i <= SS_ROWS_LABELS; i++)
        fprintf(f, "td:nth-child(%d) { --label: var(--c%d); }\n", i, i);
}

ss_code ss_page_begin(ss_page *p, const char *folder, const char *file, const char *prefix,
                      const char *title, ss_report_summary *summary, ss_err *e)
{
    *p = (ss_page){.folder = folder, .prefix = prefix, .summary = summary};
    p->path = ss_path_join(folder, file);
    p->f = open_memstream(&p->text, &p->length);
    p->list = open_memstream(&p->items, &p->items_length);
    if (!p->path || !p->f || !p->list) {
        ss_page_discard(p);
        return ss_no_memory(e, file);
    }
    html_raw(p->f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<link rel=\"icon\" href=\"data:,\">\n");
    html_element(p->f, "title", NULL, "%s", title);
    html_raw(p->f, "\n<style>\n");
    html_raw(p->f, ss_asset_css);
    html_raw(p->f, ss_asset_figure_css);
    write_blocks(p->f);
    html_raw(p->f, "</style>\n</head>\n<body>\n"
                   "<a class=\"skip\" href=\"#main\">Skip to the summary</a>\n<header>\n");
    html_element(p->f, "h1", NULL, "%s", title);
    return SS_OK;
}

void ss_page_main(ss_page *p)
{
    html_raw(p->f, "</header>\n<main id=\"main\">\n");
}

void ss_page_contents(ss_page *p)
{
    p->contents_at = ftell(p->f);
}

/* Closes both streams; false when memory ran out on the way. */
static bool close_streams(ss_page *p)
{
    const bool whole = !ferror(p->f) && !ferror(p->list);
    const bool closed = fclose(p->f) == 0;
    const bool both = fclose(p->list) == 0 && closed;

    p->f = p->list = NULL;
    return whole && both;
}

static ss_code write_file(ss_page *p, ss_err *e)
{
    enum { WORTH = 3 }; /* sections of a page that needs a list of them */
    const size_t at = p->contents_at > 0 ? (size_t)p->contents_at : p->length;
    ss_outfile out;
    ss_code rc = ss_outfile_open(&out, p->path, e);

    if (rc != SS_OK)
        return rc;
    fwrite(p->text, 1, at, out.f);
    if (at < p->length && p->n_sections >= WORTH) {
        html_raw(out.f, "<nav class=\"contents\" aria-label=\"contents\"><ul>\n");
        fwrite(p->items, 1, p->items_length, out.f);
        html_raw(out.f, "</ul></nav>\n");
    }
    fwrite(p->text + at, 1, p->length - at, out.f);
    return ss_outfile_commit(&out, e);
}

ss_code ss_page_end(ss_page *p, ss_err *e)
{
    ss_code rc;

    html_raw(p->f, "<script>\n");
    html_raw(p->f, ss_asset_js);
    html_raw(p->f, ss_asset_figure_js);
    html_raw(p->f, "</script>\n</body>\n</html>\n");
    rc = close_streams(p) ? write_file(p, e) : ss_no_memory(e, p->path);
    ss_page_discard(p);
    return rc;
}

void ss_page_discard(ss_page *p)
{
    if (p->f)
        fclose(p->f);
    if (p->list)
        fclose(p->list);
    free(p->text); /* of open_memstream */
    free(p->items);
    ss_free(p->path);
    *p = (ss_page){0};
}

void ss_page_section(ss_page *p, const char *id, const char *title)
{
    html_raw(p->f, "<h2 id=\"");
    html_text(p->f, id);
    html_raw(p->f, "\">");
    html_text(p->f, title);
    html_raw(p->f, "</h2>\n");
    html_raw(p->list, "<li><a href=\"#");
    html_text(p->list, id);
    html_raw(p->list, "\">");
    html_text(p->list, title);
    html_raw(p->list, "</a></li>\n");
    p->n_sections++;
}

/* The page says in our words why a figure is missing; the program's own complaint goes into the
 * summary, which a command prints. */
static void say_missing(ss_page *p, const ss_err *why)
{
    html_element(p->f, "p", "missing", "This figure could not be drawn: %s",
                 why->code == SS_UNSUPPORTED
                     ? "gnuplot, which draws figures, is not installed. Install gnuplot-nox and "
                       "write the report again."
                     : "gnuplot failed, or the disk was full. The command that wrote this report "
                       "printed its message on stderr.");
    if (p->summary->n_missing++ == 0)
        snprintf(p->summary->problem, sizeof p->summary->problem, "%.500s", why->msg);
}

ss_code ss_page_figure(ss_page *p, ss_plot *plot, const char *name, int width, int height,
                       const char *alt, const char *text, ss_err *e)
{
    char file[128];
    ss_err why = {0};
    ss_str markup = {0};
    ss_code rc;

    snprintf(file, sizeof file, "%s%s", p->prefix, name);
    rc = ss_plot_draw(plot, p->folder, file, width, height, alt, &markup, &why);
    if (rc == SS_NOMEM) {
        ss_str_release(&markup);
        *e = why;
        return rc;
    }
    html_raw(p->f, "<figure class=\"plot\">");
    if (rc == SS_OK) {
        fwrite(markup.s, 1, markup.len, p->f);
        p->summary->n_figures++;
    } else {
        say_missing(p, &why);
    }
    html_raw(p->f, "<figcaption>");
    html_text(p->f, text);
    if (rc == SS_OK) {
        html_raw(p->f, " <a class=\"paper\" href=\"");
        html_text(p->f, file);
        html_raw(p->f, ".png\">PNG</a>");
    }
    html_raw(p->f, "</figcaption></figure>\n");
    ss_str_release(&markup);
    return SS_OK;
}

void ss_page_nothing(ss_page *p, const char *why)
{
    html_element(p->f, "p", "missing", "No figure: %s", why);
}

void ss_page_table(ss_page *p, ss_table *t)
{
    html_table(p->f, t, NULL);
    ss_table_release(t);
}

void ss_page_facts_begin(ss_page *p)
{
    html_raw(p->f, "<table class=\"facts\"><tbody>\n");
}

void ss_page_fact(ss_page *p, const char *what, const char *value)
{
    html_raw(p->f, "<tr>");
    html_element(p->f, "th", NULL, "%s", what);
    html_raw(p->f, "<td class=\"path\">");
    html_text(p->f, *value ? value : "not recorded");
    html_raw(p->f, "</td></tr>\n");
}

void ss_page_facts_end(ss_page *p)
{
    html_raw(p->f, "</tbody></table>\n");
}
