/* chain_file.c - see chain_file.h */
#include "probe/chain_file.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/str.h"
#include "probe/generate.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define X(name, text) text,
static const char *const modes[] = {SS_CHAIN_MODES(X) NULL};
static const char *const samplers[] = {SS_SAMPLERS(X) NULL};
static const char *const joins[] = {SS_JOINS(X) NULL};
static const char *const noises[] = {SS_FRAME_NOISES(X) NULL};
#undef X

enum { MANY = 1 << 16 };

const char *ss_chain_mode_name(ss_chain_mode m)
{
    return modes[m];
}

/* A count from low to MANY; `fallback` where it is not said. */
static int count(ss_json *j, const char *key, int low, int fallback)
{
    if (!ss_json_has(j, key))
        return fallback;
    const int64_t v = ss_json_int(j, key, fallback);

    if (v < low || v > MANY)
        ss_json_complain(j, SS_USAGE, key, "expected %d to %d", low, MANY);
    return v < low || v > MANY ? fallback : (int)v;
}

/* The name of one of the choices, or NULL where the key is absent. */
static const char *choice(ss_json *j, const char *key, const char *const *choices)
{
    const int i = ss_json_has(j, key) ? ss_json_choice(j, key, choices, -1) : -1;

    return i < 0 ? NULL : choices[i];
}

/* Reads a list of texts, borrowed from the file. */
static void read_texts(ss_json *j, const char *key, const char ***texts, int *n)
{
    json_t *list = ss_json_get(j, key), *one;
    size_t i;

    *n = 0;
    if (!list)
        return;
    const size_t all = json_array_size(list);
    if (!all || all > MANY || !(*texts = ss_calloc(all, sizeof **texts))) {
        ss_json_complain(j, SS_USAGE, key, "expected a list of texts");
        return;
    }
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one)) {
            ss_json_complain(j, SS_USAGE, key, "expected a list of texts");
            return;
        }
        (*texts)[(*n)++] = json_string_value(one);
    }
}

static void read_classes(ss_json *j, int **classes, int *n)
{
    json_t *list = ss_json_get(j, "classes"), *one;
    size_t i;

    if (!list)
        return;
    const size_t all = json_array_size(list);
    if (!all || all > MANY || !(*classes = ss_calloc(all, sizeof **classes))) {
        ss_json_complain(j, SS_USAGE, "classes", "expected a list of whole numbers");
        return;
    }
    json_array_foreach(list, i, one)
    {
        const json_int_t v = json_integer_value(one);

        if (!json_is_integer(one) || v < 0 || v > 1 << 20) {
            ss_json_complain(j, SS_USAGE, "classes", "expected a list of whole numbers");
            return;
        }
        (*classes)[(*n)++] = (int)v;
    }
}

/* Takes the name of a stage's folder: letters, digits, and - _ . */
static void read_name(ss_json *j, ss_chain_stage *s)
{
    const char *name = ss_json_string(j, "name", modes[s->mode]);
    size_t n = strlen(name), good = 0;

    while (good < n && (isalnum((unsigned char)name[good]) || strchr("-_.", name[good])))
        good++;
    if (!n || good < n || n >= sizeof s->name || name[0] == '.') {
        ss_json_complain(j, SS_USAGE, "name",
                         "expected up to %zu letters, digits, '-', '_' and '.', not '.' first",
                         sizeof s->name - 1);
        return;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
}

/* Refuses a key that a mode has no use for. */
static void only_with(ss_json *j, const char *key, bool useful, const char *mode)
{
    if (!useful && ss_json_has(j, key))
        ss_json_complain(j, SS_USAGE, key, "mode \"%s\" has no use for it", mode);
}

static void read_windows(ss_json *j, ss_chain_stage *s)
{
    ss_reel_options *r = &s->each.reel;
    const bool base = s->mode == SS_CHAIN_BASE, more = s->mode == SS_CHAIN_EXTRAPOLATE,
               larger = s->mode == SS_CHAIN_UPSCALE, refine = s->mode == SS_CHAIN_REFINE;
    const char *mode = modes[s->mode];

    only_with(j, "length", base || more, mode);
    only_with(j, "overlap", base || larger || refine, mode);
    only_with(j, "join", base || larger || refine, mode);
    only_with(j, "keep", more, mode);
    only_with(j, "new_frames", s->mode == SS_CHAIN_INTERPOLATE, mode);
    only_with(j, "strength", refine, mode);
    r->length = count(j, "length", 1, 0);
    r->overlap = count(j, "overlap", 0, -1);
    r->join = choice(j, "join", joins);
    r->noise = choice(j, "frame_noise", noises);
    if (more && !ss_json_has(j, "keep"))
        ss_json_complain(j, SS_USAGE, "keep", "expected how many frames the first window is given");
    r->keep = more ? count(j, "keep", 1, 1) : 0;
    r->interpolate = s->mode == SS_CHAIN_INTERPOLATE ? count(j, "new_frames", 1, 1) : 0;
    s->each.strength = ss_json_double(j, "strength", 1);
    if (refine && !(s->each.strength > 0 && s->each.strength < 1))
        ss_json_complain(j, SS_USAGE, "strength", "expected a number between 0 and 1");
}

static void read_sampling(ss_json *j, ss_chain_stage *s)
{
    ss_trajectory_options *o = &s->each;
    ss_condition_options *c = &o->condition;

    if (ss_json_has(j, "sampler")) {
        s->sampler = (ss_sampler_kind)ss_json_choice(j, "sampler", samplers, 0);
        o->sampler = &s->sampler;
    }
    o->steps = count(j, "steps", 1, o->steps);
    if (o->steps > SS_SCHEDULE_MAX_STEPS)
        ss_json_complain(j, SS_USAGE, "steps", "expected 1 to %d", SS_SCHEDULE_MAX_STEPS);
    o->eta = ss_json_double(j, "eta", o->eta);
    if (ss_json_has(j, "eta") && !(o->eta >= 0 && o->eta <= 1))
        ss_json_complain(j, SS_USAGE, "eta", "expected 0 to 1");
    o->guidance = ss_json_double(j, "guidance", 1);
    c->negative_class = count(j, "negative_class", 0, -1);
    read_texts(j, "negative_prompts", &s->negative, &c->prompts.n_negative);
    c->prompts.negative = s->negative;
    if (o->guidance == 1 && (c->negative_class >= 0 || c->prompts.n_negative))
        ss_json_complain(j, SS_USAGE,
                         c->negative_class >= 0 ? "negative_class" : "negative_prompts",
                         "a negative condition has no effect without \"guidance\"");
    o->batch = count(j, "batch", 1, 0);
    o->network.frames = count(j, "frames", 1, 0);
    if (o->network.frames > SS_MAX_FRAMES)
        ss_json_complain(j, SS_USAGE, "frames", "expected 1 to %d", SS_MAX_FRAMES);
    o->network.changes.precision = ss_json_string(j, "precision", NULL);
    s->probe = ss_json_bool(j, "probe", false);
}

/* Refuses keys that nobody asked for. */
static void refuse_others(ss_json *j, const char *known)
{
    const char *key = ss_json_unread(j);
    char hint[SS_NEAR];

    if (key && j->err.code == SS_OK)
        ss_json_complain(j, SS_USAGE, key, "no such key%s; known ones: %s",
                         ss_near_in(key, known, hint), known);
}

static ss_code read_stage(ss_chain *k, int i, const char *folder, json_t *object, ss_err *e)
{
    ss_chain_stage *s = &k->stage[i];
    char name[600];
    ss_json j;
    ss_code rc;

    snprintf(name, sizeof name, "%.500s: stage %d", k->file.name, i + 1);
    if ((rc = ss_json_wrap(&j, name, object, e)) != SS_OK)
        return rc;
    s->each = ss_trajectory_defaults();
    s->mode = (ss_chain_mode)ss_json_choice(&j, "mode", modes, SS_N_CHAIN_MODES);
    if (!ss_json_has(&j, "mode")) {
        ss_json_complain(&j, SS_USAGE, "mode",
                         "expected base, extrapolate, interpolate, upscale or "
                         "refine");
        s->mode = SS_CHAIN_BASE;
    } else if (j.err.code == SS_OK && (s->mode == SS_CHAIN_BASE) != (i == 0)) {
        ss_json_complain(&j, SS_USAGE, "mode",
                         i ? "later stages go on from the former one: extrapolate, interpolate, "
                             "upscale or refine"
                           : "the first stage is base");
    }
    if (s->mode >= SS_N_CHAIN_MODES) /* a complaint already */
        s->mode = SS_CHAIN_BASE;
    read_name(&j, s);
    const char *model = ss_json_string(&j, "model", NULL);
    if (!model || !*model)
        ss_json_complain(&j, SS_USAGE, "model", "expected the folder of a network");
    read_windows(&j, s);
    read_sampling(&j, s);
    refuse_others(&j, "mode, model, name, probe, sampler, steps, eta, guidance, negative_class, "
                      "negative_prompts, precision, batch, frames, length, overlap, join, "
                      "frame_noise, keep, new_frames, strength");
    rc = ss_json_done(&j, e);
    if (rc == SS_OK) {
        s->model = model[0] == '/' ? ss_strdup(model) : ss_path_join(folder, model);
        rc = s->model ? SS_OK : ss_no_memory(e, name);
    }
    ss_json_release(&j);
    return rc;
}

static ss_code read_chain(ss_chain *k, const char *folder, ss_err *e)
{
    ss_json *j = &k->file;
    json_t *stages = ss_json_get(j, "stages"), *one;
    size_t i;

    k->samples = count(j, "samples", 1, 0);
    k->seed = (uint64_t)ss_json_int(j, "seed", 0);
    k->fps = ss_json_double(j, "fps", SS_DEFAULT_FPS);
    if (!(k->fps > 0 && k->fps <= 1000))
        ss_json_complain(j, SS_USAGE, "fps", "expected more than 0, at most 1000");
    read_classes(j, &k->classes, &k->n_classes);
    read_texts(j, "prompts", &k->prompts, &k->n_prompts);
    refuse_others(j, "samples, seed, fps, classes, prompts, stages");
    const size_t n = json_array_size(stages);
    if (j->err.code == SS_OK && (!n || n > SS_CHAIN_MAX_STAGES))
        ss_json_complain(j, SS_USAGE, "stages", "expected a list of 1 to %d stages",
                         SS_CHAIN_MAX_STAGES);
    ss_code rc = ss_json_done(j, e);
    if (rc == SS_OK && !(k->stage = ss_calloc(n, sizeof *k->stage)))
        rc = ss_no_memory(e, j->name);
    json_array_foreach(stages, i, one)
    {
        if (rc != SS_OK)
            break;
        if (!json_is_object(one))
            return ss_fail(e, SS_USAGE, "%s: stage %zu is no object", j->name, i + 1);
        k->n = (int)i + 1;
        rc = read_stage(k, (int)i, folder, one, e);
    }
    return rc;
}

ss_code ss_chain_parse(const char *name, const char *text, size_t len, const char *folder,
                       ss_chain *k, ss_err *e)
{
    *k = (ss_chain){0};
    ss_code rc = ss_json_parse(&k->file, name, text, len, e);

    if (rc == SS_OK)
        rc = read_chain(k, folder, e);
    if (rc != SS_OK)
        ss_chain_release(k);
    return rc;
}

ss_code ss_chain_load(const char *path, ss_chain *k, ss_err *e)
{
    *k = (ss_chain){0};
    char *folder = ss_strdup(path);
    ss_code rc = folder ? ss_json_load_strict(&k->file, path, e) : ss_no_memory(e, path);

    if (rc == SS_OK) {
        char *slash = strrchr(folder, '/');

        if (slash)
            slash[slash == folder] = '\0';
        rc = read_chain(k, slash ? folder : ".", e);
        if (rc != SS_OK)
            ss_chain_release(k);
    }
    ss_free(folder);
    return rc;
}

void ss_chain_release(ss_chain *k)
{
    for (int i = 0; i < k->n; i++) {
        ss_free(k->stage[i].model);
        ss_free(k->stage[i].negative);
    }
    ss_free(k->stage);
    ss_free(k->classes);
    ss_free(k->prompts);
    ss_json_release(&k->file);
    *k = (ss_chain){0};
}
