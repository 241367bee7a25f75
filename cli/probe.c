/* probe.c - `sigmascope probe`: the main job */
#include "probe/probe.h"

#include "analyze/growth.h"
#include "analyze/headroom.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "probe/interrupt.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    OPT_OUTPUT = 1,
    OPT_SIGMAS,
    OPT_TIMESTEPS,
    OPT_CONDITION_SIGMA,
    OPT_INPUTS,
    OPT_SAMPLES,
    OPT_BATCH,
    OPT_SIZE,
    OPT_CLASS,
    OPT_PROMPT_EMBEDS,
    OPT_TEXT_EMBEDS,
    OPT_TIME_IDS,
    OPT_CONCAT,
    OPT_MODULES,
    OPT_DUMP,
    OPT_DUMP_DTYPE,
    OPT_CHANNELS,
    OPT_PRECISION,
    OPT_PRECISION_MAP,
    OPT_PRECISION_SCOPE,
    OPT_INTERVENE,
    OPT_BETA_SCHEDULE,
    OPT_PREDICTION,
    OPT_RESUME,
    OPT_FORCE,
};

static const cli_option options[] = {
    {OPT_OUTPUT, "output", "RUN.h5", "the run file to write"},
    {OPT_SIGMAS, "sigmas", "LIST",
     "noise levels: 0.02,0.5,80 or 0.002:80:16 (log spaced); "
     "default 0.02:80:8"},
    {OPT_TIMESTEPS, "timesteps", "LIST", "noise levels by the model's own timesteps: 1,500,999"},
    {OPT_CONDITION_SIGMA, "condition-sigma", "S",
     "tell the network noise level S whatever the input's is ('none': the lowest)"},
    {OPT_INPUTS, "inputs", "SPEC",
     "what to feed, repeatable: images:PATH, idx:FILE[.gz], tensor:FILE#NAME, raw:FILE#NAME, "
     "noise:white|pink|blue, constant:V, grating:CYCLES,ANGLE, checker:PX, and filters on any: "
     "lowpass:CUTOFF:SPEC, highpass:CUTOFF:SPEC; default noise:white"},
    {OPT_SAMPLES, "samples", "N", "samples per input (default 4)"},
    {OPT_BATCH, "batch", "N", "samples per forward pass (default: by the input's size)"},
    {OPT_SIZE, "size", "HxW", "input size (default: the model's sample_size)"},
    {OPT_CLASS, "class", "K", "class label"},
    {OPT_PROMPT_EMBEDS, "prompt-embeds", "FILE#NAME",
     "text states [N,tokens,width] from a safetensors file"},
    {OPT_TEXT_EMBEDS, "text-embeds", "FILE#NAME", "pooled text [N,width] (SDXL)"},
    {OPT_TIME_IDS, "time-ids", "FILE#NAME", "size and crop conditions [N,6] (SDXL)"},
    {OPT_CONCAT, "concat", "FILE#NAME",
     "channels [N,C,H,W] that go behind the noised picture (super-resolution stages)"},
    {OPT_MODULES, "modules", "GLOB", "what is watched, repeatable (default: all modules)"},
    {OPT_DUMP, "dump", "GLOB", "whose outputs are stored whole, repeatable"},
    {OPT_DUMP_DTYPE, "dump-dtype", "f32|f16", "how they are stored (default f32)"},
    {OPT_CHANNELS, "channels", NULL, "per-channel statistics too"},
    {OPT_PRECISION, "precision", "FMT",
     "emulate a format: bf16, fp16, fp8-e4m3, fp8-e5m2, eXmY; -sat behind it saturates"},
    {OPT_PRECISION_MAP, "precision-map", "GLOB=FMT",
     "another format for these modules and those below, repeatable, the last match wins"},
    {OPT_PRECISION_SCOPE, "precision-scope", "ops|blocks",
     "round every operation's output and the weights, or block outputs only (default ops)"},
    {OPT_INTERVENE, "intervene", "SPEC",
     "change outputs, repeatable: clamp:V@GLOB, scale:K@GLOB, zero@GLOB, "
     "cosine-attention[:SCALE]@GLOB"},
    {OPT_BETA_SCHEDULE, "beta-schedule", "NAME",
     "where the model has no scheduler_config.json: linear, scaled_linear, squaredcos_cap_v2"},
    {OPT_PREDICTION, "prediction", "TYPE", "likewise: epsilon, v_prediction, sample"},
    {OPT_RESUME, "resume", NULL, "go on with a run that was cut off"},
    {OPT_FORCE, "force", NULL, "replace RUN.h5 if it is there"},
    {0},
};

typedef struct {
    const char **inputs, **modules, **dumps, **maps, **interventions;
} lists;

static void take_option(cli_parser *p, int id, ss_probe_options *opt, lists *l)
{
    switch (id) {
    case OPT_OUTPUT: opt->output = p->arg; break;
    case OPT_SIGMAS: opt->sigmas = p->arg; break;
    case OPT_TIMESTEPS: opt->timesteps = p->arg; break;
    case OPT_CONDITION_SIGMA: opt->condition_sigma = p->arg; break;
    case OPT_INPUTS: cli_append(p, &l->inputs, &opt->n_inputs); break;
    case OPT_SAMPLES: cli_count(p, 1, 1 << 20, &opt->samples); break;
    case OPT_BATCH: cli_count(p, 1, SS_MAX_BATCH, &opt->batch); break;
    case OPT_SIZE: cli_size(p, &opt->network.height, &opt->network.width); break;
    case OPT_CLASS: cli_count(p, 0, 1 << 20, &opt->class_label); break;
    case OPT_PROMPT_EMBEDS: opt->prompt_embeds = p->arg; break;
    case OPT_TEXT_EMBEDS: opt->text_embeds = p->arg; break;
    case OPT_TIME_IDS: opt->time_ids = p->arg; break;
    case OPT_CONCAT: opt->concat = p->arg; break;
    case OPT_MODULES: cli_append(p, &l->modules, &opt->n_modules); break;
    case OPT_DUMP: cli_append(p, &l->dumps, &opt->n_dumps); break;
    case OPT_DUMP_DTYPE: cli_either(p, "f32", "f16", &opt->dump_f16); break;
    case OPT_CHANNELS: opt->channels = true; break;
    case OPT_PRECISION: opt->network.changes.precision = p->arg; break;
    case OPT_PRECISION_MAP: cli_append(p, &l->maps, &opt->network.changes.n_precision_maps); break;
    case OPT_PRECISION_SCOPE:
        cli_either(p, "ops", "blocks", &opt->network.changes.round_blocks);
        break;
    case OPT_INTERVENE:
        cli_append(p, &l->interventions, &opt->network.changes.n_interventions);
        break;
    case OPT_BETA_SCHEDULE: opt->network.beta_schedule = p->arg; break;
    case OPT_PREDICTION: opt->network.prediction_type = p->arg; break;
    case OPT_RESUME: opt->resume = true; break;
    case OPT_FORCE: opt->replace = true; break;
    }
}

static void check_contradictions(cli_parser *p, const ss_probe_options *opt)
{
    if (!opt->output)
        cli_usage(p, "-o RUN.h5 is missing");
    if (opt->sigmas && opt->timesteps)
        cli_usage(p, "--sigmas and --timesteps exclude each other");
    if (opt->resume && opt->replace)
        cli_usage(p, "--resume and --force exclude each other");
}
/* The first two tables of `analyze`: where activations grow, and how far overflow is. */
static ss_code print_tables(const char *path, ss_err *e)
{
    enum { TOP = 8, N = 4 };
    static const char *const names[N] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};
    ss_format formats[N];
    ss_run *r = NULL;
    ss_sites sites = {0};
    ss_growth growth = {0};
    ss_headroom room = {0};
    ss_table t = {0};
    ss_code rc = ss_run_open(path, &r, e);

    for (int i = 0; i < N && rc == SS_OK; i++)
        rc = ss_format_parse(names[i], &formats[i], e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);
    if (rc == SS_OK)
        rc = ss_growth_find(r, &sites, SS_ALL, &growth, e);
    if (rc == SS_OK && (rc = ss_growth_table(r, &growth, TOP, &t, e)) == SS_OK) {
        ss_table_print(&t, stdout, 0);
        ss_table_release(&t);
        putchar('\n');
    }
    if (rc == SS_OK)
        rc = ss_headroom_find(r, &sites, formats, N, &room, e);
    if (rc == SS_OK && (rc = ss_headroom_table(r, &room, TOP, &t, e)) == SS_OK) {
        ss_table_print(&t, stdout, 0);
        ss_table_release(&t);
        putchar('\n');
    }
    ss_headroom_release(&room);
    ss_growth_release(&growth);
    ss_sites_release(&sites);
    ss_run_close(r);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary sum = {0};
    struct sigaction stop = {.sa_handler = ss_interrupt, .sa_flags = SA_RESETHAND};
    lists l = {0};
    cli_parser p;
    ss_err e = {0};
    int id, status = CLI_OK;
    char *command = cli_command_line(argc, argv);

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END)
        take_option(&p, id, &opt, &l);
    if (!p.stop)
        check_contradictions(&p, &opt);
    if (cli_stop(&p, 1, 1)) {
        status = p.status;
        goto out;
    }
    opt.network.model = p.operands[0];
    opt.command = command;
    opt.inputs = l.inputs;
    opt.modules = l.modules;
    opt.dumps = l.dumps;
    opt.network.changes.precision_maps = l.maps;
    opt.network.changes.interventions = l.interventions;
    opt.seed = p.common.seed;
    opt.threads = p.common.threads;
    opt.device = p.common.device;

    sigaction(SIGINT, &stop, NULL); /* a second signal ends the program at once */
    sigaction(SIGTERM, &stop, NULL);
    if (ss_probe_run(&opt, &sum, &e) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    ss_note("%d modules, %d noise levels (%d were there), %d inputs, %d samples in %.1f s: "
            "%.1f GFLOP/s, activations up to %.0f MiB",
            sum.n_modules, sum.n_sigmas, sum.n_resumed, sum.n_inputs, sum.n_samples, sum.seconds,
            (double)sum.forward_flops / sum.seconds * 1e-9, (double)sum.peak_bytes / (1 << 20));
    if (print_tables(opt.output, &e) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    printf("%s\n", opt.output);
    status = cli_flush(&p, CLI_OK);
out:
    ss_free(l.inputs);
    ss_free(l.modules);
    ss_free(l.dumps);
    ss_free(l.maps);
    ss_free(l.interventions);
    ss_free(command);
    return status;
}

const cli_command cmd_probe = {
    "probe",
    "MODEL -o RUN.h5",
    "forward passes over noise levels and inputs, every module watched",
    "Runs the network over noise levels and inputs and writes what every module did to\n"
    "RUN.h5: statistics, histograms of exponents, attention entropy, inputs with their\n"
    "spectra, denoised pictures and losses. Prints where activations grow and how far overflow\n"
    "is; 'sigmascope analyze RUN.h5' tells more.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_PROGRESS,
    run,
};
