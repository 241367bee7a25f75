/* inspect.c - `sigmascope inspect`: what is in a checkpoint, or what differs between two */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/tables.h"
#include "models/difference.h"
#include "models/file/cast_weights.h"
#include "models/inventory.h"
#include "models/lora_table.h"
#include "models/net/motion.h"
#include "models/optimizer_table.h"
#include "models/training_folder.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    OPT_DEPTH = 1,
    OPT_DETAILS,
    OPT_TOP,
    OPT_VARIANT,
    OPT_KEY,
    OPT_EMA,
    OPT_LORA,
    OPT_ADAPTER,
    OPT_GROUPNORM,
    OPT_OPTIMIZER,
    OPT_IGNORE,
    OPT_CONFIG,
    OPT_SCHEDULER,
    OPT_COMPONENT
};

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_DEPTH, "depth", "N", "how deep the tree of modules is shown (default 2, 0: all)"},
    {OPT_DETAILS, "details", NULL,
     "also where, why and how each part of the structure lets activations grow (--depth 0: with "
     "every module), and the options of config.json"},
    {OPT_TOP, "top", "N", "how many weights, or differences, are listed (default 12, 0: all)"},
    CLI_GROUP("Checkpoint"),
    {OPT_VARIANT, "variant", "NAME", CLI_VARIANT_HELP},
    {OPT_LORA, "lora", "FILE[:SCALE]", CLI_LORA_HELP},
    {OPT_ADAPTER, "adapter", "FOLDER|FILE", CLI_ADAPTER_HELP},
    {OPT_GROUPNORM, "groupnorm", CLI_CHOICES(SS_GROUPNORMS), CLI_GROUPNORM_HELP},
    {OPT_EMA, "ema", NULL, CLI_EMA_HELP},
    {OPT_KEY, "key", "KEYS", CLI_KEY_HELP},
    {OPT_OPTIMIZER, "optimizer", "PATH",
     "Adam's state of the training (default: optimizer.bin or .pt beside the weights, or in their "
     "folder of torch.distributed.checkpoint)"},
    {OPT_IGNORE, "ignore-extra", "GLOB", CLI_IGNORE_HELP},
    {OPT_CONFIG, "config", "PATH", CLI_CONFIG_HELP},
    {OPT_SCHEDULER, "scheduler", "PATH", CLI_SCHEDULER_HELP},
    {OPT_COMPONENT, "components", "NAME",
     "network of a pipeline, or of a single file: unet, vae, text_encoder, text_encoder_2 "
     "(default: "
     "the denoiser)"},
    {0},
};

/* Options of what is shown. */
typedef struct {
    int64_t depth, top;
    bool details;
    ss_model_options model;
    const char **ignore, **loras;
    const char *optimizer;
} choice;

static ss_code show_one(const cli_parser *p, ss_table *t, ss_err *e)
{
    cli_tables out = cli_tables_begin(p);
    const ss_code rc = cli_show(&out, t, e);

    return cli_show_end(&out, rc, e);
}

/* Makes the table of the optimiser's state: of one that is named, or of what lies beside the
 * weights, which may be of another kind. *found: there is a table. */
static ss_code find_optimizer(const ss_model *m, const choice *o, ss_table *t, bool *found,
                              ss_err *e)
{
    char *path = NULL;
    ss_err why = {0};

    *found = false;
    if (o->optimizer) {
        const ss_code rc = ss_optimizer_table(m, o->optimizer, (int)o->top, t, e);

        *found = rc == SS_OK;
        return rc == SS_OK ? rc : ss_fail_prefix(e, "--optimizer");
    }
    if (ss_optimizer_find(m, &path, e) != SS_OK)
        return e->code;
    if (path)
        *found = ss_optimizer_table(m, path, (int)o->top, t, &why) == SS_OK;
    if (path && !*found)
        ss_note("the optimiser's state is not shown: %s", why.msg);
    ss_free(path);
    return why.code == SS_NOMEM ? ss_no_memory(e, "the optimiser's state") : SS_OK;
}

/* Holds all that is known of a model. */
typedef struct {
    ss_table about, options, modules, weights, structure, lora, optimizer;
    bool merged, trained; /* there is the table of LoRA, of the optimiser */
    ss_inventory *inventory;
    ss_structure *list;
} findings;

static ss_code find(ss_ctx *c, const ss_model *m, const choice *o, bool data, findings *x,
                    ss_err *e)
{
    ss_code rc = ss_inventory_new(c, m, &x->inventory, e);

    if (rc == SS_OK)
        rc = ss_inventory_about(m, &x->about, e);
    if (rc == SS_OK)
        rc = ss_inventory_options(m, &x->options, e);
    if (rc == SS_OK)
        rc = ss_inventory_modules(x->inventory, (int)o->depth, &x->modules, e);
    if (rc == SS_OK)
        rc = ss_inventory_weights(x->inventory, (int)o->top, &x->weights, e);
    if (rc == SS_OK)
        rc = ss_inventory_structure(x->inventory, &x->list, e);
    if (rc == SS_OK)
        rc = (data ? ss_structure_table : ss_structure_summary)(x->list->rows, x->list->n,
                                                                &x->structure, e);
    if (rc == SS_OK && !data && !o->details)
        ss_table_note(&x->structure, "--details: where, why, and what to set");
    x->merged = rc == SS_OK && ss_model_lora_layers(m)->n > 0;
    if (x->merged)
        rc = ss_lora_table(c, m, (int)o->top, &x->lora, e);
    return rc == SS_OK ? find_optimizer(m, o, &x->optimizer, &x->trained, e) : rc;
}

/* Shows all tables; as text those that answer first, and the long ones with --details only. */
static ss_code show(cli_tables *out, const choice *o, findings *x, ss_err *e)
{
    enum { SOME = 2 /* modules of a row of the structure */ };
    ss_table *const shown[] = {
        &x->about,
        out->data || x->list->n ? &x->structure : NULL,
        &x->modules,
        &x->weights,
        x->merged ? &x->lora : NULL,
        x->trained ? &x->optimizer : NULL,
    };
    ss_code rc = SS_OK;

    if (!out->data)
        ss_inventory_say(x->inventory, stdout);
    for (size_t i = 0; i < sizeof shown / sizeof *shown && rc == SS_OK; i++) {
        if (shown[i])
            rc = cli_show(out, shown[i], e);
    }
    if (rc == SS_OK && !out->data && o->details) {
        putchar('\n');
        ss_structure_print(x->list->rows, x->list->n, (int)o->depth ? SOME : INT_MAX, stdout);
    }
    if (rc == SS_OK && (out->data || o->details))
        rc = cli_show(out, &x->options, e);
    return rc;
}

static void release(findings *x)
{
    ss_table *const tables[] = {&x->about,     &x->options, &x->modules,  &x->weights,
                                &x->structure, &x->lora,    &x->optimizer};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        ss_table_release(tables[i]);
    ss_structure_free(x->list);
    ss_inventory_free(x->inventory);
}

static ss_code inspect_one(const cli_parser *p, ss_ctx *c, const choice *o, bool *bad, ss_err *e)
{
    findings x = {0};
    ss_model *m = NULL;
    cli_tables out = cli_tables_begin(p);
    ss_code rc = ss_model_open(p->operands[0], &o->model, &m, e);

    if (rc == SS_OK)
        rc = find(c, m, o, out.data, &x, e);
    if (rc == SS_OK)
        rc = show(&out, o, &x, e);
    rc = cli_show_end(&out, rc, e);
    *bad = rc == SS_OK && ss_inventory_bad(x.inventory) > 0;
    release(&x);
    ss_model_close(m);
    return rc;
}

/* Finds the checkpoints in a training's folder that is no model itself; none, *l {0}, elsewhere. */
static ss_code find_checkpoints(const char *path, const choice *o, ss_checkpoint_folders *l,
                                ss_err *e)
{
    ss_model_paths p = {0};
    ss_err why = {0};
    const bool is_model = ss_model_paths_find(path, &o->model.places, &p, &why) == SS_OK;

    ss_model_paths_release(&p);
    *l = (ss_checkpoint_folders){0};
    return is_model || !ss_is_dir(path) ? SS_OK
                                        : ss_checkpoint_folders_list(path, &o->model.places, l, e);
}

static const char *shown_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Prints which checkpoints a training's folder has, and what is in each. */
static ss_code inspect_training(const cli_parser *p, const ss_checkpoint_folders *l,
                                const choice *o, ss_err *e)
{
    ss_table t = {0};
    ss_code rc = ss_table_init(&t, "checkpoints", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(&t, "checkpoint", SS_COL_TEXT, NULL);
    ss_table_column(&t, "weights", SS_COL_TEXT, NULL);
    ss_table_column(&t, "note", SS_COL_TEXT, NULL);
    ss_table_note(&t, "a training's folder: name one of its checkpoints as MODEL, or all with "
                      "bisect");
    for (int i = 0; i < l->n && rc == SS_OK; i++) {
        ss_model_paths at = {0};

        rc = ss_model_paths_find(l->paths[i], &o->model.places, &at, e);
        if (rc != SS_OK)
            break;
        ss_table_row(&t);
        ss_table_text(&t, shown_name(l->paths[i]));
        ss_table_text(&t, strcmp(at.folder, l->paths[i]) == 0 ? "." : shown_name(at.folder));
        ss_table_text(&t, at.note ? at.note : "-");
        ss_model_paths_release(&at);
    }
    if (rc == SS_OK)
        rc = show_one(p, &t, e);
    ss_table_release(&t);
    return rc;
}

static ss_code inspect_single(const cli_parser *p, ss_ctx *c, const choice *o, bool *bad, ss_err *e)
{
    ss_checkpoint_folders l;
    ss_code rc = find_checkpoints(p->operands[0], o, &l, e);

    if (rc == SS_OK)
        rc = l.n ? inspect_training(p, &l, o, e) : inspect_one(p, c, o, bad, e);
    ss_checkpoint_folders_release(&l);
    return rc;
}

static ss_code inspect_two(const cli_parser *p, ss_ctx *c, const choice *o, ss_err *e)
{
    ss_model_paths a = {0}, b = {0};
    ss_checkpoint *ka = NULL, *kb = NULL;
    ss_table t = {0};
    size_t n = 0;
    ss_code rc = ss_model_paths_find(p->operands[0], &o->model.places, &a, e);

    if (rc == SS_OK)
        rc = ss_model_paths_find(p->operands[1], &o->model.places, &b, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_open(a.weights, &o->model.weights, &ka, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_open(b.weights, &o->model.weights, &kb, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_cast(ka, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_cast(kb, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_difference(c, ka, kb, (int)o->top, &t, &n, e);
    if (rc == SS_OK)
        rc = show_one(p, &t, e);
    ss_table_release(&t);
    ss_checkpoint_close(ka);
    ss_checkpoint_close(kb);
    ss_model_paths_release(&a);
    ss_model_paths_release(&b);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    choice o = {.depth = 2, .top = 12};
    cli_parser p;
    ss_ctx *c = NULL;
    ss_err e = {0};
    int id;
    bool bad = false;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_DEPTH: cli_int(&p, 0, 64, &o.depth); break;
        case OPT_DETAILS: o.details = true; break;
        case OPT_TOP: cli_int(&p, 0, 1 << 20, &o.top); break;
        case OPT_IGNORE: cli_append(&p, &o.ignore, &o.model.n_ignore); break;
        case OPT_VARIANT: o.model.weights.variant = p.arg; break;
        case OPT_KEY: o.model.weights.key = p.arg; break;
        case OPT_LORA: cli_append(&p, &o.loras, &o.model.n_loras); break;
        case OPT_OPTIMIZER: o.optimizer = p.arg; break;
        case OPT_ADAPTER: o.model.adapter = p.arg; break;
        case OPT_GROUPNORM: o.model.groupnorm = p.arg; break;
        case OPT_EMA: o.model.places.ema = true; break;
        case OPT_CONFIG: o.model.places.config = p.arg; break;
        case OPT_COMPONENT: o.model.places.component = p.arg; break;
        case OPT_SCHEDULER: o.model.places.scheduler = p.arg; break;
        }
    }
    o.model.ignore = o.ignore;
    o.model.loras = o.loras;
    if (cli_stop(&p, 1, 2)) {
        ss_free(o.ignore);
        ss_free(o.loras);
        return p.status;
    }

    ss_ctx_options device = {.device = p.common.device, .threads = p.common.threads};
    ss_code rc = ss_ctx_new(&device, &c, &e);
    if (rc == SS_OK)
        rc = p.n_operands == 1 ? inspect_single(&p, c, &o, &bad, &e) : inspect_two(&p, c, &o, &e);
    ss_ctx_free(c);
    ss_free(o.ignore);
    ss_free(o.loras);
    return rc == SS_OK ? cli_flush(&p, bad ? CLI_FINDING : CLI_OK) : cli_fail(&p, &e);
}

static const cli_example examples[] = {
    {"sigmascope inspect checkpoint-6000",
     "is anything NaN, what lets activations grow, what is in it."},
    {"sigmascope inspect checkpoint-6000 --details",
     "also where activations can grow, and what to set."},
    {"sigmascope inspect checkpoint-250 checkpoint-6000", "the tensors that changed most."},
    {"sigmascope inspect model.safetensors --components vae", "a network of a single file."},
    {0},
};

const cli_command cmd_inspect = {
    "inspect",
    "MODEL [MODEL]",
    "what is in a checkpoint, or what differs between two",
    "Prints whether all weights of a diffusers model are finite, what it is and takes, what in\n"
    "its structure lets activations grow, with the key that changes it, its modules and largest\n"
    "weights; with --details each place of the structure, too, and the options of config.json.\n"
    "Given two, lists the tensors that differ, the largest relative change first, without loading\n"
    "either whole. Exit status 3: a single model has weights that are inf or NaN.",
    options,
    CLI_TABLES | CLI_COMPUTE | CLI_PROGRESS,
    run,
    examples,
};
