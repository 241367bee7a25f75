/* mechanism_samples.c - see mechanism_samples.h */
#include "analyze/training/mechanism_samples.h"

#include "analyze/math/median.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bins are a factor of 1.41 wide; the outermost have what lies beyond them. */
static int bin_of(double sigma)
{
    const double bin = SS_VIEW_BINS / 2 + floor(2 * log2(sigma));

    return bin < 0 ? 0 : bin < SS_VIEW_BINS ? (int)bin : SS_VIEW_BINS - 1;
}

static double picture_of(const ss_view *view, ss_point_cell c)
{
    return view->in.port < 0 ? NAN : (double)view->absmax[ss_view_at(view, view->in, c)];
}

static double loss_of(const ss_view *view, ss_point_cell c)
{
    return view->loss
               ? (double)
                     view->loss[(size_t)c.column * (size_t)view->r->n_samples + (size_t)c.sample]
               : NAN;
}

/* The median of values whose noise level falls into this bin or one of its two neighbours. */
static double usual_in(const ss_view *view, int bin,
                       double (*value)(const ss_view *, ss_point_cell))
{
    int n = 0;

    for (int c = 0; c < view->r->n_sigmas; c++) {
        for (int s = 0; s < view->r->n_samples && view->r->done[c]; s++) {
            const double sigma = ss_view_sigma(view, (ss_point_cell){c, 0, s});

            if (sigma > 0 && abs(bin_of(sigma) - bin) <= 1)
                view->scratch[n++] = value(view, (ss_point_cell){c, 0, s});
        }
    }
    return n < 3 ? NAN : ss_median(view->scratch, n);
}

void ss_samples_find_usual(ss_view *view)
{
    for (int bin = 0; bin < SS_VIEW_BINS; bin++) {
        view->usual_picture[bin] = usual_in(view, bin, picture_of);
        view->usual_loss[bin] = usual_in(view, bin, loss_of);
    }
}

double ss_sample_outlier(double sample, double picture)
{
    return isnan(picture) ? 1e-6 * sample
                          : fmin(sample / SS_OUTLIER_SAMPLE, picture / SS_OUTLIER_PICTURE);
}

/* Divides each value of a group by their median; NaN with fewer than three. */
static void over_median(const ss_view *view, double *x, int from, int n)
{
    int known = 0;

    for (int k = from; k < from + n; k++) {
        if (!isnan(x[k]))
            view->scratch[known++] = x[k];
    }
    const double median = known < 3 ? NAN : ss_median(view->scratch, known);

    for (int k = from; k < from + n; k++)
        x[k] = median > 0 ? x[k] / median : NAN;
}

void ss_samples_find_outlier(const ss_view *view, double *peaks, ss_mechanism_point *p)
{
    const int samples = view->r->n_samples, n = ss_view_cells(view);
    double *pictures = peaks + n, *losses = pictures + n, best = NAN;

    for (int k = 0; k < n; k++) {
        const ss_point_cell c = ss_view_cell(view, k);
        const double sigma = ss_view_sigma(view, c);

        const bool known = view->r->steps && sigma > 0;

        pictures[k] = picture_of(view, c) / (known            ? view->usual_picture[bin_of(sigma)]
                                             : view->r->steps ? NAN
                                                              : 1);
        losses[k] = known ? loss_of(view, c) / view->usual_loss[bin_of(sigma)] : NAN;
    }
    for (int k = 0; k < n; k += samples) {
        over_median(view, peaks, k, samples);
        over_median(view, losses, k, samples);
        if (!view->r->steps)
            over_median(view, pictures, k, samples);
    }
    for (int k = 0; k < n; k++) {
        /* bins of a step differ in |x| by their noise levels: without their pictures it says
         * nothing */
        const bool alike = !view->r->binned || !isnan(pictures[k]);
        const double out = alike ? fmax(peaks[k], losses[k]) : losses[k];
        const double both = ss_sample_outlier(out, pictures[k]);

        if (isnan(out) || both <= best)
            continue;
        best = both;
        p->sample = out;
        p->picture = pictures[k];
        p->sigma = ss_view_sigma(view, ss_view_cell(view, k));
        p->sample_index = ss_view_cell(view, k).sample;
    }
    memcpy(view->scratch, pictures, (size_t)n * sizeof *pictures);
    p->pictures = view->r->steps ? ss_median(view->scratch, n) : NAN;
}
