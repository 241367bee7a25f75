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

/* The border below bin b > 0, in the order of the axis: bins rise. */
static double border_below(const ss_run *r, int b)
{
    return r->edges ? r->edges[b - 1] : sqrt(r->bins[b - 1] * r->bins[b]);
}

/* How many samples of known noise level fell into the bins below bin b. */
static double samples_below(const ss_run *r, int b)
{
    double sum = 0;

    for (int k = 0; k < r->n_sigmas; k++) {
        for (int i = 0; i < b; i++)
            sum += isnan(ss_run_level(r, k, i)) ? 0 : ss_run_count(r, k, i);
    }
    return sum;
}

static void of_bins(const ss_run *r, double cut[2])
{
    const int n = r->n_bins;
    const double all = samples_below(r, n);
    int at = 0;

    for (int third = 0; third < 2; third++) {
        double nearest = INFINITY;
        const int from = at + 1;

        for (int b = from; b < n - 1 + third; b++) {
            const double off = fabs(samples_below(r, b) - all * (third + 1) / 3);

            if (off < nearest) {
                nearest = off;
                at = b;
            }
        }
        cut[third] = border_below(r, at);
    }
}

/* True if each sample is a bin of the axis, and these rise. */
static bool has_bins(const ss_run *r)
{
    if (!r->binned || r->n_bins != r->n_samples)
        return false;
    for (int b = 1; b < r->n_bins; b++) {
        if (!(r->bins[b] > r->bins[b - 1]))
            return false;
    }
    return true;
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
    if (!has_bins(r))
        return of_samples(r, cut, e);
    of_bins(r, cut);
    return SS_OK;
}
