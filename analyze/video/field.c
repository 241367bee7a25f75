/* field.c - see field.h */
#include "analyze/video/field.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>

void ss_field_gray(const float *frame, int h, int w, int c, float *g)
{
    const ptrdiff_t n = (ptrdiff_t)h * w;

    for (ptrdiff_t i = 0; i < n; i++) {
        const float *p = frame + i * c;
        float sum = 0;

        if (c == 3) {
            g[i] = 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
            continue;
        }
        for (int k = 0; k < c; k++)
            sum += p[k];
        g[i] = sum / (float)c;
    }
}

/* The pixel that stands at place i of a side of n. */
static int mirrored(int i, int n)
{
    const int period = 2 * n - 2;

    if (n == 1)
        return 0;
    i = i < 0 ? -i : i;
    i %= period;
    return i < n ? i : period - i;
}

ss_code ss_field_blur_init(ss_field_blur *b, double sigma, ss_err *e)
{
    double sum = 0;

    b->radius = (int)ceil(3 * sigma);
    b->weight = ss_alloc((size_t)b->radius + 1, sizeof *b->weight);
    if (!b->weight)
        return ss_no_memory(e, "a blurred picture");
    for (int i = 0; i <= b->radius; i++)
        sum += (i ? 2 : 1) * exp(-0.5 * i * i / (sigma * sigma));
    for (int i = 0; i <= b->radius; i++)
        b->weight[i] = (float)(exp(-0.5 * i * i / (sigma * sigma)) / sum);
    return SS_OK;
}

void ss_field_blur_release(ss_field_blur *b)
{
    ss_free(b->weight);
    *b = (ss_field_blur){0};
}

/* to = x filtered along its lines. */
static void blur_lines(const ss_field_blur *b, const float *x, int h, int w, float *to)
{
    const int r = b->radius;

    for (int y = 0; y < h; y++) {
        const float *in = x + (ptrdiff_t)y * w;
        float *out = to + (ptrdiff_t)y * w;

        for (int i = 0; i < w; i++) {
            float sum = b->weight[0] * in[i];

            if (i >= r && i + r < w) {
                for (int k = 1; k <= r; k++)
                    sum += b->weight[k] * (in[i - k] + in[i + k]);
            } else {
                for (int k = 1; k <= r; k++)
                    sum += b->weight[k] * (in[mirrored(i - k, w)] + in[mirrored(i + k, w)]);
            }
            out[i] = sum;
        }
    }
}

/* to = x filtered along its columns, line by line. */
static void blur_columns(const ss_field_blur *b, const float *x, int h, int w, float *to)
{
    for (int y = 0; y < h; y++) {
        float *out = to + (ptrdiff_t)y * w;

        for (int i = 0; i < w; i++)
            out[i] = b->weight[0] * x[(ptrdiff_t)y * w + i];
        for (int k = 1; k <= b->radius; k++) {
            const float *up = x + (ptrdiff_t)mirrored(y - k, h) * w;
            const float *down = x + (ptrdiff_t)mirrored(y + k, h) * w;

            for (int i = 0; i < w; i++)
                out[i] += b->weight[k] * (up[i] + down[i]);
        }
    }
}

void ss_field_blur_run(const ss_field_blur *b, float *x, int h, int w, float *room)
{
    blur_lines(b, x, h, w, room);
    blur_columns(b, room, h, w, x);
}

void ss_field_halve(const float *x, int h, int w, float *to, float *room)
{
    static float weight[] = {6.f / 16, 4.f / 16, 1.f / 16};
    const ss_field_blur binomial = {2, weight};
    const int hw = (w + 1) / 2;

    blur_lines(&binomial, x, h, w, room);
    for (int y = 0; y < h; y += 2) {
        for (int i = 0; i < w; i += 2) {
            float sum = weight[0] * room[(ptrdiff_t)y * w + i];

            for (int k = 1; k <= 2; k++)
                sum += weight[k] * (room[(ptrdiff_t)mirrored(y - k, h) * w + i] +
                                    room[(ptrdiff_t)mirrored(y + k, h) * w + i]);
            to[(ptrdiff_t)(y / 2) * hw + i / 2] = sum;
        }
    }
}

static void cubic(float t, float weight[4])
{
    weight[0] = 0.5f * t * (-1 + t * (2 - t));
    weight[1] = 0.5f * (2 + t * t * (3 * t - 5));
    weight[2] = 0.5f * t * (1 + t * (4 - 3 * t));
    weight[3] = 0.5f * t * t * (t - 1);
}

float ss_field_at(const float *x, int h, int w, float py, float px)
{
    float wy[4], wx[4], sum = 0;

    if (!isfinite(py) || !isfinite(px))
        return NAN;
    py = fminf(fmaxf(py, 0), (float)(h - 1));
    px = fminf(fmaxf(px, 0), (float)(w - 1));
    const int y0 = (int)py, x0 = (int)px;

    cubic(py - (float)y0, wy);
    cubic(px - (float)x0, wx);
    if (y0 >= 1 && y0 + 2 < h && x0 >= 1 && x0 + 2 < w) {
        for (int i = 0; i < 4; i++) {
            const float *p = x + (ptrdiff_t)(y0 - 1 + i) * w + x0 - 1;

            sum += wy[i] * (wx[0] * p[0] + wx[1] * p[1] + wx[2] * p[2] + wx[3] * p[3]);
        }
        return sum;
    }
    for (int i = 0; i < 4; i++) {
        const float *p = x + (ptrdiff_t)mirrored(y0 - 1 + i, h) * w;
        float line = 0;

        for (int k = 0; k < 4; k++)
            line += wx[k] * p[mirrored(x0 - 1 + k, w)];
        sum += wy[i] * line;
    }
    return sum;
}

void ss_field_slopes(const float *x, int h, int w, float *dx, float *dy)
{
    for (int y = 0; y < h; y++) {
        const int up = y > 0 ? y - 1 : 0, down = y + 1 < h ? y + 1 : h - 1;

        for (int i = 0; i < w; i++) {
            const int left = i > 0 ? i - 1 : 0, right = i + 1 < w ? i + 1 : w - 1;
            const ptrdiff_t at = (ptrdiff_t)y * w + i;

            dx[at] = right > left ? (x[(ptrdiff_t)y * w + right] - x[(ptrdiff_t)y * w + left]) /
                                        (float)(right - left)
                                  : 0;
            dy[at] = down > up ? (x[(ptrdiff_t)down * w + i] - x[(ptrdiff_t)up * w + i]) /
                                     (float)(down - up)
                               : 0;
        }
    }
}
