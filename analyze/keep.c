/* keep.c - see keep.h: what is found */
#include "analyze/keep.h"

#include "base/mem.h"
#include "base/str.h"
#include "probe/run_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One look at a run. Arrays are [module]. */
typedef struct {
    ss_run *r;
    ss_keep *k;
    const float *absmax;
    const uint64_t *nonfinite;
    int *parent;      /* -1: none */
    bool *in, *out;   /* its input, its output overflows */
    bool *sum;        /* an addition that it makes overflows */
    bool *inside_out; /* some output inside overflows */
    bool *touched;    /* something overflows at it, or inside */
    int changed;
} look;

/* Raises a module's reason; the whole model is never kept. */
static void raise(look *l, int m, ss_keep_reason why, double peak, int sigma, int input)
{
    ss_keep_module *x = &l->k->modules[m];

    if (why > SS_KEEP_PASSES && strcmp(l->r->modules[m], SS_RUN_ROOT) == 0)
        why = SS_KEEP_PASSES;
    if (why <= x->why)
        return;
    *x = (ss_keep_module){.why = why,
                          .round = l->k->round,
                          .peak = peak,
                          .sigma = sigma,
                          .input = input,
                          .leaf = x->leaf,
                          .flush = x->flush};
    l->changed++;
}

static void find_parents(look *l)
{
    const ss_run *r = l->r;

    for (int m = 0; m < r->n_modules; m++) {
        int p = m - 1;

        while (p >= 0 && !ss_module_inside(r->modules[m], r->modules[p]))
            p = l->parent[p];
        l->parent[m] = p;
        l->k->modules[m].leaf = true;
        if (p >= 0)
            l->k->modules[p].leaf = false;
    }
}

/* The largest |x| at a port over everything, and where. */
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

/* What a module does itself is decided at once, for deepest modules; what containers do needs
 * all. What is seen at other ports than input and output is made by the container: the sum
 * behind an attention layer, the skip that is concatenated. */
static void look_at_ports(look *l, int m)
{
    const bool leaf = l->k->modules[m].leaf;

    for (int p = 0; p < l->r->n_ports; p++) {
        int sigma = -1, input = -1;
        const double peak = peak_of(l, (ss_site){m, p}, &sigma, &input);
        const char *port = l->r->ports[p];

        if (!is_over(l->k, peak))
            continue;
        l->touched[m] = true;
        if (strcmp(port, "input") == 0)
            l->in[m] = true;
        else if (strcmp(port, "residual") == 0 && l->parent[m] >= 0)
            l->sum[l->parent[m]] = true;
        else if (strcmp(port, "skip") != 0)
            l->out[m] = true;
        if (leaf && l->in[m])
            raise(l, m, SS_KEEP_READS, peak, sigma, input);
        if (leaf && l->out[m])
            raise(l, m, SS_KEEP_PRODUCES, peak, sigma, input);
    }
}

static ss_code look_at_logits(look *l, ss_err *e)
{
    ss_run *r = l->r;
    const float *logit;
    ss_code rc = ss_run_attention(r, "max_logit", &logit, e);

    for (int a = 0; rc == SS_OK && logit && a < r->n_layers; a++) {
        double peak = NAN;
        int sigma = -1, input = -1;

        for (int h = 0; h < r->n_heads; h++)
            for (int i = 0; i < r->n_inputs; i++)
                for (int s = 0; s < r->n_sigmas; s++)
                    for (int n = 0; n < r->n_samples; n++) {
                        const double v = logit[ss_run_attention_at(r, a, h, i, s, n)];

                        if (!isnan(v) && !(v <= peak)) {
                            peak = v;
                            sigma = s;
                            input = i;
                        }
                    }
        for (int m = 0; m < r->n_modules && is_over(l->k, peak); m++) {
            if (strcmp(r->modules[m], r->layers[a]) == 0) {
                raise(l, m, SS_KEEP_LOGITS, peak, sigma, input);
                l->touched[m] = true;
            }
        }
    }
    return rc;
}

/* Containers, from the inside to the outside. */
static void look_at_containers(look *l)
{
    const int output = ss_run_port(l->r, "output");

    for (int m = l->r->n_modules - 1; m >= 0; m--) {
        const int p = l->parent[m];
        int sigma = -1, input = -1;

        if (!l->k->modules[m].leaf) {
            if ((l->out[m] || l->sum[m]) && !l->in[m] && !l->inside_out[m]) {
                const double peak =
                    l->out[m] ? peak_of(l, (ss_site){m, output}, &sigma, &input) : NAN;

                raise(l, m, SS_KEEP_ADDS, peak, sigma, input);
            } else if (l->touched[m] || l->sum[m]) {
                raise(l, m, SS_KEEP_PASSES, NAN, -1, -1);
            }
        }
        if (p >= 0) {
            l->touched[p] |= l->touched[m] || l->sum[m];
            l->inside_out[p] |= l->out[m] || l->inside_out[m];
        }
    }
}

static uint64_t bad_at(const look *l, ss_site s, int input, int sigma, int sample)
{
    return l->nonfinite ? l->nonfinite[ss_run_at(l->r, s.module, s.port, input, sigma, sample)] : 0;
}

/* Where inf or NaN comes from: the first site of each cell that has any. */
static void look_for_origins(look *l, const ss_sites *sites)
{
    const ss_run *r = l->r;
    const int output = ss_run_port(r, "output");

    for (int i = 0; i < r->n_inputs; i++)
        for (int s = 0; s < r->n_sigmas; s++)
            for (int n = 0; n < r->n_samples; n++) {
                int at = 0;

                while (at < sites->n && !bad_at(l, sites->site[at], i, s, n))
                    at++;
                if (at == sites->n)
                    continue;
                const ss_site first = sites->site[at];
                const int p = l->parent[first.module];

                if (first.port != output && p >= 0) /* on the way: what is around made it */
                    raise(l, p, SS_KEEP_ADDS, NAN, s, i);
                else if (l->k->modules[first.module].leaf)
                    raise(l, first.module, SS_KEEP_PRODUCES, NAN, s, i);
                else
                    raise(l, first.module, SS_KEEP_ADDS, NAN, s, i);
            }
}

/* Marks what is inside of containers that are kept whole, and counts. */
static void settle(look *l)
{
    ss_keep *k = l->k;

    k->n_kept = k->n_passing = 0;
    for (int m = 0; m < k->n_modules; m++) {
        ss_keep_module *x = &k->modules[m];
        const ss_keep_module *around = l->parent[m] >= 0 ? &k->modules[l->parent[m]] : NULL;

        x->covered = around && (around->covered || around->why >= SS_KEEP_ADDS);
        k->n_kept += ss_keep_listed(k, m);
        k->n_passing += x->why == SS_KEEP_PASSES && !x->covered;
    }
}

static ss_code begin(look *l, ss_run *r, ss_keep *k, ss_err *e)
{
    const size_t n = (size_t)r->n_modules;
    ss_code rc;

    *l = (look){.r = r, .k = k};
    l->parent = ss_alloc(n, sizeof *l->parent);
    bool *flags = l->in = ss_calloc(n, 5 * sizeof *flags);
    if (!l->parent || !flags)
        return ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);
    l->out = flags + n;
    l->sum = flags + 2 * n;
    l->inside_out = flags + 3 * n;
    l->touched = flags + 4 * n;
    if ((rc = ss_run_stat(r, "absmax", &l->absmax, e)) != SS_OK ||
        (rc = ss_run_nonfinite(r, &l->nonfinite, e)) != SS_OK)
        return rc;
    return l->absmax ? SS_OK : ss_fail(e, SS_FORMAT, "%s: has no /stats/absmax", r->path);
}

static void end(look *l)
{
    ss_free(l->parent);
    ss_free(l->in);
}

static ss_code look_at_all(look *l, ss_err *e)
{
    ss_code rc;

    find_parents(l);
    for (int m = 0; m < l->r->n_modules; m++)
        look_at_ports(l, m);
    rc = look_at_logits(l, e);
    if (rc == SS_OK)
        look_at_containers(l);
    return rc;
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
                       "%s: was made with --precision %s; what has to stay in fp32 is told "
                       "from a run in fp32",
                       r->path, r->precision);
    if (strchr(r->precision, '='))
        return ss_fail(e, SS_USAGE,
                       "%s: was made with --precision-map (%s): a run in fp32 is needed", r->path,
                       r->precision);
    k->modules = ss_calloc((size_t)r->n_modules, sizeof *k->modules);
    if (!k->modules)
        return ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);
    for (int m = 0; m < r->n_modules; m++)
        k->modules[m] = (ss_keep_module){.peak = NAN, .sigma = -1, .input = -1, .flush = NAN};

    ss_code rc = begin(&l, r, k, e);
    if (rc == SS_OK)
        rc = look_at_all(&l, e);
    if (rc == SS_OK) {
        settle(&l);
        rc = find_flushed(r, k, e);
    }
    for (int m = 0; rc == SS_OK && m < r->n_modules; m++)
        k->input_over |= l.in[m] && strcmp(r->modules[m], SS_RUN_ROOT) == 0;
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
    ss_sites sites = {0};
    ss_code rc;

    *added = 0;
    if (emulated->n_modules != k->n_modules)
        return ss_fail(e, SS_FORMAT, "%s: has %d modules, the run in fp32 had %d", emulated->path,
                       emulated->n_modules, k->n_modules);
    k->round++;
    rc = begin(&l, emulated, k, e);
    if (rc == SS_OK)
        rc = ss_sites_find(emulated, NULL, 0, SS_SITES_ALL, &sites, e);
    if (rc == SS_OK)
        rc = look_at_all(&l, e);
    if (rc == SS_OK) {
        look_for_origins(&l, &sites);
        settle(&l);
        *added = l.changed;
    }
    ss_sites_release(&sites);
    end(&l);
    return rc;
}

bool ss_keep_listed(const ss_keep *k, int module)
{
    const ss_keep_module *x = &k->modules[module];

    return x->why >= SS_KEEP_READS && !x->covered;
}

void ss_keep_restrict(const ss_run *r, ss_keep *k, const int *modules, int n)
{
    k->n_kept = k->n_passing = 0;
    for (int m = 0; m < k->n_modules; m++) {
        ss_keep_module *x = &k->modules[m];
        bool stays = x->why <= SS_KEEP_PASSES;

        for (int i = 0; i < n && !stays; i++)
            stays = modules[i] == m;
        if (!stays)
            x->why = SS_KEEP_NO;
        x->covered = false;
        for (int c = 0; c < m && !x->covered; c++) /* containers come before what is inside */
            x->covered =
                k->modules[c].why >= SS_KEEP_ADDS && ss_module_inside(r->modules[m], r->modules[c]);
        k->n_kept += ss_keep_listed(k, m);
        k->n_passing += x->why == SS_KEEP_PASSES && !x->covered;
    }
}
