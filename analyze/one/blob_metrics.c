/* blob_metrics.c - see blob_metrics.h */
#include "analyze/one/blob_metrics.h"

#include "analyze/math/rank.h"
#include "base/mem.h"
#include "base/simd.h"
#include "fft/plane.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_LOW_SIDE = 4, MIN_EDGE_SIDE = 3, MIN_RANK_SIDE = 4 };
#define NO_EDGE 1e-300

const char *ss_blob_name(ss_blob b)
{
#define X(name, text) text,
    static const char *const names[] = {SS_BLOBS(X)};
#undef X

    return names[b];
}

static int compare_down(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

/* Fills in the metrics that follow from the energies of positions and channels. energy: [positions
 * + 3 channels] of scratch. False when x has no energy or values that are not finite. */
static bool measure_energy(const float *x, const ss_map_shape *s, double *energy, double *values)
{
    double *const position = energy, *const channel = energy + s->positions;
    const int top = (s->positions + 99) / 100;
    double total = 0, square = 0, largest = 0, first = 0;

    for (int c = 0; c < s->channels; c++)
        channel[c] = 0;
    for (int p = 0; p < s->positions; p++) {
        const float *at = x + (int64_t)p * s->channels;

        position[p] = 0;
        for (int c = 0; c < s->channels; c++) {
            const double e = (double)at[c] * at[c];

            position[p] += e;
            channel[c] += e;
        }
        total += position[p];
    }
    if (!isfinite(total) || total == 0)
        return false;
    for (int c = 0; c < s->channels; c++)
        largest = fmax(largest, channel[c]);
    for (int p = 0; p < s->positions; p++)
        square += position[p] / total * (position[p] / total);
    qsort(position, (size_t)s->positions, sizeof *position, compare_down);
    for (int p = 0; p < top; p++)
        first += position[p];
    values[SS_BLOB_TOP_CHANNEL] = largest / total;
    values[SS_BLOB_TOP_POSITIONS] = first / total;
    values[SS_BLOB_SPREAD] = 1 / (s->positions * square);
    return true;
}

/* Energy of a channel's transform at 0 < |f| <= 1, which takes the first few bins. A wave and its
 * negative share a bin of the real transform, but for those of the first and, where w is even, the
 * last column. */
static double low_energy(const ss_plane *p)
{
    double below = 0;

    for (int ky = 0; ky < p->h; ky++) {
        for (int kx = 0; kx < p->half && ss_plane_radius(p->h, p->w, ky, kx) <= 1; kx++) {
            const fftwf_complex f = p->f[(int64_t)ky * p->half + kx];
            const double re = crealf(f), im = cimagf(f);

            below += (kx == 0 || 2 * kx == p->w ? 1 : 2) * (re * re + im * im);
        }
    }
    return below;
}

/* Share of the energy at |f| <= 1; of all energy, which is Parseval's sum. */
static ss_code measure_low(const float *x, const ss_map_shape *s, double *low, ss_err *e)
{
    double below = 0, total = 0;
    ss_plane p;
    ss_code rc = ss_plane_init(&p, s->h, s->w, e);

    if (rc != SS_OK)
        return rc;
    for (int c = 0; c < s->channels; c++) {
        const double mean = ss_plane_load(&p, x, s->channels, c) * s->positions;
        double square = 0;

        for (int i = 0; i < s->positions; i++)
            square += (double)p.x[i] * p.x[i];
        fftwf_execute(p.forward);
        below += mean * mean + low_energy(&p);
        total += mean * mean + square * s->positions;
    }
    ss_plane_release(&p);
    *low = below / total;
    return SS_OK;
}

/* Adds the response of Scharr's operator at one position, of each channel: gx^2 to x, gy^2 to y,
 * and |g|^2 cos 4t to along. */
SS_SIMD static void add_edges(const float *at, int64_t right, int64_t down, int channels, double *x,
                              double *y, double *along)
{
#pragma omp simd
    for (int c = 0; c < channels; c++) {
        const double nw = at[c - down - right], n = at[c - down], ne = at[c - down + right];
        const double west = at[c - right], east = at[c + right];
        const double sw = at[c + down - right], south = at[c + down], se = at[c + down + right];
        const double gx = 3 * (ne - nw) + 10 * (east - west) + 3 * (se - sw);
        const double gy = 3 * (sw - nw) + 10 * (south - n) + 3 * (se - ne);
        const double xx = gx * gx, yy = gy * gy, both = xx + yy;

        x[c] += xx;
        y[c] += yy;
        /* cos 4t = 1 - 8 cos^2 t sin^2 t; squares of f32 are far above NO_EDGE, or 0 */
        along[c] += both - 8 * xx * (yy / (both + NO_EDGE));
    }
}

/* sums: [3 channels] of scratch. */
static double squareness(const float *x, const ss_map_shape *s, double *sums)
{
    double *const gx = sums, *const gy = gx + s->channels, *const along = gy + s->channels;
    double sum = 0, weight = 0;

    for (int i = 0; i < 3 * s->channels; i++)
        sums[i] = 0;
    for (int i = 1; i + 1 < s->h; i++)
        for (int k = 1; k + 1 < s->w; k++)
            add_edges(x + ((int64_t)i * s->w + k) * s->channels, s->channels,
                      (int64_t)s->w * s->channels, s->channels, gx, gy, along);
    for (int c = 0; c < s->channels; c++) {
        const double both = gx[c] + gy[c];

        if (both > 0) {
            sum += along[c] * 2 * fmin(gx[c], gy[c]) / both;
            weight += both;
        }
    }
    return weight > 0 ? sum / weight : NAN;
}

ss_code ss_blob_measure(const float *x, const ss_map_shape *s, double *values, ss_err *e)
{
    const int side = s->h < s->w ? s->h : s->w;
    double *energy = ss_alloc((size_t)s->positions + 3 * (size_t)s->channels, sizeof *energy);
    ss_code rc = SS_OK;

    for (int b = 0; b < SS_N_BLOBS; b++)
        values[b] = NAN;
    if (!energy)
        return ss_fail(e, SS_NOMEM, "a map of %d x %d values: out of memory", s->positions,
                       s->channels);
    if (measure_energy(x, s, energy, values)) {
        rc = ss_effective_rank(x, s->positions, s->channels, &values[SS_BLOB_RANK], e);
        if (rc == SS_OK && side >= MIN_LOW_SIDE)
            rc = measure_low(x, s, &values[SS_BLOB_LOW], e);
        if (side >= MIN_EDGE_SIDE)
            values[SS_BLOB_SQUARENESS] = squareness(x, s, energy);
    }
    ss_free(energy);
    return rc;
}

double ss_blob_cosine(const float *x, const double *sum, int64_t n)
{
    double xx = 0, xy = 0, yy = 0;

    for (int64_t i = 0; i < n; i++) {
        const double y = sum[i] - x[i];

        xx += (double)x[i] * x[i];
        xy += x[i] * y;
        yy += y * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx) / sqrt(yy) : NAN;
}

bool ss_blob_degenerate(const float *v, const ss_map_shape *s)
{
    const bool ranked = s->positions >= MIN_RANK_SIDE && s->channels >= MIN_RANK_SIDE;

    /* NaN fails each comparison */
    return (ranked && v[SS_BLOB_RANK] < 2) + (v[SS_BLOB_LOW] > 0.75) + (v[SS_BLOB_COSINE] > 0.85) >=
           2;
}
