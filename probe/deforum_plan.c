/* deforum_plan.c - reads the file of deforum.h */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/deforum.h"

#include <string.h>

void ss_deforum_plan_release(ss_deforum_plan *p)
{
    ss_free(p->translation);
    ss_free(p->rotation);
    json_decref(p->json);
    *p = (ss_deforum_plan){0};
}

/* Reads [x, y, z], each finite. */
static bool read_three(const json_t *list, double out[3])
{
    if (!json_is_array(list) || json_array_size(list) != 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (!ss_json_number(json_array_get(list, i), &out[i]) || !(out[i] - out[i] == 0))
            return false;
    }
    return true;
}

/* Fills the frames between two keyframes, after `from`; the first keyframe also those before it. */
static void fill(double *to, int from, int until)
{
    for (int k = from + 1; k < until; k++) {
        const double part = (double)(k - from) / (until - from);

        for (int i = 0; i < 3; i++)
            to[3 * k + i] = (1 - part) * to[3 * from + i] + part * to[3 * until + i];
    }
}

/* Reads {"FRAME": [x, y, z], ...} for all frames; false if it is not that. */
static bool read_keyframes(const json_t *object, int frames, double *to)
{
    double *at;
    int last = -1;

    if (!json_is_object(object) || !json_object_size(object))
        return false;
    for (int k = 0; k < frames; k++) { /* in the order of the frames, whatever the file's is */
        char name[16];

        snprintf(name, sizeof name, "%d", k);
        const json_t *key = json_object_get(object, name);
        if (!key)
            continue;
        at = to + 3 * k;
        if (!read_three(key, at))
            return false;
        for (int before = last < 0 ? 0 : k; before < k; before++)
            memcpy(to + 3 * before, at, 3 * sizeof *at);
        if (last >= 0)
            fill(to, last, k);
        last = k;
    }
    for (int k = last + 1; last >= 0 && k < frames; k++)
        memcpy(to + 3 * k, to + 3 * last, 3 * sizeof *to);
    for (const char *name = json_object_iter_key(json_object_iter((json_t *)object)); name;
         name = json_object_iter_key(
             json_object_iter_next((json_t *)object, json_object_key_to_iter(name)))) {
        int64_t k;

        if (!ss_parse_i64(name, &k) || k < 0 || k >= frames)
            return false;
    }
    return true;
}

static ss_code read_moves(ss_json *j, const char *key, int frames, double **to, ss_err *e)
{
    const json_t *value = ss_json_get(j, key);

    if (!(*to = ss_calloc((size_t)frames, 3 * sizeof **to)))
        return ss_no_memory(e, j->name);
    if (value && read_three(value, *to)) {
        for (int k = 1; k < frames; k++)
            memcpy(*to + 3 * k, *to, 3 * sizeof **to);
    } else if (value && !read_keyframes(value, frames, *to)) {
        ss_json_complain(
            j, SS_FORMAT, key,
            "expected three numbers [x, y, z], or keyframes {\"0\": [x, y, z], ...} of "
            "frames 0 to %d",
            frames - 1);
    }
    return SS_OK;
}

static double read_between(ss_json *j, const char *key, double fallback, double low, double high)
{
    const double v = ss_json_double(j, key, fallback);

    if (!(v > low && v < high))
        ss_json_complain(j, SS_FORMAT, key, "a number between %g and %g", low, high);
    return v;
}

static void read_depth(ss_json *j, ss_depth_options *d)
{
    const json_t *value = ss_json_get(j, "depth");
    const json_t *model = json_object_get(value, "model");

    d->near = read_between(j, "near", 200, 0, 1e9);
    d->far = read_between(j, "far", 10000, 0, 1e9);
    if (d->near >= d->far)
        ss_json_complain(j, SS_FORMAT, "far", "more than near");
    d->plane = 200;
    if (json_is_string(value))
        d->file = json_string_value(value);
    else if (json_is_string(model) && json_object_size(value) == 1)
        d->model = json_string_value(model);
    else if (value && (!ss_json_number(value, &d->plane) || !(d->plane > 0 && d->plane < 1e9)))
        ss_json_complain(j, SS_FORMAT, "depth",
                         "a plane's distance above 0, the path of depths, or {\"model\": FOLDER}");
}

ss_code ss_deforum_plan_read(const char *path, ss_deforum_plan *p, ss_err *e)
{
    static const char *const warps[] = {"deforum", "rays", NULL};
    ss_json j;
    ss_code rc = ss_json_load_strict(&j, path, e);

    *p = (ss_deforum_plan){0};
    if (rc != SS_OK)
        return rc;
    const int64_t frames = ss_json_int(&j, "frames", 0);
    if (frames < 2 || frames > SS_DEFORUM_MAX_FRAMES)
        ss_json_complain(&j, SS_FORMAT, "frames", "2 to %d", SS_DEFORUM_MAX_FRAMES);
    p->fov = read_between(&j, "fov", 40, 0, 180);
    p->strength = read_between(&j, "strength", 0.65, 0, 1);
    p->color_match = ss_json_bool(&j, "color_match", true);
    p->rays = ss_json_choice(&j, "warp", warps, 0) == 1;
    read_depth(&j, &p->depth);
    rc = ss_json_done(&j, e);
    if (rc == SS_OK) {
        p->frames = (int)frames;
        rc = read_moves(&j, "translation", p->frames, &p->translation, e);
    }
    if (rc == SS_OK)
        rc = read_moves(&j, "rotation", p->frames, &p->rotation, e);
    if (rc == SS_OK && ss_json_unread(&j))
        rc = ss_fail(e, SS_UNSUPPORTED, "%s: there is no key '%s'", path,
                     SS_SHOW(ss_json_unread(&j)));
    if (rc == SS_OK)
        rc = ss_json_done(&j, e);
    p->json = json_incref(j.root);
    ss_json_release(&j);
    if (rc != SS_OK)
        ss_deforum_plan_release(p);
    return rc;
}
