/* analyze.c - `sigmascope analyze`: what a run shows, as tables */
#include "analyze/findings/verdict.h"
#include "analyze/one/health.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/components.h"
#include "cli/keep.h"
#include "cli/probed.h"
#include "cli/story.h"
#include "cli/tables.h"
#include "cli/training.h"
#include "cli/trend.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum {
    OPT_FORMAT = 1,
    OPT_MODULES,
    OPT_TOP,
    OPT_BY_INPUT,
    OPT_STEPS,
    OPT_KEEP,
    OPT_MARGIN,
    OPT_CHECK,
    OPT_WRITE_MAP,
    OPT_AS,
    OPT_ATTENTION
};

static const cli_option options[] = {
    CLI_GROUP("What to judge"),
    {OPT_FORMAT, "format", "FMT",
     "a number format to judge: fp16, bf16, fp8-e4m3, fp8-e5m2, eXmY; repeatable (default: these "
     "four, and what overflows for fp16; over training steps fp16, fp8-e5m2, fp8-e4m3)"},
    {OPT_MODULES, "modules", "GLOB", "only modules whose path matches; repeatable"},
    CLI_GROUP("Output"),
    {OPT_TOP, "top", "N", "at most N rows a table (default 12, with --json all)"},
    {OPT_BY_INPUT, "by-input", NULL, "growth of each input by itself, too"},
    CLI_GROUP("What to judge"),
    {OPT_STEPS, "steps", "LIST",
     "training step of each of several runs, 250,500,... (default: the last number in the path of "
     "its model)"},
    CLI_GROUP("What stays in fp32"),
    {OPT_KEEP, "keep-fp32", "FMT",
     "instead of all this: which modules have to stay in fp32 when the others run in FMT, to paste "
     "into PyTorch and probe"},
    {OPT_MARGIN, "margin", "BITS",
     "with --keep-fp32: keep those with less than so many bits to spare, too (default 0; 1 is a "
     "factor of 2)"},
    {OPT_CHECK, "check", NULL,
     "with --keep-fp32: repeat the run under emulation, without the list and with it; it grows "
     "where it must. Exit status 3, also without --check where the run is not finite in fp32: it "
     "does not suffice"},
    {OPT_WRITE_MAP, "write-map", "FILE",
     "with --keep-fp32: write the list for --precision-map @FILE of probe, generate and bisect"},
    CLI_GROUP("What to judge"),
    {OPT_AS, "as", CLI_AS,
     CLI_AS_HELP " (default half; of --keep-fp32 autocast). What it stores is judged"},
    {OPT_ATTENTION, "attention", CLI_ATTENTION, CLI_ATTENTION_HELP},
    {0},
};

typedef struct {
    ss_run *run;
    ss_analysis x;
    ss_format formats[SS_MAX_FORMATS];
    int n_formats;
    int n_overflow; /* number of formats, the first ones, whose overflow is reported */
    int top;
    bool by_input;
    bool finding; /* something is not finite */
    cli_code code;
    cli_tables out;
} report;

/* A table with a row for each noise level. */
static ss_code show_spread(report *rep, ss_table *t, ss_err *e)
{
    ss_table_spread(t, rep->top);
    return cli_show(&rep->out, t, e);
}

/* Shows growth over all inputs, or that of one. */
static ss_code show_growth(report *rep, int input, ss_err *e)
{
    ss_growth g = {0};
    ss_table t;
    ss_code rc = SS_OK;

    if (input != SS_ALL)
        rc = ss_growth_find(rep->run, &rep->x.produced, input, &g, e);
    if (rc == SS_OK && (rc = ss_growth_table(rep->run, input == SS_ALL ? &rep->x.growth : &g,
                                             rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    ss_growth_release(&g);
    return rc;
}

static ss_code show_headroom(report *rep, ss_err *e)
{
    ss_table t;
    ss_code rc = ss_headroom_table(rep->run, &rep->x.headroom, rep->top, &t, e);

    if (rc == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    for (int i = 0; i < rep->n_overflow && rc == SS_OK; i++) {
        if ((rc = ss_overflow_table(rep->run, &rep->x.overflow[i], &t, e)) == SS_OK)
            rc = show_spread(rep, &t, e);
    }
    if (rc == SS_OK &&
        (rc = ss_underflow_table(rep->run, &rep->x.headroom, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    return rc;
}

static ss_code show_stages(report *rep, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (ss_run_is_text(rep->run)) /* all of it is an encoder, and nothing is decoded */
        return SS_OK;
    rc = ss_stages_table(rep->run, &rep->x.stages, &t, e);
    return rc == SS_OK ? show_spread(rep, &t, e) : rc;
}

static ss_code show_weights(report *rep, ss_err *e)
{
    ss_table t;
    ss_code rc = ss_weights_table(rep->run, &rep->x.weights, rep->top, &t, e);

    return rc == SS_OK ? cli_show(&rep->out, &t, e) : rc;
}

static ss_code show_blobs(report *rep, ss_err *e)
{
    const ss_blobs *b = &rep->x.blobs;
    ss_table t;
    ss_code rc = SS_OK;

    if (b->n && (rc = ss_blobs_table(rep->run, b, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (b->n && rc == SS_OK && (rc = ss_blob_shapes_table(rep->run, b, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (b->n && rc == SS_OK && (rc = ss_blob_levels_table(rep->run, b, &t, e)) == SS_OK)
        rc = show_spread(rep, &t, e);
    return rc;
}

static ss_code show_channels(report *rep, ss_err *e)
{
    const ss_channels *k = &rep->x.channels;
    ss_table t;
    ss_code rc = SS_OK;

    if (k->n_sites && (rc = ss_channels_table(rep->run, k, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (rc == SS_OK && k->n_sites && (rc = ss_dead_table(rep->run, k, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    return rc;
}

static ss_code show_tokens(report *rep, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (rep->x.tokens.n_modules &&
        (rc = ss_tokens_table(rep->run, &rep->x.tokens, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    return rc;
}

/* Prints how the network is built where it is worst: at the first place that is not finite, where
 * formats overflow first, or else where the largest value is. */
static ss_code show_structure(report *rep, ss_err *e)
{
    const ss_analysis *x = &rep->x;
    ss_structure_asked asked = {0};

    if (x->bad.n_sites)
        ss_structure_ask(&asked, x->bad.sites[0].site);
    for (int i = 0; i < rep->n_overflow; i++) {
        for (int k = 0; k < x->overflow[i].n; k++) {
            if (x->overflow[i].rows[k].n_over) {
                ss_structure_ask(&asked, x->overflow[i].rows[k].first);
                break;
            }
        }
    }
    if (asked.n == 0 && x->growth.n && !isnan(x->growth.rows[0].peak))
        ss_structure_ask(&asked, x->growth.rows[0].site);
    return cli_show_structure(&rep->out, rep->run, &asked, e);
}

/* Prints all tables, in reading order. */
static ss_code show_tables(report *rep, ss_err *e)
{
    ss_table t;
    ss_code rc = cli_show_not_finite(&rep->out, &rep->x.bad, rep->top, e);

    if (rc == SS_OK && (rc = ss_summary_table(rep->run, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (rc == SS_OK)
        rc = show_growth(rep, SS_ALL, e);
    for (int i = 0; i < rep->run->n_inputs && rep->by_input && rc == SS_OK; i++)
        rc = show_growth(rep, i, e);
    if (rc == SS_OK)
        rc = show_headroom(rep, e);
    if (rc == SS_OK)
        rc = show_structure(rep, e);
    if (rc == SS_OK)
        rc = show_stages(rep, e);
    if (rc == SS_OK)
        rc = show_weights(rep, e);
    if (rc == SS_OK)
        rc = show_channels(rep, e);
    if (rc == SS_OK)
        rc = show_tokens(rep, e);
    if (rc == SS_OK)
        rc = show_blobs(rep, e);
    if (rc == SS_OK)
        rc = cli_show_frames(&rep->out, rep->run, NULL, 0, rep->top, e);
    if (rc == SS_OK && !ss_run_is_text(rep->run) && !ss_run_is_vae(rep->run) &&
        (rc = ss_loss_table(rep->run, &t, e)) == SS_OK)
        rc = show_spread(rep, &t, e);
    return rc;
}

/* Prints the verdict, and as JSON every sentence. */
static ss_code show_verdict(report *rep, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_run(&rep->x, &v, e)) == SS_OK) {
        ss_findings_run(&f, &rep->x);
        rc = cli_show_verdict(&rep->out, &v, &f, e);
    }
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

static void add_format(cli_parser *p, report *rep, const char *name)
{
    ss_err e = {0};

    if (rep->n_formats == SS_MAX_FORMATS)
        cli_usage(p, "at most %d formats", SS_MAX_FORMATS);
    else if (ss_format_parse(name, &rep->formats[rep->n_formats], &e) != SS_OK)
        cli_usage(p, "%s", e.msg);
    else
        rep->n_formats++;
}

/* Prints which modules have to stay in fp32. */
static int keep(cli_parser *p, report *rep, cli_keep *x, int64_t top)
{
    ss_err e = {0};
    bool suffices;

    x->path = p->operands[0];
    x->threads = p->common.threads;
    x->device = p->common.device;
    x->top = top >= 0 ? (int)top : INT_MAX; /* a list that is cut would be wrong */
    ss_code rc = cli_show_end(&rep->out, cli_keep_show(x, &rep->out, &suffices, &e), &e);
    return rc != SS_OK ? cli_fail(p, &e) : cli_flush(p, suffices ? CLI_OK : CLI_FINDING);
}

/* The formats that were asked for, or else the usual ones. */
static void default_formats(cli_parser *p, report *rep, const char *const *names, int n)
{
    rep->n_overflow = rep->n_formats;
    for (int i = 0; i < n && rep->n_overflow == 0; i++)
        add_format(p, rep, names[i]);
    if (rep->n_overflow == 0)
        rep->n_overflow = 1;
}

/* The formats whose limits a training may reach; bf16 overflows no earlier than fp32. */
static void growth_formats(cli_parser *p, report *rep)
{
    static const char *const limits[] = {"fp16", "fp8-e5m2", "fp8-e4m3"};

    default_formats(p, rep, limits, sizeof limits / sizeof *limits);
}

/* The formats for a training's own run, its own format first. */
static void training_formats(cli_parser *p, report *rep)
{
    const bool asked = rep->n_formats > 0;
    ss_format own = {0};

    if (!asked && ss_run_format(rep->run, &own)) {
        add_format(p, rep, own.name);
        for (size_t i = 0; i < 3; i++) {
            static const char *const others[] = {"fp16", "fp8-e5m2", "fp8-e4m3"};

            if (strcmp(others[i], own.name) != 0)
                add_format(p, rep, others[i]);
        }
        rep->n_overflow = 1;
        return;
    }
    growth_formats(p, rep);
}

/* The formats for runs over noise levels. */
static void usual_formats(cli_parser *p, report *rep)
{
    static const char *const usual[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};

    default_formats(p, rep, usual, sizeof usual / sizeof *usual);
}

/* Prints a run over noise levels. */
static ss_code analyze_levels(report *rep, const char *const *globs, int n_globs, ss_err *e)
{
    ss_code rc =
        ss_analysis_make(rep->run, globs, n_globs, rep->formats, rep->n_formats, &rep->x, e);

    if (rc == SS_OK)
        rc = show_verdict(rep, e);
    if (rc == SS_OK)
        rc = show_tables(rep, e);
    if (rc == SS_OK && !ss_run_is_text(rep->run) && !ss_run_is_vae(rep->run))
        rc = cli_show_mechanism(&rep->out, &rep->run, NULL, 1, e); /* of a denoiser's training */
    rep->finding |= ss_not_finite_any(&rep->x.bad);
    ss_analysis_release(&rep->x);
    return rc;
}

static ss_code analyze(cli_parser *p, report *rep, const char *const *globs, int n_globs, ss_err *e)
{
    ss_code rc = ss_run_open_any(p->operands[0], &rep->run, e);

    if (rc == SS_OK)
        rc = cli_code_set(&rep->code, rep->run, e);
    if (rc == SS_OK && rep->run->steps && rep->by_input)
        rc = ss_fail(e, SS_USAGE,
                     "%s: is a training run, over steps; --by-input is for runs over noise levels",
                     rep->run->path);
    else if (rc == SS_OK && rep->run->steps) {
        training_formats(p, rep);
        const cli_training x = {rep->run,       globs,           n_globs, rep->formats,
                                rep->n_formats, rep->n_overflow, rep->top};
        rc = cli_training_show(&x, &rep->out, &rep->finding, e);
    } else if (rc == SS_OK) {
        usual_formats(p, rep);
        rc = analyze_levels(rep, globs, n_globs, e);
    }
    ss_run_close(rep->run);
    return rc;
}

/* Prints one component's run under its name; nothing of one in which no glob matches. */
static ss_code analyze_component(report *rep, const ss_component_verdicts *c,
                                 const char *const *globs, int n_globs, ss_err *e)
{
    const char **kept = ss_calloc((size_t)n_globs + 1, sizeof *kept);
    const int n = kept ? ss_globs_of_run(c->run, globs, n_globs, kept) : 0;
    cli_tables all = rep->out;
    ss_code rc = kept ? SS_OK : ss_no_memory(e, "components");

    if (rc == SS_OK && (n || !n_globs)) {
        rep->run = c->run;
        cli_begin_component(&all, c, &rep->out);
        rc = analyze_levels(rep, kept, n, e);
        rc = cli_end_component(&all, c, &rep->out, rc, e);
    }
    rep->out = all;
    ss_free(kept);
    return rc;
}

/* Prints runs of several components: which fails first, and then each. */
static ss_code analyze_components(cli_parser *p, report *rep, ss_run *const *runs,
                                  const char *const *globs, int n_globs, ss_err *e)
{
    ss_verdicts v = {0};
    ss_code rc = SS_OK;

    usual_formats(p, rep);
    for (int i = 0; i < p->n_operands && rc == SS_OK; i++)
        rc = cli_code_set(&rep->code, runs[i], e);
    if (rc == SS_OK)
        rc = ss_verdicts_find(runs, p->n_operands, globs, n_globs, rep->formats, rep->n_formats, &v,
                              e);
    if (rc == SS_OK)
        rc = cli_show_components(&rep->out, &v, e);
    for (int i = 0; i < v.n && rc == SS_OK; i++)
        rc = analyze_component(rep, &v.list[i], globs, n_globs, e);
    ss_verdicts_release(&v);
    return rc;
}

/* Prints several runs: of components of a pipeline, or else of checkpoints of one network. */
static ss_code analyze_several(cli_parser *p, report *rep, const char *steps,
                               const char *const *globs, int n_globs, ss_err *e)
{
    ss_run **runs = ss_calloc((size_t)p->n_operands, sizeof *runs);
    ss_code rc = runs ? SS_OK : ss_no_memory(e, "runs");

    for (int i = 0; i < p->n_operands && rc == SS_OK; i++)
        rc = ss_run_open(p->operands[i], &runs[i], e);
    const bool components = rc == SS_OK && ss_runs_are_components(runs, p->n_operands);
    if (components && steps)
        rc = ss_fail(e, SS_USAGE,
                     "--steps is for runs of one network; these are of several components");
    else if (components)
        rc = analyze_components(p, rep, runs, globs, n_globs, e);
    for (int i = 0; runs && i < p->n_operands; i++)
        ss_run_close(runs[i]);
    ss_free(runs);
    if (rc != SS_OK || components)
        return rc;
    growth_formats(p, rep);
    const cli_trend x = {p->operands, p->n_operands, steps,          globs,
                         n_globs,     rep->formats,  rep->n_formats, rep->top};
    return cli_trend_show(&x, &rep->out, &rep->finding, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    const char **globs = NULL, *steps = NULL;
    int n_globs = 0, id;
    int64_t top = -1;
    report rep = {0};
    cli_keep kept = {0};
    cli_probed probed = {0};
    cli_parser p;
    ss_err e = {0};
    ss_code rc;
    int status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_FORMAT: add_format(&p, &rep, p.arg); break;
        case OPT_MODULES: cli_append(&p, &globs, &n_globs); break;
        case OPT_TOP: cli_int(&p, 0, 1 << 20, &top); break;
        case OPT_BY_INPUT: rep.by_input = true; break;
        case OPT_STEPS: steps = p.arg; break;
        case OPT_KEEP:
            if (ss_format_parse(p.arg, &kept.format, &e) != SS_OK)
                cli_usage(&p, "--keep-fp32: %s", e.msg);
            break;
        case OPT_MARGIN:
            cli_double(&p, &kept.margin);
            if (!(kept.margin >= 0 && kept.margin <= 128))
                cli_usage(&p, "--margin takes a number from 0 to 128, not '%s'", p.arg);
            break;
        case OPT_CHECK: kept.check = true; break;
        case OPT_WRITE_MAP: kept.write_map = p.arg; break;
        case OPT_AS: kept.code.as = p.arg; break;
        case OPT_ATTENTION: kept.code.attention = p.arg; break;
        }
    }
    if (!p.stop && cli_probed_list(&probed, &p, &e) != SS_OK)
        cli_usage(&p, "%s", e.msg);
    const bool several = p.n_operands > 1;

    if (several && rep.by_input)
        cli_usage(&p, "--by-input is for one run, here are %d", p.n_operands);
    if (!several && steps)
        cli_usage(&p, "--steps is for several runs, here is %d", p.n_operands);
    if (*kept.format.name && several)
        cli_usage(&p, "--keep-fp32 is for one run, here are %d", p.n_operands);
    if (*kept.format.name && (n_globs || rep.n_formats || rep.by_input))
        cli_usage(&p, "--keep-fp32 is about the whole run: --modules, --format and --by-input do "
                      "not go with it");
    if (!*kept.format.name && (kept.check || kept.margin > 0 || kept.write_map))
        cli_usage(&p, "--margin, --check and --write-map go with --keep-fp32");
    if (cli_stop(&p, 1, -1)) {
        status = p.status;
        goto out;
    }
    rep.code = kept.code;
    rep.out = cli_tables_begin(&p);
    rep.top = top >= 0 ? (int)top : cli_as_data(&p) ? INT_MAX : 12;
    if ((rc = cli_probed_make(&probed, &p, &e)) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    if (*kept.format.name) {
        status = keep(&p, &rep, &kept, top);
        goto out;
    }
    if (!several && ss_is_dir(p.operands[0])) {
        rc = cli_story_show(p.operands[0], &rep.out, &e);
    } else if (several) {
        rc = analyze_several(&p, &rep, steps, globs, n_globs, &e);
    } else
        rc = analyze(&p, &rep, globs, n_globs, &e);
    rc = cli_show_end(&rep.out, rc, &e);
    status = rc == SS_OK ? cli_flush(&p, rep.finding ? CLI_FINDING : CLI_OK) : cli_fail(&p, &e);
out:
    cli_probed_release(&probed);
    ss_free(globs);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope analyze late.h5",
     "what is not finite, what grows, and how far each format is from overflow."},
    {"sigmascope analyze late.h5 --keep-fp32 fp16 --check",
     "which modules must stay in fp32, to paste into PyTorch; the list is tried."},
    {"sigmascope analyze early.h5 middle.h5 late.h5",
     "growth over training, and the step at which each module overflows."},
    {"sigmascope analyze out/checkpoint-500 out/checkpoint-1000",
     "checkpoints are probed first, and their runs kept for bisect."},
    {"sigmascope analyze late.h5 --json", "the same tables for scripts."},
    {0},
};

const cli_command cmd_analyze = {
    "analyze",
    "RUN.h5|MODEL...",
    "what a run shows: growth, headroom, overflow, stages, weights, loss; of several: trends",
    "Prints, for a run file that `sigmascope probe` or somebody else's hooks have made: what is\n"
    "not finite; how activations grow with the noise level; how many bits are left to the\n"
    "limits of number formats, and which module overflows first; encoder against decoder;\n"
    "weights against activations; what would underflow; outlier and dead channels, where the run\n"
    "has channel statistics; outlier tokens and maps that degenerate into blobs, where it has\n"
    "dumps; the loss.\n"
    "\n"
    "For several runs, each of another checkpoint of one training: how the largest activations\n"
    "grow with the training step, as a power law with the standard error of its exponent, and\n"
    "the step at which each module reaches the largest value of a format, with a 95 % interval.\n"
    "\n"
    "For several runs of different components of a pipeline, as `probe --components` makes them:\n"
    "first which component fails first in each format, and how far the others are from it; then\n"
    "each run by itself.\n"
    "\n"
    "A checkpoint in the place of a run file is probed first, with the default plan, into\n"
    ".sigmascope-bisect, where bisect keeps its runs; the folder of a training stands for all\n"
    "its checkpoints.\n"
    "\n"
    "For a folder of training runs as demo/story makes it: which findings hold and which are "
    "refuted.\n"
    "\n"
    "For the statistics.h5 that `sigmascope train` writes, or the file of a recorder in a PyTorch\n"
    "training, also while it grows: the steps, what overflows and since\n"
    "when, growth over training at low, middle and high noise levels, encoder against decoder,\n"
    "the same trends and forecasts, parameters whose updates are too large, and the loss.\n"
    "\n"
    "Both also say which divergence it is, by name, with the evidence for each in one table.\n"
    "\n"
    "Values that are inf or NaN come first: weights, inputs, modules, attention heads,\n"
    "answers, losses. Exit status 3: something is.",
    options,
    CLI_TABLES | CLI_COMPUTE | CLI_PROGRESS | CLI_TAKES_RUNS,
    run,
    examples,
};
