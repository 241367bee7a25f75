/* clips.c - see clips.h */
#include "analyze/judging/clips.h"

#include "base/file.h"
#include "base/json.h"
#include "base/listing.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/samples.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const endings[] = {".png",  ".mp4", ".webm", ".mov",  ".m4v", ".gif",
                                      ".webp", ".jpg", ".jpeg", ".apng", ".avif"};

const char *ss_clip_ending(const char *path, char *out)
{
    const char *dot = strrchr(path, '.');

    *out = '\0';
    if (!dot || strchr(dot, '/') || strlen(dot) >= 16)
        return out;
    for (size_t i = 0; i <= strlen(dot); i++)
        out[i] = (char)tolower((unsigned char)dot[i]);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (strcmp(out, endings[i]) == 0)
            return out;
    }
    *out = '\0';
    return out;
}

static void release_clip(ss_clip *c)
{
    for (int i = 0; i < c->n_files; i++)
        ss_free(c->files[i]);
    ss_free(c->files);
    ss_free(c->name);
    ss_free(c->text);
}

void ss_clips_release(ss_clips *c)
{
    for (int i = 0; i < c->n; i++)
        release_clip(&c->clips[i]);
    ss_free(c->clips);
    ss_free(c->name);
    *c = (ss_clips){0};
}

/* Appends a clip without files; NULL: no memory, or too many. */
static ss_clip *add_clip(ss_clips *c, const char *name, const char *text, ss_err *e)
{
    ss_clip *grown;

    if (c->n == SS_CLIPS_MAX) {
        ss_fail(e, SS_UNSUPPORTED, "%s: more than %d pictures or videos", c->name, SS_CLIPS_MAX);
        return NULL;
    }
    if (!(grown = ss_realloc(c->clips, (size_t)c->n + 1, sizeof *grown))) {
        ss_no_memory(e, c->name);
        return NULL;
    }
    c->clips = grown;
    ss_clip *clip = &c->clips[c->n++];
    *clip = (ss_clip){.name = ss_strdup(name), .text = ss_strdup(text), .png = true, .frames = 1};
    if (clip->name && clip->text)
        return clip;
    ss_no_memory(e, c->name);
    return NULL;
}

static ss_code add_file(ss_clip *c, const char *folder, const char *name, ss_err *e)
{
    char **grown;

    if (c->n_files == SS_CLIP_MAX_FRAMES)
        return ss_fail(e, SS_UNSUPPORTED, "%s: more than %d frames", folder, SS_CLIP_MAX_FRAMES);
    if (!(grown = ss_realloc(c->files, (size_t)c->n_files + 1, sizeof *grown)))
        return ss_no_memory(e, folder);
    c->files = grown;
    if (!(c->files[c->n_files] = ss_path_join(folder, name)))
        return ss_no_memory(e, folder);
    c->n_files++;
    return SS_OK;
}

static ss_code add_samples(const ss_samples *s, int m, int frames, ss_clips *c, ss_err *e)
{
    const json_t *conditions = json_object_get(s->json, "conditions");
    ss_code rc = SS_OK;

    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        const char *text = json_string_value(json_array_get(conditions, (size_t)i));
        char name[16];
        snprintf(name, sizeof name, "%04d", i);
        ss_clip *clip = add_clip(c, name, text ? text : "", e);

        if (!clip)
            return e->code;
        clip->frames = frames;
        rc = add_file(clip, s->path, s->models[m].picture[i], e);
    }
    return rc;
}

/* Lists the samples of model m (from 0; -1: the only one) of a folder that `generate` wrote. */
static ss_code open_samples(ss_samples *s, int m, int frames, ss_clips *c, ss_err *e)
{
    if (m < 0 && s->n_models != 1)
        return ss_fail(e, SS_USAGE, "%s: %d models in it; name the folder of one, as %s/%s",
                       s->path, s->n_models, s->path, SS_SHOW(s->models[0].name));
    if (m >= s->n_models)
        return ss_fail(e, SS_USAGE, "%s: %d models in it, and no number %d", s->path, s->n_models,
                       m + 1);
    m = m < 0 ? 0 : m;
    if (!(c->name = ss_strdup(s->models[m].name)))
        return ss_no_memory(e, s->path);
    if (!frames)
        frames = s->models[m].frames ? s->models[m].frames : 1;
    return add_samples(s, m, frames, c, e);
}

/* Finds the folder above and the model in it whose folder this is: *s stays NULL if there is none.
 */
static ss_code find_model(const char *folder, ss_samples **s, int *m, ss_err *e)
{
    char *path = ss_strdup(folder), *json = NULL;
    ss_code rc = SS_OK;

    if (!path)
        return ss_no_memory(e, folder);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path, *above = slash ? path : ".";
    if (slash)
        *slash = '\0';
    if (!(json = ss_path_join(above, "generate.json")))
        rc = ss_no_memory(e, folder);
    else if (ss_file_exists(json))
        rc = ss_samples_open(above, s, e);
    ss_free(json);
    for (*m = 0; rc == SS_OK && *s && *m < (*s)->n_models; ++*m) {
        if (strcmp((*s)->models[*m].name, name) == 0)
            break;
    }
    if (rc == SS_OK && *s && *m == (*s)->n_models) {
        ss_samples_close(*s);
        *s = NULL;
    }
    ss_free(path);
    return rc;
}

/* Adds the PNG files of a folder as the frames of one clip; none leaves it out. */
static ss_code add_frames(ss_clips *c, const char *folder, const char *name, ss_err *e)
{
    ss_listing list;
    ss_clip *clip = NULL;
    char ending[16];
    ss_code rc = ss_listing_read(folder, &list, e);

    if (rc != SS_OK)
        return rc;
    for (size_t i = 0; i < list.n && rc == SS_OK; i++) {
        if (strcmp(ss_clip_ending(list.name[i], ending), ".png") != 0)
            continue;
        if (!clip && !(clip = add_clip(c, name, "", e)))
            rc = e->code;
        else
            rc = add_file(clip, folder, list.name[i], e);
    }
    ss_listing_release(&list);
    return rc;
}

static ss_code add_entry(ss_clips *c, const char *folder, const char *entry, int frames, ss_err *e)
{
    char *path = ss_path_join(folder, entry), *name = ss_strdup(entry), ending[16];
    ss_clip *clip;
    ss_code rc = SS_OK;

    ss_clip_ending(entry, ending);
    if (!path || !name) {
        rc = ss_no_memory(e, folder);
    } else if (ss_is_dir(path)) {
        rc = add_frames(c, path, entry, e);
    } else if (*ending) {
        name[strlen(name) - strlen(ending)] = '\0';
        if (!(clip = add_clip(c, name, "", e)))
            rc = e->code;
        else
            rc = add_file(clip, folder, entry, e);
        if (rc == SS_OK) {
            clip->png = strcmp(ending, ".png") == 0;
            clip->frames = clip->png && frames > 1 ? frames : 1;
        }
    }
    ss_free(path);
    ss_free(name);
    return rc;
}

static ss_code open_folder(const char *folder, int frames, ss_clips *c, ss_err *e)
{
    ss_listing list;

    if (!(c->name = ss_strdup(folder)))
        return ss_no_memory(e, folder);
    if (frames == SS_CLIPS_FILES)
        return add_frames(c, folder, "video", e);
    ss_code rc = ss_listing_read(folder, &list, e);
    if (rc != SS_OK)
        return rc;
    for (size_t i = 0; i < list.n && rc == SS_OK; i++)
        rc = add_entry(c, folder, list.name[i], frames, e);
    ss_listing_release(&list);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ss_clip *)a)->name, ((const ss_clip *)b)->name);
}

/* Sorts the clips, and refuses two of one name: a.png and a.mp4. */
static ss_code sort(ss_clips *c, ss_err *e)
{
    if (c->n)
        qsort(c->clips, (size_t)c->n, sizeof *c->clips, by_name);
    for (int i = 1; i < c->n; i++) {
        if (by_name(&c->clips[i - 1], &c->clips[i]) == 0)
            return ss_fail(e, SS_USAGE, "%s: two files are called '%s', but for their endings",
                           c->name, SS_SHOW(c->clips[i].name));
    }
    return SS_OK;
}

ss_code ss_clips_open(const char *folder, int model, int frames, ss_clips *c, ss_err *e)
{
    ss_samples *s = NULL;
    char *json = ss_path_join(folder, "generate.json");
    int m = model - 1;
    ss_code rc = SS_OK;

    *c = (ss_clips){0};
    if (!json)
        return ss_no_memory(e, folder);
    if (ss_file_exists(json))
        rc = ss_samples_open(folder, &s, e);
    else if (model)
        rc = ss_fail(e, SS_USAGE,
                     "%s: no generate.json in it, so it has no models to choose from: need two "
                     "folders",
                     folder);
    else
        rc = find_model(folder, &s, &m, e);
    ss_free(json);
    if (rc == SS_OK && s && frames != SS_CLIPS_FILES)
        rc = open_samples(s, m, frames, c, e);
    else if (rc == SS_OK)
        rc = open_folder(folder, frames, c, e);
    if (rc == SS_OK && c->n == 0)
        rc =
            ss_fail(e, SS_USAGE,
                    "%s: no PNG pictures, no folders of frames, and no videos that a browser plays",
                    folder);
    if (rc == SS_OK)
        rc = sort(c, e);
    ss_samples_close(s);
    if (rc != SS_OK)
        ss_clips_release(c);
    return rc;
}
