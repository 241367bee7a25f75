/* frames.c - see frames.h */
#include "probe/frames.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/picture.h"
#include "probe/videos.h"

#include <math.h>
#include <string.h>

/* Rounds frame k of a video to bytes. */
static ss_code to_bytes(const ss_video *v, int k, ss_image *im, ss_err *e)
{
    const size_t n = (size_t)(ss_sample_area(v->size) * v->size.channels);
    const float *x = ss_video_frame(v, k);

    *im = (ss_image){.h = v->size.height, .w = v->size.width, .c = v->size.channels};
    im->data = ss_alloc(n, 1);
    if (!im->data)
        return ss_no_memory(e, "a frame");
    for (size_t i = 0; i < n; i++)
        im->data[i] = x[i] <= 0 ? 0 : x[i] >= 255 ? 255 : (uint8_t)lrintf(x[i]);
    return SS_OK;
}

static ss_code check(const ss_frames *f, const ss_video *v, const ss_video_entry *about, ss_err *e)
{
    const ss_sample_size s = v->size;

    if (s.channels != 1 && s.channels != 3)
        return ss_fail(e, SS_USAGE, "%s: %d channels are no picture", about->model, s.channels);
    if (f->videos && (s.frames != f->frames || s.height != f->height || s.width != f->width))
        return ss_fail(e, SS_USAGE,
                       "%s: video %s has %d frames of %d x %d pixels (height x width), the first "
                       "%d of %d x %d",
                       about->model, about->name, s.frames, s.height, s.width, f->frames, f->height,
                       f->width);
    for (int64_t i = 0; i < ss_sample_values(s); i++) {
        if (!isfinite(v->x[i]))
            return ss_fail(e, SS_USAGE, "%s: video %s has values that are inf or NaN", about->model,
                           about->name);
    }
    return SS_OK;
}

/* Adds a video. The list of images has room for all frames of one as long as the first. */
static ss_code add(ss_frames *f, const ss_video *v, const ss_video_entry *about, int most,
                   ss_err *e)
{
    ss_code rc = check(f, v, about, e);

    if (rc == SS_OK && !f->videos) {
        f->frames = v->size.frames;
        f->height = v->size.height;
        f->width = v->size.width;
        f->image = ss_calloc((size_t)most * (size_t)f->frames, sizeof *f->image);
        if (!f->image)
            return ss_no_memory(e, "frames");
    }
    if (rc == SS_OK)
        f->videos++; /* releases a frame that is missing, too */
    for (int k = 0; k < f->frames && rc == SS_OK; k++)
        rc = to_bytes(v, k, &f->image[(f->videos - 1) * f->frames + k], e);
    return rc;
}

/* Reads the videos of one model: of the one called so, or, if NULL, of the only one. */
static ss_code read_list(const ss_videos *l, const char *model, ss_frames *f, ss_err *e)
{
    const char *only = model ? model : l->entry[0].model;
    ss_code rc = SS_OK;

    for (int i = 0; i < l->n && rc == SS_OK; i++) {
        const ss_video_entry *one = &l->entry[i];
        ss_video v = {0};

        if (strcmp(one->model, only) != 0) {
            if (!model)
                rc = ss_fail(e, SS_USAGE, "%s and %s: give the folder of one of them", only,
                             one->model);
            continue;
        }
        rc = ss_videos_read(l, i, &v, e);
        if (rc == SS_OK)
            rc = add(f, &v, one, l->n, e);
        ss_video_release(&v);
    }
    return rc;
}

static bool has_mark(const char *dir)
{
    char *path = ss_path_join(dir, "generate.json");
    const bool found = path && ss_file_exists(path);

    ss_free(path);
    return found;
}

/* Finds the folder around a model's folder that generate wrote; NULL if there is none. *model is
 * the path without slashes at its end. The caller frees both. */
static char *around(const char *path, char **model)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    *model = ss_strdup(path);
    char *dir = ss_strdup(path);
    if (!dir || !*model || !ss_is_dir(path)) {
        ss_free(dir);
        return NULL;
    }
    (*model)[n] = dir[n] = '\0';
    char *slash = strrchr(dir, '/');
    if (slash)
        *(slash == dir ? slash + 1 : slash) = '\0';
    if (slash && has_mark(dir))
        return dir;
    ss_free(dir);
    return NULL;
}

/* The number of square frames in a picture file; 0: path is a folder or another file. */
static ss_code square_frames(const char *path, int *frames, ss_err *e)
{
    const size_t n = strlen(path);
    ss_image im;
    ss_code rc;

    *frames = 0;
    if (n < 4 || strcmp(path + n - 4, ".png") != 0 || ss_is_dir(path))
        return SS_OK;
    rc = ss_image_read_png(path, &im, e);
    if (rc != SS_OK)
        return rc;
    *frames = im.w / im.h > 0 ? im.w / im.h : 1;
    if (im.w != *frames * im.h)
        rc = ss_fail(e, SS_USAGE,
                     "%s: %d x %d pixels (height x width) are no square frames side by side; give "
                     "a folder with a file for each",
                     path, im.h, im.w);
    ss_image_release(&im);
    return rc;
}

ss_code ss_frames_read(const char *path, ss_frames *f, ss_err *e)
{
    ss_videos_options opt = {0};
    ss_videos *l = NULL;
    char *model = NULL, *dir = has_mark(path) ? NULL : around(path, &model);
    ss_code rc = square_frames(path, &opt.frames, e);

    *f = (ss_frames){0};
    if (rc == SS_OK)
        rc = ss_videos_find(&l, dir ? dir : path, &opt, e);
    if (rc == SS_OK)
        rc = read_list(l, dir ? model : NULL, f, e);
    if (rc == SS_OK && !f->videos)
        rc = ss_fail(e, SS_USAGE, "%s: no videos", path);
    if (rc != SS_OK)
        ss_frames_release(f);
    ss_videos_free(l);
    ss_free(model);
    ss_free(dir);
    return rc;
}

void ss_frames_release(ss_frames *f)
{
    for (int i = 0; i < f->videos * f->frames; i++)
        ss_image_release(&f->image[i]);
    ss_free(f->image);
    *f = (ss_frames){0};
}

ss_code ss_frames_fit(const ss_frames *f, int video, int frame, int h, int w, int c, float *x,
                      ss_err *e)
{
    return ss_picture_fit(&f->image[video % f->videos * f->frames + frame], x, h, w, c, e);
}
