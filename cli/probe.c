/* probe.c - `sigmascope probe`: the main job */
#include "analyze/one/growth.h"
#include "analyze/one/headroom.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/components.h"
#include "cli/probe_options.h"
#include "cli/shard.h"
#include "probe/components.h"

#include <stdio.h>
#include <string.h>

enum {
    OPT_OUTPUT = 1,
    OPT_DUMP,
    OPT_DUMP_DTYPE,
    OPT_CHANNELS,
    OPT_NO_HISTOGRAM,
    OPT_SHARD,
    OPT_RESUME,
    OPT_FORCE
};

static const cli_option options[] = {
    CLI_PROBE_OPTIONS,
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "RUN.h5", "the run file to write"},
    {OPT_DUMP, "dump", "GLOB", "modules whose outputs are stored whole, repeatable"},
    {OPT_DUMP_DTYPE, "dump-dtype", "f32|f16", "how they are stored (default f32)"},
    {OPT_CHANNELS, "channels", NULL, "per-channel statistics too"},
    {OPT_NO_HISTOGRAM, "no-histogram", NULL, "no histograms of exponents: watching is cheaper"},
    {OPT_SHARD, "shard", "K/N|env", CLI_SHARD_HELP},
    {OPT_RESUME, "resume", NULL, "go on with a run that was cut off"},
    {OPT_FORCE, "force", NULL, "replace RUN.h5 if it is there"},
    {0},
};

/* Holds what --shard changes. */
typedef struct {
    const char *value; /* NULL: not given */
    const char *by;    /* the variable of the environment that decided, or NULL */
    char *whole;       /* the whole run's file */
    char *command;     /* the command line without it */
} sharding;

static void take_option(cli_parser *p, int id, ss_probe_options *opt, const char ***dumps,
                        cli_probe_lists *l, sharding *shard)
{
    switch (id) {
    case OPT_OUTPUT: opt->output = p->arg; break;
    case OPT_DUMP: cli_append(p, dumps, &opt->n_dumps); break;
    case OPT_DUMP_DTYPE: opt->dump_f16 = strcmp(p->arg, "f16") == 0; break;
    case OPT_CHANNELS: opt->channels = true; break;
    case OPT_NO_HISTOGRAM: opt->histogram = false; break;
    case OPT_SHARD: shard->value = p->arg; break;
    case OPT_RESUME: opt->resume = true; break;
    case OPT_FORCE: opt->replace = true; break;
    default: cli_probe_take(p, id, opt, l); break;
    }
}

static void check_contradictions(cli_parser *p, const ss_probe_options *opt)
{
    if (!opt->output)
        cli_usage(p, "-o RUN.h5 is missing");
    if (opt->resume && opt->replace)
        cli_usage(p, "--resume and --force exclude each other");
}

enum { N_FORMATS = 4 };

static ss_code parse_formats(ss_format formats[N_FORMATS], ss_err *e)
{
    static const char *const names[N_FORMATS] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};
    ss_code rc = SS_OK;

    for (int i = 0; i < N_FORMATS && rc == SS_OK; i++)
        rc = ss_format_parse(names[i], &formats[i], e);
    return rc;
}

/* The first two tables of `analyze`: where activations grow, and how far overflow is. */
static ss_code print_tables(ss_run *r, cli_tables *out, ss_err *e)
{
    enum { TOP = 8 };
    ss_sites sites = {0}, produced = {0};
    ss_growth growth = {0};
    ss_headroom room = {0};
    ss_table t = {0};
    ss_not_finite bad = {0};
    ss_format formats[N_FORMATS];
    ss_code rc = ss_not_finite_find(r, &bad, e);

    if (rc == SS_OK)
        rc = cli_say_not_finite(out, &bad, SS_BAD_WEIGHTS, NULL, e);
    ss_not_finite_release(&bad);
    if (rc == SS_OK)
        rc = parse_formats(formats, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, NULL, 0, SS_SITES_ALL, &sites, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &produced, e);
    if (rc == SS_OK)
        rc = ss_growth_find(r, &produced, SS_ALL, &growth, e);
    if (rc == SS_OK && (rc = ss_growth_table(r, &growth, TOP, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK)
        rc = ss_headroom_find(r, &sites, formats, N_FORMATS, &room, e);
    if (rc == SS_OK && (rc = ss_headroom_table(r, &room, TOP, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    ss_headroom_release(&room);
    ss_growth_release(&growth);
    ss_sites_release(&sites);
    ss_sites_release(&produced);
    return rc;
}

/* Prints which component fails first, and then the tables of each. */
static ss_code print_components(ss_run *const *runs, int n, cli_tables *out, ss_err *e)
{
    ss_format formats[N_FORMATS];
    ss_verdicts v = {0};
    ss_code rc = parse_formats(formats, e);

    if (rc == SS_OK)
        rc = ss_verdicts_find(runs, n, NULL, 0, formats, N_FORMATS, &v, e);
    if (rc == SS_OK)
        rc = cli_show_components(out, &v, e);
    for (int i = 0; i < v.n && rc == SS_OK; i++) {
        cli_tables own;

        cli_begin_component(out, &v.list[i], &own);
        rc = cli_end_component(out, &v.list[i], &own, print_tables(v.list[i].run, &own, e), e);
    }
    ss_verdicts_release(&v);
    return rc;
}

static ss_code print_runs(const ss_component_runs *made, ss_err *e)
{
    ss_run **runs = ss_calloc((size_t)made->n, sizeof *runs);
    cli_tables out = {0};
    ss_code rc = runs ? SS_OK : ss_no_memory(e, "runs");

    for (int i = 0; i < made->n && rc == SS_OK; i++)
        rc = ss_run_open(made->list[i].output, &runs[i], e);
    if (rc == SS_OK)
        rc =
            made->n > 1 ? print_components(runs, made->n, &out, e) : print_tables(runs[0], &out, e);
    for (int i = 0; runs && i < made->n; i++)
        ss_run_close(runs[i]);
    ss_free(runs);
    if (rc == SS_OK)
        putchar('\n');
    for (int i = 0; i < made->n && rc == SS_OK; i++)
        printf("%s\n", made->list[i].output);
    return rc;
}

static void say_done(const ss_probe_summary *s, const char *component)
{
    ss_note("%s%s%d modules, %d noise levels (%d were there), %d inputs, %d samples in %.1f s: "
            "%.1f GFLOP/s, activations up to %.0f MiB",
            component ? component : "", component ? ": " : "", s->n_modules, s->n_sigmas,
            s->n_resumed, s->n_inputs, s->n_samples, s->seconds,
            (double)s->forward_flops / s->seconds * 1e-9, (double)s->peak_bytes / (1 << 20));
}

/* Says which part this is, and what it has to do. */
static void say_part(const ss_probe_options *opt, const sharding *shard, const ss_component_run *r,
                     const char *component)
{
    const ss_probe_summary *s = &r->summary;

    ss_note(
        "%s%spart %d of %d%s%s: %lld of %lld samples, at %d of %d noise levels (%d were there), "
        "in %.1f s%s",
        component ? component : "", component ? ": " : "", opt->shard.index, opt->shard.count,
        shard->by ? ", by " : "", shard->by ? shard->by : "", (long long)s->samples,
        (long long)s->all, s->n_own, s->n_sigmas, s->n_resumed, s->seconds,
        s->samples ? "" : "; there is nothing to do for it");
}

/* Prints the paths of the parts' files. A part has no tables: what it lacks might be the worst. */
static ss_code print_parts(const ss_probe_options *opt, const ss_component_runs *runs, ss_err *e)
{
    for (int i = 0; i < runs->n; i++) {
        char *path = ss_shard_path(runs->list[i].output, opt->shard);

        if (!path)
            return ss_no_memory(e, "runs");
        printf("%s\n", path);
        ss_free(path);
    }
    return SS_OK;
}

/* Probes each component, and then prints what was found and the paths of the run files. */
static ss_code probe_components(const ss_probe_options *opt, const sharding *shard,
                                ss_component_runs *runs, ss_err *e)
{
    for (int i = 0; i < runs->n; i++) {
        const ss_component_run *r = &runs->list[i];
        const ss_code rc = ss_components_probe(opt, runs, i, e);

        if (rc != SS_OK)
            return rc;
        if (opt->shard.count)
            say_part(opt, shard, r, runs->n > 1 ? r->component : NULL);
        else
            say_done(&r->summary, runs->n > 1 ? r->component : NULL);
    }
    return opt->shard.count ? print_parts(opt, runs, e) : print_runs(runs, e);
}

/* Sets what --shard says in the options. words: the command line, before it was parsed. */
static ss_code set_shard(ss_probe_options *opt, sharding *shard, int argc, char **words, ss_err *e)
{
    ss_code rc = cli_shard_read(shard->value, &opt->shard, &shard->by, e);

    if (rc == SS_OK)
        rc = cli_shard_whole(opt->output, opt->shard, &shard->whole, e);
    if (rc != SS_OK)
        return rc;
    shard->command = cli_shard_command(argc, words, shard->value, opt->output, shard->whole);
    if (!shard->command)
        return ss_no_memory(e, "the command line");
    opt->output = shard->whole;
    opt->command = shard->command;
    return SS_OK;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_probe_options opt = ss_probe_defaults();
    ss_component_runs runs = {0};
    cli_probe_lists l = {0};
    sharding shard = {0};
    const char **dumps = NULL;
    cli_parser p;
    ss_err e = {0};
    int id, status = CLI_OK;
    char *command = cli_command_line(argc, argv);
    char **words = ss_alloc((size_t)argc, sizeof *words); /* getopt changes their order */

    if (words)
        memcpy(words, argv, (size_t)argc * sizeof *words);
    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END)
        take_option(&p, id, &opt, &dumps, &l, &shard);
    cli_probe_set(&p, &opt, &l);
    if (!p.stop)
        check_contradictions(&p, &opt);
    if (cli_stop(&p, 1, 1)) {
        status = p.status;
        goto out;
    }
    opt.network.model = p.operands[0];
    opt.command = command;
    opt.dumps = dumps;

    cli_stop_on_signals();
    if ((shard.value && (words ? set_shard(&opt, &shard, argc, words, &e)
                               : ss_no_memory(&e, "the command line")) != SS_OK) ||
        ss_components_pick(opt.network.model, opt.network.component, opt.output, &runs, &e) !=
            SS_OK ||
        probe_components(&opt, &shard, &runs, &e) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    status = cli_flush(&p, CLI_OK);
out:
    ss_components_release(&runs);
    ss_free(dumps);
    cli_probe_release(&l);
    ss_free(shard.whole);
    ss_free(shard.command);
    ss_free(words);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope probe checkpoint-6000 -o late.h5",
     "random noise at eight noise levels; prints what grows and how far overflow is."},
    {"sigmascope probe sd15 -o sd15.h5 --prompt 'a photo of a cat' --size 32x32 --samples 1",
     "a pipeline folder, with its text encoder, on small latents."},
    {"sigmascope probe unet -o fp16.h5 --precision fp16 --inputs images:pictures",
     "pictures, with every stored value rounded to fp16."},
    {"sigmascope probe unet -o late.h5 --resume",
     "goes on with a run that was cut off; repeat its other options."},
    {"sigmascope probe unet -o late.h5 --samples 64 --shard 0/4 --resume",
     "the first of four parts, each on a machine of its own; then `sigmascope gather`."},
    {0},
};

const cli_command cmd_probe = {
    "probe",
    "MODEL -o RUN.h5",
    "forward passes over noise levels and inputs, every module watched",
    "Runs the network over noise levels and inputs and writes what every module did to\n"
    "RUN.h5: statistics, histograms of exponents, attention entropy, inputs with their\n"
    "spectra, denoised pictures and losses. Prints where activations grow and how far overflow\n"
    "is; see 'sigmascope analyze RUN.h5' for more. Of several components, it prints first which\n"
    "of them fails first in each format.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_TAKES_CHECKPOINT,
    run,
    examples,
};
