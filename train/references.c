/* references.c - see references.h */
#include "train/references.h"

#include "base/mem.h"
#include "probe/picture.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

ss_code ss_references_check(const ss_references_options *o, ss_sample_size size, ss_err *e)
{
    const bool some = o->first > 0 || o->ends > 0 || o->second > 0;

    if (!(o->first >= 0 && o->ends >= 0 && o->second >= 0 && o->first + o->ends + o->second <= 1))
        return ss_fail(e, SS_USAGE,
                       "data: given_first %g, given_ends %g and given_second %g are chances; "
                       "expected at most 1 together",
                       o->first, o->ends, o->second);
    if (o->lower && some)
        return ss_fail(e, SS_USAGE,
                       "data: given_lower gives all frames; given_first, given_ends and "
                       "given_second give some");
    if (some && size.frames < 3)
        return ss_fail(e, SS_USAGE,
                       "data: given_first, given_ends and given_second need 3 frames or more");
    if (o->lower && (o->lower < 2 || size.height % o->lower || size.width % o->lower))
        return ss_fail(e, SS_USAGE,
                       "data: given_lower is %d; expected 2 or more, and pictures of %d x %d to be "
                       "whole multiples of it",
                       o->lower, size.height, size.width);
    return SS_OK;
}

/* The frames of a video that are given. */
typedef struct {
    int first, last; /* so many at its beginning and its end */
    bool second;     /* every second */
} choice;

static choice draw(const ss_references_options *o, int frames, ss_rng r)
{
    const double u = ss_rng_uniform(r, 0);

    if (o->lower)
        return (choice){.first = frames};
    if (u < o->first)
        return (choice){.first = 1 + (int)(ss_rng_uniform(r, 1) * (frames - 1))};
    if (u < o->first + o->ends)
        return (choice){.first = 1, .last = 1};
    return (choice){.second = u < o->first + o->ends + o->second};
}

/* Averages a frame [H][W][C] down, into bytes. */
static void shrink(const float *x, ss_sample_size size, int lower, ss_image *im)
{
    const int c = size.channels;

    for (int y = 0; y < im->h; y++)
        for (int i = 0; i < im->w * c; i++) {
            double sum = 0;

            for (int a = 0; a < lower; a++)
                for (int b = 0; b < lower; b++)
                    sum += x[((y * lower + a) * size.width + i / c * lower + b) * c + i % c];
            const double v = (sum / (lower * lower) + 1) * 127.5;
            im->data[y * im->w * c + i] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)lrint(v);
        }
}

/* given = each frame of x0 at a lower resolution, brought back to its size. */
static ss_code lower_all(const ss_references_options *o, ss_sample_size size, const float *x0,
                         float *given, ss_err *e)
{
    const int64_t one = ss_sample_area(size) * size.channels;
    ss_image im = {.h = size.height / o->lower, .w = size.width / o->lower, .c = size.channels};
    ss_code rc = SS_OK;

    im.data = ss_alloc((size_t)im.h * (size_t)im.w, (size_t)im.c);
    if (!im.data)
        return ss_no_memory(e, "given frames");
    for (int f = 0; f < size.frames && rc == SS_OK; f++) {
        shrink(x0 + f * one, size, o->lower, &im);
        rc = ss_picture_fit(&im, given + f * one, size.height, size.width, size.channels, e);
    }
    ss_image_release(&im);
    return rc;
}

ss_code ss_references_put(const ss_references_options *o, ss_sample_size size, ss_rng r,
                          const float *x0, const float *input, float *out, ss_err *e)
{
    const int64_t c = size.channels, area = ss_sample_area(size), n = ss_sample_values(size);
    float *low = o->lower ? ss_alloc((size_t)n, sizeof *low) : NULL;
    const choice chosen = draw(o, size.frames, r);
    ss_code rc = SS_OK;

    if (o->lower)
        rc = low ? lower_all(o, size, x0, low, e) : ss_no_memory(e, "given frames");
    const float *from = low ? low : x0;
    for (int64_t p = 0; p < size.frames * area && rc == SS_OK; p++) {
        const int f = (int)(p / area);
        const bool given =
            f < chosen.first || f >= size.frames - chosen.last || (chosen.second && f % 2 == 0);

        memcpy(out, input + p * c, (size_t)c * sizeof *out);
        for (int64_t k = 0; k < c; k++)
            out[c + k] = given ? from[p * c + k] : 0;
        out[2 * c] = given;
        out += 2 * c + 1;
    }
    ss_free(low);
    return rc;
}
