/* blob_metrics.c - see blob_metrics.h */
#include "analyze/blob_metrics.h"

#include "analyze/rank.h"
#include "base/mem.h"
#include "fft/plane.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_LOW_SIDE = 4, MIN_EDGE_SIDE = 3, MIN_RANK_SIDE = 4 };

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

/* Everything that the energies of positions and channels say. energy: [positions + channels]
 * of scratch. False when x has no energy or values that are not finite. */
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

/* Share of the energy at |f| <= 1. A wave and its negative share a bin of the real transform,
 * but for those of the first and, where w is even, the last column. */
static ss_code measure_low(const float *x, const ss_map_shape *s, double *low, ss_err *e)
{
    double below = 0, total = 0;
    ss_plane p;
    ss_code rc = ss_plane_init(&p, s->h, s->w, e);

    if (rc != SS_OK)
        return rc;
    for (int c = 0; c < s->channels; c++) {
        const double mean = ss_plane_load(&p, x, s->channels, c) * s->positions;

        fftwf_execute(p.forward);
        below += mean * mean;
        total += mean * mean;
        for (int ky = 0; ky < s->h; ky++) {
            for (int kx = 0; kx < p.half; kx++) {
                const fftwf_complex f = p.f[(int64_t)ky * p.half + kx];
                const double re = crealf(f), im = cimagf(f);
                const double energy = (kx == 0 || 2 * kx == s->w ? 1 : 2) * (re * re + im * im);

                total += energy;
                if (ss_plane_radius(s->h, s->w, ky, kx) <= 1)
                    below += energy;
            }
        }
    }
    ss_plane_release(&p);
    *low = below / total;
    return SS_OK;
}

/* Sums over the inner positions of one channel. */
typedef struct {
    double x, y;  /* gx^2, gy^2 */
    double along; /* |g|^2 cos 4t */
} edges;

static edges edges_of(const float *x, const ss_map_shape *s, int channel)
{
    const int64_t right = s->channels, down = (int64_t)s->w * s->channels;
    edges sum = {0};

    for (int i = 1; i + 1 < s->h; i++) {
        for (int k = 1; k + 1 < s->w; k++) {
            const float *at = x + i * down + k * right + channel;
            const double nw = at[-down - right], n = at[-down], ne = at[-down + right];
            const double west = at[-right], east = at[right];
            const double sw = at[down - right], south = at[down], se = at[down + right];
            const double gx = 3 * (ne - nw) + 10 * (east - west) + 3 * (se - sw);
            const double gy = 3 * (sw - nw) + 10 * (south - n) + 3 * (se - ne);
            const double xx = gx * gx, yy = gy * gy;

            sum.x += xx;
            sum.y += yy;
            if (xx + yy > 0) /* cos 4t = 1 - 8 cos^2 t sin^2 t */
                sum.along += xx + yy - 8 * xx * (yy / (xx + yy));
        }
    }
    return sum;
}

static double squareness(const float *x, const ss_map_shape *s)
{
    double sum = 0, weight = 0;

    for (int c = 0; c < s->channels; c++) {
        const edges g = edges_of(x, s, c);

        if (g.x + g.y > 0) {
            sum += g.along * 2 * fmin(g.x, g.y) / (g.x + g.y);
            weight += g.x + g.y;
        }
    }
    return weight > 0 ? sum / weight : NAN;
}

ss_code ss_blob_measure(const float *x, const ss_map_shape *s, double *values, ss_err *e)
{
    const int side = s->h < s->w ? s->h : s->w;
    double *energy = ss_alloc((size_t)s->positions + (size_t)s->channels, sizeof *energy);
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
            values[SS_BLOB_SQUARENESS] = squareness(x, s);
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
