/* pipeline.c - see pipeline.h */
#include "models/pipeline.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "models/families.h"
#include "models/file/single.h"
#include "models/file/weight_files.h"

#include <stdlib.h>
#include <string.h>

static const char *const role_names[SS_N_ROLES] = {
    [SS_TEXT] = "text", [SS_DENOISER] = "denoiser", [SS_VAE] = "vae"};

const char *ss_role_name(ss_role r)
{
    return role_names[r];
}

bool ss_role_parse(const char *name, ss_role *r)
{
    for (int i = 0; i < SS_N_ROLES; i++) {
        if (strcmp(role_names[i], name) == 0) {
            *r = (ss_role)i;
            return true;
        }
    }
    return false;
}

bool ss_role_of_folder(const char *folder, ss_role *r)
{
    static const struct {
        const char *name;
        ss_role role;
    } folders[] = {
        {"unet", SS_DENOISER},
        {"transformer", SS_DENOISER},
        {"prior", SS_DENOISER},
        {"decoder", SS_DENOISER},
        {"vae", SS_VAE},
        {"vqvae", SS_VAE},
        {"movq", SS_VAE},
        {"text_encoder", SS_TEXT},
        {"text_encoder_2", SS_TEXT},
        {"text_encoder_3", SS_TEXT},
    };

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (strcmp(folders[i].name, folder) == 0) {
            *r = folders[i].role;
            return true;
        }
    }
    return false;
}

void ss_pipeline_release(ss_pipeline *p)
{
    for (int i = 0; i < p->n; i++) {
        ss_free(p->list[i].name);
        ss_free(p->list[i].class_name);
    }
    ss_free(p->list);
    ss_free(p->class_name);
    *p = (ss_pipeline){0};
}

/* Adds a component; class_name "" is one that nothing names. */
static ss_code add(ss_pipeline *p, size_t *cap, const char *name, const char *class_name, ss_err *e)
{
    const ss_family *f = ss_family_find(class_name);
    ss_component c = {.known = f != NULL};

    if (f)
        c.role = f->role;
    else if (!ss_role_of_folder(name, &c.role))
        return SS_OK;
    ss_component *grown = ss_grow(p->list, cap, (size_t)p->n + 1, sizeof *grown);
    if (grown)
        p->list = grown;
    c.name = ss_strdup(name);
    c.class_name = ss_strdup(class_name);
    if (!grown || !c.name || !c.class_name) {
        ss_free(c.name);
        ss_free(c.class_name);
        return ss_no_memory(e, "a pipeline");
    }
    p->list[p->n++] = c;
    return SS_OK;
}

/* Reads the class that FOLDER/config.json names into *class_name, NULL where there is none. */
static ss_code read_class(const char *folder, char **class_name, ss_err *e)
{
    char *path = ss_path_join(folder, "config.json");
    ss_json j = {0};
    ss_code rc = path ? SS_OK : ss_no_memory(e, folder);

    *class_name = NULL;
    if (rc == SS_OK && ss_file_exists(path) && (rc = ss_json_load(&j, path, e)) == SS_OK) {
        const char *name = ss_family_class(&j);

        *class_name = ss_strdup(name ? name : "");
        if (!*class_name)
            rc = ss_no_memory(e, folder);
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}

/* Adds MODEL/NAME if it has a config.json; the class in it wins over the pipeline's. */
static ss_code add_folder(ss_pipeline *p, size_t *cap, const char *model, const char *name,
                          ss_err *e)
{
    char *folder = ss_path_join(model, name), *class_name = NULL;
    ss_code rc = folder ? read_class(folder, &class_name, e) : ss_no_memory(e, model);

    if (rc == SS_OK && class_name)
        rc = add(p, cap, name, class_name, e);
    ss_free(class_name);
    ss_free(folder);
    return rc;
}

static ss_code read_index(const char *model, const char *path, ss_pipeline *p, size_t *cap,
                          ss_err *e)
{
    ss_json j = {0};
    const char *name;
    json_t *value;
    ss_code rc = ss_json_load(&j, path, e);

    if (rc == SS_OK) {
        const char *class_name = ss_json_string(&j, "_class_name", NULL);

        p->class_name = class_name ? ss_strdup(class_name) : NULL;
        if (class_name && !p->class_name)
            rc = ss_no_memory(e, path);
        json_object_foreach(j.root, name, value)
        {
            const bool plain = !strchr(name, '/') && name[0] != '.';

            if (rc == SS_OK && plain && json_is_string(json_array_get(value, 1)))
                rc = add_folder(p, cap, model, name, e);
        }
    }
    ss_json_release(&j);
    return rc;
}

/* Text encoders come first, then the denoiser, then the VAE; in each role by their names. */
static int in_order(const void *a, const void *b)
{
    static const int place[SS_N_ROLES] = {[SS_TEXT] = 0, [SS_DENOISER] = 1, [SS_VAE] = 2};
    const ss_component *x = a, *y = b;

    return x->role != y->role ? place[x->role] - place[y->role] : strcmp(x->name, y->name);
}

/* Adds the components of a single file. A file that is none is a model folder's own. */
static ss_code add_file(ss_pipeline *p, size_t *cap, const char *path, ss_err *e)
{
    ss_single_component list[SS_SINGLE_MAX];
    ss_checkpoint *k = NULL;
    ss_code rc = ss_checkpoint_open(path, NULL, &k, e);

    if (rc != SS_OK)
        return rc;
    const int n = ss_single_is_translated(k) ? ss_single_detect(k, list) : 0;
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = add(p, cap, list[i].name, list[i].class, e);
    ss_checkpoint_close(k);
    return rc;
}

ss_code ss_pipeline_find(const char *model, ss_pipeline *p, ss_err *e)
{
    static const char *const usual[] = {"text_encoder", "text_encoder_2", "text_encoder_3",
                                        "unet",         "transformer",    "vae"};
    char *index = ss_path_join(model, "model_index.json"), *own = NULL;
    size_t cap = 0;
    ss_code rc = index ? SS_OK : ss_no_memory(e, model);

    *p = (ss_pipeline){0};
    if (rc == SS_OK && ss_weight_file_named(model) && !ss_is_dir(model)) {
        rc = add_file(p, &cap, model, e);
    } else if (rc == SS_OK && ss_file_exists(index)) {
        rc = read_index(model, index, p, &cap, e);
    } else if (rc == SS_OK) {
        rc = read_class(model, &own, e);
        const ss_family *f = rc == SS_OK && own ? ss_family_find(own) : NULL;
        if (f)
            rc = add(p, &cap, f->folder, own, e);
        for (size_t i = 0; i < sizeof usual / sizeof *usual && rc == SS_OK && !f; i++)
            rc = add_folder(p, &cap, model, usual[i], e);
    }
    ss_free(own);
    ss_free(index);
    if (rc != SS_OK)
        ss_pipeline_release(p);
    else if (p->n)
        qsort(p->list, (size_t)p->n, sizeof *p->list, in_order);
    return rc;
}

const ss_component *ss_pipeline_named(const ss_pipeline *p, const char *name)
{
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->list[i].name, name) == 0)
            return &p->list[i];
    }
    return NULL;
}
