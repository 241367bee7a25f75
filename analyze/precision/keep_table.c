/* keep_table.c - see keep.h: how the list is written down */
#include "analyze/one/headroom.h"
#include "analyze/precision/keep.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *reason_text(ss_keep_reason why)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_KEEP_REASONS(X)};
#undef X

    return texts[why];
}

/* A module's own value in two words, else the site's name. */
static const char *value_name(const ss_run *r, int module, ss_site s, char *out, size_t n)
{
    if (s.module == module && strcmp(r->ports[s.port], "output") == 0)
        return "its output";
    if (s.module == module && strcmp(r->ports[s.port], "input") == 0)
        return "its input";
    return ss_site_name(r, s, out, n);
}

/* Names the way in which the network is run that the list is for. */
static const char *code_text(ss_round_scope as)
{
    switch (as) {
    case SS_ROUND_HALF: return "as model.half()";
    case SS_ROUND_AUTOCAST: return "under torch.autocast on CUDA";
    case SS_ROUND_AUTOCAST_CPU: return "under torch.autocast on CPUs";
    case SS_ROUND_BLOCKS:
    case SS_N_ROUND_SCOPES: break;
    }
    return "";
}

/* Adds a path as the glob that matches it alone: special characters in sets, and ? for those that
 * a line of text cannot have. */
static void add_glob(const char *path, ss_str *out)
{
    for (const char *p = path; *p; p++) {
        const unsigned char c = (unsigned char)*p;

        if (strchr("*?[{", c) || (p == path && strchr("#@", c)))
            ss_str_addf(out, "[%c]", c);
        else if (c < 0x20 || c == 0x7f || (c == ' ' && (p == path || !p[1])))
            ss_str_add(out, "?");
        else
            ss_str_addn(out, p, 1);
    }
}

ss_code ss_keep_maps(const ss_run *r, const ss_keep *k, char ***maps, int *n, ss_err *e)
{
    *n = 0;
    *maps = ss_calloc((size_t)k->n_kept, sizeof **maps);
    if (!*maps)
        return ss_no_memory(e, "keeping fp32");
    for (int m = 0; m < k->n_modules; m++) {
        ss_str s = {0};

        if (!ss_keep_listed(k, m))
            continue;
        add_glob(r->modules[m], &s);
        ss_str_add(&s, "=fp32");
        (*maps)[*n] = ss_str_detach(&s);
        if (!(*maps)[(*n)++]) {
            ss_keep_maps_free(*maps, *n);
            *maps = NULL;
            *n = 0;
            return ss_no_memory(e, "keeping fp32");
        }
    }
    return SS_OK;
}

void ss_keep_maps_free(char **maps, int n)
{
    for (int i = 0; i < n; i++)
        ss_free(maps[i]);
    ss_free(maps);
}

ss_code ss_keep_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e)
{
    int shown = 0;
    bool whole = false;
    char bad[96] = "", name[512];
    /* as in files of other people's hooks */
    const char *readers = ss_run_port(r, "input") < 0 ? "; inputs of modules were not recorded, so "
                                                        "those that only read such values are not "
                                                        "on the list"
                                                      : "";
    ss_code rc = ss_table_init(t, k->title, e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "why", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_TEXT, NULL);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "bits", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "round", SS_COL_NUMBER, "%.0f");
    for (int m = 0; m < k->n_modules && shown < top; m++) {
        const ss_keep_module *x = &k->modules[m];

        if (!ss_keep_listed(k, m))
            continue;
        shown++;
        ss_table_row(t);
        ss_table_text(t, r->modules[m]);
        ss_table_text(t, reason_text(x->why));
        ss_table_text(t, value_name(r, m, x->value, name, sizeof name));
        whole |= !*ss_keep_path(r, m);
        ss_table_number(t, x->peak);
        ss_table_number(t, ss_headroom_bits(&k->format, x->peak));
        ss_table_number(t, x->sigma >= 0 ? r->sigmas[x->sigma] : NAN);
        ss_table_text(t, x->input >= 0 ? r->inputs[x->input] : "-");
        ss_table_number(t, x->round);
    }
    if (ss_run_is_text(r))
        ss_table_drop(t, "sigma");
    if (k->nonfinite)
        snprintf(bad, sizeof bad, "; %llu values are inf or NaN in fp32 already",
                 (unsigned long long)k->nonfinite);
    ss_table_note(
        t,
        "%d modules that have to stay in fp32 so that nothing that is stored exceeds %.5g "
        "(%s) with %g bits to spare, %s, attention %s%s%s%s%s",
        k->n_kept, k->format.max, k->format.name, k->margin, code_text(r->as),
        ss_attention_code_name(r->attention), shown < k->n_kept ? "; not all are shown" : "",
        whole ? "; nothing less than the whole network: the value goes on over residual or skip "
                "connections"
              : "",
        bad, readers);
    return SS_OK;
}

/* An entry while it is sorted. */
typedef struct {
    int module;
    double flush;
} flushed;

static int more_first(const void *a, const void *b)
{
    const flushed *x = a, *y = b;

    if (x->flush != y->flush)
        return x->flush < y->flush ? 1 : -1;
    return x->module - y->module;
}

ss_code ss_keep_flush_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e)
{
    flushed *list = ss_alloc((size_t)k->n_modules, sizeof *list);
    ss_code rc = list ? ss_table_init(t, "underflow", e) : ss_no_memory(e, "keeping fp32");
    int n = 0;

    if (rc != SS_OK)
        goto out;
    for (int m = 0; m < k->n_modules; m++) {
        if (k->modules[m].leaf && k->modules[m].flush >= SS_KEEP_FLUSH)
            list[n++] = (flushed){m, k->modules[m].flush};
    }
    qsort(list, (size_t)n, sizeof *list, more_first);
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "flush %", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < n && i < top; i++) {
        ss_table_row(t);
        ss_table_text(t, r->modules[list[i].module]);
        ss_table_number(t, 100 * list[i].flush);
    }
    ss_table_note(t, "%d modules of whose values %g %% and more would become zero in %s; not kept",
                  n, 100 * SS_KEEP_FLUSH, k->format.name);
out:
    ss_free(list);
    return rc;
}
