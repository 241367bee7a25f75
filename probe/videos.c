/* videos.c - see videos.h */
#include "probe/videos.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/str.h"
#include "probe/samples.h"
#include "runfile/run_reader.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Frames of one video in files, a strip, or a sample of a run file. */
typedef struct ss_video_place {
    char **files; /* paths */
    size_t n_files, cap;
    int frames;  /* of a strip; 0: a file is a frame */
    bool lost;   /* not finite */
    ss_run *run; /* borrowed, or NULL */
    const char *set;
    int input, sigma, sample;
} place;

struct ss_video_runs {
    ss_run *run;
    struct ss_video_runs *next;
};

static void release_files(place *p)
{
    for (size_t i = 0; i < p->n_files; i++)
        ss_free(p->files[i]);
    ss_free(p->files);
}

static void free_place(place *p)
{
    if (!p)
        return;
    release_files(p);
    ss_free(p);
}

void ss_videos_free(ss_videos *l)
{
    if (!l)
        return;
    for (int i = 0; i < l->n; i++) {
        ss_free(l->entry[i].model);
        ss_free(l->entry[i].stage);
        ss_free(l->entry[i].name);
        free_place(l->entry[i].place);
    }
    for (struct ss_video_runs *r = l->runs, *next; r; r = next) {
        next = r->next;
        ss_run_close(r->run);
        ss_free(r);
    }
    ss_free(l->entry);
    ss_free(l);
}

/* Adds an entry, which takes the place over, also on failure. */
static ss_code add(ss_videos *l, const char *model, const char *stage, const char *name, place *p,
                   ss_err *e)
{
    ss_video_entry *grown;

    if (l->n == SS_VIDEOS_MAX) {
        free_place(p);
        return ss_fail(e, SS_UNSUPPORTED, "%s: more than %d videos", model, SS_VIDEOS_MAX);
    }
    grown = ss_grow(l->entry, &l->cap, (size_t)l->n + 1, sizeof *grown);
    if (grown)
        l->entry = grown;
    if (!p || !grown) {
        free_place(p);
        return ss_no_memory(e, model);
    }
    ss_video_entry *to = &l->entry[l->n++];

    *to = (ss_video_entry){ss_strdup(model), ss_strdup(stage), ss_strdup(name), p};
    return to->model && to->stage && to->name ? SS_OK : ss_no_memory(e, model);
}

/* Adds dir/name to the files of a place. */
static ss_code add_file(place *p, const char *dir, const char *name, ss_err *e)
{
    char **grown = ss_grow(p->files, &p->cap, p->n_files + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, dir);
    p->files = grown;
    if (!(p->files[p->n_files] = ss_path_join(dir, name)))
        return ss_no_memory(e, dir);
    p->n_files++;
    return SS_OK;
}

/* Compares names, runs of digits by their number: frame_2 before frame_10. */
static int compare_names(const char *a, const char *b)
{
    while (*a && *b) {
        const size_t na = strspn(a, "0123456789"), nb = strspn(b, "0123456789");

        if (na && nb) {
            const size_t za = strspn(a, "0"), zb = strspn(b, "0");
            const size_t la = za < na ? na - za : 0, lb = zb < nb ? nb - zb : 0;
            const int d = la != lb ? (la < lb ? -1 : 1) : strncmp(a + na - la, b + nb - lb, la);

            if (d)
                return d;
            a += na;
            b += nb;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static int by_number(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const int d = compare_names(x, y);

    return d ? d : strcmp(x, y); /* "01" and "1" */
}

static bool is_png(const char *name)
{
    const size_t n = strlen(name);

    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".png") == 0;
}

/* Lists the pictures of a folder and the folders in it, each in the order of their numbers. */
static ss_code list(const char *folder, place *pictures, place *folders, ss_err *e)
{
    const struct dirent *entry;
    struct stat st;
    DIR *d = opendir(folder);
    ss_code rc = SS_OK;

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (is_png(entry->d_name))
            rc = add_file(pictures, folder, entry->d_name, e);
        else if (entry->d_name[0] != '.' && fstatat(dirfd(d), entry->d_name, &st, 0) == 0 &&
                 S_ISDIR(st.st_mode))
            rc = add_file(folders, folder, entry->d_name, e);
    }
    closedir(d);
    if (pictures->n_files > 1)
        qsort(pictures->files, pictures->n_files, sizeof *pictures->files, by_number);
    if (folders->n_files > 1)
        qsort(folders->files, folders->n_files, sizeof *folders->files, by_number);
    return rc;
}

/* The last part of a path; of "walk/0001.png" without its ending where `stem`. ss_free. */
static char *last_part(const char *path, bool stem)
{
    size_t end = strlen(path), begin;

    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    char *part = ss_strdup(path + begin);
    if (part) {
        part[end - begin] = '\0';
        if (stem && is_png(part))
            part[end - begin - 4] = '\0';
    }
    return part;
}

/* Adds one strip. */
static ss_code add_strip(ss_videos *l, const char *model, const char *stage, const char *name,
                         const char *file, int frames, bool lost, ss_err *e)
{
    place *p = ss_calloc(1, sizeof *p);

    if (!p)
        return ss_no_memory(e, file);
    p->frames = frames;
    p->lost = lost;
    p->files = ss_calloc(1, sizeof *p->files);
    if (!p->files || !(p->files[0] = ss_strdup(file))) {
        free_place(p);
        return ss_no_memory(e, file);
    }
    p->n_files = 1;
    return add(l, model, stage, name, p, e);
}

/* Adds the pictures of a folder: frames of one video, which it takes over, or strips. */
static ss_code add_pictures(ss_videos *l, const char *model, const char *folder, place *pictures,
                            int frames, ss_err *e)
{
    char *name = last_part(folder, false);
    ss_code rc = name ? SS_OK : ss_no_memory(e, folder);

    if (rc == SS_OK && !frames && pictures->n_files > SS_VIDEO_MAX_FRAMES)
        rc = ss_fail(e, SS_UNSUPPORTED, "%s: %zu pictures; a video has at most %d frames", folder,
                     pictures->n_files, SS_VIDEO_MAX_FRAMES);
    if (rc == SS_OK && !frames) {
        place *p = ss_alloc(1, sizeof *p);

        if (p) {
            *p = *pictures;
            *pictures = (place){0};
        }
        rc = add(l, model, "", name, p, e);
    }
    for (size_t i = 0; i < pictures->n_files && rc == SS_OK; i++) {
        char *stem = last_part(pictures->files[i], true);

        rc = stem ? add_strip(l, model, "", stem, pictures->files[i], frames, false, e)
                  : ss_no_memory(e, folder);
        ss_free(stem);
    }
    ss_free(name);
    return rc;
}

/* Adds what a folder within one that was named has; strips of it are of a model of its own. */
static ss_code add_inner(ss_videos *l, const char *path, const char *inner, int frames, ss_err *e)
{
    place pictures = {0}, folders = {0};
    ss_code rc = list(inner, &pictures, &folders, e);

    if (rc == SS_OK && pictures.n_files)
        rc = add_pictures(l, frames ? inner : path, inner, &pictures, frames, e);
    release_files(&pictures);
    release_files(&folders);
    return rc;
}

static ss_code find_folder(ss_videos *l, const char *path, const ss_videos_options *opt, ss_err *e)
{
    place pictures = {0}, folders = {0};
    const int before = l->n;
    ss_code rc = list(path, &pictures, &folders, e);

    if (rc == SS_OK && pictures.n_files && folders.n_files)
        rc = ss_fail(e, SS_USAGE, "%s: has pictures and folders; name those that are videos", path);
    if (rc == SS_OK && pictures.n_files)
        rc = add_pictures(l, path, path, &pictures, opt->frames, e);
    for (size_t i = 0; i < folders.n_files && rc == SS_OK; i++)
        rc = add_inner(l, path, folders.files[i], opt->frames, e);
    if (rc == SS_OK && l->n == before)
        rc = ss_fail(e, SS_USAGE, "%s: no PNG file (NAME.png) in the folder, nor in those in it",
                     path);
    release_files(&pictures);
    release_files(&folders);
    return rc;
}

/* Adds the samples of model m, or of a chain's stage m. */
static ss_code add_samples(ss_videos *l, const ss_samples *s, int m, int frames, ss_err *e)
{
    const ss_samples_model *of = &s->models[m];
    char *model = s->chain ? ss_strdup(s->path) : ss_path_join(s->path, of->name);
    char *stage = ss_strdup(s->chain ? of->name : "");
    ss_code rc = model && stage ? SS_OK : ss_no_memory(e, s->path);

    if (rc == SS_OK)
        stage[strcspn(stage, "/")] = '\0'; /* "01-base" of "01-base/01-unet" */
    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        char *file = ss_path_join(s->path, of->picture[i]), *name = last_part(of->picture[i], true);

        rc = file && name ? add_strip(l, model, stage, name, file, frames, of->nonfinite[i] > 0, e)
                          : ss_no_memory(e, s->path);
        ss_free(file);
        ss_free(name);
    }
    ss_free(model);
    ss_free(stage);
    return rc;
}

/* Finds the samples of each model in a folder that `generate` wrote. */
static ss_code find_samples(ss_videos *l, const char *path, const ss_videos_options *opt, ss_err *e)
{
    ss_samples *s;
    ss_code rc = ss_samples_open(path, &s, e);

    if (rc != SS_OK)
        return rc;
    for (int m = 0; m < s->n_models && rc == SS_OK; m++) {
        const int frames = s->models[m].frames ? s->models[m].frames : opt->frames;

        rc = frames ? add_samples(l, s, m, frames, e)
                    : ss_fail(e, SS_USAGE, "%s: its samples are pictures, not videos", path);
    }
    ss_samples_close(s);
    return rc;
}

static ss_code add_run(ss_videos *l, ss_run *r, const char *set, ss_err *e)
{
    char stage[64], sample[64];
    ss_code rc = SS_OK;

    for (int k = 0; k < r->n_sigmas && rc == SS_OK; k++) {
        if (!r->done[k])
            continue;
        snprintf(stage, sizeof stage, "sigma %.6g", r->sigmas[k]);
        for (int i = 0; i < r->n_inputs * r->n_samples && rc == SS_OK; i++) {
            place *p = ss_calloc(1, sizeof *p);
            ss_str name = {0};

            snprintf(sample, sizeof sample, "sample %d", i % r->n_samples);
            if (*r->inputs[i / r->n_samples])
                ss_str_addf(&name, "%s, ", r->inputs[i / r->n_samples]);
            ss_str_add(&name, sample);
            if (p) {
                p->run = r;
                p->set = set;
                p->input = i / r->n_samples;
                p->sigma = k;
                p->sample = i % r->n_samples;
            }
            rc = add(l, r->path, stage, name.failed ? sample : name.s, p, e);
            ss_str_release(&name);
        }
    }
    return rc;
}

static ss_code find_run(ss_videos *l, const char *path, const ss_videos_options *opt, ss_err *e)
{
    const char *set = opt->inputs ? "/inputs/x" : "/outputs/denoised";
    struct ss_video_runs *keep = ss_calloc(1, sizeof *keep);
    ss_run_shape shape;
    ss_sample_size size;
    ss_code rc;

    if (!keep)
        return ss_no_memory(e, path);
    if ((rc = ss_run_open(path, &keep->run, e)) != SS_OK) {
        ss_free(keep);
        return rc == SS_NOMEM ? rc
                              : ss_fail_prefix(e, "no folder, no PNG picture, and no run file");
    }
    keep->next = l->runs;
    l->runs = keep;
    if (!ss_run_has_pictures(keep->run, set, &shape) ||
        !ss_sample_size_of(shape.rank, shape.dim, &size))
        return ss_fail(e, SS_USAGE, "%s: has no %s", path, set);
    if (!size.frames)
        return ss_fail(e, SS_USAGE, "%s: %s are pictures, not videos", path, set);
    return add_run(l, keep->run, set, e);
}

ss_code ss_videos_find(ss_videos **l, const char *path, const ss_videos_options *opt, ss_err *e)
{
    ss_code rc;
    char *mark;

    if (!*l && !(*l = ss_calloc(1, sizeof **l)))
        return ss_no_memory(e, path);
    if (is_png(path) && !ss_is_dir(path)) {
        char *name = last_part(path, true);

        if (!opt->frames)
            rc = ss_fail(e, SS_USAGE, "%s: one picture; a strip needs --frames N", path);
        else
            rc = name ? add_strip(*l, path, "", name, path, opt->frames, false, e)
                      : ss_no_memory(e, path);
        ss_free(name);
        return rc;
    }
    if (!ss_is_dir(path))
        return find_run(*l, path, opt, e);
    if (!(mark = ss_path_join(path, "generate.json")))
        return ss_no_memory(e, path);
    rc = ss_file_exists(mark) ? find_samples(*l, path, opt, e) : find_folder(*l, path, opt, e);
    ss_free(mark);
    return rc;
}

static ss_code make_video(ss_video *v, int frames, int h, int w, int c, const char *path, ss_err *e)
{
    v->size = (ss_sample_size){frames, h, w, c};
    if (ss_sample_values(v->size) > SS_RUN_MAX_VALUES)
        return ss_fail(e, SS_UNSUPPORTED, "%s: a video of %d x %d x %d x %d values is too large",
                       path, frames, h, w, c);
    v->x = ss_alloc((size_t)ss_sample_values(v->size), sizeof *v->x);
    return v->x ? SS_OK : ss_no_memory(e, path);
}

static ss_code read_frames(const place *p, ss_video *v, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t t = 0; t < p->n_files && rc == SS_OK; t++) {
        ss_image im = {0};

        rc = ss_image_read_png(p->files[t], &im, e);
        if (rc == SS_OK && t == 0)
            rc = make_video(v, (int)p->n_files, im.h, im.w, im.c, p->files[0], e);
        if (rc == SS_OK &&
            (im.h != v->size.height || im.w != v->size.width || im.c != v->size.channels))
            rc = ss_fail(e, SS_SHAPE,
                         "%s: a frame of %d x %d x %d (height, width, channels), the first one, "
                         "%s, has %d x %d x %d",
                         p->files[t], im.h, im.w, im.c, p->files[0], v->size.height, v->size.width,
                         v->size.channels);
        for (int64_t i = 0; rc == SS_OK && i < (int64_t)im.h * im.w * im.c; i++)
            ss_video_frame(v, (int)t)[i] = im.data[i];
        ss_image_release(&im);
    }
    return rc;
}

/* Cuts a strip apart. */
static ss_code read_strip(const place *p, ss_video *v, ss_err *e)
{
    ss_image im = {0};
    ss_code rc = ss_image_read_png(p->files[0], &im, e);

    if (rc == SS_OK && im.w % p->frames)
        rc = ss_fail(e, SS_SHAPE, "%s: %d pixels wide, which %d frames side by side cannot be",
                     p->files[0], im.w, p->frames);
    const int w = im.w / p->frames;
    if (rc == SS_OK)
        rc = make_video(v, p->frames, im.h, w, im.c, p->files[0], e);
    for (int t = 0; t < p->frames && rc == SS_OK; t++) {
        float *to = ss_video_frame(v, t);

        for (int y = 0; y < im.h; y++)
            for (int i = 0; i < w * im.c; i++)
                to[(int64_t)y * w * im.c + i] =
                    p->lost ? NAN : im.data[((int64_t)y * im.w + (int64_t)t * w) * im.c + i];
    }
    ss_image_release(&im);
    return rc;
}

static ss_code read_run(const place *p, ss_video *v, ss_err *e)
{
    ss_run_shape shape;
    ss_sample_size size;
    ss_code rc;

    if (!ss_run_has_pictures(p->run, p->set, &shape) ||
        !ss_sample_size_of(shape.rank, shape.dim, &size))
        return ss_fail(e, SS_FORMAT, "%s: has no %s", p->run->path, p->set);
    rc = make_video(v, size.frames, size.height, size.width, size.channels, p->run->path, e);
    if (rc == SS_OK)
        rc = ss_run_picture(p->run, p->set, p->input, p->sigma, p->sample, v->x, e);
    for (int64_t i = 0; rc == SS_OK && i < shape.n; i++)
        v->x[i] = (v->x[i] + 1) * 127.5f;
    return rc;
}

ss_code ss_videos_read(const ss_videos *l, int i, ss_video *v, ss_err *e)
{
    const place *p = l->entry[i].place;
    ss_code rc;

    *v = (ss_video){0};
    rc = p->run ? read_run(p, v, e) : p->frames ? read_strip(p, v, e) : read_frames(p, v, e);
    if (rc != SS_OK)
        ss_video_release(v);
    return rc;
}
