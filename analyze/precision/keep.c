/* keep.c - see keep.h: what is found */
#include "analyze/precision/keep.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One pass over a run. */
typedef struct {
    ss_run *r;
    ss_keep *k;
    const float *absmax, *weights;
    const uint64_t *nonfinite;
    ss_sites sites; /* all, in forward order */
    int *parent;    /* [module] the module around it, -1: none */
    bool *over;     /* [module] its output overflows */
    int changed;
} look;

/* Raises a module's reason. */
static void raise(look *l, int m, ss_keep_reason why, ss_site value, double peak, int sigma,
                  int input)
{
    ss_keep_module *x = &l->k->modules[m];

    if (why <= x->why)
        return;
    *x = (ss_keep_module){.why = why,
                          .value = value,
                          .round = l->k->round,
                          .peak = peak,
                          .sigma = sigma,
                          .input = input,
                          .leaf = x->leaf,
                          .covered = x->covered,
                          .flush = x->flush};
    l->changed++;
}

/* Inner values have a parent, and are no parent themselves. */
static void find_parents(look *l)
{
    const ss_run *r = l->r;

    for (int m = 0; m < r->n_modules; m++) {
        int p = m - 1;

        while (p >= 0 && (r->inner[p] || !ss_module_inside(r->modules[m], r->modules[p])))
            p = r->inner[p] ? p - 1 : l->parent[p];
        l->parent[m] = p;
        l->k->modules[m].leaf = !r->inner[m];
        if (p >= 0 && !r->inner[m])
            l->k->modules[p].leaf = false;
    }
}

/* The largest |x| at a site over everything, and where. */
static double peak_of(const look *l, ss_site s, int *sigma, int *input)
{
    double peak = NAN;

    for (int i = 0; i < l->r->n_inputs; i++) {
        for (int k = 0; k < l->r->n_sigmas; k++) {
            const double v = ss_site_peak(l->r, l->absmax, s, i, k);

            if (!isnan(v) && !(v <= peak)) {
                peak = v;
                *sigma = k;
                *input = i;
            }
        }
    }
    return peak;
}

static bool is_over(const ss_keep *k, double x)
{
    return ss_overflows(&k->format, x * exp2(k->margin));
}

static bool is_port(const look *l, ss_site s, const char *port)
{
    return strcmp(l->r->ports[s.port], port) == 0;
}

static bool is_kind(const ss_run *r, int m, const char *kind)
{
    return r->kinds && strncmp(r->kinds[m], kind, strlen(kind)) == 0;
}

/* The module whose code makes the value. Inner values and the sum after a branch are made by the
 * module around them; -1: by none. */
static int maker_of(const look *l, ss_site s)
{
    return l->r->inner[s.module] || is_port(l, s, "residual") ? l->parent[s.module] : s.module;
}

/* True inside of a module that is kept whole, where everything is fp32. */
static bool is_held(const look *l, int m)
{
    for (; m >= 0; m = l->parent[m])
        if (l->k->modules[m].why == SS_KEEP_HOLDS)
            return true;
    return false;
}

/* Autocast: what is cast or stored there, by one site. last: the deepest module that was left
 * before, -1: none. */
static void look_under_autocast(look *l, ss_site s, double peak, int sigma, int input, int last)
{
    const ss_run *r = l->r;
    const int maker = maker_of(l, s), around = l->parent[s.module];
    const ss_inner inner = r->inner[s.module];
    const bool leaf = l->k->modules[s.module].leaf;

    if (maker < 0 || is_held(l, is_port(l, s, "output") && !inner ? around : maker))
        return;
    if (is_port(l, s, "skip"))
        return; /* it was stored where it comes from */
    if (is_port(l, s, "input")) {
        if (leaf)
            raise(l, s.module, SS_KEEP_READS, s, peak, sigma, input);
        return;
    }
    if (inner && inner != SS_INNER_SUM && inner != SS_INNER_MIXED && inner != SS_INNER_MODULATED)
        raise(l, maker, SS_KEEP_HOLDS, s, peak, sigma, input);
    else if (leaf)
        raise(l, s.module, SS_KEEP_PRODUCES, s, peak, sigma, input);
    else if (last >= 0 && ss_module_inside(r->modules[last], r->modules[maker]))
        raise(l, last, SS_KEEP_ADDS, s, peak, sigma, input);
    else
        raise(l, maker, SS_KEEP_HOLDS, s, peak, sigma, input);
    /* The attention operation casts queries, keys and values; what follows it is to_out. */
    if (leaf && around >= 0 && is_kind(r, around, "Attention") && is_kind(r, s.module, "Linear") &&
        !strstr(r->modules[s.module] + strlen(r->modules[around]), ".to_out"))
        raise(l, around, SS_KEEP_HOLDS, s, peak, sigma, input);
}

/* The whole network; in files that do not have it what runs first. */
static int whole(const look *l)
{
    for (int m = 0; m < l->r->n_modules; m++)
        if (strcmp(l->r->modules[m], SS_RUN_ROOT) == 0)
            return m;
    return 0;
}

/* Half: the smallest container around the value whose output fits. */
static void look_in_half(look *l, ss_site s, double peak, int sigma, int input)
{
    int m = maker_of(l, s);

    if (is_port(l, s, "input") && l->parent[s.module] >= 0)
        return; /* it was stored where it comes from */
    if (is_port(l, s, "skip"))
        m = -1; /* from one half of the network to the other */
    else if (m == s.module)
        m = l->parent[m];
    if (m >= 0 && is_held(l, m))
        return;
    while (m >= 0 && l->over[m])
        m = l->parent[m];
    raise(l, m < 0 ? whole(l) : m, SS_KEEP_HOLDS, s, peak, sigma, input);
}

/* Weights that overflow: the module of the weights, in half what is around it. */
static void look_at_weights(look *l, ss_site s, double weight)
{
    const int around = l->parent[s.module];

    if (is_held(l, around))
        return;
    if (l->r->as == SS_ROUND_HALF && around >= 0)
        raise(l, around, SS_KEEP_HOLDS, s, weight, -1, -1);
    else
        raise(l, s.module, SS_KEEP_PRODUCES, s, weight, -1, -1);
}

static void look_at_all(look *l)
{
    const ss_run *r = l->r;
    int last = -1, sigma = -1, input = -1;

    for (int i = 0; i < l->sites.n; i++) {
        const ss_site s = l->sites.site[i];

        if (is_port(l, s, "output") && !r->inner[s.module] && ss_site_is_stored(r, s))
            l->over[s.module] = is_over(l->k, peak_of(l, s, &sigma, &input));
    }
    for (int i = 0; i < l->sites.n; i++) {
        const ss_site s = l->sites.site[i];
        const double peak = peak_of(l, s, &sigma, &input);

        if (is_over(l->k, peak) && ss_site_is_stored(r, s)) {
            if (r->as == SS_ROUND_HALF)
                look_in_half(l, s, peak, sigma, input);
            else
                look_under_autocast(l, s, peak, sigma, input, last);
        }
        const double weight = ss_site_weight(r, l->weights, s);
        if (is_over(l->k, weight))
            look_at_weights(l, s, weight);
        if (is_port(l, s, "output") && l->k->modules[s.module].leaf)
            last = s.module;
    }
}

static uint64_t bad_at(const look *l, ss_site s, int input, int sigma, int sample)
{
    return l->nonfinite ? l->nonfinite[ss_run_at(l->r, s.module, s.port, input, sigma, sample)] : 0;
}

/* The first site of a cell with inf or NaN, which was not foreseen: its module stays in fp32, or
 * what is around it when that is so already. */
static void look_at_origin(look *l, ss_site s, int sigma, int input)
{
    const bool half = l->r->as == SS_ROUND_HALF;
    int m = maker_of(l, s);

    if (m < 0)
        return;
    if (!half && m == s.module && l->k->modules[m].leaf && is_port(l, s, "output") &&
        l->k->modules[m].why < SS_KEEP_PRODUCES && !is_held(l, m)) {
        raise(l, m, SS_KEEP_PRODUCES, s, NAN, sigma, input);
        return;
    }
    if (m == s.module && (half || l->k->modules[m].leaf) && l->parent[m] >= 0)
        m = l->parent[m];
    while (is_held(l, m) && l->parent[m] >= 0)
        m = l->parent[m];
    raise(l, m, SS_KEEP_HOLDS, s, NAN, sigma, input);
}

static void look_for_origins(look *l)
{
    const ss_run *r = l->r;

    for (int i = 0; i < r->n_inputs; i++)
        for (int s = 0; s < r->n_sigmas; s++)
            for (int n = 0; n < r->n_samples; n++) {
                int at = 0;

                while (at < l->sites.n && !bad_at(l, l->sites.site[at], i, s, n))
                    at++;
                if (at < l->sites.n)
                    look_at_origin(l, l->sites.site[at], s, i);
            }
}

/* Marks what is inside of containers that are kept whole, and counts. */
static void settle(const ss_run *r, ss_keep *k)
{
    k->n_kept = 0;
    for (int m = 0; m < k->n_modules; m++) {
        ss_keep_module *x = &k->modules[m];

        x->covered = false;
        for (int c = 0; c < m && !x->covered; c++) /* containers come before what is inside */
            x->covered = k->modules[c].why == SS_KEEP_HOLDS &&
                         ss_module_inside(r->modules[m], r->modules[c]);
        k->n_kept += ss_keep_listed(k, m);
    }
}

static ss_code begin(look *l, ss_run *r, ss_keep *k, ss_err *e)
{
    const size_t n = (size_t)r->n_modules;
    ss_code rc;

    *l = (look){.r = r, .k = k};
    l->parent = ss_alloc(n, sizeof *l->parent);
    l->over = ss_calloc(n, sizeof *l->over);
    if (!l->parent || !l->over)
        return ss_no_memory(e, r->path);
    if ((rc = ss_run_stat(r, "absmax", &l->absmax, e)) != SS_OK ||
        (rc = ss_run_nonfinite(r, &l->nonfinite, e)) != SS_OK ||
        (rc = ss_run_module_weights(r, &l->weights, e)) != SS_OK ||
        (rc = ss_sites_find_each(r, NULL, 0, SS_SITES_ALL, &l->sites, e)) != SS_OK)
        return rc;
    find_parents(l);
    return SS_OK;
}

static void end(look *l)
{
    ss_free(l->parent);
    ss_free(l->over);
    ss_sites_release(&l->sites);
}

static ss_code find_flushed(ss_run *r, ss_keep *k, ss_err *e)
{
    ss_sites produced;
    ss_headroom h;
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &produced, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_headroom_find(r, &produced, &k->format, 1, &h, e);
    for (int i = 0; i < h.n && rc == SS_OK; i++) {
        ss_keep_module *x = &k->modules[h.rows[i].module];

        x->flush = h.rows[i].range[0].flush;
        k->n_flushed += x->leaf && x->flush >= SS_KEEP_FLUSH;
    }
    ss_headroom_release(&h);
    ss_sites_release(&produced);
    return rc;
}

ss_code ss_keep_find(ss_run *r, const ss_format *f, double margin, ss_keep *k, ss_err *e)
{
    look l;

    *k = (ss_keep){.format = *f, .margin = margin, .n_modules = r->n_modules};
    snprintf(k->title, sizeof k->title, "keep fp32 %s", f->name);
    if (ss_format_is_f32(f))
        return ss_fail(e, SS_USAGE, "fp32 is what modules are kept in: name a smaller format");
    if (*r->precision && strncmp(r->precision, "fp32", 4) != 0)
        return ss_fail(e, SS_USAGE,
                       "%s: was made with --precision %s; what has to stay in fp32 follows "
                       "from a run in fp32",
                       r->path, r->precision);
    if (strchr(r->precision, '='))
        return ss_fail(e, SS_USAGE,
                       "%s: was made with --precision-map (%s): a run in fp32 is needed", r->path,
                       r->precision);
    k->modules = ss_calloc((size_t)r->n_modules, sizeof *k->modules);
    if (!k->modules)
        return ss_no_memory(e, r->path);
    for (int m = 0; m < r->n_modules; m++)
        k->modules[m] = (ss_keep_module){.peak = NAN, .sigma = -1, .input = -1, .flush = NAN};

    ss_code rc = begin(&l, r, k, e);
    if (rc == SS_OK) {
        look_at_all(&l);
        settle(r, k);
        rc = find_flushed(r, k, e);
    }
    for (int m = 0; rc == SS_OK && m < r->n_modules; m++)
        for (int p = 0; p < r->n_ports; p++)
            k->nonfinite += ss_site_count(r, l.nonfinite, (ss_site){m, p}, SS_ALL, SS_ALL);
    end(&l);
    if (rc != SS_OK)
        ss_keep_release(k);
    return rc;
}

void ss_keep_release(ss_keep *k)
{
    ss_free(k->modules);
    *k = (ss_keep){0};
}

ss_code ss_keep_grow(ss_run *emulated, ss_keep *k, int *added, ss_err *e)
{
    look l;
    ss_code rc;

    *added = 0;
    if (emulated->n_modules != k->n_modules)
        return ss_fail(e, SS_FORMAT, "%s: has %d modules, the run in fp32 had %d", emulated->path,
                       emulated->n_modules, k->n_modules);
    k->round++;
    rc = begin(&l, emulated, k, e);
    if (rc == SS_OK) {
        look_at_all(&l);
        look_for_origins(&l);
        settle(emulated, k);
        *added = l.changed;
    }
    end(&l);
    return rc;
}

bool ss_keep_listed(const ss_keep *k, int module)
{
    const ss_keep_module *x = &k->modules[module];

    return x->why != SS_KEEP_NO && !x->covered;
}

const char *ss_keep_path(const ss_run *r, int module)
{
    return strcmp(r->modules[module], SS_RUN_ROOT) == 0 ? "" : r->modules[module];
}

void ss_keep_restrict(const ss_run *r, ss_keep *k, const int *modules, int n)
{
    for (int m = 0; m < k->n_modules; m++) {
        bool stays = false;

        for (int i = 0; i < n && !stays; i++)
            stays = modules[i] == m;
        if (!stays)
            k->modules[m].why = SS_KEEP_NO;
    }
    settle(r, k);
}
