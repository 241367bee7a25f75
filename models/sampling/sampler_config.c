/* sampler_config.c - see sampler_config.h */
#include "models/sampling/sampler_config.h"

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "models/sampling/scheduler_class.h"

#include <string.h>

#define X(name, text) text,
static const char *const spacing_names[] = {SS_SPACINGS(X) NULL};
static const char *const variance_names[] = {SS_VARIANCES(X) NULL};
#undef X

/* Refuses values that would change what the sampler computes and are not supported. Only euler
 * interpolates, and only euler and heun have sigmas of their own. */
static void refuse(ss_json *j, ss_sampler_kind kind)
{
    static const char *const interpolations[] = {"linear", NULL};

    if (kind == SS_SAMPLER_EULER)
        ss_json_choice(j, "interpolation_type", interpolations, 0);
    if (ss_sampler_in_sigma(kind) && ss_json_bool(j, "use_beta_sigmas", false))
        ss_json_complain(j, SS_UNSUPPORTED, "use_beta_sigmas",
                         "supported: use_karras_sigmas, use_exponential_sigmas");
}

static void read_sigmas(ss_json *j, ss_sampler_options *o)
{
    static const char *const ends[] = {"zero", "sigma_min", NULL};
    const bool karras = ss_json_bool(j, "use_karras_sigmas", false);
    const bool exponential = ss_json_bool(j, "use_exponential_sigmas", false);

    if (karras && exponential)
        ss_json_complain(j, SS_FORMAT, "use_exponential_sigmas", "use_karras_sigmas is true too");
    o->sigmas = karras ? SS_SIGMAS_KARRAS : exponential ? SS_SIGMAS_EXPONENTIAL : SS_SIGMAS_TRAINED;
    o->sigma_min = ss_json_double(j, "sigma_min", 0);
    o->sigma_max = ss_json_double(j, "sigma_max", 0);
    o->end_at_sigma_min = ss_json_choice(j, "final_sigmas_type", ends, 0) == 1;
}

static void read_limits(ss_json *j, ss_sampler_options *o)
{
    o->clip_given = ss_json_has(j, "clip_sample");
    o->clip = ss_json_bool(j, "clip_sample", o->clip);
    o->clip_range = ss_json_double(j, "clip_sample_range", o->clip_range);
    o->threshold = ss_json_bool(j, "thresholding", o->threshold);
    o->threshold_ratio = ss_json_double(j, "dynamic_thresholding_ratio", o->threshold_ratio);
    o->threshold_max = ss_json_double(j, "sample_max_value", o->threshold_max);
    if (!(o->clip_range > 0))
        ss_json_complain(j, SS_FORMAT, "clip_sample_range", "expected a positive number");
    if (!(o->threshold_ratio >= 0 && o->threshold_ratio <= 1))
        ss_json_complain(j, SS_FORMAT, "dynamic_thresholding_ratio", "expected 0 to 1");
    if (!(o->threshold_max >= 1))
        ss_json_complain(j, SS_FORMAT, "sample_max_value", "expected at least 1");
}

/* Notes what the file asks for and this sampler cannot do; it is left out, as in the reference. */
static void note_limits(const char *path, const ss_sampler_options *o)
{
    const char *name = ss_sampler_name(o->kind);

    if (o->threshold && ss_sampler_in_sigma(o->kind))
        ss_note("%s: thresholding has no effect on %s", path, name);
    else if (o->clip && o->clip_given && o->kind == SS_SAMPLER_EULER)
        ss_note("%s: clip_sample has no effect on %s", path, name);
}

/* Notes the keys without effect: those that no sampler here obeys, and, if the file's own class
 * samples (own), those of other samplers. */
static void note_others(ss_json *j, const char *path, bool own)
{
    ss_str list = {0};
    const char *key;
    json_t *v;

    json_object_foreach(j->root, key, v)
    {
        const ss_scheduler_key what = ss_scheduler_key_of(key);

        if (*key == '_' || json_is_null(v) || json_is_false(v))
            continue;
        if (what == SS_SCHEDULER_KEY_UNKNOWN || (own && what == SS_SCHEDULER_KEY_OTHER))
            ss_str_addf(&list, "%s%s", list.len ? ", " : "", SS_SHOW(key));
    }
    if (list.len)
        ss_note("%s: of another sampler or unknown, without effect: %s", path, list.s);
    ss_str_release(&list);
}

static void read_steps(ss_json *j, ss_sampler_options *o)
{
    o->spacing = (ss_spacing)ss_json_choice(j, "timestep_spacing", spacing_names, (int)o->spacing);
    o->steps_offset = ss_json_int(j, "steps_offset", 0);
    if (o->steps_offset < 0 || o->steps_offset > SS_SCHEDULE_MAX_STEPS)
        ss_json_complain(j, SS_FORMAT, "steps_offset", "expected a number of training steps");
    o->alpha_to_one = ss_json_bool(j, "set_alpha_to_one", o->alpha_to_one);
    if (o->kind == SS_SAMPLER_DDPM) /* only ddpm has a choice */
        o->variance = (ss_variance)ss_json_choice(j, "variance_type", variance_names, 0);
}

/* Returns the defaults of the class; kind is the sampler, NULL for the class's own, or ddim where
 * it has none here. */
static ss_sampler_options defaults_of(const ss_scheduler_class *class, const ss_sampler_kind *kind)
{
    const ss_sampler_kind own =
        class && class->sampler >= 0 ? (ss_sampler_kind) class->sampler : SS_SAMPLER_DDIM;
    ss_sampler_options o = ss_sampler_defaults(kind ? *kind : own);

    if (class) {
        o.spacing = class->spacing;
        o.clip = class->clip;
        o.alpha_to_one = class->alpha_to_one;
    }
    return o;
}

ss_code ss_sampler_options_read(ss_json *j, const ss_sampler_kind *kind, ss_sampler_options *opt,
                                ss_err *e)
{
    const char *name = ss_json_string(j, "_class_name", NULL);
    const ss_scheduler_class *class = ss_scheduler_class_find(name);
    ss_sampler_options o = defaults_of(name ? class : NULL, kind);
    const bool own = class && class->sampler == (int)o.kind;

    refuse(j, o.kind);
    read_limits(j, &o);
    read_sigmas(j, &o);
    read_steps(j, &o);
    if (ss_json_done(j, e) != SS_OK)
        return e->code;
    note_others(j, j->name, own);
    if (!kind && name && !own)
        ss_note("%s: %s is not built in, %s samples in its place", j->name, SS_SHOW(name),
                ss_sampler_name(o.kind));
    note_limits(j->name, &o);
    *opt = o;
    return SS_OK;
}

ss_code ss_sampler_options_load(const char *path, const ss_sampler_kind *kind,
                                ss_sampler_options *opt, ss_err *e)
{
    ss_json j = {0};

    if (!path) {
        *opt = ss_sampler_defaults(kind ? *kind : SS_SAMPLER_DDIM);
        return SS_OK;
    }
    ss_code rc = ss_json_load(&j, path, e);
    if (rc == SS_OK)
        rc = ss_sampler_options_read(&j, kind, opt, e);
    ss_json_release(&j);
    return rc;
}

ss_code ss_sampler_options_load_score(const char *path, const ss_sampler_kind *kind,
                                      ss_sampler_options *opt, ss_err *e)
{
    ss_sampler_options o = ss_sampler_defaults(kind ? *kind : SS_SAMPLER_HEUN);
    ss_json j = {0};
    ss_code rc = SS_OK;

    o.clip = false;
    o.sigmas = SS_SIGMAS_KARRAS;
    o.sigma_min = 0.01;
    o.sigma_max = 1348;
    if (path) {
        rc = ss_json_load(&j, path, e);
        if (rc != SS_OK)
            return rc;
        o.sigma_min = ss_json_double(&j, "sigma_min", o.sigma_min);
        o.sigma_max = ss_json_double(&j, "sigma_max", o.sigma_max);
        rc = ss_json_done(&j, e);
        ss_json_release(&j);
    }
    if (rc == SS_OK)
        *opt = o;
    return rc;
}
