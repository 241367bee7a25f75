/* train.c - `sigmascope train`: small-scale training, with everything watched */
#include "train/train.h"

#include "analyze/training/mechanism.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/tables.h"
#include "runfile/training_files.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

enum { OPT_OUTPUT = 1, OPT_SET, OPT_STEPS, OPT_SEED, OPT_RESUME };

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR",
     "the folder of results (default: the configuration's \"output\")"},
    CLI_GROUP("Training"),
    {OPT_SET, "set", "KEY=VALUE",
     "in place of what the file says, repeatable: optimizer.lr=1e-3, penalty.coefficient=1e-4, "
     "model=unet.json; VALUE is JSON, or else a string"},
    {OPT_STEPS, "steps", "N", "short for --set steps=N"},
    {OPT_SEED, "seed", "N", "short for --set seed=N"},
    {OPT_RESUME, "resume", NULL,
     "go on from the last checkpoint in DIR, to the bytes of a run that was not cut off; with "
     "another "
     "number of steps, to those of a run that had it from the beginning"},
    {0},
};

/* Finds which divergence it is, if something overflowed or grew in what was measured. Statistics
 * that cannot be judged do not make a finished training a failure: the sentence then says why.
 * False if nothing was measured. */
static bool find_mechanism(const ss_train_summary *m, ss_mechanism_finding *found, char **sentence)
{
    char path[600];
    ss_run *r = NULL;
    ss_err why = {0};
    ss_code rc;

    *found = (ss_mechanism_finding){.name = SS_MECHANISM_NONE};
    *sentence = NULL;
    if (!m->measured)
        return false;
    snprintf(path, sizeof path, "%s/" SS_TRAINING_STATISTICS, m->output);
    rc = ss_run_open_any(path, &r, &why);
    if (rc == SS_OK && r->n_done > 0)
        rc = ss_mechanism_find(&r, NULL, 1, found, &why);
    ss_run_close(r);
    if (rc != SS_OK)
        *sentence = ss_strdup(why.msg);
    else if (found->sentence &&
             (ss_mechanism_matters(found) || m->overflow_step || m->stalled || m->diverged))
        *sentence = ss_strdup(found->sentence);
    return true;
}

/* A table with one fact a row, the same for people and for scripts. */
static ss_code summary_table(const ss_train_summary *m, const char *mechanism, ss_table *t,
                             ss_err *e)
{
    ss_code rc = ss_table_init(t, "train", e);

    if (rc != SS_OK)
        return rc;
    if (m->diverged)
        ss_table_note(t, "diverged: %s", m->reason);
    else if (m->stalled)
        ss_table_note(t,
                      "%" PRId64 " OF %" PRId64 " STEPS WERE SKIPPED, %" PRId64
                      " of the last %" PRId64
                      ": their gradients were inf or NaN, so they changed no weight; the "
                      "loss scale went from %g to %g",
                      m->skipped, m->steps, m->lately, m->lately_of, m->scale_first, m->scale);
    ss_table_column(t, "output", SS_COL_TEXT, NULL);
    ss_table_column(t, "steps", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "loss", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "skipped", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "scale", SS_COL_NUMBER, "%g");
    ss_table_column(t, "spikes", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "rollbacks", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "overflows", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "first overflow", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "in", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "mechanism", SS_COL_TEXT, NULL);
    ss_table_column(t, "ms a step", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "cpu ms", SS_COL_NUMBER, "%.1f");
    ss_table_row(t);
    ss_table_text(t, m->output);
    ss_table_number(t, (double)m->steps);
    ss_table_number(t, m->loss);
    ss_table_number(t, (double)m->skipped);
    ss_table_number(t, m->scale);
    ss_table_number(t, (double)m->spikes);
    ss_table_number(t, m->rollbacks);
    ss_table_number(t, (double)m->overflows);
    ss_table_number(t, m->overflow_step ? (double)m->overflow_step : NAN);
    ss_table_text(t, m->overflow_step ? m->overflow_module : "-");
    ss_table_number(t, m->overflow_step ? m->overflow_sigma : NAN);
    ss_table_text(t, mechanism);
    ss_table_number(t, m->run_steps ? 1e3 * m->seconds / (double)m->run_steps : NAN);
    ss_table_number(t, m->run_steps ? 1e3 * m->cpu_seconds / (double)m->run_steps : NAN);
    return SS_OK;
}

static ss_code show_summary(const ss_train_summary *m, cli_tables *out, ss_err *e)
{
    ss_mechanism_finding found;
    char *sentence;
    ss_table t;
    const bool known = find_mechanism(m, &found, &sentence);
    ss_code rc = summary_table(m, known ? ss_mechanism_text(found.name) : "-", &t, e);

    if (rc == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK)
        rc = cli_say(out, "mechanism", sentence, e);
    ss_free(sentence);
    ss_mechanism_release(&found);
    return rc;
}

/* Prints, as text only, which commands to run next. */
static void print_next(const ss_train_summary *m)
{
    printf("\n");
    if (m->measured) {
        printf("sigmascope analyze ");
        cli_print_word(m->output, "/" SS_TRAINING_STATISTICS);
        printf("\n");
    }
    if (*m->checkpoint) {
        printf("sigmascope probe ");
        cli_print_word(m->checkpoint, "");
        printf(" -o ");
        cli_print_word(m->output, "/probe.h5");
        printf("\n");
    }
}

/* Adds KEY=N to the overrides; false after a usage error. */
static bool set_number(cli_parser *p, const char *key, int64_t least, char *text, size_t n,
                       const char ***sets, int *n_sets)
{
    int64_t value = 0;

    cli_int(p, least, INT64_MAX, &value);
    if (p->stop)
        return false;
    snprintf(text, n, "%s=%" PRId64, key, value);
    p->arg = text;
    cli_append(p, sets, n_sets);
    return true;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    char *command = cli_command_line(argc, argv), steps[48], seed[48], arithmetic[24];
    ss_train_options opt = {.command = command};
    ss_train_summary summary;
    cli_tables out = {0};
    const char **sets = NULL;
    cli_parser p;
    ss_err e = {0};
    int id, status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_OUTPUT: opt.output = p.arg; break;
        case OPT_SET: cli_append(&p, &sets, &opt.n_sets); break;
        case OPT_STEPS: set_number(&p, "steps", 1, steps, sizeof steps, &sets, &opt.n_sets); break;
        case OPT_SEED: set_number(&p, "seed", 0, seed, sizeof seed, &sets, &opt.n_sets); break;
        case OPT_RESUME: opt.resume = true; break;
        }
    }
    if (p.common.arithmetic && !p.stop) {
        snprintf(arithmetic, sizeof arithmetic, "arithmetic=%s", p.common.arithmetic);
        p.arg = arithmetic;
        cli_append(&p, &sets, &opt.n_sets);
    }
    if (cli_stop(&p, 1, 1)) {
        status = p.status;
        goto out;
    }
    opt.config = p.operands[0];
    opt.sets = sets;
    opt.threads = p.common.threads;
    opt.device = p.common.device;
    out = cli_tables_begin(&p);
    cli_stop_on_signals();

    ss_code rc = ss_train_run(&opt, &summary, &e);
    if (rc == SS_OK)
        rc = show_summary(&summary, &out, &e);
    if (rc == SS_OK && !out.data)
        print_next(&summary);
    rc = cli_show_end(&out, rc, &e);
    status = rc != SS_OK
                 ? cli_fail(&p, &e)
                 : cli_flush(&p, summary.diverged || summary.stalled ? CLI_FINDING : CLI_OK);
out:
    ss_free(sets);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope train config.json -o training", "trains as the configuration says."},
    {"sigmascope train config.json -o training --set optimizer.lr=1e-4 --steps 2000",
     "with other values than the file has."},
    {"sigmascope train config.json -o training --resume", "goes on from the last checkpoint."},
    {0},
};

const cli_command cmd_train = {
    "train",
    "CONFIG.json [-o DIR]",
    "small-scale training, statistics on the way",
    "Trains a network as the configuration says, which docs/train.md describes, and writes to DIR: "
    "the\n"
    "effective configuration, a line a step (log.jsonl), overflows and spikes (events.jsonl),\n"
    "statistics of every module (statistics.h5), and checkpoints that diffusers and the other\n"
    "commands load. Where something overflowed or grew it says which divergence it is. SIGINT and\n"
    "SIGTERM save a checkpoint first. Exit status 3: the training ended "
    "early,\n"
    "because a step was not finite and \"on_nonfinite\" is \"stop\", or the loss was inf or NaN in "
    "as many\n"
    "steps as \"max_overflows\" says, or more than half of all steps, or of the last 100, were "
    "skipped.",
    options,
    CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_TABLES,
    run,
    examples,
};
