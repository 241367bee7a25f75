/* doctor_look.c - `sigmascope doctor`: what is there, and what it takes (doctor.h) */
#include "base/file.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "models/pipeline.h"
#include "probe/components.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Operations of all forward passes together, by which the grid is chosen: about two minutes of two
 * CPU cores; a GPU does a hundred times as many. */
static const double BUDGET = 22e12, GPU_BUDGET = 2e15;
/* How fast a core, and a GPU, is taken to be before the first step has shown it [operations/s]. */
static const double CORE_SPEED = 0.9e11, GPU_SPEED = 2e13;
/* Weights that are read for NaN: more are left to the bisection. */
static const double MAX_INSPECTED = 3e10; /* bytes */

static bool is_run_file(const char *path)
{
    const size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".h5") == 0 && !ss_is_dir(path);
}

ss_code cli_doctor_find(cli_doctor *d, ss_err *e)
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
    if (runs > CLI_DOCTOR_RUNS)
        return ss_fail(e, SS_USAGE, "at most %d run files", CLI_DOCTOR_RUNS);
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
static void look(cli_doctor *d, const char *model, const char *component)
{
    cli_doctor_network *n = &d->net[d->n_nets];

    if (d->n_nets == CLI_DOCTOR_NETWORKS)
        return;
    cli_doctor_look(&d->opt, model, component, n);
    d->n_nets++;
}

/* Looks at the networks of a single model, the denoiser first. */
static ss_code look_at_one(cli_doctor *d, ss_err *e)
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

ss_code cli_doctor_look_at_all(cli_doctor *d, ss_err *e)
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

static double speed(const cli_doctor *d)
{
    const int threads = d->p.common.threads ? d->p.common.threads : omp_get_max_threads();

    return strcmp(d->p.common.device, "cpu") != 0 ? GPU_SPEED
                                                  : CORE_SPEED * (threads < 16 ? threads : 16);
}

/* Seconds of a step that runs the network: reading its weights, computing, watching. */
double cli_doctor_probe_seconds(const cli_doctor *d, int which)
{
    const cli_doctor_grid *g = &d->grid[which];

    return 0.3 + (double)d->net[which].bytes / 6e8 + g->flops / speed(d) +
           g->forwards * d->net[which].modules * 5e-5;
}

double cli_doctor_inspect_seconds(const cli_doctor_network *n)
{
    return 0.1 + (double)n->bytes / 1.5e9;
}

bool cli_doctor_inspects_all(const cli_doctor *d)
{
    return (double)d->n_models * (double)d->net[0].bytes <= MAX_INSPECTED;
}

static void expect(cli_doctor *d, int steps, double seconds)
{
    d->steps.n_expected += steps;
    d->steps.seconds_left += seconds;
}

/* Chooses the grids, and estimates the steps to come. */
void cli_doctor_prepare(cli_doctor *d)
{
    const bool gpu = strcmp(d->p.common.device, "cpu") != 0;
    const int inspected = d->n_models > 1 && !cli_doctor_inspects_all(d) ? 2 : d->n_models;
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
        expect(d, inspected, inspected * cli_doctor_inspect_seconds(n));
        expect(d, 1, d->probes * cli_doctor_probe_seconds(d, i));
        expect(d, 1, 0.5); /* attn */
    }
    if (d->runs_given)
        expect(d, d->n_models, d->n_models);
    expect(d, 3, 7); /* analyze, the page twice */
}
