/* components.c - see components.h; components_say.c puts it into words */
#include "analyze/several/components.h"

#include "analyze/one/overflow.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Roles in the order in which a sample passes them. */
static const struct {
    const char *role, *text;
} order[] = {
    {SS_RUN_TEXT, "the text encoder"}, {SS_RUN_DENOISER, "the denoiser"}, {SS_RUN_VAE, "the VAE"}};

enum { N_ROLES = sizeof order / sizeof *order };

/* Place of the run's role in the order; N_ROLES: a role that this version does not know. */
static int rank_of(const ss_run *r)
{
    const char *role = *r->role ? r->role : SS_RUN_DENOISER;
    int i = 0;

    while (i < N_ROLES && strcmp(order[i].role, role) != 0)
        i++;
    return i;
}

const char *ss_component_name(const ss_run *r)
{
    if (*r->component || *r->family)
        return *r->component ? r->component : r->family;
    return *r->role ? r->role : SS_RUN_DENOISER;
}

static int in_passing_order(const void *a, const void *b)
{
    const ss_run *x = ((const ss_component_verdicts *)a)->run;
    const ss_run *y = ((const ss_component_verdicts *)b)->run;

    if (rank_of(x) != rank_of(y))
        return rank_of(x) - rank_of(y);
    return strcmp(x->component, y->component);
}

/* True for runs of one component. One that was probed from its own folder, without a pipeline, may
 * be any of its role. */
static bool is_same(const ss_run *a, const ss_run *b)
{
    return rank_of(a) == rank_of(b) &&
           (!*a->component || !*b->component || strcmp(a->component, b->component) == 0);
}

bool ss_runs_are_components(ss_run *const *runs, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (!is_same(runs[i], runs[k]))
                return true;
    return false;
}

int ss_globs_of_run(const ss_run *r, const char *const *globs, int n_globs, const char **kept)
{
    int n = 0;

    for (int g = 0; g < n_globs; g++) {
        bool hit = false;

        for (int m = 0; m < r->n_modules && !hit; m++)
            hit = ss_glob_module(globs[g], r->modules[m]);
        if (hit)
            kept[n++] = globs[g];
    }
    return n;
}

static ss_code check_globs(ss_run *const *runs, int n, const char *const *globs, int n_globs,
                           ss_err *e)
{
    for (int g = 0; g < n_globs; g++) {
        const char *kept;
        int hits = 0;
        const ss_code rc = ss_glob_check(globs[g], e);

        if (rc != SS_OK)
            return rc;
        for (int i = 0; i < n; i++)
            hits += ss_globs_of_run(runs[i], &globs[g], 1, &kept);
        if (!hits)
            return ss_fail(e, SS_USAGE, "no module of any component matches '%s'",
                           SS_SHOW(globs[g]));
    }
    return SS_OK;
}

/* ---- one run ---- */

/* A run while it is judged. */
typedef struct {
    ss_run *r;
    ss_sites sites; /* every port, in forward order */
    const float *absmax;
    const uint64_t *nonfinite;
    const ss_not_finite *bad;
} look;

static int index_of(const look *l, ss_site s)
{
    int i = 0;

    while (i < l->sites.n &&
           (l->sites.site[i].module != s.module || l->sites.site[i].port != s.port))
        i++;
    return i;
}

/* Finds the first site that overflows at any noise level and input, and of those at which it does
 * the one where it is largest. Returns its index; the number of sites: none does. */
static ss_code find_overflow(const look *l, const ss_format *f, int *at, ss_component_verdict *x,
                             ss_err *e)
{
    ss_overflow o;
    const ss_code rc = ss_overflow_find(l->r, &l->sites, f, &o, e);

    *at = l->sites.n;
    for (int i = 0; i < o.n && rc == SS_OK; i++) {
        const ss_overflow_row *row = &o.rows[i];
        const int index = row->n_over ? index_of(l, row->first) : l->sites.n;

        /* its values may overflow at some noise levels, and its weights at all */
        if (index > *at || index == l->sites.n ||
            (index == *at && (row->weights || (!x->weights && !(row->absmax > x->largest)))))
            continue;
        *at = index;
        *x = (ss_component_verdict){.kind = SS_VERDICT_OVERFLOWS,
                                    .site = row->first,
                                    .weights = row->weights,
                                    .cell = {row->sigma, row->input, row->sample},
                                    .largest = row->absmax,
                                    .bits = ss_headroom_bits(f, row->absmax)};
        if (row->weights)
            x->cell = (ss_cell){-1, -1, -1};
    }
    if (rc == SS_OK)
        ss_overflow_release(&o);
    return rc;
}

/* Finds the first site, among those that are judged, that is not finite in the run itself. */
static int find_not_finite(const look *l, ss_component_verdict *x)
{
    for (int i = 0; i < l->bad->n_sites; i++) {
        const ss_bad_site *b = &l->bad->sites[i];
        const int at = index_of(l, b->site);

        if (at == l->sites.n)
            continue;
        *x = (ss_component_verdict){.kind = SS_VERDICT_NOT_FINITE,
                                    .site = b->site,
                                    .cell = b->first,
                                    .largest =
                                        ss_site_peak(l->r, l->absmax, b->site, SS_ALL, SS_ALL),
                                    .bits = NAN};
        return at;
    }
    return l->sites.n;
}

static ss_code find_least(const look *l, const ss_format *f, ss_component_verdict *x, ss_err *e)
{
    ss_headroom h;
    const ss_code rc = ss_headroom_find(l->r, &l->sites, f, 1, &h, e);

    if (rc != SS_OK)
        return rc;
    if (h.n && !isnan(h.rows[0].peak)) {
        const ss_headroom_row *row = &h.rows[0];

        /* a container shows what is inside of it: the first in forward order made it */
        for (int i = 1; i < h.n && h.rows[i].peak == h.rows[0].peak; i++)
            if (index_of(l, h.rows[i].at) < index_of(l, row->at))
                row = &h.rows[i];
        *x = (ss_component_verdict){.kind = SS_VERDICT_FITS,
                                    .site = row->at,
                                    .cell = {row->sigma, row->input, row->sample},
                                    .largest = row->peak,
                                    .bits = row->bits[0]};
    }
    ss_headroom_release(&h);
    return SS_OK;
}

static ss_code judge_format(const look *l, const ss_format *f, ss_component_verdict *x, ss_err *e)
{
    ss_component_verdict over = {0}, bad = {0};
    int at_over;
    const int at_bad = find_not_finite(l, &bad);
    ss_code rc = find_overflow(l, f, &at_over, &over, e);

    if (rc != SS_OK)
        return rc;
    if (at_bad < l->sites.n && at_bad <= at_over)
        *x = bad;
    else if (at_over < l->sites.n)
        *x = over;
    else
        rc = find_least(l, f, x, e);
    return rc;
}

static void note_limits(const ss_not_finite *bad, ss_component_verdicts *c)
{
    if (bad->n_limits) {
        snprintf(c->limit, sizeof c->limit, "%s", bad->limits[0].what);
        c->limit_value = bad->limits[0].limit;
    }
    c->n_bad_weights = bad->n_weights;
    if (bad->n_weights)
        ss_printable(c->run->parameters[bad->weights[0].parameter], c->bad_weight,
                     sizeof c->bad_weight);
}

/* Why a run cannot be judged; NULL: it can. */
static const char *why_not(const look *l)
{
    if (l->r->n_done == 0)
        return ss_run_is_text(l->r) ? "no prompt is finished" : "no noise level is finished";
    if (l->sites.n == 0)
        return "nothing was recorded";
    if (l->bad->nothing_nonzero)
        return "every value is zero";
    return NULL;
}

static ss_code judge_sites(look *l, const ss_verdicts *v, ss_component_verdicts *c, ss_err *e)
{
    ss_code rc = ss_run_stat(l->r, "absmax", &l->absmax, e);

    if (rc == SS_OK)
        rc = ss_run_nonfinite(l->r, &l->nonfinite, e);
    if (rc != SS_OK || (c->why = why_not(l)))
        return rc;
    for (int f = 0; f < v->n_formats && rc == SS_OK; f++)
        rc = judge_format(l, &v->formats[f], &c->verdict[f], e);
    if (rc == SS_OK && v->n_formats && c->verdict[0].kind == SS_VERDICT_UNKNOWN)
        c->why = "no largest value is known";
    return rc;
}

static ss_code judge(const ss_verdicts *v, const char *const *globs, int n_globs,
                     ss_component_verdicts *c, ss_err *e)
{
    const char **kept = ss_calloc((size_t)n_globs + 1, sizeof *kept);
    ss_not_finite bad = {0};
    look l = {.r = c->run, .bad = &bad};
    ss_code rc = kept ? SS_OK : ss_no_memory(e, c->run->path);

    c->name = ss_component_name(c->run);
    c->role = rank_of(c->run) < N_ROLES ? order[rank_of(c->run)].text : c->name;
    c->emulated = !ss_run_is_f32(c->run) && *c->run->precision;
    for (int f = 0; f < v->n_formats; f++)
        c->verdict[f] = (ss_component_verdict){
            .site = {-1, -1}, .cell = {-1, -1, -1}, .largest = NAN, .bits = NAN};
    if (rc == SS_OK)
        rc = ss_not_finite_find(c->run, &bad, e);
    if (rc != SS_OK)
        goto out;
    note_limits(&bad, c);
    const int n_kept = ss_globs_of_run(c->run, globs, n_globs, kept);
    if (n_globs && !n_kept)
        c->why = "none of its modules is among those asked for";
    else if ((rc = ss_sites_find(c->run, kept, n_kept, SS_SITES_ALL, &l.sites, e)) == SS_OK)
        rc = judge_sites(&l, v, c, e);
out:
    ss_sites_release(&l.sites);
    ss_not_finite_release(&bad);
    ss_free(kept);
    return rc;
}

/* ---- all ---- */

/* Length of the path of the folder that `path` is in; 0: none. */
static size_t folder_length(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n;
}

/* True if a and b are in one folder, or are the same. */
static bool is_beside(const char *a, const char *b)
{
    const size_t n = folder_length(a);

    return strcmp(a, b) == 0 || (n == folder_length(b) && memcmp(a, b, n) == 0);
}

ss_code ss_verdicts_find(ss_run *const *runs, int n, const char *const *globs, int n_globs,
                         const ss_format *formats, int n_formats, ss_verdicts *v, ss_err *e)
{
    ss_code rc;

    *v = (ss_verdicts){.formats = formats, .n_formats = n_formats, .n = n, .one_pipeline = true};
    v->list = ss_calloc((size_t)n, sizeof *v->list);
    if (!v->list)
        return ss_no_memory(e, "components");
    for (int i = 0; i < n; i++)
        v->list[i].run = runs[i];
    qsort(v->list, (size_t)n, sizeof *v->list, in_passing_order);
    rc = check_globs(runs, n, globs, n_globs, e);
    for (int i = 0; i < n && rc == SS_OK; i++) {
        if (i && is_same(v->list[i - 1].run, v->list[i].run))
            rc = ss_fail(e, SS_USAGE,
                         "%s and %s are both of the component %s; runs of one component over "
                         "checkpoints are a trend: give them alone",
                         v->list[i - 1].run->path, v->list[i].run->path,
                         SS_SHOW(ss_component_name(v->list[i].run)));
        if (i && !is_beside(v->list[0].run->model_path, v->list[i].run->model_path))
            v->one_pipeline = false;
        if (rc == SS_OK)
            rc = judge(v, globs, n_globs, &v->list[i], e);
    }
    if (rc != SS_OK)
        ss_verdicts_release(v);
    return rc;
}

void ss_verdicts_release(ss_verdicts *v)
{
    ss_free(v->list);
    *v = (ss_verdicts){0};
}
