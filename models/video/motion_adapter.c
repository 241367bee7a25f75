/* motion_adapter.c - see motion_adapter.h */
#include "models/video/motion_adapter.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/cast_weights.h"
#include "models/video/adapter_config.h"

#include <string.h>

/* An adapter that is being put onto a UNet. */
typedef struct {
    ss_checkpoint *k, *file;
    const char *path;
    char *config_path;             /* or NULL: it is inferred */
    const ss_stored_tensor **list; /* [n_base + n] the UNet's, then the adapter's */
    size_t n_base, n;
    size_t n_elsewhere; /* tensors that are of no motion module */
    int64_t max_frames; /* rows of the table of positions; 0: none was there */
    bool original;      /* named as AnimateDiff names them */
    ss_json config;
} adapter;

/* ---- names ---- */

/* Returns the part of a name that begins with a level, where it is of a motion module, else NULL.
 */
static const char *motion_name(const char *name)
{
    static const char wrapper[] = "module.";
    static const char *const begins[] = {"down_blocks.", "mid_block.", "up_blocks."};

    while (strncmp(name, wrapper, strlen(wrapper)) == 0)
        name += strlen(wrapper);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        if (strncmp(name, begins[i], strlen(begins[i])) == 0 && strstr(name, ".motion_modules."))
            return name;
    }
    return NULL;
}

/* Appends a name of AnimateDiff's as diffusers has it. */
static void rename_to(ss_str *s, const char *name)
{
    static const char *const renamed[][2] = {
        {".temporal_transformer", ""},
        {".attention_blocks.0", ".attn1"},
        {".attention_blocks.1", ".attn2"},
        {".norms.0", ".norm1"},
        {".norms.1", ".norm2"},
        {".ff_norm", ".norm3"},
    };

    while (*name) {
        size_t i = 0, n = 0;

        for (; i < sizeof renamed / sizeof *renamed; i++) {
            n = strlen(renamed[i][0]);
            /* a whole part of the name: .norms.0 is none of .norms.01 */
            if (strncmp(name, renamed[i][0], n) == 0 && (name[n] == '.' || !name[n]))
                break;
        }
        if (i < sizeof renamed / sizeof *renamed) {
            ss_str_add(s, renamed[i][1]);
            name += n;
        } else {
            ss_str_addn(s, name++, 1);
        }
    }
}

/* Adds a tensor of the adapter to the list, by its name in diffusers. */
static ss_code add_tensor(adapter *a, const ss_stored_tensor *t, const char *name, ss_err *e)
{
    ss_str s = {0};
    const char *end = strrchr(name, '.');
    const bool table = end && strcmp(end, ".pe") == 0;

    if (table && t->rank == 3 && t->dim[1] > a->max_frames)
        a->max_frames = t->dim[1];
    if (table && strstr(name, ".pos_encoder."))
        return SS_OK;
    rename_to(&s, name);
    const ss_stored_tensor *d = s.failed ? NULL : ss_checkpoint_derive(a->k, t, s.s, e);
    ss_str_release(&s);
    if (!d)
        return ss_no_memory(e, a->path);
    a->list[a->n_base + a->n++] = d;
    return SS_OK;
}

static ss_code list_tensors(adapter *a, ss_err *e)
{
    const size_t n = ss_checkpoint_count(a->file);
    ss_code rc = SS_OK;

    a->n_base = ss_checkpoint_count(a->k);
    a->list = ss_calloc(a->n_base + n, sizeof *a->list);
    if (!a->list)
        return ss_no_memory(e, a->path);
    for (size_t i = 0; i < a->n_base; i++)
        a->list[i] = ss_checkpoint_at(a->k, i);
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(a->file, i);
        const char *name = motion_name(t->name);

        a->n_elsewhere += !name;
        a->original |= name && strstr(name, ".temporal_transformer.");
        if (name)
            rc = add_tensor(a, t, name, e);
    }
    return rc;
}

/* ---- the configuration ---- */

/* Finds the config.json of the adapter, in its folder or beside its file: one that is of another
 * class is something else's. */
static ss_code find_config(adapter *a, ss_err *e)
{
    static const char name[] = "config.json";
    const char *slash = strrchr(a->path, '/');
    ss_str s = {0};

    if (ss_is_dir(a->path))
        ss_str_addf(&s, "%s/", a->path);
    else if (slash)
        ss_str_addn(&s, a->path, (size_t)(slash + 1 - a->path));
    ss_str_add(&s, name);
    char *path = ss_str_detach(&s);
    if (!path)
        return ss_no_memory(e, a->path);
    ss_code rc = ss_file_exists(path) ? ss_json_load(&a->config, path, e) : SS_OK;
    const char *found =
        rc == SS_OK && a->config.root ? ss_json_string(&a->config, "_class_name", NULL) : NULL;
    if (found && strcmp(found, "MotionAdapter") == 0) {
        a->config_path = path;
        return SS_OK;
    }
    if (rc == SS_OK && a->config.root && ss_is_dir(a->path))
        rc = ss_fail(e, SS_UNSUPPORTED, "--adapter: %s is of class %s, not MotionAdapter", path,
                     SS_SHOW(found ? found : "none"));
    ss_json_release(&a->config);
    ss_free(path);
    return rc;
}

/* Makes the configuration of an adapter without one. */
static ss_code infer_config(adapter *a, ss_err *e)
{
    json_t *config = NULL;
    ss_code rc = ss_adapter_infer(a->list + a->n_base, a->n, a->max_frames, a->path, &config, e);

    if (rc == SS_OK)
        rc = ss_json_wrap(&a->config, a->path, config, e);
    json_decref(config);
    return rc;
}

/* ---- the whole ---- */

/* Opens the adapter, and makes it the checkpoint's. */
static ss_code open_file(adapter *a, ss_err *e)
{
    ss_code rc;

    if (!ss_file_exists(a->path) && !ss_is_dir(a->path))
        return ss_fail(e, SS_IO,
                       "--adapter: %s: expected a folder with config.json and weights, or a file "
                       "of weights",
                       a->path);
    rc = ss_checkpoint_open(a->path, NULL, &a->file, e);
    if (rc == SS_OK && (rc = ss_checkpoint_adopt(a->k, a->file, e)) != SS_OK)
        ss_checkpoint_close(a->file);
    if (rc == SS_OK)
        rc = ss_checkpoint_cast(a->file, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_add_files(a->k, a->file, e);
    if (rc == SS_OK && a->config_path)
        rc = ss_checkpoint_add_file(a->k, a->config_path, e);
    return rc;
}

static ss_code say(const adapter *a, ss_err *e)
{
    const char *path = SS_SHOW(a->path);
    ss_code rc = ss_checkpoint_say(a->k, e, "motion adapter %s: %zu tensors put onto the UNet%s%s",
                                   path, a->n, a->original ? ", from AnimateDiff's names" : "",
                                   a->config_path ? "" : ", 8 heads assumed");

    if (rc == SS_OK && a->n_elsewhere)
        rc = ss_checkpoint_say(a->k, e,
                               "motion adapter %s: %zu tensors are of no motion module, and left "
                               "out",
                               path, a->n_elsewhere);
    return rc;
}

ss_code ss_motion_adapter_put(ss_checkpoint *k, const char *path, ss_json *unet, json_t **config,
                              ss_err *e)
{
    const char *class_name = ss_json_string(unet, "_class_name", "a network without a class");
    adapter a = {.k = k, .path = path};
    ss_code rc = SS_OK;

    *config = NULL;
    if (strcmp(class_name, "UNet2DConditionModel") != 0)
        rc = ss_fail(e, SS_UNSUPPORTED,
                     "--adapter: motion modules are put onto a UNet2DConditionModel, and %s is %s",
                     unet->name, SS_SHOW(class_name));
    if (rc == SS_OK)
        rc = find_config(&a, e);
    if (rc == SS_OK)
        rc = open_file(&a, e);
    if (rc == SS_OK)
        rc = list_tensors(&a, e);
    if (rc == SS_OK && !a.config_path)
        rc = infer_config(&a, e);
    if (rc == SS_OK && ss_adapter_config(unet, &a.config, config, e) != SS_OK)
        rc = ss_fail_prefix(e, "--adapter %s", path);
    if (rc == SS_OK)
        rc = ss_checkpoint_replace(k, a.list, a.n_base + a.n, e);
    if (rc == SS_OK)
        rc = say(&a, e);
    ss_json_release(&a.config);
    ss_free(a.config_path);
    ss_free(a.list);
    return rc;
}
