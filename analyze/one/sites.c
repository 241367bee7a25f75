/* sites.c - see sites.h */
#include "analyze/one/sites.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The range of values that take part in one number. */
typedef struct {
    int input0, input1, sigma0, sigma1;
} range;

static range range_of(const ss_run *r, int input, int sigma)
{
    return (range){
        .input0 = input == SS_ALL ? 0 : input,
        .input1 = input == SS_ALL ? r->n_inputs : input + 1,
        .sigma0 = sigma == SS_ALL ? 0 : sigma,
        .sigma1 = sigma == SS_ALL ? r->n_sigmas : sigma + 1,
    };
}

double ss_site_peak(const ss_run *r, const float *x, ss_site s, int input, int sigma)
{
    const range g = range_of(r, input, sigma);
    double peak = NAN;

    for (int i = g.input0; i < g.input1; i++)
        for (int k = g.sigma0; k < g.sigma1; k++) {
            const float *v = x + ss_run_at(r, s.module, s.port, i, k, 0);

            for (int n = 0; n < r->n_samples; n++)
                peak = fmax(peak, v[n]); /* of NaN and a number: the number */
        }
    return peak;
}

double ss_site_rms(const ss_run *r, const float *x, ss_site s, int input, int sigma)
{
    const range g = range_of(r, input, sigma);
    double sum = 0, count = 0;

    for (int i = g.input0; i < g.input1; i++)
        for (int k = g.sigma0; k < g.sigma1; k++) {
            const float *v = x + ss_run_at(r, s.module, s.port, i, k, 0);

            for (int n = 0; n < r->n_samples; n++) {
                const double of = r->binned ? ss_run_count(r, k, n) : 1;

                if (!isnan(v[n]) && of > 0) {
                    sum += of * (double)v[n] * v[n];
                    count += of;
                }
            }
        }
    return count > 0 ? sqrt(sum / count) : NAN;
}

uint64_t ss_site_count(const ss_run *r, const uint64_t *x, ss_site s, int input, int sigma)
{
    const range g = range_of(r, input, sigma);
    uint64_t sum = 0;

    for (int i = g.input0; x && i < g.input1; i++)
        for (int k = g.sigma0; k < g.sigma1; k++) {
            const uint64_t *v = x + ss_run_at(r, s.module, s.port, i, k, 0);

            for (int n = 0; n < r->n_samples; n++)
                sum += v[n];
        }
    return sum;
}

/* A residual block that enlarges its input by nearest neighbours and adds that without a
 * convolution of its own: fp32 under autocast, as the enlarged input is. */
static bool adds_enlarged(const ss_run *r, int m)
{
    const char *path = r->modules[m], *last = strstr(path, ".upsamplers.");
    const size_t n = strlen(path);

    if (!last || strchr(last + strlen(".upsamplers."), '.') ||
        strcmp(r->kinds[m], "ResnetBlock2D") != 0)
        return false;
    for (int k = m + 1; k < r->n_modules && ss_module_inside(r->modules[k], path); k++)
        if (strcmp(r->modules[k] + n, ".conv_shortcut") == 0)
            return false;
    return true;
}

static bool inner_is_stored(const ss_run *r, ss_inner kind)
{
    const bool autocast = r->as != SS_ROUND_HALF;

    switch (kind) {
    case SS_INNER_LOGITS: return r->attention == SS_ATTENTION_EAGER;
    case SS_INNER_UNSCALED: return r->attention == SS_ATTENTION_EAGER_UNSCALED;
    case SS_INNER_UPCAST: return autocast && r->attention != SS_ATTENTION_SDPA;
    case SS_INNER_PROBABILITIES: return r->attention != SS_ATTENTION_SDPA;
    case SS_INNER_MODULATED: return r->as != SS_ROUND_AUTOCAST;
    case SS_INNER_MIXED: return !autocast;
    case SS_INNER_NONE:
    case SS_INNER_SUM:
    case SS_INNER_PRODUCT:
    case SS_N_INNERS: break;
    }
    return true;
}

/* True for the kinds whose input and weights autocast makes halves of. */
static bool is_product(const char *kind)
{
    return strcmp(kind, "Conv2d") == 0 || strcmp(kind, "Conv3d") == 0 ||
           strcmp(kind, "Linear") == 0;
}

bool ss_site_is_stored(const ss_run *r, ss_site s)
{
    const char *kind = r->kinds ? r->kinds[s.module] : "";

    if (r->inner[s.module])
        return inner_is_stored(r, r->inner[s.module]);
    if (r->as == SS_ROUND_HALF || !*kind)
        return true;
    if (ss_port_is_before(r->ports[s.port]))
        return is_product(kind);
    if (r->as == SS_ROUND_AUTOCAST_CPU)
        return true;
    return strcmp(kind, "GroupNorm") != 0 && strcmp(kind, "LayerNorm") != 0 &&
           !adds_enlarged(r, s.module);
}

double ss_site_weight(const ss_run *r, const float *weights, ss_site s)
{
    const char *kind = r->kinds ? r->kinds[s.module] : "";

    if (!weights || strcmp(r->ports[s.port], "output") != 0 ||
        (r->as != SS_ROUND_HALF && !is_product(kind)))
        return NAN;
    return weights[s.module];
}

/* State while sites are collected. */
struct finder {
    ss_run *r;
    const bool *wanted; /* [module] */
    bool each;          /* nothing is folded */
    ss_site_ports ports;
    const float *absmax;
    const uint64_t *nonfinite;
    ss_sites *out;
};

static bool is_among(const ss_run *r, ss_site s, ss_site_ports ports)
{
    const bool before = ss_port_is_before(r->ports[s.port]), inner = r->inner[s.module];

    switch (ports) {
    case SS_SITES_PRODUCED: return !before && !inner;
    case SS_SITES_MADE: return !before && (!inner || ss_site_is_stored(r, s));
    case SS_SITES_COMPUTED: return !before;
    case SS_SITES_STORED: return ss_site_is_stored(r, s);
    case SS_SITES_ALL: break;
    }
    return true;
}

/* True when the site is asked for, or a container that is folded into it. */
static bool is_wanted(const struct finder *f, ss_site s)
{
    const int port = s.port;

    if (f->each)
        return f->wanted[s.module];
    if (ss_fold_origin(f->r, s).module != s.module)
        return false;
    for (; s.module >= 0; s = (ss_site){ss_fold_around(f->r, s), port})
        if (f->wanted[s.module])
            return true;
    return false;
}

static void add_sites(struct finder *f, int module, bool before)
{
    static const char *const order[] = {"skip", "input", "output", "residual"};
    const ss_run *r = f->r;

    for (int k = 0; k <= 4; k++) { /* the known ports in order, then the others */
        for (int p = 0; p < r->n_ports; p++) {
            const ss_site s = {module, p};
            int rank = 0;

            while (rank < 4 && strcmp(r->ports[p], order[rank]) != 0)
                rank++;
            if (rank != k || ss_port_is_before(r->ports[p]) != before || !is_wanted(f, s) ||
                !is_among(r, s, f->ports))
                continue;
            if (!isnan(ss_site_peak(r, f->absmax, s, SS_ALL, SS_ALL)) ||
                ss_site_count(r, f->nonfinite, s, SS_ALL, SS_ALL))
                f->out->site[f->out->n++] = s;
        }
    }
}

/* Marks the modules that match any glob; each glob must match something. */
static ss_code select_modules(const ss_run *r, const char *const *globs, int n_globs, bool *wanted,
                              ss_err *e)
{
    for (int g = 0; g < n_globs; g++) {
        bool hit = false;
        ss_code rc = ss_glob_check(globs[g], e);

        if (rc != SS_OK)
            return rc;
        for (int m = 0; m < r->n_modules; m++) {
            if (ss_glob_module(globs[g], r->modules[m]))
                wanted[m] = hit = true;
        }
        if (!hit)
            return ss_fail(e, SS_USAGE, "%s: no module matches '%s'", r->path, globs[g]);
    }
    for (int m = 0; m < r->n_modules && n_globs == 0; m++)
        wanted[m] = true;
    return SS_OK;
}

static ss_code find(ss_run *r, const char *const *globs, int n_globs, ss_site_ports ports,
                    bool each, ss_sites *out, ss_err *e)
{
    struct finder f = {.r = r, .each = each, .ports = ports, .out = out};
    bool *wanted = ss_calloc((size_t)r->n_modules, sizeof *wanted);
    int *open = ss_calloc((size_t)r->n_modules, sizeof *open); /* modules we are inside of */
    int depth = 0;
    ss_code rc;

    *out =
        (ss_sites){.site = ss_alloc((size_t)r->n_modules * (size_t)r->n_ports, sizeof *out->site)};
    f.wanted = wanted;
    if (!wanted || !open || !out->site) {
        rc = ss_no_memory(e, r->path);
        goto out;
    }
    if ((rc = select_modules(r, globs, n_globs, wanted, e)) != SS_OK ||
        (rc = ss_fold_find(r, e)) != SS_OK ||
        (rc = ss_run_stat(r, "absmax", &f.absmax, e)) != SS_OK ||
        (rc = ss_run_nonfinite(r, &f.nonfinite, e)) != SS_OK)
        goto out;
    if (!f.absmax) {
        rc = ss_fail(e, SS_FORMAT, "%s: has no /stats/absmax", r->path);
        goto out;
    }
    for (int m = 0; m < r->n_modules; m++) {
        while (depth > 0 && !ss_module_inside(r->modules[m], r->modules[open[depth - 1]]))
            add_sites(&f, open[--depth], false);
        add_sites(&f, m, true);
        open[depth++] = m;
    }
    while (depth > 0)
        add_sites(&f, open[--depth], false);
out:
    ss_free(wanted);
    ss_free(open);
    if (rc != SS_OK)
        ss_sites_release(out);
    return rc;
}

ss_code ss_sites_find(ss_run *r, const char *const *globs, int n_globs, ss_site_ports ports,
                      ss_sites *out, ss_err *e)
{
    return find(r, globs, n_globs, ports, false, out, e);
}

ss_code ss_sites_find_each(ss_run *r, const char *const *globs, int n_globs, ss_site_ports ports,
                           ss_sites *out, ss_err *e)
{
    return find(r, globs, n_globs, ports, true, out, e);
}

void ss_sites_release(ss_sites *s)
{
    ss_free(s->site);
    *s = (ss_sites){0};
}

bool ss_site_is_whole(const ss_run *r, const float *absmax, const uint64_t *nonfinite, ss_site s)
{
    if (!ss_run_is_text(r) || r->n_samples == 1)
        return false;
    for (int i = 0; i < r->n_inputs; i++)
        for (int k = 0; k < r->n_sigmas; k++) {
            const size_t at = ss_run_at(r, s.module, s.port, i, k, 0);

            for (int n = 1; n < r->n_samples; n++)
                if (!isnan(absmax[at + (size_t)n]) || (nonfinite && nonfinite[at + (size_t)n]))
                    return false;
        }
    return true;
}

int ss_site_largest_sample(const ss_run *r, const float *absmax, const uint64_t *nonfinite,
                           ss_site s, int input, int sigma)
{
    const float *v = absmax + ss_run_at(r, s.module, s.port, input, sigma, 0);
    int best = -1;

    for (int n = 0; n < r->n_samples; n++) {
        if (!isnan(v[n]) && (best < 0 || v[n] > v[best]))
            best = n;
    }
    return ss_site_is_whole(r, absmax, nonfinite, s) ? -1 : best;
}

char *ss_site_name(const ss_run *r, ss_site s, char *out, size_t n)
{
    if (strcmp(r->ports[s.port], "output") == 0)
        snprintf(out, n, "%s", r->modules[s.module]);
    else
        snprintf(out, n, "%s (%s)", r->modules[s.module], r->ports[s.port]);
    return out;
}

int *ss_sigma_order(const ss_run *r)
{
    int *order = ss_alloc((size_t)r->n_sigmas, sizeof *order), n = 0;

    if (!order)
        return NULL;
    for (int s = 0; s < r->n_sigmas; s++) { /* insertion: there are tens */
        int at = n;

        if (!r->done[s])
            continue;
        for (; at > 0; at--) {
            int before = order[at - 1];

            if (r->sigmas[before] < r->sigmas[s] ||
                (r->sigmas[before] == r->sigmas[s] &&
                 (!r->timesteps || r->timesteps[before] <= r->timesteps[s])))
                break;
            order[at] = before;
        }
        order[at] = s;
        n++;
    }
    return order;
}
