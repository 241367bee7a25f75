/* model.c - see model.h */
#include "models/model.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "models/families.h"
#include "models/file/cast_weights.h"
#include "models/file/safetensors.h"
#include "models/file/single.h"
#include "models/file/wrapped_names.h"
#include "models/net/motion.h"
#include "models/pipeline.h"
#include "models/training_folder.h"
#include "models/video/motion_adapter.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_NAMED = 8 }; /* checkpoints in a message */

struct ss_model {
    char *path;
    char *component;
    ss_model_paths paths;
    ss_json json;
    ss_checkpoint *checkpoint;
    ss_single single;           /* what was inferred where MODEL is a single file, else empty */
    ss_safetensors *class_file; /* or NULL */
    const ss_stored_tensor *class_table; /* [classes][tokens][width], or NULL */
    const ss_family *family;
    void *config; /* the family's */
    ss_net *net;
    const void *network; /* the family's, in net */
    char *notes;         /* about the checkpoint's tensors, "...; ..." */
    ss_lora_layers loras;
    ss_model_info info;
};

/* True if the scheduler says that the network answers with a variance after the picture. */
static bool has_learned_variance(const char *scheduler)
{
    ss_json j = {0};
    bool learned = false;

    if (scheduler && ss_json_load(&j, scheduler, NULL) == SS_OK)
        learned = strncmp(ss_json_string(&j, "variance_type", ""), "learned", 7) == 0;
    ss_json_release(&j);
    return learned;
}

/* Counts the channels that the network sees beside the picture that it answers with. An answer that
 * is twice as wide has a variance after the picture; where it is as wide as the input, only the
 * scheduler says whether it has one. */
static int64_t concat_channels(const ss_network_info *net, const char *scheduler)
{
    const int64_t in = net->in_channels, out = net->out_channels;

    if (net->needs.reference_channels)
        return net->needs.reference_channels + 1;
    if (in > out)
        return in - out;
    return in == out && out % 2 == 0 && has_learned_variance(scheduler) ? in - out / 2 : 0;
}

static ss_code read_config(ss_model *m, ss_err *e)
{
    const ss_code rc = ss_family_read(&m->json, &m->family, &m->config, e);
    ss_condition_needs *needs = &m->info.net.needs;

    if (rc != SS_OK)
        return rc;
    m->family->info(m->config, &m->info.net);
    m->info.family = m->family->class_name;
    m->info.role = m->family->role;
    needs->concat_channels = concat_channels(&m->info.net, m->paths.scheduler);
    if (m->class_table) {
        needs->table_classes = m->class_table->dim[0];
        needs->table_tokens = m->class_table->dim[1];
    }
    return rc;
}

/* Opens the table of classes that a text network may come with. */
static ss_code open_class_table(ss_model *m, ss_err *e)
{
    ss_condition_needs *needs = &m->info.net.needs;
    char shape[96];

    if (!m->paths.class_embeddings || !needs->text_width)
        return SS_OK;
    ss_code rc = ss_safetensors_open(m->paths.class_embeddings, &m->class_file, e);
    if (rc != SS_OK)
        return rc;
    const ss_stored_tensor *t = ss_safetensors_find(m->class_file, "class_embeddings");
    if (!t)
        return ss_fail(e, SS_FORMAT, "%s: no tensor class_embeddings", m->paths.class_embeddings);
    if (t->rank != 3 || t->dim[0] < 1 || t->dim[1] < 1 || t->dim[2] != needs->text_width)
        return ss_fail(e, SS_SHAPE,
                       "%s: class_embeddings is %s, config wants [classes,tokens,%" PRId64 "]",
                       m->paths.class_embeddings, ss_stored_shape_text(t, shape, sizeof shape),
                       needs->text_width);
    ss_shape s;
    rc = ss_stored_shape(t, &s, e);
    m->class_table = t;
    needs->table_classes = t->dim[0];
    needs->table_tokens = t->dim[1];
    return rc;
}

/* Builds the network. init is NULL where there is a checkpoint; opt may be NULL. */
static ss_code build_net(ss_model *m, const ss_init *init, const ss_model_options *opt, ss_err *e)
{
    ss_net_free(m->net);
    m->net = init ? ss_net_new_untrained(init, m->json.name, e)
                  : ss_net_new(m->checkpoint, m->json.name, e);
    if (!m->net)
        return SS_NOMEM;
    if (opt)
        ss_net_ignore(m->net, opt->ignore, opt->n_ignore);
    m->network = m->family->build(m->net, m->config);
    return ss_net_finish(m->net, e);
}

/* Gives the checkpoint's tensors the names that the network has asked for, where a training's
 * wrappers changed them. */
static ss_code unwrap_names(ss_model *m, const ss_model_options *opt, bool *changed, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_net_weights(m->net, &n);
    const char **asked = ss_calloc((size_t)n, sizeof *asked);

    if (!asked)
        return ss_no_memory(e, m->path);
    for (int i = 0; i < n; i++)
        asked[i] = w[i]->name;
    const ss_code rc =
        ss_checkpoint_unwrap(m->checkpoint, asked, (size_t)n, opt && opt->places.ema, changed, e);
    ss_free(asked);
    return rc;
}

/* Names the component as files of LoRA do. */
static const char *lora_component(const ss_model *m)
{
    return m->info.role == SS_DENOISER ? "denoiser"
           : *m->info.component        ? m->info.component
           : m->info.role == SS_TEXT   ? "text_encoder"
                                       : "vae";
}

/* Merges the files of LoRA into the checkpoint, one after the other, and builds the network again.
 */
static ss_code merge_loras(ss_model *m, const ss_model_options *opt, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_net_weights(m->net, &n);
    ss_lora_target *targets = ss_calloc((size_t)n, sizeof *targets);
    ss_code rc = targets ? SS_OK : ss_no_memory(e, m->path);

    for (int i = 0; i < n && rc == SS_OK; i++)
        targets[i] = (ss_lora_target){w[i]->name, w[i]->stored};
    for (int i = 0; i < opt->n_loras && rc == SS_OK; i++)
        rc = ss_lora_merge(m->checkpoint, opt->loras[i], lora_component(m), targets, (size_t)n,
                           &m->loras, e);
    if (rc == SS_OK)
        rc = build_net(m, NULL, opt, e);
    ss_free(targets);
    return rc;
}

static ss_code collect_notes(ss_model *m, ss_err *e)
{
    ss_str s = {0};

    ss_str_add(&s, "");
    for (int i = 0; ss_checkpoint_note(m->checkpoint, i); i++)
        ss_str_addf(&s, "%s%s", i ? "; " : "", ss_checkpoint_note(m->checkpoint, i));
    m->info.weight_notes = m->notes = ss_str_detach(&s);
    return m->notes ? SS_OK : ss_no_memory(e, m->path);
}

/* Reads another configuration in the place of the one that was read, whose network goes. */
static ss_code replace_config(ss_model *m, json_t *config, ss_err *e)
{
    ss_json changed = {0};
    ss_code rc = ss_json_wrap(&changed, m->json.name, config, e);

    if (rc != SS_OK)
        return rc;
    ss_net_free(m->net);
    m->net = NULL;
    ss_free(m->config);
    m->config = NULL;
    ss_json_release(&m->json);
    m->json = changed;
    return read_config(m, e);
}

/* Sets how motion modules are normalised. */
static ss_code set_groupnorm(ss_model *m, const char *groupnorm, ss_err *e)
{
    if (!m->info.net.has_motion_modules)
        return ss_fail(e, SS_USAGE, "--groupnorm: %s has no motion modules as AnimateDiff's",
                       m->info.family);
    if (json_object_set_new(m->json.root, SS_GROUPNORM_KEY, json_string(groupnorm)) != 0)
        return ss_no_memory(e, m->path);
    return replace_config(m, m->json.root, e);
}

/* Puts motion modules onto the UNet, and builds the network again. */
static ss_code put_adapter(ss_model *m, const ss_model_options *opt, ss_err *e)
{
    json_t *config = NULL;
    ss_code rc = ss_motion_adapter_put(m->checkpoint, opt->adapter, &m->json, &config, e);

    if (rc == SS_OK)
        rc = replace_config(m, config, e);
    if (rc == SS_OK && opt->groupnorm)
        rc = set_groupnorm(m, opt->groupnorm, e);
    if (rc == SS_OK)
        rc = build_net(m, NULL, opt, e);
    json_decref(config);
    return rc;
}

/* Builds the network, with other names for the tensors where those that are there do not fit, and
 * counts its parameters. */
static ss_code build(ss_model *m, const ss_init *init, const ss_model_options *opt, ss_err *e)
{
    bool changed = false;
    int n;

    for (int i = 0; opt && i < opt->n_ignore; i++) {
        if (ss_glob_check(opt->ignore[i], e) != SS_OK)
            return ss_fail_prefix(e, "--ignore-extra");
    }
    ss_code rc = build_net(m, init, opt, e);
    if (rc == SS_SHAPE && m->checkpoint) {
        ss_err why = {0};
        const ss_code renamed = unwrap_names(m, opt, &changed, &why);

        if (renamed != SS_OK)
            return ss_fail(e, renamed, "%s", why.msg);
        if (changed)
            rc = build_net(m, init, opt, e);
    }
    if (rc == SS_OK && opt && opt->adapter && m->info.role == SS_DENOISER)
        rc = put_adapter(m, opt, e);
    if (rc == SS_OK && opt && opt->n_loras)
        rc = merge_loras(m, opt, e);
    if (rc != SS_OK)
        return rc;
    if (m->checkpoint && collect_notes(m, e) != SS_OK)
        return e->code;
    m->info.ignored = ss_net_ignored(m->net, &m->info.n_ignored);
    ss_weight *const *w = ss_net_weights(m->net, &n);
    for (int i = 0; i < n; i++) {
        m->info.n_parameters += ss_shape_numel(w[i]->shape);
        m->info.weight_bytes += w[i]->bytes;
    }
    return SS_OK;
}

/* Names the network's folder in its pipeline, "" if it is in none. */
static ss_code name_component(ss_model *m, ss_err *e)
{
    const char *folder = m->single.name ? m->single.name : m->paths.folder;
    size_t n = strlen(folder), from;
    ss_role role;

    while (n > 0 && folder[n - 1] == '/')
        n--;
    for (from = n; from > 0 && folder[from - 1] != '/';)
        from--;
    m->component = ss_strdup(folder + from);
    if (!m->component)
        return ss_no_memory(e, m->path);
    m->component[n - from] = '\0';
    if (!ss_role_of_folder(m->component, &role))
        *m->component = '\0';
    m->info.component = m->component;
    return SS_OK;
}

static void fill_info(ss_model *m)
{
    ss_model_info *i = &m->info;

    i->path = m->path;
    i->folder = m->paths.folder;
    i->weights = m->paths.weights;
    i->config = m->paths.config;
    i->pipeline = m->single.name ? m->path : m->paths.pipeline;
    i->component = "";
    i->format = m->checkpoint ? ss_checkpoint_format(m->checkpoint) : "untrained";
    i->scheduler = m->paths.scheduler;
    i->has_vae = m->paths.has_vae;
    i->inferred_scheduler = m->single.scheduler;
    i->ask_prediction = m->single.ask_prediction;
}

static ss_code new_model(const char *path, ss_model **m, ss_err *e)
{
    *m = ss_calloc(1, sizeof **m);
    if (*m && ((*m)->path = ss_strdup(path)))
        return SS_OK;
    ss_free(*m);
    return ss_no_memory(e, path);
}

/* Hands the model over, unless something went wrong. */
static ss_code hand_over(ss_model *m, ss_code rc, ss_model **out)
{
    if (rc == SS_OK)
        *out = m;
    else
        ss_model_close(m);
    return rc;
}

/* Finds the files of a model. In the folder of a training, which has several, none is meant. */
static ss_code find_paths(const char *model, const ss_model_places *places, ss_model_paths *p,
                          ss_err *e)
{
    ss_checkpoint_folders l = {0};
    ss_str names = {0};
    ss_code rc = ss_model_paths_find(model, places, p, e);

    if (rc != SS_IO || !ss_is_dir(model) ||
        ss_checkpoint_folders_list(model, places, &l, NULL) != SS_OK)
        return rc;
    for (int i = 0; i < l.n && i < MAX_NAMED; i++)
        ss_str_addf(&names, "%s%s", i ? ", " : "", SS_SHOW(strrchr(l.paths[i], '/') + 1));
    if (l.n)
        rc = ss_fail(e, rc, "%s is the folder of a training, with %d checkpoints: %s%s; name one",
                     model, l.n, names.s ? names.s : "", l.n > MAX_NAMED ? ", ..." : "");
    ss_str_release(&names);
    ss_checkpoint_folders_release(&l);
    return rc;
}

static ss_code open_checkpoint(ss_model *m, const ss_model_options *opt, ss_err *e)
{
    ss_code rc =
        ss_checkpoint_open(m->paths.weights, opt ? &opt->weights : NULL, &m->checkpoint, e);

    if (rc == SS_OK)
        rc = ss_checkpoint_cast(m->checkpoint, e);
    if (rc == SS_OK && m->paths.note)
        rc = ss_checkpoint_say(m->checkpoint, e, "%s", m->paths.note);
    return rc;
}

/* Takes the component out of a file that has several, or no config.json: one beside a single file
 * is of something else, one that was named is not. */
static ss_code take_single(ss_model *m, const ss_model_options *opt, ss_err *e)
{
    const bool named = opt && opt->places.config;
    const bool translated = ss_single_is_translated(m->checkpoint);
    const ss_single_options o = {.component = opt ? opt->places.component : NULL,
                                 .ema = opt && opt->places.ema,
                                 .has_config = named};

    if (m->paths.config && !translated)
        return SS_OK;
    const ss_code rc = ss_single_take(m->checkpoint, &o, &m->single, e);
    if (rc == SS_OK && !named) {
        ss_free(m->paths.config);
        m->paths.config = NULL;
    }
    m->paths.has_vae |= m->single.has_vae;
    return rc;
}

/* Loads config.json, or takes what was inferred in its place. */
static ss_code load_config(ss_model *m, ss_err *e)
{
    ss_str name = {0};

    if (m->paths.config)
        return ss_json_load(&m->json, m->paths.config, e);
    ss_str_addf(&name, "%s, %s", ss_checkpoint_name(m->checkpoint), m->single.name);
    const ss_code rc = name.failed ? ss_no_memory(e, m->path)
                                   : ss_json_wrap(&m->json, name.s, m->single.config, e);
    ss_str_release(&name);
    return rc;
}

/* Adds to an error that the configuration was inferred. */
static void say_inferred(ss_err *e)
{
    static const char advice[] = "; the configuration was inferred from the file: --config "
                                 "FILE|FOLDER names one that is elsewhere";

    const size_t n = e ? strlen(e->msg) : 0;

    if (e && n + sizeof advice <= sizeof e->msg)
        memcpy(e->msg + n, advice, sizeof advice);
}

/* Says what was opened, and why it is read so. */
static void say_opened(const ss_model *m)
{
    const ss_model_info *a = &m->info;

    ss_detail("%s: %s, %lld weights in %.1f MB of %s from %s", a->path, a->family,
              (long long)a->n_parameters, 1e-6 * (double)a->weight_bytes, a->format,
              a->weights ? a->weights : "memory");
    ss_detail("%s: configuration %s, schedule %s", a->path, a->config ? a->config : "inferred",
              a->scheduler            ? a->scheduler
              : a->inferred_scheduler ? "inferred"
                                      : "not known");
    if (m->paths.note)
        ss_detail("%s: %s", a->path, m->paths.note);
    if (a->weight_notes && *a->weight_notes)
        ss_detail("%s: %s", a->path, a->weight_notes);
}

ss_code ss_model_open(const char *model, const ss_model_options *opt, ss_model **out, ss_err *e)
{
    ss_model *m;
    ss_code rc = new_model(model, &m, e);

    if (rc != SS_OK)
        return rc;
    rc = find_paths(model, opt ? &opt->places : NULL, &m->paths, e);
    if (rc == SS_OK && !ss_is_dir(m->paths.weights)) {
        rc = open_checkpoint(m, opt, e);
        if (rc == SS_OK)
            rc = take_single(m, opt, e);
    }
    if (rc == SS_OK)
        rc = load_config(m, e);
    if (rc == SS_OK)
        rc = read_config(m, e);
    if (rc == SS_OK && opt && opt->groupnorm && !opt->adapter && m->info.role == SS_DENOISER)
        rc = set_groupnorm(m, opt->groupnorm, e);
    if (rc == SS_OK && !m->checkpoint)
        rc = open_checkpoint(m, opt, e);
    if (rc == SS_OK) {
        fill_info(m);
        rc = name_component(m, e);
    }
    if (rc == SS_OK)
        rc = open_class_table(m, e);
    if (rc == SS_OK)
        rc = build(m, NULL, opt, e);
    if (rc != SS_OK && m->single.name && !m->paths.config)
        say_inferred(e);
    if (rc == SS_OK)
        say_opened(m);
    return hand_over(m, rc, out);
}

ss_code ss_model_create(const json_t *config, const char *name, const ss_init *init, ss_model **out,
                        ss_err *e)
{
    ss_model *m;
    ss_code rc = new_model(name, &m, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_json_wrap(&m->json, name, (json_t *)config, e);
    if (rc == SS_OK)
        rc = read_config(m, e);
    if (rc == SS_OK) {
        fill_info(m);
        rc = build(m, init, NULL, e);
    }
    return hand_over(m, rc, out);
}

void ss_model_close(ss_model *m)
{
    if (!m)
        return;
    ss_net_free(m->net);
    ss_free(m->config);
    ss_safetensors_close(m->class_file);
    ss_checkpoint_close(m->checkpoint);
    ss_single_release(&m->single);
    ss_json_release(&m->json);
    ss_model_paths_release(&m->paths);
    ss_lora_layers_release(&m->loras);
    ss_free(m->component);
    ss_free(m->notes);
    ss_free(m->path);
    ss_free(m);
}

const ss_model_info *ss_model_about(const ss_model *m)
{
    return &m->info;
}

const ss_lora_layers *ss_model_lora_layers(const ss_model *m)
{
    return &m->loras;
}

const json_t *ss_model_config(const ss_model *m)
{
    return m->json.root;
}

const ss_single_inferred *ss_model_inferred(const ss_model *m, size_t *n)
{
    *n = m->single.n_rows;
    return m->single.rows;
}

const ss_checkpoint *ss_model_checkpoint(const ss_model *m)
{
    return m->checkpoint;
}

ss_code ss_model_sha256(const ss_model *m, char hex[65], ss_err *e)
{
    if (!m->checkpoint)
        return ss_fail(e, SS_USAGE, "%s: an untrained network has no files to hash", m->path);
    return ss_checkpoint_sha256(m->checkpoint, m->paths.config, hex, e);
}

const ss_module *const *ss_model_modules(const ss_model *m, int *n)
{
    return ss_net_modules(m->net, n);
}

ss_weight *const *ss_model_weights(const ss_model *m, int *n)
{
    return ss_net_weights(m->net, n);
}

ss_code ss_model_class_embedding(const ss_model *m, int64_t k, float *out, ss_err *e)
{
    const ss_stored_tensor *t = m->class_table;

    if (!t)
        return ss_fail(e, SS_USAGE, "%s: the model has no class_embeddings.safetensors", m->path);
    if (k >= t->dim[0])
        return ss_fail(e, SS_USAGE,
                       "%s: class %" PRId64 " does not exist; there are 0 to %" PRId64
                       ", the last is the null class",
                       m->paths.class_embeddings, k, t->dim[0] - 1);
    const size_t n = (size_t)(t->dim[1] * t->dim[2]);
    const size_t row = (size_t)(k < 0 ? t->dim[0] - 1 : k);
    ss_values_to_f32(t->dtype, (const char *)t->data + row * n * ss_dtype_size(t->dtype), n, out);
    return SS_OK;
}

ss_code ss_model_bind(ss_model *m, ss_ctx *c, ss_err *e)
{
    return ss_net_bind(m->net, c, e);
}

ss_tensor *ss_model_forward(ss_ctx *c, const ss_model *m, const ss_tensor *x,
                            const float *timesteps, const ss_condition *cond)
{
    static const ss_condition nothing = {0};

    return m->family->run(c, m->network, x, timesteps, cond ? cond : &nothing);
}

ss_tensor *ss_model_encode(ss_ctx *c, const ss_model *m, const ss_tensor *x)
{
    return m->family->encode(c, m->network, x);
}

ss_tensor *ss_model_decode(ss_ctx *c, const ss_model *m, const ss_tensor *z)
{
    return m->family->decode(c, m->network, z);
}

ss_tensor *ss_model_reconstruct(ss_ctx *c, const ss_model *m, const ss_tensor *x,
                                ss_latent_draw *draw, void *self)
{
    return m->family->reconstruct(c, m->network, x, draw, self);
}

bool ss_model_embed(ss_ctx *c, const ss_model *m, const ss_text_tokens *tokens,
                    ss_text_states *states)
{
    return m->family->embed(c, m->network, tokens, states);
}

ss_code ss_model_extend(ss_model *m, const ss_extension *x, ss_err *e)
{
    if (m->family->extend)
        return m->family->extend(m->config, x, e);
    return x->kind ? ss_fail(e, SS_USAGE, "%s has no positions of frames that could be extended",
                             m->path)
                   : SS_OK;
}

void ss_model_structure(const ss_model *m, ss_structure_list *l)
{
    if (m->family->structure)
        m->family->structure(m->config, l);
}
