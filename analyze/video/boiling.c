/* boiling.c - see boiling.h */
#include "analyze/video/boiling.h"

#include "analyze/video/field.h"
#include "analyze/video/flow.h"
#include "base/mem.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const double FIRST_SIGMA = 0.75, FIRST_WAVE = 4; /* the filter whose half is that wave */

typedef struct {
    int T, h, w;
    float *place;       /* [T][h w][2] y and x of each point */
    uint8_t *lost;      /* [h w] */
    float *now, *next;  /* [T][h w] the picture after one filter, and the next */
    float *band, *room; /* [h w] */
    float *along;       /* [h w][T] brightness of each point */
    double wave[SS_BOILING_FRAMES / 2 + 1][SS_BOILING_FRAMES][2];
    double fade[SS_BOILING_FRAMES], fades; /* z, sum z^2 */
} work;

static void release(work *k)
{
    ss_free(k->place);
    ss_free(k->lost);
    ss_free(k->now);
    ss_free(k->next);
    ss_free(k->band);
    ss_free(k->along);
}

static ss_code make(work *k, ss_err *e)
{
    const size_t n = (size_t)k->h * (size_t)k->w, T = (size_t)k->T;

    k->place = ss_alloc(n * T, 2 * sizeof *k->place);
    k->lost = ss_alloc(n, 1);
    k->now = ss_alloc(n * T, sizeof *k->now);
    k->next = ss_alloc(n * T, sizeof *k->next);
    k->band = ss_alloc(n, 2 * sizeof *k->band);
    k->along = ss_alloc(n * T, sizeof *k->along);
    if (!k->place || !k->lost || !k->now || !k->next || !k->band || !k->along)
        return ss_no_memory(e, "the spectrum of a video");
    k->room = k->band + n;
    for (int t = 0; t < k->T; t++) {
        k->fade[t] = pow(sin(M_PI * (t + 0.5) / k->T), 2);
        k->fades += k->fade[t] * k->fade[t];
        for (int f = 0; f <= k->T / 2; f++) {
            k->wave[f][t][0] = cos(2 * M_PI * ((int64_t)f * t % k->T) / k->T);
            k->wave[f][t][1] = sin(2 * M_PI * ((int64_t)f * t % k->T) / k->T);
        }
    }
    return SS_OK;
}

/* Follows every pixel of frame `first` to the end of the window; returns how many reach it. */
static int64_t follow(work *k, const ss_movement *m, int first)
{
    const int64_t n = (int64_t)k->h * k->w;
    int64_t kept = 0;

    for (int64_t i = 0; i < n; i++) {
        float y = (float)(i / k->w), x = (float)(i % k->w), u, v;

        k->lost[i] = 0;
        for (int t = 0; t < k->T && !k->lost[i]; t++) {
            const float *flow = m->flow + 2 * n * (first + t);
            const uint8_t *hidden = m->hidden + n * (first + t);

            k->place[2 * (t * n + i)] = y;
            k->place[2 * (t * n + i) + 1] = x;
            if (t + 1 == k->T)
                break;
            k->lost[i] = hidden[(int64_t)lrintf(y) * k->w + lrintf(x)];
            ss_flow_at(flow, k->h, k->w, y, x, &u, &v);
            y += v;
            x += u;
            k->lost[i] |= !(y >= 0 && x >= 0 && y <= (float)(k->h - 1) && x <= (float)(k->w - 1));
        }
        kept += !k->lost[i];
    }
    return kept;
}

/* Reads now - next (now, where next is NULL) along the points; returns the mean of what it read. */
static double read_along(work *k, const float *next, int64_t kept)
{
    const int64_t n = (int64_t)k->h * k->w;
    double sum = 0;

    for (int t = 0; t < k->T; t++) {
        for (int64_t i = 0; i < n; i++)
            k->band[i] = k->now[t * n + i] - (next ? next[t * n + i] : 0);
        for (int64_t i = 0; i < n; i++) {
            if (k->lost[i])
                continue;
            const float *p = k->place + 2 * (t * n + i),
                        s = ss_field_at(k->band, k->h, k->w, p[0], p[1]);

            k->along[i * k->T + t] = s;
            sum += s;
        }
    }
    return sum / ((double)kept * k->T);
}

/* Adds the energies of the points, each weight times, to a band; `mean` is taken off. */
static void add_energies(const work *k, double mean, double weight, ss_boiling_band *to)
{
    const int64_t n = (int64_t)k->h * k->w;

    for (int64_t i = 0; i < n; i++) {
        const float *s = k->along + i * k->T;
        double own = 0;

        if (k->lost[i])
            continue;
        for (int t = 0; t < k->T; t++)
            own += s[t] / (double)k->T;
        to->still += weight * (own - mean) * (own - mean);
        for (int f = 0; f <= k->T / 2; f++) {
            const double twice = f > 0 && 2 * f < k->T ? 2 : 1;
            double re = 0, im = 0;

            for (int t = 0; t < k->T; t++) {
                const double z = k->fade[t] * (s[t] - own);

                re += z * k->wave[f][t][0];
                im += z * k->wave[f][t][1];
            }
            to->power[f] += weight * twice * (re * re + im * im) / (k->T * k->fades);
        }
    }
}

static ss_code blur_frames(work *k, double sigma, ss_err *e)
{
    const int64_t n = (int64_t)k->h * k->w;
    ss_field_blur blur;
    ss_code rc = ss_field_blur_init(&blur, sigma, e);

    if (rc != SS_OK)
        return rc;
    memcpy(k->next, k->now, (size_t)(n * k->T) * sizeof *k->next);
    for (int t = 0; t < k->T; t++)
        ss_field_blur_run(&blur, k->next + t * n, k->h, k->w, k->room);
    ss_field_blur_release(&blur);
    return SS_OK;
}

/* One window; weight is 1 / (points of all windows). */
static ss_code add_window(work *k, const ss_video *v, int first, int64_t kept, double weight,
                          ss_boiling *b, ss_err *e)
{
    const int64_t n = (int64_t)k->h * k->w;
    double before = 0;

    for (int t = 0; t < k->T; t++)
        ss_field_gray(ss_video_frame(v, first + t), k->h, k->w, v->size.channels, k->now + t * n);
    double mean = read_along(k, NULL, kept);
    add_energies(k, mean, weight, &b->band[0]);
    for (int i = 1; i < b->n_bands; i++) {
        const double sigma = FIRST_SIGMA * ldexp(1, i - 1);
        const bool last = i + 1 == b->n_bands;
        const ss_code rc = last ? SS_OK : blur_frames(k, sqrt(sigma * sigma - before * before), e);

        if (rc != SS_OK)
            return rc;
        mean = read_along(k, last ? NULL : k->next, kept);
        add_energies(k, last ? mean : 0, weight, &b->band[i]);
        float *swap = k->now;
        k->now = k->next;
        k->next = swap;
        before = sigma;
    }
    return SS_OK;
}

static void name_bands(ss_boiling *b, int side)
{
    b->band[0].coarsest = INFINITY;
    for (b->n_bands = 1; b->n_bands < SS_BOILING_BANDS; b->n_bands++) {
        ss_boiling_band *at = &b->band[b->n_bands];
        const double wave = FIRST_WAVE * ldexp(1, b->n_bands - 1);

        at->finest = wave / 2;
        at->coarsest = wave <= side && b->n_bands + 1 < SS_BOILING_BANDS ? wave : INFINITY;
        if (isinf(at->coarsest)) {
            b->n_bands++;
            return;
        }
    }
}

static void finish(ss_boiling *b)
{
    for (int i = 0; i < b->n_bands; i++) {
        ss_boiling_band *at = &b->band[i];

        for (int f = 0; f <= b->frames / 2; f++) {
            at->change += at->power[f];
            at->fast += 8 * f > b->frames ? at->power[f] : 0;
        }
        at->share = at->change >= SS_BOILING_LEAST_CHANGE ? at->fast / at->change : NAN;
    }
}

ss_code ss_boiling_find(const ss_video *v, const ss_movement *m, ss_boiling *b, ss_err *e)
{
    const int F = v->size.frames, h = v->size.height, w = v->size.width;
    const int T = F < SS_BOILING_FRAMES ? F : SS_BOILING_FRAMES;
    work k = {.T = T, .h = h, .w = w};
    int64_t points = 0;

    *b = (ss_boiling){0};
    if (F < SS_BOILING_LEAST)
        return SS_OK;
    b->frames = T;
    b->windows = 1 + (F - T + T / 2 - 1) / (T / 2);
    name_bands(b, h < w ? h : w);
    ss_code rc = make(&k, e);
    for (int pass = 0; pass < 2 && rc == SS_OK; pass++) {
        for (int i = 0; i < b->windows && rc == SS_OK; i++) {
            const int first = i * (T / 2) < F - T ? i * (T / 2) : F - T;
            const int64_t kept = follow(&k, m, first);

            if (pass == 0)
                points += kept;
            else if (kept)
                rc = add_window(&k, v, first, kept, 1 / (double)points, b, e);
        }
    }
    b->followed = (double)points / ((double)h * w * b->windows);
    finish(b);
    release(&k);
    return rc;
}
