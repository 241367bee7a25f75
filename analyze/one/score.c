/* score.c - see score.h
 *
 * Samples are sorted by class, then by their features, so that their order has no part in sums and
 * draws. All of one class are a group; those that no class was asked for are one, too, which any
 * picture stands for.
 */
#include "analyze/one/score.h"

#include "analyze/math/frechet.h"
#include "analyze/math/median.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int class;       /* -1: any */
    int64_t from, n; /* its samples: rows from .. from + n - 1 */
    int64_t n_ref;   /* pictures of the class in the reference */
    int64_t *spare;  /* [n_spare] others, in random order */
    int64_t n_spare;
} group;

typedef struct {
    const ss_scored *real;
    int width;
    uint64_t seed;
    int64_t n;    /* samples that are used */
    float *rows;  /* [n][width], sorted */
    float *drawn; /* [n][width] */
    group *groups;
    int n_groups;
    ss_gaussian reference;
} scoring;

void ss_wilson(int64_t k, int64_t n, double *low, double *high)
{
    const double z = 1.959963984540054, p = (double)k / (double)n, nn = (double)n;
    const double middle = (p + z * z / (2 * nn)) / (1 + z * z / nn);
    const double half = z * sqrt(p * (1 - p) / nn + z * z / (4 * nn * nn)) / (1 + z * z / nn);

    *low = *high = NAN;
    if (n == 0)
        return;
    *low = k == 0 ? 0 : middle - half; /* exactly, where rounding would leave 1e-17 */
    *high = k == n ? 1 : middle + half;
}

static void release(scoring *s)
{
    for (int g = 0; s->groups && g < s->n_groups; g++)
        ss_free(s->groups[g].spare);
    ss_free(s->groups);
    ss_free(s->rows);
    ss_free(s->drawn);
    ss_gaussian_release(&s->reference);
}

void ss_score_classes(const ss_scored *x, ss_score *s)
{
    double sum = 0;

    *s = (ss_score){.distance = NAN,
                    .corrected = NAN,
                    .low = NAN,
                    .high = NAN,
                    .real_least = NAN,
                    .real_mean = NAN,
                    .real_most = NAN};
    for (int64_t i = 0; i < x->n; i++) {
        const ss_sample_state state = x->state ? x->state[i] : SS_SAMPLE_FINE;

        s->not_finite += state == SS_SAMPLE_NOT_FINITE;
        s->flat += state == SS_SAMPLE_FLAT;
        s->asked += x->label[i] >= 0;
        s->right += x->label[i] >= 0 && state == SS_SAMPLE_FINE && x->taken[i] == x->label[i];
        if (state != SS_SAMPLE_NOT_FINITE) {
            s->used++;
            sum += x->confidence[i];
        }
    }
    s->n = x->n;
    s->confidence = s->used ? sum / (double)s->used : NAN;
    s->accuracy = s->asked ? (double)s->right / (double)s->asked : NAN;
    ss_wilson(s->right, s->asked, &s->accuracy_low, &s->accuracy_high);
}

typedef struct {
    int class, width;
    const float *x;
} row;

static int by_class_and_features(const void *a, const void *b)
{
    const row *p = a, *q = b;

    if (p->class != q->class)
        return p->class < q->class ? -1 : 1;
    for (int k = 0; k < p->width; k++) {
        if (p->x[k] != q->x[k])
            return p->x[k] < q->x[k] ? -1 : 1;
    }
    return 0;
}

/* Rows of the samples that are finite, in their order, and the groups among them. */
static ss_code sort_rows(scoring *s, const ss_scored *x, ss_err *e)
{
    const size_t n = (size_t)s->n, width = (size_t)s->width;
    row *rows = ss_alloc(n, sizeof *rows);
    int64_t k = 0;

    s->rows = ss_alloc(n, width * sizeof *s->rows);
    s->drawn = ss_alloc(n, width * sizeof *s->drawn);
    s->groups = ss_calloc(n, sizeof *s->groups);
    if (!rows || !s->rows || !s->drawn || !s->groups) {
        ss_free(rows);
        return ss_no_memory(e, "scores");
    }
    for (int64_t i = 0; i < x->n; i++) {
        if (!x->state || x->state[i] != SS_SAMPLE_NOT_FINITE)
            rows[k++] =
                (row){x->label[i] < 0 ? -1 : x->label[i], s->width, x->features + i * s->width};
    }
    qsort(rows, n, sizeof *rows, by_class_and_features);
    for (int64_t i = 0; i < s->n; i++) {
        memcpy(s->rows + i * s->width, rows[i].x, width * sizeof *s->rows);
        if (i == 0 || rows[i].class != rows[i - 1].class)
            s->groups[s->n_groups++] = (group){.class = rows[i].class, .from = i};
        s->groups[s->n_groups - 1].n++;
    }
    ss_free(rows);
    return SS_OK;
}

static bool stands_for(const scoring *s, const group *g, int64_t i)
{
    return g->class < 0 || s->real->label[i] == g->class;
}

/* Finds the real pictures that stand for the group: counts those in the reference, lists and
 * shuffles the others. */
static ss_code find_real(scoring *s, group *g, ss_err *e)
{
    const ss_rng r = ss_rng_stream(s->seed, "real pictures", (uint64_t)(g->class + 1), 0);

    if (!(g->spare = ss_alloc((size_t)s->real->n, sizeof *g->spare)))
        return ss_no_memory(e, "scores");
    for (int64_t i = 0; i < s->real->n; i++) {
        if (!stands_for(s, g, i))
            continue;
        if (i % 2 == 0) {
            g->n_ref++;
        } else {
            const int64_t k = (int64_t)(ss_rng_uniform(r, (uint64_t)i) * (double)(g->n_spare + 1));

            g->spare[g->n_spare] = g->spare[k];
            g->spare[k] = i;
            g->n_spare++;
        }
    }
    if (g->n_ref < 2 || g->n_spare < 2)
        return ss_fail(e, SS_USAGE,
                       "samples of class %d have nothing to be compared with: of the real pictures "
                       "held out, %lld and %lld in the two halves are of it, and 2 are needed in "
                       "each",
                       g->class, (long long)g->n_ref, (long long)g->n_spare);
    return SS_OK;
}

/* The reference in the samples' mix of classes. */
static ss_code make_reference(scoring *s, ss_err *e)
{
    const int64_t n = (s->real->n + 1) / 2;
    double *weight = ss_calloc((size_t)n, sizeof *weight);
    float *x = ss_alloc((size_t)n, (size_t)s->width * sizeof *x);
    ss_code rc = weight && x ? SS_OK : ss_no_memory(e, "scores");

    for (int64_t i = 0; i < n && rc == SS_OK; i++) {
        memcpy(x + i * s->width, s->real->features + 2 * i * s->width,
               (size_t)s->width * sizeof *x);
        for (int k = 0; k < s->n_groups; k++) {
            const group *g = &s->groups[k];

            if (stands_for(s, g, 2 * i))
                weight[i] += (double)g->n / (double)s->n / (double)g->n_ref;
        }
    }
    if (rc == SS_OK)
        rc = ss_gaussian_of(x, n, s->width, weight, &s->reference, e);
    ss_free(weight);
    ss_free(x);
    return rc;
}

/* The reference's distance to x [n][width]. */
static ss_code distance_of(const scoring *s, const float *x, int64_t n, double *d, ss_err *e)
{
    ss_gaussian g = {0};
    ss_code rc = ss_gaussian_of(x, n, s->width, NULL, &g, e);

    if (rc == SS_OK)
        rc = ss_frechet_distance(&g, &s->reference, d, e);
    ss_gaussian_release(&g);
    return rc;
}

/* Samples drawn again, class by class. */
static ss_code resample(scoring *s, int k, double *d, ss_err *e)
{
    const ss_rng r = ss_rng_stream(s->seed, "resampling", (uint64_t)k, 0);
    const size_t bytes = (size_t)s->width * sizeof *s->rows;

    for (int g = 0; g < s->n_groups; g++) {
        const int64_t from = s->groups[g].from, n = s->groups[g].n;

        for (int64_t i = from; i < from + n; i++) {
            const int64_t at = from + (int64_t)(ss_rng_uniform(r, (uint64_t)i) * (double)n);

            memcpy(s->drawn + i * s->width, s->rows + at * s->width, bytes);
        }
    }
    return distance_of(s, s->drawn, s->n, d, e);
}

/* Bias and interval by the bootstrap. */
static ss_code correct(scoring *s, ss_score *out, ss_err *e)
{
    const double last = SS_SCORE_RESAMPLES - 1;
    double d[SS_SCORE_RESAMPLES], sum = 0;

    for (int k = 0; k < SS_SCORE_RESAMPLES; k++) {
        const ss_code rc = resample(s, k, &d[k], e);

        if (rc != SS_OK)
            return rc;
    }
    qsort(d, SS_SCORE_RESAMPLES, sizeof *d, ss_rising);
    for (int k = 0; k < SS_SCORE_RESAMPLES; k++)
        sum += d[k];
    out->corrected = 2 * out->distance - sum / SS_SCORE_RESAMPLES;
    out->low = 2 * out->distance - d[(int)lrint(0.975 * last)];
    out->high = 2 * out->distance - d[(int)lrint(0.025 * last)];
    return SS_OK;
}

/* Draws as many real pictures in the same mix of classes, or as many as there are. */
static ss_code draw_real(scoring *s, ss_score *out, ss_err *e)
{
    const size_t bytes = (size_t)s->width * sizeof *s->drawn;
    double times = SS_SCORE_DRAWS, sum = 0;

    for (int g = 0; g < s->n_groups; g++)
        times = fmin(times, (double)s->groups[g].n_spare / (double)s->groups[g].n);
    const double share = fmin(times, 1); /* of every class the same, which keeps their mix */

    out->draws = times < 1 ? 1 : (int)times;
    for (int k = 0; k < out->draws; k++) {
        int64_t n = 0;
        double d;

        for (int g = 0; g < s->n_groups; g++) {
            const group *at = &s->groups[g];
            const int64_t each = (int64_t)ceil(share * (double)at->n);

            for (int64_t i = 0; i < each; i++)
                memcpy(s->drawn + n++ * s->width,
                       s->real->features + at->spare[k * each + i] * s->width, bytes);
        }
        const ss_code rc = distance_of(s, s->drawn, n, &d, e);
        if (rc != SS_OK)
            return rc;
        out->real_n = n;
        sum += d;
        out->real_least = k == 0 ? d : fmin(out->real_least, d);
        out->real_most = k == 0 ? d : fmax(out->real_most, d);
    }
    out->real_mean = sum / out->draws;
    return SS_OK;
}

ss_code ss_score_samples(const ss_scored *samples, const ss_scored *real, uint64_t seed,
                         ss_score *out, ss_err *e)
{
    scoring s = {.real = real, .width = real->width, .seed = seed};
    ss_code rc;

    if (samples->width != real->width)
        return ss_fail(e, SS_SHAPE, "samples of %d features, real pictures of %d", samples->width,
                       real->width);
    ss_score_classes(samples, out);
    s.n = out->used;
    if (s.n < 2)
        return SS_OK;
    rc = sort_rows(&s, samples, e);
    for (int g = 0; g < s.n_groups && rc == SS_OK; g++)
        rc = find_real(&s, &s.groups[g], e);
    if (rc == SS_OK)
        rc = make_reference(&s, e);
    if (rc == SS_OK)
        rc = distance_of(&s, s.rows, s.n, &out->distance, e);
    if (rc == SS_OK)
        rc = correct(&s, out, e);
    if (rc == SS_OK)
        rc = draw_real(&s, out, e);
    release(&s);
    return rc;
}
