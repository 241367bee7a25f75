/* verdict.c - what a verdict is made of, printed and as data; see verdict.h */
#include "analyze/findings/verdict.h"

#include "analyze/findings/verdict_parts.h"
#include "base/mem.h"
#include "base/version.h"

#include <ctype.h>
#include <string.h>

#define X(name, text) text,
const char *ss_judged_name(ss_judged kind)
{
    static const char *const names[] = {SS_JUDGED(X)};

    return names[kind];
}
#undef X

static void free_texts(char **text, int n)
{
    for (int i = 0; i < n; i++)
        ss_free(text[i]);
    ss_free(text);
}

void ss_verdict_release(ss_verdict *v)
{
    ss_free(v->format);
    ss_free(v->text);
    ss_free(v->where);
    ss_free(v->since);
    ss_free(v->covers);
    ss_free(v->keep_for);
    ss_free(v->paste);
    free_texts(v->next, v->n_next);
    free_texts(v->keep, v->n_keep);
    json_decref(v->data);
    *v = (ss_verdict){0};
}

void ss_verdict_add(ss_verdict *v, const char *name, json_t *value)
{
    json_object_set_new(v->data, name, value);
}

void ss_verdict_place_data(ss_verdict *v, const ss_run *r, ss_site s, ss_cell c)
{
    if (!v->data || !ss_json_add_site(v->data, r, s) || !ss_json_add_cell(v->data, r, c)) {
        json_decref(v->data);
        v->data = NULL; /* ss_verdict_end sees it */
    }
}

void ss_verdict_next(ss_verdict *v, const char *command)
{
    char **grown = ss_realloc(v->next, (size_t)v->n_next + 1, sizeof *grown);

    if (!grown)
        return;
    v->next = grown;
    v->next[v->n_next] = ss_strdup(command);
    v->n_next += v->next[v->n_next] != NULL;
}

void ss_verdict_next_with(ss_verdict *v, const char *before, const char *path, const char *after)
{
    ss_str s = {0};

    ss_str_add(&s, before);
    ss_str_add_word(&s, path);
    ss_str_add(&s, after);
    if (!s.failed)
        ss_verdict_next(v, s.s);
    ss_str_release(&s);
}

ss_code ss_verdict_end(const ss_verdict *v, ss_err *e)
{
    return v->text && v->format && v->data ? SS_OK : ss_no_memory(e, "a verdict");
}

static void print_text(FILE *f, const char *text)
{
    const size_t room = 4 * strlen(text) + 1;
    char *shown = ss_alloc(room, 1);

    fputs(shown ? ss_printable(text, shown, room) : "...", f);
    ss_free(shown);
}

static void print_line(FILE *f, const char *label, const char *text)
{
    if (!text)
        return;
    fprintf(f, "  %-7s", label);
    print_text(f, text);
    fputc('\n', f);
}

static void print_keep(const ss_verdict *v, FILE *f)
{
    enum { SHOWN = 4 };

    if (!v->n_keep)
        return;
    fprintf(f, "  %-7s%d module%s in fp32 (%s):", "keep", v->n_keep, v->n_keep == 1 ? "" : "s",
            v->keep_for);
    for (int i = 0; i < v->n_keep && i < SHOWN; i++) {
        fputs(i ? ", " : " ", f);
        print_text(f, *v->keep[i] ? v->keep[i] : "the whole network");
    }
    if (v->n_keep > SHOWN)
        fprintf(f, " and %d more", v->n_keep - SHOWN);
    fputc('\n', f);
}

void ss_verdict_print(const ss_verdict *v, FILE *f)
{
    for (const char *p = ss_judged_name(v->kind); *p; p++)
        fputc(toupper((unsigned char)*p), f);
    if (*v->format)
        fprintf(f, " in %s", v->format);
    fputs(": ", f);
    print_text(f, v->text);
    fputc('\n', f);
    print_line(f, "where", v->where);
    print_line(f, "since", v->since);
    print_keep(v, f);
    for (int i = 0; i < v->n_next; i++)
        print_line(f, i ? "" : "next", v->next[i]);
    print_line(f, "covers", v->covers);
}

static bool set_text(json_t *to, const char *name, const char *text)
{
    return !text || json_object_set_new(to, name, ss_json_from_text(text)) == 0;
}

static bool set_texts(json_t *to, const char *name, char *const *text, int n)
{
    json_t *list = json_array();
    bool fine = list != NULL;

    for (int i = 0; i < n; i++)
        fine = fine && json_array_append_new(list, ss_json_from_text(text[i])) == 0;
    return json_object_set_new(to, name, list) == 0 && fine;
}

json_t *ss_verdict_json(const ss_verdict *v)
{
    json_t *j = json_object();
    const bool fine =
        j && set_text(j, "verdict", ss_judged_name(v->kind)) &&
        (!*v->format || set_text(j, "format", v->format)) && set_text(j, "text", v->text) &&
        (!v->data || json_object_update(j, v->data) == 0) && set_text(j, "where", v->where) &&
        set_text(j, "since", v->since) && set_text(j, "covers", v->covers) &&
        set_texts(j, "next", v->next, v->n_next) && set_texts(j, "keep_fp32", v->keep, v->n_keep) &&
        set_text(j, "keep_for", v->keep_for) &&
        (!v->paste || json_object_set_new(j, "paste", json_string(v->paste)) == 0);

    if (fine)
        return j;
    json_decref(j);
    return NULL;
}

json_t *ss_findings_document(const ss_findings *f, const ss_verdict *v)
{
    json_t *list = ss_findings_json(f), *verdict = v ? ss_verdict_json(v) : NULL, *all = NULL;

    if (list && (verdict || !v))
        all = json_pack("{s:s, s:s, s:s, s:O*, s:O}", "format", "sigmascope-findings", "version",
                        "1.0", "tool", "sigmascope " SS_VERSION, "verdict", verdict, "findings",
                        list);
    json_decref(list);
    json_decref(verdict);
    return all;
}
