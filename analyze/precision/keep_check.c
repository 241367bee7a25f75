/* keep_check.c - see keep_check.h */
#include "analyze/precision/keep_check.h"

#include "analyze/precision/emulation.h"
#include "base/mem.h"

#include <math.h>

static const char denoised[] = "/outputs/denoised";

/* Squared differences and squares of one picture; false when something is not finite. */
static bool add_picture(const float *y, const float *y0, int64_t n, double *num, double *den)
{
    double d = 0, s = 0;

    for (int64_t i = 0; i < n; i++) {
        d += ((double)y[i] - y0[i]) * ((double)y[i] - y0[i]);
        s += (double)y0[i] * y0[i];
    }
    if (!isfinite(d) || !isfinite(s))
        return false;
    *num += d;
    *den += s;
    return true;
}

static ss_code compare_pictures(ss_run *r, ss_run *again, ss_keep_trial *t, ss_err *e)
{
    ss_run_shape shape, other;
    double num = 0, den = 0;
    float *y = NULL;
    ss_code rc = SS_OK;

    t->change = NAN;
    if (!ss_run_has_pictures(r, denoised, &shape) ||
        !ss_run_has_pictures(again, denoised, &other) || shape.n != other.n)
        return SS_OK;
    y = ss_alloc(2 * (size_t)shape.n, sizeof *y);
    if (!y)
        return ss_no_memory(e, "keeping fp32");
    for (int i = 0; i < r->n_inputs && i < again->n_inputs; i++)
        for (int s = 0; s < r->n_sigmas && s < again->n_sigmas; s++)
            for (int n = 0; n < r->n_samples && n < again->n_samples && rc == SS_OK; n++) {
                if (!r->done[s])
                    continue;
                rc = ss_run_picture(r, denoised, i, s, n, y, e);
                if (rc == SS_OK)
                    rc = ss_run_picture(again, denoised, i, s, n, y + shape.n, e);
                t->pictures++;
                t->lost += rc == SS_OK && !add_picture(y + shape.n, y, shape.n, &num, &den);
            }
    ss_free(y);
    if (rc == SS_OK && t->lost < t->pictures)
        t->change = sqrt(num / den);
    return rc;
}

/* One run under emulation; with the list, unless it is the first. Grows the list by what it shows.
 * *added: as ss_keep_grow. */
static ss_code try_once(ss_run *r, ss_emulation *m, ss_keep *k, bool list, ss_keep_trial *t,
                        int *added, ss_err *e)
{
    ss_run *again;
    ss_code rc;

    *t = (ss_keep_trial){.kept = list ? k->n_kept : 0};
    *added = 0;
    rc = ss_emulation_run(m, r, list ? k : NULL, &again, e);
    if (rc == SS_OK)
        rc = ss_emulation_count(again, &t->nonfinite, &t->modules, e);
    if (rc == SS_OK)
        rc = compare_pictures(r, again, t, e);
    if (rc == SS_OK && list && t->nonfinite > k->nonfinite)
        rc = ss_keep_grow(again, k, added, e);
    ss_run_close(again);
    return rc;
}

/* First with nothing kept, which for an empty list is the list; then with what there is. */
static ss_code try_all(ss_run *r, ss_emulation *m, ss_keep *k, ss_keep_check *c, ss_err *e)
{
    bool list = k->n_kept == 0, more = true;
    ss_code rc = SS_OK;

    while (more && c->n <= SS_KEEP_ROUNDS) {
        ss_keep_trial *t = &c->trials[c->n];
        int added;

        rc = try_once(r, m, k, list, t, &added, e);
        if (rc != SS_OK)
            return rc;
        c->n++;
        c->clean = list && t->nonfinite <= k->nonfinite;
        more = !list || added > 0;
        list = true;
    }
    return rc;
}

ss_code ss_keep_check_run(ss_run *r, ss_keep *k, int threads, const char *device, ss_keep_check *c,
                          ss_err *e)
{
    ss_emulation m;
    ss_code rc = ss_emulation_begin(r, k->format.name, threads, device, &m, e);

    *c = (ss_keep_check){.trials = ss_calloc(SS_KEEP_ROUNDS + 1, sizeof *c->trials)};
    if (rc == SS_OK && !c->trials)
        rc = ss_no_memory(e, "keeping fp32");
    if (rc == SS_OK)
        rc = try_all(r, &m, k, c, e);
    ss_emulation_end(&m);
    if (rc != SS_OK)
        ss_keep_check_release(c);
    return rc;
}

void ss_keep_check_release(ss_keep_check *c)
{
    ss_free(c->trials);
    *c = (ss_keep_check){0};
}

ss_code ss_keep_check_table(const ss_keep *k, const ss_keep_check *c, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "check", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "round", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "kept", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "inf or NaN", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "modules", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "pictures lost", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "of", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "change", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < c->n; i++) {
        const ss_keep_trial *x = &c->trials[i];

        ss_table_row(t);
        ss_table_number(t, i);
        ss_table_number(t, x->kept);
        ss_table_number(t, (double)x->nonfinite);
        ss_table_number(t, x->modules);
        ss_table_number(t, x->lost);
        ss_table_number(t, x->pictures);
        ss_table_number(t, x->change);
    }
    ss_table_note(t,
                  "the same run in %s, without the list and with it: values that are inf or NaN, "
                  "denoised pictures that have any, relative L2 change of the others against "
                  "fp32; %s",
                  k->format.name,
                  k->nonfinite ? "NO LIST SUFFICES: the run is inf or NaN in fp32 already"
                  : c->clean   ? "the list suffices"
                  : c->n > SS_KEEP_ROUNDS ? "NOT clean after the last round"
                                          : "NOT clean, and no module is left to add");
    return SS_OK;
}
