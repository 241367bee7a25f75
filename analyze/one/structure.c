/* structure.c - see structure.h */
#include "analyze/one/structure.h"

#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Number of names by which `inner` is below `outer`; 0: it is not. */
static int below(const char *inner, const char *outer)
{
    const size_t n = strlen(outer);
    int depth = 1;

    if (n == 0 || strncmp(inner, outer, n) != 0 || inner[n] != '.')
        return 0;
    for (const char *at = inner + n + 1; *at; at++)
        depth += *at == '.';
    return depth;
}

int ss_structure_find(const ss_run *r, const char *module, ss_structure_link *how)
{
    ss_structure_link unused;
    int contains = -1, inside = -1, nearest = 0;

    how = how ? how : &unused;
    *how = SS_LINK_NAMED;
    for (int i = 0; i < r->n_structure; i++) {
        if (ss_structure_names(&r->structure[i], module))
            return i;
    }
    for (int i = 0; i < r->n_structure; i++) {
        const char *at = r->structure[i].modules;
        char name[1000];

        while (ss_structure_next(&at, name, sizeof name)) {
            const int depth = below(module, name);

            if (contains < 0 && below(name, module) == 1)
                contains = i;
            if (depth && (!nearest || depth < nearest)) {
                nearest = depth;
                inside = i;
            }
        }
    }
    *how = contains >= 0 ? SS_LINK_CONTAINS : inside >= 0 ? SS_LINK_INSIDE : SS_LINK_NONE;
    return contains >= 0 ? contains : inside;
}

char *ss_structure_say(const ss_run *r, const char *module)
{
    static const char *const links[] = {[SS_LINK_NAMED] = "is on the line",
                                        [SS_LINK_CONTAINS] = "contains a module of the line",
                                        [SS_LINK_INSIDE] = "is in a module of the line"};
    ss_structure_link how;
    ss_str s = {0};

    if (r->n_structure == 0)
        return NULL;
    const int i = ss_structure_find(r, module, &how);
    if (i < 0) {
        ss_str_addf(&s, "%s is on no line of what lets activations grow.", module);
        return ss_str_detach(&s);
    }
    const ss_structure_row *row = &r->structure[i];

    ss_str_addf(&s, "%s %s \"%s\": %s; %s. ", module, links[how], row->kind, row->reads, row->why);
    if (*row->key)
        ss_str_addf(&s, "%s %s %s: %s.", row->key, strcmp(row->value, "absent") == 0 ? "is" : "=",
                    row->value, row->remedy);
    else if (*row->remedy)
        ss_str_addf(&s, "%c%s.", toupper((unsigned char)*row->remedy), row->remedy + 1);
    return ss_str_detach(&s);
}

void ss_structure_ask(ss_structure_asked *a, ss_site s)
{
    for (int i = 0; i < a->n; i++) {
        if (a->module[i] == s.module)
            return;
    }
    if (a->n < SS_STRUCTURE_ASKED)
        a->module[a->n++] = s.module;
}
