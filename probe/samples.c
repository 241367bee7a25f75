/* samples.c - see samples.h */
#include "probe/samples.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_MODELS = 4096, MAX_CLASS = 1 << 20 };

void ss_samples_close(ss_samples *s)
{
    if (!s)
        return;
    for (int m = 0; s->models && m < s->n_models; m++) {
        ss_free(s->models[m].nonfinite);
        ss_free(s->models[m].absmax);
        ss_free(s->models[m].picture);
    }
    ss_free(s->models);
    ss_free(s->asked);
    ss_free(s->path);
    json_decref(s->json);
    ss_free(s);
}

/* Returns the array at a key, which must have n items; NULL, with an error, if it has not. */
static json_t *array_of(ss_json *j, const char *key, int64_t n)
{
    json_t *a = ss_json_get(j, key);

    if (json_is_array(a) && (int64_t)json_array_size(a) == n)
        return a;
    ss_json_complain(j, SS_FORMAT, key, "expected a list of %lld, one for each sample",
                     (long long)n);
    return NULL;
}

/* Returns 3 for "class 3", SS_SAMPLES_NO_CLASS for all else, such as "null class" or embeddings. */
static int class_of(const char *text)
{
    int64_t k;

    if (text && strncmp(text, "class ", 6) == 0 && ss_parse_i64(text + 6, &k) && k >= 0 &&
        k < MAX_CLASS)
        return (int)k;
    return SS_SAMPLES_NO_CLASS;
}

static ss_code read_conditions(ss_samples *s, ss_json *j, ss_err *e)
{
    json_t *list = array_of(j, "conditions", s->n);

    if (!list)
        return ss_json_done(j, e);
    if (!(s->asked = ss_alloc((size_t)s->n, sizeof *s->asked)))
        return ss_no_memory(e, j->name);
    for (int i = 0; i < s->n; i++)
        s->asked[i] = class_of(json_string_value(json_array_get(list, (size_t)i)));
    return SS_OK;
}

/* True if a name is below the folder: no part of it is "..". */
static bool is_inside(const char *name)
{
    if (!name || !*name || *name == '/')
        return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

/* Reads the frames of a sample, which a stage of a chain says itself; those of all otherwise. */
static int read_frames(ss_json *j, int64_t otherwise)
{
    const int64_t frames = ss_json_int(j, "frames", otherwise);

    if (frames >= 0 && frames <= SS_IMAGE_MAX_SIDE)
        return (int)frames;
    ss_json_complain(j, SS_FORMAT, "frames", "0 to %d", SS_IMAGE_MAX_SIDE);
    return 0;
}

static ss_code read_model(ss_samples *s, ss_json *j, int frames, ss_samples_model *m, ss_err *e)
{
    const size_t n = (size_t)s->n;
    json_t *pictures = array_of(j, "pictures", s->n), *bad = array_of(j, "nonfinite", s->n),
           *largest = array_of(j, "absmax", s->n);

    m->name = ss_json_string(j, "folder", NULL);
    if (!m->name || !*m->name)
        ss_json_complain(j, SS_FORMAT, "folder", "expected the name of a folder");
    m->frames = read_frames(j, frames);
    if (ss_json_done(j, e) != SS_OK)
        return j->err.code;
    m->nonfinite = ss_alloc(n, sizeof *m->nonfinite);
    m->absmax = ss_alloc(n, sizeof *m->absmax);
    m->picture = ss_alloc(n, sizeof *m->picture);
    if (!m->nonfinite || !m->absmax || !m->picture)
        return ss_no_memory(e, j->name);
    for (size_t i = 0; i < n; i++) {
        const json_t *count = json_array_get(bad, i);

        m->picture[i] = json_string_value(json_array_get(pictures, i));
        m->nonfinite[i] = json_integer_value(count);
        if (!is_inside(m->picture[i]))
            return ss_fail(e, SS_FORMAT, "%s: picture %zu is not the name of a file in the folder",
                           j->name, i);
        if (!json_is_integer(count) || m->nonfinite[i] < 0)
            return ss_fail(e, SS_FORMAT, "%s: nonfinite of sample %zu is not a count", j->name, i);
        if (!ss_json_number(json_array_get(largest, i), &m->absmax[i]) || !(m->absmax[i] >= 0))
            return ss_fail(e, SS_FORMAT, "%s: absmax of sample %zu is not a number of 0 or more",
                           j->name, i);
    }
    return SS_OK;
}

static ss_code read_models(ss_samples *s, ss_json *j, ss_err *e)
{
    json_t *list = ss_json_get(j, "models");
    const size_t n = json_array_size(list);
    const int frames = read_frames(j, 0);
    ss_code rc = SS_OK;

    s->chain = ss_json_get(j, "chain") != NULL;
    if (n < 1 || n > MAX_MODELS)
        ss_json_complain(j, SS_FORMAT, "models", "expected a list of 1 to %d models", MAX_MODELS);
    if ((rc = ss_json_done(j, e)) != SS_OK)
        return rc;
    if (!(s->models = ss_calloc(n, sizeof *s->models)))
        return ss_no_memory(e, j->name);
    s->n_models = (int)n;
    for (size_t m = 0; m < n && rc == SS_OK; m++) {
        ss_json part = {0};
        char name[640];

        snprintf(name, sizeof name, "%.600s: model %zu", j->name, m + 1);
        if (!json_is_object(json_array_get(list, m)))
            return ss_fail(e, SS_FORMAT, "%s: expected an object {...}", name);
        rc = ss_json_wrap(&part, name, json_array_get(list, m), e);
        if (rc == SS_OK)
            rc = read_model(s, &part, frames, &s->models[m], e);
        ss_json_release(&part);
    }
    return rc;
}

static ss_code read_description(ss_samples *s, ss_json *j, ss_err *e)
{
    const char *format = ss_json_string(j, "format", "");
    const int64_t n = ss_json_int(j, "samples", 0);
    ss_code rc;

    if (strcmp(format, "sigmascope-generate") != 0)
        ss_json_complain(j, SS_FORMAT, "format", "expected \"sigmascope-generate\"");
    if (ss_json_int(j, "version", 1) != 1)
        ss_json_complain(j, SS_UNSUPPORTED, "version", "known: 1");
    if (n < 1 || n > SS_SAMPLES_MAX)
        ss_json_complain(j, SS_FORMAT, "samples", "1 to %d", SS_SAMPLES_MAX);
    if ((rc = ss_json_done(j, e)) != SS_OK)
        return rc;
    s->n = (int)n;
    s->json = json_incref(j->root);
    rc = read_conditions(s, j, e);
    return rc == SS_OK ? read_models(s, j, e) : rc;
}

ss_code ss_samples_open(const char *folder, ss_samples **out, ss_err *e)
{
    ss_samples *s = ss_calloc(1, sizeof *s);
    char *file = ss_path_join(folder, "generate.json");
    ss_json j = {0};
    ss_code rc = SS_OK;

    if (!s || !file || !(s->path = ss_strdup(folder)))
        rc = ss_no_memory(e, folder);
    else if (!ss_file_exists(file))
        rc = ss_fail(e, SS_IO,
                     "%s: no generate.json in it: not a folder that `sigmascope "
                     "generate` wrote",
                     folder);
    if (rc == SS_OK)
        rc = ss_json_load(&j, file, e);
    if (rc == SS_OK)
        rc = read_description(s, &j, e);
    ss_json_release(&j);
    ss_free(file);
    if (rc != SS_OK) {
        ss_samples_close(s);
        return rc;
    }
    *out = s;
    return SS_OK;
}

ss_code ss_samples_picture(const ss_samples *s, int m, int i, int h, int w, int c, uint8_t *bytes,
                           ss_err *e)
{
    const char *name = s->models[m].picture[i];
    char *path;
    ss_image im = {0};
    ss_code rc;

    if (s->models[m].nonfinite[i])
        return ss_fail(e, SS_USAGE, "%s/%s: its values are not finite", s->path, name);
    if (!(path = ss_path_join(s->path, name)))
        return ss_no_memory(e, name);
    rc = ss_image_read_png(path, &im, e);
    if (rc == SS_OK && (im.h != h || im.w != w || im.c != c))
        rc = ss_fail(e, SS_SHAPE,
                     "%s: a picture of %d x %d x %d, where the configuration's are %d x %d x %d",
                     path, im.h, im.w, im.c, h, w, c);
    if (rc == SS_OK)
        memcpy(bytes, im.data, (size_t)h * (size_t)w * (size_t)c);
    ss_image_release(&im);
    ss_free(path);
    return rc;
}
