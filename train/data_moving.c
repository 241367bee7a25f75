/* data_moving.c - items of idx files that move over the canvas: see probe/moving.h
 *
 * A sample shows an item drawn from all of them, and by a chance a second one. The numbers of its
 * stream from SS_DATA_OWN on:
 *
 *   0                  are there two?
 *   1, 2               which items
 *   3 .. 10, 11 .. 18  their paths (SS_MOVING_NUMBERS each)
 */
#include "base/mem.h"
#include "train/data_source.h"

enum { TWO = SS_DATA_OWN, WHICH, PATHS = WHICH + 2 };

static ss_code open_moving(ss_data *d, ss_err *e)
{
    const ss_data_options *o = &d->opt;
    ss_code rc = ss_data_open_idx(d, e);

    if (rc != SS_OK)
        return rc;
    if (o->flip)
        return ss_fail(e, SS_USAGE,
                       "moving items cannot be mirrored (flip): they would not move where their "
                       "captions say");
    const int h = (int)d->pictures.dim[1] / o->pool, w = (int)d->pictures.dim[2] / o->pool;
    float *x = ss_alloc((size_t)d->n, (size_t)h * (size_t)w * sizeof *x);

    if (!x)
        return ss_no_memory(e, d->path);
    d->box = (ss_moving_box){h, w, o->h, o->w};
    d->items = x;
    for (int64_t i = 0; i < d->n; i++) {
        for (int k = 0; k < h * w; k++)
            *x++ = ss_idx_mean(&d->pictures, (size_t)i, o->pool, k / w, k % w);
    }
    return o->texts ? ss_data_name_moving(d, e) : SS_OK;
}

/* Adds an item to every frame of a gray video x [frames][h][w]. */
static void add_item(const ss_data *d, int64_t item, const ss_moving_path *p, float *x)
{
    const ptrdiff_t size = (ptrdiff_t)d->box.h * d->box.w, area = (ptrdiff_t)d->box.H * d->box.W;
    const int frames = ss_data_frames(d);

    for (int f = 0; f < frames; f++)
        ss_moving_add(p, d->box, d->items + item * size, f, frames, x + f * area);
}

/* Repeats n values c times each, in place. */
static void spread(float *x, ptrdiff_t n, int c)
{
    for (ptrdiff_t i = n - 1; i >= 0 && c > 1; i--) {
        const float v = x[i];

        for (int k = 0; k < c; k++)
            x[i * c + k] = v;
    }
}

static int64_t class_of(const ss_data *d, int64_t item)
{
    return d->marks.n ? d->marks.data[item] : -1;
}

static void read_moving(const ss_data *d, int64_t i, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const bool two = ss_rng_uniform(r, TWO) < o->second;
    const int64_t item[2] = {i, ss_data_pick(r, WHICH + 1, d->n)};
    ss_moving_options how = o->moving;
    ss_moving_path path[2];

    if (two) {
        how.offset = true;
        how.still = how.zoom = 0;
    }
    for (int f = 0; f < ss_data_frames(d); f++)
        ss_moving_clear(d->box, x + f * (ptrdiff_t)d->box.H * d->box.W);
    for (int k = 0; k <= two; k++) {
        path[k] = ss_moving_draw(&how, r, PATHS + (uint64_t)k * SS_MOVING_NUMBERS, d->box);
        add_item(d, item[k], &path[k], x);
    }
    spread(x, (ptrdiff_t)ss_data_frames(d) * o->h * o->w, o->c);
    if (o->texts)
        *label = ss_data_moving_label(d, &path[0], class_of(d, i), two ? &path[1] : NULL,
                                      class_of(d, item[1]));
    else if (d->marks.n)
        *label = class_of(d, i);
}

static void draw_moving(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    read_moving(d, ss_data_pick(r, WHICH, d->n), r, x, label);
}

const ss_data_source ss_data_source_moving = {open_moving, draw_moving, read_moving, false};
