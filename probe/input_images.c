/* input_images.c - a PNG file, or a folder of them */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "probe/input_source.h"
#include "probe/picture.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    return ss_fail(e, SS_NOMEM, "out of memory");
}

/* Hidden files are not pictures: "._a.png" is what some systems keep beside a.png. */
static bool is_png_name(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".png") == 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The PNG files of a folder in the order of their names' bytes, whatever the locale. */
static ss_code list_folder(const char *folder, name_list *l, ss_err *e)
{
    ss_code rc = SS_OK;
    const struct dirent *entry;
    DIR *d = opendir(folder);

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (is_png_name(entry->d_name))
            rc = add_name(l, entry->d_name, e);
    }
    closedir(d);
    if (rc == SS_OK && l->n > 0)
        qsort(l->name, l->n, sizeof *l->name, by_bytes);
    return rc;
}

/* *noted: one picture was told to be of another size, which is enough of them. */
static ss_code load_picture(ss_input *in, const char *path, int i, bool *noted, ss_err *e)
{
    ss_image im;
    ss_code rc = ss_image_read_png(path, &im, e);

    if (rc != SS_OK)
        return rc;
    if (!*noted && (im.h != in->h || im.w != in->w)) {
        *noted = true;
        ss_note("%s is %d x %d pixels (height x width), the network takes %d x %d: such pictures "
                "are cut to their middle and %s",
                path, im.h, im.w, in->h, in->w,
                im.h >= in->h && im.w >= in->w ? "averaged down" : "resampled");
    }
    rc = ss_picture_fit(&im, ss_input_picture(in, i), in->h, in->w, in->c, e);
    ss_image_release(&im);
    return rc == SS_OK ? ss_input_name(in, i, path, e) : rc;
}

static ss_code load_folder(ss_input *in, ss_err *e)
{
    name_list list = {0};
    bool noted = false;
    ss_code rc = list_folder(in->path, &list, e);

    if (rc == SS_OK && list.n < (size_t)in->samples)
        rc = list.n ? ss_fail(e, SS_USAGE, "%zu PNG files in the folder, %d samples are asked for",
                              list.n, in->samples)
                    : ss_fail(e, SS_USAGE, "no PNG file (NAME.png) in the folder");
    if (rc == SS_OK)
        rc = ss_input_allocate(in, in->samples, e);
    for (int i = 0; i < in->samples && rc == SS_OK; i++) {
        char *path = ss_path_join(in->path, list.name[i]);

        rc = path ? load_picture(in, path, i, &noted, e) : ss_fail(e, SS_NOMEM, "out of memory");
        ss_free(path);
    }
    release_names(&list);
    return rc;
}

static ss_code load_images(ss_input *in, ss_err *e)
{
    bool noted = false;
    ss_code rc = ss_picture_check_channels(in->c, e);

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
    .parse = ss_input_parse_path,
    .load = load_images,
};
