/* plan_list.h - the one list of all options of a probe and of a sampled trajectory
 *
 * A plan is what determines the numbers of a run. A run file has it as one JSON object:
 *
 *   {"kind": "probe", "version": "0.1.0", "model_sha256": "...",
 *    "samples": 4, "precision": "fp16", "precision_map": ["mid_block=bf16"], ...   the options
 *    "levels": [...], "scheduler_file": {...}, ...}          what follows from them
 *
 * Every field of ss_probe_options and ss_trajectory_options is one row here, with its key in the
 * plan and its default, and both stand nowhere else. Whoever needs the list expands it:
 *
 *   runfile/settings.c    the table by which plans are read, shown and compared
 *   probe/options.c       the defaults of the options, how they are written into a plan and read
 *                         back from one
 *
 * so a new option is one row. tests/test_plan.c fails if a field has none.
 *
 * OPTION(kind, role, key, option, default, field...)
 *     kind      of settings.h, without its prefix; it says which fields follow:
 *                 one field                TEXT, TENSOR, COUNT, NUMBER, SEED, FLAG, SAMPLER
 *                 NOT_FLAG                 a FLAG; the field is true if the option is not given
 *                 the list, its length     TEXTS, INPUTS, COUNTS
 *                 height, width            SIZE
 *                 field, off, on           EITHER: a flag whose two values have names
 *     role      of settings.h, without its prefix
 *     key       in the plan
 *     option    as the user gives it
 *     default   of the field
 * FOLLOWS(key, words)
 *     no option, but what follows from the options and from the files that they name;
 *     probe/plan.c writes it
 *
 * Two plans are compared in this order, and the first difference is named. A row that decides
 * others stands before them.
 */
#ifndef SS_RUNFILE_PLAN_LIST_H
#define SS_RUNFILE_PLAN_LIST_H

/* clang-format off */

#define SS_PLAN_BEGIN(OPTION, FOLLOWS) \
    FOLLOWS("version", "the version of sigmascope") \
    FOLLOWS("model_sha256", "the model's SHA-256")

/* ss_network_options; the contents of the files of `config` and `adapter` are part of the
 * model's SHA-256. */
#define SS_PLAN_NETWORK(OPTION, FOLLOWS) \
    OPTION(TEXT, NONE, "model", "MODEL", NULL, network.model) \
    OPTION(TEXT, DATA, "component", "--components", NULL, network.component) \
    OPTION(TEXT, DATA, "variant", "--variant", NULL, network.variant) \
    OPTION(TEXTS, FORM, "lora", "--lora", NULL, network.loras, network.n_loras) \
    OPTION(TEXT, FORM, "adapter", "--adapter", NULL, network.adapter) \
    OPTION(TEXT, DATA, "groupnorm", "--groupnorm", NULL, network.groupnorm) \
    OPTION(FLAG, DATA, "ema", "--ema", false, network.ema) \
    OPTION(TEXT, DATA, "key", "--key", NULL, network.key) \
    OPTION(TEXTS, DATA, "ignore_extra", "--ignore-extra", NULL, network.ignore, network.n_ignore) \
    OPTION(TEXT, FORM, "config", "--config", NULL, network.config) \
    OPTION(TEXT, FORM, "scheduler", "--scheduler", NULL, network.scheduler) \
    OPTION(TEXT, DATA, "beta_schedule", "--beta-schedule", NULL, network.beta_schedule) \
    OPTION(TEXT, DATA, "beta_start", "--beta-start", NULL, network.beta_start) \
    OPTION(TEXT, DATA, "beta_end", "--beta-end", NULL, network.beta_end) \
    OPTION(TEXT, DATA, "prediction_type", "--prediction", NULL, network.prediction_type) \
    OPTION(TEXT, DATA, "round_timestep", "--round-timestep", NULL, network.round_timestep) \
    OPTION(SIZE, DATA, "size", "--size", 0, network.height, network.width) \
    OPTION(COUNT, DATA, "frames", "--frames", 0, network.frames) \
    OPTION(TEXT, DATA, "extend", "--extend", NULL, network.extend) \
    OPTION(TEXT, DATA, "precision", "--precision", NULL, network.changes.precision) \
    OPTION(TEXTS, DATA, "precision_map", "--precision-map", NULL, \
           network.changes.precision_maps, network.changes.n_precision_maps) \
    OPTION(EITHER, DATA, "precision_scope", "--precision-scope", false, \
           network.changes.round_blocks, "ops", "blocks") \
    OPTION(TEXT, DATA, "as", "--as", NULL, network.changes.as) \
    OPTION(TEXT, DATA, "attention", "--attention", NULL, network.changes.attention) \
    OPTION(TEXTS, DATA, "interventions", "--intervene", NULL, \
           network.changes.interventions, network.changes.n_interventions)

/* Where and how it is computed. A number of a device is not in the plan: another card of the same
 * machine, or of another machine, is as good. */
#define SS_PLAN_COMPUTE(OPTION, FOLLOWS) \
    OPTION(TEXT, DATA, "device", "--device", "cpu", device) \
    OPTION(TEXT, DATA, "arithmetic", "--arithmetic", "auto", arithmetic) \
    OPTION(COUNT, NONE, "threads", "--threads", 0, threads)

#define SS_PLAN_END(OPTION, FOLLOWS) \
    FOLLOWS("lora_files", "the LoRA files and their scales") \
    FOLLOWS("scheduler_file", "the scheduler file") \
    FOLLOWS("schedule", "the noise schedule") \
    FOLLOWS("prediction", "the prediction type") \
    FOLLOWS("conditions", "the SHA-256 of what conditions the network")

/* ss_probe_options; `batch` is last: inputs, samples and size decide its default. */
#define SS_PLAN_PROBE(OPTION, FOLLOWS) \
    SS_PLAN_BEGIN(OPTION, FOLLOWS) \
    SS_PLAN_NETWORK(OPTION, FOLLOWS) \
    SS_PLAN_COMPUTE(OPTION, FOLLOWS) \
    OPTION(SEED, DATA, "seed", "--seed", 0, seed) \
    OPTION(COUNT, DATA, "samples", "--samples", 0, samples) \
    OPTION(COUNT, DATA, "class", "--class", -1, class_label) \
    OPTION(TEXTS, FORM, "prompts", "--prompt", NULL, prompts.positive, prompts.n_positive) \
    OPTION(TEXTS, FORM, "negative_prompts", "--negative-prompt", NULL, \
           prompts.negative, prompts.n_negative) \
    OPTION(TEXT, FORM, "tokenizer", "--tokenizer", NULL, prompts.tokenizer) \
    OPTION(TENSOR, DATA, "prompt_embeds", "--prompt-embeds", NULL, prompt_embeds) \
    OPTION(TENSOR, DATA, "text_embeds", "--text-embeds", NULL, text_embeds) \
    OPTION(TENSOR, DATA, "time_ids", "--time-ids", NULL, time_ids) \
    OPTION(TENSOR, DATA, "class_embeds", "--class-embeds", NULL, class_embeds) \
    OPTION(TEXT, DATA, "guidance_embed", "--guidance-embed", NULL, guidance_embed) \
    OPTION(TENSOR, DATA, "concat", "--concat", NULL, concat) \
    OPTION(INPUTS, DATA, "inputs", "--inputs", NULL, inputs, n_inputs) \
    OPTION(TEXTS, DATA, "modules", "--modules", NULL, modules, n_modules) \
    OPTION(TEXTS, DATA, "dump", "--dump", NULL, dumps, n_dumps) \
    OPTION(EITHER, DATA, "dump_dtype", "--dump-dtype", false, dump_f16, "f32", "f16") \
    OPTION(FLAG, DATA, "channels", "--channels", false, channels) \
    OPTION(NOT_FLAG, DATA, "no_histogram", "--no-histogram", true, histogram) \
    OPTION(TEXT, FORM, "sigmas", "--sigmas", NULL, sigmas) \
    OPTION(TEXT, FORM, "timesteps", "--timesteps", NULL, timesteps) \
    OPTION(TEXT, FORM, "condition_sigma", "--condition-sigma", NULL, condition_sigma) \
    OPTION(TEXT, NONE, "output", "--output", NULL, output) \
    OPTION(TEXT, NONE, "command", "the command", NULL, command) \
    OPTION(COUNT, NONE, "shard", "--shard", 0, shard.index) \
    OPTION(COUNT, NONE, "shards", "--shard", 0, shard.count) \
    OPTION(FLAG, NONE, "resume", "--resume", false, resume) \
    OPTION(FLAG, NONE, "replace", "--force", false, replace) \
    SS_PLAN_END(OPTION, FOLLOWS) \
    FOLLOWS("levels", "the noise levels") \
    OPTION(COUNT, DATA, "batch", "--batch", 0, batch)

/* ss_trajectory_options; `guided` follows from --guidance. */
#define SS_PLAN_TRAJECTORY(OPTION, FOLLOWS) \
    SS_PLAN_BEGIN(OPTION, FOLLOWS) \
    SS_PLAN_NETWORK(OPTION, FOLLOWS) \
    SS_PLAN_COMPUTE(OPTION, FOLLOWS) \
    OPTION(SEED, DATA, "seed", "--seed", 0, seed) \
    OPTION(COUNT, DATA, "samples", "--samples", 0, samples) \
    OPTION(COUNT, DATA, "steps", "--steps", 50, steps) \
    OPTION(NUMBER, DATA, "guidance", "--guidance", 1, guidance) \
    OPTION(NUMBER, DATA, "eta", "--eta", -1, eta) \
    OPTION(TEXT, DATA, "init", "--init", NULL, reel.init) \
    OPTION(NUMBER, DATA, "strength", "--strength", 1, strength) \
    OPTION(TEXT, DATA, "upscale_from", "--upscale-from", NULL, reel.upscale_from) \
    OPTION(COUNT, DATA, "keep", "--keep", 0, reel.keep) \
    OPTION(COUNT, DATA, "interpolate", "--interpolate", 0, reel.interpolate) \
    OPTION(COUNT, DATA, "length", "--length", 0, reel.length) \
    OPTION(COUNT, DATA, "overlap", "--overlap", -1, reel.overlap) \
    OPTION(TEXT, DATA, "join", "--join", NULL, reel.join) \
    OPTION(TEXT, DATA, "frame_noise", "--frame-noise", NULL, reel.noise) \
    OPTION(COUNTS, DATA, "classes", "--classes", NULL, condition.classes, condition.n_classes) \
    OPTION(TEXTS, FORM, "prompts", "--prompt", NULL, \
           condition.prompts.positive, condition.prompts.n_positive) \
    OPTION(TEXTS, FORM, "negative_prompts", "--negative-prompt", NULL, \
           condition.prompts.negative, condition.prompts.n_negative) \
    OPTION(TEXT, FORM, "tokenizer", "--tokenizer", NULL, condition.prompts.tokenizer) \
    OPTION(TENSOR, DATA, "prompt_embeds", "--prompt-embeds", NULL, condition.prompt_embeds) \
    OPTION(TENSOR, DATA, "text_embeds", "--text-embeds", NULL, condition.text_embeds) \
    OPTION(TENSOR, DATA, "time_ids", "--time-ids", NULL, condition.time_ids) \
    OPTION(TENSOR, DATA, "concat", "--concat", NULL, concat) \
    OPTION(TENSOR, DATA, "class_embeds", "--class-embeds", NULL, condition.class_embeds) \
    OPTION(TEXT, DATA, "guidance_embed", "--guidance-embed", NULL, condition.guidance_embed) \
    OPTION(TENSOR, DATA, "negative_class_embeds", "--negative-class-embeds", NULL, \
           condition.negative_class_embeds) \
    OPTION(COUNT, DATA, "negative_class", "--negative-class", -1, condition.negative_class) \
    OPTION(TENSOR, DATA, "negative_embeds", "--negative-embeds", NULL, condition.negative_embeds) \
    OPTION(TENSOR, DATA, "negative_text_embeds", "--negative-text-embeds", NULL, \
           condition.negative_text) \
    OPTION(FLAG, NONE, "guided", "--guidance", false, condition.guided) \
    OPTION(TEXT, NONE, "run", "--probe", NULL, run) \
    OPTION(FLAG, NONE, "replace_run", "--force", false, replace_run) \
    OPTION(TEXT, NONE, "command", "the command", NULL, command) \
    SS_PLAN_END(OPTION, FOLLOWS) \
    OPTION(SAMPLER, DATA, "sampler", "--sampler", NULL, sampler) \
    OPTION(COUNT, DATA, "batch", "--batch", 0, batch)

/* clang-format on */

#endif
