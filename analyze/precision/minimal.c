/* minimal.c - see minimal.h */
#include "analyze/precision/minimal.h"

#include "analyze/math/subset.h"
#include "analyze/precision/emulation.h"
#include "base/mem.h"
#include "base/str.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    ss_run *r;
    ss_minimal *m;
    ss_emulation emulation;
    ss_keep_module *all; /* [n_modules] of the list that suffices */
    char *levels;        /* of step 2 */
    const char **inputs;
} finder;

/* Emulates with these of the modules kept. */
static ss_code try_list(void *ctx, const int *modules, int n, bool *suffices, ss_err *e)
{
    finder *f = ctx;
    ss_keep *k = &f->m->keep;
    ss_run *again;
    uint64_t nonfinite;

    memcpy(k->modules, f->all, (size_t)k->n_modules * sizeof *k->modules);
    ss_keep_restrict(f->r, k, modules, n);
    f->m->n_runs++;
    ss_code rc = ss_emulation_run(&f->emulation, f->r, k, &again, e);
    if (rc == SS_OK)
        rc = ss_emulation_count(again, &nonfinite, NULL, e);
    ss_run_close(again);
    *suffices = rc == SS_OK && nonfinite == 0;
    return rc;
}

static bool fails_at(ss_run *again, const uint64_t *bad, int input, int sigma)
{
    for (int m = 0; m < again->n_modules; m++)
        for (int p = 0; p < again->n_ports; p++) {
            if (ss_site_count(again, bad, (ss_site){m, p}, input, sigma))
                return true;
        }
    return false;
}

/* Narrows the plan to what fails with nothing kept; nothing may. */
static ss_code narrow(finder *f, ss_err *e)
{
    ss_run *again;
    const uint64_t *bad = NULL;
    const bool by_timesteps = f->emulation.replay.opt.timesteps && f->r->timesteps;
    ss_str levels = {0};
    ss_code rc = ss_emulation_run(&f->emulation, f->r, NULL, &again, e);

    f->m->n_runs++;
    if (rc == SS_OK)
        rc = ss_run_nonfinite(again, &bad, e);
    if (rc != SS_OK) {
        ss_run_close(again);
        return rc;
    }
    f->inputs = ss_alloc((size_t)again->n_inputs, sizeof *f->inputs);
    for (int s = 0; s < again->n_sigmas; s++) {
        if (fails_at(again, bad, SS_ALL, s))
            ss_str_addf(&levels, "%s%.17g", f->m->n_sigmas++ ? "," : "",
                        by_timesteps ? (double)again->timesteps[s] : again->sigmas[s]);
    }
    for (int i = 0; f->inputs && i < f->r->n_inputs; i++) {
        if (fails_at(again, bad, i, SS_ALL))
            f->inputs[f->m->n_inputs++] = f->r->inputs[i];
    }
    if (f->m->n_sigmas)
        f->levels = ss_str_detach(&levels);
    if (!f->inputs || (f->m->n_sigmas && !f->levels))
        rc = ss_no_memory(e, "a minimal list");
    ss_run_close(again);
    return rc;
}

static ss_code search(finder *f, int *modules, int *n, bool narrowed, ss_err *e)
{
    const ss_probe_options whole = f->emulation.replay.opt;
    ss_probe_options *opt = &f->emulation.replay.opt;
    int tries;
    ss_code rc;

    if (narrowed) {
        *(opt->timesteps ? &opt->timesteps : &opt->sigmas) = f->levels;
        opt->inputs = f->inputs;
        opt->n_inputs = f->m->n_inputs;
    }
    rc = ss_subset_minimal(modules, n, try_list, f, &tries, e);
    *opt = whole;
    if (rc == SS_OK)
        rc = try_list(f, modules, *n, &f->m->found, e);
    return rc;
}

static int listed(const ss_keep *k, int *modules)
{
    int n = 0;

    for (int i = 0; i < k->n_modules; i++) {
        if (ss_keep_listed(k, i))
            modules[n++] = i;
    }
    return n;
}

static ss_code find(finder *f, ss_err *e)
{
    ss_minimal *m = f->m;
    ss_keep *k = &m->keep;
    int *modules = ss_alloc((size_t)k->n_modules, sizeof *modules), n;
    ss_code rc = SS_OK;

    f->all = ss_alloc((size_t)k->n_modules, sizeof *f->all);
    if (!modules || !f->all)
        rc = ss_no_memory(e, "a minimal list");
    if (rc == SS_OK) {
        memcpy(f->all, k->modules, (size_t)k->n_modules * sizeof *f->all);
        m->n_start = n = listed(k, modules);
        rc = narrow(f, e);
    }
    if (rc == SS_OK && m->n_sigmas == 0)
        rc = try_list(f, modules, 0, &m->found, e); /* nothing fails: nothing is kept */
    else if (rc == SS_OK)
        rc = search(f, modules, &n, true, e);
    if (rc == SS_OK && !m->found) {
        m->repeated = true;
        n = m->n_start;
        memcpy(k->modules, f->all, (size_t)k->n_modules * sizeof *f->all);
        listed(k, modules);
        rc = search(f, modules, &n, false, e);
    }
    ss_free(modules);
    return rc;
}

ss_code ss_minimal_find(ss_run *r, const ss_format *format, int threads, const char *device,
                        ss_minimal *m, ss_err *e)
{
    finder f = {.r = r, .m = m};
    ss_keep_check check = {0};

    *m = (ss_minimal){0};
    ss_code rc = ss_keep_find(r, format, 0, &m->keep, e);
    if (rc != SS_OK)
        return rc;
    snprintf(m->keep.title, sizeof m->keep.title, "minimal fp32 %s", format->name);
    if (m->keep.nonfinite)
        rc = ss_fail(e, SS_USAGE,
                     "%s has inf or NaN in fp32 itself: no list helps there; take the last good "
                     "checkpoint",
                     r->path);
    if (rc == SS_OK)
        rc = ss_keep_check_run(r, &m->keep, threads, device, &check, e);
    if (rc == SS_OK) {
        m->n_runs = check.n;
        m->n_start = m->keep.n_kept;
    }
    if (rc == SS_OK && check.clean) {
        rc = ss_emulation_begin(r, format->name, threads, device, &f.emulation, e);
        if (rc == SS_OK)
            rc = find(&f, e);
        ss_emulation_end(&f.emulation);
    }
    ss_keep_check_release(&check);
    ss_free(f.all);
    ss_free(f.levels);
    ss_free(f.inputs);
    if (rc != SS_OK)
        ss_minimal_release(m);
    return rc;
}

void ss_minimal_release(ss_minimal *m)
{
    ss_keep_release(&m->keep);
    *m = (ss_minimal){0};
}

ss_code ss_minimal_table(const ss_run *r, const ss_minimal *m, ss_table *t, ss_err *e)
{
    ss_code rc = ss_keep_table(r, &m->keep, INT_MAX, t, e);

    if (rc != SS_OK)
        return rc;
    if (!m->found)
        ss_table_note(t,
                      "NO list was found to suffice in %d emulated runs; this is the nearest, of "
                      "%d modules",
                      m->n_runs, m->keep.n_kept);
    else
        ss_table_note(t,
                      "%d modules suffice, of %d predicted, so that nothing is inf or NaN when the "
                      "rest runs in %s, and not one can be taken off: %d emulated runs, searched "
                      "on the %d noise levels and %d inputs that fail, verified on all%s",
                      m->keep.n_kept, m->n_start, m->keep.format.name, m->n_runs, m->n_sigmas,
                      m->n_inputs, m->repeated ? "; searched again on all" : "");
    return SS_OK;
}
