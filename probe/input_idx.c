/* input_idx.c - gray pictures of an IDX file */
#include "base/log.h"
#include "probe/idx.h"
#include "probe/input_source.h"
#include "probe/picture.h"

/* Tells what a picture of the file goes through; most data sets have pictures of 28 x 28. */
static void note_size(const ss_input *in, int h, int w, bool pad)
{
    if (h != in->h || w != in->w)
        ss_note("%s: pictures of %d x %d pixels (height x width) are %s %d x %d", in->path, h, w,
                pad ? "centred on a background (-1) of" : "cut to their middle and resampled to",
                in->h, in->w);
}

static ss_code load_pictures(ss_input *in, const ss_idx *idx, ss_err *e)
{
    const int h = (int)idx->dim[1], w = (int)idx->dim[2]; /* below SS_IDX_MAX_ITEM */
    const bool pad = h <= in->h && w <= in->w;
    ss_code rc = ss_input_allocate(in, in->samples, e);

    if (rc != SS_OK)
        return rc;
    note_size(in, h, w, pad);
    for (int i = 0; i < in->samples && rc == SS_OK; i++) {
        ss_image im = {.h = h, .w = w, .c = 1, .data = idx->data + (size_t)i * idx->item};
        float *x = ss_input_picture(in, i);

        if (pad)
            ss_picture_pad(&im, x, in->h, in->w, in->c);
        else
            rc = ss_picture_fit(&im, x, in->h, in->w, in->c, e);
    }
    return rc;
}

static ss_code load_idx(ss_input *in, ss_err *e)
{
    ss_idx idx;
    ss_code rc = ss_picture_check_channels(in->c, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_idx_read(in->path, (size_t)in->samples, &idx, e);
    if (rc != SS_OK)
        return rc;
    if (idx.rank != 3)
        rc = ss_fail(e, SS_USAGE, "%s has %d dimensions, pictures have 3: number, height, width",
                     in->path, idx.rank);
    else if (idx.n < (size_t)in->samples)
        rc = ss_fail(e, SS_USAGE, "%s holds %zu pictures, %d samples are asked for", in->path,
                     idx.n, in->samples);
    else
        rc = load_pictures(in, &idx, e);
    ss_idx_release(&idx);
    return rc;
}

const ss_input_source ss_source_idx = {
    .name = "idx",
    .form = "FILE[.gz]",
    .kind = SS_INPUT_CLEAN,
    .parse = ss_input_parse_path,
    .load = load_idx,
};
