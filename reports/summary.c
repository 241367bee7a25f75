/* summary.c - see summary.h */
#include "reports/summary.h"

#include "base/json.h"
#include "base/mem.h"
#include "reports/page/rows.h"

#include <string.h>

enum { SHOWN = 5 }; /* sentences before the figures; the others are folded */

static const char *text_of(const json_t *finding, const char *key)
{
    const char *text = json_string_value(json_object_get(finding, key));

    return text ? text : "";
}

static int severity_of(const json_t *finding)
{
    for (int s = SS_N_SEVERITIES - 1; s > 0; s--) {
        if (strcmp(text_of(finding, "severity"), ss_severity_name((ss_severity)s)) == 0)
            return s;
    }
    return SS_SEVERITY_NONE;
}

/* Which sentences come first: trouble by its severity, then what was measured, then the rest. */
static int weight(const json_t *finding)
{
    const char *verdict = text_of(finding, "verdict");
    const int severity = severity_of(finding);

    return severity                           ? 3 + severity
           : strcmp(verdict, "measured") == 0 ? 3
           : strcmp(verdict, "good") == 0     ? 2
                                              : 1;
}

static void sentence(ss_page *p, const json_t *x)
{
    const char *verdict = text_of(x, "verdict"), *figure = text_of(x, "figure");
    const bool bad = strcmp(verdict, "bad") == 0;

    html_raw(p->f, "<li><span class=\"verdict ");
    html_text(p->f, bad ? text_of(x, "severity") : verdict);
    html_raw(p->f, "\">");
    html_text(p->f, bad                               ? text_of(x, "severity")
                    : strcmp(verdict, "unknown") == 0 ? "not known"
                    : strcmp(verdict, "good") == 0    ? "no trouble"
                                                      : verdict);
    html_raw(p->f, "</span><span>");
    html_text(p->f, text_of(x, "text"));
    if (*figure) {
        html_raw(p->f, " <a href=\"#");
        html_text(p->f, figure);
        html_raw(p->f, "\">See it</a>.");
    }
    html_raw(p->f, "</span></li>\n");
}

/* The sentence of most weight that is not written yet; -1: none is left. */
static int next_of(const ss_findings *f, const bool *written, bool by_weight)
{
    int best = -1, most = 0;

    for (int i = 0; i < (int)json_array_size(f->list); i++) {
        const int w = by_weight ? weight(json_array_get(f->list, (size_t)i)) : 1;

        if (!written[i] && w > most) {
            best = i;
            most = w;
        }
    }
    return best;
}

static void sentences(ss_page *p, const ss_findings *f)
{
    const int n = (int)json_array_size(f->list), left = n > SHOWN ? n - SHOWN : 0;
    bool *written = ss_calloc((size_t)n + 1, sizeof *written);
    int count = 0;

    if (!written || f->failed) {
        ss_page_nothing(p, "memory ran out while sentences were made.");
        ss_free(written);
        return;
    }
    html_raw(p->f, "<ul class=\"findings\">\n");
    for (int i; (i = next_of(f, written, count < SHOWN)) >= 0; count++) {
        if (count == SHOWN) {
            html_raw(p->f, "</ul>\n<details class=\"more\">");
            html_element(p->f, "summary", NULL, "%d more finding%s", left, left == 1 ? "" : "s");
            html_raw(p->f, "<ul class=\"findings\">\n");
        }
        sentence(p, json_array_get(f->list, (size_t)i));
        written[i] = true;
    }
    html_raw(p->f, left ? "</ul></details>\n" : "</ul>\n");
    ss_free(written);
}

static void row(ss_page *p, const char *name, const char *text, const char *class)
{
    if (!text)
        return;
    html_element(p->f, "dt", NULL, "%s", name);
    html_raw(p->f, "<dd>");
    html_element(p->f, class ? "code" : "span", class, "%s", text);
    html_raw(p->f, "</dd>\n");
}

enum { SHORT_LIST = 8 }; /* modules to keep that are shown at once */

/* The modules to keep in fp32, the first of many. */
static void keep_row(ss_page *p, const ss_verdict *v)
{
    if (!v->n_keep)
        return;
    html_element(p->f, "dt", NULL, "keep");
    html_raw(p->f, "<dd>");
    html_textf(p->f, "%d module%s in fp32: ", v->n_keep, v->n_keep == 1 ? "" : "s");
    for (int i = 0; i < v->n_keep && i < SHORT_LIST; i++)
        html_textf(p->f, "%s%s", i ? ", " : "", *v->keep[i] ? v->keep[i] : "the whole network");
    if (v->n_keep > SHORT_LIST)
        html_textf(p->f, " and %d more", v->n_keep - SHORT_LIST);
    html_raw(p->f, "</dd>\n");
}

static void answer(ss_page *p, const ss_verdict *v)
{
    static const char *const words[] = {"Good", "Not known", "At risk", "Bad"};

    html_raw(p->f, "<section class=\"answer ");
    html_text(p->f, ss_judged_name(v->kind));
    html_raw(p->f, "\" aria-label=\"verdict\">\n<p class=\"said\">");
    html_element(p->f, "strong", "badge", "%s%s%s", words[v->kind], *v->format ? " in " : "",
                 v->format);
    html_raw(p->f, " ");
    html_breaking(p->f, v->text);
    html_raw(p->f, "</p>\n<dl>\n");
    row(p, "where", v->where, NULL);
    row(p, "since", v->since, NULL);
    keep_row(p, v);
    for (int i = 0; i < v->n_next; i++)
        row(p, i ? "" : "next", v->next[i], "command");
    row(p, "covers", v->covers, NULL);
    html_raw(p->f, "</dl>\n");
    if (v->n_keep && v->paste) {
        html_raw(p->f, "<details>");
        html_element(p->f, "summary", NULL, "Python to paste that keeps %s in fp32 under %s",
                     v->n_keep == 1 ? "it" : "them", v->keep_for);
        html_raw(p->f, "<pre class=\"keep paste\">");
        html_text(p->f, v->paste);
        html_raw(p->f, "</pre></details>\n");
    }
    html_raw(p->f, "</section>\n");
}

ss_code ss_summary(ss_page *p, const ss_findings *f, const ss_verdict *v, ss_err *e)
{
    char file[64];
    char *path;
    json_t *all = ss_findings_document(f, v);
    ss_code rc;

    if (v)
        answer(p, v);
    sentences(p, f);
    ss_page_contents(p);
    snprintf(file, sizeof file, "%sfindings.json", p->prefix);
    path = ss_path_join(p->folder, file);
    rc = path ? ss_json_write(path, all, JSON_INDENT(1), e) : ss_no_memory(e, file);
    ss_free(path);
    json_decref(all);
    return rc;
}
