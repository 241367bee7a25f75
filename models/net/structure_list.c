/* structure_list.c - see structure_list.h */
#include "models/net/structure_list.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(name, text) text,
static const char *const place_names[] = {SS_PLACES(X)};
static const char *const kind_names[] = {SS_STRUCTURE_KINDS(X)};
#undef X

/* A row while the list is made. */
struct ss_structure_draft {
    const ss_structure_clause *clause;
    ss_place at;
    ss_str modules, more; /* more: text after the clause's reads */
};

void ss_structure_add(ss_structure_list *l, const ss_structure_clause *c, ss_place at,
                      const char *path)
{
    ss_structure_draft *d = NULL;

    for (size_t i = 0; i < l->n && !d; i++) {
        if (l->rows[i].clause == c && l->rows[i].at == at)
            d = &l->rows[i];
    }
    if (!d) {
        ss_structure_draft *rows = ss_grow(l->rows, &l->cap, l->n + 1, sizeof *rows);

        if (!rows) {
            l->failed = true;
            return;
        }
        l->rows = rows;
        d = &rows[l->n++];
        *d = (ss_structure_draft){.clause = c, .at = at};
    }
    ss_str_addf(&d->modules, "%s%s", d->modules.len ? ", " : "", *path ? path : SS_ROOT);
}

void ss_structure_say_more(ss_structure_list *l, const ss_structure_clause *c, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < l->n; i++) {
        if (l->rows[i].clause == c)
            ss_str_add(&l->rows[i].more, text);
    }
}

const char *ss_structure_own_name(const ss_structure_list *l, const ss_module *m)
{
    if (m->parent < 0)
        return m->path;
    const size_t n = strlen(l->modules[m->parent]->path);

    return m->path + (n ? n + 1 : 0);
}

const ss_module *ss_structure_child(const ss_structure_list *l, const ss_module *m,
                                    const char *name)
{
    for (int i = 0; i < l->n_modules; i++) {
        if (l->modules[i]->parent == m->id &&
            strcmp(ss_structure_own_name(l, l->modules[i]), name) == 0)
            return l->modules[i];
    }
    return NULL;
}

const char *ss_structure_owner(const ss_structure_list *l, const char *parameter, const char *name)
{
    const size_t n = strlen(parameter), k = strlen(name);

    if (n <= k + 1 || strcmp(parameter + n - k, name) != 0 || parameter[n - k - 1] != '.')
        return NULL;
    for (int i = 0; i < l->n_modules; i++) {
        const char *path = l->modules[i]->path;

        if (strlen(path) == n - k - 1 && strncmp(path, parameter, n - k - 1) == 0)
            return path;
    }
    return NULL;
}

static int by_kind(const void *pa, const void *pb)
{
    const ss_structure_draft *a = pa, *b = pb;

    if (a->clause->kind != b->clause->kind)
        return a->clause->kind < b->clause->kind ? -1 : 1;
    int order = strcmp(a->clause->key, b->clause->key);
    if (order == 0)
        order = strcmp(a->clause->reads, b->clause->reads);
    return order ? order : (int)a->at - (int)b->at;
}

/* Returns the value of "KEY", or of "OBJECT.KEY" in an object of it, as JSON; NULL: no memory. */
static char *value_text(const json_t *config, const char *key)
{
    const json_t *v = config;
    char *json, *copy;

    if (!*key)
        return ss_strdup("");
    while (*key) {
        const size_t n = strcspn(key, ".");
        char name[64];

        snprintf(name, sizeof name, "%.*s", (int)n, key);
        v = json_object_get(v, name);
        key += key[n] ? n + 1 : n;
    }
    if (!v || json_is_null(v))
        return ss_strdup("absent");
    json = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    copy = json ? ss_strdup(json) : NULL;
    free(json); /* jansson's */
    return copy;
}

/* Makes the row of a draft, whose texts it takes; false where memory is out. */
static bool complete(ss_structure_draft *d, const json_t *config, ss_structure_row *r)
{
    const ss_structure_clause *c = d->clause;
    ss_str reads = {0};

    ss_str_add(&reads, c->reads);
    if (d->more.s)
        ss_str_add(&reads, d->more.s);
    *r = (ss_structure_row){.kind = kind_names[c->kind],
                            .place = place_names[d->at],
                            .modules = ss_str_detach(&d->modules),
                            .reads = ss_str_detach(&reads),
                            .why = c->why,
                            .key = c->key,
                            .value = value_text(config, c->key),
                            .remedy = c->remedy};
    const bool whole = r->modules && r->reads && r->value && !d->more.failed;
    ss_str_release(&d->more);
    return whole;
}

ss_code ss_structure_finish(ss_structure_list *l, const json_t *config, ss_structure_row **out,
                            int *n, ss_err *e)
{
    ss_structure_row *rows = ss_calloc(l->n, sizeof *rows);
    bool failed = l->failed || !rows;

    if (l->n)
        qsort(l->rows, l->n, sizeof *l->rows, by_kind);
    for (size_t i = 0; i < l->n; i++) {
        if (failed) {
            ss_str_release(&l->rows[i].modules);
            ss_str_release(&l->rows[i].more);
        } else if (!complete(&l->rows[i], config, &rows[i])) {
            failed = true;
        }
    }
    const int count = (int)l->n;
    ss_free(l->rows);
    *l = (ss_structure_list){0};
    if (failed) {
        ss_structure_rows_free(rows, count);
        return ss_no_memory(e, "the list of what lets activations grow");
    }
    *out = rows;
    *n = count;
    return SS_OK;
}

void ss_structure_rows_free(ss_structure_row *rows, int n)
{
    for (int i = 0; rows && i < n; i++) {
        ss_free((void *)rows[i].modules);
        ss_free((void *)rows[i].reads);
        ss_free((void *)rows[i].value);
    }
    ss_free(rows);
}
