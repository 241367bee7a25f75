/* doctor.c - `sigmascope doctor`: from a folder to the report, by the program's own commands
 *
 *   look      opens headers, counts operations, chooses a grid        doctor_network.c
 *   inspect   every checkpoint, or component: weights that are inf or NaN come first
 *   bisect    several checkpoints; of one: probe, each component
 *   attn, analyze, analyze --keep-fp32, report
 *   judge     what the runs say, and what was covered                  doctor_verdict.c
 */
#include "base/file.h"
#include "base/mem.h"
#include "cli/doctor_network.h"
#include "cli/doctor_steps.h"
#include "cli/doctor_verdict.h"
#include "cli/probe_options.h"
#include "models/pipeline.h"
#include "models/training_folder.h"
#include "probe/components.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { OPT_OUTPUT = 1, OPT_FORMAT, OPT_FORCE, OPT_RESUME };
enum { MAX_NETWORKS = 8, MAX_MODELS = 1 << 16, MAX_RUNS = MAX_NETWORKS };

#define DEFAULT_FOLDER "sigmascope-doctor"

/* Operations of all forward passes together, by which the grid is chosen: about two minutes of two
 * CPU cores; a GPU does a hundred times as many. */
static const double BUDGET = 22e12, GPU_BUDGET = 2e15;
/* How fast a core, and a GPU, is taken to be before the first step has shown it [operations/s]. */
static const double CORE_SPEED = 0.9e11, GPU_SPEED = 2e13;
/* Weights that are read for NaN: more are left to the bisection. */
static const double MAX_INSPECTED = 3e10; /* bytes */

static const cli_option options[] = {
    CLI_GROUP("What to run"),
    {OPT_FORMAT, "format", "FMT", "the number format to judge first (default fp16)"},
    CLI_PROBE_OPTIONS,
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR", "where everything goes (default " DEFAULT_FOLDER ")"},
    {OPT_RESUME, "resume", NULL, "go on in DIR: steps that it has are not run again"},
    {OPT_FORCE, "force", NULL, "replace DIR, if a doctor made it"},
    {0},
};

/* An option that goes on to the commands that have it. */
typedef struct {
    int id;
    const char *name, *arg;
} passed;

typedef struct {
    cli_parser p;
    ss_probe_options opt;
    cli_probe_lists lists;
    passed *passed;
    int n_passed;
    size_t cap;
    const char *format, *folder;
    bool force, resume;

    const char *const *models; /* checkpoints, or run files */
    int n_models;
    ss_checkpoint_folders list; /* owns them, of a training's folder */
    bool runs_given;            /* they are run files */
    bool has_text;              /* the pipeline has text encoders */
    cli_doctor_network net[MAX_NETWORKS];
    cli_doctor_grid grid[MAX_NETWORKS];
    int n_nets;
    int probes; /* expected, of each network */

    cli_doctor_steps steps;
    cli_doctor_verdict verdict;
    char *runs[MAX_RUNS]; /* of components, the denoiser's first; or of the bad checkpoint alone */
    cli_doctor_judged judged[MAX_RUNS];
    int n_runs;
    char *baseline; /* run of the last good checkpoint, or NULL */
    int n_failed;   /* steps */
} doctor;

/* ---- command lines ---- */

static bool is_for_denoiser(int id)
{
    switch (id) {
    case OPT_PROBE_SIGMAS:
    case OPT_PROBE_TIMESTEPS:
    case OPT_PROBE_CONDITION_SIGMA:
    case OPT_PROBE_INPUTS:
    case OPT_PROBE_SAMPLES:
    case OPT_PROBE_BATCH:
    case OPT_PROBE_SIZE:
    case OPT_PROBE_FRAMES:
    case OPT_PROBE_EXTEND:
    case OPT_PROBE_CLASS:
    case OPT_PROBE_CLASS_EMBEDS:
    case OPT_PROBE_GUIDANCE_EMBED:
    case OPT_PROBE_PROMPT_EMBEDS:
    case OPT_PROBE_TEXT_EMBEDS:
    case OPT_PROBE_TIME_IDS:
    case OPT_PROBE_CONCAT:
    case OPT_PROBE_MODULES:
    case OPT_PROBE_PRECISION_MAP:
    case OPT_PROBE_INTERVENE: return true;
    default: return false;
    }
}

/* Adds the options of the command line that the command has; net: of which network, or NULL. */
static void pass(doctor *d, cli_words *w, const cli_command *c, const cli_doctor_network *net)
{
    const cli_common *k = &d->p.common;
    const bool other = net && *net->component && net->role != SS_DENOISER;

    for (int i = 0; i < d->n_passed; i++) {
        const passed *o = &d->passed[i];

        if (!cli_has_option(c->name, o->name) || o->id == OPT_PROBE_COMPONENTS)
            continue;
        if (c == &cmd_report && o->id == OPT_PROBE_SAMPLES) /* another thing there */
            continue;
        if (other && (is_for_denoiser(o->id) ||
                      (net->role == SS_VAE &&
                       (o->id == OPT_PROBE_PROMPT || o->id == OPT_PROBE_NEGATIVE_PROMPT))))
            continue;
        cli_word(w, "--%s", o->name);
        if (o->arg)
            cli_word(w, "%s", o->arg);
    }
    if (k->threads && cli_has_option(c->name, "threads")) {
        cli_word(w, "--threads");
        cli_word(w, "%d", k->threads);
    }
    if (strcmp(k->device, "cpu") != 0 && cli_has_option(c->name, "device")) {
        cli_word(w, "--device");
        cli_word(w, "%s", k->device);
    }
    if (k->arithmetic && cli_has_option(c->name, "arithmetic")) {
        cli_word(w, "--arithmetic");
        cli_word(w, "%s", k->arithmetic);
    }
    if (k->seed && cli_has_option(c->name, "seed")) {
        cli_word(w, "--seed");
        cli_word(w, "%llu", (unsigned long long)k->seed);
    }
}

static void add_component(cli_words *w, const cli_doctor_network *net)
{
    if (!*net->component)
        return;
    cli_word(w, "--components");
    cli_word(w, "%s", net->component);
}

static int list_told(const doctor *d, int which, bool by_prompt,
                     cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS])
{
    return cli_doctor_conditions(&d->net[which], &d->opt,
                                 by_prompt || d->opt.prompts.n_positive > 0, d->has_text, told);
}

/* True if the network reads prompts, and none are given. */
static bool reads_own_prompts(const doctor *d, int which, bool by_prompt)
{
    const ss_role role = d->net[which].role;

    return (role == SS_TEXT || (role == SS_DENOISER && by_prompt)) && !d->opt.prompts.n_positive;
}

/* Adds the grid and what the network is told where the command line leaves it open. */
static void add_grid(doctor *d, cli_words *w, int which, bool by_prompt)
{
    const cli_doctor_grid *g = &d->grid[which];
    cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS];
    const int n = list_told(d, which, by_prompt, told);

    if (*g->sigmas) {
        cli_word(w, "--sigmas");
        cli_word(w, "%s", g->sigmas);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        cli_word(w, "--inputs");
        cli_word(w, "%s", g->inputs[i]);
    }
    if (g->samples) {
        cli_word(w, "--samples");
        cli_word(w, "%d", g->samples);
    }
    if (*g->size) {
        cli_word(w, "--size");
        cli_word(w, "%s", g->size);
    }
    for (int i = 0; i < n; i++) {
        cli_word(w, "%s", told[i].option);
        cli_word(w, "%s", told[i].value);
    }
    for (int i = 0; reads_own_prompts(d, which, by_prompt) && i < CLI_DOCTOR_PROMPTS; i++) {
        cli_word(w, "--prompt");
        cli_word(w, "%s", cli_doctor_prompts[i]);
    }
}

/* Lists in the verdict what was assumed of a network that ran. */
static void assume(doctor *d, int which, bool by_prompt)
{
    const cli_doctor_grid *g = &d->grid[which];
    cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS];
    const int n = list_told(d, which, by_prompt, told);

    if (g->n_inputs && d->net[which].role == SS_DENOISER)
        cli_doctor_assume(&d->verdict,
                          "noise and synthetic pictures (--inputs images:PATH gives your own)");
    for (int i = 0; i < n; i++)
        cli_doctor_assume(&d->verdict, told[i].text);
    if (reads_own_prompts(d, which, by_prompt))
        cli_doctor_assume(&d->verdict, "two prompts (--prompt TEXT gives your own)");
    if (*g->size)
        cli_doctor_assume(&d->verdict, "the size of the input (--size gives it)");
}

static void add_formats(doctor *d, cli_words *w)
{
    static const char *const usual[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};

    if (strcmp(d->format, usual[0]) == 0) /* the default */
        return;
    cli_word(w, "--format");
    cli_word(w, "%s", d->format);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(d->format, usual[i]) != 0) {
            cli_word(w, "--format");
            cli_word(w, "%s", usual[i]);
        }
    }
}

/* ---- what is there ---- */

static bool is_run_file(const char *path)
{
    const size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".h5") == 0 && !ss_is_dir(path);
}

static ss_code find_models(doctor *d, ss_err *e)
{
    const ss_model_options files = ss_network_files(&d->opt.network);
    ss_model_paths at = {0};
    int runs = 0;

    d->models = (const char *const *)d->p.operands;
    d->n_models = d->p.n_operands;
    for (int i = 0; i < d->n_models; i++)
        runs += is_run_file(d->models[i]);
    d->runs_given = runs > 0;
    if (runs && runs < d->n_models)
        return ss_fail(e, SS_USAGE, "run files and models together: give one kind or the other");
    if (runs > MAX_RUNS)
        return ss_fail(e, SS_USAGE, "at most %d run files", MAX_RUNS);
    if (d->n_models > 1 || runs || !ss_is_dir(d->models[0]))
        return SS_OK;
    const bool is_model = ss_model_paths_find(d->models[0], &files.places, &at, NULL) == SS_OK;
    ss_model_paths_release(&at);
    if (is_model)
        return SS_OK;
    const ss_code rc = ss_checkpoint_folders_list(d->models[0], &files.places, &d->list, e);
    if (rc == SS_OK && d->list.n) {
        d->models = (const char *const *)d->list.paths;
        d->n_models = d->list.n;
    }
    return rc;
}

/* Looks at one network; what cannot be opened is noted if there are others. */
static void look(doctor *d, const char *model, const char *component)
{
    cli_doctor_network *n = &d->net[d->n_nets];

    if (d->n_nets == MAX_NETWORKS)
        return;
    cli_doctor_look(&d->opt, model, component, n);
    d->n_nets++;
}

/* Looks at the networks of a single model, the denoiser first. */
static ss_code look_at_one(doctor *d, ss_err *e)
{
    const char *model = d->models[0], *asked = d->opt.network.component;
    ss_component_runs picked = {0};
    ss_pipeline p = {0};
    ss_code rc = SS_OK;

    if (asked) {
        rc = ss_components_pick(model, asked, "", &picked, e);
        for (int i = 0; i < picked.n && rc == SS_OK; i++)
            look(d, model, picked.list[i].component);
        ss_components_release(&picked);
    } else if (ss_pipeline_find(model, &p, NULL) == SS_OK && p.n > 1) {
        for (int pass_no = 0; pass_no < 2; pass_no++) {
            for (int i = 0; i < p.n; i++) {
                if ((p.list[i].role == SS_DENOISER) == (pass_no == 0))
                    look(d, model, p.list[i].name);
            }
        }
    } else {
        look(d, model, NULL);
    }
    for (int i = 0; i < p.n; i++)
        d->has_text |= p.list[i].role == SS_TEXT && p.list[i].known;
    d->has_text |= d->opt.prompts.tokenizer != NULL;
    ss_pipeline_release(&p);
    return rc;
}

static ss_code look_at_all(doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;
    int opened = 0;

    if (d->n_models == 1) {
        rc = look_at_one(d, e);
    } else { /* the first that can be opened stands for all */
        for (int i = 0; i < d->n_models && (!i || *d->net[0].why); i++) {
            d->n_nets = 0;
            look(d, d->models[i], d->opt.network.component);
        }
    }
    for (int i = 0; i < d->n_nets; i++)
        opened += !*d->net[i].why;
    if (rc == SS_OK && !opened)
        rc = ss_fail(e, SS_UNSUPPORTED, "%s", d->net[0].why);
    return rc;
}

/* The number of checkpoints that a bisection probes, at most. */
static int expect_probes(int n)
{
    const int most = 4 + (int)ceil(log2(n));

    return n < most ? n : most;
}

static double speed(const doctor *d)
{
    const int threads = d->p.common.threads ? d->p.common.threads : omp_get_max_threads();

    return strcmp(d->p.common.device, "cpu") != 0 ? GPU_SPEED
                                                  : CORE_SPEED * (threads < 16 ? threads : 16);
}

/* Seconds of a step that runs the network: reading its weights, computing, watching. */
static double probe_seconds(const doctor *d, int which)
{
    const cli_doctor_grid *g = &d->grid[which];

    return 0.3 + (double)d->net[which].bytes / 6e8 + g->flops / speed(d) +
           g->forwards * d->net[which].modules * 5e-5;
}

static double inspect_seconds(const cli_doctor_network *n)
{
    return 0.1 + (double)n->bytes / 1.5e9;
}

static bool inspects_all(const doctor *d)
{
    return (double)d->n_models * (double)d->net[0].bytes <= MAX_INSPECTED;
}

static void expect(doctor *d, int steps, double seconds)
{
    d->steps.n_expected += steps;
    d->steps.seconds_left += seconds;
}

/* Chooses the grids, and estimates the steps to come. */
static void prepare(doctor *d)
{
    const bool gpu = strcmp(d->p.common.device, "cpu") != 0;
    const int inspected = d->n_models > 1 && !inspects_all(d) ? 2 : d->n_models;
    double budget = gpu ? GPU_BUDGET : BUDGET;

    d->probes = d->n_models > 1 ? expect_probes(d->n_models) : 1;
    for (int i = 0; i < d->n_nets; i++) {
        const cli_doctor_network *n = &d->net[i];

        ss_probe_options own = d->opt;

        if (*n->why)
            continue;
        if (*n->component && n->role != SS_DENOISER) { /* these are the denoiser's */
            own.n_inputs = own.samples = 0;
            own.sigmas = own.timesteps = NULL;
        }
        /* other components get a quarter: denoisers are what overflows in training */
        cli_doctor_choose(n, &own, (i ? budget / 4 : budget) / d->probes, &d->grid[i]);
        expect(d, inspected, inspected * inspect_seconds(n));
        expect(d, 1, d->probes * probe_seconds(d, i));
        expect(d, 1, 0.5); /* attn */
    }
    if (d->runs_given)
        expect(d, d->n_models, d->n_models);
    expect(d, 3, 7); /* analyze, the page twice */
}

/* ---- steps ---- */

/* Runs a step and counts it as failed by its status. */
static ss_code run_step(doctor *d, cli_words *w, const char *ending, double seconds,
                        cli_doctor_step **step, ss_err *e)
{
    const ss_code rc = cli_doctor_run(&d->steps, w, ending, seconds, step, e);

    if (rc == SS_OK && (*step)->status != CLI_OK && (*step)->status != CLI_FINDING) {
        cli_doctor_result(&d->steps, *step, "FAILED: %s",
                          *(*step)->problem     ? (*step)->problem
                          : (*step)->status < 0 ? "a signal ended it (out of memory?)"
                                                : "it does not say why; see log.txt");
        d->n_failed++;
    }
    return rc;
}

static bool failed(const cli_doctor_step *s)
{
    return s->status != CLI_OK && s->status != CLI_FINDING;
}

/* Reads the first line of a step's output. */
static void first_line(const cli_doctor_step *s, char *line, size_t n)
{
    FILE *f = fopen(s->output, "r");

    *line = '\0';
    if (!f)
        return;
    while (fgets(line, (int)n, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line)
            break;
    }
    fclose(f);
}

static ss_code inspect(doctor *d, const char *model, const cli_doctor_network *n, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[400];

    cli_word(&w, "inspect");
    cli_word(&w, "%s", model);
    add_component(&w, n);
    pass(d, &w, &cmd_inspect, n);
    const ss_code rc = run_step(d, &w, "txt", inspect_seconds(n), &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    if (step->status == CLI_FINDING) {
        first_line(step, line, sizeof line);
        cli_doctor_result(&d->steps, step, "%s", line);
        cli_doctor_bad_weights(&d->verdict, model, n->component, line);
    } else {
        cli_doctor_result(&d->steps, step, "%s, %.4g million parameters, %.4g MB; all are finite",
                          n->family, (double)n->parameters * 1e-6, (double)n->bytes * 1e-6);
    }
    return SS_OK;
}

static ss_code inspect_all(doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < d->n_models && rc == SS_OK; i++) {
        if (!inspects_all(d) && d->n_models > 1 && i && i < d->n_models - 1)
            continue;
        for (int k = 0; k < d->n_nets && rc == SS_OK; k++) {
            if (!*d->net[k].why)
                rc = inspect(d, d->models[i], &d->net[k], e);
        }
    }
    if (rc == SS_OK && d->n_models > 1 && !inspects_all(d))
        ss_note("the weights of the first and the last checkpoint were read; between them the "
                "bisection decides");
    return rc;
}

/* Takes a run file, and judges it. */
static ss_code add_run(doctor *d, const char *path, ss_err *e)
{
    char *copy = ss_strdup(path);

    if (!copy || d->n_runs == MAX_RUNS) {
        ss_free(copy);
        return ss_no_memory(e, "runs");
    }
    d->runs[d->n_runs++] = copy;
    return cli_doctor_judge(&d->verdict, path, d->format, &d->judged[d->n_runs - 1], e);
}

static ss_code probe_as(doctor *d, int which, bool by_prompt, cli_doctor_step **step, ss_err *e)
{
    const cli_doctor_network *n = &d->net[which];
    cli_words w = {0};

    cli_word(&w, "probe");
    cli_word(&w, "%s", d->models[0]);
    add_component(&w, n);
    cli_word(&w, "-o");
    if (*n->component)
        cli_word(&w, "%s/run.%s.h5", d->folder, n->component);
    else
        cli_word(&w, "%s/run.h5", d->folder);
    cli_word(&w, "--resume");
    add_grid(d, &w, which, by_prompt);
    pass(d, &w, &cmd_probe, n);
    return run_step(d, &w, "txt", probe_seconds(d, which), step, e);
}

/* Probes a network of the one model. A text that cannot be encoded gives way to a stand-in. */
static ss_code probe(doctor *d, int which, ss_err *e)
{
    const cli_doctor_network *n = &d->net[which];
    bool by_prompt = d->has_text && n->role == SS_DENOISER && n->needs.text_width &&
                     !n->needs.numbers_only && !d->opt.prompt_embeds && !n->needs.table_classes;
    cli_doctor_step *step;
    ss_str path = {0};
    ss_code rc = probe_as(d, which, by_prompt, &step, e);

    if (rc == SS_OK && failed(step) && by_prompt && !d->opt.prompts.n_positive) {
        ss_note("the text encoders cannot be used, a stand-in takes the place of the text");
        by_prompt = false;
        rc = probe_as(d, which, by_prompt, &step, e);
    }
    if (rc != SS_OK || failed(step))
        return rc;
    assume(d, which, by_prompt);
    ss_str_addf(&path, *n->component ? "%s/run.%s.h5" : "%s/run%s.h5", d->folder, n->component);
    rc = path.failed ? ss_no_memory(e, "doctor") : add_run(d, path.s, e);
    ss_str_release(&path);
    if (rc == SS_OK)
        cli_doctor_result(&d->steps, step, "%s", d->judged[d->n_runs - 1].said);
    return rc;
}

/* Finds the runs that the bisection made: of the first bad checkpoint and the last good one before
 * it, or of the last and the first that were tried. */
static ss_code take_bisection(doctor *d, cli_doctor_step *step, ss_err *e)
{
    ss_json j = {0};
    ss_code rc = ss_json_load(&j, step->output, e);
    const json_t *table = json_object_get(j.root, "checkpoints"), *row;
    const json_t *rows = json_object_get(table, "rows");
    const json_t *runs = json_object_get(json_object_get(j.root, "runs"), "rows");
    const char *note = json_string_value(json_object_get(table, "note"));
    const char *first = NULL, *last = NULL, *bad = NULL, *good = NULL;
    size_t i;

    json_array_foreach(runs, i, row)
    {
        const char *is = json_string_value(json_object_get(json_array_get(rows, i), "is"));
        const char *run = json_string_value(json_object_get(row, "run"));

        if (!is || !run || strcmp(is, "skip") == 0)
            continue;
        first = first ? first : run;
        last = run;
        if (strcmp(is, "BAD") == 0 && !bad)
            bad = run;
        else if (strcmp(is, "good") == 0 && !bad)
            good = run;
    }
    const char *subject = bad ? bad : last, *other = bad ? good : first;
    if (rc == SS_OK)
        cli_doctor_result(&d->steps, step, "%s", note ? note : "done");
    if (rc == SS_OK && subject)
        rc = add_run(d, subject, e);
    if (rc == SS_OK && other && other != subject && !(d->baseline = ss_strdup(other)))
        rc = ss_no_memory(e, "doctor");
    ss_json_release(&j);
    return rc;
}

static ss_code bisect(doctor *d, ss_err *e)
{
    const cli_doctor_network *n = &d->net[0];
    cli_doctor_step *step;
    cli_words w = {0};

    cli_word(&w, "bisect");
    for (int i = 0; i < d->n_models; i++)
        cli_word(&w, "%s", d->models[i]);
    add_component(&w, n);
    cli_word(&w, "--fail");
    cli_word(&w, "overflow(%s) or nonfinite(*)", d->format);
    cli_word(&w, "--cache");
    cli_word(&w, "%s/runs", d->folder);
    cli_word(&w, "--json");
    add_grid(d, &w, 0, d->has_text);
    pass(d, &w, &cmd_bisect, n);
    const ss_code rc = run_step(d, &w, "json", d->probes * probe_seconds(d, 0), &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    assume(d, 0, d->has_text);
    return take_bisection(d, step, e);
}

/* A command about one run. */
static ss_code about_run(doctor *d, const cli_command *c, const char *run, bool keep, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[512];

    cli_word(&w, "%s", c->name);
    cli_word(&w, "%s", run);
    if (keep) {
        cli_word(&w, "--keep-fp32");
        cli_word(&w, "%s", d->format);
    }
    for (int i = 0; i < d->n_passed; i++) {
        const passed *o = &d->passed[i];

        if (keep && (o->id == OPT_PROBE_AS || o->id == OPT_PROBE_ATTENTION)) {
            cli_word(&w, "--%s", o->name);
            cli_word(&w, "%s", o->arg);
        }
    }
    const ss_code rc = run_step(d, &w, "txt", 0.5, &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    cli_doctor_say(step->output, keep, line, sizeof line);
    cli_doctor_result(&d->steps, step, "%s", line);
    return SS_OK;
}

/* Analyzes runs, and takes the verdict over them. */
static ss_code analyze(doctor *d, bool with_baseline, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[400];

    cli_word(&w, "analyze");
    if (with_baseline)
        cli_word(&w, "%s", d->baseline);
    for (int i = 0; i < d->n_runs; i++)
        cli_word(&w, "%s", d->runs[i]);
    add_formats(d, &w);
    pass(d, &w, &cmd_analyze, NULL);
    ss_code rc = run_step(d, &w, "txt", 1, &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    first_line(step, line, sizeof line);
    cli_doctor_result(&d->steps, step, "%s", line);
    return cli_doctor_take(&d->verdict, step->output, e);
}

/* Makes the page: a folder, and one file to send. */
static ss_code report(doctor *d, bool single, ss_err *e)
{
    const char *page = single ? "report.html" : "report/index.html";
    cli_doctor_step *step;
    cli_words w = {0};

    cli_word(&w, "report");
    if (d->baseline)
        cli_word(&w, "%s", d->baseline);
    for (int i = 0; i < d->n_runs; i++)
        cli_word(&w, "%s", d->runs[i]);
    cli_word(&w, "-o");
    cli_word(&w, single ? "%s/report.html" : "%s/report", d->folder);
    if (single)
        cli_word(&w, "--single-file");
    cli_word(&w, "--force");
    add_formats(d, &w);
    pass(d, &w, &cmd_report, NULL);
    const ss_code rc = run_step(d, &w, "txt", 3, &step, e);
    if (rc == SS_OK && !failed(step)) {
        cli_doctor_result(&d->steps, step, "%s/%s", d->folder, page);
        d->verdict.has_report |= !single;
    }
    return rc;
}

/* All that is made from runs. */
static ss_code study_runs(doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < d->n_runs && rc == SS_OK; i++) {
        const cli_doctor_judged *j = &d->judged[i];

        if (j->attends)
            rc = about_run(d, &cmd_attn, d->runs[i], false, e);
        if (rc == SS_OK && j->overflows)
            rc = about_run(d, &cmd_analyze, d->runs[i], true, e);
    }
    if (rc == SS_OK && d->n_runs)
        rc = analyze(d, false, e);
    if (rc == SS_OK && d->n_runs && d->baseline)
        rc = analyze(d, true, e);
    if (rc == SS_OK && d->n_runs)
        rc = report(d, true, e);
    return rc == SS_OK && d->n_runs ? report(d, false, e) : rc;
}

static ss_code examine(doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    if (d->runs_given) {
        for (int i = 0; i < d->n_models && rc == SS_OK; i++)
            rc = add_run(d, d->models[i], e);
        return rc == SS_OK ? study_runs(d, e) : rc;
    }
    rc = inspect_all(d, e);
    for (int i = 0; i < d->n_nets && rc == SS_OK && d->n_models == 1; i++) {
        if (*d->net[i].why)
            ss_note("%s is left out: %s", d->net[i].component, d->net[i].why);
        else
            rc = probe(d, i, e);
    }
    if (rc == SS_OK && d->n_models > 1)
        rc = bisect(d, e);
    return rc == SS_OK ? study_runs(d, e) : rc;
}

/* ---- the command ---- */

static ss_code finish(doctor *d, ss_err *e)
{
    json_t *object = json_object();
    const char *report_path = d->verdict.has_report ? "report/index.html" : NULL;
    ss_code rc = cli_doctor_verdict_json(&d->verdict, d->folder, report_path, object, e);

    if (rc == SS_OK)
        rc = cli_doctor_save(&d->steps, object, e);
    if (rc == SS_OK && d->p.common.json) {
        json_dumpf(object, stdout, JSON_INDENT(1));
        putchar('\n');
    } else if (rc == SS_OK) {
        ss_progress_hide();
        cli_doctor_verdict_print(&d->verdict, d->folder, report_path);
    }
    json_decref(object);
    return rc;
}

static ss_code doctor_run(doctor *d, ss_err *e)
{
    ss_code rc = find_models(d, e);

    if (rc == SS_OK && !d->runs_given) {
        ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER); /* the steps say what is to be said */
        rc = look_at_all(d, e);
        ss_log_setup(d->p.common.level, d->p.common.progress);
    }
    if (rc != SS_OK)
        return rc;
    prepare(d);
    d->steps.folder = d->folder;
    d->steps.quiet_stdout = d->p.common.json;
    d->verdict.format = d->format;
    rc = cli_doctor_begin(&d->steps, d->force, d->resume, e);
    if (rc == SS_OK) {
        rc = examine(d, e);
        if (rc != SS_OK) { /* what was done stays known, for --resume */
            json_t *object = json_object();

            cli_doctor_save(&d->steps, object, NULL);
            json_decref(object);
        }
    }
    return rc == SS_OK ? finish(d, e) : rc;
}

static void remember(doctor *d, int id)
{
    passed *grown = ss_grow(d->passed, &d->cap, (size_t)d->n_passed + 1, sizeof *grown);

    if (!grown) {
        cli_usage(&d->p, "out of memory");
        return;
    }
    d->passed = grown;
    d->passed[d->n_passed++] = (passed){id, d->p.option, d->p.arg};
}

static void release(doctor *d)
{
    cli_doctor_end(&d->steps);
    cli_doctor_verdict_release(&d->verdict);
    for (int i = 0; i < d->n_runs; i++)
        ss_free(d->runs[i]);
    ss_free(d->baseline);
    ss_free(d->passed);
    ss_checkpoint_folders_release(&d->list);
    cli_probe_release(&d->lists);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    doctor d = {.opt = ss_probe_defaults(), .format = "fp16", .folder = DEFAULT_FOLDER};
    ss_format format;
    ss_err e = {0};
    int id, status;

    cli_begin(&d.p, cmd, argc, argv);
    while ((id = cli_next(&d.p)) != CLI_END) {
        switch (id) {
        case OPT_OUTPUT: d.folder = d.p.arg; break;
        case OPT_FORMAT:
            d.format = d.p.arg;
            if (ss_format_parse(d.format, &format, &e) != SS_OK)
                cli_usage(&d.p, "--format: %s", e.msg);
            break;
        case OPT_FORCE: d.force = true; break;
        case OPT_RESUME: d.resume = true; break;
        default:
            cli_probe_take(&d.p, id, &d.opt, &d.lists);
            remember(&d, id);
            break;
        }
    }
    cli_probe_set(&d.p, &d.opt, &d.lists);
    if (!d.p.stop && d.force && d.resume)
        cli_usage(&d.p, "--resume and --force exclude each other");
    if (cli_stop(&d.p, 1, MAX_MODELS)) {
        release(&d);
        return d.p.status;
    }
    cli_stop_on_signals();
    if (doctor_run(&d, &e) != SS_OK)
        status = cli_fail(&d.p, &e);
    else
        status = cli_flush(&d.p, d.verdict.bad             ? CLI_FINDING
                                 : !d.n_runs || d.n_failed ? CLI_FAIL
                                                           : CLI_OK);
    release(&d);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope doctor training",
     "a training's folder of checkpoints: which is the first bad one, and why."},
    {"sigmascope doctor sd15 --inputs images:photos -o sd15-doctor",
     "a pipeline: text encoders, denoiser and autoencoder, with pictures of your own."},
    {"sigmascope doctor checkpoint-6000/unet --prompt-embeds zeros --format bf16",
     "one network, told zeros in place of a text."},
    {0},
};

const cli_command cmd_doctor = {
    "doctor",
    "MODEL...",
    "one command from a folder to the report",
    "Runs the commands that find a fault, one after the other: inspect (weights that are inf or\n"
    "NaN come first), probe, or bisect where there are several checkpoints, attn, analyze, the\n"
    "list of modules to keep in fp32, and report. Prints each command as it is run, so that it\n"
    "can be repeated by itself; DIR/commands.sh has them all. MODEL is a model or pipeline,\n"
    "several checkpoints, a training's folder of them, or run files, which are not probed again.\n"
    "\n"
    "What the command line leaves open is chosen: noise levels over the schedule, inputs by the\n"
    "network's kind, and stand-ins where a condition is not at hand (docs/doctor.md). The grid is\n"
    "as fine as about two minutes on two CPU cores allow. The end says what was covered: nothing\n"
    "else was tested. Exit status 3: bad; 0: nothing bad in what was covered; 1: a step failed.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_JSON,
    run,
    examples,
};
