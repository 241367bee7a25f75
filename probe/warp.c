/* warp.c - see warp.h */
#include "probe/warp.h"

#include <math.h>
#include <stddef.h>

static const double NEAREST = 1e-6, PI = 3.14159265358979323846;

typedef struct {
    double r[3][3], t[3];
    double kx, ky; /* 1 / (a tan(fov / 2)), 1 / tan(fov / 2) */
} camera;

static void multiply(double a[3][3], double b[3][3])
{
    double out[3][3];

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            a[i][j] = out[i][j];
}

/* Sine and cosine of degrees, exact at right angles. */
static void turn(double degrees, double *s, double *c)
{
    const double quarters = degrees / 90, whole = nearbyint(quarters);

    *s = sin(degrees * PI / 180);
    *c = cos(degrees * PI / 180);
    if (quarters == whole) {
        *s = nearbyint(*s);
        *c = nearbyint(*c);
    }
}

static camera make_camera(const ss_camera_move *m, int h, int w)
{
    const double tangent = tan(m->fov * PI / 360);
    camera k = {.ky = 1 / tangent, .kx = (double)h / w / tangent};
    double s, c;

    turn(m->rotation[0], &s, &c);
    double x[3][3] = {{1, 0, 0}, {0, c, -s}, {0, s, c}};
    turn(m->rotation[1], &s, &c);
    double y[3][3] = {{c, 0, s}, {0, 1, 0}, {-s, 0, c}};
    turn(m->rotation[2], &s, &c);
    double z[3][3] = {{c, -s, 0}, {s, c, 0}, {0, 0, 1}};
    multiply(x, y);
    multiply(x, z);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            k.r[i][j] = x[i][j];
    k.t[0] = -m->translation[0] / SS_WARP_UNITS;
    k.t[1] = m->translation[1] / SS_WARP_UNITS;
    k.t[2] = -m->translation[2] / SS_WARP_UNITS;
    return k;
}

static void project(const camera *k, const double p[3], double u[2])
{
    const double z = p[2] > NEAREST ? p[2] : NEAREST;

    u[0] = k->kx * p[0] / z;
    u[1] = k->ky * p[1] / z;
}

/* Coordinate i of n from -1 to 1, ends included. */
static double along(int i, int n)
{
    return n > 1 ? 2.0 * i / (n - 1) - 1 : -1;
}

/* Where Deforum takes the pixel from. */
static void find_by_offset(const camera *k, int row, int col, int h, int w, double depth,
                           double u[2])
{
    const double p[3] = {along(col, w), along(row, h), depth};
    double moved[3], before[2], after[2];

    for (int j = 0; j < 3; j++)
        moved[j] = p[0] * k->r[0][j] + p[1] * k->r[1][j] + p[2] * k->r[2][j] + k->t[j];
    project(k, p, before);
    project(k, moved, after);
    u[0] = (2.0 * col + 1) / w - 1 - (after[0] - before[0]);
    u[1] = (2.0 * row + 1) / h - 1 - (after[1] - before[1]);
}

static void find_by_ray(const camera *k, int row, int col, int h, int w, double depth, double u[2])
{
    const double p[3] = {depth * ((2.0 * col + 1) / w - 1) / k->kx - k->t[0],
                         depth * ((2.0 * row + 1) / h - 1) / k->ky - k->t[1], depth - k->t[2]};
    double back[3];

    for (int j = 0; j < 3; j++) /* times the transposed matrix */
        back[j] = p[0] * k->r[j][0] + p[1] * k->r[j][1] + p[2] * k->r[j][2];
    project(k, back, u);
}

/* Place in pixels, at most at the border; NaN goes to the first. */
static double inside(double u, int n)
{
    const double at = ((u + 1) * n - 1) / 2;

    return at > 0 ? fmin(at, n - 1) : 0;
}

static void sample(const float *x, int h, int w, int c, const double u[2], float *out)
{
    const double ax = inside(u[0], w), ay = inside(u[1], h);
    const int x0 = (int)ax, y0 = (int)ay, x1 = x0 + (x0 < w - 1), y1 = y0 + (y0 < h - 1);
    const double fx = ax - x0, fy = ay - y0;
    const float *p00 = x + ((ptrdiff_t)y0 * w + x0) * c, *p01 = x + ((ptrdiff_t)y0 * w + x1) * c;
    const float *p10 = x + ((ptrdiff_t)y1 * w + x0) * c, *p11 = x + ((ptrdiff_t)y1 * w + x1) * c;

    for (int k = 0; k < c; k++)
        out[k] = (float)((1 - fy) * ((1 - fx) * p00[k] + fx * p01[k]) +
                         fy * ((1 - fx) * p10[k] + fx * p11[k]));
}

void ss_warp(const float *x, const float *depth, int h, int w, int c, const ss_camera_move *move,
             float *out)
{
    const camera k = make_camera(move, h, w);

    for (int row = 0; row < h; row++) {
        for (int col = 0; col < w; col++) {
            const ptrdiff_t at = (ptrdiff_t)row * w + col;
            double u[2];

            if (move->rays)
                find_by_ray(&k, row, col, h, w, depth[at], u);
            else
                find_by_offset(&k, row, col, h, w, depth[at], u);
            sample(x, h, w, c, u, out + at * c);
        }
    }
}
