/* generate.c - `sigmascope generate`: pictures from the same seeds for every model */
#include "probe/generate.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/code.h"
#include "cli/stages.h"
#include "cli/tables.h"
#include "models/net/motion.h"
#include "probe/chain.h"

#include <stdio.h>
#include <string.h>

enum { MAX_BATCH = 4096 };

enum {
    OPT_OUTPUT = 1,
    OPT_SAMPLER,
    OPT_STEPS,
    OPT_ETA,
    OPT_INIT,
    OPT_STRENGTH,
    OPT_KEEP,
    OPT_INTERPOLATE,
    OPT_UPSCALE_FROM,
    OPT_LENGTH,
    OPT_WINDOW,
    OPT_OVERLAP,
    OPT_JOIN,
    OPT_FRAME_NOISE,
    OPT_GUIDANCE,
    OPT_CLASS,
    OPT_CLASSES,
    OPT_NEGATIVE_CLASS,
    OPT_GUIDANCE_EMBED,
    OPT_CLASS_EMBEDS,
    OPT_NEGATIVE_CLASS_EMBEDS,
    OPT_PROMPT,
    OPT_NEGATIVE_PROMPT,
    OPT_TOKENIZER,
    OPT_PROMPT_EMBEDS,
    OPT_NEGATIVE_EMBEDS,
    OPT_TEXT_EMBEDS,
    OPT_NEGATIVE_TEXT_EMBEDS,
    OPT_TIME_IDS,
    OPT_CONCAT,
    OPT_SAMPLES,
    OPT_BATCH,
    OPT_SIZE,
    OPT_FRAMES,
    OPT_FPS,
    OPT_DEFORUM,
    OPT_EXTEND,
    OPT_PRECISION,
    OPT_PRECISION_MAP,
    OPT_PRECISION_SCOPE,
    OPT_AS,
    OPT_ATTENTION,
    OPT_INTERVENE,
    OPT_VARIANT,
    OPT_LORA,
    OPT_ADAPTER,
    OPT_GROUPNORM,
    OPT_EMA,
    OPT_KEY,
    OPT_IGNORE,
    OPT_CONFIG,
    OPT_SCHEDULER,
    OPT_BETA_SCHEDULE,
    OPT_BETA_START,
    OPT_BETA_END,
    OPT_PREDICTION,
    OPT_ROUND_TIMESTEP,
    OPT_PROBE,
    OPT_CHAIN,
    OPT_FORCE,
};

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR", "the folder to write"},
    CLI_GROUP("Sampling"),
    {OPT_SAMPLER, "sampler", CLI_CHOICES(SS_SAMPLERS),
     "default: what the model's scheduler_config.json names, else ddim"},
    {OPT_STEPS, "steps", "N", "steps of the sampler (default 50)"},
    {OPT_ETA, "eta", "E", "noise of ddim's steps, 0 to 1 (default 0)"},
    CLI_GROUP("Videos and given pictures"),
    {OPT_INIT, "init", "FRAMES",
     "begin from pictures: PNG files, a folder of frames, a strip of them, or DIR of an earlier "
     "generate"},
    {OPT_STRENGTH, "strength", "S",
     "part of the steps that is made from --init on, up to 1 (default 1: all, from noise)"},
    {OPT_KEEP, "keep", "K",
     "extrapolate --init: its last K frames, and then those that each window made last, are given"},
    {OPT_INTERPOLATE, "interpolate", "K", "K new frames between neighbouring ones of --init"},
    {OPT_UPSCALE_FROM, "upscale-from", "FRAMES", "frames as of --init, that are made larger"},
    {OPT_LENGTH, "length", "N",
     "frames of the video (default: what the network sees at once); more are made in windows"},
    {OPT_WINDOW, "window", "N", "frames that the network sees at once, as --frames"},
    {OPT_OVERLAP, "overlap", "N",
     "frames that neighbouring windows share (default: half; with --upscale-from 1)"},
    {OPT_JOIN, "join", CLI_CHOICES(SS_JOINS),
     "windows make their frames alone, share their states, or average their answers (default "
     "pyramid; with --upscale-from states, with --keep sequence)"},
    {OPT_FRAME_NOISE, "frame-noise", CLI_CHOICES(SS_FRAME_NOISES),
     "of the frames after the first window (default: shuffled where answers are averaged, repeated "
     "with --interpolate, else fresh)"},
    CLI_GROUP("Conditions"),
    {OPT_GUIDANCE, "guidance", "G",
     "classifier-free guidance: negative + G (positive - negative) (default 1: none)"},
    {OPT_CLASS, "class", "K", "class label of every sample"},
    {OPT_CLASSES, "classes", "LIST|all", "class labels of one sample after another: 0,3,7, or all"},
    {OPT_NEGATIVE_CLASS, "negative-class", "K",
     "class label of the negative condition (default: the null class)"},
    {OPT_GUIDANCE_EMBED, "guidance-embed", "W", CLI_GUIDANCE_HELP},
    {OPT_CLASS_EMBEDS, "class-embeds", CLI_OR_STAND_IN, CLI_CLASS_EMBEDS_HELP},
    {OPT_NEGATIVE_CLASS_EMBEDS, "negative-class-embeds", CLI_OR_STAND_IN,
     "the negative ones, likewise"},
    {OPT_PROMPT, "prompt", "TEXT", CLI_PROMPT_HELP},
    {OPT_NEGATIVE_PROMPT, "negative-prompt", "TEXT",
     "what --guidance leads away from, repeatable (default: the empty text, or what the pipeline "
     "takes for it)"},
    {OPT_TOKENIZER, "tokenizer", "FOLDER", CLI_TOKENIZER_HELP},
    {OPT_PROMPT_EMBEDS, "prompt-embeds", CLI_OR_STAND_IN, CLI_PROMPT_EMBEDS_HELP},
    {OPT_NEGATIVE_EMBEDS, "negative-embeds", CLI_OR_STAND_IN,
     "negative text states, likewise (default: zeros where --prompt-embeds is a stand-in)"},
    {OPT_TEXT_EMBEDS, "text-embeds", CLI_OR_STAND_IN, CLI_TEXT_EMBEDS_HELP},
    {OPT_NEGATIVE_TEXT_EMBEDS, "negative-text-embeds", CLI_OR_STAND_IN,
     "negative pooled text, likewise"},
    {OPT_TIME_IDS, "time-ids", "FILE#NAME", "size and crop conditions [N,6] (SDXL)"},
    {OPT_CONCAT, "concat", "FILE#NAME|noise|zeros", CLI_CONCAT_HELP},
    CLI_GROUP("Sampling"),
    {OPT_SAMPLES, "samples", "N", "samples per model (default 8, or one for each of --classes)"},
    {OPT_BATCH, "batch", "N", "samples per forward pass (default: by the input's size)"},
    {OPT_SIZE, "size", "HxW", "picture size (default: the model's sample_size)"},
    CLI_GROUP("Videos and given pictures"),
    {OPT_FRAMES, "frames", "N", CLI_FRAMES_HELP},
    {OPT_DEFORUM, "deforum", "FILE.json",
     "videos of a model of pictures: each frame is the one before, seen by a camera that moves as "
     "the file says, and sampled on"},
    {OPT_FPS, "fps", "F", "frames a second of videos as they are shown (default 8)"},
    {OPT_EXTEND, "extend", "HOW", CLI_EXTEND_HELP},
    CLI_GROUP("Precision"),
    {OPT_PRECISION, "precision", "FMT",
     "emulate a format: bf16, fp16, tf32, fp8-e4m3 (saturates, as PyTorch's cast; fp8-e4m3-nan "
     "overflows), fp8-e5m2, eXmY; -sat after it saturates"},
    {OPT_PRECISION_MAP, "precision-map", "GLOB=FMT|@FILE",
     "another format for these modules and those below, repeatable, the last match wins; @FILE: "
     "one "
     "in each line"},
    {OPT_PRECISION_SCOPE, "precision-scope", "ops|blocks",
     "round what each operation stores, or block outputs only, which misses what overflows inside"},
    {OPT_AS, "as", CLI_AS, CLI_AS_HELP " (default half)"},
    {OPT_ATTENTION, "attention", CLI_ATTENTION, CLI_ATTENTION_HELP},
    {OPT_INTERVENE, "intervene", "SPEC",
     "change outputs, repeatable: clamp:V@GLOB, scale:K@GLOB, zero@GLOB, "
     "cosine-attention[:SCALE]@GLOB"},
    CLI_GROUP("Checkpoint"),
    {OPT_VARIANT, "variant", "NAME", CLI_VARIANT_HELP},
    {OPT_LORA, "lora", "FILE[:SCALE]", CLI_LORA_HELP},
    {OPT_ADAPTER, "adapter", "FOLDER|FILE", CLI_ADAPTER_HELP},
    {OPT_GROUPNORM, "groupnorm", CLI_CHOICES(SS_GROUPNORMS), CLI_GROUPNORM_HELP},
    {OPT_EMA, "ema", NULL, CLI_EMA_HELP},
    {OPT_KEY, "key", "KEYS", CLI_KEY_HELP},
    {OPT_IGNORE, "ignore-extra", "GLOB", CLI_IGNORE_HELP},
    {OPT_CONFIG, "config", "PATH", CLI_CONFIG_HELP},
    {OPT_SCHEDULER, "scheduler", "PATH", CLI_SCHEDULER_HELP},
    {OPT_BETA_SCHEDULE, "beta-schedule", CLI_CHOICES(SS_BETAS),
     "noise schedule; this and the three below win over the file"},
    {OPT_BETA_START, "beta-start", "B", "its first beta (Stable Diffusion: 0.00085)"},
    {OPT_BETA_END, "beta-end", "B", "its last beta (Stable Diffusion: 0.012)"},
    {OPT_PREDICTION, "prediction", CLI_CHOICES(SS_PREDICTIONS), "what the network answers"},
    {OPT_ROUND_TIMESTEP, "round-timestep", "FMT",
     "tell the network timesteps rounded to a format (bf16)"},
    CLI_GROUP("Output"),
    {OPT_PROBE, "probe", "RUN.h5",
     "watch every module along the trajectory of the one MODEL, into a run file"},
    CLI_GROUP("Sampling"),
    {OPT_CHAIN, "chain", "CHAIN.json",
     "stages of several networks, in the place of MODEL and of all options but -o and --force "
     "(docs/generate-video.md)"},
    CLI_GROUP("Output"),
    {OPT_FORCE, "force", NULL, "replace DIR if generate made it, and RUN.h5"},
    {0},
};

typedef struct {
    const char **prompts, **negative_prompts, **maps, **interventions, **ignore, **loras;
    ss_sampler_kind sampler;
    int class;
    const char *chain;
    bool others; /* options that a chain has no use for */
} storage;

static void take_option(cli_parser *p, int id, ss_generate_options *opt, storage *s)
{
    ss_trajectory_options *each = &opt->each;
    ss_condition_options *cond = &each->condition;
    ss_changes_options *changes = &each->network.changes;

    s->others |= id != OPT_OUTPUT && id != OPT_FORCE && id != OPT_CHAIN;
    switch (id) {
    case OPT_CHAIN: s->chain = p->arg; break;
    case OPT_OUTPUT: opt->output = p->arg; break;
    case OPT_SAMPLER: {
        ss_err e = {0};

        if (ss_sampler_kind_parse(p->arg, &s->sampler, &e) != SS_OK)
            cli_usage(p, "--sampler: %s", e.msg);
        each->sampler = &s->sampler;
        break;
    }
    case OPT_STEPS: cli_count(p, 1, SS_SCHEDULE_MAX_STEPS, &each->steps); break;
    case OPT_ETA:
        cli_double(p, &each->eta);
        if (!(each->eta >= 0 && each->eta <= 1))
            cli_usage(p, "--eta takes a number from 0 to 1, not '%s'", p->arg);
        break;
    case OPT_INIT: each->reel.init = p->arg; break;
    case OPT_STRENGTH:
        cli_double(p, &each->strength);
        if (!(each->strength > 0 && each->strength <= 1))
            cli_usage(p, "--strength takes a number above 0, up to 1, not '%s'", p->arg);
        break;
    case OPT_KEEP: cli_count(p, 1, SS_MAX_FRAMES, &each->reel.keep); break;
    case OPT_INTERPOLATE: cli_count(p, 1, SS_MAX_FRAMES, &each->reel.interpolate); break;
    case OPT_UPSCALE_FROM: each->reel.upscale_from = p->arg; break;
    case OPT_LENGTH: cli_count(p, 1, 1 << 16, &each->reel.length); break;
    case OPT_OVERLAP: cli_count(p, 0, SS_MAX_FRAMES, &each->reel.overlap); break;
    case OPT_JOIN: each->reel.join = p->arg; break;
    case OPT_FRAME_NOISE: each->reel.noise = p->arg; break;
    case OPT_GUIDANCE: cli_double(p, &each->guidance); break;
    case OPT_CLASS:
        cli_count(p, 0, 1 << 20, &s->class);
        cond->classes = &s->class;
        cond->n_classes = 1;
        break;
    case OPT_CLASSES: opt->classes = p->arg; break;
    case OPT_NEGATIVE_CLASS: cli_count(p, 0, 1 << 20, &cond->negative_class); break;
    case OPT_GUIDANCE_EMBED: cond->guidance_embed = p->arg; break;
    case OPT_CLASS_EMBEDS: cond->class_embeds = p->arg; break;
    case OPT_NEGATIVE_CLASS_EMBEDS: cond->negative_class_embeds = p->arg; break;
    case OPT_PROMPT: cli_append(p, &s->prompts, &cond->prompts.n_positive); break;
    case OPT_NEGATIVE_PROMPT: cli_append(p, &s->negative_prompts, &cond->prompts.n_negative); break;
    case OPT_TOKENIZER: cond->prompts.tokenizer = p->arg; break;
    case OPT_PROMPT_EMBEDS: cond->prompt_embeds = p->arg; break;
    case OPT_NEGATIVE_EMBEDS: cond->negative_embeds = p->arg; break;
    case OPT_TEXT_EMBEDS: cond->text_embeds = p->arg; break;
    case OPT_NEGATIVE_TEXT_EMBEDS: cond->negative_text = p->arg; break;
    case OPT_TIME_IDS: cond->time_ids = p->arg; break;
    case OPT_CONCAT: each->concat = p->arg; break;
    case OPT_SAMPLES: cli_count(p, 1, 1 << 16, &each->samples); break;
    case OPT_BATCH: cli_count(p, 1, MAX_BATCH, &each->batch); break;
    case OPT_SIZE: cli_size(p, &each->network.height, &each->network.width); break;
    case OPT_WINDOW:
    case OPT_FRAMES: cli_count(p, 1, SS_MAX_FRAMES, &each->network.frames); break;
    case OPT_DEFORUM: opt->deforum = p->arg; break;
    case OPT_FPS:
        cli_double(p, &opt->fps);
        if (!(opt->fps > 0 && opt->fps <= 1000))
            cli_usage(p, "--fps takes a number over 0, up to 1000, not '%s'", p->arg);
        break;
    case OPT_EXTEND: each->network.extend = p->arg; break;
    case OPT_PRECISION: changes->precision = p->arg; break;
    case OPT_PRECISION_MAP: cli_append_maps(p, &s->maps, &changes->n_precision_maps); break;
    case OPT_AS: changes->as = p->arg; break;
    case OPT_ATTENTION: changes->attention = p->arg; break;
    case OPT_PRECISION_SCOPE: changes->round_blocks = strcmp(p->arg, "blocks") == 0; break;
    case OPT_INTERVENE: cli_append(p, &s->interventions, &changes->n_interventions); break;
    case OPT_IGNORE: cli_append(p, &s->ignore, &each->network.n_ignore); break;
    case OPT_VARIANT: each->network.variant = p->arg; break;
    case OPT_LORA: cli_append(p, &s->loras, &each->network.n_loras); break;
    case OPT_ADAPTER: each->network.adapter = p->arg; break;
    case OPT_GROUPNORM: each->network.groupnorm = p->arg; break;
    case OPT_EMA: each->network.ema = true; break;
    case OPT_KEY: each->network.key = p->arg; break;
    case OPT_CONFIG: each->network.config = p->arg; break;
    case OPT_SCHEDULER: each->network.scheduler = p->arg; break;
    case OPT_BETA_SCHEDULE: each->network.beta_schedule = p->arg; break;
    case OPT_BETA_START: each->network.beta_start = p->arg; break;
    case OPT_BETA_END: each->network.beta_end = p->arg; break;
    case OPT_ROUND_TIMESTEP: each->network.round_timestep = p->arg; break;
    case OPT_PREDICTION: each->network.prediction_type = p->arg; break;
    case OPT_PROBE: each->run = p->arg; break;
    case OPT_FORCE: opt->replace = each->replace_run = true; break;
    }
}

static void check_contradictions(cli_parser *p, const ss_generate_options *opt)
{
    const ss_condition_options *cond = &opt->each.condition;

    if (!opt->output)
        cli_usage(p, "-o DIR is missing");
    if (opt->classes && cond->n_classes)
        cli_usage(p, "--class and --classes exclude each other");
    if (cond->negative_embeds && cond->negative_class >= 0)
        cli_usage(p, "--negative-embeds and --negative-class exclude each other");
    if (opt->each.guidance == 1 &&
        (cond->negative_embeds || cond->negative_text || cond->prompts.n_negative ||
         cond->negative_class_embeds || cond->negative_class >= 0))
        cli_usage(p, "a negative condition has no effect without --guidance");
    const ss_reel_options *reel = &opt->each.reel;
    ss_reel_mode mode;
    ss_err e = {0};

    if (ss_reel_mode_of(reel, &mode, &e) != SS_OK)
        cli_usage(p, "%s", e.msg);
    if (!reel->init && opt->each.strength != 1)
        cli_usage(p, "--strength needs --init FRAMES");
    if (reel->init && opt->each.strength == 1 && mode == SS_REEL_PLAIN)
        cli_usage(p, "--init needs --keep, --interpolate, or a --strength below 1");
    if (opt->deforum && (reel->init || opt->each.run || opt->each.concat))
        cli_usage(p, "--deforum goes without --init, --probe and --concat");
    if (opt->each.run && p->n_operands > 1)
        cli_usage(p, "--probe watches one MODEL, and there are %d", p->n_operands);
}

/* Samples a chain, and shows what each stage adds. */
static ss_code run_chain(const cli_parser *p, const char *file, const ss_generate_options *opt,
                         cli_tables *tables, ss_err *e)
{
    const ss_chain_options o = {.file = file,
                                .output = opt->output,
                                .replace = opt->replace,
                                .threads = p->common.threads,
                                .device = p->common.device,
                                .arithmetic = opt->each.arithmetic,
                                .command = opt->each.command};
    ss_table stages = {0}, videos = {0};
    ss_code rc = ss_chain_run(&o, &stages, e);

    if (rc == SS_OK)
        rc = cli_show(tables, &stages, e);
    if (rc == SS_OK)
        rc = cli_stage_table(opt->output, &videos, e);
    if (rc == SS_OK)
        rc = cli_show(tables, &videos, e);
    ss_table_release(&stages);
    ss_table_release(&videos);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_generate_options opt = ss_generate_defaults();
    ss_generate_summary sum = {0};
    cli_tables tables = {0};
    storage s = {0};
    cli_parser p;
    ss_err e = {0};
    int id, status = CLI_OK;
    char *command = cli_command_line(argc, argv);

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END)
        take_option(&p, id, &opt, &s);
    if (!p.stop)
        check_contradictions(&p, &opt);
    if (!p.stop && s.chain && (s.others || p.common.seed))
        cli_usage(&p, "--chain: the file says models and options; -o and --force stay");
    if (cli_stop(&p, s.chain ? 0 : 1, s.chain ? 0 : -1)) {
        status = p.status;
        goto out;
    }
    tables = cli_tables_begin(&p);
    opt.models = (const char *const *)p.operands;
    opt.n_models = p.n_operands;
    opt.each.threads = p.common.threads;
    opt.each.device = p.common.device;
    if (p.common.arithmetic)
        opt.each.arithmetic = p.common.arithmetic;
    opt.each.seed = p.common.seed;
    opt.each.command = command;
    opt.each.network.changes.precision_maps = s.maps;
    opt.each.network.changes.interventions = s.interventions;
    opt.each.network.ignore = s.ignore;
    opt.each.network.loras = s.loras;
    opt.each.condition.prompts.positive = s.prompts;
    opt.each.condition.prompts.negative = s.negative_prompts;

    cli_stop_on_signals();
    if (s.chain) {
        if (run_chain(&p, s.chain, &opt, &tables, &e) != SS_OK ||
            cli_show_end(&tables, SS_OK, &e) != SS_OK)
            status = cli_fail(&p, &e);
        else if (!tables.data)
            printf("\n%s/sheet.png\n", opt.output);
        status = status == CLI_OK ? cli_flush(&p, status) : status;
        goto out;
    }
    if (ss_generate_run(&opt, &sum, &e) != SS_OK || cli_show(&tables, &sum.table, &e) != SS_OK ||
        cli_show_end(&tables, SS_OK, &e) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    if (!cli_tables_begin(&p).data)
        printf("\n%s/sheet.png\n", opt.output);
    if (sum.n_broken == sum.n_samples) {
        ss_fail(&e, SS_DEVICE, "all %d samples have values that are inf or NaN; %s shows them",
                sum.n_samples, opt.output);
        status = cli_fail(&p, &e);
    }
    status = cli_flush(&p, status);
out:
    ss_table_release(&sum.table);
    ss_free(s.prompts);
    ss_free(s.negative_prompts);
    cli_free_maps(s.maps, opt.each.network.changes.n_precision_maps);
    ss_free(s.interventions);
    ss_free(s.ignore);
    ss_free(s.loras);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope generate checkpoint-250 checkpoint-6000 -o samples --samples 8",
     "eight pictures of each checkpoint, from the same noise."},
    {"sigmascope generate sd15 -o cats --prompt 'a photo of a cat' --guidance 7.5 --steps 30",
     "a pipeline folder, with its text encoder."},
    {"sigmascope generate unet -o samples --probe trajectory.h5",
     "with every module watched along the way."},
    {0},
};

const cli_command cmd_generate = {
    "generate",
    "MODEL... -o DIR | --chain CHAIN.json -o DIR",
    "full sampling, the same seeds for each model",
    "Samples pictures from each model, all from the same noise, and writes them to DIR with a\n"
    "contact sheet, a row a model and a column a sample, and generate.json. DIR appears whole or\n"
    "not at all. With --probe, every module is watched along the way.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_TABLES | CLI_TAKES_CHECKPOINT,
    run,
    examples,
};
