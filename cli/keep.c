/* keep.c - see keep.h */
#include "cli/keep.h"

#include "analyze/precision/keep_check.h"
#include "analyze/precision/keep_paste.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* Makes a name from a run file, which may be anybody's, valid UTF-8: other bytes become \xNN. */
static json_t *text_of(const char *name)
{
    const size_t n = strlen(name), room = 4 * n + 1;
    json_t *text = ss_utf8_valid(name, n) ? json_string(name) : NULL;
    char *shown = text ? NULL : ss_alloc(room, 1);

    if (shown)
        text = json_string(ss_printable(name, shown, room));
    ss_free(shown);
    return text;
}

/* Texts as a JSON list. */
static json_t *list_of(char *const *texts, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, text_of(texts[i]));
    return list;
}

static json_t *names_of(const ss_run *r, const ss_keep *k)
{
    json_t *list = json_array();

    for (int m = 0; m < k->n_modules; m++) {
        if (ss_keep_listed(k, m))
            json_array_append_new(list, text_of(ss_keep_path(r, m)));
    }
    return list;
}

ss_code cli_keep_blocks(const ss_run *r, const ss_keep *k, cli_tables *out, ss_err *e)
{
    char **maps;
    int n;
    ss_code rc = ss_keep_maps(r, k, &maps, &n, e);

    if (rc != SS_OK)
        return rc;
    if (out->data) {
        if (json_object_set_new(out->tables, "keep_fp32", names_of(r, k)) != 0 ||
            json_object_set_new(out->tables, "precision_maps", list_of(maps, n)) != 0)
            rc = ss_no_memory(e, "keeping fp32");
    } else {
        char *torch = ss_keep_paste_torch(r, k), *diffusers = ss_keep_paste_diffusers(r, k);

        if (torch && diffusers)
            printf("\n%s\n%s%s", torch, diffusers, *diffusers ? "\n" : "");
        else
            rc = ss_no_memory(e, "keeping fp32");
        ss_free(torch);
        ss_free(diffusers);
        printf("--precision %s --as %s --attention %s", k->format.name, ss_round_scope_name(r->as),
               ss_attention_code_name(r->attention));
        for (int i = 0; i < n; i++) {
            printf(" \\\n    --precision-map ");
            cli_print_word(maps[i], "");
        }
        printf("\n");
    }
    ss_keep_maps_free(maps, n);
    return rc;
}

/* Repeats the run under emulation; the list may grow. */
static ss_code check(const cli_keep *x, ss_run *r, ss_keep *k, ss_keep_check *c, ss_err *e)
{
    cli_stop_on_signals(); /* so that the runs of the check are removed */
    return ss_keep_check_run(r, k, x->threads, x->device, c, e);
}

/* Writes the file of --write-map. */
static ss_code write_map(const char *path, const ss_run *r, const ss_keep *k, ss_err *e)
{
    char *text = ss_keep_paste_map(r, k);
    ss_outfile o;
    ss_code rc = text ? ss_outfile_open(&o, path, e) : ss_no_memory(e, "keeping fp32");

    if (rc == SS_OK) {
        fputs(text, o.f);
        rc = ss_outfile_commit(&o, e);
    }
    ss_free(text);
    return rc;
}

ss_code cli_keep_show(const cli_keep *x, cli_tables *out, bool *suffices, ss_err *e)
{
    ss_run *r;
    ss_keep k = {0};
    ss_keep_check c = {0};
    ss_not_finite bad = {0};
    ss_table t;
    ss_code rc = ss_run_open(x->path, &r, e);

    *suffices = true;
    if (rc != SS_OK)
        return rc;
    rc = ss_not_finite_find(r, &bad, e);
    if (rc == SS_OK)
        rc = cli_say_not_finite(out, &bad, SS_BAD_WEIGHTS, NULL, e);
    if (rc == SS_OK)
        rc = cli_code_set_keep(&x->code, r, e);
    if (rc == SS_OK)
        rc = ss_keep_find(r, &x->format, x->margin, &k, e);
    *suffices = !bad.n_weights && !bad.n_sites; /* no list mends what is inf or NaN in fp32 */
    ss_not_finite_release(&bad);
    if (rc == SS_OK && x->check)
        rc = check(x, r, &k, &c, e);
    if (rc == SS_OK && (rc = ss_keep_table(r, &k, x->top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK)
        rc = cli_keep_blocks(r, &k, out, e);
    if (rc == SS_OK && x->write_map)
        rc = write_map(x->write_map, r, &k, e);
    if (rc == SS_OK && (k.n_flushed || out->data) &&
        (rc = ss_keep_flush_table(r, &k, x->top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && x->check && (rc = ss_keep_check_table(&k, &c, &t, e)) == SS_OK) {
        rc = cli_show(out, &t, e);
        *suffices &= c.clean;
    }
    ss_keep_check_release(&c);
    ss_keep_release(&k);
    ss_run_close(r);
    return rc;
}
