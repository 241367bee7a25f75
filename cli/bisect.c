/* bisect.c - `sigmascope bisect`: the first bad checkpoint, and in it module, noise level, input */
#include "analyze/precision/minimal.h"
#include "analyze/search/checkpoints.h"
#include "analyze/search/given_runs.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/guard_bundle.h"
#include "cli/keep.h"
#include "cli/probe_options.h"
#include "cli/tables.h"
#include "models/file/lora.h"
#include "models/training_folder.h"
#include "probe/components.h"

#include <stdio.h>
#include <string.h>

enum {
    OPT_FAIL = 1,
    OPT_CHECK,
    OPT_EXHAUSTIVE,
    OPT_CACHE,
    OPT_LIMIT,
    OPT_MINIMAL,
    OPT_BUNDLE,
    OPT_PLAY,
    OPT_FORCE,
    OPT_AS_GIVEN,
    OPT_STEPS
};
enum { MAX_MODELS = 1 << 16 };

static const cli_option options[] = {
    CLI_GROUP("Search"),
    {OPT_FAIL, "fail", "EXPR",
     "what makes a checkpoint bad, by its run: overflow(fp16), nonfinite(*), "
     "absmax(up_blocks.*) > 3e4, rms(GLOB) > V, headroom(FMT, GLOB) < BITS, entropy(*) < 0.1, "
     "max_logit(*) > V, loss(sigma>10) > 0.5; more arguments are conditions, sigma>10 or "
     "input=GLOB; joined by and, or, not, parentheses"},
    {OPT_CHECK, "check", "COMMAND",
     "a shell command decides: $1 is the checkpoint, $2 its run; exit status 0 good, 1 to 124 "
     "bad, 125 skip, else stop"},
    {OPT_EXHAUSTIVE, "exhaustive", NULL, "try every checkpoint"},
    {OPT_AS_GIVEN, "as-given", NULL,
     "the checkpoints are in this order, whatever steps their paths name"},
    {OPT_STEPS, "steps", "LIST", "the training step of each MODEL, 250,500,1000"},
    CLI_GROUP("Output"),
    {OPT_CACHE, "cache", "DIR",
     "where runs are kept, so that none is made twice (default .sigmascope-bisect); "
     "several bisects may use it at a time"},
    {OPT_LIMIT, "cache-limit", "SIZE",
     "how large the runs in there may be together, 500M or 20G (default 10G): those whose use is "
     "longest ago go first, never one that a bisect is using; 0 keeps nothing"},
    CLI_GROUP("Search"),
    {OPT_MINIMAL, "minimal-fp32", "FMT",
     "of the first bad checkpoint (or a single MODEL): a smallest set of modules that must stay in "
     "fp32 for the rest to run in FMT without inf or NaN, by delta debugging under emulation"},
    CLI_GROUP("Output"),
    {OPT_BUNDLE, "save-bundle", "DIR",
     "save what fails first: input, timestep, condition, expected numbers, and scripts that replay "
     "it here and in PyTorch"},
    {OPT_FORCE, "force", NULL, "replace the bundle DIR if it is there"},
    {OPT_PLAY, "bundle", "DIR",
     "in place of MODEL: play the module that the recorder's NaN guard saved there, in fp32 and in "
     "the format of the training"},
    CLI_PROBE_OPTIONS,
    {0},
};

typedef struct {
    ss_checkpoints_options opt;
    ss_checkpoint_folders list; /* of a training's folder that was given */
    const char *fail;           /* the expression's text */
    const char *minimal;        /* a format's name, or NULL */
    const char *bundle;         /* a folder, or NULL */
    const char *play;           /* a folder, or NULL */
    bool replace;
    ss_expression expression;
    ss_run_cache cache;
    cli_tables out;
    bool bad;
    ss_component_runs components; /* of --components: one */
} bisector;

/* Prints the files that the bundle's script takes after the checkpoint. */
static void print_merged(const ss_network_options *o)
{
    if (o->adapter) {
        printf(" ");
        cli_print_word(o->adapter, "");
    }
    for (int i = 0; i < o->n_loras; i++) {
        char *file;
        double scale;

        if (ss_lora_spec_read(o->loras[i], &file, &scale, NULL) != SS_OK)
            continue;
        printf(" ");
        cli_print_word(file, "");
        ss_free(file);
    }
}

/* Prints the checkpoint of a row: of a run file that which it was made of. */
static void print_checkpoint(const ss_checkpoint_row *row)
{
    ss_run *r = NULL;

    if (row->given && ss_run_open(row->run, &r, NULL) == SS_OK)
        cli_print_word(r->model_path, "");
    else
        cli_print_word(row->model, "");
    ss_run_close(r);
}

static void print_command(const char *command, const char *a, const char *b, const char *more)
{
    printf("sigmascope %s ", command);
    cli_print_word(a, "");
    if (b) {
        printf(" ");
        cli_print_word(b, "");
    }
    printf("%s\n", more);
}

/* Prints, as text only, which commands to run next. Runs that are not kept are no files for them.
 */
static void print_next(const ss_checkpoints *c, const bisector *x)
{
    const ss_checkpoint_row *bad = &c->rows[c->search.first_bad];
    const ss_checkpoint_row *good = c->search.last_good < 0 ? NULL : &c->rows[c->search.last_good];
    const bool none_kept = !x->cache.limit;

    printf("\n");
    print_command("analyze", none_kept ? bad->model : bad->run, NULL, "");
    if (x->bundle) {
        printf("sh ");
        cli_print_word(x->bundle, "/replay.sh");
        printf(" ");
        print_checkpoint(bad);
        print_merged(&x->opt.probe.network);
        printf("\n");
    }
    if (good && !c->of_training && (!none_kept || (bad->given && good->given))) {
        print_command("compare", good->run, bad->run, "");
        print_command("report", good->run, bad->run, " -o report");
    }
}

/* Checks that what needs a checkpoint has one. */
static ss_code check_run_files(const bisector *x, const ss_checkpoints *c, ss_err *e)
{
    const char *what = x->bundle ? "--save-bundle" : "--minimal-fp32";

    if (c->of_training && (x->bundle || x->minimal))
        return ss_fail(e, SS_USAGE,
                       "%s is for checkpoints and runs of `sigmascope probe`; %s is the run of a "
                       "training",
                       what, SS_SHOW(c->rows[0].model));
    return SS_OK;
}

static ss_code show_minimal(bisector *x, const char *path, const ss_format *f, ss_err *e)
{
    const ss_probe_options *probe = &x->opt.probe;
    ss_run *r;
    ss_minimal m = {0};
    ss_table t;
    ss_code rc = ss_run_open(path, &r, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_given_run_check_model(r, "--minimal-fp32", e);
    if (rc == SS_OK)
        rc = cli_code_set_keep(&(cli_code){.as = probe->network.changes.as}, r, e);
    if (rc == SS_OK)
        rc = ss_minimal_find(r, f, probe->threads, probe->device, &m, e);
    if (rc == SS_OK && (rc = ss_minimal_table(r, &m, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (rc == SS_OK && m.keep.n_kept)
        rc = cli_keep_blocks(r, &m.keep, &x->out, e);
    ss_minimal_release(&m);
    ss_run_close(r);
    return rc;
}

/* Prints what is not finite in the runs that were tried: all of the first bad one, a line for each
 * other that passed as good, and which was the last finite one. */
static ss_code say_not_finite(bisector *x, const ss_checkpoints *c, ss_err *e)
{
    const size_t n = (size_t)c->n;
    ss_run **runs = ss_calloc(n, sizeof *runs);
    ss_not_finite *bad = ss_calloc(n, sizeof *bad);
    const ss_not_finite **each = ss_calloc(n, sizeof *each);
    const char **names = ss_calloc(n, sizeof *names);
    int64_t *steps = ss_calloc(n, sizeof *steps);
    int tried = 0;
    char *text, line[600];
    ss_err none = {0};
    ss_code rc = runs && bad && each && names && steps ? SS_OK : ss_no_memory(e, "bisecting");

    for (int i = 0; i < c->n && rc == SS_OK; i++) {
        const ss_checkpoint_row *row = &c->rows[i];

        if (!row->run || c->search.verdict[i] == SS_SKIP)
            continue;
        if ((rc = ss_run_open(row->run, &runs[tried], e)) == SS_OK)
            rc = ss_not_finite_find(runs[tried], &bad[tried], e);
        each[tried] = &bad[tried];
        names[tried] = row->model;
        steps[tried] = row->step;
        if (rc == SS_OK && i == c->search.first_bad)
            rc = cli_say_not_finite(&x->out, &bad[tried], SS_BAD_WEIGHTS, row->model, e);
        else if (rc == SS_OK && c->search.verdict[i] == SS_GOOD && ss_not_finite_any(&bad[tried])) {
            snprintf(
                line, sizeof line,
                "%.300s is good by what was asked, but NOT FINITE: %lld parameters, %d places, "
                "%d heads have inf or NaN.",
                row->model, (long long)bad[tried].n_weights, bad[tried].n_sites,
                bad[tried].n_heads);
            rc = cli_say(&x->out, "good", line, e);
        }
        tried++;
    }
    if (rc == SS_OK && c->by_step && tried > 1 &&
        (text = ss_last_finite_say(each, names, steps, tried, &none))) {
        rc = cli_say(&x->out, "order", text, e);
        ss_free(text);
    }
    for (int i = 0; bad && i < tried; i++) {
        ss_not_finite_release(&bad[i]);
        ss_run_close(runs[i]);
    }
    ss_free(runs);
    ss_free(bad);
    ss_free(each);
    ss_free(names);
    ss_free(steps);
    return rc;
}

/* Prints which divergence it is, from the runs that were tried up to the first bad one. */
static ss_code show_mechanism(bisector *x, const ss_checkpoints *c, ss_err *e)
{
    ss_run **runs = ss_calloc((size_t)c->n, sizeof *runs);
    int64_t *steps = ss_calloc((size_t)c->n, sizeof *steps);
    int n = 0;
    ss_code rc = runs && steps ? SS_OK : ss_no_memory(e, "bisecting");

    for (int i = 0; i <= c->search.first_bad && rc == SS_OK; i++) {
        const ss_checkpoint_row *row = &c->rows[i];

        if (!row->run || c->search.verdict[i] == SS_SKIP)
            continue;
        steps[n] = row->step;
        rc = ss_run_open(row->run, &runs[n++], e);
    }
    if (rc == SS_OK && x->out.data)
        rc = cli_show_mechanism(&x->out, runs, c->by_step ? steps : NULL, n, e);
    else if (rc == SS_OK)
        rc = cli_say_mechanism(&x->out, runs, c->by_step ? steps : NULL, n, e);
    for (int i = 0; runs && i < n; i++)
        ss_run_close(runs[i]);
    ss_free(runs);
    ss_free(steps);
    return rc;
}

/* The run in which modules are searched: that of the first bad checkpoint, or of the only one. */
static const ss_checkpoint_row *subject(const ss_checkpoints *c)
{
    return c->search.first_bad >= 0 ? &c->rows[c->search.first_bad]
           : c->n == 1              ? &c->rows[0]
                                    : NULL;
}

/* Prints how the network is built at the module that fails first. */
static ss_code show_structure(bisector *x, const ss_checkpoint_row *bad, ss_err *e)
{
    ss_structure_asked asked = {0};
    ss_run *r;
    ss_code rc;

    if (!bad->where || !bad->run)
        return SS_OK;
    if ((rc = ss_run_open_any(bad->run, &r, e)) != SS_OK)
        return rc;
    if (bad->witness.site.module >= 0)
        ss_structure_ask(&asked, bad->witness.site);
    for (int m = 0; m < r->n_modules && bad->witness.layer >= 0; m++) {
        if (strcmp(r->modules[m], r->layers[bad->witness.layer]) == 0)
            ss_structure_ask(&asked, (ss_site){.module = m});
    }
    rc = cli_show_structure(&x->out, r, &asked, e);
    ss_run_close(r);
    return rc;
}

/* Takes the checkpoints in the folder of a training, where it is the one MODEL. */
static ss_code take_training(bisector *x, ss_err *e)
{
    const char *folder = x->opt.models[0];
    const ss_model_options files = ss_network_files(&x->opt.probe.network);

    if (x->opt.n_models > 1 || !ss_is_dir(folder))
        return SS_OK;
    const ss_code rc = ss_checkpoint_folders_list(folder, &files.places, &x->list, e);
    if (rc == SS_OK && x->list.n) {
        ss_note("%s: %d checkpoints, from %s to %s", folder, x->list.n, x->list.paths[0],
                x->list.paths[x->list.n - 1]);
        x->opt.models = (const char *const *)x->list.paths;
        x->opt.n_models = x->list.n;
    }
    return rc;
}

/* Finds the one component that --components names, in the first model; all must have it. */
static ss_code take_component(bisector *x, ss_err *e)
{
    ss_network_options *net = &x->opt.probe.network;
    ss_component_runs *runs = &x->components;

    int first = 0;

    if (!net->component)
        return SS_OK;
    while (first < x->opt.n_models && ss_run_is_file(x->opt.models[first]))
        first++;
    if (first == x->opt.n_models)
        return ss_fail(e, SS_USAGE, "--components is for checkpoints; here are run files alone");
    ss_code rc = ss_components_pick(x->opt.models[first], net->component, "", runs, e);
    if (rc == SS_OK && runs->n > 1)
        rc = ss_fail(e, SS_USAGE, "--components %s names %d networks; a bisection takes one",
                     SS_SHOW(net->component), runs->n);
    if (rc == SS_OK)
        net->component = runs->list[0].component;
    return rc;
}

/* Prints the outcome in one line; as JSON it is a row of data, too. */
static ss_code show_verdict(bisector *x, const ss_checkpoints *c, ss_err *e)
{
    ss_str text = {0};
    ss_table t;
    ss_code rc;

    ss_checkpoints_say(c, x->opt.fail, &text);
    rc = text.failed ? ss_no_memory(e, "bisecting") : cli_say(&x->out, "verdict", text.s, e);
    ss_str_release(&text);
    if (rc == SS_OK && x->out.data &&
        (rc = ss_checkpoints_verdict_table(c, x->opt.fail, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    return rc;
}

/* Adds to the JSON object the run file of each row of the table of checkpoints. */
static ss_code list_runs(bisector *x, const ss_checkpoints *c, ss_err *e)
{
    ss_table t;
    const ss_code rc = ss_table_init(&t, "runs", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(&t, "checkpoint", SS_COL_TEXT, NULL);
    ss_table_column(&t, "run", SS_COL_TEXT, NULL);
    for (int i = 0; i < c->n; i++) {
        if (!c->rows[i].order)
            continue;
        ss_table_row(&t);
        ss_table_text(&t, c->rows[i].model);
        ss_table_text(&t, c->rows[i].run ? c->rows[i].run : "-");
    }
    return cli_show(&x->out, &t, e);
}

static ss_code bisect(bisector *x, ss_err *e)
{
    ss_checkpoints c = {0};
    ss_format format;
    ss_table t;
    ss_code rc = SS_OK;

    if (x->fail && (rc = ss_expression_parse(x->fail, &x->expression, e)) == SS_OK)
        x->opt.fail = &x->expression;
    if (x->opt.fail && ss_expression_has(x->opt.fail, SS_MEASURE_FORECAST))
        rc = ss_fail(e, SS_USAGE,
                     "--fail: forecast(...) needs the runs of earlier checkpoints, and a bisection "
                     "judges each alone; it is for `sigmascope watch --alarm`");
    if (rc == SS_OK && x->minimal && (rc = ss_format_parse(x->minimal, &format, e)) != SS_OK)
        ss_fail_prefix(e, "--minimal-fp32");
    if (rc == SS_OK)
        rc = take_training(x, e);
    if (rc == SS_OK)
        rc = take_component(x, e);
    if (rc == SS_OK)
        rc = ss_checkpoints_find(&x->opt, &c, e);
    if (rc == SS_OK)
        rc = check_run_files(x, &c, e);
    if (rc == SS_OK)
        rc = show_verdict(x, &c, e);
    if (rc == SS_OK && !c.of_training)
        rc = say_not_finite(x, &c, e);
    if (rc == SS_OK && (rc = ss_checkpoints_table(&c, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (rc == SS_OK && x->out.data)
        rc = list_runs(x, &c, e);
    x->bad = rc == SS_OK && c.search.first_bad >= 0;
    if (x->bad && (rc = ss_first_bad_table(&c, &t, e)) == SS_OK)
        rc = cli_show(&x->out, &t, e);
    if (x->bad && rc == SS_OK)
        rc = show_structure(x, &c.rows[c.search.first_bad], e);
    if (x->bad && rc == SS_OK && !c.of_training)
        rc = show_mechanism(x, &c, e);
    if (x->bad && rc == SS_OK && x->bundle)
        rc = ss_first_bad_bundle(&c, x->opt.fail, x->bundle, x->replace, e);
    if (rc == SS_OK && x->minimal && subject(&c))
        rc = show_minimal(x, subject(&c)->run, &format, e);
    if (rc == SS_OK && x->bad && !x->out.data)
        print_next(&c, x);
    ss_checkpoints_release(&c);
    ss_expression_release(&x->expression);
    return cli_show_end(&x->out, rc, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    bisector x = {.opt = {.probe = ss_probe_defaults(), .cache = &x.cache},
                  .cache = {.dir = SS_RUN_CACHE_FOLDER, .limit = SS_RUN_CACHE_LIMIT}};
    char *command = cli_command_line(argc, argv);
    cli_probe_lists l = {0};
    cli_parser p;
    ss_err e = {0};
    int id, status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_FAIL: x.fail = p.arg; break;
        case OPT_CHECK: x.opt.check = p.arg; break;
        case OPT_EXHAUSTIVE: x.opt.exhaustive = true; break;
        case OPT_AS_GIVEN: x.opt.as_given = true; break;
        case OPT_STEPS: x.opt.steps = p.arg; break;
        case OPT_CACHE: x.cache.dir = p.arg; break;
        case OPT_LIMIT:
            if (ss_bytes_parse(p.arg, &x.cache.limit, &e) != SS_OK)
                cli_usage(&p, "--cache-limit: %s", e.msg);
            break;
        case OPT_BUNDLE: x.bundle = p.arg; break;
        case OPT_FORCE: x.replace = true; break;
        case OPT_PLAY: x.play = p.arg; break;
        case OPT_MINIMAL: x.minimal = p.arg; break;
        default: cli_probe_take(&p, id, &x.opt.probe, &l); break;
        }
    }
    cli_probe_set(&p, &x.opt.probe, &l);
    if (!p.stop && x.opt.as_given && x.opt.steps)
        cli_usage(&p, "--as-given and --steps exclude each other");
    if (!p.stop && x.bundle && !x.fail)
        cli_usage(&p, "--save-bundle needs --fail, which says where it fails");
    if (!p.stop && x.minimal && x.opt.probe.network.changes.precision)
        cli_usage(&p, "--minimal-fp32 needs runs in fp32, without --precision");
    if (!p.stop && x.play && (x.fail || x.opt.check || x.minimal || x.bundle))
        cli_usage(&p, "--bundle plays one module, without --fail, --check, --minimal-fp32 or "
                      "--save-bundle");
    if (!p.stop && !x.play && !x.fail && !x.opt.check)
        cli_usage(&p, "--fail EXPR is missing (or --check COMMAND)");
    if (cli_stop(&p, x.play ? 0 : 1, x.play ? 0 : MAX_MODELS)) {
        status = p.status;
        goto out;
    }
    x.opt.models = (const char *const *)p.operands;
    x.opt.n_models = p.n_operands;
    x.opt.probe.command = command;
    x.out = cli_tables_begin(&p);
    cli_stop_on_signals();
    const ss_code rc = x.play ? cli_guard_bundle(&x.out, x.play, x.opt.probe.device,
                                                 x.opt.probe.threads, &x.bad, &e)
                              : bisect(&x, &e);
    status = rc != SS_OK ? cli_fail(&p, &e) : cli_flush(&p, x.bad ? CLI_FINDING : CLI_OK);
    ss_run_cache_close(&x.cache);
out:
    cli_probe_release(&l);
    ss_checkpoint_folders_release(&x.list);
    ss_components_release(&x.components);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope bisect training --fail 'overflow(fp16)'",
     "the first checkpoint of a training's folder that overflows fp16."},
    {"sigmascope bisect checkpoint-* --fail 'absmax(up_blocks.*, sigma>10) > 3e4' --save-bundle "
     "bundle",
     "the same by an expression; what fails first can be replayed in PyTorch."},
    {"sigmascope bisect early.h5 middle.h5 late.h5 --fail 'overflow(fp16)'",
     "the same of runs that are there; of a training's statistics.h5: at which step."},
    {"sigmascope bisect checkpoint-6000 --fail 'overflow(fp16)' --minimal-fp32 fp16",
     "of one checkpoint: the smallest set of modules that must stay in fp32."},
    {"sigmascope bisect --bundle run.bundle",
     "what the recorder's NaN guard saved of a live training: a matter of the format, or not?"},
    {0},
};

const cli_command cmd_bisect = {
    "bisect",
    "MODEL... --fail EXPR | --bundle DIR",
    "first bad checkpoint, module, noise level, input",
    "Probes checkpoints by a binary search for the first bad one, and then neighbours and further\n"
    "points, as badness need not be monotonic. Says which module fails first in forward order, at\n"
    "which noise level and for which input, and which divergence the tried runs show. Checkpoints\n"
    "are ordered by the training step in their paths (checkpoint-500, step_500_fp16) if each path\n"
    "names one without doubt and no two the same, else as given. One MODEL that is the folder of "
    "a\n"
    "training (checkpoint-500/, checkpoint-1000/) means its checkpoints. One that cannot be read "
    "is\n"
    "skipped. Exit status 3: a bad one was found.\n"
    "\n"
    "A MODEL may be a run file (RUN.h5), of `sigmascope probe` or of other hooks: it stands for "
    "the\n"
    "checkpoint that it was made of, and is judged as it is. The statistics.h5 of a training, "
    "or\n"
    "the file of a recorder in a PyTorch training, alone, stands for its steps.\n"
    "\n"
    "Runs are kept in .sigmascope-bisect (--cache, --cache-limit). Several bisects may use it at "
    "a\n"
    "time: one that needs a run that another is making waits for it.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_TABLES,
    run,
    examples,
};
