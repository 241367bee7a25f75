/* input_images.c - a PNG file, a folder of them, or of videos as folders of frames */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "probe/input_source.h"
#include "probe/picture.h"
#include "probe/picture_files.h"

/* Reads a picture into x, one frame of a sample. *noted: a note about another size was printed; one
 * is enough. */
static ss_code load_frame(const ss_input *in, const char *path, float *x, bool *noted, ss_err *e)
{
    const int h = in->size.height, w = in->size.width;
    ss_image im;
    ss_code rc = ss_image_read_png(path, &im, e);

    if (rc != SS_OK)
        return rc;
    if (!*noted && (im.h != h || im.w != w)) {
        *noted = true;
        ss_note("%s is %d x %d pixels (height x width), the network takes %d x %d: such pictures "
                "are cut to their middle and %s",
                path, im.h, im.w, h, w, im.h >= h && im.w >= w ? "averaged down" : "resampled");
    }
    rc = ss_picture_fit(&im, x, h, w, in->size.channels, e);
    ss_image_release(&im);
    return rc;
}

/* Loads a picture as sample i, the same in every frame. */
static ss_code load_picture(ss_input *in, const char *path, int i, bool *noted, ss_err *e)
{
    ss_code rc = load_frame(in, path, ss_input_picture(in, i), noted, e);

    if (rc != SS_OK)
        return rc;
    ss_input_hold(in, i);
    return ss_input_name(in, i, path, e);
}

/* Loads the first PNG files of a folder as the frames of sample i. */
static ss_code load_video(ss_input *in, const char *folder, int i, bool *noted, ss_err *e)
{
    ss_names list = {0};
    ss_code rc = ss_names_of_pngs(folder, &list, e);

    if (rc == SS_OK && list.n < (size_t)in->size.frames)
        rc = ss_fail(e, SS_USAGE, "%s: %zu PNG files in the folder, a video has %d frames", folder,
                     list.n, in->size.frames);
    for (int f = 0; f < in->size.frames && rc == SS_OK; f++) {
        char *path = ss_path_join(folder, list.name[f]);

        rc = path ? load_frame(in, path, ss_input_frame(in, i, f), noted, e)
                  : ss_no_memory(e, "pictures");
        ss_free(path);
    }
    ss_names_release(&list);
    return rc == SS_OK ? ss_input_name(in, i, folder, e) : rc;
}

typedef ss_code load_one(ss_input *in, const char *path, int i, bool *noted, ss_err *e);

static ss_code load_list(ss_input *in, const ss_names *list, load_one *load, ss_err *e)
{
    bool noted = false;
    ss_code rc = ss_input_allocate(in, in->samples, e);

    for (int i = 0; i < in->samples && rc == SS_OK; i++) {
        char *path = ss_path_join(in->path, list->name[i]);

        rc = path ? load(in, path, i, &noted, e) : ss_no_memory(e, "pictures");
        ss_free(path);
    }
    return rc;
}

static ss_code load_folder(ss_input *in, ss_err *e)
{
    const char *what = "PNG files";
    load_one *load = load_picture;
    ss_names list = {0};
    ss_code rc = ss_names_of_pngs(in->path, &list, e);

    if (rc == SS_OK && !list.n && in->size.frames) {
        what = "folders of frames";
        load = load_video;
        rc = ss_names_of_folders(in->path, &list, e);
    }
    if (rc == SS_OK && list.n < (size_t)in->samples)
        rc = list.n ? ss_fail(e, SS_USAGE, "%zu %s in the folder, %d samples are asked for", list.n,
                              what, in->samples)
                    : ss_fail(e, SS_USAGE, "no PNG file (NAME.png) in the folder%s",
                              in->size.frames ? ", and no folder of them" : "");
    if (rc == SS_OK)
        rc = load_list(in, &list, load, e);
    ss_names_release(&list);
    return rc;
}

static ss_code load_images(ss_input *in, ss_err *e)
{
    bool noted = false;
    ss_code rc = ss_picture_check_channels(in->size.channels, e);

    if (rc != SS_OK)
        return rc;
    if (ss_is_dir(in->path))
        return load_folder(in, e);
    rc = ss_input_allocate(in, 1, e);
    return rc == SS_OK ? load_picture(in, in->path, 0, &noted, e) : rc;
}

const ss_input_source ss_source_images = {
    .name = "images",
    .form = "PATH",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = ss_input_parse_path,
    .load = load_images,
};
