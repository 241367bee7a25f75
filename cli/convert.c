/* convert.c - `sigmascope convert`: weights of any kind that opens, as diffusers has them */
#include "models/convert.h"

#include "base/mem.h"
#include "cli/tables.h"
#include "models/net/motion.h"
#include "models/sampling/schedule.h"

enum {
    OPT_COMPONENT = 1,
    OPT_PREDICTION,
    OPT_TOKENIZER,
    OPT_VARIANT,
    OPT_KEY,
    OPT_LORA,
    OPT_ADAPTER,
    OPT_GROUPNORM,
    OPT_EMA,
    OPT_IGNORE,
    OPT_CONFIG,
    OPT_SCHEDULER,
    OPT_HALF,
    OPT_FORCE
};

static const cli_option options[] = {
    CLI_GROUP("Checkpoint"),
    {OPT_COMPONENT, "components", "NAME",
     "that network alone: unet, vae, text_encoder, text_encoder_2 (default: the whole pipeline; "
     "the denoiser where DST is a file)"},
    {OPT_PREDICTION, "prediction", CLI_CHOICES(SS_PREDICTIONS),
     "what the network predicts, where its file does not say it"},
    {OPT_TOKENIZER, "tokenizer", "DIR",
     "tokenizer of a single file, which has none: its files, or a pipeline with tokenizer/"},
    {OPT_VARIANT, "variant", "NAME", CLI_VARIANT_HELP},
    {OPT_KEY, "key", "KEYS", CLI_KEY_HELP},
    {OPT_LORA, "lora", "FILE[:SCALE]", CLI_LORA_HELP},
    {OPT_ADAPTER, "adapter", "FOLDER|FILE", CLI_ADAPTER_HELP},
    {OPT_GROUPNORM, "groupnorm", CLI_CHOICES(SS_GROUPNORMS), CLI_GROUPNORM_HELP},
    {OPT_EMA, "ema", NULL, CLI_EMA_HELP},
    {OPT_IGNORE, "ignore-extra", "GLOB", CLI_IGNORE_HELP},
    {OPT_CONFIG, "config", "PATH", CLI_CONFIG_HELP},
    {OPT_SCHEDULER, "scheduler", "PATH", CLI_SCHEDULER_HELP},
    CLI_GROUP("Output"),
    {OPT_HALF, "half", NULL, "weights of fp32 become fp16, rounded to nearest"},
    {OPT_FORCE, "force", NULL, "replace DST if it is a model or a pipeline, or that file"},
    {0},
};

/* Shows the table; as JSON its keys are those of the object itself, too, as they always were. */
static ss_code show(const cli_parser *p, ss_table *t, ss_err *e)
{
    cli_tables out = cli_tables_begin(p);
    json_t *own = out.json && !out.only ? ss_table_json(t) : NULL;
    ss_code rc = cli_show(&out, t, e);

    if (rc == SS_OK && own && json_object_update(out.tables, own) != 0)
        rc = ss_no_memory(e, "a table");
    json_decref(own);
    return cli_show_end(&out, rc, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_convert_options o = {0};
    const char **ignore = NULL, **loras = NULL;
    cli_parser p;
    ss_table t = {0};
    ss_err e = {0};
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_COMPONENT: o.model.places.component = p.arg; break;
        case OPT_PREDICTION: o.prediction = p.arg; break;
        case OPT_TOKENIZER: o.tokenizer = p.arg; break;
        case OPT_VARIANT: o.model.weights.variant = p.arg; break;
        case OPT_KEY: o.model.weights.key = p.arg; break;
        case OPT_LORA: cli_append(&p, &loras, &o.model.n_loras); break;
        case OPT_ADAPTER: o.model.adapter = p.arg; break;
        case OPT_GROUPNORM: o.model.groupnorm = p.arg; break;
        case OPT_EMA: o.model.places.ema = true; break;
        case OPT_IGNORE: cli_append(&p, &ignore, &o.model.n_ignore); break;
        case OPT_CONFIG: o.model.places.config = p.arg; break;
        case OPT_SCHEDULER: o.model.places.scheduler = p.arg; break;
        case OPT_HALF: o.half = true; break;
        case OPT_FORCE: o.replace = true; break;
        }
    }
    o.model.ignore = ignore;
    o.model.loras = loras;
    if (cli_stop(&p, 2, 2)) {
        ss_free(ignore);
        ss_free(loras);
        return p.status;
    }
    ss_code rc = ss_convert(p.operands[0], p.operands[1], &o, &t, &e);
    if (rc == SS_OK)
        rc = show(&p, &t, &e);
    ss_table_release(&t);
    ss_free(ignore);
    ss_free(loras);
    return rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
}

static const cli_example examples[] = {
    {"sigmascope convert model.safetensors pipeline",
     "a single file as a folder that diffusers opens."},
    {"sigmascope convert training.ckpt unet.safetensors --ema",
     "one network as a file: the averaged weights."},
    {"sigmascope convert sd15 sd15-fp16 --half", "a pipeline in half precision."},
    {0},
};

const cli_command cmd_convert = {
    "convert",
    "SRC DST",
    "weights of any kind as diffusers has them",
    "Writes a model, a pipeline or a single file of weights (safetensors, pickle, training\n"
    "checkpoint) as a folder that diffusers opens, or, where DST ends in .safetensors, one "
    "network\n"
    "as that file. Tensors keep their bytes; those that are computed from others are written as\n"
    "computed. What a single file does not say is inferred (inspect shows from what).",
    options,
    CLI_TABLES | CLI_TAKES_CHECKPOINT,
    run,
    examples,
};
