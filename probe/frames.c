/* frames.c - see frames.h */
#include "probe/frames.h"

#include "base/file.h"
#include "base/json.h"
#include "base/listing.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/picture.h"

#include <string.h>

#define MARK "generate.json"

enum { MAX_FRAMES = 1 << 16 }; /* of all videos */

/* Images that are being read. */
typedef struct {
    ss_frames *f;
    size_t n, cap;
} reader;

/* Adds an image, which it takes over. */
static ss_code add(reader *r, const char *path, ss_image *im, ss_err *e)
{
    ss_frames *f = r->f;
    ss_code rc = SS_OK;

    if (!r->n) {
        f->height = im->h;
        f->width = im->w;
    }
    if (im->h != f->height || im->w != f->width)
        rc = ss_fail(e, SS_USAGE,
                     "%s: a frame of %d x %d pixels (height x width), the first has %d "
                     "x %d",
                     path, im->h, im->w, f->height, f->width);
    else if (r->n == MAX_FRAMES)
        rc = ss_fail(e, SS_UNSUPPORTED, "%s: more than %d frames", path, MAX_FRAMES);
    if (rc == SS_OK) {
        ss_image *grown = ss_grow(f->image, &r->cap, r->n + 1, sizeof *grown);

        if (grown) {
            f->image = grown;
            f->image[r->n++] = *im;
            *im = (ss_image){0};
        } else {
            rc = ss_no_memory(e, path);
        }
    }
    ss_image_release(im);
    return rc;
}

/* Ends a video of n frames. */
static ss_code end_video(ss_frames *f, const char *path, int n, ss_err *e)
{
    if (f->videos && n != f->frames)
        return ss_fail(e, SS_USAGE, "%s: a video of %d frames, the first has %d", path, n,
                       f->frames);
    f->frames = n;
    f->videos++;
    return SS_OK;
}

/* Copies frame k of n, side by side. */
static ss_code cut(const ss_image *strip, int k, int n, ss_image *out, ss_err *e)
{
    const size_t w = (size_t)(strip->w / n), row = w * (size_t)strip->c;

    *out = (ss_image){.h = strip->h, .w = (int)w, .c = strip->c};
    out->data = ss_alloc((size_t)strip->h, row);
    if (!out->data)
        return ss_no_memory(e, "a frame");
    for (int y = 0; y < strip->h; y++)
        memcpy(out->data + (size_t)y * row, strip->data + ((size_t)y * (size_t)n + (size_t)k) * row,
               row);
    return SS_OK;
}

/* Adds a video whose frames are side by side; n 0: as many as are square. */
static ss_code read_strip(reader *r, const char *path, int n, ss_err *e)
{
    ss_image strip, frame;
    ss_code rc = ss_image_read_png(path, &strip, e);

    if (rc != SS_OK)
        return rc;
    if (n == 0)
        n = strip.w % strip.h == 0 ? strip.w / strip.h : 1;
    if (strip.w % n != 0)
        rc = ss_fail(e, SS_FORMAT, "%s: %d pixels wide, which is no multiple of %d frames", path,
                     strip.w, n);
    for (int k = 0; k < n && rc == SS_OK; k++) {
        rc = cut(&strip, k, n, &frame, e);
        if (rc == SS_OK)
            rc = add(r, path, &frame, e);
    }
    ss_image_release(&strip);
    return rc == SS_OK ? end_video(r->f, path, n, e) : rc;
}

/* ---- folders that generate wrote ---- */

static ss_code read_listed(reader *r, const char *dir, const json_t *pictures, int frames,
                           ss_err *e)
{
    ss_code rc = SS_OK;
    size_t i;
    json_t *name;

    json_array_foreach(pictures, i, name)
    {
        if (!json_is_string(name))
            return ss_fail(e, SS_FORMAT, "%s/" MARK ": \"pictures\" has no names", dir);
        char *path = ss_path_join(dir, json_string_value(name));
        rc = path ? read_strip(r, path, frames, e) : ss_no_memory(e, dir);
        ss_free(path);
        if (rc != SS_OK)
            break;
    }
    return rc;
}

/* Finds the pictures of a model: of the one whose folder is `folder`, or, if NULL, of the only one.
 */
static ss_code find_model(ss_json *j, const char *folder, const json_t **pictures, ss_err *e)
{
    const json_t *models = ss_json_get(j, "models"), *one = NULL, *m;
    size_t i;

    json_array_foreach(models, i, m)
    {
        const char *name = json_string_value(json_object_get(m, "folder"));

        if (!folder || (name && strcmp(name, folder) == 0))
            one = m;
    }
    if (!folder && json_array_size(models) > 1)
        return ss_fail(e, SS_USAGE, "%s has samples of %zu models: give the folder of one of them",
                       j->name, json_array_size(models));
    *pictures = json_object_get(one, "pictures");
    if (!json_is_array(*pictures))
        return ss_fail(e, SS_FORMAT, "%s: lists no pictures%s%s", j->name, folder ? " of " : "",
                       folder ? folder : "");
    return SS_OK;
}

static ss_code read_generated(reader *r, const char *dir, const char *folder, ss_err *e)
{
    char *path = ss_path_join(dir, MARK);
    const json_t *pictures = NULL;
    ss_json j = {0};
    ss_code rc = path ? ss_json_load(&j, path, e) : ss_no_memory(e, dir);

    ss_free(path);
    if (rc != SS_OK)
        return rc;
    const int64_t frames = ss_json_int(&j, "frames", 1);
    rc = ss_json_done(&j, e);
    if (rc == SS_OK && (frames < 1 || frames > MAX_FRAMES))
        rc = ss_fail(e, SS_FORMAT, "%s: \"frames\" is %lld; expected 1 to %d", j.name,
                     (long long)frames, MAX_FRAMES);
    if (rc == SS_OK)
        rc = find_model(&j, folder, &pictures, e);
    if (rc == SS_OK)
        rc = read_listed(r, dir, pictures, (int)frames, e);
    ss_json_release(&j);
    return rc;
}

static bool has_mark(const char *dir)
{
    char *path = ss_path_join(dir, MARK);
    const bool found = path && ss_file_exists(path);

    ss_free(path);
    return found;
}

/* Splits PARENT/NAME; the caller frees *parent. False without a parent, or without memory. */
static bool split(const char *path, char **parent, const char **name)
{
    size_t n;

    *parent = ss_strdup(path);
    if (!*parent)
        return false;
    for (n = strlen(*parent); n > 1 && (*parent)[n - 1] == '/'; n--)
        (*parent)[n - 1] = '\0';
    char *slash = strrchr(*parent, '/');
    if (!slash || slash == *parent) {
        ss_free(*parent);
        return false;
    }
    *slash = '\0';
    *name = slash + 1;
    return true;
}

/* ---- other folders ---- */

static bool is_png(const char *name)
{
    const size_t n = strlen(name);

    return n > 4 && strcmp(name + n - 4, ".png") == 0;
}

/* Adds the PNG files of a folder as a video; *n: how many there are. */
static ss_code read_folder(reader *r, const char *folder, int *n, ss_err *e)
{
    ss_listing l;
    ss_code rc = ss_listing_read(folder, &l, e);

    *n = 0;
    for (size_t i = 0; rc == SS_OK && i < l.n; i++) {
        ss_image im = {0};

        if (!is_png(l.name[i]))
            continue;
        char *path = ss_path_join(folder, l.name[i]);
        rc = path ? ss_image_read_png(path, &im, e) : ss_no_memory(e, folder);
        if (rc == SS_OK)
            rc = add(r, path, &im, e);
        ss_free(path);
        (*n)++;
    }
    ss_listing_release(&l);
    return rc == SS_OK && *n ? end_video(r->f, folder, *n, e) : rc;
}

static ss_code read_folders(reader *r, const char *folder, ss_err *e)
{
    ss_listing l;
    ss_code rc = ss_listing_read(folder, &l, e);

    for (size_t i = 0; rc == SS_OK && i < l.n; i++) {
        int n;
        char *path = ss_path_join(folder, l.name[i]);

        if (!path)
            rc = ss_no_memory(e, folder);
        else if (ss_is_dir(path))
            rc = read_folder(r, path, &n, e);
        ss_free(path);
    }
    ss_listing_release(&l);
    return rc;
}

static ss_code read_any(reader *r, const char *path, ss_err *e)
{
    char *parent = NULL;
    const char *name = NULL;
    int n;
    ss_code rc;

    if (!ss_is_dir(path))
        return read_strip(r, path, 0, e);
    if (has_mark(path))
        return read_generated(r, path, NULL, e);
    if (split(path, &parent, &name)) {
        const bool generated = has_mark(parent);

        rc = generated ? read_generated(r, parent, name, e) : SS_OK;
        ss_free(parent);
        if (generated)
            return rc;
    }
    rc = read_folder(r, path, &n, e);
    return rc == SS_OK && !n ? read_folders(r, path, e) : rc;
}

ss_code ss_frames_read(const char *path, ss_frames *f, ss_err *e)
{
    reader r = {.f = f};

    *f = (ss_frames){0};
    ss_code rc = read_any(&r, path, e);
    if (rc == SS_OK && !f->videos)
        rc = ss_fail(e, SS_USAGE, "%s: no PNG file (NAME.png) in it, and no folder of them", path);
    if (rc != SS_OK) {
        /* images of an unfinished video are beyond those of f->videos */
        for (size_t i = 0; i < r.n; i++)
            ss_image_release(&f->image[i]);
        ss_free(f->image);
        *f = (ss_frames){0};
    }
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
