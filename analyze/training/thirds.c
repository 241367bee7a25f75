/* thirds.c - see thirds.h */
#include "analyze/training/thirds.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static ss_code of_samples(const ss_run *r, double cut[2], ss_err *e)
{
    double *all = ss_alloc((size_t)r->n_done * (size_t)r->n_samples, sizeof *all);
    size_t n = 0;

    if (!all)
        return ss_no_memory(e, r->path);
    for (int k = 0; k < r->n_sigmas; k++) {
        for (int i = 0; i < r->n_samples && r->done[k]; i++) {
            if (!isnan(ss_run_level(r, k, i)))
                all[n++] = ss_run_level(r, k, i);
        }
    }
    qsort(all, n, sizeof *all, ss_rising);
    for (size_t b = 1; b < 3 && n > 0; b++)
        cut[b - 1] = all[b * n / 3];
    ss_free(all);
    return SS_OK;
}

/* How many samples of known noise level fell into the bins below a border. */
static double samples_below(const ss_run *r, double border)
{
    double sum = 0;

    for (int k = 0; k < r->n_sigmas; k++) {
        for (int b = 0; b < r->n_samples; b++) {
            if (r->bins[b] < border && !isnan(ss_run_level(r, k, b)))
                sum += ss_run_count(r, k, b);
        }
    }
    return sum;
}

/* Bins have equal width in ln sigma, and their labels are the middles. */
static ss_code of_bins(const ss_run *r, double cut[2], ss_err *e)
{
    const int n = r->n_bins;
    double *middle = ss_alloc((size_t)n, sizeof *middle);
    int at[2] = {0, 0};

    if (!middle)
        return ss_no_memory(e, r->path);
    for (int b = 0; b < n; b++)
        middle[b] = r->bins[b];
    qsort(middle, (size_t)n, sizeof *middle, ss_rising);
    const double all = samples_below(r, INFINITY);

    for (int third = 0; third < 2; third++) {
        double nearest = INFINITY;

        for (int b = third ? at[0] + 1 : 1; b < n - 1 + third; b++) {
            const double border = sqrt(middle[b - 1] * middle[b]);
            const double off = fabs(samples_below(r, border) - all * (third + 1) / 3);

            if (off < nearest) {
                nearest = off;
                at[third] = b;
                cut[third] = border;
            }
        }
    }
    ss_free(middle);
    return SS_OK;
}

ss_code ss_thirds_find(const ss_run *r, double cut[2], ss_err *e)
{
    bool known = false;

    cut[0] = cut[1] = NAN;
    for (int k = 0; k < r->n_sigmas && !known; k++) {
        for (int i = 0; i < r->n_samples; i++)
            known |= r->done[k] && !isnan(ss_run_level(r, k, i));
    }
    if (!known || (r->binned && r->n_samples < 3))
        return SS_OK;
    return r->binned && r->n_bins == r->n_samples ? of_bins(r, cut, e) : of_samples(r, cut, e);
}
