/* gallery.c - see gallery.h */
#include "probe/gallery.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { GAP = 2, TILE = 96, MID_GRAY = 128 };

static const uint8_t magenta[3] = {255, 0, 255};

static uint8_t to_byte(float x, float low, float high)
{
    const float v = (x - low) / (high - low) * 255;

    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)lrintf(v);
}

/* Finds the smallest and the largest finite value of channel j; *low < *high always. */
static void find_range(const float *x, int64_t pixels, int c, int j, float *low, float *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t i = 0; i < pixels; i++) {
        const float v = x[i * c + j];

        if (isfinite(v)) {
            *low = fminf(*low, v);
            *high = fmaxf(*high, v);
        }
    }
    if (!(*high > *low))
        *high = *low + 1;
}

static ss_code make_image(int h, int w, int c, ss_image *im, ss_err *e)
{
    *im = (ss_image){.h = h, .w = w, .c = c};
    im->data = ss_alloc((size_t)h * (size_t)w, (size_t)c);
    return im->data ? SS_OK : ss_fail(e, SS_NOMEM, "no memory for a picture of %dx%d", h, w);
}

/* Draws channel j of x in gray, from column `left` on. */
static void draw_channel(const float *x, int c, int j, float low, float high, ss_image *im, int w,
                         int left)
{
    for (int row = 0; row < im->h; row++) {
        for (int col = 0; col < w; col++) {
            const float v = x[((int64_t)row * w + col) * c + j];
            uint8_t *to =
                im->data + ((size_t)row * (size_t)im->w + (size_t)(left + col)) * (size_t)im->c;

            for (int k = 0; k < im->c; k++)
                to[k] = isfinite(v) ? to_byte(v, low, high) : magenta[k];
        }
    }
}

/* Draws x [h][w][3] in colour, from column `left` on. */
static void draw_rgb(const float *x, float low, float high, ss_image *im, int w, int left)
{
    for (int row = 0; row < im->h; row++) {
        for (int col = 0; col < w; col++) {
            const float *v = x + 3 * ((int64_t)row * w + col);
            uint8_t *to = im->data + 3 * ((size_t)row * (size_t)im->w + (size_t)(left + col));
            const bool finite = isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]);

            for (int k = 0; k < 3; k++)
                to[k] = finite ? to_byte(v[k], low, high) : magenta[k];
        }
    }
}

int64_t ss_gallery_measure(const float *x, int64_t n, double *absmax)
{
    int64_t bad = 0;

    *absmax = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i]))
            *absmax = fmax(*absmax, fabs((double)x[i]));
        else
            bad++;
    }
    return bad;
}

ss_code ss_gallery_draw(const float *x, ss_sample_size size, float low, float high, ss_image *im,
                        ss_err *e)
{
    const int h = size.height, w = size.width, c = size.channels;
    const int64_t pixels = ss_sample_pixels(size), frame = ss_sample_area(size) * c;
    const int columns = c == 3 ? 1 : c;
    const int64_t width = (int64_t)ss_sample_frames(size) * columns * w;
    double absmax;
    const bool broken = ss_gallery_measure(x, pixels * c, &absmax) > 0;

    if (size.frames && width > SS_IMAGE_MAX_SIDE)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%d frames of %d x %d pixels side by side are wider than the %d of a PNG "
                       "file",
                       size.frames, h, columns * w, SS_IMAGE_MAX_SIDE);
    ss_code rc = make_image(h, (int)width, broken || c == 3 ? 3 : 1, im, e);

    if (rc != SS_OK)
        return rc;
    for (int f = 0; f < ss_sample_frames(size); f++) {
        const int left = f * columns * w;

        if (c == 3)
            draw_rgb(x + f * frame, low, high, im, w, left);
        for (int j = 0; j < c && c != 3; j++) {
            if (c > 1) /* the same range in all frames */
                find_range(x, pixels, c, j, &low, &high);
            draw_channel(x + f * frame, c, j, low, high, im, w, left + j * w);
        }
    }
    return SS_OK;
}

/* Copies a picture into an RGB sheet, each pixel to scale x scale ones. */
static void paste(const ss_image *im, int scale, int top, int left, ss_image *sheet)
{
    for (int row = 0; row < im->h * scale; row++) {
        for (int col = 0; col < im->w * scale; col++) {
            const uint8_t *from =
                im->data +
                ((size_t)(row / scale) * (size_t)im->w + (size_t)(col / scale)) * (size_t)im->c;
            uint8_t *to =
                sheet->data + 3 * ((size_t)(top + row) * (size_t)sheet->w + (size_t)(left + col));

            for (int k = 0; k < 3; k++)
                to[k] = from[im->c == 3 ? k : 0];
        }
    }
}

/* The number of tiles of that side for which a PNG file has room, at most n. */
static int fitting(int n, int side)
{
    const int room = (SS_IMAGE_MAX_SIDE - GAP) / (side + GAP);

    return n < room ? n : room;
}

ss_code ss_gallery_sheet(const ss_image *pictures, int rows, int columns, ss_image *sheet,
                         ss_err *e)
{
    int h = 1, w = 1;

    for (int i = 0; i < rows * columns; i++) {
        h = pictures[i].h > h ? pictures[i].h : h;
        w = pictures[i].w > w ? pictures[i].w : w;
    }
    const int scale = h < TILE ? TILE / h : 1; /* by height: latents are wide */
    const int r = fitting(rows, h * scale), c = fitting(columns, w * scale);
    if (r < 1 || c < 1)
        return ss_fail(e, SS_SHAPE, "pictures of %dx%d are too large for a contact sheet", h, w);
    ss_code rc = make_image(GAP + r * (h * scale + GAP), GAP + c * (w * scale + GAP), 3, sheet, e);
    if (rc != SS_OK)
        return rc;
    memset(sheet->data, MID_GRAY, (size_t)sheet->h * (size_t)sheet->w * 3);
    for (int i = 0; i < r; i++) {
        for (int j = 0; j < c; j++)
            paste(&pictures[i * columns + j], scale, GAP + i * (h * scale + GAP),
                  GAP + j * (w * scale + GAP), sheet);
    }
    return SS_OK;
}
