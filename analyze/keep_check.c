/* keep_check.c - see keep_check.h */
#include "analyze/keep_check.h"

#include "base/mem.h"
#include "base/str.h"
#include "probe/replay.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char denoised[] = "/outputs/denoised";

/* A folder of our own; ss_free. */
static char *make_scratch(ss_err *e)
{
    const char *tmp = getenv("TMPDIR");
    ss_str s = {0};

    ss_str_addf(&s, "%s/sigmascope-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char *path = ss_str_detach(&s);
    if (!path) {
        ss_fail(e, SS_NOMEM, "out of memory");
    } else if (!mkdtemp(path)) {
        ss_fail(e, SS_IO, "%s: %s; TMPDIR says where there is room", path, strerror(errno));
        ss_free(path);
        path = NULL;
    }
    return path;
}

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
        return ss_fail(e, SS_NOMEM, "out of memory");
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

static ss_code count_nonfinite(ss_run *again, ss_keep_trial *t, ss_err *e)
{
    const uint64_t *bad;
    ss_code rc = ss_run_nonfinite(again, &bad, e);

    for (int m = 0; m < again->n_modules && rc == SS_OK; m++) {
        uint64_t n = 0;

        for (int p = 0; p < again->n_ports; p++)
            n += ss_site_count(again, bad, (ss_site){m, p}, SS_ALL, SS_ALL);
        t->nonfinite += n;
        t->modules += n > 0;
    }
    return rc;
}

/* One run under emulation; with the list, unless it is the first. Grows the list by what it shows.
 * *added: as ss_keep_grow. */
static ss_code try_once(ss_run *r, ss_replay *p, ss_keep *k, bool list, ss_keep_trial *t,
                        int *added, ss_err *e)
{
    ss_probe_summary summary = {0};
    ss_run *again = NULL;
    char **maps = NULL;
    int n_maps = 0;
    ss_code rc = list ? ss_keep_maps(r, k, &maps, &n_maps, e) : SS_OK;

    *t = (ss_keep_trial){.kept = list ? k->n_kept : 0};
    *added = 0;
    p->opt.network.changes.precision_maps = (const char *const *)maps;
    p->opt.network.changes.n_precision_maps = n_maps;
    if (rc == SS_OK)
        rc = ss_probe_run(&p->opt, &summary, e);
    if (rc == SS_OK)
        rc = ss_run_open(p->opt.output, &again, e);
    if (rc == SS_OK && strcmp(again->model_sha256, r->model_sha256) != 0)
        rc = ss_fail(e, SS_FORMAT,
                     "%s is not what %s was made of any more: its SHA-256 is %.12s, was %.12s",
                     r->model_path, r->path, again->model_sha256, r->model_sha256);
    if (rc == SS_OK)
        rc = count_nonfinite(again, t, e);
    if (rc == SS_OK)
        rc = compare_pictures(r, again, t, e);
    if (rc == SS_OK && list && t->nonfinite > k->nonfinite)
        rc = ss_keep_grow(again, k, added, e);
    ss_run_close(again);
    unlink(p->opt.output);
    p->opt.network.changes.precision_maps = NULL;
    p->opt.network.changes.n_precision_maps = 0;
    ss_keep_maps_free(maps, n_maps);
    return rc;
}

/* First with nothing kept, which for an empty list is the list; then with what there is. */
static ss_code try_all(ss_run *r, ss_replay *p, ss_keep *k, ss_keep_check *c, ss_err *e)
{
    bool list = k->n_kept == 0, more = true;
    ss_code rc = SS_OK;

    while (more && c->n <= SS_KEEP_ROUNDS) {
        ss_keep_trial *t = &c->trials[c->n];
        int added;

        rc = try_once(r, p, k, list, t, &added, e);
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
    ss_replay p = {0};
    ss_str output = {0};
    char *scratch = NULL, *path = NULL;
    ss_code rc = ss_replay_read(r, &p, e);

    *c = (ss_keep_check){.trials = ss_calloc(SS_KEEP_ROUNDS + 1, sizeof *c->trials)};
    if (rc == SS_OK && !c->trials)
        rc = ss_fail(e, SS_NOMEM, "out of memory");
    if (rc == SS_OK && !(scratch = make_scratch(e)))
        rc = e->code;
    if (rc != SS_OK)
        goto out;
    ss_str_addf(&output, "%s/run.h5", scratch);
    path = ss_str_detach(&output);
    if (!path) {
        rc = ss_fail(e, SS_NOMEM, "out of memory");
        goto out;
    }
    p.opt.output = path;
    p.opt.command = "sigmascope analyze --keep-fp32 --check";
    p.opt.replace = true;
    p.opt.threads = threads;
    p.opt.device = device;
    p.opt.network.changes.precision = k->format.name;
    rc = try_all(r, &p, k, c, e);
out:
    if (scratch)
        rmdir(scratch);
    if (rc != SS_OK)
        ss_keep_check_release(c);
    ss_free(scratch);
    ss_free(path);
    ss_replay_release(&p);
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
                  c->clean                ? "the list suffices"
                  : c->n > SS_KEEP_ROUNDS ? "NOT clean after the last round"
                                          : "NOT clean, and no module is left to add");
    return SS_OK;
}
