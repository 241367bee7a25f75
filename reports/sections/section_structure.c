/* section_structure.c - what in the network lets activations grow, as the run file has it */
#include "reports/sections/sections.h"

#include <string.h>

static void put_key(FILE *f, const ss_structure_row *r)
{
    if (*r->key) {
        html_raw(f, "<code>");
        html_text(f, r->key);
        html_raw(f, "</code>");
        html_textf(f, " %s %s: ", strcmp(r->value, "absent") == 0 ? "is" : "=", r->value);
    }
    html_text(f, r->remedy);
}

static void put_row(FILE *f, const ss_structure_row *r, int number)
{
    char name[1000];
    const char *at = r->modules;
    const int count = ss_structure_count(r);

    html_raw(f, "<h3 id=\"structure-");
    html_textf(f, "%d", number);
    html_raw(f, "\">");
    html_textf(f, "%s, %s", r->kind, r->place);
    html_raw(f, "</h3>\n<p>");
    html_textf(f, "%s; %s. ", r->reads, r->why);
    put_key(f, r);
    html_raw(f, "</p>\n<details><summary>");
    html_textf(f, "%d module%s", count, count == 1 ? "" : "s");
    html_raw(f, "</summary><pre>");
    while (ss_structure_next(&at, name, sizeof name))
        html_textf(f, "%s\n", name);
    html_raw(f, "</pre></details>\n");
}

void ss_section_structure(ss_page *page, const ss_run *r)
{
    if (r->n_structure == 0)
        return;
    ss_page_section(page, "structure", "What lets activations grow");
    html_element(page->f, "p", NULL,
                 "How the network is built, from its configuration and its modules: what reads "
                 "its stream without a norm, what is added up without a scale, and which key "
                 "changes it. Being on this list does not say that a value grows there.");
    for (int i = 0; i < r->n_structure; i++)
        put_row(page->f, &r->structure[i], i + 1);
}
