/* set.c - see set.h */
#include "analyze/video/set.h"

#include "analyze/math/decision.h"
#include "analyze/math/frechet.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ss_video_set_release(ss_video_set *s)
{
    for (int i = 0; s->video && i < s->n; i++) {
        ss_video_measures_release(&s->video[i].m);
        ss_video_release(&s->video[i].video);
    }
    ss_free(s->video);
    ss_free(s->group);
    ss_free(s->comparison);
    ss_free(s->distance);
    *s = (ss_video_set){0};
}

double ss_sign_test(int more, int less)
{
    const int n = more + less, k = more < less ? more : less;
    double p = 0;

    if (n == 0)
        return NAN;
    for (int i = 0; i <= k; i++)
        p += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * M_LN2);
    return fmin(2 * p, 1);
}

static bool belongs(const ss_measured_video *v, const ss_video_group *g)
{
    return strcmp(v->model, g->model) == 0 && strcmp(v->stage, g->stage) == 0;
}

static ss_code find_groups(ss_video_set *s, ss_err *e)
{
    if (!(s->group = ss_calloc((size_t)s->n + 1, sizeof *s->group)))
        return ss_no_memory(e, "videos");
    for (int i = 0; i < s->n; i++) {
        int g = s->n_groups - 1; /* the last one, mostly */

        while (g >= 0 && !belongs(&s->video[i], &s->group[g]))
            g--;
        if (g < 0) {
            g = s->n_groups++;
            s->group[g].model = s->video[i].model;
            s->group[g].stage = s->video[i].stage;
        }
        s->group[g].n++;
        s->group[g].not_finite += s->video[i].m.not_finite > 0;
    }
    return SS_OK;
}

/* Finds the folder that all models share. */
static void find_shared(ss_video_set *s)
{
    const char *first = s->n_groups ? s->group[0].model : "";
    size_t n = strlen(first);

    for (int g = 1; g < s->n_groups; g++) {
        size_t same = 0;

        while (same < n && s->group[g].model[same] == first[same])
            same++;
        n = same;
    }
    while (n > 0 && first[n - 1] != '/')
        n--;
    for (int g = 0; g < s->n_groups; g++)
        if (!s->group[g].model[n]) /* "videos/": a name has to be left */
            n = 0;
    s->shared = n;
}

const char *ss_video_group_model(const ss_video_set *s, const ss_video_group *g)
{
    return g->model + s->shared;
}

static void average(const ss_video_set *s, ss_video_group *g)
{
    int n[SS_VIDEO_N_MEASURES] = {0};

    for (int i = 0; i < s->n; i++) {
        if (!belongs(&s->video[i], g))
            continue;
        for (int k = 0; k < SS_VIDEO_N_MEASURES; k++) {
            const double v = s->video[i].m.value[k];

            if (!isnan(v)) {
                g->mean[k] += v;
                n[k]++;
            }
        }
    }
    for (int k = 0; k < SS_VIDEO_N_MEASURES; k++)
        g->mean[k] = n[k] ? g->mean[k] / n[k] : NAN;
}

/* Adds the spectra of the videos of one size, each as much as the points that it had. */
static void average_boiling(const ss_video_set *s, ss_video_group *g)
{
    ss_boiling *to = &g->boiling;
    double total = 0;

    for (int i = 0; i < s->n; i++) {
        const ss_boiling *b = &s->video[i].m.boiling;

        if (!belongs(&s->video[i], g) || !b->frames || !(b->followed > 0) ||
            (to->frames && (to->frames != b->frames || to->n_bands != b->n_bands)))
            continue;
        if (!to->frames) {
            *to = *b;
            to->windows = 0;
            memset(to->band, 0, sizeof to->band);
        }
        to->windows += b->windows;
        for (int k = 0; k < to->n_bands; k++) {
            ss_boiling_band *band = &to->band[k];

            band->finest = b->band[k].finest;
            band->coarsest = b->band[k].coarsest;
            band->still += b->band[k].still;
            band->change += b->band[k].change;
            band->fast += b->band[k].fast;
            for (int f = 0; f <= to->frames / 2; f++)
                band->power[f] += b->band[k].power[f];
        }
        total += 1;
    }
    for (int k = 0; k < to->n_bands && total > 0; k++) {
        ss_boiling_band *band = &to->band[k];

        band->still /= total;
        band->change /= total;
        band->fast /= total;
        for (int f = 0; f <= to->frames / 2; f++)
            band->power[f] /= total;
        band->share = band->change >= SS_BOILING_LEAST_CHANGE ? band->fast / band->change : NAN;
    }
}

/* Copies the series of a group's videos that have as many pairs as the first into room, `each`
 * from `from`; returns how many. */
static int gather(const ss_video_set *s, const ss_video_group *g, int pairs,
                  const double *(*from)(const ss_video_measures *, int *each), double *room)
{
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        const ss_video_measures *m = &s->video[i].m;
        int each = 1;

        if (!belongs(&s->video[i], g) || m->not_finite || m->size.frames - 1 != pairs)
            continue;
        const double *x = from(m, &each);
        if (room && each)
            memcpy(room + (ptrdiff_t)n * pairs, x, (size_t)each * (size_t)pairs * sizeof *x);
        n += each;
    }
    return n;
}

static const double *differences(const ss_video_measures *m, int *each)
{
    *each = 1;
    return m->difference;
}

static const double *warpings(const ss_video_measures *m, int *each)
{
    *each = 1;
    return m->movement.warping;
}

static const double *tiles(const ss_video_measures *m, int *each)
{
    *each = m->n_tiles;
    return m->tile;
}

static ss_code test_seams(const ss_video_set *s, ss_video_group *g, const ss_video_options *opt,
                          ss_err *e)
{
    int pairs = 0;

    for (int i = 0; i < s->n && !pairs; i++)
        if (belongs(&s->video[i], g) && !s->video[i].m.not_finite)
            pairs = s->video[i].m.size.frames - 1;
    const int n_tiles = pairs ? gather(s, g, pairs, tiles, NULL) : 0;
    double *room = ss_alloc((size_t)n_tiles + 1, (size_t)(pairs + 1) * sizeof *room);
    int *joint = ss_alloc((size_t)pairs + 1, sizeof *joint);
    ss_code rc = room && joint ? SS_OK : ss_no_memory(e, "seams");

    if (rc == SS_OK) {
        const int n_joints =
            opt->window ? ss_seams_joints(pairs + 1, opt->window, opt->overlap, joint) : 0;
        int n = pairs ? gather(s, g, pairs, differences, room) : 0;

        rc = ss_seams_test(room, n, pairs, joint, n_joints, opt->seed, &g->seam, e);
        if (rc == SS_OK) {
            n = pairs ? gather(s, g, pairs, warpings, room) : 0;
            rc = ss_seams_test(room, n, pairs, joint, n_joints, opt->seed, &g->warped_seam, e);
        }
        if (rc == SS_OK) {
            n = pairs ? gather(s, g, pairs, tiles, room) : 0;
            rc = ss_seams_search(room, n, pairs, opt->seed, &g->found, e);
        }
    }
    ss_free(room);
    ss_free(joint);
    return rc;
}

/* The video of a group with that name, or NULL. */
static const ss_measured_video *find(const ss_video_set *s, const ss_video_group *g,
                                     const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (belongs(&s->video[i], g) && strcmp(s->video[i].name, name) == 0)
            return &s->video[i];
    return NULL;
}

static ss_video_comparison compare(ss_video_measure_id k, int a, int b,
                                   const ss_measured_video *const *left,
                                   const ss_measured_video *const *right, int n, double *room)
{
    ss_video_comparison c = {.a = a, .b = b, .measure = k};

    for (int i = 0; i < n; i++) {
        const double x = left[i]->m.value[k], y = right[i]->m.value[k];

        if (isnan(x) || isnan(y))
            continue;
        room[c.n++] = y - x;
        c.mean_a += x;
        c.mean_b += y;
        c.more += y > x;
        c.less += y < x;
    }
    const ss_decision d = ss_decide(room, c.n, 0, false);

    c.mean_a = c.n ? c.mean_a / c.n : NAN;
    c.mean_b = c.n ? c.mean_b / c.n : NAN;
    c.difference = d.mean;
    c.low = d.low;
    c.high = d.high;
    c.p = ss_sign_test(c.more, c.less);
    return c;
}

/* Compares groups a and b, video by video; leaves out what no video of both has. */
static ss_code compare_groups(ss_video_set *s, int a, int b, ss_err *e)
{
    const ss_measured_video **pair = ss_alloc((size_t)s->n + 1, 2 * sizeof *pair);
    double *room = ss_alloc((size_t)s->n + 1, sizeof *room);
    ss_video_comparison *grown =
        ss_realloc(s->comparison, (size_t)s->n_comparisons + SS_VIDEO_N_MEASURES, sizeof *grown);
    ss_code rc = pair && room && grown ? SS_OK : ss_no_memory(e, "comparisons");
    int n = 0;

    if (grown)
        s->comparison = grown;
    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        if (!belongs(&s->video[i], &s->group[a]))
            continue;
        pair[n] = &s->video[i];
        pair[s->n + n] = find(s, &s->group[b], s->video[i].name);
        n += pair[s->n + n] != NULL;
    }
    for (int k = 0; k < SS_VIDEO_N_MEASURES && rc == SS_OK && n; k++) {
        const ss_video_comparison c =
            compare((ss_video_measure_id)k, a, b, pair, pair + s->n, n, room);

        if (c.n)
            s->comparison[s->n_comparisons++] = c;
    }
    ss_free(pair);
    ss_free(room);
    return rc;
}

/* Features of a group's finite videos, those from `first` on and every `step` of them, as a normal
 * distribution; *n: how many. Less than 2 leave it empty. */
static ss_code fit(const ss_video_set *s, const ss_video_group *g, int first, int step,
                   ss_gaussian *to, int *n, ss_err *e)
{
    float *x = ss_alloc((size_t)s->n + 1, sizeof s->video->m.features);
    int seen = 0;

    *n = 0;
    if (!x)
        return ss_no_memory(e, "features of videos");
    for (int i = 0; i < s->n; i++) {
        if (!belongs(&s->video[i], g) || s->video[i].m.not_finite)
            continue;
        if (seen++ % step == first)
            memcpy(x + (ptrdiff_t)(*n)++ * SS_VIDEO_FEATURES, s->video[i].m.features,
                   sizeof s->video->m.features);
    }
    const ss_code rc = *n >= 2 ? ss_gaussian_of(x, *n, SS_VIDEO_FEATURES, NULL, to, e) : SS_OK;
    ss_free(x);
    return rc;
}

static ss_code measure_distance(ss_video_set *s, int a, int b, ss_err *e)
{
    ss_video_distance *d = &s->distance[s->n_distances++];
    ss_gaussian all[2] = {{0}, {0}}, half[2] = {{0}, {0}};
    int n;
    ss_code rc;

    *d = (ss_video_distance){.a = a, .b = b, .distance = NAN, .within = NAN};
    rc = fit(s, &s->group[a], 0, 1, &all[0], &d->n_a, e);
    if (rc == SS_OK)
        rc = fit(s, &s->group[b], 0, 1, &all[1], &d->n_b, e);
    for (int k = 0; k < 2 && rc == SS_OK; k++)
        rc = fit(s, &s->group[a], k, 2, &half[k], &n, e);
    if (rc == SS_OK && d->n_a >= 4 && d->n_b >= 4)
        rc = ss_frechet_distance(&all[0], &all[1], &d->distance, e);
    if (rc == SS_OK && d->n_a >= 4)
        rc = ss_frechet_distance(&half[0], &half[1], &d->within, e);
    for (int k = 0; k < 2; k++) {
        ss_gaussian_release(&all[k]);
        ss_gaussian_release(&half[k]);
    }
    return rc;
}

ss_code ss_video_set_compare(ss_video_set *s, const ss_video_options *opt, ss_err *e)
{
    ss_code rc = find_groups(s, e);

    if (rc == SS_OK)
        find_shared(s);
    for (int g = 0; g < s->n_groups && rc == SS_OK; g++) {
        average(s, &s->group[g]);
        average_boiling(s, &s->group[g]);
        rc = test_seams(s, &s->group[g], opt, e);
    }
    if (rc == SS_OK && !(s->distance = ss_calloc((size_t)s->n_groups + 1, sizeof *s->distance)))
        rc = ss_no_memory(e, "distances of videos");
    for (int b = 1; b < s->n_groups && rc == SS_OK; b++) {
        int a = 0; /* the first of that stage */

        while (strcmp(s->group[a].stage, s->group[b].stage) != 0)
            a++;
        if (a < b && (rc = compare_groups(s, a, b, e)) == SS_OK)
            rc = measure_distance(s, a, b, e);
    }
    return rc;
}
