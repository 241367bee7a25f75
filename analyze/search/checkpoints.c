/* checkpoints.c - see checkpoints.h */
#include "analyze/search/checkpoints.h"

#include "analyze/search/given_runs.h"
#include "analyze/several/trend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    const ss_checkpoints_options *opt;
    ss_checkpoints *c;
    int tried;
    int first;     /* row of the first run that could be judged, -1: none yet */
    ss_run *steps; /* of a training, whose steps are the rows; else NULL */
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

static ss_code ask_command(const char *command, const char *model, const char *run,
                           ss_bisect_verdict *v, ss_err *e)
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

ss_code ss_checkpoint_describe(const ss_expression *x, ss_run *r, const ss_witness *w,
                               ss_checkpoint_row *row, ss_err *e)
{
    const ss_expression_node *m = &x->nodes[w->node];
    char name[512], sample[200];
    ss_str part = {0};

    row->witness = *w;
    row->value = w->value;
    if (r->steps && w->sigma >= 0 && w->sample >= 0)
        row->sigma = ss_run_level(r, w->sigma, w->sample);
    else if (r->sigmas && w->sigma >= 0 && !ss_run_is_text(r))
        row->sigma = r->sigmas[w->sigma];
    /* a bin is known by its noise level, which is in row->sigma */
    const bool sampled = w->sample >= 0 && !r->binned;
    if (sampled)
        ss_run_sample_label(r, w->sigma, w->input, w->sample, sample, sizeof sample);
    ss_str_addn(&part, x->text + m->from, (size_t)(m->to - m->from));
    const bool nowhere = m->measure == SS_MEASURE_FORECAST && w->site.module < 0;
    row->where = ss_strdup(nowhere ? "-" : ss_witness_name(r, w, name, sizeof name));
    row->input = ss_strdup(w->input >= 0 ? r->inputs[w->input] : "-");
    row->sample = ss_strdup(sampled ? sample : "-");
    row->measure = ss_str_detach(&part);
    return row->where && row->input && row->sample && row->measure ? SS_OK
                                                                   : ss_no_memory(e, "checkpoints");
}

/* A run file lacks what the expression asks for: the message ends in how to make one that has it.
 */
static ss_code say_lack(const ss_run *r, ss_err *e)
{
    ss_str model = {0};
    ss_err why = e ? *e : (ss_err){0};

    if (!*r->plan || !*r->model_path)
        return SS_USAGE;
    ss_str_add_quoted(&model, r->model_path);
    ss_fail(e, SS_USAGE,
            "%s; `sigmascope probe %s -o RUN.h5` with that option makes a run that has it", why.msg,
            model.s ? model.s : "MODEL");
    ss_str_release(&model);
    return SS_USAGE;
}

static ss_code judge(const ss_checkpoints_options *opt, ss_checkpoint_row *row,
                     ss_bisect_verdict *v, ss_err *e)
{
    ss_run *r;
    ss_witness w;
    bool holds;
    ss_code rc = ss_run_open(row->run, &r, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_expression_eval(opt->fail, r, &holds, &w, e);
    if (rc == SS_OK) {
        *v = holds ? SS_BAD : SS_GOOD;
        rc = ss_checkpoint_describe(opt->fail, r, &w, row, e);
    } else if (rc == SS_USAGE && row->given)
        rc = say_lack(r, e);
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

/* Checks that the run shows the same as the first one that was judged: see given_runs.h. */
static ss_code compare_with_first(finder *f, const ss_checkpoint_row *row, ss_err *e)
{
    const ss_checkpoint_row *first = &f->c->rows[f->first];
    ss_run *a = NULL, *b = NULL;
    char *difference = NULL;
    ss_code rc = ss_run_open(row->run, &a, e);

    if (rc == SS_OK)
        rc = ss_run_open(first->run, &b, e);
    if (rc == SS_OK && ss_given_run_differs(a, b, &difference)) {
        if (row->given && first->given)
            ss_warn("%s does not show the same as the run %s: %s", row->run, first->run,
                    difference);
        else
            rc = ss_fail(e, SS_USAGE,
                         "%s does not show the same as the run %s: %s; give bisect the options of "
                         "the run file, or run files alone",
                         row->run, first->run, difference);
    }
    ss_free(difference);
    ss_run_close(a);
    ss_run_close(b);
    return rc;
}

/* Takes a run file as the run of its row; one that cannot be read is skipped. */
static ss_code take_given(finder *f, ss_checkpoint_row *row, ss_bisect_verdict *v, ss_err *e)
{
    ss_run *r;
    ss_code rc = ss_run_open(row->model, &r, e);

    if (rc == SS_FORMAT) {
        row->unreadable = ss_strdup(e ? e->msg : "not a run file");
        if (!row->unreadable)
            return ss_no_memory(e, "checkpoints");
        ss_warn("%s cannot be read and is skipped: %s", row->model, row->unreadable);
        f->c->n_unreadable++;
        *v = SS_SKIP;
        return SS_OK;
    }
    if (rc != SS_OK)
        return rc;
    ss_run_close(r);
    f->c->n_given++;
    row->run = ss_strdup(row->model);
    return row->run ? SS_OK : ss_no_memory(e, "checkpoints");
}

/* Judges one step of a training's own run. A step without a value is skipped. */
static ss_code try_step(void *ctx, int i, ss_bisect_verdict *v, ss_err *e)
{
    finder *f = ctx;
    ss_checkpoint_row *row = &f->c->rows[i];
    ss_witness w;
    bool holds;
    const ss_code rc =
        ss_expression_eval_column(f->opt->fail, f->steps, row->column, &holds, &w, e);

    row->order = ++f->tried;
    *v = rc == SS_USAGE ? SS_SKIP : holds ? SS_BAD : SS_GOOD;
    if (rc != SS_OK)
        return rc == SS_USAGE ? SS_OK : rc;
    if (!(row->run = ss_strdup(row->model)))
        return ss_no_memory(e, "checkpoints");
    return ss_checkpoint_describe(f->opt->fail, f->steps, &w, row, e);
}

static ss_code try_checkpoint(void *ctx, int i, ss_bisect_verdict *v, ss_err *e)
{
    finder *f = ctx;
    ss_checkpoint_row *row = &f->c->rows[i];
    ss_probe_options probe = f->opt->probe;
    ss_code rc;

    row->order = ++f->tried;
    probe.network.model = row->model;
    if (row->given) {
        if ((rc = take_given(f, row, v, e)) != SS_OK || row->unreadable)
            return rc;
    } else
        rc = ss_probe_cached(&probe, f->opt->cache, &row->run, &row->kept, e);
    if (rc != SS_OK && is_unreadable(&probe, rc, row)) {
        ss_warn("%s cannot be read and is skipped: %s", row->model, row->unreadable);
        f->c->n_unreadable++;
        *v = SS_SKIP;
        return SS_OK;
    }
    if (rc != SS_OK) { /* an error of a file begins with its path */
        const bool named = strncmp(e->msg, row->model, strlen(row->model)) == 0;

        return rc == SS_USAGE || named ? rc : ss_fail_prefix(e, "%s", row->model);
    }
    f->c->n_kept += row->kept;
    f->c->n_made += !row->kept && !row->given;
    if (f->first >= 0 && (row->given || f->c->n_given))
        rc = compare_with_first(f, row, e);
    else if (f->first < 0)
        f->first = i;
    if (rc == SS_OK && f->opt->fail)
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
        if (!opt->steps && ss_run_is_file(opt->models[i])) {
            if (ss_given_run_step(opt->models[i], &steps[i], NULL) != SS_OK)
                steps[i] = -1; /* the search says why it is skipped */
        } else if (!opt->steps && !ss_trend_step(opt->models[i], &steps[i]))
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
            c->rows[i] = (ss_checkpoint_row){.model = opt->models[i],
                                             .given = ss_run_is_file(opt->models[i]),
                                             .column = -1,
                                             .step = steps[i],
                                             .sigma = NAN,
                                             .value = NAN};
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

/* Makes a row of each finished step of the run of a training. */
static ss_code line_up_steps(const ss_checkpoints_options *opt, const ss_run *r, ss_checkpoints *c,
                             ss_err *e)
{
    if (!opt->fail || opt->check)
        return ss_fail(e, SS_USAGE,
                       "%s is the run of a training, whose steps are judged by --fail alone: they "
                       "are no checkpoints for --check",
                       r->path);
    if (opt->steps || opt->as_given)
        return ss_fail(e, SS_USAGE,
                       "%s is the run of a training, which has its steps in it; --steps and "
                       "--as-given are for checkpoints",
                       r->path);
    if (r->n_done == 0)
        return ss_fail(e, SS_FORMAT, "%s: has no finished step", r->path);
    if (!(c->rows = ss_calloc((size_t)r->n_done, sizeof *c->rows)))
        return ss_no_memory(e, "checkpoints");
    for (int k = 0; k < r->n_sigmas && c->n < r->n_done; k++) {
        if (r->done[k])
            c->rows[c->n++] = (ss_checkpoint_row){.model = opt->models[0],
                                                  .given = true,
                                                  .column = k,
                                                  .step = r->steps[k],
                                                  .sigma = NAN,
                                                  .value = NAN};
    }
    c->by_step = c->of_training = true;
    c->of_bins = r->binned;
    return SS_OK;
}

/* Judges every step of a training's own run: all of them are there. */
static ss_code find_step(finder *f, ss_err *e)
{
    ss_witness w;
    bool holds;
    ss_code rc = line_up_steps(f->opt, f->steps, f->c, e);

    if (rc == SS_OK) /* what is missing in the whole file is an error */
        rc = ss_expression_eval(f->opt->fail, f->steps, &holds, &w, e);
    return rc == SS_OK ? ss_bisect_search(f->c->n, true, try_step, f, &f->c->search, e) : rc;
}

/* Opens the one operand if it is the run of a training; else *r stays NULL. */
static ss_code open_training(const ss_checkpoints_options *opt, ss_run **r, ss_err *e)
{
    if (opt->n_models != 1 || !ss_run_is_file(opt->models[0]))
        return SS_OK;
    const ss_code rc = ss_run_open_any(opt->models[0], r, e);
    if (rc == SS_OK && !(*r)->steps) {
        ss_run_close(*r);
        *r = NULL;
    }
    return rc;
}

ss_code ss_checkpoints_find(const ss_checkpoints_options *opt, ss_checkpoints *c, ss_err *e)
{
    finder f = {.opt = opt, .c = c, .first = -1};
    ss_code rc;

    *c = (ss_checkpoints){0};
    rc = open_training(opt, &f.steps, e);
    if (rc == SS_OK && f.steps)
        rc = find_step(&f, e);
    else if (rc == SS_OK && (rc = line_up(opt, c, e)) == SS_OK)
        rc = ss_bisect_search(c->n, opt->exhaustive, try_checkpoint, &f, &c->search, e);
    if (rc == SS_OK && c->search.first_bad < 0 && c->search.last_good < 0)
        rc = say_all_skipped(c, e);
    ss_run_close(f.steps);
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
