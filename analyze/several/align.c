/* align.c - see align.h */
#include "analyze/several/align.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sites of one run in the order of their names, to be looked up. */
typedef struct {
    const char *module, *port;
    int at; /* index into ss_aligned.found */
} named_site;

static int by_name(const void *a, const void *b)
{
    const named_site *x = a, *y = b;
    int order = strcmp(x->module, y->module);

    return order ? order : strcmp(x->port, y->port);
}

/* [found->n]; ss_free. */
static named_site *sort_sites(const ss_run *r, const ss_sites *found)
{
    named_site *s = ss_alloc((size_t)found->n, sizeof *s);

    for (int i = 0; s && i < found->n; i++)
        s[i] = (named_site){r->modules[found->site[i].module], r->ports[found->site[i].port], i};
    if (s)
        qsort(s, (size_t)found->n, sizeof *s, by_name);
    return s;
}

/* The first and the last of a run's sites, for a message. */
static const char *ends_of(const ss_aligned *a, int run, char *out, size_t n)
{
    const ss_sites *found = &a->found[run];
    const ss_run *r = a->runs[run];
    char first[128], last[128];

    if (found->n == 0)
        return "nothing";
    ss_site_name(r, found->site[0], first, sizeof first);
    ss_site_name(r, found->site[found->n - 1], last, sizeof last);
    snprintf(out, n, "%d sites, from %s to %s", found->n, first, last);
    return out;
}

/* Drops the sites that run j lacks. */
static ss_code keep_sites(ss_aligned *a, int j, ss_err *e)
{
    const ss_run *first = a->runs[0], *r = a->runs[j];
    const ss_sites *found = &a->found[j];
    named_site *names = sort_sites(r, found);
    char left[320], right[320];
    int kept = 0;

    if (!names)
        return ss_no_memory(e, "aligning runs");
    for (int i = 0; i < a->n_sites; i++) {
        ss_site *s = a->sites + (size_t)i * (size_t)a->n_runs;
        const named_site key = {first->modules[s->module], first->ports[s->port], 0};
        const named_site *hit = bsearch(&key, names, (size_t)found->n, sizeof *names, by_name);

        if (!hit)
            continue;
        s[j] = found->site[hit->at];
        memmove(a->sites + (size_t)kept++ * (size_t)a->n_runs, s, (size_t)a->n_runs * sizeof *s);
    }
    a->n_sites = kept;
    ss_free(names);
    return kept ? SS_OK
                : ss_fail(e, SS_SHAPE, "%s and %s have no module in common: %s; %s", first->path,
                          r->path, ends_of(a, 0, left, sizeof left),
                          ends_of(a, j, right, sizeof right));
}

static ss_code align_sites(ss_aligned *a, const char *const *globs, int n_globs, ss_err *e)
{
    const size_t width = (size_t)a->n_runs;
    ss_code rc = SS_OK;

    a->found = ss_calloc(width, sizeof *a->found);
    a->shared = ss_calloc(width, sizeof *a->shared);
    if (!a->found || !a->shared)
        return ss_no_memory(e, "aligning runs");
    rc = ss_fold_alike(a->runs, a->n_runs, e);
    for (int j = 0; j < a->n_runs && rc == SS_OK; j++) {
        rc = ss_sites_find(a->runs[j], globs, n_globs, SS_SITES_PRODUCED, &a->found[j], e);
        if (rc == SS_OK && !(a->shared[j] = ss_calloc((size_t)a->found[j].n, sizeof(bool))))
            rc = ss_no_memory(e, "aligning runs");
    }
    if (rc != SS_OK)
        return rc;
    a->n_sites = a->found[0].n;
    if (!(a->sites = ss_calloc((size_t)a->n_sites * width, sizeof *a->sites)))
        return ss_no_memory(e, "aligning runs");
    for (int i = 0; i < a->n_sites; i++)
        a->sites[(size_t)i * width] = a->found[0].site[i];
    if (a->n_sites == 0)
        return ss_fail(e, SS_SHAPE, "%s: no module has statistics at a finished noise level",
                       a->runs[0]->path);
    for (int j = 1; j < a->n_runs && rc == SS_OK; j++)
        rc = keep_sites(a, j, e);
    for (int j = 0; j < a->n_runs && rc == SS_OK; j++) {
        const ss_run *r = a->runs[j];
        bool *by_place = ss_calloc((size_t)r->n_modules * (size_t)r->n_ports, sizeof *by_place);

        if (!by_place)
            return ss_no_memory(e, "aligning runs");
        for (int i = 0; i < a->n_sites; i++) {
            ss_site s = ss_align_site(a, i, j);
            by_place[(size_t)s.module * (size_t)r->n_ports + (size_t)s.port] = true;
        }
        for (int i = 0; i < a->found[j].n; i++) {
            ss_site s = a->found[j].site[i];
            a->shared[j][i] = by_place[(size_t)s.module * (size_t)r->n_ports + (size_t)s.port];
        }
        ss_free(by_place);
    }
    return rc;
}

/* Distance of two noise levels, |ln ratio|; they are different above the tolerance. */
static double distance(double x, double y)
{
    if (x == y)
        return 0;
    return x > 0 && y > 0 ? fabs(log(x / y)) : INFINITY;
}

/* The noise level of run j that fits level s of the first run best and is not taken; or -1. */
static int find_sigma(const ss_aligned *a, int s, int j, const int *order, const bool *taken)
{
    const ss_run *first = a->runs[0], *r = a->runs[j];
    const bool timesteps = first->timesteps && r->timesteps;
    double best = INFINITY, best_step = INFINITY;
    int found = -1;

    for (int k = 0; k < r->n_done; k++) {
        const int o = order[k];
        const double d = distance(first->sigmas[s], r->sigmas[o]);
        const double step =
            timesteps ? fabs((double)first->timesteps[s] - (double)r->timesteps[o]) : 0;

        if (taken[o] || !(d <= SS_SIGMA_TOLERANCE) || d > best || (d == best && step >= best_step))
            continue;
        best = d;
        best_step = step;
        found = o;
    }
    return found;
}

static ss_code keep_sigmas(ss_aligned *a, int j, ss_err *e)
{
    const ss_run *first = a->runs[0], *r = a->runs[j];
    int *order = ss_sigma_order(r), kept = 0;
    bool *taken = ss_calloc((size_t)r->n_sigmas, sizeof *taken);
    ss_code rc = order && taken ? SS_OK : ss_no_memory(e, "aligning runs");

    for (int i = 0; i < a->n_sigmas && rc == SS_OK; i++) {
        int *s = a->sigmas + (size_t)i * (size_t)a->n_runs;

        s[j] = find_sigma(a, s[0], j, order, taken);
        if (s[j] < 0)
            continue;
        taken[s[j]] = true;
        memmove(a->sigmas + (size_t)kept++ * (size_t)a->n_runs, s, (size_t)a->n_runs * sizeof *s);
    }
    if (rc == SS_OK && kept == 0)
        rc = ss_fail(e, SS_SHAPE,
                     "%s and %s have no noise level in common: the lowest is %g, here %g; probe "
                     "both with the same --sigmas",
                     first->path, r->path, first->sigmas[a->sigmas[0]], r->sigmas[order[0]]);
    a->n_sigmas = kept;
    ss_free(order);
    ss_free(taken);
    return rc;
}

static ss_code align_sigmas(ss_aligned *a, ss_err *e)
{
    const ss_run *first = a->runs[0];
    int *order = ss_sigma_order(first);
    ss_code rc = SS_OK;

    for (int j = 0; j < a->n_runs && rc == SS_OK; j++) {
        if (a->runs[j]->n_done == 0)
            rc = ss_fail(e, SS_SHAPE, "%s: no noise level is finished", a->runs[j]->path);
    }
    a->n_sigmas = first->n_done;
    a->sigmas = ss_calloc((size_t)first->n_done * (size_t)a->n_runs, sizeof *a->sigmas);
    if (rc == SS_OK && (!order || !a->sigmas))
        rc = ss_no_memory(e, "aligning runs");
    for (int k = 0; k < first->n_done && rc == SS_OK; k++)
        a->sigmas[(size_t)k * (size_t)a->n_runs] = order[k];
    ss_free(order);
    for (int j = 1; j < a->n_runs && rc == SS_OK; j++)
        rc = keep_sigmas(a, j, e);
    return rc;
}

int ss_align_label(char *const *list, int64_t n, const char *label)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i], label) == 0)
            return i;
    }
    return -1;
}

static int find_input(const ss_run *r, const char *label)
{
    return ss_align_label(r->inputs, r->n_inputs, label);
}

static ss_code align_inputs(ss_aligned *a, ss_err *e)
{
    const ss_run *first = a->runs[0];
    bool alone = true;

    for (int j = 0; j < a->n_runs; j++)
        alone &= a->runs[j]->n_inputs == 1;
    a->inputs = ss_calloc((size_t)first->n_inputs * (size_t)a->n_runs, sizeof *a->inputs);
    if (!a->inputs)
        return ss_no_memory(e, "aligning runs");
    for (int i = 0; i < first->n_inputs; i++) {
        int *row = a->inputs + (size_t)a->n_inputs * (size_t)a->n_runs;
        bool everywhere = true;

        row[0] = i;
        for (int j = 1; j < a->n_runs; j++) {
            row[j] = find_input(a->runs[j], first->inputs[i]);
            if (row[j] < 0 && alone) {
                row[j] = 0;
                a->renamed = true;
            }
            everywhere &= row[j] >= 0;
        }
        a->n_inputs += everywhere;
    }
    for (int j = 1; j < a->n_runs && a->n_inputs == 0; j++) {
        if (find_input(a->runs[j], first->inputs[0]) < 0)
            return ss_fail(e, SS_SHAPE,
                           "no input is in all runs: %s has '%.200s' and %d more, %s has '%.200s' "
                           "and %d more; probe all with the same --inputs",
                           first->path, first->inputs[0], first->n_inputs - 1, a->runs[j]->path,
                           a->runs[j]->inputs[0], a->runs[j]->n_inputs - 1);
    }
    return a->n_inputs ? SS_OK : ss_fail(e, SS_SHAPE, "no input is in all runs");
}

ss_code ss_align(ss_run *const *runs, int n_runs, const char *const *globs, int n_globs,
                 ss_aligned *a, ss_err *e)
{
    ss_code rc;

    *a = (ss_aligned){.runs = ss_alloc((size_t)n_runs, sizeof *a->runs), .n_runs = n_runs};
    if (!a->runs)
        return ss_no_memory(e, "aligning runs");
    memcpy(a->runs, runs, (size_t)n_runs * sizeof *runs);
    if ((rc = align_sigmas(a, e)) == SS_OK && (rc = align_sites(a, globs, n_globs, e)) == SS_OK)
        rc = align_inputs(a, e);
    if (rc != SS_OK)
        ss_align_release(a);
    return rc;
}

void ss_align_release(ss_aligned *a)
{
    for (int j = 0; j < a->n_runs; j++) {
        if (a->found)
            ss_sites_release(&a->found[j]);
        if (a->shared)
            ss_free(a->shared[j]);
    }
    ss_free(a->runs);
    ss_free(a->found);
    ss_free(a->shared);
    ss_free(a->sites);
    ss_free(a->sigmas);
    ss_free(a->inputs);
    *a = (ss_aligned){0};
}

ss_site ss_align_site(const ss_aligned *a, int i, int run)
{
    return a->sites[(size_t)i * (size_t)a->n_runs + (size_t)run];
}

int ss_align_sigma(const ss_aligned *a, int i, int run)
{
    return a->sigmas[(size_t)i * (size_t)a->n_runs + (size_t)run];
}

int ss_align_input(const ss_aligned *a, int i, int run)
{
    return a->inputs[(size_t)i * (size_t)a->n_runs + (size_t)run];
}

double ss_align_peak(const ss_aligned *a, int run, const float *x, int site, int input, int sigma)
{
    const ss_site s = ss_align_site(a, site, run);
    double peak = NAN;

    for (int i = input == SS_ALL ? 0 : input; i < (input == SS_ALL ? a->n_inputs : input + 1); i++)
        for (int k = sigma == SS_ALL ? 0 : sigma; k < (sigma == SS_ALL ? a->n_sigmas : sigma + 1);
             k++)
            peak = fmax(peak, ss_site_peak(a->runs[run], x, s, ss_align_input(a, i, run),
                                           ss_align_sigma(a, k, run)));
    return peak;
}

uint64_t ss_align_count(const ss_aligned *a, int run, const uint64_t *x, int site, int input,
                        int sigma)
{
    const ss_site s = ss_align_site(a, site, run);
    uint64_t sum = 0;

    for (int i = input == SS_ALL ? 0 : input; i < (input == SS_ALL ? a->n_inputs : input + 1); i++)
        for (int k = sigma == SS_ALL ? 0 : sigma; k < (sigma == SS_ALL ? a->n_sigmas : sigma + 1);
             k++)
            sum += ss_site_count(a->runs[run], x, s, ss_align_input(a, i, run),
                                 ss_align_sigma(a, k, run));
    return sum;
}

static void add_left(ss_str *out, bool *begun, int n, const char *what, const char *path)
{
    if (n > 0)
        ss_str_addf(out, "%s%d %s of %s", *begun ? ", " : "; left out: ", n, what, path);
    *begun |= n > 0;
}

void ss_align_describe(const ss_aligned *a, ss_str *out)
{
    bool begun = false;

    for (int j = 0; j < a->n_runs; j++) {
        const ss_run *r = a->runs[j];
        const char *path = strrchr(r->path, '/') ? strrchr(r->path, '/') + 1 : r->path;

        add_left(out, &begun, a->found[j].n - a->n_sites, "sites", path);
        add_left(out, &begun, r->n_done - a->n_sigmas, "noise levels", path);
        add_left(out, &begun, r->n_inputs - a->n_inputs, "inputs", path);
    }
    if (a->renamed)
        ss_str_add(out, "; the inputs have different names, but each run has one only");
}
