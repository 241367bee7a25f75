/* page.c - see page.h */
#include "reports/page/page.h"

#include "base/file.h"
#include "base/mem.h"
#include "reports/page/assets.h"

#include <errno.h>
#include <string.h>

ss_code ss_page_begin(ss_page *p, const char *folder, const char *file, const char *prefix,
                      const char *title, ss_report_summary *summary, ss_err *e)
{
    char *path = ss_path_join(folder, file);
    ss_code rc;

    *p = (ss_page){.folder = folder, .prefix = prefix, .summary = summary};
    if (!path)
        return ss_no_memory(e, file);
    rc = ss_outfile_open(&p->out, path, e);
    ss_free(path);
    if (rc != SS_OK)
        return rc;
    p->f = p->out.f;
    html_raw(p->f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<link rel=\"icon\" href=\"data:,\">\n");
    html_element(p->f, "title", NULL, "%s", title);
    html_raw(p->f, "\n<style>\n");
    html_raw(p->f, ss_asset_css);
    html_raw(p->f, "</style>\n</head>\n<body>\n<header>\n");
    html_element(p->f, "h1", NULL, "%s", title);
    return SS_OK;
}

ss_code ss_page_end(ss_page *p, ss_err *e)
{
    ss_code rc;

    html_raw(p->f, "<script>\n");
    html_raw(p->f, ss_asset_js);
    html_raw(p->f, "</script>\n</body>\n</html>\n");
    rc = ss_outfile_commit(&p->out, e);
    *p = (ss_page){0};
    return rc;
}

void ss_page_discard(ss_page *p)
{
    if (p->f)
        ss_outfile_discard(&p->out);
    *p = (ss_page){0};
}

void ss_page_section(ss_page *p, const char *id, const char *title)
{
    html_raw(p->f, "<h2 id=\"");
    html_text(p->f, id);
    html_raw(p->f, "\">");
    html_text(p->f, title);
    html_raw(p->f, "</h2>\n");
}

static void caption(ss_page *p, const char *text)
{
    html_element(p->f, "figcaption", NULL, "%s", text);
    html_raw(p->f, "</figure>\n");
}

ss_code ss_page_figure(ss_page *p, ss_plot *plot, const char *name, int width, int height,
                       const char *alt, const char *text, ss_err *e)
{
    char file[128];
    ss_err why = {0};
    ss_code rc;

    snprintf(file, sizeof file, "%s%s", p->prefix, name);
    rc = ss_plot_draw(plot, p->folder, file, width, height, &why);
    if (rc == SS_NOMEM) {
        *e = why;
        return rc;
    }
    html_raw(p->f, "<figure class=\"plot\">");
    if (rc == SS_OK) {
        html_themed_picture(p->f, file, width, height, alt);
        p->summary->n_figures++;
    } else {
        html_element(p->f, "p", "missing", "This figure could not be drawn. %s", why.msg);
        if (p->summary->n_missing++ == 0)
            snprintf(p->summary->problem, sizeof p->summary->problem, "%.500s", why.msg);
    }
    caption(p, text);
    return SS_OK;
}

void ss_page_nothing(ss_page *p, const char *why)
{
    html_element(p->f, "p", "missing", "No figure: %s", why);
}

ss_code ss_page_pixels(ss_page *p, ss_image *im, const char *name, int width, const char *alt,
                       const char *text, ss_err *e)
{
    char file[160], *path;
    ss_code rc;

    snprintf(file, sizeof file, "%s%s.png", p->prefix, name);
    path = ss_path_join(p->folder, file);
    rc = path ? ss_image_write_png(path, im, e) : ss_no_memory(e, file);
    if (rc == SS_OK) {
        html_raw(p->f, "<figure>");
        html_raw(p->f, "<img class=\"pixels\" src=\"");
        html_text(p->f, file);
        fprintf(p->f, "\" width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"", width,
                (int)((double)im->h * width / im->w + 0.5));
        html_text(p->f, alt);
        html_raw(p->f, "\">");
        caption(p, text);
        p->summary->n_figures++;
    }
    ss_free(path);
    ss_image_release(im);
    return rc;
}

void ss_page_table(ss_page *p, ss_table *t)
{
    html_table(p->f, t);
    ss_table_release(t);
}
