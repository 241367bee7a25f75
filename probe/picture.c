/* picture.c - see picture.h */
#include "probe/picture.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

ss_code ss_picture_check_channels(int c, ss_err *e)
{
    if (c == 1 || c == 3)
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "the network's input has %d channels, pictures have 1 or 3; if it works on "
                   "latents, encode the pictures first and give them as tensor:FILE#NAME",
                   c);
}

/* Returns channel k of pixel (y, x), converted to c channels. */
static uint8_t pixel(const ss_image *im, int y, int x, int k, int c)
{
    const uint8_t *p = im->data + ((ptrdiff_t)y * im->w + x) * im->c;

    if (im->c == 1)
        return p[0];
    if (c == 3)
        return p[k];
    return (uint8_t)((19595 * p[0] + 38470 * p[1] + 7471 * p[2] + 0x8000) >> 16);
}

/* The resampling of one side: value i is the sum over t < taps of
 * weight[i][t] * pixel[first[i] + t]. */
typedef struct {
    int taps;
    int *first;     /* [n] */
    double *weight; /* [n][taps] */
} axis;

static void axis_release(axis *a)
{
    ss_free(a->first);
    ss_free(a->weight);
}

/* Sets the weights of means over areas. In units of 1/to of a pixel, pixel j is [j to, (j+1) to)
 * and value i is [i from, (i+1) from), so overlaps are whole numbers and each weight is rounded
 * once. */
static void set_areas(axis *a, int begin, int from, int to)
{
    for (int i = 0; i < to; i++) {
        int64_t lo = (int64_t)i * from, hi = lo + from, j = lo / to;

        a->first[i] = begin + (int)j;
        for (int t = 0; t < a->taps; t++, j++) {
            int64_t l = j * to > lo ? j * to : lo, r = (j + 1) * to < hi ? (j + 1) * to : hi;

            a->weight[(ptrdiff_t)i * a->taps + t] = r > l ? (double)(r - l) / from : 0;
        }
    }
}

static void set_lines(axis *a, int begin, int from, int to)
{
    for (int i = 0; i < to; i++) {
        double at = fmin(fmax((i + 0.5) * from / to - 0.5, 0), from - 1);
        int j = (int)at;

        a->first[i] = begin + j;
        a->weight[2 * i] = 1 - (at - j);
        a->weight[2 * i + 1] = at - j;
    }
}

/* Prepares the resampling of pixels begin .. begin + from - 1 to `to` values. */
static ss_code axis_init(axis *a, int begin, int from, int to, ss_err *e)
{
    a->taps = from >= to ? from / to + 2 : 2;
    if (from == to)
        a->taps = 1;
    a->first = ss_alloc((size_t)to, sizeof *a->first);
    a->weight = ss_alloc((size_t)to, (size_t)a->taps * sizeof *a->weight);
    if (!a->first || !a->weight)
        return ss_fail(e, SS_NOMEM, "no memory to resample a picture");
    if (from >= to)
        set_areas(a, begin, from, to);
    else
        set_lines(a, begin, from, to);
    return SS_OK;
}

/* The pixels that are left of n, if they are cut to num / den of the other side. */
static int cut(int n, int other, int num, int den)
{
    int64_t want = ((int64_t)other * num + den / 2) / den;

    return want < 1 ? 1 : want < n ? (int)want : n;
}

/* row [w][c] = line y of the picture, resampled along x. */
static void sample_row(const ss_image *im, int y, const axis *ax, double *row, int w, int c)
{
    for (int x = 0; x < w; x++) {
        const double *weight = ax->weight + (ptrdiff_t)x * ax->taps;

        for (int k = 0; k < c; k++) {
            double sum = 0;

            /* a tap of weight 0 may be outside the picture */
            for (int t = 0; t < ax->taps; t++) {
                if (weight[t] > 0)
                    sum += weight[t] * pixel(im, y, ax->first[x] + t, k, c);
            }
            row[(ptrdiff_t)x * c + k] = sum;
        }
    }
}

ss_code ss_picture_fit(const ss_image *im, float *x, int h, int w, int c, ss_err *e)
{
    const ptrdiff_t n = (ptrdiff_t)w * c;
    /* cut columns if it is too wide for h x w, rows if it is too high */
    int from_w = cut(im->w, im->h, w, h), from_h = cut(im->h, im->w, h, w);
    axis ax = {0}, ay = {0};
    double *row = ss_alloc((size_t)n, sizeof *row), *sum = ss_alloc((size_t)n, sizeof *sum);
    ss_code rc = SS_OK;

    if (!row || !sum)
        rc = ss_fail(e, SS_NOMEM, "no memory to resample a picture");
    if (rc == SS_OK)
        rc = axis_init(&ax, (im->w - from_w) / 2, from_w, w, e);
    if (rc == SS_OK)
        rc = axis_init(&ay, (im->h - from_h) / 2, from_h, h, e);
    for (int y = 0; y < h && rc == SS_OK; y++) {
        for (ptrdiff_t i = 0; i < n; i++)
            sum[i] = 0;
        for (int t = 0; t < ay.taps; t++) {
            double weight = ay.weight[(ptrdiff_t)y * ay.taps + t];

            if (weight == 0)
                continue;
            sample_row(im, ay.first[y] + t, &ax, row, w, c);
            for (ptrdiff_t i = 0; i < n; i++)
                sum[i] += weight * row[i];
        }
        for (ptrdiff_t i = 0; i < n; i++)
            x[y * n + i] = (float)(sum[i] / 127.5 - 1);
    }
    axis_release(&ax);
    axis_release(&ay);
    ss_free(row);
    ss_free(sum);
    return rc;
}

void ss_picture_pad(const ss_image *im, float *x, int h, int w, int c)
{
    const int top = (h - im->h) / 2, left = (w - im->w) / 2;

    for (ptrdiff_t i = 0; i < (ptrdiff_t)h * w * c; i++)
        x[i] = -1;
    for (int py = 0; py < im->h; py++) {
        for (int px = 0; px < im->w; px++) {
            float *to = x + ((ptrdiff_t)(top + py) * w + left + px) * c;

            for (int k = 0; k < c; k++)
                to[k] = (float)(pixel(im, py, px, k, c) / 127.5 - 1);
        }
    }
}
