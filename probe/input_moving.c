/* input_moving.c - videos of the pictures of an IDX file that move: see moving.h
 *
 * Sample i is picture i, moved as the defaults of moving.h say, by numbers of its own that are
 * always the same.
 */
#include "base/mem.h"
#include "probe/idx.h"
#include "probe/input_source.h"
#include "probe/moving.h"
#include "probe/picture.h"

/* The least number by whose square pixels are averaged so that pictures fit; 0: there is none. */
static int find_pool(const ss_idx *idx, ss_sample_size s)
{
    const uint32_t h = idx->dim[1], w = idx->dim[2];

    for (uint32_t pool = 1; pool <= h && pool <= w; pool++) {
        if (h % pool == 0 && w % pool == 0 && h / pool <= (uint32_t)s.height &&
            w / pool <= (uint32_t)s.width)
            return (int)pool;
    }
    return 0;
}

/* Makes sample i of its picture [box.h][box.w]. */
static void make_video(ss_input *in, int i, ss_moving_box box, const float *item, float *canvas)
{
    const ss_moving_options opt = ss_moving_defaults();
    const ss_moving_path p =
        ss_moving_draw(&opt, ss_rng_stream(0, "moving input", (uint64_t)i, 0), 0, box);
    const int frames = ss_sample_frames(in->size), channels = in->size.channels;

    for (int f = 0; f < frames; f++) {
        float *x = ss_input_frame(in, i, f);

        ss_moving_clear(box, canvas);
        ss_moving_add(&p, box, item, f, frames, canvas);
        for (int64_t k = 0; k < ss_sample_area(in->size) * channels; k++)
            x[k] = canvas[k / channels];
    }
}

static ss_code make_videos(ss_input *in, const ss_idx *idx, int pool, ss_err *e)
{
    const ss_moving_box box = {(int)idx->dim[1] / pool, (int)idx->dim[2] / pool, in->size.height,
                               in->size.width};
    float *item = ss_alloc((size_t)box.h, (size_t)box.w * sizeof *item);
    float *canvas = ss_alloc((size_t)box.H, (size_t)box.W * sizeof *canvas);
    ss_code rc =
        item && canvas ? ss_input_allocate(in, in->samples, e) : ss_no_memory(e, "moving pictures");

    for (int i = 0; i < in->samples && rc == SS_OK; i++) {
        for (int k = 0; k < box.h * box.w; k++)
            item[k] = ss_idx_mean(idx, (size_t)i, pool, k / box.w, k % box.w);
        make_video(in, i, box, item, canvas);
    }
    ss_free(item);
    ss_free(canvas);
    return rc;
}

static ss_code load_moving(ss_input *in, ss_err *e)
{
    ss_idx idx;
    ss_code rc = ss_picture_check_channels(in->size.channels, e);
    int pool = 0;

    if (rc == SS_OK && !in->size.frames)
        rc = ss_fail(e, SS_USAGE, "the network takes pictures, not videos; idx:%s reads them",
                     in->path);
    if (rc != SS_OK)
        return rc;
    if ((rc = ss_idx_read(in->path, (size_t)in->samples, &idx, e)) != SS_OK)
        return rc;
    if (idx.rank != 3)
        rc = ss_fail(e, SS_USAGE, "%s has %d dimensions, pictures have 3: number, height, width",
                     in->path, idx.rank);
    else if (idx.n < (size_t)in->samples)
        rc = ss_fail(e, SS_USAGE, "%s holds %zu pictures, %d samples are asked for", in->path,
                     idx.n, in->samples);
    else if (!(pool = find_pool(&idx, in->size)))
        rc = ss_fail(e, SS_USAGE,
                     "%s: pictures of %u x %u cannot be averaged over whole pixels to fit %d x %d",
                     in->path, idx.dim[1], idx.dim[2], in->size.height, in->size.width);
    if (rc == SS_OK)
        rc = make_videos(in, &idx, pool, e);
    ss_idx_release(&idx);
    return rc;
}

const ss_input_source ss_source_moving = {
    .name = "moving",
    .form = "FILE[.gz]",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = ss_input_parse_path,
    .load = load_moving,
};
