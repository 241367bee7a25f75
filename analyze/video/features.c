/* features.c - see features.h */
#include "analyze/video/features.h"

#include "analyze/video/field.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { FIRST = 8, SECOND = 16, TAPS = 27, MOST_SIDE = 64 };

/* Planes over time, [F][h][w][c]. */
typedef struct {
    int F, h, w, c;
    float *x;
} volume;

static ss_code make(volume *v, int F, int h, int w, int c, ss_err *e)
{
    *v = (volume){F, h, w, c,
                  ss_calloc((size_t)F * (size_t)h, (size_t)w * (size_t)c * sizeof(float))};
    return v->x ? SS_OK : ss_no_memory(e, "features of a video");
}

/* Brightness of all frames, small. */
static ss_code load(const ss_video *v, volume *to, ss_err *e)
{
    int h = v->size.height, w = v->size.width, halvings = 0;
    const size_t n = (size_t)h * (size_t)w;
    float *room = ss_alloc(n, 3 * sizeof *room);
    ss_code rc = room ? SS_OK : ss_no_memory(e, "features of a video");

    for (int side = h < w ? h : w; side > MOST_SIDE; side = (side + 1) / 2)
        halvings++;
    for (int k = 0; k < halvings; k++) {
        h = (h + 1) / 2;
        w = (w + 1) / 2;
    }
    if (rc == SS_OK)
        rc = make(to, v->size.frames, h, w, 1, e);
    for (int t = 0; t < v->size.frames && rc == SS_OK; t++) {
        float *now = room, *half = room + n, *frame = to->x + (ptrdiff_t)t * h * w;
        int hh = v->size.height, ww = v->size.width;

        ss_field_gray(ss_video_frame(v, t), hh, ww, v->size.channels, now);
        for (int k = 0; k < halvings; k++) {
            float *swap = now;

            ss_field_halve(now, hh, ww, half, room + 2 * n);
            now = half;
            half = swap;
            hh = (hh + 1) / 2;
            ww = (ww + 1) / 2;
        }
        for (ptrdiff_t i = 0; i < (ptrdiff_t)h * w; i++)
            frame[i] = now[i] / 127.5f - 1;
    }
    ss_free(room);
    return rc;
}

/* to = relu of the convolution of x; weight [tap][in][out]. */
static void convolve(const volume *x, const float *weight, volume *to)
{
    for (int t = 0; t < x->F; t++) {
        for (int i = 0; i < x->h * x->w; i++) {
            const int y = i / x->w, z = i % x->w;
            float *out = to->x + ((ptrdiff_t)t * x->h * x->w + i) * to->c;

            for (int tap = 0; tap < TAPS; tap++) {
                const int tt = t + tap / 9 - 1, yy = y + tap / 3 % 3 - 1, zz = z + tap % 3 - 1;

                if (tt < 0 || tt >= x->F || yy < 0 || yy >= x->h || zz < 0 || zz >= x->w)
                    continue;
                const float *in = x->x + (((ptrdiff_t)tt * x->h + yy) * x->w + zz) * x->c;
                const float *w = weight + (ptrdiff_t)tap * x->c * to->c;

                for (int k = 0; k < x->c; k++)
                    for (int o = 0; o < to->c; o++)
                        out[o] += w[k * to->c + o] * in[k];
            }
            for (int o = 0; o < to->c; o++)
                out[o] = fmaxf(out[o], 0);
        }
    }
}

/* Means of 2 x 2 pixels; an odd last line or column by itself. */
static void pool(const volume *x, volume *to)
{
    for (int t = 0; t < x->F; t++)
        for (int y = 0; y < x->h; y++)
            for (int z = 0; z < x->w; z++) {
                const float *in = x->x + (((ptrdiff_t)t * x->h + y) * x->w + z) * x->c;
                const int rows = y / 2 * 2 + 1 < x->h ? 2 : 1,
                          columns = z / 2 * 2 + 1 < x->w ? 2 : 1;
                float *out = to->x + (((ptrdiff_t)t * to->h + y / 2) * to->w + z / 2) * to->c;

                for (int k = 0; k < x->c; k++)
                    out[k] += in[k] / (float)(rows * columns);
            }
}

static void draw(int layer, int in, int out, float *weight)
{
    const float scale = sqrtf(2.f / (float)(TAPS * in));

    ss_rng_normals(ss_rng_stream(0, "video features", (uint64_t)layer, 0), 0, weight,
                   (size_t)(TAPS * in * out));
    for (int i = 0; i < TAPS * in * out; i++)
        weight[i] *= scale;
}

/* x = mean and standard deviation of each channel. */
static void summarise(const volume *v, float *x)
{
    const ptrdiff_t n = (ptrdiff_t)v->F * v->h * v->w;

    for (int k = 0; k < v->c; k++) {
        double mean = 0, squares = 0;

        for (ptrdiff_t i = 0; i < n; i++)
            mean += v->x[i * v->c + k] / (double)n;
        for (ptrdiff_t i = 0; i < n; i++)
            squares += pow(v->x[i * v->c + k] - mean, 2) / (double)n;
        x[2 * k] = (float)mean;
        x[2 * k + 1] = (float)sqrt(squares);
    }
}

ss_code ss_video_features_find(const ss_video *v, float x[SS_VIDEO_FEATURES], ss_err *e)
{
    volume in = {0}, first = {0}, half = {0}, second = {0};
    float *weight = ss_alloc(TAPS * FIRST * SECOND, sizeof *weight);
    ss_code rc = weight ? load(v, &in, e) : ss_no_memory(e, "features of a video");

    if (rc == SS_OK)
        rc = make(&first, in.F, in.h, in.w, FIRST, e);
    if (rc == SS_OK)
        rc = make(&half, in.F, (in.h + 1) / 2, (in.w + 1) / 2, FIRST, e);
    if (rc == SS_OK)
        rc = make(&second, in.F, half.h, half.w, SECOND, e);
    if (rc == SS_OK) {
        draw(0, 1, FIRST, weight);
        convolve(&in, weight, &first);
        pool(&first, &half);
        draw(1, FIRST, SECOND, weight);
        convolve(&half, weight, &second);
        summarise(&second, x);
    }
    ss_free(weight);
    ss_free(in.x);
    ss_free(first.x);
    ss_free(half.x);
    ss_free(second.x);
    return rc;
}
