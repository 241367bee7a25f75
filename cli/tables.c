/* tables.c - see tables.h */
#include "cli/tables.h"

#include "analyze/one/frame_attention.h"
#include "analyze/training/mechanism.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

bool cli_as_data(const cli_parser *p)
{
    return p->common.json || p->common.csv;
}

cli_tables cli_tables_begin(const cli_parser *p)
{
    return (cli_tables){.data = cli_as_data(p) || p->common.table,
                        .csv = p->common.csv,
                        .json = p->common.json,
                        .wide = p->common.wide,
                        .only = p->common.table};
}

/* A table's title among those shown so far: a second one with that title (a file given twice) is
 * "TITLE (2)". ss_free; NULL: no memory. */
static char *own_title(const cli_tables *out, const ss_table *t)
{
    ss_str title = {0};

    ss_str_add(&title, t->title);
    for (int i = 2; !title.failed && json_object_get(out->tables, title.s); i++) {
        ss_str_release(&title);
        ss_str_addf(&title, "%s (%d)", t->title, i);
    }
    return ss_str_detach(&title);
}

static bool is_asked(const cli_tables *out, const char *title)
{
    return !out->only || strcmp(out->only, title) == 0;
}

static ss_code print_table(cli_tables *out, const ss_table *t, const char *title, ss_err *e)
{
    char *component = out->component ? ss_table_title(out->component, title) : NULL;

    if (out->n_shown++)
        putchar('\n');
    if (out->csv && !out->only)
        printf("# %s\n", SS_SHOW(component ? component : title));
    ss_free(component);
    if (out->csv)
        return ss_table_csv(t, stdout, e);
    ss_table_print(t, stdout, out->wide ? SS_TABLE_WIDE : 0);
    return SS_OK;
}

ss_code cli_show(cli_tables *out, ss_table *t, ss_err *e)
{
    char *title = own_title(out, t);
    ss_code rc = title ? SS_OK : ss_fail(e, SS_NOMEM, "table '%s': out of memory", t->title);

    if (rc == SS_OK && !out->json && is_asked(out, title))
        rc = print_table(out, t, title, e);
    if (rc == SS_OK && out->data) {
        if (!out->tables)
            out->tables = json_object();
        if (json_object_set_new(out->tables, title, ss_table_json(t)) != 0)
            rc = ss_fail(e, SS_NOMEM, "table '%s': out of memory", t->title);
    }
    ss_free(title);
    ss_table_release(t);
    return rc;
}

static ss_code print_sentence(const char *name, const char *text, ss_err *e)
{
    const size_t room = 4 * strlen(text) + 1;
    char *shown = ss_alloc(room, 1);

    if (!shown)
        return ss_no_memory(e, "a table");
    printf("%s%s%s\n", name ? name : "", name ? ": " : "", ss_printable(text, shown, room));
    ss_free(shown);
    return SS_OK;
}

/* The list "said" of the JSON object; made at the first call. */
static json_t *said_list(cli_tables *out)
{
    json_t *list;

    if (!out->tables)
        out->tables = json_object();
    if (!(list = json_object_get(out->tables, "said")) &&
        json_object_set_new(out->tables, "said", json_array()) == 0)
        list = json_object_get(out->tables, "said");
    return list;
}

/* Adds one sentence; text may be NULL. */
static ss_code say(cli_tables *out, const char *name, const char *part, const char *text,
                   bool *begun, ss_err *e)
{
    if (out->data) {
        json_t *list = said_list(out), *item = NULL;

        if (text)
            item = json_pack("{s:s*, s:s, s:o}", "run", name, "part", part, "text",
                             ss_json_from_text(text));
        return !list || (text && json_array_append_new(list, item) != 0)
                   ? ss_no_memory(e, "a table")
                   : SS_OK;
    }
    if (!text)
        return SS_OK;
    if (!*begun && out->n_shown++)
        putchar('\n');
    *begun = true;
    return print_sentence(name, text, e);
}

ss_code cli_show_verdict(cli_tables *out, const ss_verdict *v, const ss_findings *f, ss_err *e)
{
    json_t *all;
    int failed;

    if (!out->data) {
        out->n_shown++;
        ss_verdict_print(v, stdout);
        return SS_OK;
    }
    if (!out->tables)
        out->tables = json_object();
    if (!(all = ss_findings_document(f, v)))
        return ss_no_memory(e, "findings");
    failed = json_object_set(out->tables, "verdict", json_object_get(all, "verdict")) != 0 ||
             json_object_set(out->tables, "findings", json_object_get(all, "findings")) != 0;
    json_decref(all);
    return failed ? ss_no_memory(e, "findings") : SS_OK;
}

ss_code cli_say_not_finite(cli_tables *out, const ss_not_finite *x, ss_bad_part lead,
                           const char *name, ss_err *e)
{
    ss_code rc = SS_OK;
    bool begun = false;

    for (int i = -1; i < SS_N_BAD_PARTS && rc == SS_OK; i++) {
        const ss_bad_part part = i < 0 ? lead : (ss_bad_part)i;
        ss_err why = {0};

        if (i == (int)lead)
            continue;
        char *text = ss_not_finite_say(x, part, &why);
        rc = why.code != SS_OK ? ss_fail(e, why.code, "%s", why.msg)
                               : say(out, name, ss_bad_part_name(part), text, &begun, e);
        ss_free(text);
    }
    return rc;
}

ss_code cli_say_more(cli_tables *out, const char *part, const char *text, bool follows, ss_err *e)
{
    return say(out, NULL, part, text, &follows, e);
}

ss_code cli_say(cli_tables *out, const char *part, const char *text, ss_err *e)
{
    return cli_say_more(out, part, text, false, e);
}

ss_code cli_show_not_finite(cli_tables *out, const ss_not_finite *x, int top, ss_err *e)
{
    ss_table t;
    ss_code rc = cli_say_not_finite(out, x, SS_BAD_WEIGHTS, NULL, e);

    if (rc == SS_OK && (out->data || ss_not_finite_any(x)) &&
        (rc = ss_not_finite_table(x, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->data || x->n_weights) &&
        (rc = ss_bad_weights_table(x, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->data || x->n_sites) &&
        (rc = ss_bad_sites_table(x, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->data || x->n_limits) && (rc = ss_at_limit_table(x, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    return rc;
}

ss_code cli_show_mechanism(cli_tables *out, ss_run *const *runs, const int64_t *steps, int n,
                           ss_err *e)
{
    ss_mechanism_finding m;
    ss_table t;
    ss_code rc = ss_mechanism_find(runs, steps, n, &m, e);

    if (rc != SS_OK)
        return rc;
    if (out->data || ss_mechanism_matters(&m) || !runs[0]->steps)
        rc = cli_say(out, "mechanism", m.sentence, e);
    if (rc == SS_OK && (out->data || ss_mechanism_matters(&m)) &&
        (rc = ss_mechanism_table(&m, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && out->data &&
        json_object_set_new(json_object_get(out->tables, "mechanism"), "name",
                            json_string(ss_mechanism_text(m.name))) != 0)
        rc = ss_no_memory(e, "a table");
    ss_mechanism_release(&m);
    return rc;
}

ss_code cli_say_mechanism(cli_tables *out, ss_run *const *runs, const int64_t *steps, int n,
                          ss_err *e)
{
    ss_mechanism_finding m;
    ss_code rc = ss_mechanism_find(runs, steps, n, &m, e);

    if (rc != SS_OK)
        return rc;
    rc = cli_say(out, "mechanism", m.sentence, e);
    ss_mechanism_release(&m);
    return rc;
}

ss_code cli_show_structure(cli_tables *out, const ss_run *r, const ss_structure_asked *asked,
                           ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (r->n_structure == 0)
        return SS_OK;
    if (!out->data && asked->n && out->n_shown)
        putchar('\n');
    for (int i = 0; i < asked->n && rc == SS_OK; i++) {
        char *text = ss_structure_say(r, r->modules[asked->module[i]]);

        rc = text ? cli_say(out, "structure", text, e) : ss_no_memory(e, "a table");
        ss_free(text);
    }
    if (rc == SS_OK && out->data &&
        (rc = ss_structure_table(r->structure, r->n_structure, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    return rc;
}

ss_code cli_show_frames(cli_tables *out, ss_run *r, const char *const *globs, int n_globs, int top,
                        ss_err *e)
{
    ss_frame_attention a;
    ss_table t;
    ss_code rc = ss_frame_attention_find(r, globs, n_globs, SS_ALL, &a, e);

    if (rc == SS_OK && a.n && (rc = ss_frame_attention_table(r, &a, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    ss_frame_attention_release(&a);
    return rc;
}

static bool is_table(const json_t *j)
{
    return json_is_array(json_object_get(j, "rows")) && json_object_get(j, "title");
}

/* Takes out what is not the table asked for, also of several components; true where it is there. */
static bool keep_only(json_t *tables, const char *only)
{
    bool found = false;
    const char *key;
    json_t *item;
    void *next;

    json_object_foreach_safe(tables, next, key, item)
    {
        if (is_table(item) && strcmp(key, only) == 0)
            found = true;
        else if (strcmp(key, "runs") == 0 && !is_table(item)) {
            bool any = false;
            const char *name;
            json_t *own;
            void *after;

            json_object_foreach_safe(item, after, name, own)
            {
                if (keep_only(own, only))
                    any = true;
                else
                    json_object_del(item, name);
            }
            found |= any;
            if (!any)
                json_object_del(tables, key);
        } else
            json_object_del(tables, key);
    }
    return found;
}

static void add_titles(const json_t *tables, ss_str *out)
{
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)tables, key, item)
    {
        if (is_table(item))
            ss_str_addf(out, "%s'%s'", out->len ? ", " : "", key);
        else if (strcmp(key, "runs") == 0 && json_object_size(item))
            add_titles(json_object_iter_value(json_object_iter(item)), out);
    }
}

static ss_code check_asked(cli_tables *out, ss_err *e)
{
    ss_str titles = {0};
    ss_code rc;

    add_titles(out->tables, &titles);
    if (keep_only(out->tables, out->only))
        rc = SS_OK;
    else if (!titles.len)
        rc = ss_fail(e, SS_USAGE, "there is no table '%s', nor any other", SS_SHOW(out->only));
    else
        rc = ss_fail(e, SS_USAGE, "there is no table '%s'; those there are: %s", SS_SHOW(out->only),
                     titles.s);
    ss_str_release(&titles);
    return rc;
}

ss_code cli_show_end(cli_tables *out, ss_code rc, ss_err *e)
{
    if (rc == SS_OK && out->only)
        rc = check_asked(out, e);
    if (rc == SS_OK && out->json) {
        json_t *all = json_pack("{s:s}", "schema", CLI_TABLES_SCHEMA);

        if (!all || (out->tables && json_object_update(all, out->tables) != 0))
            rc = ss_no_memory(e, "a table");
        else if (json_dumpf(all, stdout, JSON_INDENT(1)) != 0)
            rc = ss_fail(e, SS_IO, "writing the output failed");
        putchar('\n');
        json_decref(all);
    }
    json_decref(out->tables);
    *out = (cli_tables){0};
    return rc;
}
