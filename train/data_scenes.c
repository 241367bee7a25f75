/* data_scenes.c - simple scenes in space, and how far each of their pixels is
 *
 * The camera looks along z with 40 degrees from top to bottom, as Deforum's does (probe/warp.h),
 * and a lamp is beside it. There are a floor, a wall at the back, and 1 to 4 balls and boxes that
 * stand or float before it. A ray (a x, y, 1) t of pixel (x, y) meets the nearest of them at t,
 * which is its depth, and is as bright as the surface is there:
 *
 *   brightness = colour (0.25 + 0.75 |cos of ray and normal|) 16 / (16 + depth^2)
 *
 * A value of the picture is the mean over 2 x 2 rays in a pixel, 2 brightness - 1; that of the last
 * channel is the inverse depth of the pixel's middle, from -1 at FAR to 1 at NEAR (probe/depth.h).
 * Nothing but + - * / sqrt and comparisons: the same bits everywhere.
 */
#include "train/data_source.h"

#include <math.h>

enum { MOST_THINGS = 4, RAYS = 2, DRAWS = 12 };

static const double TANGENT = 0.36397023426620234; /* of 20 degrees */
static const double NEAR = 1, FAR = 50;

typedef struct {
    bool ball;
    double at[3], half[3]; /* middle, and half of the sides; of a ball the radius */
    double color[3];
} thing;

typedef struct {
    double floor, wall; /* y and z */
    double floor_color[3], wall_color[3];
    thing things[MOST_THINGS];
    int n;
} scene;

typedef struct {
    double depth, cosine;
    const double *color;
} hit;

static ss_code open_scenes(ss_data *d, ss_err *e)
{
    return d->opt.c == 2 || d->opt.c == 4
               ? SS_OK
               : ss_fail(e, SS_USAGE,
                         "scenes (data.kind) are pictures of 1 or 3 channels beside "
                         "their depth: objective.prediction \"depth\" learns from them");
}

static double between(ss_rng r, uint64_t i, double low, double high)
{
    return low + (high - low) * ss_rng_uniform(r, SS_DATA_OWN + i);
}

static void draw_color(ss_rng r, uint64_t i, double color[3])
{
    for (uint64_t k = 0; k < 3; k++)
        color[k] = between(r, i + k, 0.2, 1);
}

static scene make_scene(ss_rng r)
{
    scene s = {.floor = between(r, 0, 0.25, 1.2), .wall = between(r, 1, 4, 14)};

    s.n = 1 + (int)ss_data_pick(r, SS_DATA_OWN + 2, MOST_THINGS);
    draw_color(r, 3, s.floor_color);
    draw_color(r, 6, s.wall_color);
    for (int i = 0; i < s.n; i++) {
        const uint64_t own = 16 + DRAWS * (uint64_t)i;
        thing *t = &s.things[i];
        const double z = between(r, own, 1.6, s.wall - 1), wide = z * TANGENT;

        t->ball = ss_rng_uniform(r, SS_DATA_OWN + own + 1) < 0.5;
        for (uint64_t k = 0; k < 3; k++)
            t->half[k] = between(r, own + 2 + (t->ball ? 0 : k), 0.12, 0.5);
        t->at[0] = between(r, own + 5, -wide, wide);
        t->at[1] = s.floor - t->half[1]; /* on the floor */
        if (ss_rng_uniform(r, SS_DATA_OWN + own + 6) < 0.4)
            t->at[1] = between(r, own + 7, -wide, t->at[1]);
        t->at[2] = z;
        draw_color(r, own + 8, t->color);
    }
    return s;
}

/* Keeps the nearer of two places on a ray. */
static void take(hit *h, double depth, double cosine, const double *color)
{
    if (depth > 0 && depth < h->depth)
        *h = (hit){depth, fabs(cosine), color};
}

static void meet_ball(const thing *b, const double ray[3], double length, hit *h)
{
    double along = 0, distance = 0;

    for (int k = 0; k < 3; k++) {
        along += ray[k] * b->at[k];
        distance += b->at[k] * b->at[k];
    }
    const double a = length * length,
                 root = along * along - a * (distance - b->half[0] * b->half[0]);
    if (root < 0)
        return;
    const double t = (along - sqrt(root)) / a;
    take(h, t, (t * a - along) / (b->half[0] * length), b->color);
}

static void meet_box(const thing *b, const double ray[3], double length, hit *h)
{
    double enter = 0, leave = FAR;
    int side = 2;

    for (int k = 0; k < 3; k++) {
        const double slope = fabs(ray[k]) > 1e-9 ? ray[k] : 1e-9;
        const double one = (b->at[k] - b->half[k]) / slope, two = (b->at[k] + b->half[k]) / slope;
        const double first = fmin(one, two);

        if (first > enter) {
            enter = first;
            side = k;
        }
        leave = fmin(leave, fmax(one, two));
    }
    if (enter < leave)
        take(h, enter, ray[side] / length, b->color);
}

static hit look(const scene *s, double x, double y)
{
    const double ray[3] = {x, y, 1}, length = sqrt(x * x + y * y + 1);
    hit h = {FAR, 0, s->wall_color};

    take(&h, s->wall, 1 / length, s->wall_color);
    if (y > 0)
        take(&h, s->floor / y, y / length, s->floor_color);
    for (int i = 0; i < s->n; i++) {
        if (s->things[i].ball)
            meet_ball(&s->things[i], ray, length, &h);
        else
            meet_box(&s->things[i], ray, length, &h);
    }
    return h;
}

/* Adds a ray's brightness to the channels of a pixel. */
static void add(const hit *h, int channels, double *pixel)
{
    const double light = (0.25 + 0.75 * h->cosine) * 16 / (16 + h->depth * h->depth);
    const double *c = h->color;

    for (int k = 0; k < channels; k++) /* gray is green */
        pixel[k] += c[channels == 1 ? 1 : k] * light / (RAYS * RAYS);
}

static void draw_scene(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const scene s = make_scene(r);
    const double across = TANGENT * o->w / o->h;
    const int channels = o->c - 1;

    (void)label; /* there are no classes */
    for (int py = 0; py < o->h; py++) {
        for (int px = 0; px < o->w; px++) {
            double pixel[3] = {0};

            for (int i = 0; i < RAYS * RAYS; i++) {
                const double sx = px + (i % RAYS + 0.5) / RAYS, sy = py + (i / RAYS + 0.5) / RAYS;
                const hit h = look(&s, across * (2 * sx / o->w - 1), TANGENT * (2 * sy / o->h - 1));

                add(&h, channels, pixel);
            }
            for (int k = 0; k < channels; k++)
                *x++ = (float)(2 * pixel[k] - 1);
            const hit middle = look(&s, across * ((2.0 * px + 1) / o->w - 1),
                                    TANGENT * ((2.0 * py + 1) / o->h - 1));
            const double inverse = 1 / fmax(middle.depth, NEAR);
            *x++ = (float)(2 * (inverse - 1 / FAR) / (1 / NEAR - 1 / FAR) - 1);
        }
    }
}

const ss_data_source ss_data_source_scenes = {open_scenes, draw_scene, NULL, true};
