/* data_frames.c - the frames of one entry of captions.jsonl; see data_source.h */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/picture.h"
#include "probe/picture_files.h"
#include "train/data_source.h"

#include <string.h>

/* Makes room for `more` frames after n. */
static ss_code make_room(ss_data *d, size_t n, size_t more, size_t *room, ss_err *e)
{
    float *x = ss_grow(d->x, room, n + more, ss_data_frame_values(d) * sizeof *x);

    if (!x)
        return ss_no_memory(e, "training pictures");
    d->x = x;
    return SS_OK;
}

/* Puts a picture at frame n. */
static ss_code take(ss_data *d, const ss_image *im, size_t n, ss_err *e)
{
    const ss_data_options *o = &d->opt;

    return ss_picture_fit(im, d->x + n * ss_data_frame_values(d), o->h, o->w, o->c, e);
}

/* Appends the frames of a strip, from left to right. */
static ss_code take_strip(ss_data *d, const char *where, const ss_image *im, int frames, size_t *n,
                          ss_err *e)
{
    const int w = im->w / frames;
    const size_t line = (size_t)w * (size_t)im->c, all = (size_t)im->w * (size_t)im->c;
    ss_image one = {.h = im->h, .w = w, .c = im->c};
    ss_code rc = SS_OK;

    if (im->w % frames)
        return ss_fail(e, SS_FORMAT, "%s: the strip is %d pixels wide, not a multiple of %d frames",
                       where, im->w, frames);
    if (!(one.data = ss_alloc((size_t)im->h, line)))
        return ss_no_memory(e, where);
    for (int f = 0; f < frames && rc == SS_OK; f++) {
        for (int y = 0; y < im->h; y++)
            memcpy(one.data + (size_t)y * line, im->data + (size_t)y * all + (size_t)f * line,
                   line);
        rc = take(d, &one, (*n)++, e);
    }
    ss_free(one.data);
    return rc;
}

/* Appends a PNG file: a picture, or with strip over 0 so many frames side by side. */
static ss_code read_file(ss_data *d, const char *where, const char *path, int strip, size_t *n,
                         size_t *room, ss_err *e)
{
    ss_image im = {0};
    ss_code rc = ss_image_read_png(path, &im, e);

    if (rc == SS_OK)
        rc = make_room(d, *n, strip ? (size_t)strip : 1, room, e);
    if (rc == SS_OK)
        rc = strip ? take_strip(d, where, &im, strip, n, e) : take(d, &im, (*n)++, e);
    ss_image_release(&im);
    return rc;
}

static ss_code read_folder(ss_data *d, const char *where, const char *folder, size_t *n,
                           size_t *room, ss_err *e)
{
    ss_names list = {0};
    ss_code rc = ss_names_of_pngs(folder, &list, e);

    if (rc == SS_OK && !list.n)
        rc = ss_fail(e, SS_USAGE, "%s: no PNG file (NAME.png) in %s", where, folder);
    for (size_t f = 0; f < list.n && rc == SS_OK; f++) {
        char *path = ss_path_join(folder, list.name[f]);

        rc = path ? read_file(d, where, path, 0, n, room, e) : ss_no_memory(e, where);
        ss_free(path);
    }
    ss_names_release(&list);
    return rc;
}

/* Refuses an entry of too few frames, and a picture among videos unless it may stand still. */
static ss_code check_length(const ss_data *d, const char *where, const char *file, bool picture,
                            size_t frames, ss_err *e)
{
    const ss_data_options *o = &d->opt;
    const size_t need = (size_t)(o->frames - 1) * (size_t)o->stride + 1;

    if (picture && !o->stills && o->frames > 1)
        return ss_fail(e, SS_USAGE,
                       "%s: %s is a picture, and the network takes videos of %d frames: a folder "
                       "of frames, a strip with \"frames\", or data.stills, which repeats it",
                       where, SS_SHOW(file), o->frames);
    if (picture || frames >= need)
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "%s: %s has %zu frames; %d frames at a stride of %d are taken from %zu", where,
                   SS_SHOW(file), frames, o->frames, o->stride, need);
}

ss_code ss_data_read_frames(ss_data *d, const char *where, const char *file, int strip, size_t *n,
                            size_t *room, ss_err *e)
{
    const size_t before = *n;
    char *path = ss_path_join(d->path, file);
    const bool folder = path && ss_is_dir(path);
    ss_code rc = path ? SS_OK : ss_no_memory(e, where);

    if (rc == SS_OK && !d->opt.frames && (folder || strip))
        rc = ss_fail(e, SS_USAGE, "%s: %s is a video, and the network takes pictures", where,
                     SS_SHOW(file));
    if (rc == SS_OK && folder && strip)
        rc = ss_fail(e, SS_USAGE, "%s: %s is a folder; \"frames\" is for a strip in one PNG file",
                     where, SS_SHOW(file));
    if (rc == SS_OK)
        rc = folder ? read_folder(d, where, path, n, room, e)
                    : read_file(d, where, path, strip, n, room, e);
    ss_free(path);
    if (rc != SS_OK || !d->opt.frames)
        return rc;
    return check_length(d, where, file, !folder && !strip, *n - before, e);
}
