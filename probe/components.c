/* components.c - see components.h */
#include "probe/components.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/checkpoint.h"
#include "models/pipeline.h"

#include <stdio.h>
#include <string.h>

void ss_components_release(ss_component_runs *runs)
{
    for (int i = 0; i < runs->n; i++) {
        ss_free(runs->list[i].component);
        ss_free(runs->list[i].output);
    }
    ss_free(runs->list);
    *runs = (ss_component_runs){0};
}

/* True if an item of the list, "text" or "vae", names the component; marks the item as used. */
static bool is_listed(const ss_component *c, const char *list, uint64_t *used)
{
    bool listed = false;
    int item = 0;

    for (const char *p = list;; p++, item++) {
        const size_t n = strcspn(p, ",");
        const char *role = ss_role_name(c->role);
        const bool is = (strlen(role) == n && memcmp(role, p, n) == 0) ||
                        (strlen(c->name) == n && memcmp(c->name, p, n) == 0) ||
                        (n == 3 && memcmp(p, "all", n) == 0);

        if (is && item < 64)
            *used |= UINT64_C(1) << item;
        listed |= is;
        p += n;
        if (!*p)
            return listed;
    }
}

/* Finds the first item of the list that named nothing; false if there is none. */
static bool find_unused(const char *list, uint64_t used, char *name, size_t room)
{
    int item = 0;

    for (const char *p = list;; p++, item++) {
        const size_t n = strcspn(p, ",");

        if (item >= 64 || !(used >> item & 1)) {
            snprintf(name, room, "%.*s", (int)n, p);
            return true;
        }
        p += n;
        if (!*p)
            return false;
    }
}

static ss_code say_unknown(const char *model, const char *name, const ss_pipeline *p, ss_err *e)
{
    ss_str there = {0};

    for (int i = 0; i < p->n; i++)
        ss_str_addf(&there, "%s%s (%s)", i ? ", " : "", p->list[i].name,
                    ss_role_name(p->list[i].role));
    const ss_code rc = ss_fail(e, SS_USAGE, "--components: %s has no component '%s'; it has %s",
                               model, SS_SHOW(name), there.s ? there.s : "none: it is no pipeline");
    ss_str_release(&there);
    return rc;
}

/* Adds a component that is known; several have its name in the names of their files. */
static ss_code add(ss_component_runs *runs, const ss_component *c, ss_err *e)
{
    ss_component_run *r = &runs->list[runs->n];

    *r = (ss_component_run){.component = ss_strdup(c->name), .role = c->role};
    if (!r->component)
        return ss_no_memory(e, "components");
    runs->n++;
    return SS_OK;
}

/* Names the run files: RUN.h5, or RUN.COMPONENT.h5. */
static ss_code name_outputs(ss_component_runs *runs, const char *output, ss_err *e)
{
    static const char end[] = ".h5";
    const size_t n = strlen(output), last = sizeof end - 1;
    const bool usual = n > last && strcmp(output + n - last, end) == 0;

    for (int i = 0; i < runs->n; i++) {
        ss_str s = {0};

        if (runs->n == 1) {
            ss_str_add(&s, output);
        } else {
            ss_str_addn(&s, output, usual ? n - last : n);
            ss_str_addf(&s, ".%s%s", runs->list[i].component, usual ? end : "");
        }
        runs->list[i].output = ss_str_detach(&s);
        if (!runs->list[i].output)
            return ss_no_memory(e, "components");
    }
    return SS_OK;
}

static ss_code pick(const ss_pipeline *p, const char *model, const char *list,
                    ss_component_runs *runs, ss_err *e)
{
    const bool all = strcmp(list, "all") == 0;
    uint64_t used = 0;
    char name[64];
    ss_code rc = SS_OK;

    for (int i = 0; i < p->n && rc == SS_OK; i++) {
        const ss_component *c = &p->list[i];

        if (!is_listed(c, list, &used))
            continue;
        if (c->known)
            rc = add(runs, c, e);
        else if (all)
            ss_note("%s/%s is left out: networks of class %s cannot be opened", model, c->name,
                    SS_SHOW(c->class_name));
        else
            rc = ss_fail(e, SS_UNSUPPORTED,
                         "%s/%s: networks of class %s cannot be opened. " SS_RECORD_INSTEAD, model,
                         c->name, SS_SHOW(c->class_name));
    }
    if (rc == SS_OK && find_unused(list, used, name, sizeof name))
        rc = say_unknown(model, name, p, e);
    if (rc == SS_OK && !runs->n)
        rc = ss_fail(e, SS_UNSUPPORTED,
                     "--components: none of the networks of %s can be opened. " SS_RECORD_INSTEAD,
                     model);
    return rc;
}

ss_code ss_components_pick(const char *model, const char *list, const char *output,
                           ss_component_runs *out, ss_err *e)
{
    ss_component_runs runs = {0};
    ss_pipeline p = {0};
    ss_code rc = list ? ss_pipeline_find(model, &p, e) : SS_OK;

    if (rc != SS_OK)
        return rc;
    runs.list = ss_calloc((size_t)p.n + 1, sizeof *runs.list);
    if (!runs.list)
        rc = ss_no_memory(e, "components");
    else if (list)
        rc = pick(&p, model, list, &runs, e);
    else
        runs.n = 1; /* whatever ss_model_open takes MODEL for */
    if (rc == SS_OK)
        rc = name_outputs(&runs, output, e);
    if (rc != SS_OK)
        ss_components_release(&runs);
    else
        *out = runs;
    ss_pipeline_release(&p);
    return rc;
}

/* ---- sharing options out ---- */

/* Where the glob of a text ends: the whole, before the '=' of GLOB=FMT, or after the '@'. */
typedef enum { WHOLE, BEFORE_EQUALS, AFTER_AT } glob_place;

/* The lists of globs among the options of a probe. */
typedef struct {
    const char *const **texts;
    int *n;
    glob_place place;
    const char *option;
} glob_list;

enum { N_LISTS = 4 };

static void list_globs(ss_probe_options *o, glob_list lists[N_LISTS])
{
    ss_changes_options *k = &o->network.changes;
    const glob_list all[N_LISTS] = {
        {&o->modules, &o->n_modules, WHOLE, "--modules"},
        {&o->dumps, &o->n_dumps, WHOLE, "--dump"},
        {&k->precision_maps, &k->n_precision_maps, BEFORE_EQUALS, "--precision-map"},
        {&k->interventions, &k->n_interventions, AFTER_AT, "--intervene"},
    };

    memcpy(lists, all, sizeof all);
}

/* True if the glob in text matches a module of m. A text without a glob matches, so that whoever
 * reads it complains. */
static bool matches(const char *text, glob_place place, const ss_model *m)
{
    const char *from = place == AFTER_AT ? strchr(text, '@') : text;
    const char *to = place == BEFORE_EQUALS ? strrchr(text, '=') : text + strlen(text);
    const ss_module *const *modules;
    ss_str glob = {0};
    bool found = false;
    int n;

    if (!from || !to)
        return true;
    from += place == AFTER_AT;
    ss_str_addn(&glob, from, (size_t)(to - from));
    modules = ss_model_modules(m, &n);
    for (int i = 0; i < n && !found; i++)
        found = glob.failed || ss_glob_check(glob.s, NULL) != SS_OK ||
                ss_glob_module(glob.s, modules[i]->path);
    ss_str_release(&glob);
    return found;
}

/* Checks that the globs of the command match somewhere, and keeps in *own those that match in
 * component `which`; kept [N_LISTS] are the new lists, the caller's to ss_free. */
static ss_code share_globs(ss_model *const *models, int n_models, int which, ss_probe_options *own,
                           const char **kept[N_LISTS], ss_err *e)
{
    glob_list lists[N_LISTS];

    list_globs(own, lists);
    for (int l = 0; l < N_LISTS; l++) {
        const char *const *texts = *lists[l].texts;
        const int n = *lists[l].n;
        int left = 0;

        kept[l] = ss_calloc((size_t)n + 1, sizeof *kept[l]);
        if (!kept[l])
            return ss_no_memory(e, "components");
        for (int i = 0; i < n; i++) {
            bool anywhere = false;

            for (int m = 0; m < n_models && !anywhere; m++)
                anywhere = matches(texts[i], lists[l].place, models[m]);
            if (!anywhere)
                return ss_fail(e, SS_USAGE, "%s %s matches no module of any component",
                               lists[l].option, SS_SHOW(texts[i]));
            if (matches(texts[i], lists[l].place, models[which]))
                kept[l][left++] = texts[i];
        }
        if (n && !left && lists[l].place == WHOLE && l == 0)
            return ss_fail(e, SS_USAGE,
                           "%s matches no module of a component; leave that out of --components",
                           lists[l].option);
        *lists[l].texts = kept[l];
        *lists[l].n = left;
    }
    return SS_OK;
}

/* Memory of shared options, alive for the run. */
typedef struct {
    const char **kept[N_LISTS];
    const char **inputs;
    ss_str latents;
} shares;

static void release_shares(shares *s)
{
    for (int l = 0; l < N_LISTS; l++)
        ss_free(s->kept[l]);
    ss_free(s->inputs);
    ss_str_release(&s->latents);
}

/* The VAE after a denoiser: it decodes also what that made, at noise levels and sizes of its own.
 */
static ss_code follow_denoiser(ss_probe_options *own, const char *run, const ss_model *vae,
                               shares *s, ss_err *e)
{
    const int factor = (int)ss_model_about(vae)->net.latent_factor;

    own->sigmas = NULL;
    own->network.height *= factor;
    own->network.width *= factor;
    ss_str_addf(&s->latents, SS_INPUT_LATENTS ":%s", run);
    s->inputs = ss_calloc((size_t)own->n_inputs + 2, sizeof *s->inputs);
    if (!s->inputs || s->latents.failed)
        return ss_no_memory(e, "components");
    if (!own->n_inputs)
        s->inputs[own->n_inputs++] = SS_DEFAULT_VAE_INPUT;
    else
        memcpy(s->inputs, own->inputs, (size_t)own->n_inputs * sizeof *s->inputs);
    s->inputs[own->n_inputs++] = s->latents.s;
    own->inputs = s->inputs;
    return SS_OK;
}

/* Takes from the options what is not for this component. */
static ss_code adapt(ss_probe_options *own, const ss_component_runs *runs, int which,
                     const ss_model *m, shares *s, ss_err *e)
{
    const ss_role role = runs->list[which].role;

    if (role == SS_DENOISER)
        return SS_OK;
    own->network.frames = 0;
    own->network.extend = NULL;
    own->timesteps = own->condition_sigma = NULL;
    if (role == SS_TEXT) {
        own->sigmas = NULL;
        own->n_inputs = 0;
    }
    for (int i = 0; i < runs->n && role == SS_VAE; i++) {
        if (runs->list[i].role == SS_DENOISER)
            return follow_denoiser(own, runs->list[i].output, m, s, e);
    }
    return SS_OK;
}

/* Shares the options of the command out to component `which` of several. */
static ss_code share(const ss_component_runs *runs, int which, ss_probe_options *own, shares *s,
                     ss_err *e)
{
    ss_model **models = ss_calloc((size_t)runs->n, sizeof(ss_model *));
    ss_code rc = models ? SS_OK : ss_no_memory(e, "components");

    for (int i = 0; i < runs->n && rc == SS_OK; i++) {
        ss_model_options files = ss_network_files(&own->network);

        files.places.component = runs->list[i].component;
        rc = ss_model_open(own->network.model, &files, &models[i], e);
    }
    if (rc == SS_OK)
        rc = share_globs(models, runs->n, which, own, s->kept, e);
    if (rc == SS_OK)
        rc = adapt(own, runs, which, models[which], s, e);
    for (int i = 0; models && i < runs->n; i++)
        ss_model_close(models[i]);
    ss_free(models);
    return rc;
}

/* A VAE decodes what the denoiser made, all of it, which no part of its run has. */
static ss_code check_shard(const ss_component_runs *runs, ss_err *e)
{
    const char *denoiser = NULL, *vae = NULL;

    for (int i = 0; i < runs->n; i++) {
        if (runs->list[i].role == SS_DENOISER)
            denoiser = runs->list[i].output;
        if (runs->list[i].role == SS_VAE)
            vae = runs->list[i].component;
    }
    if (!denoiser || !vae)
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "--shard: %s decodes what the whole run of the denoiser made; probe and gather "
                   "the others first, then probe --components vae --inputs " SS_INPUT_LATENTS ":%s",
                   vae, denoiser);
}

ss_code ss_components_probe(const ss_probe_options *opt, ss_component_runs *runs, int which,
                            ss_err *e)
{
    ss_component_run *r = &runs->list[which];
    ss_probe_options own = *opt;
    shares s = {0};
    ss_code rc = opt->shard.count ? check_shard(runs, e) : SS_OK;

    if (rc != SS_OK)
        return rc;
    own.network.component = r->component;
    own.output = r->output;
    if (runs->n > 1)
        rc = share(runs, which, &own, &s, e);
    if (rc == SS_OK)
        rc = ss_probe_run(&own, &r->summary, e);
    if (rc != SS_OK && runs->n > 1)
        ss_fail_prefix(e, "%s", r->component);
    release_shares(&s);
    return rc;
}
