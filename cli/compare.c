/* compare.c - `sigmascope compare`: runs against a baseline, module by module, sigma by sigma */
#include "analyze/several/comparison.h"
#include "analyze/several/trend.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/tables.h"
#include "cli/training.h"

#include <limits.h>
#include <stdio.h>

enum { OPT_MODULES = 1, OPT_TOP, OPT_FAIL_OVER };
enum { MAX_RUNS = 26 }; /* letters A to Z */

static const cli_option options[] = {
    CLI_GROUP("What to judge"),
    {OPT_MODULES, "modules", "GLOB",
     "only modules and attention layers whose path matches; repeatable"},
    CLI_GROUP("Output"),
    {OPT_TOP, "top", "N", "at most N rows a table (default 12, with --json all)"},
    CLI_GROUP("What to judge"),
    {OPT_FAIL_OVER, "fail-over", "SPEC",
     "exit with status 3 when a measure of a later run is over a limit: absmax=1.5 and rms=1.2 "
     "(largest ratio to the baseline), nonfinite=0 (more inf or NaN in a place), entropy=0.1 "
     "(change up or down), loss=0.02 (rise), weights=2 (ratio); a number alone is absmax; "
     "repeatable"},
    {0},
};

typedef struct {
    char *const *paths;
    int n_runs;
    const char **globs, **specs;
    int n_globs, n_specs;
    ss_limit *limits; /* [n_specs] */
    int top;
    cli_tables out;
    ss_run **runs;      /* [n_runs] */
    ss_not_finite *bad; /* [n_runs] */
    ss_table fail_over; /* filled run by run */
    int n_exceeded;
} comparer;

typedef ss_code table_maker(const ss_compare *c, int top, ss_table *t, ss_err *e);

static ss_code show_made(comparer *x, table_maker *make, const ss_compare *c, ss_err *e)
{
    ss_table t;
    ss_code rc = make(c, x->top, &t, e);

    return rc == SS_OK ? cli_show(&x->out, &t, e) : rc;
}

static bool has_lone(const ss_aligned *a)
{
    return a->found[0].n > a->n_sites || a->found[1].n > a->n_sites;
}

/* Prints the tables of one pair; as text, empty ones are left out. */
static ss_code show_pair(comparer *x, const ss_comparison *p, ss_err *e)
{
    const ss_compare *c = &p->sites;
    const bool json = x->out.data;
    ss_table t;
    ss_code rc = show_made(x, ss_compare_table, c, e);

    if (rc == SS_OK && (json || c->n_nonfinite))
        rc = show_made(x, ss_compare_nonfinite_table, c, e);
    if (rc == SS_OK && (json || has_lone(&c->aligned)))
        rc = show_made(x, ss_compare_lone_table, c, e);
    if (rc == SS_OK && (json || p->heads.n) &&
        (rc = ss_compare_heads_table(c, &p->heads, x->top, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (rc == SS_OK && (json || p->inputs.n_spectra) &&
        (rc = ss_compare_spectra_table(c, &p->inputs, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (rc == SS_OK && (json || p->inputs.n_losses) &&
        (rc = ss_compare_loss_table(c, &p->inputs, x->top, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (rc == SS_OK && (json || p->weights.n) &&
        (rc = ss_compare_weights_table(c, &p->weights, x->top, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    return rc;
}

/* Adds the row of a limit. */
static void add_limit(comparer *x, const ss_limit *l, const char *name, double value,
                      const char *where)
{
    x->n_exceeded += value > l->limit;
    ss_table_row(&x->fail_over);
    ss_table_text(&x->fail_over, name);
    ss_table_text(&x->fail_over, ss_compared_name(l->measure));
    ss_table_number(&x->fail_over, l->limit);
    ss_table_number(&x->fail_over, value);
    ss_table_text(&x->fail_over, value > l->limit ? "EXCEEDED" : "within");
    ss_table_text(&x->fail_over, where);
}

/* Adds a row for each limit. */
static ss_code judge(comparer *x, const ss_comparison *p, const char *name, ss_err *e)
{
    char where[768];
    double value;
    ss_code rc = SS_OK;

    for (int i = 0; i < x->n_specs && rc == SS_OK; i++) {
        const ss_limit *l = &x->limits[i];

        rc = ss_compared_value(p, l->measure, &value, where, sizeof where, e);
        if (rc != SS_OK)
            break;
        add_limit(x, l, name, value, where);
    }
    return rc;
}

static ss_code begin_fail_over(comparer *x, ss_err *e)
{
    ss_table *t = &x->fail_over;
    ss_code rc = SS_OK;

    x->limits = ss_alloc((size_t)x->n_specs, sizeof *x->limits);
    if (!x->limits)
        return ss_no_memory(e, "comparing");
    for (int i = 0; i < x->n_specs && rc == SS_OK; i++) {
        if ((rc = ss_limit_parse(x->specs[i], &x->limits[i], e)) != SS_OK)
            ss_fail_prefix(e, "--fail-over");
    }
    if (rc != SS_OK || (rc = ss_table_init(t, "fail-over", e)) != SS_OK)
        return rc;
    ss_table_column(t, "run", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "limit", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "value", SS_COL_NUMBER, "%.6g");
    ss_table_column(t, "is", SS_COL_TEXT, NULL);
    ss_table_column(t, "where", SS_COL_TEXT, NULL);
    return SS_OK;
}

/* Prints first what is not finite in each run, and since when. */
static ss_code say_not_finite(comparer *x, ss_err *e)
{
    const ss_not_finite *each[MAX_RUNS];
    const char *names[MAX_RUNS];
    char letters[MAX_RUNS][2];
    int64_t steps[MAX_RUNS];
    char *text;
    ss_err none = {0};
    ss_code rc = SS_OK;

    for (int j = 0; j < x->n_runs && rc == SS_OK; j++) {
        snprintf(letters[j], sizeof letters[j], "%c", 'A' + j);
        names[j] = letters[j];
        each[j] = &x->bad[j];
        rc = cli_say_not_finite(&x->out, &x->bad[j], SS_BAD_WEIGHTS, names[j], e);
    }
    if (rc != SS_OK || x->runs[0]->steps ||
        ss_trend_steps(x->runs, x->n_runs, NULL, steps, &none) != SS_OK)
        return rc; /* without steps of checkpoints the runs have no order */
    none = (ss_err){0};
    text = ss_last_finite_say(each, names, steps, x->n_runs, &none);
    rc = none.code == SS_OK ? cli_say(&x->out, "order", text, e)
                            : ss_fail(e, none.code, "%s", none.msg);
    ss_free(text);
    return rc;
}

/* Prints the tables of B, or a later one, beside A, both runs over training steps. */
static ss_code compare_trainings(comparer *x, int j, const char *name, ss_err *e)
{
    ss_format format;
    ss_trainings p;
    ss_code rc = ss_format_parse("fp16", &format, e);

    if (rc == SS_OK)
        rc = ss_trainings_find(x->runs[0], x->runs[j], name, x->globs, x->n_globs, &format, &p, e);
    if (rc != SS_OK)
        return rc;
    rc = cli_trainings_show(&p, x->top, &x->out, e);
    for (int i = 0; i < x->n_specs && rc == SS_OK; i++) {
        char where[768];
        double value;

        rc = ss_trainings_value(&p, x->limits[i].measure, &value, where, sizeof where, e);
        if (rc == SS_OK)
            add_limit(x, &x->limits[i], name, value, where);
    }
    ss_trainings_release(&p);
    return rc;
}

static ss_code compare_runs(comparer *x, int j, const char *name, ss_err *e)
{
    ss_comparison p;
    ss_code rc = ss_comparison_find(x->runs[0], x->runs[j], name, x->globs, x->n_globs, &p, e);

    if (rc != SS_OK)
        return rc;
    if ((rc = show_pair(x, &p, e)) == SS_OK)
        rc = judge(x, &p, name, e);
    ss_comparison_release(&p);
    return rc;
}

/* Opens all runs: over noise levels, or over the steps of trainings. */
static ss_code open_runs(comparer *x, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int j = 0; j < x->n_runs && rc == SS_OK; j++) {
        if ((rc = ss_run_open_any(x->paths[j], &x->runs[j], e)) != SS_OK)
            break;
        if (!x->runs[j]->steps != !x->runs[0]->steps)
            rc = ss_fail(e, SS_USAGE,
                         "%s is over %s, and %s over %s; compare runs of one kind: trainings with "
                         "trainings, or probes with probes",
                         x->paths[0], x->runs[0]->steps ? "training steps" : "noise levels",
                         x->paths[j], x->runs[j]->steps ? "training steps" : "noise levels");
        if (rc == SS_OK)
            rc = ss_not_finite_find(x->runs[j], &x->bad[j], e);
    }
    return rc;
}

static ss_code compare(comparer *x, ss_err *e)
{
    ss_table t;
    ss_code rc = begin_fail_over(x, e);

    x->runs = ss_calloc((size_t)x->n_runs, sizeof *x->runs);
    x->bad = ss_calloc((size_t)x->n_runs, sizeof *x->bad);
    if (rc == SS_OK && (!x->runs || !x->bad))
        rc = ss_no_memory(e, "comparing");
    if (rc == SS_OK)
        rc = open_runs(x, e);
    if (rc == SS_OK)
        rc = say_not_finite(x, e);
    if (rc == SS_OK && (rc = ss_compare_runs_table(x->runs, x->n_runs, &t, e)) == SS_OK) {
        if (!x->out.data && !x->out.wide)
            ss_compare_runs_shorten(&t);
        rc = cli_show(&x->out, &t, e);
    }
    for (int j = 1; j < x->n_runs && rc == SS_OK; j++) {
        const char name[] = {(char)('A' + j), '\0'};

        rc = x->runs[0]->steps ? compare_trainings(x, j, name, e) : compare_runs(x, j, name, e);
    }
    if (rc == SS_OK && x->n_specs) {
        ss_table_note(&x->fail_over, "%d limits exceeded", x->n_exceeded);
        rc = cli_show(&x->out, &x->fail_over, e);
    }
    for (int j = 0; x->runs && x->bad && j < x->n_runs; j++) {
        ss_not_finite_release(&x->bad[j]);
        ss_run_close(x->runs[j]);
    }
    ss_free(x->bad);
    ss_free(x->runs);
    ss_free(x->limits);
    ss_table_release(&x->fail_over);
    return cli_show_end(&x->out, rc, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    comparer x = {0};
    cli_parser p;
    ss_err e = {0};
    int64_t top = -1;
    int id, status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_MODULES: cli_append(&p, &x.globs, &x.n_globs); break;
        case OPT_TOP: cli_int(&p, 0, 1 << 20, &top); break;
        case OPT_FAIL_OVER: cli_append(&p, &x.specs, &x.n_specs); break;
        }
    }
    if (cli_stop(&p, 2, MAX_RUNS)) {
        status = p.status;
    } else {
        x.paths = p.operands;
        x.n_runs = p.n_operands;
        x.out = cli_tables_begin(&p);
        x.top = top >= 0 ? (int)top : cli_as_data(&p) ? INT_MAX : 12;
        status = compare(&x, &e) != SS_OK ? cli_fail(&p, &e)
                                          : cli_flush(&p, x.n_exceeded ? CLI_FINDING : CLI_OK);
    }
    ss_free(x.globs);
    ss_free(x.specs);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope compare baseline.h5 regularised.h5",
     "where the second run is larger or smaller than the first."},
    {"sigmascope compare baseline.h5 new.h5 --fail-over absmax=1.5",
     "for scripts: exit status 3 where something is more than 1.5 times as large."},
    {0},
};

const cli_command cmd_compare = {
    "compare",
    "A.h5 B.h5...",
    "runs against a baseline: activations, attention, inputs, loss, weights",
    "Compares runs with the first one, the baseline: modules by path, noise levels by value,\n"
    "inputs by name, over all samples. Prints what the runs differ in; where the largest |x| and\n"
    "the RMS differ most; what is not finite; attention entropy and logits; whether the networks\n"
    "saw the same inputs; the loss; the weights. The runs are called A, B, C in this order.\n"
    "\n"
    "Runs over training steps (a training's statistics.h5, the file of a recorder) are compared "
    "by\n"
    "medians over the last third of the steps that both have reached: loss and gradients, "
    "modules,\n"
    "low, middle and high noise levels; and since which step a module overflows fp16.",
    options,
    CLI_TABLES | CLI_TAKES_RUNS,
    run,
    examples,
};
