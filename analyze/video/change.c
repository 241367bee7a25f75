/* change.c - see change.h */
#include "analyze/video/change.h"

#include "analyze/video/field.h"
#include "base/mem.h"

#include <math.h>
#include <stddef.h>

enum { FIELDS = 8, TILE_LEAST = 4 };

static int64_t frame_values(const ss_video *v)
{
    return ss_sample_area(v->size) * v->size.channels;
}

void ss_change_differences(const ss_video *v, double *difference, double *second)
{
    const int64_t n = frame_values(v);

    for (int t = 0; t + 1 < v->size.frames; t++) {
        const float *x = ss_video_frame(v, t), *y = ss_video_frame(v, t + 1);
        double sum = 0;

        for (int64_t i = 0; i < n; i++)
            sum += fabs((double)x[i] - y[i]);
        difference[t] = sum / (double)n;
    }
    for (int t = 0; t + 2 < v->size.frames; t++) {
        const float *x = ss_video_frame(v, t), *y = x + n, *z = y + n;
        double sum = 0;

        for (int64_t i = 0; i < n; i++)
            sum += fabs((double)x[i] - 2.0 * y[i] + z[i]);
        second[t] = sum / (double)n;
    }
}

double ss_change_flicker(const double *difference, int frames)
{
    double sum = 0;

    for (int t = 0; t + 1 < frames; t++)
        sum += difference[t];
    return frames > 1 ? (255 - sum / (frames - 1)) / 255 : NAN;
}

static int tiles_along(int side)
{
    const int n = side / TILE_LEAST;

    return n < 1 ? 1 : n < SS_CHANGE_GRID ? n : SS_CHANGE_GRID;
}

int ss_change_tiles(const ss_video *v, double *tile)
{
    const int h = v->size.height, w = v->size.width, c = v->size.channels;
    const int rows = tiles_along(h), columns = tiles_along(w), pairs = v->size.frames - 1;

    for (int k = 0; k < rows * columns; k++) {
        const int y0 = k / columns * h / rows, y1 = (k / columns + 1) * h / rows;
        const int x0 = k % columns * w / columns, x1 = (k % columns + 1) * w / columns;

        for (int t = 0; t < pairs; t++) {
            const float *x = ss_video_frame(v, t), *y = ss_video_frame(v, t + 1);
            double sum = 0;

            for (int row = y0; row < y1; row++)
                for (int64_t i = ((int64_t)row * w + x0) * c; i < ((int64_t)row * w + x1) * c; i++)
                    sum += fabs((double)x[i] - y[i]);
            tile[(ptrdiff_t)k * pairs + t] = sum / ((double)(y1 - y0) * (x1 - x0) * c);
        }
    }
    return rows * columns;
}

static double linear(double byte)
{
    const double v = fmin(fmax(byte / 255, 0), 1);

    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double lab_root(double t)
{
    return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
}

/* Adds the CIELAB colour of a pixel. */
static void add_colour(ss_change_look *to, double red, double green, double blue)
{
    const double r = linear(red), g = linear(green), b = linear(blue);
    const double x = lab_root((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.9504700);
    const double y = lab_root(0.2126729 * r + 0.7151522 * g + 0.0721750 * b);
    const double z = lab_root((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.0888300);

    to->lightness += 116 * y - 16;
    to->a += 500 * (x - y);
    to->b += 200 * (y - z);
}

/* field [FIELDS][FIELDS] = means of the picture over that many fields, without its mean. */
static int average(const float *gray, int h, int w, double mean, double *field)
{
    const int rows = h < FIELDS ? h : FIELDS, columns = w < FIELDS ? w : FIELDS;

    for (int k = 0; k < rows * columns; k++) {
        const int y0 = k / columns * h / rows, y1 = (k / columns + 1) * h / rows;
        const int x0 = k % columns * w / columns, x1 = (k % columns + 1) * w / columns;
        double sum = 0;

        for (int y = y0; y < y1; y++)
            for (int x = x0; x < x1; x++)
                sum += gray[(ptrdiff_t)y * w + x];
        field[k] = sum / ((double)(y1 - y0) * (x1 - x0)) - mean;
    }
    return rows * columns;
}

ss_code ss_change_looks(const ss_video *v, ss_change_look *look, ss_err *e)
{
    const int h = v->size.height, w = v->size.width, c = v->size.channels;
    const int64_t n = ss_sample_area(v->size);
    double first[FIELDS * FIELDS], field[FIELDS * FIELDS];
    float *gray = ss_alloc((size_t)n, sizeof *gray);

    if (!gray)
        return ss_no_memory(e, "a frame");
    for (int t = 0; t < v->size.frames; t++) {
        const float *frame = ss_video_frame(v, t);
        ss_change_look *to = &look[t];
        double low = 0;

        *to = (ss_change_look){0};
        ss_field_gray(frame, h, w, c, gray);
        for (int64_t i = 0; i < n; i++) {
            const float *p = frame + i * c;

            to->mean += gray[i];
            if (c == 3)
                add_colour(to, p[0], p[1], p[2]);
            else
                add_colour(to, gray[i], gray[i], gray[i]);
        }
        to->mean /= (double)n;
        to->lightness /= (double)n;
        to->a /= (double)n;
        to->b /= (double)n;
        for (int64_t i = 0; i < n; i++)
            to->std += (gray[i] - to->mean) * (gray[i] - to->mean);
        to->std = sqrt(to->std / (double)n);
        const int fields = average(gray, h, w, to->mean, t ? field : first);
        for (int k = 0; k < fields && t; k++)
            low += (field[k] - first[k]) * (field[k] - first[k]);
        to->low = sqrt(low / fields);
    }
    ss_free(gray);
    return SS_OK;
}

double ss_change_colour(const ss_change_look *x, const ss_change_look *y)
{
    const double l = x->lightness - y->lightness, a = x->a - y->a, b = x->b - y->b;

    return sqrt(l * l + a * a + b * b);
}

double ss_change_trend(const double *x, int n, int stride)
{
    const double middle = (n - 1) / 2.0;
    double rise = 0, squares = 0;

    for (int i = 0; i < n; i++) {
        rise += (i - middle) * x[(ptrdiff_t)i * stride];
        squares += (i - middle) * (i - middle);
    }
    return n > 1 ? rise / squares * (n - 1) : NAN;
}
