/* flow.c - see flow.h */
#include "analyze/video/flow.h"

#include "analyze/video/correlate.h"
#include "analyze/video/field.h"
#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
    LEAST_SIDE = 8,
    MAX_LEVELS = 16,
    ROUNDS = 8,
    TILE_SIDE = 128,
    TILE_LEAST = 16,
    TILE_MOST = 32
};

static const double WINDOW = 1.5, SMOOTH = 1; /* sigma in pixels */
static const float SHIFTS_BETTER = 0.6f;      /* a shift's share of what the flow before it costs */
static const float STIFFNESS = 2;             /* grey levels per pixel, squared */

typedef struct {
    int h, w;
    float *a, *b; /* [h][w] */
} level;

/* Planes as large as the finest level, and what the level at hand has in them. */
typedef struct {
    level levels[MAX_LEVELS];
    int n_levels;
    ss_field_blur window, smooth;
    float *planes;
    float *u, *v;            /* flow of the level */
    float *u2, *v2;          /* another one */
    float *cost, *cost2;     /* how badly each explains a neighbourhood */
    float *warped, *dx, *dy; /* b(p + w), slopes */
    float *xx, *xy, *yy;     /* <g g^T> */
    float *xt, *yt;          /* <g (a - I')> */
    float *room;             /* of the blur */
} work;

static void release(work *k)
{
    for (int l = 1; l < k->n_levels; l++) {
        ss_free(k->levels[l].a);
        ss_free(k->levels[l].b);
    }
    ss_field_blur_release(&k->window);
    ss_field_blur_release(&k->smooth);
    ss_free(k->planes);
}

static ss_code make_planes(work *k, int h, int w, ss_err *e)
{
    const ptrdiff_t n = (ptrdiff_t)h * w;
    float **plane[] = {&k->u,  &k->v,  &k->u2, &k->v2, &k->cost, &k->cost2, &k->warped, &k->dx,
                       &k->dy, &k->xx, &k->xy, &k->yy, &k->xt,   &k->yt,    &k->room};
    const size_t n_planes = sizeof plane / sizeof *plane;

    k->planes = ss_calloc(n_planes, (size_t)n * sizeof *k->planes);
    if (!k->planes)
        return ss_no_memory(e, "optical flow");
    for (size_t i = 0; i < n_planes; i++)
        *plane[i] = k->planes + (ptrdiff_t)i * n;
    const ss_code rc = ss_field_blur_init(&k->window, WINDOW, e);

    return rc == SS_OK ? ss_field_blur_init(&k->smooth, SMOOTH, e) : rc;
}

static ss_code make_levels(work *k, const float *a, const float *b, int h, int w, ss_err *e)
{
    k->levels[k->n_levels++] = (level){h, w, (float *)a, (float *)b};
    while ((h + 1) / 2 >= LEAST_SIDE && (w + 1) / 2 >= LEAST_SIDE && k->n_levels < MAX_LEVELS) {
        const level *fine = &k->levels[k->n_levels - 1];
        level *coarse = &k->levels[k->n_levels++];
        const size_t n = (size_t)((h + 1) / 2) * (size_t)((w + 1) / 2);

        *coarse = (level){(h + 1) / 2, (w + 1) / 2, ss_alloc(n, sizeof(float)),
                          ss_alloc(n, sizeof(float))};
        if (!coarse->a || !coarse->b)
            return ss_no_memory(e, "optical flow");
        ss_field_halve(fine->a, h, w, coarse->a, k->room);
        ss_field_halve(fine->b, h, w, coarse->b, k->room);
        h = coarse->h;
        w = coarse->w;
    }
    return SS_OK;
}

static bool inside(float y, float x, int h, int w)
{
    return y >= 0 && x >= 0 && y <= (float)(h - 1) && x <= (float)(w - 1);
}

/* cost = mean of (a(p) - b(p + w))^2 around each pixel; what leaves the picture costs as if it
 * stood still against the border. */
static void measure_cost(work *k, const level *at, const float *u, const float *v, float *cost)
{
    for (int y = 0; y < at->h; y++) {
        for (int x = 0; x < at->w; x++) {
            const ptrdiff_t i = (ptrdiff_t)y * at->w + x;
            const float d =
                at->a[i] - ss_field_at(at->b, at->h, at->w, (float)y + v[i], (float)x + u[i]);

            cost[i] = d * d;
        }
    }
    ss_field_blur_run(&k->window, cost, at->h, at->w, k->room);
}

/* Takes (u2, v2) where it costs less than `factor` times what the flow does, plus `slack`. */
static void choose(work *k, const level *at, float factor, float slack)
{
    const ptrdiff_t n = (ptrdiff_t)at->h * at->w;

    measure_cost(k, at, k->u2, k->v2, k->cost2);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (k->cost2[i] < factor * k->cost[i] + slack) {
            k->u[i] = k->u2[i];
            k->v[i] = k->v2[i];
            k->cost[i] = k->cost2[i];
        }
    }
}

/* (u2, v2) = a constant */
static void fill(work *k, const level *at, float u, float v)
{
    for (ptrdiff_t i = 0; i < (ptrdiff_t)at->h * at->w; i++) {
        k->u2[i] = u;
        k->v2[i] = v;
    }
}

/* Where tile i of n along a side begins. */
static int tile_begin(int i, int n, int side, int tile)
{
    return n > 1 ? (int)((int64_t)i * (side - tile) / (n - 1)) : 0;
}

static int clamped(int side)
{
    const int half = side / 2;
    const int tile = half < TILE_LEAST ? TILE_LEAST : half > TILE_MOST ? TILE_MOST : half;

    return tile < side ? tile : side;
}

/* (u2, v2) = the shift of the tile whose middle is nearest. */
static ss_code correlate_tiles(work *k, const level *at, ss_err *e)
{
    const int th = clamped(at->h), tw = clamped(at->w);
    const int rows = at->h > th ? (2 * at->h - 1) / th : 1;
    const int columns = at->w > tw ? (2 * at->w - 1) / tw : 1;
    ss_correlator *c;
    ss_code rc = ss_correlator_new(th, tw, &c, e);

    if (rc != SS_OK)
        return rc;
    for (int r = 0; r < rows; r++) {
        const int top = tile_begin(r, rows, at->h, th);
        const int y0 = r ? (tile_begin(r - 1, rows, at->h, th) + top + th) / 2 : 0;
        const int y1 = r + 1 < rows ? (top + tile_begin(r + 1, rows, at->h, th) + th) / 2 : at->h;

        for (int s = 0; s < columns; s++) {
            const int left = tile_begin(s, columns, at->w, tw);
            const int x0 = s ? (tile_begin(s - 1, columns, at->w, tw) + left + tw) / 2 : 0;
            const int x1 =
                s + 1 < columns ? (left + tile_begin(s + 1, columns, at->w, tw) + tw) / 2 : at->w;
            int dy, dx;

            ss_correlator_run(c, at->a, at->b, at->w, top, left, &dy, &dx);
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++) {
                    k->u2[(ptrdiff_t)y * at->w + x] = (float)dx;
                    k->v2[(ptrdiff_t)y * at->w + x] = (float)dy;
                }
        }
    }
    ss_correlator_free(c);
    return SS_OK;
}

/* Offers the shifts of tiles and of the whole picture. */
static ss_code offer_shifts(work *k, const level *at, ss_err *e)
{
    ss_correlator *c;
    int dy, dx;
    ss_code rc = correlate_tiles(k, at, e);

    if (rc != SS_OK)
        return rc;
    choose(k, at, SHIFTS_BETTER, 0);
    if ((rc = ss_correlator_new(at->h, at->w, &c, e)) != SS_OK)
        return rc;
    ss_correlator_run(c, at->a, at->b, at->w, 0, 0, &dy, &dx);
    ss_correlator_free(c);
    fill(k, at, (float)dx, (float)dy);
    choose(k, at, SHIFTS_BETTER, 0);
    return SS_OK;
}

/* Sums of a round of refinement: products of slopes and differences around each pixel. */
static void make_sums(work *k, const level *at)
{
    const ptrdiff_t n = (ptrdiff_t)at->h * at->w;

    for (int y = 0; y < at->h; y++) {
        for (int x = 0; x < at->w; x++) {
            const ptrdiff_t i = (ptrdiff_t)y * at->w + x;

            k->warped[i] = ss_field_at(at->b, at->h, at->w, (float)y + k->v[i], (float)x + k->u[i]);
            k->xt[i] = at->a[i] - k->warped[i];
            k->warped[i] = 0.5f * (k->warped[i] + at->a[i]);
        }
    }
    ss_field_slopes(k->warped, at->h, at->w, k->dx, k->dy);
    for (ptrdiff_t i = 0; i < n; i++) {
        const bool seen =
            inside((float)(i / at->w) + k->v[i], (float)(i % at->w) + k->u[i], at->h, at->w);
        const float dx = seen ? k->dx[i] : 0, dy = seen ? k->dy[i] : 0, d = k->xt[i];

        k->xx[i] = dx * dx;
        k->xy[i] = dx * dy;
        k->yy[i] = dy * dy;
        k->xt[i] = dx * d;
        k->yt[i] = dy * d;
    }
    float *const sums[] = {k->xx, k->xy, k->yy, k->xt, k->yt};
    for (size_t s = 0; s < sizeof sums / sizeof *sums; s++)
        ss_field_blur_run(&k->window, sums[s], at->h, at->w, k->room);
}

/* One round; returns the largest step. */
static float refine(work *k, const level *at)
{
    float largest = 0;

    make_sums(k, at);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)at->h * at->w; i++) {
        const float xx = k->xx[i] + STIFFNESS, yy = k->yy[i] + STIFFNESS, xy = k->xy[i];
        const float det = xx * yy - xy * xy;
        float du = (yy * k->xt[i] - xy * k->yt[i]) / det;
        float dv = (xx * k->yt[i] - xy * k->xt[i]) / det;
        const float size = hypotf(du, dv);

        if (size > 1) {
            du /= size;
            dv /= size;
        }
        k->u[i] += du;
        k->v[i] += dv;
        largest = fmaxf(largest, fminf(size, 1));
    }
    return largest;
}

static void refine_all(work *k, const level *at)
{
    for (int r = 0; r < ROUNDS; r++) {
        if (refine(k, at) < 0.01f)
            break;
        ss_field_blur_run(&k->smooth, k->u, at->h, at->w, k->room);
        ss_field_blur_run(&k->smooth, k->v, at->h, at->w, k->room);
    }
}

static void sort2(float *a, float *b)
{
    const float low = fminf(*a, *b), high = fmaxf(*a, *b);

    *a = low;
    *b = high;
}

/* The middle one of 9; the comparisons of Paeth 1990, Graphics Gems. */
static float median9(float p[9])
{
    static const signed char pairs[][2] = {{1, 2}, {4, 5}, {7, 8}, {0, 1}, {3, 4}, {6, 7}, {1, 2},
                                           {4, 5}, {7, 8}, {0, 3}, {5, 8}, {4, 7}, {3, 6}, {1, 4},
                                           {2, 5}, {4, 7}, {4, 2}, {6, 4}, {4, 2}};

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        sort2(&p[pairs[i][0]], &p[pairs[i][1]]);
    return p[4];
}

/* Replaces each value by the median of those around it; pixels of the border stand for those
 * beyond. */
static void median(float *x, int h, int w, float *room)
{
    memcpy(room, x, (size_t)h * (size_t)w * sizeof *x);
    for (int y = 0; y < h; y++) {
        for (int i = 0; i < w; i++) {
            float p[9];
            int n = 0;

            for (int dy = -1; dy <= 1; dy++) {
                const int yy = y + dy < 0 ? 0 : y + dy >= h ? h - 1 : y + dy;

                for (int dx = -1; dx <= 1; dx++) {
                    const int xx = i + dx < 0 ? 0 : i + dx >= w ? w - 1 : i + dx;

                    p[n++] = room[(ptrdiff_t)yy * w + xx];
                }
            }
            x[(ptrdiff_t)y * w + i] = median9(p);
        }
    }
}

/* (u, v) of `at` = twice that of the coarser level, between its pixels. */
static void grow(work *k, const level *coarse, const level *at)
{
    for (int y = 0; y < at->h; y++) {
        for (int x = 0; x < at->w; x++) {
            const ptrdiff_t i = (ptrdiff_t)y * at->w + x;
            const float cy = (float)y / 2, cx = (float)x / 2;
            const int y0 = (int)cy, x0 = (int)cx;
            const int y1 = y0 + 1 < coarse->h ? y0 + 1 : y0, x1 = x0 + 1 < coarse->w ? x0 + 1 : x0;
            const float fy = cy - (float)y0, fx = cx - (float)x0;
            const float weight[4] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
            const ptrdiff_t from[4] = {
                (ptrdiff_t)y0 * coarse->w + x0, (ptrdiff_t)y0 * coarse->w + x1,
                (ptrdiff_t)y1 * coarse->w + x0, (ptrdiff_t)y1 * coarse->w + x1};

            k->u2[i] = k->v2[i] = 0;
            for (int c = 0; c < 4; c++) {
                k->u2[i] += 2 * weight[c] * k->u[from[c]];
                k->v2[i] += 2 * weight[c] * k->v[from[c]];
            }
        }
    }
    memcpy(k->u, k->u2, (size_t)at->h * (size_t)at->w * sizeof *k->u);
    memcpy(k->v, k->v2, (size_t)at->h * (size_t)at->w * sizeof *k->v);
}

static ss_code run_level(work *k, int l, int shifts, ss_err *e)
{
    const level *at = &k->levels[l];
    ss_code rc = SS_OK;

    if (l + 1 < k->n_levels)
        grow(k, &k->levels[l + 1], at);
    measure_cost(k, at, k->u, k->v, k->cost);
    fill(k, at, 0, 0);
    choose(k, at, 0.95f, 0);
    if (l == shifts && (rc = offer_shifts(k, at, e)) != SS_OK)
        return rc;
    refine_all(k, at);
    median(k->u, at->h, at->w, k->room);
    median(k->v, at->h, at->w, k->room);
    return SS_OK;
}

ss_code ss_flow_find(const float *a, const float *b, int h, int w, float *flow, ss_err *e)
{
    work k = {0};
    int shifts = 0;
    ss_code rc = make_planes(&k, h, w, e);

    if (rc == SS_OK)
        rc = make_levels(&k, a, b, h, w, e);
    while (shifts + 1 < k.n_levels &&
           (k.levels[shifts].h >= TILE_SIDE && k.levels[shifts].w >= TILE_SIDE))
        shifts++;
    for (int l = k.n_levels - 1; l >= 0 && rc == SS_OK; l--)
        rc = run_level(&k, l, shifts, e);
    if (rc == SS_OK) {
        measure_cost(&k, &k.levels[0], k.u, k.v, k.cost);
        fill(&k, &k.levels[0], 0, 0);
        choose(&k, &k.levels[0], 1.02f, 0.01f);
        for (ptrdiff_t i = 0; i < (ptrdiff_t)h * w; i++) {
            flow[2 * i] = k.u[i];
            flow[2 * i + 1] = k.v[i];
        }
    }
    release(&k);
    return rc;
}

void ss_flow_at(const float *flow, int h, int w, float py, float px, float *u, float *v)
{
    const int y0 = (int)py, x0 = (int)px;
    const int y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
    const float fy = py - (float)y0, fx = px - (float)x0;
    const float *const from[4] = {
        flow + 2 * ((ptrdiff_t)y0 * w + x0), flow + 2 * ((ptrdiff_t)y0 * w + x1),
        flow + 2 * ((ptrdiff_t)y1 * w + x0), flow + 2 * ((ptrdiff_t)y1 * w + x1)};
    const float weight[4] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};

    *u = *v = 0;
    for (int c = 0; c < 4; c++) {
        *u += weight[c] * from[c][0];
        *v += weight[c] * from[c][1];
    }
}

int64_t ss_flow_hidden(const float *forward, const float *backward, int h, int w, uint8_t *hidden)
{
    int64_t n = 0;

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const ptrdiff_t i = (ptrdiff_t)y * w + x;
            const float u = forward[2 * i], v = forward[2 * i + 1];
            const float py = (float)y + v, px = (float)x + u;
            float bu, bv;

            hidden[i] = !inside(py, px, h, w);
            if (!hidden[i]) {
                ss_flow_at(backward, h, w, py, px, &bu, &bv);
                hidden[i] = (u + bu) * (u + bu) + (v + bv) * (v + bv) >
                            0.01f * (u * u + v * v + bu * bu + bv * bv) + 0.5f;
            }
            n += hidden[i];
        }
    }
    return n;
}

ss_code ss_flow_warping_error(const float *a, const float *b, int h, int w, int c,
                              const float *flow, const uint8_t *hidden, double *error, ss_err *e)
{
    const ptrdiff_t n = (ptrdiff_t)h * w;
    float *plane = ss_alloc((size_t)n, sizeof *plane);
    double sum = 0;
    int64_t seen = 0;

    if (!plane)
        return ss_no_memory(e, "a warped frame");
    for (int k = 0; k < c; k++) {
        for (ptrdiff_t i = 0; i < n; i++)
            plane[i] = b[i * c + k];
        for (ptrdiff_t i = 0; i < n; i++) {
            if (hidden[i])
                continue;
            sum += fabsf(a[i * c + k] - ss_field_at(plane, h, w, (float)(i / w) + flow[2 * i + 1],
                                                    (float)(i % w) + flow[2 * i]));
            seen++;
        }
    }
    ss_free(plane);
    *error = seen ? sum / (double)seen : NAN;
    return SS_OK;
}
