/* checkpoints.c - see checkpoints.h */
#include "analyze/search/checkpoints.h"

#include "analyze/several/trend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/bundle.h"
#include "runfile/run_file.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    const ss_checkpoints_options *opt;
    ss_checkpoints *c;
    int tried;
} finder;

static ss_code spawn_shell(const char *command, const char *model, const char *run, pid_t *pid,
                           ss_err *e)
{
    extern char **environ;
    char *const argv[] = {"sh",
                          "-c",
                          (char *)(uintptr_t)command,
                          "sigmascope",
                          (char *)(uintptr_t)model,
                          (char *)(uintptr_t)run,
                          NULL};
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);

    if (!failed) {
        failed = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (!failed)
            failed = posix_spawn(pid, "/bin/sh", &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    return failed ? ss_fail(e, SS_IO, "--check: /bin/sh: %s", strerror(failed)) : SS_OK;
}

static ss_code ask_command(const char *command, const char *model, const char *run, ss_verdict *v,
                           ss_err *e)
{
    pid_t pid;
    int status;
    ss_code rc = spawn_shell(command, model, run, &pid, e);

    if (rc != SS_OK)
        return rc;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return ss_fail(e, SS_IO, "--check: %s", strerror(errno));
    }
    if (!WIFEXITED(status))
        return ss_fail(e, SS_IO, "--check of %s: the command ended by signal %d", model,
                       WTERMSIG(status));
    const int code = WEXITSTATUS(status);
    if (code > 125)
        return ss_fail(e, SS_IO, "--check of %s: exit status %d; 0 is good, 1 to 124 bad, 125 skip",
                       model, code);
    *v = code == 0 ? SS_GOOD : code == 125 ? SS_SKIP : SS_BAD;
    return SS_OK;
}

static ss_code judge(const ss_checkpoints_options *opt, ss_checkpoint_row *row, ss_verdict *v,
                     ss_err *e)
{
    const ss_expression *x = opt->fail;
    ss_run *r;
    ss_witness w;
    bool holds;
    char name[512], sample[200];
    ss_code rc = ss_run_open(row->run, &r, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_expression_eval(x, r, &holds, &w, e);
    if (rc == SS_OK) {
        ss_str part = {0};

        ss_str_addn(&part, x->text + x->nodes[w.node].from,
                    (size_t)(x->nodes[w.node].to - x->nodes[w.node].from));
        *v = holds ? SS_BAD : SS_GOOD;
        row->witness = w;
        row->value = w.value;
        row->sigma = w.sigma >= 0 && !ss_run_is_text(r) ? r->sigmas[w.sigma] : NAN;
        row->where = ss_strdup(ss_witness_name(r, &w, name, sizeof name));
        row->input = ss_strdup(w.input >= 0 ? r->inputs[w.input] : "-");
        if (w.sample >= 0)
            ss_run_sample_label(r, w.input, w.sample, sample, sizeof sample);
        row->sample = ss_strdup(w.sample >= 0 ? sample : "-");
        row->measure = ss_str_detach(&part);
        if (!row->where || !row->input || !row->sample || !row->measure)
            rc = ss_no_memory(e, "checkpoints");
    }
    ss_run_close(r);
    return rc;
}

/* True when the probe failed with rc because of what is in the checkpoint: then the row says why.
 */
static bool is_unreadable(const ss_probe_options *probe, ss_code rc, ss_checkpoint_row *row)
{
    ss_network k = {0};
    ss_err why = {0};

    if (rc == SS_NOMEM || rc == SS_USAGE || rc == SS_INTERRUPTED ||
        !(ss_is_dir(row->model) || ss_file_exists(row->model)))
        return false;
    if (ss_network_open(&probe->network, &k, &why) == SS_OK) {
        ss_network_close(&k);
        return false;
    }
    row->unreadable = why.code == SS_NOMEM ? NULL : ss_strdup(why.msg);
    return row->unreadable;
}

static ss_code try_checkpoint(void *ctx, int i, ss_verdict *v, ss_err *e)
{
    finder *f = ctx;
    ss_checkpoint_row *row = &f->c->rows[i];
    ss_probe_options probe = f->opt->probe;
    ss_code rc;

    row->order = ++f->tried;
    probe.network.model = row->model;
    rc = ss_probe_cached(&probe, f->opt->cache, &row->run, &row->kept, e);
    if (rc != SS_OK && is_unreadable(&probe, rc, row)) {
        ss_warn("%s cannot be read and is skipped: %s", row->model, row->unreadable);
        f->c->n_unreadable++;
        *v = SS_SKIP;
        return SS_OK;
    }
    if (rc != SS_OK)
        return rc == SS_USAGE ? rc : ss_fail_prefix(e, "%s", row->model);
    f->c->n_kept += row->kept;
    f->c->n_made += !row->kept;
    if (f->opt->fail)
        rc = judge(f->opt, row, v, e);
    if (rc == SS_OK && f->opt->check)
        rc = ask_command(f->opt->check, row->model, row->run, v, e);
    if (rc == SS_OK)
        ss_note("%s: %s", row->model, *v == SS_BAD ? "bad" : *v == SS_GOOD ? "good" : "skipped");
    return rc;
}

static int compare_steps(const void *a, const void *b)
{
    const ss_checkpoint_row *x = a, *y = b;

    return (x->step > y->step) - (x->step < y->step);
}

/* The step of each checkpoint: from the list that was given, else from its path, -1 if there
 * is none. *differ: each has one of its own. */
static ss_code find_steps(const ss_checkpoints_options *opt, int64_t *steps, bool *differ,
                          ss_err *e)
{
    *differ = true;
    if (opt->steps &&
        ss_trend_parse_steps(opt->steps, "checkpoints", steps, opt->n_models, e) != SS_OK)
        return e->code;
    for (int i = 0; i < opt->n_models; i++) {
        if (!opt->steps && !ss_trend_step(opt->models[i], &steps[i]))
            steps[i] = -1;
        *differ &= steps[i] >= 0;
        for (int k = 0; k < i; k++) {
            *differ &= steps[k] != steps[i];
            if (opt->steps && steps[k] == steps[i])
                return ss_fail(e, SS_USAGE, "--steps: %s and %s are both of step %lld",
                               opt->models[k], opt->models[i], (long long)steps[i]);
            if (strcmp(opt->models[k], opt->models[i]) == 0)
                return ss_fail(e, SS_USAGE, "%s is there twice", opt->models[i]);
        }
    }
    return SS_OK;
}

/* Rows in their order; see the header. */
static ss_code line_up(const ss_checkpoints_options *opt, ss_checkpoints *c, ss_err *e)
{
    int64_t *steps = ss_alloc((size_t)opt->n_models, sizeof *steps);
    bool differ = false;
    ss_code rc = steps ? find_steps(opt, steps, &differ, e) : ss_no_memory(e, "checkpoints");

    if (rc == SS_OK && !(c->rows = ss_calloc((size_t)opt->n_models, sizeof *c->rows)))
        rc = ss_no_memory(e, "checkpoints");
    if (rc == SS_OK) {
        c->n = opt->n_models;
        for (int i = 0; i < c->n; i++)
            c->rows[i] = (ss_checkpoint_row){
                .model = opt->models[i], .step = steps[i], .sigma = NAN, .value = NAN};
        c->by_step = differ && !opt->as_given;
        if (c->by_step)
            qsort(c->rows, (size_t)c->n, sizeof *c->rows, compare_steps);
    }
    ss_free(steps);
    return rc;
}

/* No checkpoint was judged. */
static ss_code say_all_skipped(const ss_checkpoints *c, ss_err *e)
{
    if (!c->n_unreadable)
        return ss_fail(e, SS_IO, "--check skipped every checkpoint (exit status 125)");
    for (int i = 0; i < c->n; i++) {
        if (c->rows[i].unreadable && c->n == c->n_unreadable)
            return ss_fail(e, SS_FORMAT, "none of the %d checkpoints can be read; of the first: %s",
                           c->n, c->rows[i].unreadable);
    }
    return ss_fail(e, SS_IO,
                   "nothing is known of any checkpoint: %d cannot be read, and --check skipped the "
                   "others (exit status 125)",
                   c->n_unreadable);
}

ss_code ss_checkpoints_find(const ss_checkpoints_options *opt, ss_checkpoints *c, ss_err *e)
{
    finder f = {.opt = opt, .c = c};
    ss_code rc;

    *c = (ss_checkpoints){0};
    rc = line_up(opt, c, e);
    if (rc == SS_OK)
        rc = ss_bisect_search(c->n, opt->exhaustive, try_checkpoint, &f, &c->search, e);
    if (rc == SS_OK && c->search.first_bad < 0 && c->search.last_good < 0)
        rc = say_all_skipped(c, e);
    if (rc != SS_OK)
        ss_checkpoints_release(c);
    return rc;
}

void ss_checkpoints_release(ss_checkpoints *c)
{
    for (int i = 0; c->rows && i < c->n; i++) {
        ss_free(c->rows[i].run);
        ss_free(c->rows[i].where);
        ss_free(c->rows[i].input);
        ss_free(c->rows[i].sample);
        ss_free(c->rows[i].measure);
        ss_free(c->rows[i].unreadable);
    }
    ss_free(c->rows);
    ss_bisection_release(&c->search);
    *c = (ss_checkpoints){0};
}

static void note_outcome(const ss_checkpoints *c, ss_table *t)
{
    const ss_bisection *b = &c->search;
    const char *order = c->by_step ? "training step" : "as given";
    char between[64] = "", unreadable[64] = "";

    if (b->n_between)
        snprintf(between, sizeof between, ", %d skipped between the two", b->n_between);
    if (c->n_unreadable)
        snprintf(unreadable, sizeof unreadable, ", %d cannot be read", c->n_unreadable);
    if (b->first_bad < 0)
        ss_table_note(
            t, "no bad one; %d of %d checkpoints tried (%d probed, %d kept runs%s); order: %s",
            b->n_tried, b->n, c->n_made, c->n_kept, unreadable, order);
    else
        ss_table_note(
            t,
            "first bad: %s; last good before it: %s%s; %d of %d checkpoints tried (%d "
            "probed, %d kept runs%s), %s; order: %s",
            c->rows[b->first_bad].model, b->last_good < 0 ? "none" : c->rows[b->last_good].model,
            between, b->n_tried, b->n, c->n_made, c->n_kept, unreadable,
            b->monotone ? "none good after it" : "NOT monotone: some after it are good again",
            order);
}

ss_code ss_checkpoints_table(const ss_checkpoints *c, ss_table *t, ss_err *e)
{
    static const char *const texts[] = {"untried", "good", "BAD", "skip"};
    ss_code rc = ss_table_init(t, "checkpoints", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "checkpoint", SS_COL_TEXT, NULL);
    ss_table_column(t, "step", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "tried", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "is", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_NUMBER, "%.5g");
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_NUMBER, "%g");
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sample", SS_COL_TEXT, NULL);
    for (int i = 0; i < c->n; i++) {
        const ss_checkpoint_row *row = &c->rows[i];

        if (!row->order)
            continue;
        ss_table_row(t);
        ss_table_text(t, row->model);
        ss_table_number(t, row->step >= 0 ? (double)row->step : NAN);
        ss_table_number(t, row->order);
        ss_table_text(t, texts[c->search.verdict[i]]);
        ss_table_text(t, row->unreadable ? "cannot be read" : row->measure ? row->measure : "-");
        ss_table_number(t, row->value);
        ss_table_text(t, row->where ? row->where : "-");
        ss_table_number(t, row->sigma);
        ss_table_text(t, row->input ? row->input : "-");
        ss_table_text(t, row->sample ? row->sample : "-");
    }
    note_outcome(c, t);
    return SS_OK;
}

static void add_fact(ss_table *t, const char *what, const char *is)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_text(t, is);
}

ss_code ss_first_bad_table(const ss_checkpoints *c, ss_table *t, ss_err *e)
{
    const ss_checkpoint_row *bad = &c->rows[c->search.first_bad];
    char text[32];
    ss_code rc = ss_table_init(t, "first bad", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "is", SS_COL_TEXT, NULL);
    add_fact(t, "checkpoint", bad->model);
    if (bad->where) {
        add_fact(t, "module", bad->where);
        snprintf(text, sizeof text, "%g", bad->sigma);
        if (!isnan(bad->sigma))
            add_fact(t, "sigma", text);
        add_fact(t, "input", bad->input);
        add_fact(t, "sample", bad->sample);
        snprintf(text, sizeof text, "%.6g", bad->value);
        add_fact(t, "value", text);
        add_fact(t, "of", bad->measure);
    }
    add_fact(t, "run", bad->run);
    ss_table_note(t, bad->where
                         ? "the first module in forward order that fails, where it fails most"
                         : "by --check; --fail EXPR names module, noise level and input");
    return SS_OK;
}

/* The site whose numbers a bundle shows, see the header. */
static ss_site site_of(const ss_run *r, const ss_witness *w)
{
    const char *path = w->layer >= 0 ? r->layers[w->layer] : SS_RUN_ROOT;
    ss_site s = w->site;

    if (s.module >= 0)
        return s;
    for (int m = 0; m < r->n_modules && s.module < 0; m++) {
        if (strcmp(r->modules[m], path) == 0)
            s.module = m;
    }
    s.port = ss_run_port(r, "output");
    return s;
}

ss_code ss_first_bad_bundle(const ss_checkpoints *c, const char *dir, bool replace, ss_err *e)
{
    const ss_checkpoint_row *bad = &c->rows[c->search.first_bad];
    ss_run *r;
    ss_code rc = ss_run_open(bad->run, &r, e);

    if (rc != SS_OK)
        return rc;
    const ss_site s = site_of(r, &bad->witness);
    if (s.module < 0 || s.port < 0)
        rc = ss_fail(e, SS_USAGE,
                     "%s: %s was not watched, so there is nothing to compare with; "
                     "--modules leaves it out",
                     bad->run, bad->where);
    else
        rc = ss_bundle_write(
            r, dir, replace, s.module, s.port,
            (ss_bundle_place){bad->witness.input, bad->witness.sigma, bad->witness.sample}, NULL,
            e);
    ss_run_close(r);
    return rc;
}
