/* spectra.c - see spectra.h */
#include "analyze/one/spectra.h"

#include "analyze/math/median.h"
#include "base/mem.h"
#include "base/sample_size.h"
#include "base/str.h"
#include "fft/spectrum.h"

#include <math.h>
#include <stdio.h>

enum { PLACES = SS_N_STAGES + 1 };

size_t ss_spectra_at(const ss_run *r, int input, int sigma, int sample)
{
    return ((size_t)input * (size_t)r->n_sigmas + (size_t)sigma) * (size_t)r->n_samples +
           (size_t)sample;
}

/* The same without the sample axis. */
static size_t mean_at(const ss_run *r, int input, int sigma)
{
    return (size_t)input * (size_t)r->n_sigmas + (size_t)sigma;
}

double ss_low_share(const double *psd, const double *waves, const double *radii, int n,
                    double cutoff)
{
    double low = 0, all = 0;

    for (int k = 0; k < n; k++) {
        all += waves[k] * psd[k];
        if (radii[k] <= cutoff)
            low += waves[k] * psd[k];
    }
    return all > 0 && isfinite(all) ? low / all : NAN;
}

/* Fills in how many waves each ring has. Where the file does not have the pictures, or its rings
 * are not ours, it is in proportion to the ring's length. */
static double find_waves(ss_run *r, double *waves)
{
    ss_run_shape shape;
    ss_sample_size size;
    double sum = 0;

    if (ss_run_has_pictures(r, "/inputs/x", &shape) &&
        ss_sample_size_of(shape.rank, shape.dim, &size) &&
        ss_spectrum_rings(size.height, size.width) == r->n_radii) {
        ss_spectrum_waves(size.height, size.width, waves);
        for (int k = 0; k < r->n_radii; k++)
            sum += waves[k];
        return (sum - 1) / ((double)ss_sample_area(size) - 1); /* 1: the mean */
    }
    for (int k = 0; k < r->n_radii; k++)
        waves[k] = 2 * M_PI * r->radii[k];
    return NAN;
}

/* Measures one input at one noise level. one: [radius] of scratch. */
static void measure(const ss_run *r, const ss_sites *sites, const float *psd, const float *absmax,
                    const double *waves, int input, int sigma, double *one, ss_spectra *s)
{
    const size_t at = mean_at(r, input, sigma);
    double *const mean = s->psd + at * (size_t)r->n_radii;

    for (int k = 0; k < r->n_radii; k++)
        mean[k] = 0;
    for (int n = 0; n < r->n_samples; n++) {
        const size_t i = ss_spectra_at(r, input, sigma, n);
        const float *x = psd + i * (size_t)r->n_radii;

        for (int k = 0; k < r->n_radii; k++) {
            one[k] = x[k];
            mean[k] += one[k] / r->n_samples;
        }
        s->low[i] = ss_low_share(one, waves, r->radii, r->n_radii, s->cutoff);
        ss_stage_peaks(r, sites, absmax, input, sigma, n, s->peaks + i * PLACES);
    }
    s->slope[at] = ss_log_slope(r->radii, mean, r->n_radii); /* from the first radius above 0 on */
    s->power[at] = 0;
    for (int k = 0; k < r->n_radii; k++)
        s->power[at] += waves[k] * mean[k];
}

/* The correlations at one noise level. x, y: [input][sample] of scratch. */
static ss_code correlate(const ss_run *r, const ss_spectra *s, ss_spectra_level *level, double *x,
                         double *y, ss_err *e)
{
    const int n = r->n_inputs * r->n_samples;
    ss_code rc = SS_OK;

    level->low_min = level->low_max = NAN;
    for (int place = 0; place < PLACES && rc == SS_OK; place++) {
        for (int i = 0; i < n; i++) {
            const size_t at = ss_spectra_at(r, i / r->n_samples, level->sigma, i % r->n_samples);

            x[i] = s->low[at];
            y[i] = log(s->peaks[at * PLACES + (size_t)place]);
            level->low_min = fmin(level->low_min, x[i]);
            level->low_max = fmax(level->low_max, x[i]);
        }
        rc = ss_correlate(x, y, n, &level->by_stage[place], e);
    }
    return rc;
}

static ss_code find_all(ss_run *r, const ss_sites *sites, const float *psd, const float *absmax,
                        ss_spectra *s, ss_err *e)
{
    const size_t points = (size_t)r->n_inputs * (size_t)r->n_samples;
    int *order = ss_sigma_order(r);
    double *waves = ss_alloc((size_t)r->n_radii, sizeof *waves);
    double *room = ss_alloc(2 * points + (size_t)r->n_radii, sizeof *room);
    ss_code rc = order && waves && room ? SS_OK : ss_no_memory(e, r->path);

    if (rc == SS_OK)
        s->within = find_waves(r, waves);
    for (int i = 0; i < r->n_inputs && rc == SS_OK; i++) {
        for (int g = 0; g < r->n_sigmas; g++)
            measure(r, sites, psd, absmax, waves, i, g, room + 2 * points, s);
    }
    for (; s->n < r->n_done && rc == SS_OK; s->n++) {
        s->levels[s->n].sigma = order[s->n];
        rc = correlate(r, s, &s->levels[s->n], room, room + points, e);
    }
    ss_free(order);
    ss_free(waves);
    ss_free(room);
    return rc;
}

ss_code ss_spectra_find(ss_run *r, const ss_sites *sites, double cutoff, const char *name,
                        ss_spectra *s, ss_err *e)
{
    const size_t means = mean_at(r, r->n_inputs, 0), all = ss_spectra_at(r, r->n_inputs, 0, 0);
    const float *psd, *absmax;
    ss_code rc = ss_run_psd(r, &psd, e);

    *s = (ss_spectra){.cutoff = cutoff};
    if (rc == SS_OK)
        rc = ss_run_stat(r, "absmax", &absmax, e);
    if (rc != SS_OK)
        return rc;
    if (!psd && ss_run_is_text(r))
        return ss_fail(e, SS_FORMAT,
                       "%s: is of a text encoder, whose inputs are prompts: they have "
                       "no spectra",
                       r->path);
    if (!psd || !absmax)
        return ss_fail(e, SS_FORMAT, "%s: has no %s; 'sigmascope probe' writes it", r->path,
                       psd ? "/stats/absmax" : "/inputs/psd, the spectra of inputs");
    s->title[0] = ss_table_title("input spectra", name);
    s->title[1] = ss_table_title("low frequencies", name);
    s->low = ss_alloc(all, sizeof *s->low);
    s->peaks = ss_alloc(all, PLACES * sizeof *s->peaks);
    s->psd = ss_alloc(means, (size_t)r->n_radii * sizeof *s->psd);
    s->slope = ss_alloc(means, sizeof *s->slope);
    s->power = ss_alloc(means, sizeof *s->power);
    s->levels = ss_calloc((size_t)r->n_done, sizeof *s->levels);
    if (!s->low || !s->peaks || !s->psd || !s->slope || !s->power || !s->levels || !s->title[0] ||
        !s->title[1])
        rc = ss_no_memory(e, r->path);
    else
        rc = find_all(r, sites, psd, absmax, s, e);
    if (rc != SS_OK)
        ss_spectra_release(s);
    return rc;
}

void ss_spectra_release(ss_spectra *s)
{
    ss_free(s->low);
    ss_free(s->peaks);
    ss_free(s->psd);
    ss_free(s->slope);
    ss_free(s->power);
    ss_free(s->levels);
    ss_free(s->title[0]);
    ss_free(s->title[1]);
    *s = (ss_spectra){0};
}

/* Index of the ring nearest to so many cycles. */
static int ring_near(const ss_run *r, double cycles)
{
    int best = 0;

    for (int k = 1; k < r->n_radii; k++) {
        if (fabs(r->radii[k] - cycles) < fabs(r->radii[best] - cycles))
            best = k;
    }
    return best;
}

ss_code ss_spectra_table(const ss_run *r, const ss_spectra *s, ss_table *t, ss_err *e)
{
    const double finest = r->radii[r->n_radii - 1];
    char name[32], corners[64] = "";
    ss_code rc = ss_table_init(t, s->title[0], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "power", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "slope", SS_COL_NUMBER, "%.2f");
    for (double cycles = 1; cycles <= finest; cycles *= 2) {
        snprintf(name, sizeof name, "psd %g", cycles);
        ss_table_column(t, name, SS_COL_NUMBER, "%.2g");
    }
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < s->n; k++) {
            const int sigma = s->levels[k].sigma;
            const size_t at = mean_at(r, i, sigma);
            double low = 0;

            for (int n = 0; n < r->n_samples; n++)
                low += s->low[ss_spectra_at(r, i, sigma, n)] / r->n_samples;
            ss_table_row(t);
            ss_table_text(t, r->inputs[i]);
            ss_table_number(t, r->sigmas[sigma]);
            ss_table_number(t, s->power[at]);
            ss_table_number(t, low);
            ss_table_number(t, s->slope[at]);
            for (double cycles = 1; cycles <= finest; cycles *= 2)
                ss_table_number(t, s->psd[at * (size_t)r->n_radii + (size_t)ring_near(r, cycles)]);
        }
    }
    if (!isnan(s->within))
        snprintf(corners, sizeof corners, ", which have %.0f %% of white noise's variance",
                 100 * s->within);
    ss_table_note(t,
                  "of what the network saw, mean over samples: power of the waves of %g cycles per "
                  "picture or less%s (finer ones only fit diagonally and are left out), its share "
                  "at %g cycles or less, slope, power of one wave at so many cycles",
                  finest, corners, s->cutoff);
    return SS_OK;
}

static bool holds(const ss_correlation *c)
{
    return ss_correlated(c) && c->spearman < 0 && exp(c->gap) >= SS_FINDING_RATIO;
}

static bool is_opposite(const ss_correlation *c)
{
    return ss_correlated(c) && c->spearman > 0 && exp(c->gap) <= 1 / SS_FINDING_RATIO;
}

int ss_spectra_held(const ss_spectra *s, int *decided)
{
    int n = 0;

    *decided = 0;
    for (int k = 0; k < s->n; k++) {
        n += holds(&s->levels[k].by_stage[SS_N_STAGES]);
        *decided += !isnan(s->levels[k].by_stage[SS_N_STAGES].spearman);
    }
    return n;
}

char *ss_spectra_sentence(const ss_run *r, const ss_spectra *s, char *out, size_t n)
{
    const ss_correlation *best = NULL;
    int n_decided, n_opposite = 0;
    const int n_holds = ss_spectra_held(s, &n_decided);
    double sigma = NAN;
    ss_str text = {0};

    for (int k = 0; k < s->n; k++) {
        const ss_correlation *c = &s->levels[k].by_stage[SS_N_STAGES];

        n_opposite += is_opposite(c);
        if (isnan(c->spearman))
            continue;
        if (!best || fabs(c->gap) > fabs(best->gap)) {
            best = c;
            sigma = r->sigmas[s->levels[k].sigma];
        }
    }
    if (!best) {
        ss_str_add(&text, "Too few inputs and samples, or they do not differ in low frequencies, "
                          "to decide whether those matter");
    } else {
        ss_str_addf(&text,
                    "Inputs with less low frequencies give the larger activations at %d of %d "
                    "noise levels, the smaller ones at %d; most at sigma %g: %.2f times (Spearman "
                    "%.2f, %d points)",
                    n_holds, n_decided, n_opposite, sigma, exp(best->gap), best->spearman, best->n);
    }
    snprintf(out, n, "%s", text.s ? text.s : "");
    ss_str_release(&text);
    return out;
}

ss_code ss_spectra_finding_table(const ss_run *r, const ss_spectra *s, ss_table *t, ss_err *e)
{
    static const int places[PLACES] = {SS_N_STAGES, SS_STAGE_ENCODER, SS_STAGE_MIDDLE,
                                       SS_STAGE_DECODER};
    char sentence[512];
    ss_code rc = ss_table_init(t, s->title[1], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "points", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "least low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "most low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "pearson", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "spearman", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "ratio", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "holds", SS_COL_TEXT, NULL);
    for (int p = 0; p < PLACES; p++) {
        for (int k = 0; k < s->n; k++) {
            const ss_spectra_level *level = &s->levels[k];
            const ss_correlation *c = &level->by_stage[places[p]];

            if (c->n == 0) /* the run has no such stage */
                continue;
            ss_table_row(t);
            ss_table_text(t, p == 0 ? "all" : ss_stage_name((ss_stage)places[p]));
            ss_table_number(t, r->sigmas[level->sigma]);
            ss_table_number(t, c->n);
            ss_table_number(t, level->low_min);
            ss_table_number(t, level->low_max);
            ss_table_number(t, c->pearson);
            ss_table_number(t, c->spearman);
            ss_table_number(t, exp(c->gap));
            ss_table_text(t, isnan(c->spearman) ? "-"
                             : holds(c)         ? "yes"
                             : is_opposite(c)   ? "opposite"
                                                : "no");
        }
    }
    ss_table_note(t, "%s", ss_spectra_sentence(r, s, sentence, sizeof sentence));
    return SS_OK;
}
