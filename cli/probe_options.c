/* probe_options.c - see probe_options.h */
#include "cli/probe_options.h"

#include "base/mem.h"

#include <string.h>

void cli_probe_take(cli_parser *p, int id, ss_probe_options *opt, cli_probe_lists *l)
{
    switch (id) {
    case OPT_PROBE_SIGMAS: opt->sigmas = p->arg; break;
    case OPT_PROBE_TIMESTEPS: opt->timesteps = p->arg; break;
    case OPT_PROBE_CONDITION_SIGMA: opt->condition_sigma = p->arg; break;
    case OPT_PROBE_INPUTS: cli_append(p, &l->inputs, &opt->n_inputs); break;
    case OPT_PROBE_SAMPLES: cli_count(p, 1, 1 << 20, &opt->samples); break;
    case OPT_PROBE_BATCH: cli_count(p, 1, SS_MAX_BATCH, &opt->batch); break;
    case OPT_PROBE_SIZE: cli_size(p, &opt->network.height, &opt->network.width); break;
    case OPT_PROBE_FRAMES: cli_count(p, 1, SS_MAX_FRAMES, &opt->network.frames); break;
    case OPT_PROBE_EXTEND: opt->network.extend = p->arg; break;
    case OPT_PROBE_COMPONENTS: opt->network.component = p->arg; break;
    case OPT_PROBE_PROMPT: cli_append(p, &l->prompts, &opt->prompts.n_positive); break;
    case OPT_PROBE_NEGATIVE_PROMPT:
        cli_append(p, &l->negative_prompts, &opt->prompts.n_negative);
        break;
    case OPT_PROBE_TOKENIZER: opt->prompts.tokenizer = p->arg; break;
    case OPT_PROBE_CLASS: cli_count(p, 0, 1 << 20, &opt->class_label); break;
    case OPT_PROBE_GUIDANCE_EMBED: opt->guidance_embed = p->arg; break;
    case OPT_PROBE_CLASS_EMBEDS: opt->class_embeds = p->arg; break;
    case OPT_PROBE_PROMPT_EMBEDS: opt->prompt_embeds = p->arg; break;
    case OPT_PROBE_TEXT_EMBEDS: opt->text_embeds = p->arg; break;
    case OPT_PROBE_TIME_IDS: opt->time_ids = p->arg; break;
    case OPT_PROBE_CONCAT: opt->concat = p->arg; break;
    case OPT_PROBE_MODULES: cli_append(p, &l->modules, &opt->n_modules); break;
    case OPT_PROBE_PRECISION: opt->network.changes.precision = p->arg; break;
    case OPT_PROBE_PRECISION_MAP:
        cli_append_maps(p, &l->maps, &l->n_maps);
        opt->network.changes.n_precision_maps = l->n_maps;
        break;
    case OPT_PROBE_PRECISION_SCOPE:
        opt->network.changes.round_blocks = strcmp(p->arg, "blocks") == 0;
        break;
    case OPT_PROBE_AS: opt->network.changes.as = p->arg; break;
    case OPT_PROBE_ATTENTION: opt->network.changes.attention = p->arg; break;
    case OPT_PROBE_INTERVENE:
        cli_append(p, &l->interventions, &opt->network.changes.n_interventions);
        break;
    case OPT_PROBE_IGNORE: cli_append(p, &l->ignore, &opt->network.n_ignore); break;
    case OPT_PROBE_VARIANT: opt->network.variant = p->arg; break;
    case OPT_PROBE_LORA: cli_append(p, &l->loras, &opt->network.n_loras); break;
    case OPT_PROBE_ADAPTER: opt->network.adapter = p->arg; break;
    case OPT_PROBE_GROUPNORM: opt->network.groupnorm = p->arg; break;
    case OPT_PROBE_EMA: opt->network.ema = true; break;
    case OPT_PROBE_KEY: opt->network.key = p->arg; break;
    case OPT_PROBE_CONFIG: opt->network.config = p->arg; break;
    case OPT_PROBE_SCHEDULER: opt->network.scheduler = p->arg; break;
    case OPT_PROBE_BETA_START: opt->network.beta_start = p->arg; break;
    case OPT_PROBE_BETA_END: opt->network.beta_end = p->arg; break;
    case OPT_PROBE_ROUND_TIMESTEP: opt->network.round_timestep = p->arg; break;
    case OPT_PROBE_BETA_SCHEDULE: opt->network.beta_schedule = p->arg; break;
    case OPT_PROBE_PREDICTION: opt->network.prediction_type = p->arg; break;
    }
}

void cli_probe_set(cli_parser *p, ss_probe_options *opt, const cli_probe_lists *l)
{
    if (opt->sigmas && opt->timesteps && !p->stop)
        cli_usage(p, "--sigmas and --timesteps exclude each other");
    opt->inputs = l->inputs;
    opt->prompts.positive = l->prompts;
    opt->prompts.negative = l->negative_prompts;
    opt->network.ignore = l->ignore;
    opt->network.loras = l->loras;
    opt->modules = l->modules;
    opt->network.changes.precision_maps = l->maps;
    opt->network.changes.interventions = l->interventions;
    opt->seed = p->common.seed;
    opt->threads = p->common.threads;
    opt->device = p->common.device;
    if (p->common.arithmetic)
        opt->arithmetic = p->common.arithmetic;
}

void cli_probe_release(cli_probe_lists *l)
{
    ss_free(l->inputs);
    ss_free(l->prompts);
    ss_free(l->negative_prompts);
    ss_free(l->ignore);
    ss_free(l->loras);
    ss_free(l->modules);
    cli_free_maps(l->maps, l->n_maps);
    ss_free(l->interventions);
    *l = (cli_probe_lists){0};
}
