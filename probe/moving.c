/* moving.c - see moving.h */
#include "probe/moving.h"

#include <math.h>
#include <stddef.h>

/* Numbers of a path's stream, by what they decide. */
enum { VELOCITY, STILL, ZOOM, TOP, LEFT };
enum { POINTS = 3 }; /* a pixel of an item of another size is the mean of so many points squared */

ss_moving_options ss_moving_defaults(void)
{
    return (ss_moving_options){.law = SS_MOVING_WRAP, .speed = 2};
}

static int pick(ss_rng r, uint64_t i, int n)
{
    return (int)(ss_rng_uniform(r, i) * n);
}

/* Draws a velocity other than 0: the middle of the square of all is left out. */
static void draw_velocity(ss_rng r, uint64_t i, int speed, ss_moving_path *p)
{
    const int side = 2 * speed + 1, middle = side * side / 2;
    int k = pick(r, i, side * side - 1);

    k += k >= middle;
    p->vy = k / side - speed;
    p->vx = k % side - speed;
}

ss_moving_path ss_moving_draw(const ss_moving_options *opt, ss_rng r, uint64_t first,
                              ss_moving_box box)
{
    const bool bounces = opt->law == SS_MOVING_BOUNCE;
    const double zoom = ss_rng_uniform(r, first + ZOOM);
    ss_moving_path p = {.law = opt->law, .y = (box.H - box.h) / 2, .x = (box.W - box.w) / 2};

    if (!(ss_rng_uniform(r, first + STILL) < opt->still))
        draw_velocity(r, first + VELOCITY, opt->speed, &p);
    if (zoom < opt->zoom)
        p.size = zoom < opt->zoom / 2 ? SS_GROWS : SS_SHRINKS;
    if (opt->offset) {
        p.y = pick(r, first + TOP, bounces ? box.H - box.h + 1 : box.H);
        p.x = pick(r, first + LEFT, bounces ? box.W - box.w + 1 : box.W);
    }
    return p;
}

/* v modulo n, 0 to n - 1. */
static int modulo(int64_t v, int n)
{
    return (int)((v % n + n) % n);
}

/* The corner in frame f along one side, `room` being what the canvas has more than the item. */
static int place(ss_moving_law law, int start, int v, int f, int side, int room)
{
    const int64_t at = start + (int64_t)v * f;

    if (law == SS_MOVING_WRAP)
        return modulo(at, side);
    if (room == 0)
        return 0;
    const int k = modulo(at, 2 * room);

    return k <= room ? k : 2 * room - k;
}

/* The size of an item in frame f as a share of its whole size. */
static double size_at(ss_size_law law, int f, int frames)
{
    const double at = frames > 1 ? (double)f / (frames - 1) : 0;

    return law == SS_GROWS ? 0.5 + 0.5 * at : law == SS_SHRINKS ? 1 - 0.5 * at : 1;
}

static double value_at(const float *item, ss_moving_box box, int y, int x)
{
    return y < 0 || x < 0 || y >= box.h || x >= box.w ? -1 : item[(ptrdiff_t)y * box.w + x];
}

/* The item between its pixels, linear along both sides; y and x count from the middle of pixel 0.
 */
static double interpolate(const float *item, ss_moving_box box, double y, double x)
{
    const int iy = (int)floor(y), ix = (int)floor(x);
    const double fy = y - iy, fx = x - ix;
    const double above = (1 - fx) * value_at(item, box, iy, ix) + //
                         fx * value_at(item, box, iy, ix + 1);
    const double below =
        (1 - fx) * value_at(item, box, iy + 1, ix) + fx * value_at(item, box, iy + 1, ix + 1);

    return (1 - fy) * above + fy * below;
}

/* Pixel (y, x) of the item's box, in which it has the size s. */
static float sized(const float *item, ss_moving_box box, double s, int y, int x)
{
    double sum = 0;

    if (s == 1)
        return item[(ptrdiff_t)y * box.w + x];
    for (int i = 0; i < POINTS; i++) {
        for (int j = 0; j < POINTS; j++) {
            const double py = y + (i + 0.5) / POINTS, px = x + (j + 0.5) / POINTS;

            sum += interpolate(item, box, (py - box.h / 2.0) / s + box.h / 2.0 - 0.5,
                               (px - box.w / 2.0) / s + box.w / 2.0 - 0.5);
        }
    }
    return (float)(sum / (POINTS * POINTS));
}

void ss_moving_clear(ss_moving_box box, float *canvas)
{
    for (ptrdiff_t i = 0; i < (ptrdiff_t)box.H * box.W; i++)
        canvas[i] = -1;
}

void ss_moving_add(const ss_moving_path *p, ss_moving_box box, const float *item, int f, int frames,
                   float *canvas)
{
    const int top = place(p->law, p->y, p->vy, f, box.H, box.H - box.h);
    const int left = place(p->law, p->x, p->vx, f, box.W, box.W - box.w);
    const double s = size_at(p->size, f, frames);

    for (int y = 0; y < box.h; y++) {
        float *row = canvas + (ptrdiff_t)((top + y) % box.H) * box.W;

        for (int x = 0; x < box.w; x++) {
            const float v = sized(item, box, s, y, x);
            float *to = row + (left + x) % box.W;

            if (v > *to)
                *to = v;
        }
    }
}

int ss_moving_direction(const ss_moving_path *p)
{
    static const int directions[3][3] = {{5, 6, 7}, {4, SS_MOVING_STILL, 0}, {3, 2, 1}};

    return directions[(p->vy > 0) - (p->vy < 0) + 1][(p->vx > 0) - (p->vx < 0) + 1];
}
