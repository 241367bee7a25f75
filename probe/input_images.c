/* input_images.c - a PNG file, a folder of them, or of videos as folders of frames */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "probe/input_source.h"
#include "probe/picture.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char **name;
    size_t n, cap;
} name_list;

static void release_names(name_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        ss_free(l->name[i]);
    ss_free(l->name);
    *l = (name_list){0};
}

static ss_code add_name(name_list *l, const char *name, ss_err *e)
{
    char **grown = ss_grow(l->name, &l->cap, l->n + 1, sizeof *grown);

    if (grown) {
        l->name = grown;
        l->name[l->n] = ss_strdup(name);
        if (l->name[l->n]) {
            l->n++;
            return SS_OK;
        }
    }
    return ss_no_memory(e, "pictures");
}

/* True for entries of an open folder that are read. Hidden ones never are: some systems keep
 * "._a.png" beside a.png. */
typedef bool is_wanted(int folder, const char *name);

static bool is_png(int folder, const char *name)
{
    const size_t n = strlen(name);

    (void)folder;
    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".png") == 0;
}

static bool is_folder(int folder, const char *name)
{
    struct stat st;

    return name[0] != '.' && fstatat(folder, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists the entries of a folder in the order of their names' bytes, whatever the locale. */
static ss_code list_folder(const char *folder, is_wanted *wanted, name_list *l, ss_err *e)
{
    ss_code rc = SS_OK;
    const struct dirent *entry;
    DIR *d = opendir(folder);

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (wanted(dirfd(d), entry->d_name))
            rc = add_name(l, entry->d_name, e);
    }
    closedir(d);
    if (rc == SS_OK && l->n > 0)
        qsort(l->name, l->n, sizeof *l->name, by_bytes);
    return rc;
}

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
    name_list list = {0};
    ss_code rc = list_folder(folder, is_png, &list, e);

    if (rc == SS_OK && list.n < (size_t)in->size.frames)
        rc = ss_fail(e, SS_USAGE, "%s: %zu PNG files in the folder, a video has %d frames", folder,
                     list.n, in->size.frames);
    for (int f = 0; f < in->size.frames && rc == SS_OK; f++) {
        char *path = ss_path_join(folder, list.name[f]);

        rc = path ? load_frame(in, path, ss_input_frame(in, i, f), noted, e)
                  : ss_no_memory(e, "pictures");
        ss_free(path);
    }
    release_names(&list);
    return rc == SS_OK ? ss_input_name(in, i, folder, e) : rc;
}

typedef ss_code load_one(ss_input *in, const char *path, int i, bool *noted, ss_err *e);

static ss_code load_list(ss_input *in, const name_list *list, load_one *load, ss_err *e)
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
    name_list list = {0};
    ss_code rc = list_folder(in->path, is_png, &list, e);

    if (rc == SS_OK && !list.n && in->size.frames) {
        what = "folders of frames";
        load = load_video;
        rc = list_folder(in->path, is_folder, &list, e);
    }
    if (rc == SS_OK && list.n < (size_t)in->samples)
        rc = list.n ? ss_fail(e, SS_USAGE, "%zu %s in the folder, %d samples are asked for", list.n,
                              what, in->samples)
                    : ss_fail(e, SS_USAGE, "no PNG file (NAME.png) in the folder%s",
                              in->size.frames ? ", and no folder of them" : "");
    if (rc == SS_OK)
        rc = load_list(in, &list, load, e);
    release_names(&list);
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
