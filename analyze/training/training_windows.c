/* training_windows.c - see training_windows.h */
#include "analyze/training/training_windows.h"

#include "analyze/math/median.h"
#include "analyze/math/power_law.h"
#include "analyze/one/not_finite.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keeps only block outputs; all sites if the file does not say which are blocks. */
static void keep_blocks(const ss_run *r, ss_sites *sites)
{
    int n = 0;

    for (int i = 0; i < sites->n; i++) {
        if (r->blocks && r->blocks[sites->site[i].module])
            sites->site[n++] = sites->site[i];
    }
    sites->n = n ? n : sites->n;
}

/* The largest |x| of each stage over the batch of measured step s; false if any value is not
 * finite.
 */
static bool peaks_of(ss_run *r, const ss_sites *sites, const float *absmax,
                     const uint64_t *nonfinite, int s, double peak[SS_N_STAGES + 1])
{
    for (int k = 0; k <= SS_N_STAGES; k++)
        peak[k] = NAN;
    for (int i = 0; i < r->n_samples; i++) {
        double one[SS_N_STAGES + 1];

        ss_stage_peaks(r, sites, absmax, 0, s, i, one);
        for (int k = 0; k <= SS_N_STAGES; k++)
            peak[k] = fmax(peak[k], one[k]);
    }
    for (int k = 0; k < sites->n && nonfinite; k++) {
        for (int i = 0; i < r->n_samples; i++) {
            if (nonfinite[ss_run_at(r, sites->site[k].module, sites->site[k].port, 0, s, i)])
                return false;
        }
    }
    return isfinite(peak[SS_N_STAGES]);
}

/* Finds how the RMS of parameters changed from column a to b. */
static ss_code read_weights(ss_run *r, int a, int b, ss_training_log *t, ss_err *e)
{
    const float *rms;
    double *ratio = ss_alloc((size_t)r->n_parameters, sizeof *ratio);
    ss_code rc = ratio ? ss_run_updates(r, "weight_rms", &rms, e) : ss_no_memory(e, r->path);
    size_t n = 0;

    for (int64_t p = 0; rc == SS_OK && rms && p < r->n_parameters; p++) {
        const double v = (double)rms[p * r->n_sigmas + b] / (double)rms[p * r->n_sigmas + a];

        if (isfinite(v))
            ratio[n++] = v;
    }
    if (n) {
        qsort(ratio, n, sizeof *ratio, ss_rising);
        t->weights = ratio[n / 2];
        t->weights_max = ratio[n - 1];
    }
    ss_free(ratio);
    return rc;
}

/* Finds the lowest mean entropy of a head and the largest logit in columns from .. to. */
static ss_code read_attention(ss_run *r, int from, int to, ss_training_log *t, ss_err *e)
{
    const float *entropy, *logit, *keys;
    ss_code rc;

    if (!r->n_layers)
        return SS_OK;
    if ((rc = ss_run_attention(r, "entropy", &entropy, e)) != SS_OK ||
        (rc = ss_run_attention(r, "max_logit", &logit, e)) != SS_OK ||
        (rc = ss_run_attention_keys(r, &keys, e)) != SS_OK || !entropy || !logit || !keys)
        return rc;
    for (int l = 0; l < r->n_layers; l++) {
        for (int h = 0; h < r->n_heads; h++) {
            double sum = 0;
            int n = 0;

            for (int s = from; s <= to; s++) {
                for (int i = 0; i < r->n_samples && r->done[s]; i++) {
                    const size_t at = ss_run_attention_at(r, l, h, 0, s, i);

                    t->logit = fmax(t->logit, logit[at]);
                    if (isnan(entropy[at]))
                        continue;
                    sum += entropy[at] / log(keys[l]);
                    n++;
                }
            }
            if (n)
                t->entropy = fmin(t->entropy, sum / n);
        }
    }
    return SS_OK;
}

/* The measured steps before the overflow: columns, and the peaks of each. */
typedef struct {
    int *column;
    double (*peak)[SS_N_STAGES + 1];
    int n;
} measured;

/* The geometric mean of each stage over columns first to last of m. */
static void window_peaks(const measured *m, int first, int last, double peak[SS_N_STAGES + 1])
{
    for (int k = 0; k <= SS_N_STAGES; k++) {
        double sum = 0;

        for (int i = first; i <= last; i++)
            sum += log(m->peak[i][k]);
        peak[k] = exp(sum / (last - first + 1));
    }
}

/* Reads the peaks of all measured steps; into m those that are finite and before an overflow. */
static ss_code read_peaks(ss_run *r, ss_training_log *t, measured *m, ss_err *e)
{
    ss_sites sites = {0};
    const float *absmax;
    const uint64_t *nonfinite;
    const int thin = (r->n_sigmas + SS_TRAINING_POINTS - 1) / SS_TRAINING_POINTS;
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);

    if (rc == SS_OK && (rc = ss_run_stat(r, "absmax", &absmax, e)) == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc == SS_OK)
        keep_blocks(r, &sites);
    for (int s = 0; rc == SS_OK && absmax && s < r->n_sigmas; s++) {
        double peak[SS_N_STAGES + 1];
        const bool finite = r->done[s] && peaks_of(r, &sites, absmax, nonfinite, s, peak);

        if (r->done[s])
            t->largest = fmax(t->largest, peak[SS_N_STAGES]);
        if (r->done[s] && s % thin == 0 && isfinite(peak[SS_N_STAGES])) {
            t->point[t->n_points].step = (double)r->steps[s];
            t->point[t->n_points++].peak = peak[SS_N_STAGES];
        }
        if (!finite || r->steps[s] < SS_SETTLED ||
            (t->first_overflow && r->steps[s] >= t->first_overflow))
            continue;
        m->column[m->n] = s;
        memcpy(m->peak[m->n++], peak, sizeof peak);
    }
    ss_sites_release(&sites);
    return rc;
}

/* Finds the windows, and what changed from one to the other. */
static ss_code compare_windows(ss_run *r, const measured *m, ss_training_log *t, ss_err *e)
{
    const int last = m->n - 1;
    int early = 0, late = last;
    ss_code rc;

    if (m->n == 0)
        return SS_OK;
    t->early = r->steps[m->column[0]];
    t->late = r->steps[m->column[last]];
    const double eighth = (double)(t->late - t->early) / 8;

    while (early < last && (double)(r->steps[m->column[early + 1]] - t->early) <= eighth)
        early++;
    while (late > 0 && (double)(t->late - r->steps[m->column[late - 1]]) <= eighth)
        late--;
    window_peaks(m, 0, early, t->peak[0]);
    window_peaks(m, late, last, t->peak[1]);
    if ((rc = read_weights(r, m->column[0], m->column[last], t, e)) != SS_OK)
        return rc;
    return read_attention(r, m->column[late], m->column[last], t, e);
}

static ss_code fit_exponent(const ss_run *r, const measured *m, ss_training_log *t, ss_err *e)
{
    double *x = ss_alloc((size_t)m->n, sizeof *x), *y = ss_alloc((size_t)m->n, sizeof *y);
    const ss_code rc = x && y ? SS_OK : ss_no_memory(e, r->path);

    for (int i = 0; i < m->n && rc == SS_OK; i++) {
        x[i] = (double)r->steps[m->column[i]];
        y[i] = m->peak[i][SS_STAGE_DECODER];
    }
    if (rc == SS_OK)
        t->exponent = ss_power_law_fit(x, y, m->n).b;
    ss_free(x);
    ss_free(y);
    return rc;
}

ss_code ss_training_windows_read(ss_run *r, ss_training_log *t, ss_err *e)
{
    measured m = {.column = ss_alloc((size_t)r->n_sigmas, sizeof *m.column),
                  .peak = ss_alloc((size_t)r->n_sigmas, sizeof *m.peak)};
    ss_mechanism_finding mechanism;
    ss_format f;
    ss_code rc = m.column && m.peak ? read_peaks(r, t, &m, e) : ss_no_memory(e, r->path);

    t->seed = (int64_t)r->seed;
    if (ss_run_format(r, &f))
        t->limit = f.max;
    if (rc == SS_OK)
        rc = compare_windows(r, &m, t, e);
    if (rc == SS_OK)
        rc = fit_exponent(r, &m, t, e);
    if (rc == SS_OK && (rc = ss_mechanism_find(&r, NULL, 1, &mechanism, e)) == SS_OK) {
        t->mechanism = mechanism.name;
        ss_mechanism_release(&mechanism);
    }
    ss_free(m.column);
    ss_free(m.peak);
    return rc;
}
