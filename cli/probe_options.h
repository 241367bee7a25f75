/* probe_options.h - the options that describe a probe, for every command that makes some
 *
 * A command puts CLI_PROBE_OPTIONS into its table, passes ids that it does not know to
 * cli_probe_take, and gets the options from cli_probe_set.
 */
#ifndef SS_CLI_PROBE_OPTIONS_H
#define SS_CLI_PROBE_OPTIONS_H

#include "cli/cli.h"
#include "cli/code.h"
#include "models/net/motion.h"
#include "probe/probe.h"

enum {
    OPT_PROBE_SIGMAS = 500, /* above the commands' own, below the common ones */
    OPT_PROBE_TIMESTEPS,
    OPT_PROBE_CONDITION_SIGMA,
    OPT_PROBE_INPUTS,
    OPT_PROBE_SAMPLES,
    OPT_PROBE_BATCH,
    OPT_PROBE_SIZE,
    OPT_PROBE_FRAMES,
    OPT_PROBE_EXTEND,
    OPT_PROBE_COMPONENTS,
    OPT_PROBE_PROMPT,
    OPT_PROBE_NEGATIVE_PROMPT,
    OPT_PROBE_TOKENIZER,
    OPT_PROBE_CLASS,
    OPT_PROBE_CLASS_EMBEDS,
    OPT_PROBE_GUIDANCE_EMBED,
    OPT_PROBE_PROMPT_EMBEDS,
    OPT_PROBE_TEXT_EMBEDS,
    OPT_PROBE_TIME_IDS,
    OPT_PROBE_CONCAT,
    OPT_PROBE_MODULES,
    OPT_PROBE_PRECISION,
    OPT_PROBE_PRECISION_MAP,
    OPT_PROBE_PRECISION_SCOPE,
    OPT_PROBE_AS,
    OPT_PROBE_ATTENTION,
    OPT_PROBE_INTERVENE,
    OPT_PROBE_VARIANT,
    OPT_PROBE_LORA,
    OPT_PROBE_ADAPTER,
    OPT_PROBE_GROUPNORM,
    OPT_PROBE_EMA,
    OPT_PROBE_KEY,
    OPT_PROBE_IGNORE,
    OPT_PROBE_CONFIG,
    OPT_PROBE_SCHEDULER,
    OPT_PROBE_BETA_SCHEDULE,
    OPT_PROBE_BETA_START,
    OPT_PROBE_BETA_END,
    OPT_PROBE_PREDICTION,
    OPT_PROBE_ROUND_TIMESTEP,
};

/* clang-format off */
#define CLI_PROBE_OPTIONS \
    CLI_GROUP("What to run"), \
    {OPT_PROBE_SIGMAS, "sigmas", "LIST", \
     "noise levels: 0.02,0.5,80 or 0.002:80:16 (log spaced); " \
     "default 0.02:80:8"}, \
    {OPT_PROBE_TIMESTEPS, "timesteps", "LIST", \
     "noise levels by the model's own timesteps, which may have a fraction: 1,500.5,999"}, \
    CLI_GROUP("Conditions"), \
    {OPT_PROBE_CONDITION_SIGMA, "condition-sigma", "S", \
     "tell the network noise level S whatever the input's is ('none': the lowest)"}, \
    CLI_GROUP("Inputs"), \
    {OPT_PROBE_INPUTS, "inputs", "SPEC", \
     "what to feed, repeatable: images:PATH, idx:FILE[.gz], tensor:FILE#NAME, raw:FILE#NAME, " \
     "noise:white|pink|blue, constant:V, grating:CYCLES,ANGLE, checker:PX, and filters on any: " \
     "lowpass:CUTOFF:SPEC, highpass:CUTOFF:SPEC; default noise:white"}, \
    {OPT_PROBE_SAMPLES, "samples", "N", "samples per input (default 4; of a VAE 1)"}, \
    {OPT_PROBE_BATCH, "batch", "N", "samples per forward pass (default: by the input's size)"}, \
    {OPT_PROBE_SIZE, "size", "HxW", "input size (default: the model's sample_size)"}, \
    {OPT_PROBE_FRAMES, "frames", "N", CLI_FRAMES_HELP}, \
    {OPT_PROBE_EXTEND, "extend", "HOW", CLI_EXTEND_HELP}, \
    CLI_GROUP("What to run"), \
    {OPT_PROBE_COMPONENTS, "components", "LIST", CLI_COMPONENTS_HELP}, \
    CLI_GROUP("Conditions"), \
    {OPT_PROBE_PROMPT, "prompt", "TEXT", CLI_PROMPT_HELP}, \
    {OPT_PROBE_NEGATIVE_PROMPT, "negative-prompt", "TEXT", \
     "a text that guidance leads away from, repeatable: samples take turns with --prompt's"}, \
    {OPT_PROBE_TOKENIZER, "tokenizer", "FOLDER", CLI_TOKENIZER_HELP}, \
    {OPT_PROBE_CLASS, "class", "K", "class label"}, \
    {OPT_PROBE_CLASS_EMBEDS, "class-embeds", CLI_OR_STAND_IN, CLI_CLASS_EMBEDS_HELP}, \
    {OPT_PROBE_GUIDANCE_EMBED, "guidance-embed", "W", CLI_GUIDANCE_HELP}, \
    {OPT_PROBE_PROMPT_EMBEDS, "prompt-embeds", CLI_OR_STAND_IN, CLI_PROMPT_EMBEDS_HELP}, \
    {OPT_PROBE_TEXT_EMBEDS, "text-embeds", CLI_OR_STAND_IN, CLI_TEXT_EMBEDS_HELP}, \
    {OPT_PROBE_TIME_IDS, "time-ids", "FILE#NAME", "size and crop conditions [N,6] (SDXL)"}, \
    {OPT_PROBE_CONCAT, "concat", "FILE#NAME|noise|zeros", CLI_CONCAT_HELP}, \
    CLI_GROUP("What to run"), \
    {OPT_PROBE_MODULES, "modules", "GLOB", "modules to watch, repeatable (default: all); the whole model is (model)"}, \
    CLI_GROUP("Precision"), \
    {OPT_PROBE_PRECISION, "precision", "FMT", \
     "emulate a format: bf16, fp16, tf32, fp8-e4m3 (saturates, as PyTorch's cast; fp8-e4m3-nan overflows), fp8-e5m2, eXmY; -sat after it saturates"}, \
    {OPT_PROBE_PRECISION_MAP, "precision-map", "GLOB=FMT|@FILE", \
     "another format for these modules and those below, repeatable, the last match wins; @FILE: one in each line"}, \
    {OPT_PROBE_PRECISION_SCOPE, "precision-scope", "ops|blocks", \
     "round what each operation stores, or block outputs only, which misses what overflows inside"}, \
    {OPT_PROBE_AS, "as", CLI_AS, CLI_AS_HELP " (default half)"}, \
    {OPT_PROBE_ATTENTION, "attention", CLI_ATTENTION, CLI_ATTENTION_HELP}, \
    {OPT_PROBE_INTERVENE, "intervene", "SPEC", \
     "change outputs, repeatable: clamp:V@GLOB, scale:K@GLOB, zero@GLOB, " \
     "cosine-attention[:SCALE]@GLOB"}, \
    CLI_GROUP("Checkpoint"), \
    {OPT_PROBE_VARIANT, "variant", "NAME", CLI_VARIANT_HELP}, \
    {OPT_PROBE_LORA, "lora", "FILE[:SCALE]", CLI_LORA_HELP}, \
    {OPT_PROBE_ADAPTER, "adapter", "FOLDER|FILE", CLI_ADAPTER_HELP}, \
    {OPT_PROBE_GROUPNORM, "groupnorm", CLI_CHOICES(SS_GROUPNORMS), CLI_GROUPNORM_HELP}, \
    {OPT_PROBE_EMA, "ema", NULL, CLI_EMA_HELP}, \
    {OPT_PROBE_KEY, "key", "KEYS", CLI_KEY_HELP}, \
    {OPT_PROBE_IGNORE, "ignore-extra", "GLOB", CLI_IGNORE_HELP}, \
    {OPT_PROBE_CONFIG, "config", "PATH", CLI_CONFIG_HELP}, \
    {OPT_PROBE_SCHEDULER, "scheduler", "PATH", CLI_SCHEDULER_HELP}, \
    {OPT_PROBE_BETA_SCHEDULE, "beta-schedule", CLI_CHOICES(SS_BETAS), \
     "noise schedule; this and the three below win over the file"}, \
    {OPT_PROBE_BETA_START, "beta-start", "B", "its first beta (Stable Diffusion: 0.00085)"}, \
    {OPT_PROBE_BETA_END, "beta-end", "B", "its last beta (Stable Diffusion: 0.012)"}, \
    {OPT_PROBE_PREDICTION, "prediction", CLI_CHOICES(SS_PREDICTIONS), \
     "what the network answers"}, \
    {OPT_PROBE_ROUND_TIMESTEP, "round-timestep", "FMT|none", \
     "tell the network timesteps rounded to a format (bf16), or not rounded to whole steps (none)"}
/* clang-format on */

/* Lists that the options fill; owned. */
typedef struct {
    const char **inputs, **prompts, **negative_prompts, **modules, **maps, **interventions,
        **ignore, **loras;
    int n_maps;
} cli_probe_lists;

/* Takes the option that cli_next returned, if it is one of these. */
void cli_probe_take(cli_parser *p, int id, ss_probe_options *opt, cli_probe_lists *l);

/* Finishes after the last option: refuses options that exclude each other and takes the common
 * ones. opt borrows from l. */
void cli_probe_set(cli_parser *p, ss_probe_options *opt, const cli_probe_lists *l);

void cli_probe_release(cli_probe_lists *l); /* {0} is fine */

#endif
