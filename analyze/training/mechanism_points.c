/* mechanism_points.c - see mechanism_points.h */
#include "analyze/training/mechanism_points.h"

#include "analyze/one/not_finite.h"
#include "analyze/several/align.h"
#include "analyze/training/mechanism_measure.h"
#include "analyze/training/mechanism_samples.h"
#include "analyze/training/thirds.h"
#include "base/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ss_mechanism_point nothing_known(double step, int run)
{
    return (ss_mechanism_point){.step = step,
                                .run = run,
                                .first = {-1, -1},
                                .at = {-1, -1},
                                .stream = NAN,
                                .others = NAN,
                                .low = NAN,
                                .high = NAN,
                                .encoder = NAN,
                                .decoder = NAN,
                                .sample = NAN,
                                .picture = NAN,
                                .sigma = NAN,
                                .loss = NAN,
                                .norm = NAN,
                                .rate = NAN,
                                .staleness = NAN,
                                .stale_share = NAN,
                                .stale_parameter = -1,
                                .sample_index = -1,
                                .pictures = NAN,
                                .update = NAN,
                                .weights = NAN};
}

static void look_at(const ss_view *view, ss_mechanism_points *p, int point)
{
    ss_point_bad(view, &p->points[point]);
    ss_point_stream(view, &p->points[point]);
    ss_point_layers(view, p, point);
}

static bool names_attention(const ss_run *r)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (strstr(r->modules[m], "attn") || strstr(r->modules[m], "attention"))
            return true;
    }
    return r->n_layers > 0;
}

static ss_code make_room(ss_run *first, int n, ss_mechanism_points *p, ss_err *e)
{
    p->n_layers = first->n_layers;
    p->names = first->layers;
    p->points = ss_calloc((size_t)n, sizeof *p->points);
    p->layers = ss_calloc((size_t)n * (size_t)p->n_layers, sizeof *p->layers);
    return p->points && p->layers && p->runs ? SS_OK : ss_no_memory(e, first->path);
}

static ss_code of_training(ss_run *r, ss_mechanism_points *p, ss_err *e)
{
    ss_view view = {0};
    double cut[2];
    int *inputs = ss_alloc((size_t)r->n_inputs, sizeof *inputs);
    ss_code rc = inputs ? ss_view_open(r, &view, e) : ss_no_memory(e, r->path);

    p->training = true;
    if (rc == SS_OK)
        rc = make_room(r, r->n_done, p, e);
    if (rc == SS_OK)
        rc = ss_run_training(r, "sigma", &view.sigma, e);
    if (rc == SS_OK)
        rc = ss_run_training(r, "sample_loss", &view.loss, e);
    if (rc == SS_OK)
        rc = ss_thirds_find(r, cut, e);
    view.low = cut[0];
    view.high = cut[1];
    if (rc != SS_OK)
        goto out;
    ss_samples_find_usual(&view);
    for (int i = 0; i < r->n_inputs; i++)
        inputs[i] = i;
    for (int c = 0; c < r->n_sigmas && rc == SS_OK; c++) {
        if (!r->done[c])
            continue;
        p->points[p->n] = nothing_known((double)r->steps[c], 0);
        view.columns = &c;
        view.n_columns = 1;
        view.inputs = inputs;
        view.n_inputs = r->n_inputs;
        look_at(&view, p, p->n);
        rc = ss_point_updates(&view, c, &p->points[p->n], e);
        p->n++;
    }
out:
    ss_view_close(&view);
    ss_free(inputs);
    return rc;
}

/* Points the view to columns and inputs that all runs have; to all of them if the run is alone (a
 * is NULL). */
static void where_alike(const ss_aligned *a, int at, ss_view *view, int *columns, int *inputs)
{
    view->n_columns = a ? a->n_sigmas : view->r->n_done;
    view->n_inputs = a ? a->n_inputs : view->r->n_inputs;
    for (int i = 0; i < view->n_columns && a; i++)
        columns[i] = ss_align_sigma(a, i, at);
    for (int i = 0; i < view->n_inputs; i++)
        inputs[i] = a ? ss_align_input(a, i, at) : i;
    view->columns = columns;
    view->inputs = inputs;
}

static ss_code of_run(const ss_aligned *a, int at, const float *first_weights,
                      ss_mechanism_points *p, ss_err *e)
{
    ss_run *r = p->runs[at];
    ss_view view = {0};
    int *columns = a ? ss_alloc((size_t)a->n_sigmas, sizeof *columns) : ss_sigma_order(r);
    int *inputs = ss_alloc((size_t)(a ? a->n_inputs : r->n_inputs), sizeof *inputs);
    ss_code rc = columns && inputs ? ss_view_open(r, &view, e) : ss_no_memory(e, r->path);

    if (rc != SS_OK)
        goto out;
    where_alike(a, at, &view, columns, inputs);
    view.first_weights = first_weights ? first_weights : view.weights;
    view.low = view.high = NAN;
    if (view.n_columns > 1 && r->sigmas) {
        view.low = r->sigmas[columns[(view.n_columns - 1) / 3]];
        view.high = r->sigmas[columns[view.n_columns - 1 - (view.n_columns - 1) / 3]];
    }
    look_at(&view, p, at);
    ss_point_weights(&view, p->runs[0], &p->points[at]);
out:
    ss_view_close(&view);
    ss_free(columns);
    ss_free(inputs);
    return rc;
}

/* Asks for weights that are inf or NaN, and for limits that the stream of the last point stands at.
 */
static ss_code ask_not_finite(ss_mechanism_points *p, int run, ss_err *e)
{
    ss_not_finite x;
    ss_code rc = ss_not_finite_find(p->runs[run], &x, e);

    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < p->n; i++) {
        if (p->points[i].run == run && x.n_weights && (!p->training || i == 0)) {
            p->points[i].bad = true;
            p->points[i].first = (ss_site){-1, -1};
        }
    }
    for (int i = 0; i < x.n_limits && !*p->limit && run == p->n_runs - 1; i++) {
        for (int k = 0; k < p->n && !*p->limit; k++) {
            if (p->points[k].run == run && p->points[k].stream == (double)(float)x.limits[i].limit)
                snprintf(p->limit, sizeof p->limit, "%s", x.limits[i].what);
        }
    }
    ss_not_finite_release(&x);
    return SS_OK;
}

static ss_code of_runs(const int64_t *steps, ss_mechanism_points *p, ss_err *e)
{
    ss_aligned a = {0};
    ss_err why = {0};
    const float *first;
    const bool alone = p->n_runs == 1;
    ss_code rc = alone ? SS_OK : ss_align(p->runs, p->n_runs, NULL, 0, &a, &why);

    if (rc == SS_SHAPE)
        snprintf(p->why, sizeof p->why, "%.*s", (int)sizeof p->why - 1, why.msg);
    if (rc != SS_OK)
        return rc == SS_SHAPE ? SS_OK : ss_fail(e, why.code, "%s", why.msg);
    rc = make_room(p->runs[0], p->n_runs, p, e);
    if (rc == SS_OK)
        rc = ss_run_weights(p->runs[0], "rms", &first, e);
    for (int i = 0; i < p->n_runs && rc == SS_OK; i++) {
        p->points[i] = nothing_known(steps ? (double)steps[i] : NAN, i);
        rc = of_run(alone ? NULL : &a, i, first, p, e);
        p->n++;
    }
    ss_align_release(&a);
    return rc;
}

/* The limit that the plan of a training clamps blocks to. */
static double clamp_of(const ss_run *r)
{
    json_t *plan = json_loads(r->plan, 0, NULL);
    const json_t *remedies = json_object_get(json_object_get(plan, "model"), "remedies");
    const json_t *clamp = json_object_get(remedies, "clamp");
    const double value = json_is_number(clamp) ? json_number_value(clamp) : NAN;

    json_decref(plan);
    return value;
}

/* Sorts runs and their steps, lowest first; few of them. */
static void sort_runs(ss_run **runs, int64_t *steps, int n)
{
    for (int i = 1; i < n; i++) {
        ss_run *r = runs[i];
        const int64_t step = steps[i];
        int at = i;

        for (; at > 0 && steps[at - 1] > step; at--) {
            runs[at] = runs[at - 1];
            steps[at] = steps[at - 1];
        }
        runs[at] = r;
        steps[at] = step;
    }
}

ss_code ss_mechanism_points_find(ss_run *const *runs, const int64_t *steps, int n,
                                 ss_mechanism_points *p, ss_err *e)
{
    int64_t *sorted = ss_alloc((size_t)n, sizeof *sorted);
    ss_code rc;

    *p = (ss_mechanism_points){.n_runs = n};
    if (!sorted || !(p->runs = ss_alloc((size_t)n, sizeof *p->runs))) {
        ss_free(sorted);
        return ss_no_memory(e, runs[0]->path);
    }
    memcpy(p->runs, runs, (size_t)n * sizeof *p->runs);
    for (int i = 0; i < n && steps; i++)
        sorted[i] = steps[i];
    if (steps)
        sort_runs(p->runs, sorted, n);
    p->clamp = clamp_of(p->runs[0]);
    p->attends = names_attention(p->runs[0]);
    rc = n == 1 && runs[0]->steps ? of_training(p->runs[0], p, e)
                                  : of_runs(steps ? sorted : NULL, p, e);
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ask_not_finite(p, i, e);
    ss_free(sorted);
    if (rc != SS_OK)
        ss_mechanism_points_release(p);
    return rc;
}

void ss_mechanism_points_release(ss_mechanism_points *p)
{
    ss_free(p->points);
    ss_free(p->layers);
    ss_free(p->runs);
    *p = (ss_mechanism_points){0};
}

const ss_run *ss_mechanism_run(const ss_mechanism_points *p, int point)
{
    return p->runs[p->points[point].run];
}
