/* data_idx.c - gray pictures of an IDX file, averaged down by whole pixels and centred */
#include "train/data_source.h"

static ss_code read_labels(ss_data *d, ss_err *e)
{
    ss_code rc = ss_idx_read(d->labels, SIZE_MAX, &d->marks, e);

    if (rc != SS_OK)
        return rc;
    if (d->marks.rank != 1)
        return ss_fail(e, SS_USAGE, "%s has %d dimensions; expected 1, a list of labels", d->labels,
                       d->marks.rank);
    if ((int64_t)d->marks.n != d->n)
        return ss_fail(e, SS_USAGE, "%s has %zu labels for the %zu pictures of %s", d->labels,
                       d->marks.n, d->pictures.n, d->path);
    for (size_t i = 0; i < d->marks.n; i++) {
        if (d->marks.data[i] >= d->classes)
            d->classes = d->marks.data[i] + 1;
    }
    return SS_OK;
}

ss_code ss_data_open_idx(ss_data *d, ss_err *e)
{
    const int pool = d->opt.pool;
    ss_code rc = ss_idx_read(d->path, SIZE_MAX, &d->pictures, e);

    if (rc != SS_OK)
        return rc;
    const uint32_t h = d->pictures.dim[1], w = d->pictures.dim[2];

    if (d->pictures.rank != 3 || d->pictures.n == 0)
        return ss_fail(e, SS_USAGE, "%s: expected 3 dimensions: number (over 0), height, width",
                       d->path);
    if (pool < 1 || h % (uint32_t)pool || w % (uint32_t)pool)
        return ss_fail(e, SS_USAGE,
                       "%s: pictures of %u x %u cannot be divided into %d x %d pixels to average",
                       d->path, h, w, pool, pool);
    if (h / (uint32_t)pool > (uint32_t)d->opt.h || w / (uint32_t)pool > (uint32_t)d->opt.w)
        return ss_fail(e, SS_USAGE,
                       "%s: pictures of %u x %u after averaging are larger than %d x %d", d->path,
                       h / (uint32_t)pool, w / (uint32_t)pool, d->opt.h, d->opt.w);
    d->n = (int64_t)d->pictures.n;
    return d->labels ? read_labels(d, e) : SS_OK;
}

static void read_idx(const ss_data *d, int64_t i, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const int h = (int)d->pictures.dim[1] / o->pool, w = (int)d->pictures.dim[2] / o->pool;
    const int top = (o->h - h) / 2, left = (o->w - w) / 2;

    (void)r;
    for (int64_t k = 0; k < (int64_t)o->h * o->w * o->c; k++)
        x[k] = -1;
    for (int py = 0; py < h; py++) {
        for (int px = 0; px < w; px++) {
            const float v = ss_idx_mean(&d->pictures, (size_t)i, o->pool, py, px);
            float *to = x + ((int64_t)(top + py) * o->w + left + px) * o->c;

            for (int k = 0; k < o->c; k++)
                to[k] = v;
        }
    }
    if (d->marks.n)
        *label = d->marks.data[i];
}

static void draw_idx(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    read_idx(d, ss_data_pick(r, SS_DATA_OWN, d->n), r, x, label);
}

const ss_data_source ss_data_source_idx = {ss_data_open_idx, draw_idx, read_idx, true};
