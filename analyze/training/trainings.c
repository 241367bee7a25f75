/* trainings.c - see trainings.h; trainings_table.c prints it */
#include "analyze/training/trainings.h"

#include "analyze/math/median.h"
#include "analyze/one/headroom.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The data sets of one of the two, and room for a value of each step. */
typedef struct {
    const ss_training *t;
    const float *absmax, *rms, *loss, *sample_loss;
    const uint64_t *nonfinite;
    double *scratch;
} side;

static bool in_window(const ss_trainings *x, const side *s, int j)
{
    return s->t->trend.steps[j] >= x->from && s->t->trend.steps[j] <= x->to;
}

static ss_code open_side(const ss_training *t, side *s, ss_err *e)
{
    ss_code rc;

    *s = (side){.t = t, .scratch = ss_alloc((size_t)t->trend.n_steps, sizeof *s->scratch)};
    if (!s->scratch)
        return ss_no_memory(e, t->run->path);
    if ((rc = ss_run_stat(t->run, "absmax", &s->absmax, e)) == SS_OK &&
        (rc = ss_run_stat(t->run, "rms", &s->rms, e)) == SS_OK &&
        (rc = ss_run_nonfinite(t->run, &s->nonfinite, e)) == SS_OK &&
        (rc = ss_run_training(t->run, "loss", &s->loss, e)) == SS_OK)
        rc = ss_run_training(t->run, "sample_loss", &s->sample_loss, e);
    return rc;
}

/* Finds the last third of the range of steps that both have reached. */
static ss_code find_window(ss_trainings *x, ss_err *e)
{
    const ss_trend *a = &x->t[0].trend, *b = &x->t[1].trend;
    const double last = fmin(a->steps[a->n_steps - 1], b->steps[b->n_steps - 1]);
    const double first = fmax(a->steps[0], b->steps[0]);

    x->to = last;
    x->from = last - (last - first) / 3;
    for (int k = 0; k < 2; k++) {
        const ss_trend *t = &x->t[k].trend;

        for (int j = 0; j < t->n_steps; j++)
            x->n_window[k] += t->steps[j] >= x->from && t->steps[j] <= x->to;
    }
    if (first <= last && x->n_window[0] && x->n_window[1])
        return SS_OK;
    return ss_fail(
        e, SS_SHAPE,
        "%s and %s have no range of training steps in common: one has measured steps from "
        "%.0f to %.0f, the other from %.0f to %.0f",
        x->t[0].run->path, x->t[1].run->path, a->steps[0], a->steps[a->n_steps - 1], b->steps[0],
        b->steps[b->n_steps - 1]);
}

/* The index of a site in the other training, -1: none. */
static int same_site(const ss_trainings *x, ss_site s)
{
    const ss_run *a = x->t[0].run, *b = x->t[1].run;

    for (int i = 0; i < x->found[1].n; i++) {
        const ss_site o = x->found[1].site[i];

        if (strcmp(a->modules[s.module], b->modules[o.module]) == 0 &&
            strcmp(a->ports[s.port], b->ports[o.port]) == 0)
            return i;
    }
    return -1;
}

static ss_code align_sites(ss_trainings *x, ss_err *e)
{
    if (!(x->sites = ss_alloc(2 * (size_t)x->found[0].n, sizeof *x->sites)) ||
        !(x->rows = ss_calloc((size_t)x->found[0].n, sizeof *x->rows)))
        return ss_no_memory(e, "comparing trainings");
    for (int i = 0; i < x->found[0].n; i++) {
        const int other = same_site(x, x->found[0].site[i]);

        if (other < 0)
            continue;
        x->sites[2 * x->n_sites] = i;
        x->sites[2 * x->n_sites++ + 1] = other;
    }
    for (int k = 0; k < 2; k++)
        x->lone[k] = x->found[k].n - x->n_sites;
    if (x->n_sites)
        return SS_OK;
    return ss_fail(
        e, SS_SHAPE,
        "%s and %s have no module in common: the first has '%.100s', the second '%.100s'",
        x->t[0].run->path, x->t[1].run->path,
        x->found[0].n ? x->t[0].run->modules[x->found[0].site[0].module] : "none",
        x->found[1].n ? x->t[1].run->modules[x->found[1].site[0].module] : "none");
}

/* Fills what one of the trainings, k, has at a site. */
static void measure(const ss_trainings *x, const side *s, int k, ss_trainings_row *row)
{
    const ss_training *t = s->t;
    const int index = x->sites[2 * row->site + k];
    const ss_site site = x->found[k].site[index];
    int n = 0;

    row->absmax[k] = row->rms[k] = row->exponent[k] = row->over[k] = NAN;
    for (int i = 0; i < t->trend.n; i++) {
        if (t->trend.rows[i].site == index)
            row->exponent[k] = t->trend.rows[i].peak.law.b;
    }
    for (int j = 0; j < t->trend.n_steps; j++) {
        const int column = t->columns[j];
        const uint64_t bad = ss_site_count(t->run, s->nonfinite, site, SS_ALL, column);
        const double peak = s->absmax ? ss_site_peak(t->run, s->absmax, site, SS_ALL, column) : NAN;

        row->nonfinite[k] += bad;
        if (isnan(row->over[k]) && (bad || ss_overflows(&x->format, peak)))
            row->over[k] = t->trend.steps[j];
        if (in_window(x, s, j))
            s->scratch[n++] = peak;
    }
    row->absmax[k] = ss_median(s->scratch, n);
    n = 0;
    for (int j = 0; j < t->trend.n_steps && s->rms; j++) {
        if (in_window(x, s, j))
            s->scratch[n++] = ss_site_rms(t->run, s->rms, site, SS_ALL, t->columns[j]);
    }
    row->rms[k] = ss_median(s->scratch, n);
}

/* Finds what is negligible: SS_COMPARE_FLOOR times the median over sites of the larger value. */
static ss_code find_floor(const ss_trainings *x, bool rms, double *floor, ss_err *e)
{
    double *most = ss_alloc((size_t)x->n_sites, sizeof *most);

    if (!most)
        return ss_no_memory(e, "comparing trainings");
    for (int i = 0; i < x->n_sites; i++) {
        const double *v = rms ? x->rows[i].rms : x->rows[i].absmax;

        most[i] = fmax(v[0], v[1]);
    }
    const double median = ss_median(most, x->n_sites);

    *floor = isnan(median) ? 0 : SS_COMPARE_FLOOR * median;
    ss_free(most);
    return SS_OK;
}

static double bits_of(const double v[2], double floor)
{
    return v[0] == v[1] ? 0 : log2((v[1] + floor) / (v[0] + floor));
}

static bool bad_in_one(const ss_trainings_row *r)
{
    return !r->nonfinite[0] != !r->nonfinite[1];
}

static int larger_first(const void *a, const void *b)
{
    const ss_trainings_row *x = a, *y = b;
    const double p = isnan(x->bits) ? -1 : fabs(x->bits), q = isnan(y->bits) ? -1 : fabs(y->bits);

    if (bad_in_one(x) != bad_in_one(y))
        return bad_in_one(x) ? -1 : 1;
    return p != q ? (p < q) - (p > q) : x->site - y->site;
}

static ss_code compare_sites(ss_trainings *x, const side s[2], ss_err *e)
{
    double floor[2];
    ss_code rc = SS_OK;

    for (int i = 0; i < x->n_sites; i++) {
        x->rows[i].site = i;
        for (int k = 0; k < 2; k++)
            measure(x, &s[k], k, &x->rows[i]);
    }
    for (int rms = 0; rms < 2 && rc == SS_OK; rms++)
        rc = find_floor(x, rms, &floor[rms], e);
    for (int i = 0; i < x->n_sites && rc == SS_OK; i++) {
        x->rows[i].bits = bits_of(x->rows[i].absmax, floor[0]);
        x->rows[i].rms_bits = bits_of(x->rows[i].rms, floor[1]);
    }
    qsort(x->rows, (size_t)x->n_sites, sizeof *x->rows, larger_first);
    return rc;
}

/* The largest |x| of all common sites, over the samples of a step in a band. */
static double band_peak(const ss_trainings *x, const side *s, int k, ss_band band, int column)
{
    const ss_run *r = s->t->run;
    double peak = NAN;

    for (int n = 0; n < r->n_samples; n++) {
        if (ss_training_band_of(&x->t[0], ss_run_level(r, column, n)) != band)
            continue;
        for (int i = 0; i < x->n_sites && s->absmax; i++) {
            const ss_site site = x->found[k].site[x->sites[2 * i + k]];

            for (int input = 0; input < r->n_inputs; input++)
                peak =
                    fmax(peak, s->absmax[ss_run_at(r, site.module, site.port, input, column, n)]);
        }
    }
    return peak;
}

/* The mean loss of the samples of a step in a band; infinite where one is. */
static double band_loss(const ss_trainings *x, const side *s, ss_band band, int column)
{
    const ss_run *r = s->t->run;
    double sum = 0, count = 0;

    for (int n = 0; n < r->n_samples && s->sample_loss; n++) {
        const double of = ss_run_count(r, column, n);
        const double loss = s->sample_loss[(size_t)column * (size_t)r->n_samples + (size_t)n];

        if (ss_training_band_of(&x->t[0], ss_run_level(r, column, n)) != band || !(of > 0))
            continue;
        if (isnan(loss) && r->binned)
            continue; /* not known */
        if (!isfinite(loss))
            return INFINITY;
        sum += of * loss;
        count += of;
    }
    return count > 0 ? sum / count : NAN;
}

static void compare_bands(ss_trainings *x, const side s[2])
{
    for (int k = 0; k < 2; k++) {
        for (int b = 0; b < SS_N_BANDS; b++) {
            for (int loss = 0; loss < 2; loss++) {
                int n = 0;

                for (int j = 0; j < s[k].t->trend.n_steps; j++) {
                    const int column = s[k].t->columns[j];

                    if (in_window(x, &s[k], j))
                        s[k].scratch[n++] = loss ? band_loss(x, &s[k], (ss_band)b, column)
                                                 : band_peak(x, &s[k], k, (ss_band)b, column);
                }
                (loss ? x->bands[b].loss : x->bands[b].absmax)[k] = ss_median(s[k].scratch, n);
            }
        }
    }
}

ss_code ss_trainings_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                          int n_globs, const ss_format *f, ss_trainings *x, ss_err *e)
{
    static const char *const titles[] = {"trainings", "modules", "noise levels"};
    ss_run *const runs[] = {a, b};
    side s[2] = {0};
    ss_code rc = SS_OK;

    *x = (ss_trainings){.format = *f};
    snprintf(x->name, sizeof x->name, "%s", name);
    for (int i = 0; i < 3; i++)
        snprintf(x->titles[i], sizeof x->titles[i], "%s %s", titles[i], x->name);
    for (int k = 0; k < 2 && rc == SS_OK; k++) {
        rc = ss_sites_find(runs[k], globs, n_globs, SS_SITES_PRODUCED, &x->found[k], e);
        if (rc == SS_OK)
            rc = ss_training_find(runs[k], &x->found[k], &x->t[k], e);
        if (rc == SS_OK)
            rc = open_side(&x->t[k], &s[k], e);
    }
    if (rc == SS_OK)
        rc = find_window(x, e);
    if (rc == SS_OK)
        rc = align_sites(x, e);
    if (rc == SS_OK)
        rc = compare_sites(x, s, e);
    if (rc == SS_OK)
        compare_bands(x, s);
    for (int k = 0; k < 2; k++)
        ss_free(s[k].scratch);
    if (rc != SS_OK)
        ss_trainings_release(x);
    return rc;
}

void ss_trainings_release(ss_trainings *x)
{
    for (int k = 0; k < 2; k++) {
        ss_training_release(&x->t[k]);
        ss_sites_release(&x->found[k]);
    }
    ss_free(x->sites);
    ss_free(x->rows);
    *x = (ss_trainings){0};
}
