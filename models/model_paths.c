/* model_paths.c - see model_paths.h */
#include "models/model_paths.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/average_folder.h"
#include "models/families.h"
#include "models/file/weight_files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Returns FOLDER/NAME where there is such a file, or folder, else NULL; sets *failed where memory
 * is out. */
static char *found(const char *folder, const char *name, bool is_there(const char *), bool *failed)
{
    char *path = ss_path_join(folder, name);

    if (!path)
        *failed = true;
    if (path && is_there(path))
        return path;
    ss_free(path);
    return NULL;
}

static char *existing(const char *folder, const char *name, bool *failed)
{
    return found(folder, name, ss_file_exists, failed);
}

/* Returns the folder around a path, by its text alone. */
static char *parent_of(const char *path)
{
    size_t n = strlen(path);
    ss_str s = {0};

    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    const char *last = path + from;
    const size_t length = n - from;

    if ((length == 1 && *last == '.') || (length == 2 && memcmp(last, "..", 2) == 0)) {
        ss_str_addn(&s, path, n); /* its last part has no name to cut off */
        ss_str_add(&s, "/..");
    } else if (from == 0) {
        ss_str_add(&s, ".");
    } else {
        ss_str_addn(&s, path, from > 1 ? from - 1 : from);
    }
    return ss_str_detach(&s);
}

/* Looks for NAME around the folder: beside the link that leads to it, then beside the folder
 * itself. */
static char *around(const char *folder, const char *name, bool is_there(const char *), bool *failed)
{
    char *parent = parent_of(folder), *path = NULL;
    ss_str above = {0};

    ss_str_addf(&above, "../%s", name);
    if (parent)
        path = found(parent, name, is_there, failed);
    else
        *failed = true;
    if (!path && !*failed && !above.failed)
        path = found(folder, above.s, is_there, failed);
    *failed |= above.failed;
    ss_str_release(&above);
    ss_free(parent);
    return path;
}

/* Returns the folder of the pipeline around a network's folder, or NULL. */
static char *pipeline_around(const char *folder, bool *failed)
{
    char *inside = around(folder, "model_index.json", ss_file_exists, failed);

    if (!inside && !*failed)
        inside = around(folder, "text_encoder", ss_is_dir, failed);
    char *pipeline = inside ? parent_of(inside) : NULL;
    *failed |= inside && !pipeline;
    ss_free(inside);
    return pipeline;
}

static bool has_vae(const char *folder, bool *failed)
{
    static const char *const names[] = {"vae", "vqvae", "movq"};
    char *path = NULL;

    for (size_t i = 0; i < sizeof names / sizeof *names && !path && !*failed; i++)
        path = around(folder, names[i], ss_is_dir, failed);
    ss_free(path);
    return path != NULL;
}

/* Grades a config.json: 2 where its class is known, 1 where it names one, 0 where it does not.
 * With `denoiser` a class of another role is none at all, -1. */
static int grade(const char *config, bool denoiser, bool *failed)
{
    ss_json j = {0};
    ss_err why = {0};
    int g = 0;

    if (ss_json_load(&j, config, &why) == SS_OK) {
        const char *name = ss_family_class(&j);

        const ss_family *f = name ? ss_family_find(name) : NULL;

        g = !name ? 0 : !f ? 1 : denoiser && f->role != SS_DENOISER ? -1 : 2;
    }
    *failed |= why.code == SS_NOMEM;
    ss_json_release(&j);
    return g;
}

/* The best of the folders tried so far. */
typedef struct {
    ss_model_paths *p;
    int grade;
    bool failed;
} search;

/* Takes folder as the best so far if its config.json has a better grade; else frees it. A folder
 * that the user named may be of any role. */
static void try_folder(search *s, char *folder, bool named)
{
    char *config = folder && s->grade < 2 ? existing(folder, "config.json", &s->failed) : NULL;
    const int g = config ? grade(config, !named, &s->failed) : -1;

    s->failed |= !folder;
    if (g > s->grade) {
        ss_free(s->p->folder);
        ss_free(s->p->config);
        s->p->folder = folder;
        s->p->config = config;
        s->grade = g;
    } else {
        ss_free(folder);
        ss_free(config);
    }
}

/* Tries the components of {"unet": ["diffusers", CLASS], "vae": ...} whose class is known. */
static void try_components(search *s, const char *model)
{
    char *path = existing(model, "model_index.json", &s->failed);
    ss_json j = {0};
    ss_err why = {0};
    const char *name;
    json_t *value;

    if (path && s->grade < 2 && ss_json_load(&j, path, &why) == SS_OK) {
        json_object_foreach(j.root, name, value)
        {
            const char *class_name = json_string_value(json_array_get(value, 1));

            if (class_name && ss_family_find(class_name) && !strchr(name, '/') && name[0] != '.')
                try_folder(s, ss_path_join(model, name), false);
        }
    }
    s->failed |= why.code == SS_NOMEM;
    ss_json_release(&j);
    ss_free(path);
}

/* Tries FOLDER + end for each folder that pipelines keep networks in. */
static void try_family_folders(search *s, const char *model, const char *end)
{
    for (int i = 0; ss_family_folder(i); i++) {
        ss_str name = {0};

        ss_str_addf(&name, "%s%s", ss_family_folder(i), end);
        try_folder(s, name.failed ? NULL : ss_path_join(model, name.s), false);
        ss_str_release(&name);
    }
}

/* Tries the folders of denoisers that cannot be opened, so that the error names their class. */
static void try_foreign_folders(search *s, const char *model)
{
    static const char *const names[] = {"transformer", "prior", "decoder"};

    for (size_t i = 0; i < sizeof names / sizeof *names && s->grade < 0; i++)
        try_folder(s, ss_path_join(model, names[i]), false);
}

/* Finds the best config.json in MODEL, or in what --config names. */
static void find_config(search *s, const char *model, const char *component)
{
    if (component) {
        char *folder = found(model, component, ss_is_dir, &s->failed);

        try_folder(s, folder ? folder : ss_strdup(model), true);
        return;
    }
    try_folder(s, ss_strdup(model), true);
    try_family_folders(s, model, "");
    try_components(s, model);
    try_family_folders(s, model, "_ema");
    try_foreign_folders(s, model);
}

/* Names where config.json may be below a folder: "nor unet/config.json". */
static void list_places(ss_str *s, const char *word)
{
    for (int i = 0; ss_family_folder(i); i++)
        ss_str_addf(s, "%s%s %s/config.json", i ? " " : "", word, ss_family_folder(i));
}

/* Returns MODEL, or the folder of the network in it where MODEL has no weights of its own; NULL
 * where memory is out. */
static char *folder_of_weights(const char *model, const char *component, bool *failed)
{
    /* accelerate's, of FSDP and of DeepSpeed */
    static const char *const sharded[] = {"pytorch_model_fsdp_0", "pytorch_model"};
    ss_weight_file w = {0};
    ss_err why = {0};
    char *below = component ? found(model, component, ss_is_dir, failed) : NULL;
    const bool here = below || ss_weight_file_find(model, NULL, &w, &why) == SS_OK;

    *failed |= why.code == SS_NOMEM;
    ss_weight_file_release(&w);
    for (int i = 0; ss_family_folder(i) && !here && !below; i++)
        below = found(model, ss_family_folder(i), ss_is_dir, failed);
    for (size_t i = 0; i < sizeof sharded / sizeof *sharded && !here && !below; i++)
        below = found(model, sharded[i], ss_is_dir, failed);
    return below ? below : ss_strdup(model);
}

/* Takes the config.json that --config names; the weights are in MODEL. */
static ss_code take_named_config(const char *model, bool is_dir, const ss_model_places *k,
                                 ss_model_paths *p, ss_err *e)
{
    const char *config = k->config;
    ss_model_paths own = {0};
    search s = {.p = &own, .grade = -1};

    if (ss_is_dir(config)) {
        find_config(&s, config, k->component);
        p->config = own.config;
        own.config = NULL;
    } else {
        p->config = ss_strdup(config);
        s.failed |= !p->config;
    }
    ss_model_paths_release(&own);
    p->folder = is_dir ? folder_of_weights(model, k->component, &s.failed) : parent_of(model);
    if (s.failed || !p->folder)
        return ss_no_memory(e, model);
    if (p->config)
        return SS_OK;
    ss_str places = {0};
    list_places(&places, "nor");
    const ss_code rc = ss_fail(e, SS_IO, "--config: neither config.json %s is in %s",
                               places.s ? places.s : "below", config);
    ss_str_release(&places);
    return rc;
}

/* Looks for the scheduler around the folder of the weights, in it, and around a config that was
 * named. */
static void find_scheduler(const ss_model_paths *p, bool named, char **path, bool *failed)
{
    *path = around(p->folder, "scheduler/scheduler_config.json", ss_file_exists, failed);
    if (!*path)
        *path = existing(p->folder, "scheduler_config.json", failed);
    if (!*path)
        *path = existing(p->folder, "scheduler/scheduler_config.json", failed);
    if (!*path && named && !*failed) {
        ss_model_paths other = {.folder = parent_of(p->config)};

        *failed |= !other.folder;
        if (other.folder)
            find_scheduler(&other, false, path, failed);
        ss_model_paths_release(&other);
    }
}

/* Finds scheduler_config.json by a path that is that file, its folder, or a pipeline. */
static ss_code take_named_scheduler(const char *path, char **file, ss_err *e)
{
    bool failed = false;

    if (!ss_is_dir(path)) {
        *file = ss_strdup(path);
        return *file ? SS_OK : ss_no_memory(e, path);
    }
    *file = existing(path, "scheduler_config.json", &failed);
    if (!*file && !failed)
        *file = existing(path, "scheduler/scheduler_config.json", &failed);
    if (failed)
        return ss_no_memory(e, path);
    return *file ? SS_OK
                 : ss_fail(e, SS_IO,
                           "--scheduler: neither scheduler_config.json nor "
                           "scheduler/scheduler_config.json is in %s",
                           path);
}

static ss_code find_files(const char *model, bool is_dir, const ss_model_places *k,
                          ss_model_paths *p, ss_err *e)
{
    search s = {.p = p, .grade = -1};

    if (k->config) {
        if (take_named_config(model, is_dir, k, p, e) != SS_OK)
            return e->code;
    } else if (is_dir) {
        find_config(&s, model, k->component);
    } else {
        try_folder(&s, parent_of(model), true);
        if (!p->config && !s.failed) {
            p->folder = parent_of(model);
            s.failed |= !p->folder;
        }
    }
    if (p->folder && !s.failed) {
        p->weights = ss_strdup(is_dir ? p->folder : model);
        s.failed |= !p->weights;
        p->class_embeddings = existing(p->folder, "class_embeddings.safetensors", &s.failed);
        if (!p->class_embeddings)
            p->class_embeddings =
                around(p->folder, "class_embeddings.safetensors", ss_file_exists, &s.failed);
        p->pipeline = pipeline_around(p->folder, &s.failed);
        p->has_vae = has_vae(p->folder, &s.failed);
    }
    if (s.failed)
        return ss_no_memory(e, model);
    if (p->folder)
        return SS_OK;
    ss_str places = {0};
    list_places(&places, "nor");
    const ss_code rc = ss_fail(e, SS_IO,
                               "%s: neither config.json %s is there; --config FILE|FOLDER names "
                               "one that is elsewhere",
                               model, places.s ? places.s : "below");
    ss_str_release(&places);
    return rc;
}

static ss_code say_no_model(const char *model, ss_err *e)
{
    ss_str places = {0};
    const bool missing = access(model, F_OK) != 0;
    const char *const why = missing ? strerror(errno) : "";

    list_places(&places, "or");
    const ss_code rc =
        ss_fail(e, missing ? SS_IO : SS_USAGE,
                "%s: %s%sexpected a model folder with config.json in it, a pipeline folder with%s, "
                "or a file of weights",
                model, why, missing ? "; " : "", places.s ? places.s + strlen("or") : " one");
    ss_str_release(&places);
    return rc;
}

ss_code ss_model_paths_find(const char *model, const ss_model_places *places, ss_model_paths *p,
                            ss_err *e)
{
    const ss_model_places k = places ? *places : (ss_model_places){0};
    const bool is_dir = ss_is_dir(model);
    char *path = NULL;
    bool failed = false;
    ss_code rc = SS_OK;

    *p = (ss_model_paths){0};
    if (!is_dir && (!ss_file_exists(model) || !(k.config || ss_weight_file_named(model))))
        return say_no_model(model, e);
    if (is_dir && k.ema)
        rc = ss_average_folder_find(model, k.component, &path, e);
    if (rc == SS_OK)
        rc = find_files(path ? path : model, is_dir, &k, p, e);
    if (rc == SS_OK && is_dir)
        rc = ss_average_folder_note(model, p->folder, &p->note, e);
    if (rc == SS_OK && k.scheduler)
        rc = take_named_scheduler(k.scheduler, &p->scheduler, e);
    else if (rc == SS_OK)
        find_scheduler(p, k.config != NULL, &p->scheduler, &failed);
    if (failed)
        rc = ss_no_memory(e, model);
    if (rc != SS_OK)
        ss_model_paths_release(p);
    ss_free(path);
    return rc;
}

void ss_model_paths_release(ss_model_paths *p)
{
    ss_free(p->folder);
    ss_free(p->weights);
    ss_free(p->config);
    ss_free(p->scheduler);
    ss_free(p->class_embeddings);
    ss_free(p->note);
    ss_free(p->pipeline);
    *p = (ss_model_paths){0};
}
