/* compare_table.c - two runs as tables; see compare.h */
#include "analyze/one/run_settings.h"
#include "analyze/several/compare.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Facts of a run, each as a line of text; one list for the table and the note. It is not laid out
 * by clang-format, which gives another result each time. */
/* clang-format off */
#define RUN_FACTS(X) \
    X(file) X(model) X(family) X(sha256) X(precision) X(condition) X(prediction) X(seed) \
    X(device) X(threads) X(inputs) X(sigmas) X(steps) X(samples) X(state)
/* clang-format on */

typedef enum {
#define X(name) FACT_##name,
    RUN_FACTS(X) N_FACTS
#undef X
} fact;

static const char *const fact_names[] = {
#define X(name) #name,
    RUN_FACTS(X)
#undef X
};

static void add_sigmas(const ss_run *r, ss_str *out)
{
    int *order = ss_sigma_order(r);

    out->failed |= !order;
    for (int k = 0; order && k < r->n_done; k++)
        ss_str_addf(out, "%s%g", k ? " " : "", r->sigmas[order[k]]);
    ss_free(order);
}

/* "16 from 10 to 160", the finished ones. */
static void add_steps(const ss_run *r, ss_str *out)
{
    int64_t first = 0, last = 0;
    int n = 0;

    for (int k = 0; k < r->n_sigmas; k++) {
        if (!r->done[k])
            continue;
        first = n++ ? first : r->steps[k];
        last = r->steps[k];
    }
    ss_str_addf(out, "%d from %" PRId64 " to %" PRId64, n, first, last);
}

static void add_fact(const ss_run *r, fact f, ss_str *out)
{
    switch (f) {
    case FACT_file: ss_str_add(out, r->path); break;
    case FACT_model: ss_str_add(out, r->model_path); break;
    case FACT_family: ss_str_add(out, r->family); break;
    case FACT_sha256: ss_str_add(out, r->model_sha256); break;
    case FACT_precision: ss_str_add(out, r->precision); break;
    case FACT_condition: ss_str_add(out, r->condition); break;
    case FACT_prediction: ss_str_add(out, r->prediction_type); break;
    case FACT_seed:
        if (r->has_seed)
            ss_str_addf(out, "%" PRIu64, r->seed);
        break;
    case FACT_device: ss_str_add(out, r->device); break;
    case FACT_threads:
        if (r->threads)
            ss_str_addf(out, "%d", r->threads);
        break;
    case FACT_inputs:
        for (int i = 0; i < r->n_inputs; i++)
            ss_str_addf(out, "%s%s", i ? ", " : "", r->inputs[i]);
        break;
    case FACT_sigmas:
        if (r->sigmas)
            add_sigmas(r, out);
        break;
    case FACT_steps:
        if (r->steps)
            add_steps(r, out);
        break;
    case FACT_samples:
        ss_str_addf(out, r->binned ? "%d bins of noise level" : "%d", r->n_samples);
        break;
    case FACT_state:
        if (r->steps)
            ss_str_add(out, r->complete ? "complete" : r->binned ? "still open" : "NOT complete");
        else
            ss_str_addf(out, "%s, %d of %d noise levels", r->complete ? "complete" : "NOT complete",
                        r->n_done, r->n_sigmas);
        break;
    case N_FACTS: break;
    }
}

/* Facts that are named with their values where runs differ; the others are long. */
static bool is_short(fact f)
{
    return f == FACT_precision || f == FACT_condition || f == FACT_prediction || f == FACT_seed ||
           f == FACT_device || f == FACT_threads || f == FACT_samples;
}

static void add_difference(fact f, const ss_str *texts, int n_runs, ss_str *differ)
{
    enum { MANY = 4, LONG = 60 };

    ss_str_addf(differ, "%s%s", differ->len ? ", " : "", fact_names[f]);
    if (!is_short(f) || n_runs > MANY)
        return;
    for (int j = 0; j < n_runs; j++) {
        if (texts[j].len > LONG)
            return;
    }
    for (int j = 0; j < n_runs; j++)
        ss_str_addf(differ, "%s%s", j ? ", " : " (", texts[j].len ? texts[j].s : "-");
    ss_str_add(differ, ")");
}

/* The row of a fact; whether it is the same in all runs. */
static bool put_fact(ss_run *const *runs, int n_runs, fact f, ss_str *texts, ss_str *differ,
                     ss_table *t)
{
    bool same = true, known = false;

    for (int j = 0; j < n_runs; j++) {
        texts[j] = (ss_str){0};
        add_fact(runs[j], f, &texts[j]);
        known |= texts[j].len > 0;
        t->failed |= texts[j].failed;
        same &= strcmp(texts[j].s ? texts[j].s : "", texts[0].s ? texts[0].s : "") == 0;
    }
    if (!same && f != FACT_file)
        add_difference(f, texts, n_runs, differ);
    ss_table_row(t);
    ss_table_text(t, fact_names[f]);
    ss_table_text(t, !known ? "-" : same ? "same" : "differs"); /* files of others lack some */
    for (int j = 0; j < n_runs; j++) {
        ss_table_text(t, texts[j].s && texts[j].len ? texts[j].s : "-");
        ss_str_release(&texts[j]);
    }
    return same;
}

/* Settings that are a fact of the list above; inputs and levels are, but for what they hold. */
static const char *const facts_too[] = {
    "model_sha256", "precision", "precision_map", "prediction", "seed", "device", "samples", NULL,
};

static bool is_fact(const char *key)
{
    for (int i = 0; facts_too[i]; i++) {
        if (strcmp(facts_too[i], key) == 0)
            return true;
    }
    return false;
}

/* A row for each setting that differs, or that somebody has given. */
static void put_settings(ss_run_settings *x, const bool *same, ss_table *t)
{
    for (int i = 0; i < x->n; i++) {
        ss_run_setting *row = &x->list[i];
        const bool inputs = strcmp(row->key, "inputs") == 0,
                   levels = strcmp(row->key, "levels") == 0;

        /* the fact has said it */
        row->differs &= !(inputs && !same[FACT_inputs]) && !(levels && !same[FACT_sigmas]);
        if (is_fact(row->key) || (!row->differs && (row->usual || inputs || levels)))
            continue;
        ss_table_row(t);
        ss_table_text(t, row->name);
        ss_table_text(t, row->differs ? "differs" : "same");
        for (int j = 0; j < x->n_runs; j++)
            ss_table_text(t, row->values[j]);
    }
}

static void note_runs(const ss_run_settings *x, bool trainings, ss_str *differ, ss_table *t)
{
    ss_str unknown = {0};

    ss_run_settings_describe(x, facts_too, differ);
    if (x->n_foreign && trainings)
        ss_str_add(&unknown, "; settings of trainings are not compared");
    else if (x->n_foreign)
        ss_str_addf(&unknown, "; %s made by other hooks, with settings that are not recorded",
                    x->n_foreign == x->n_runs ? "all were" : "some were");
    ss_table_note(t, "A is the baseline; the runs differ in %s%s",
                  differ->len    ? differ->s
                  : x->n_foreign ? "nothing that is recorded"
                                 : "nothing but the file",
                  unknown.s ? unknown.s : "");
    t->failed |= unknown.failed || differ->failed;
    ss_str_release(&unknown);
}

ss_code ss_compare_runs_table(ss_run *const *runs, int n_runs, ss_table *t, ss_err *e)
{
    ss_str *texts = ss_calloc((size_t)n_runs, sizeof *texts), differ = {0};
    ss_run_settings settings = {0};
    bool same[N_FACTS];
    ss_code rc =
        texts ? ss_run_settings_find(runs, n_runs, &settings, e) : ss_no_memory(e, "comparing");

    if (rc == SS_OK)
        rc = ss_table_init(t, "runs", e);
    if (rc != SS_OK)
        goto out;
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "is", SS_COL_TEXT, NULL);
    for (int j = 0; j < n_runs; j++)
        ss_table_column(t, (char[]){(char)('A' + j), '\0'}, SS_COL_TEXT, NULL);
    for (int f = 0; f < N_FACTS; f++)
        same[f] = f == (runs[0]->steps ? FACT_sigmas : FACT_steps) ||
                  put_fact(runs, n_runs, (fact)f, texts, &differ, t);
    put_settings(&settings, same, t);
    note_runs(&settings, runs[0]->steps, &differ, t);
out:
    ss_run_settings_release(&settings);
    ss_str_release(&differ);
    ss_free(texts);
    return rc;
}

void ss_compare_runs_shorten(ss_table *t)
{
    enum { IS = 1 }; /* column */
    size_t same = 0;

    for (size_t i = json_array_size(t->rows); i-- > 1;) { /* the first names the files */
        const char *is = json_string_value(json_array_get(json_array_get(t->rows, i), IS));

        if (!is || strcmp(is, "same") != 0)
            continue;
        same++;
        t->failed |= json_array_remove(t->rows, i) != 0;
    }
    if (!same)
        return;
    char *note = ss_textf("%s; %zu %s the same (--wide)", t->note ? t->note : "", same,
                          same == 1 ? "row is" : "rows are");
    if (note)
        ss_table_note(t, "%s", note);
    t->failed |= !note;
    ss_free(note);
}

static void put_site(ss_table *t, const ss_compare *c, int site)
{
    ss_fold_cells(t, c->aligned.runs[0], ss_align_site(&c->aligned, site, 0));
}

ss_code ss_compare_table(const ss_compare *c, int top, ss_table *t, ss_err *e)
{
    static const char *const columns[] = {"ratio", "A", "B", "high", "rms ratio", "rms high"};
    const ss_aligned *a = &c->aligned;
    const ss_run *r = a->runs[0];
    const int shown = top < c->n ? top : c->n;
    ss_str left = {0};
    ss_code rc = ss_table_init(t, c->titles[0], e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(t);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (i == 3) { /* after the ratio and what it is of */
            ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
            ss_table_column(t, "input", SS_COL_TEXT, NULL);
        }
        ss_table_column(t, columns[i], SS_COL_NUMBER, "%.3g");
    }
    for (int i = 0; i < shown; i++) {
        const ss_compare_row *x = &c->rows[i];
        const ss_compare_cell *w = &x->absmax.worst;

        ss_table_row(t);
        put_site(t, c, x->site);
        ss_table_number(t, ss_compare_ratio(w->a, w->b));
        ss_table_number(t, w->a);
        ss_table_number(t, w->b);
        ss_table_number(t, w->sigma < 0 ? NAN : r->sigmas[ss_align_sigma(a, w->sigma, 0)]);
        ss_table_text(t, w->input < 0 ? "-" : r->inputs[ss_align_input(a, w->input, 0)]);
        ss_table_number(t, ss_compare_ratio(x->absmax.high.a, x->absmax.high.b));
        ss_table_number(t, ss_compare_ratio(x->rms.worst.a, x->rms.worst.b));
        ss_table_number(t, ss_compare_ratio(x->rms.high.a, x->rms.high.b));
    }
    ss_align_describe(a, &left);
    if (ss_run_is_text(r)) { /* its only noise level is none */
        static const char *const levels[] = {"sigma", "high", "rms high"};

        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            ss_table_drop(t, levels[i]);
        ss_table_note(t,
                      "largest |x| and RMS over tokens where they differ most, ratio B/A; values "
                      "below %.2g count little; %d of %d places%s",
                      c->floor[0], shown, c->n, left.s ? left.s : "");
    } else {
        ss_table_note(t,
                      "largest |x| and RMS where they differ most, ratio B/A there and at the "
                      "highest sigma, %g; values below %.2g count little; %d of %d places, %d "
                      "noise levels%s",
                      r->sigmas[ss_align_sigma(a, a->n_sigmas - 1, 0)], c->floor[0], shown, c->n,
                      a->n_sigmas, left.s ? left.s : "");
    }
    ss_str_release(&left);
    return SS_OK;
}

ss_code ss_compare_nonfinite_table(const ss_compare *c, int top, ss_table *t, ss_err *e)
{
    int shown = 0;
    const ss_compare_row **in_order = ss_alloc((size_t)c->n, sizeof *in_order);
    ss_code rc = in_order ? ss_table_init(t, c->titles[1], e) : ss_no_memory(e, "comparing");

    if (rc != SS_OK)
        goto out;
    for (int i = 0; i < c->n; i++)
        in_order[c->rows[i].site] = &c->rows[i];
    ss_fold_columns(t);
    ss_table_column(t, "A", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "B", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < c->n && shown < top; i++) {
        const uint64_t *n = in_order[i]->nonfinite;

        if (n[0] == n[1])
            continue;
        shown++;
        ss_table_row(t);
        put_site(t, c, i);
        ss_table_number(t, (double)n[0]);
        ss_table_number(t, (double)n[1]);
    }
    ss_table_note(t,
                  "how many values are inf or NaN, first in forward order; %d of %d places "
                  "where the runs differ",
                  shown, c->n_nonfinite);
out:
    ss_free(in_order);
    return rc;
}

ss_code ss_compare_lone_table(const ss_compare *c, int top, ss_table *t, ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    int shown = 0, lone = 0;
    ss_code rc = ss_table_init(t, c->titles[2], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "run", SS_COL_TEXT, NULL);
    ss_fold_columns(t);
    for (int j = 0; j < a->n_runs; j++) {
        for (int i = 0; i < a->found[j].n; i++) {
            if (a->shared[j][i])
                continue;
            lone++;
            if (shown >= top)
                continue;
            shown++;
            ss_table_row(t);
            ss_table_text(t, j ? strrchr(c->titles[2], ' ') + 1 : "A");
            ss_fold_cells(t, a->runs[j], a->found[j].site[i]);
        }
    }
    ss_table_note(t, "places that only one of the runs has: %d, %d shown", lone, shown);
    return SS_OK;
}
