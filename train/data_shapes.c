/* data_shapes.c - squares, discs and triangles of random size, place and colour
 *
 * With u, v in [-1,1] across the shape's bounding square:
 *
 *   0 square     everywhere
 *   1 disc       u^2 + v^2 <= 1
 *   2 triangle   |u| <= (v + 1) / 2, its point at the top
 *
 * A pixel's value is the share of 4 x 4 points in it that lie inside, between the background
 * of -1 and the colour. Nothing but +, * and comparisons: the same bits everywhere.
 */
#include "train/data_source.h"

#include <math.h>

enum { KINDS = 3, POINTS = 4 };

static ss_code open_shapes(ss_data *d, ss_err *e)
{
    if (d->opt.h < 4 || d->opt.w < 4)
        return ss_fail(e, SS_USAGE, "shapes need pictures of 4 x 4 and more, not %d x %d", d->opt.h,
                       d->opt.w);
    d->classes = KINDS;
    return SS_OK;
}

static bool inside(int kind, double u, double v)
{
    if (fabs(u) > 1 || fabs(v) > 1)
        return false;
    return kind == 0 || (kind == 1 ? u * u + v * v <= 1 : fabs(u) <= (v + 1) / 2);
}

/* The share of a pixel that a shape covers, of this half-width around (cy, cx). */
static double covered(int kind, int y, int x, double cy, double cx, double half)
{
    int n = 0;

    for (int i = 0; i < POINTS; i++) {
        for (int j = 0; j < POINTS; j++)
            n += inside(kind, (x + (j + 0.5) / POINTS - cx) / half,
                        (y + (i + 0.5) / POINTS - cy) / half);
    }
    return (double)n / (POINTS * POINTS);
}

static void draw_shape(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const int side = o->h < o->w ? o->h : o->w;
    const int kind = (int)ss_data_pick(r, SS_DATA_OWN, KINDS);
    /* a quarter to three quarters as wide as the picture, and not cut by its edge */
    const double half = side * (0.125 + 0.25 * ss_rng_uniform(r, SS_DATA_OWN + 1));
    const double cy = half + (o->h - 2 * half) * ss_rng_uniform(r, SS_DATA_OWN + 2);
    const double cx = half + (o->w - 2 * half) * ss_rng_uniform(r, SS_DATA_OWN + 3);
    double color[3]; /* -0.5 to 1: distinct from the background, -1 */

    for (int k = 0; k < o->c; k++)
        color[k] = -0.5 + 1.5 * ss_rng_uniform(r, SS_DATA_OWN + 4 + (uint64_t)k);
    for (int py = 0; py < o->h; py++) {
        for (int px = 0; px < o->w; px++) {
            const double share = covered(kind, py, px, cy, cx, half);

            for (int k = 0; k < o->c; k++)
                *x++ = (float)(-1 + share * (color[k] + 1));
        }
    }
    *label = kind;
}

const ss_data_source ss_data_source_shapes = {open_shapes, draw_shape, NULL, true};
