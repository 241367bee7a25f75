/* input_idx.c - gray pictures, or videos, of an IDX file */
#include "base/log.h"
#include "probe/idx.h"
#include "probe/input_source.h"
#include "probe/picture.h"

/* Notes how pictures of another size are brought to the network's. */
static void note_size(const ss_input *in, int h, int w, bool pad)
{
    if (h != in->size.height || w != in->size.width)
        ss_note("%s: pictures of %d x %d pixels (height x width) are %s %d x %d", in->path, h, w,
                pad ? "centred on a background (-1) of" : "cut to their middle and resampled to",
                in->size.height, in->size.width);
}

static ss_code load_pictures(ss_input *in, const ss_idx *idx, ss_err *e)
{
    const ss_sample_size s = in->size;
    const bool video = idx->rank == 4;
    /* below SS_IDX_MAX_ITEM */
    const int h = (int)idx->dim[idx->rank - 2], w = (int)idx->dim[idx->rank - 1];
    const bool pad = h <= s.height && w <= s.width;
    ss_code rc = ss_input_allocate(in, in->samples, e);

    if (rc != SS_OK)
        return rc;
    note_size(in, h, w, pad);
    for (int i = 0; i < in->samples && rc == SS_OK; i++) {
        ss_image im = {.h = h, .w = w, .c = 1, .data = idx->data + (size_t)i * idx->item};

        for (int f = 0; f < (video ? s.frames : 1) && rc == SS_OK; f++) {
            float *x = ss_input_frame(in, i, f);

            if (pad)
                ss_picture_pad(&im, x, s.height, s.width, s.channels);
            else
                rc = ss_picture_fit(&im, x, s.height, s.width, s.channels, e);
            im.data += (size_t)h * (size_t)w;
        }
        if (!video)
            ss_input_hold(in, i);
    }
    return rc;
}

static ss_code check(const ss_input *in, const ss_idx *idx, ss_err *e)
{
    if (idx->rank == 4 && in->size.frames) {
        if (idx->dim[1] < (uint32_t)in->size.frames)
            return ss_fail(e, SS_USAGE, "%s has videos of %u frames, the network takes %d",
                           in->path, idx->dim[1], in->size.frames);
    } else if (idx->rank != 3) {
        return ss_fail(
            e, SS_USAGE, "%s has %d dimensions, pictures have 3: number, height, width%s", in->path,
            idx->rank, in->size.frames ? "; videos have 4: number, frame, height, width" : "");
    }
    if (idx->n < (size_t)in->samples)
        return ss_fail(e, SS_USAGE, "%s holds %zu pictures, %d samples are asked for", in->path,
                       idx->n, in->samples);
    return SS_OK;
}

static ss_code load_idx(ss_input *in, ss_err *e)
{
    ss_idx idx;
    ss_code rc = ss_picture_check_channels(in->size.channels, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_idx_read(in->path, (size_t)in->samples, &idx, e);
    if (rc != SS_OK)
        return rc;
    rc = check(in, &idx, e);
    if (rc == SS_OK)
        rc = load_pictures(in, &idx, e);
    ss_idx_release(&idx);
    return rc;
}

const ss_input_source ss_source_idx = {
    .name = "idx",
    .form = "FILE[.gz]",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = ss_input_parse_path,
    .load = load_idx,
};
