/* seams.c - see seams.h */
#include "analyze/video/seams.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Sums of the same numbers in another order differ by rounding: such ones count as equal. */
static const double SLACK = 1e-9;

int ss_seams_joints(int frames, int window, int overlap, int *joint)
{
    int n = 0;

    for (int64_t at = window - 1; at + 1 < frames; at += window - overlap)
        joint[n++] = (int)at;
    return n;
}

static bool is_finite(const double *d, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(d[i]))
            return false;
    return true;
}

/* Number of ways to choose k of n, at most `limit` + 1. */
static int64_t ways(int n, int k, int64_t limit)
{
    double w = 1;

    for (int i = 1; i <= k; i++)
        w = w * (n - k + i) / i;
    return w > (double)limit ? limit + 1 : (int64_t)(w + 0.5);
}

/* Moves chosen [k], which rises, to the next choice out of n; false after the last. */
static bool next_choice(int *chosen, int k, int n)
{
    int i = k - 1;

    while (i >= 0 && chosen[i] == n - k + i)
        i--;
    if (i < 0)
        return false;
    for (chosen[i]++; i + 1 < k; i++)
        chosen[i + 1] = chosen[i] + 1;
    return true;
}

static double sum_of(const double *d, const int *at, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += d[at[i]];
    return sum;
}

/* Shuffles the first k of x [n]; *at: the next random number. */
static void shuffle(int *x, int k, int n, ss_rng rng, uint64_t *at)
{
    for (int i = 0; i < k && i + 1 < n; i++) {
        const int j = i + (int)(ss_rng_uniform(rng, (*at)++) * (n - i));
        const int swap = x[i];

        x[i] = x[j];
        x[j] = swap;
    }
}

/* Share of the ways to place k joints in one series whose sum is at least `seen`. */
static double count_all(const double *d, int n, int k, double seen, int *chosen)
{
    const double slack = SLACK * (1 + fabs(seen));
    int64_t count = 0, total = 0;

    for (int i = 0; i < k; i++)
        chosen[i] = i;
    do {
        count += sum_of(d, chosen, k) >= seen - slack;
        total++;
    } while (next_choice(chosen, k, n));
    return (double)count / (double)total;
}

static double draw(const double *d, const int *series, int n_series, int n, int k, double seen,
                   uint64_t seed, int *order)
{
    const ss_rng rng = ss_rng_stream(seed, "seam", (uint64_t)n, (uint64_t)k);
    const double slack = SLACK * (1 + fabs(seen));
    uint64_t at = 0;
    int count = 0;

    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int r = 0; r < SS_SEAMS_DRAWS; r++) {
        double sum = 0;

        for (int s = 0; s < n_series; s++) {
            shuffle(order, k, n, rng, &at);
            sum += sum_of(d + (ptrdiff_t)series[s] * n, order, k);
        }
        count += sum >= seen - slack;
    }
    return (1.0 + count) / (1.0 + SS_SEAMS_DRAWS);
}

ss_code ss_seams_test(const double *d, int series, int n, const int *joint, int n_joints,
                      uint64_t seed, ss_seam *out, ss_err *e)
{
    int *room = ss_alloc((size_t)n + (size_t)series + 1, sizeof *room), *used = room + n;
    double seen = 0, total = 0;
    int n_used = 0;

    *out = (ss_seam){n_joints, NAN, NAN, NAN, NAN, false};
    if (!room)
        return ss_no_memory(e, "seams");
    for (int s = 0; s < series; s++) {
        const double *own = d + (ptrdiff_t)s * n;

        if (!is_finite(own, n))
            continue;
        used[n_used++] = s;
        seen += sum_of(own, joint, n_joints);
        for (int i = 0; i < n; i++)
            total += own[i];
    }
    if (n_used && n_joints > 0 && n_joints < n) {
        out->joints = seen / ((double)n_joints * n_used);
        out->inside = (total - seen) / ((double)(n - n_joints) * n_used);
        out->score = out->joints - out->inside;
        out->exact = n_used == 1 && ways(n, n_joints, SS_SEAMS_EXACT) <= SS_SEAMS_EXACT;
        out->p = out->exact ? count_all(d + (ptrdiff_t)used[0] * n, n, n_joints, seen, room)
                            : draw(d, used, n_used, n, n_joints, seen, seed, room);
    }
    ss_free(room);
    return SS_OK;
}

/* rank [n] of d, equal values sharing their mean rank. */
static void rank_values(const double *d, int n, float *rank)
{
    for (int i = 0; i < n; i++) {
        int below = 0, same = 0;

        for (int j = 0; j < n; j++) {
            below += d[j] < d[i];
            same += d[j] == d[i];
        }
        rank[i] = (float)below + (float)(same + 1) / 2;
    }
}

/* The largest contrast of mean ranks [n], and where it is. */
static double largest_contrast(const double *mean, int n, int *at)
{
    double best = -INFINITY;

    for (int t = 0; t < n; t++) {
        const double before = mean[t > 0 ? t - 1 : 1], after = mean[t + 1 < n ? t + 1 : n - 2];
        const double contrast = mean[t] - (before + after) / 2;

        if (contrast > best) {
            best = contrast;
            *at = t;
        }
    }
    return best;
}

static double draw_orders(const float *rank, int series, int n, double seen, uint64_t seed,
                          int *order, double *mean)
{
    const ss_rng rng = ss_rng_stream(seed, "seam search", (uint64_t)n, (uint64_t)series);
    uint64_t next = 0;
    int count = 0, at;

    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int r = 0; r < SS_SEAMS_ORDERS; r++) {
        memset(mean, 0, (size_t)n * sizeof *mean);
        for (int s = 0; s < series; s++) {
            shuffle(order, n, n, rng, &next);
            for (int t = 0; t < n; t++)
                mean[t] += rank[(ptrdiff_t)s * n + order[t]] / (double)series;
        }
        count += largest_contrast(mean, n, &at) >= seen - SLACK * n;
    }
    return (1.0 + count) / (1.0 + SS_SEAMS_ORDERS);
}

ss_code ss_seams_search(const double *d, int series, int n, uint64_t seed, ss_seam_found *out,
                        ss_err *e)
{
    float *rank = ss_alloc((size_t)series + 1, (size_t)(n > 0 ? n : 1) * sizeof *rank);
    double *mean = ss_calloc((size_t)n + 1, sizeof *mean);
    int *order = ss_alloc((size_t)n + 1, sizeof *order), used = 0;
    const bool fine = rank && mean && order;

    *out = (ss_seam_found){-1, NAN, NAN};
    series = series < SS_SEAMS_SERIES ? series : SS_SEAMS_SERIES;
    for (int s = 0; s < series && n >= 4 && fine; s++) {
        if (!is_finite(d + (ptrdiff_t)s * n, n))
            continue;
        rank_values(d + (ptrdiff_t)s * n, n, rank + (ptrdiff_t)used++ * n);
    }
    if (used) {
        for (int s = 0; s < used; s++)
            for (int t = 0; t < n; t++)
                mean[t] += rank[(ptrdiff_t)s * n + t] / (double)used;
        out->contrast = largest_contrast(mean, n, &out->at);
        out->p = draw_orders(rank, used, n, out->contrast, seed, order, mean);
    }
    ss_free(rank);
    ss_free(mean);
    ss_free(order);
    return fine ? SS_OK : ss_no_memory(e, "seams");
}
