/* tables.c - see tables.h */
#include "cli/tables.h"

#include "analyze/one/frame_attention.h"
#include "analyze/training/mechanism.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Adds a table under its title; a second one with that title (a file given twice) is "TITLE (2)".
 */
static ss_code add_table(json_t *tables, const ss_table *t, ss_err *e)
{
    ss_str title = {0};
    ss_code rc = SS_OK;

    ss_str_add(&title, t->title);
    for (int i = 2; !title.failed && json_object_get(tables, title.s); i++) {
        ss_str_release(&title);
        ss_str_addf(&title, "%s (%d)", t->title, i);
    }
    if (title.failed || json_object_set_new(tables, title.s, ss_table_json(t)) != 0)
        rc = ss_fail(e, SS_NOMEM, "table '%s': out of memory", t->title);
    ss_str_release(&title);
    return rc;
}

ss_code cli_show(cli_tables *out, ss_table *t, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!out->json) {
        if (out->n_shown++)
            putchar('\n');
        ss_table_print(t, stdout, 0);
    } else {
        if (!out->tables)
            out->tables = json_object();
        rc = add_table(out->tables, t, e);
    }
    ss_table_release(t);
    return rc;
}

/* A text as a JSON string; names in it may be anybody's. */
static json_t *printable_json(const char *text)
{
    const size_t n = strlen(text), room = 4 * n + 1;
    char *shown = ss_alloc(room, 1);
    json_t *j = shown ? json_string(ss_printable(text, shown, room)) : NULL;

    ss_free(shown);
    return j;
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
    if (out->json) {
        json_t *list = said_list(out), *item = NULL;

        if (text)
            item = json_pack("{s:s*, s:s, s:o}", "run", name, "part", part, "text",
                             printable_json(text));
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

    if (!out->json) {
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

    if (rc == SS_OK && (out->json || ss_not_finite_any(x)) &&
        (rc = ss_not_finite_table(x, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->json || x->n_weights) &&
        (rc = ss_bad_weights_table(x, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->json || x->n_sites) &&
        (rc = ss_bad_sites_table(x, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->json || x->n_limits) && (rc = ss_at_limit_table(x, &t, e)) == SS_OK)
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
    if (out->json || ss_mechanism_matters(&m) || !runs[0]->steps)
        rc = cli_say(out, "mechanism", m.sentence, e);
    if (rc == SS_OK && (out->json || ss_mechanism_matters(&m)) &&
        (rc = ss_mechanism_table(&m, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && out->json &&
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
    if (!out->json && asked->n && out->n_shown)
        putchar('\n');
    for (int i = 0; i < asked->n && rc == SS_OK; i++) {
        char *text = ss_structure_say(r, r->modules[asked->module[i]]);

        rc = text ? cli_say(out, "structure", text, e) : ss_no_memory(e, "a table");
        ss_free(text);
    }
    if (rc == SS_OK && out->json &&
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

ss_code cli_show_end(cli_tables *out, ss_code rc, ss_err *e)
{
    if (rc == SS_OK && out->tables) {
        if (json_dumpf(out->tables, stdout, JSON_INDENT(1)) != 0)
            rc = ss_fail(e, SS_IO, "writing the output failed");
        putchar('\n');
    }
    json_decref(out->tables);
    *out = (cli_tables){0};
    return rc;
}
