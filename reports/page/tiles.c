/* tiles.c - see tiles.h */
#include "reports/page/tiles.h"

#include "base/mem.h"
#include "reports/page/color.h"

#include <math.h>
#include <string.h>

static const ss_rgb nothing_finite = {255, 0, 255}, wrong = {255, 60, 60};

ss_code ss_tiles_new(ss_tiles *t, int rows, int columns, int h, int w, ss_err *e)
{
    const int64_t height = (int64_t)rows * (h + SS_TILE_GAP) - SS_TILE_GAP;
    const int64_t width = (int64_t)columns * (w + SS_TILE_GAP) - SS_TILE_GAP;

    *t = (ss_tiles){.rows = rows, .columns = columns, .h = h, .w = w};
    if (height > SS_IMAGE_MAX_SIDE || width > SS_IMAGE_MAX_SIDE)
        return ss_fail(e, SS_UNSUPPORTED, "a sheet of %d x %d pictures is too large", rows,
                       columns);
    t->sheet = (ss_image){.h = (int)height, .w = (int)width, .c = 3};
    t->sheet.data = ss_alloc((size_t)(height * width), 3);
    if (!t->sheet.data)
        return ss_fail(e, SS_NOMEM, "a sheet of %d x %d pictures: out of memory", rows, columns);
    memset(t->sheet.data, 128, (size_t)(height * width) * 3);
    return SS_OK;
}

void ss_tiles_fit(int h0, int w0, int side, int *h, int *w)
{
    const int longer = h0 > w0 ? h0 : w0;

    if (longer <= side) {
        *h = h0 * (side / longer);
        *w = w0 * (side / longer);
    } else {
        *h = h0 * side / longer > 0 ? h0 * side / longer : 1;
        *w = w0 * side / longer > 0 ? w0 * side / longer : 1;
    }
}

/* The mean of channel k over the pixels of x that fall onto pixel (i, j) of the tile. */
static double mean_at(const ss_tiles *t, const float *x, int h0, int w0, int c, int k, int i, int j)
{
    const int y0 = (int)((int64_t)i * h0 / t->h), x0 = (int)((int64_t)j * w0 / t->w);
    int y1 = (int)((int64_t)(i + 1) * h0 / t->h), x1 = (int)((int64_t)(j + 1) * w0 / t->w);
    double sum = 0;

    y1 = y1 > y0 ? y1 : y0 + 1;
    x1 = x1 > x0 ? x1 : x0 + 1;
    for (int y = y0; y < y1; y++)
        for (int q = x0; q < x1; q++)
            sum += x[((size_t)y * (size_t)w0 + (size_t)q) * (size_t)c + (size_t)k];
    return sum / ((double)(y1 - y0) * (x1 - x0));
}

static uint8_t *pixel(ss_tiles *t, int row, int column, int i, int j)
{
    const size_t y = (size_t)(row * (t->h + SS_TILE_GAP) + i);
    const size_t x = (size_t)(column * (t->w + SS_TILE_GAP) + j);

    return t->sheet.data + (y * (size_t)t->sheet.w + x) * 3;
}

static void paint(uint8_t *to, ss_rgb c)
{
    to[0] = c.r;
    to[1] = c.g;
    to[2] = c.b;
}

void ss_tiles_picture(ss_tiles *t, int row, int column, const float *x, int h0, int w0, int c,
                      double limit)
{
    for (int i = 0; i < t->h; i++) {
        for (int j = 0; j < t->w; j++) {
            uint8_t value[3];
            int bad = 0;

            for (int k = 0; k < 3; k++) {
                const double v = mean_at(t, x, h0, w0, c, c < 3 ? 0 : k, i, j);

                bad |= !isfinite(v);
                value[k] =
                    isfinite(v) ? (uint8_t)lround(fmin(fmax((v / limit + 1) / 2, 0), 1) * 255) : 0;
            }
            paint(pixel(t, row, column, i, j),
                  bad ? nothing_finite : (ss_rgb){value[0], value[1], value[2]});
        }
    }
}

void ss_tiles_map(ss_tiles *t, int row, int column, const float *x, int h0, int w0, double low,
                  double high)
{
    for (int i = 0; i < t->h; i++) {
        for (int j = 0; j < t->w; j++) {
            const double v = mean_at(t, x, h0, w0, 1, 0, i, j);

            paint(pixel(t, row, column, i, j),
                  isfinite(v) ? ss_viridis(log(v / low) / log(high / low)) : nothing_finite);
        }
    }
}

void ss_tiles_mark(ss_tiles *t, int row, int column)
{
    const int rim = t->h >= 32 && t->w >= 32 ? 2 : 1;

    for (int i = 0; i < t->h; i++) {
        for (int j = 0; j < t->w; j++) {
            if (i < rim || j < rim || i >= t->h - rim || j >= t->w - rim)
                paint(pixel(t, row, column, i, j), wrong);
        }
    }
}
