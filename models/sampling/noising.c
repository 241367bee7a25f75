/* noising.c - see noising.h; one entry of `kinds` for each kind */
#include "models/sampling/noising.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/sampling/edm.h"
#include "models/sampling/schedule_config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct ss_noising {
    ss_scheduler_kind kind;
    ss_schedule *schedule; /* of betas; for other kinds the defaults */
    ss_prediction prediction;
    double data, min; /* sigma_data, sigma_min */
    double steps;     /* flow: timesteps from 0 to this */
    double low, high; /* betas, told ln(sigma) / 4: the file's sigma_min and sigma_max; 0: none */
    bool assumed;
    ss_err unknown; /* why the file's schedule is not known */
    ss_str text;
};

/* ---- the formulas ---- */

/* x0 = skip x + out y, with x = x0 + sigma n. */
typedef struct {
    double skip, out;
} scalings;

static scalings scalings_at(const ss_noising *k, double sigma)
{
    if (k->kind == SS_SCHEDULER_CONSISTENCY) {
        const double above = sigma - k->min, d = k->data;

        return (scalings){d * d / (above * above + d * d), above * d / hypot(sigma, d)};
    }
    const ss_edm c = ss_edm_at(sigma, k->data);

    return (scalings){c.c_skip, k->prediction == SS_PREDICT_V_PREDICTION ? -c.c_out : c.c_out};
}

ss_noise_level ss_noising_level(const ss_noising *k, double sigma)
{
    switch (k->kind) {
    case SS_SCHEDULER_SCORE: return (ss_noise_level){1, sigma};
    case SS_SCHEDULER_EDM:
    case SS_SCHEDULER_CONSISTENCY: {
        const double in = 1 / hypot(sigma, k->data);

        return (ss_noise_level){in, sigma * in};
    }
    case SS_SCHEDULER_FLOW:
        return isinf(sigma) ? (ss_noise_level){0, 1}
                            : (ss_noise_level){1 / (1 + sigma), sigma / (1 + sigma)};
    case SS_SCHEDULER_BETAS: break;
    }
    return ss_noise_level_at(sigma);
}

bool ss_noising_reaches_infinity(const ss_noising *k)
{
    return k->kind == SS_SCHEDULER_FLOW ||
           (k->kind == SS_SCHEDULER_BETAS && !ss_schedule_continuous(k->schedule));
}

double ss_noising_told_exactly(const ss_noising *k, double sigma)
{
    switch (k->kind) {
    case SS_SCHEDULER_SCORE: return sigma;
    case SS_SCHEDULER_EDM: return log(sigma) / 4;
    case SS_SCHEDULER_CONSISTENCY: return 250 * log(sigma + 1e-44);
    case SS_SCHEDULER_FLOW: return k->steps * ss_noising_level(k, sigma).s;
    case SS_SCHEDULER_BETAS: break;
    }
    return ss_schedule_continuous(k->schedule) ? log(sigma) / 4
                                               : ss_schedule_step_of(k->schedule, sigma);
}

double ss_noising_told(const ss_noising *k, double sigma)
{
    if (k->kind != SS_SCHEDULER_BETAS || ss_schedule_continuous(k->schedule))
        return ss_noising_told_exactly(k, sigma);
    return (double)ss_schedule_nearest(k->schedule, sigma);
}

bool ss_noising_range(const ss_noising *k, double *low, double *high)
{
    *low = k->low;
    *high = k->high;
    return k->high > 0;
}

double ss_noising_lowest(const ss_noising *k)
{
    return k->low > 0                            ? k->low
           : k->kind == SS_SCHEDULER_FLOW        ? 1 / (k->steps - 1)
           : k->kind == SS_SCHEDULER_CONSISTENCY ? k->min
                                                 : ss_schedule_sigma(k->schedule, 0);
}

static ss_code no_timestep(double t, double last, const char *what, ss_err *e)
{
    return ss_fail(e, SS_USAGE, "timestep %g does not exist; there are %s to %g", t, what, last);
}

ss_code ss_noising_sigma(const ss_noising *k, double t, double *sigma, ss_err *e)
{
    const double last = (double)ss_schedule_steps(k->schedule) - 1;

    *sigma = t;
    switch (k->kind) {
    case SS_SCHEDULER_SCORE: break;
    case SS_SCHEDULER_EDM: *sigma = exp(4 * t); break;
    case SS_SCHEDULER_CONSISTENCY: *sigma = exp(t / 250); break;
    case SS_SCHEDULER_FLOW:
        if (!(t > 0 && t <= k->steps))
            return no_timestep(t, k->steps, "those over 0", e);
        *sigma = t < k->steps ? t / (k->steps - t) : INFINITY;
        return SS_OK;
    case SS_SCHEDULER_BETAS:
        if (ss_schedule_continuous(k->schedule)) {
            *sigma = exp(4 * t);
            break;
        }
        if (!(t >= 0 && t <= last))
            return no_timestep(t, last, "0", e);
        *sigma = ss_schedule_sigma_between(k->schedule, t);
        return SS_OK;
    }
    if (!(*sigma > 0) || isinf(*sigma))
        return ss_fail(e, SS_USAGE, "timestep %g has no noise level: sigma is %g", t, *sigma);
    return SS_OK;
}

void ss_noising_target(const ss_noising *k, ss_noise_level l, const float *x0, const float *noise,
                       int64_t n, float *out)
{
    const double sigma = l.s / l.a;

    switch (k->kind) {
    case SS_SCHEDULER_SCORE:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)(-noise[i] / sigma);
        return;
    case SS_SCHEDULER_EDM:
    case SS_SCHEDULER_CONSISTENCY: {
        const scalings c = scalings_at(k, sigma);

        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((x0[i] - c.skip * (x0[i] + sigma * noise[i])) / c.out);
        return;
    }
    case SS_SCHEDULER_FLOW:
    case SS_SCHEDULER_BETAS: ss_training_target(k->prediction, l, x0, noise, n, out); return;
    }
}

void ss_noising_denoised(const ss_noising *k, ss_noise_level l, const float *x, const float *y,
                         int64_t n, float *out)
{
    const double sigma = l.s / l.a;

    switch (k->kind) {
    case SS_SCHEDULER_SCORE:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)(x[i] + sigma * sigma * y[i]);
        return;
    case SS_SCHEDULER_EDM:
    case SS_SCHEDULER_CONSISTENCY: {
        const scalings c = scalings_at(k, sigma);

        for (int64_t i = 0; i < n; i++) /* x is a times the x of the formula */
            out[i] = (float)(c.skip / l.a * x[i] + c.out * y[i]);
        return;
    }
    case SS_SCHEDULER_FLOW:
    case SS_SCHEDULER_BETAS: ss_denoised(k->prediction, l, x, y, n, out); return;
    }
}

bool ss_noising_can_denoise(const ss_noising *k, double sigma)
{
    return !isinf(sigma) || k->prediction != SS_PREDICT_EPSILON;
}

bool ss_noising_has_target(const ss_noising *k)
{
    return k->kind != SS_SCHEDULER_CONSISTENCY;
}

bool ss_noising_takes_sigma(const ss_noising *k)
{
    return k->kind == SS_SCHEDULER_SCORE || k->kind == SS_SCHEDULER_EDM;
}

/* ---- reading ---- */

/* Sets a key to the number of an option. */
static ss_code set_number(json_t *o, const char *key, const char *option, const char *text,
                          ss_err *e)
{
    double v;

    if (!text)
        return SS_OK;
    if (!ss_parse_double(text, &v) || !(v >= 0 && v < 1))
        return ss_fail(e, SS_USAGE, "--%s takes a number from 0 to below 1, not '%s'", option,
                       text);
    return json_object_set_new(o, key, json_real(v)) == 0 ? SS_OK : ss_no_memory(e, option);
}

/* Sets the options as keys of the file, whose values they replace. */
static ss_code set_options(const ss_noising_options *opt, json_t *o, ss_err *e)
{
    ss_betas b;
    ss_prediction p;
    int failed = 0;

    if (opt->beta_schedule) {
        if (ss_betas_parse(opt->beta_schedule, &b, e) != SS_OK)
            return ss_fail_prefix(e, "--beta-schedule");
        failed |= json_object_set_new(o, "beta_schedule", json_string(ss_betas_name(b)));
    }
    if (set_number(o, "beta_start", "beta-start", opt->beta_start, e) != SS_OK ||
        set_number(o, "beta_end", "beta-end", opt->beta_end, e) != SS_OK)
        return e->code;
    if (opt->beta_schedule || opt->beta_start || opt->beta_end)
        json_object_del(o, "trained_betas");
    if (opt->prediction) {
        if (ss_prediction_parse(opt->prediction, &p, e) != SS_OK)
            return ss_fail_prefix(e, "--prediction");
        json_object_del(o, "predict_epsilon");
        failed |= json_object_set_new(o, "prediction_type", json_string(ss_prediction_name(p)));
    }
    return failed ? ss_no_memory(e, "options of the schedule") : SS_OK;
}

static double positive(ss_json *j, const char *key, double fallback)
{
    const double v = ss_json_double(j, key, fallback);

    if (!(v > 0) || isinf(v))
        ss_json_complain(j, SS_FORMAT, key, "expected a finite number over 0");
    return v;
}

static void read_edm(ss_json *j, ss_noising *k)
{
    const char *const predictions[] = {ss_prediction_name(SS_PREDICT_EPSILON),
                                       ss_prediction_name(SS_PREDICT_V_PREDICTION), NULL};

    k->prediction = (ss_prediction)ss_json_choice(j, "prediction_type", predictions, 0);
    k->data = positive(j, "sigma_data", 0.5);
    ss_str_addf(&k->text, "EDM preconditioning, sigma_data %g%s", k->data,
                k->prediction == SS_PREDICT_V_PREDICTION ? ", predicts v_prediction" : "");
}

static void read_consistency(ss_json *j, ss_noising *k)
{
    const double max = positive(j, "sigma_max", 80);

    k->data = positive(j, "sigma_data", 0.5);
    k->min = positive(j, "sigma_min", 0.002);
    if (!(max > k->min))
        ss_json_complain(j, SS_FORMAT, "sigma_max", "expected more than sigma_min");
    k->prediction = SS_PREDICT_SAMPLE;
    ss_str_addf(&k->text, "consistency model, sigma %g to %g, sigma_data %g", k->min, max, k->data);
}

/* Reads flow matching. shift_key names the shift of the steps that training and sampling prefer;
 * the network is told t whatever it is. */
static void read_flow(ss_json *j, ss_noising *k, const char *shift_key)
{
    const char *const predictions[] = {ss_prediction_name(SS_PREDICT_FLOW), NULL};
    const double shift = positive(j, shift_key, 1);
    const int64_t steps = ss_json_int(j, "num_train_timesteps", 1000);

    if (steps < 1 || steps > SS_SCHEDULE_MAX_STEPS)
        ss_json_complain(j, SS_FORMAT, "num_train_timesteps", "expected a number of steps");
    if (ss_json_bool(j, "invert_sigmas", false))
        ss_json_complain(j, SS_UNSUPPORTED, "invert_sigmas",
                         "time that runs backwards is not "
                         "supported");
    ss_json_choice(j, "prediction_type", predictions, 0);
    k->prediction = SS_PREDICT_FLOW;
    k->steps = (double)steps;
    ss_str_addf(&k->text, "flow matching, timesteps to %" PRId64 ", shift %g, predicts %s", steps,
                shift, ss_prediction_name(k->prediction));
}

static ss_code read_betas(ss_json *j, ss_noising *k, bool *has_trained, ss_schedule_options *o,
                          ss_err *e)
{
    double *trained;
    ss_schedule *s = NULL;
    ss_code rc;

    ss_schedule_read_options(j, o, &trained);
    rc = ss_json_done(j, e);
    if (rc == SS_OK) {
        rc = ss_schedule_new(o, &s, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s", j->name);
    }
    *has_trained = trained != NULL;
    ss_free(trained);
    o->trained = NULL;
    if (rc == SS_OK) {
        ss_schedule_free(k->schedule);
        k->schedule = s;
        k->prediction = o->prediction;
    }
    return rc;
}

static void describe_betas(ss_noising *k, bool trained, const ss_schedule_options *o)
{
    const ss_schedule *s = k->schedule;
    const int64_t n = ss_schedule_steps(s);

    if (trained)
        ss_str_add(&k->text, "trained betas");
    else if (o->betas == SS_BETAS_COSINE || o->betas == SS_BETAS_LAPLACE)
        ss_str_addf(&k->text, "%s betas", ss_betas_name(o->betas));
    else
        ss_str_addf(&k->text, "%s betas %g to %g", ss_betas_name(o->betas), o->beta_start,
                    o->beta_end);
    ss_str_addf(&k->text, ", %" PRId64 " steps", n);
    if (k->high > 0)
        ss_str_addf(&k->text, ", sigma %.4g to %.4g", k->low, k->high);
    else if (!k->assumed)
        ss_str_addf(&k->text, ", sigma %.4g to %.4g", ss_schedule_sigma(s, 0),
                    ss_schedule_sigma(s, n - 1));
    ss_str_addf(&k->text, "%s, predicts %s", o->continuous ? ", told ln(sigma) / 4" : "",
                ss_prediction_name(o->prediction));
}

/* Reads the sigmas that a network told ln(sigma) / 4 goes to, where the file has them. */
static void read_range(ss_json *j, ss_noising *k)
{
    const double low = ss_json_double(j, "sigma_min", 0), high = ss_json_double(j, "sigma_max", 0);

    if (low > 0 && high > low && isfinite(high)) {
        k->low = low;
        k->high = high;
    }
}

/* Reads the file by its class, or the options'; fills all but what the formulas of betas need. */
static ss_code read_file(ss_json *j, const ss_scheduler_class *class, ss_noising *k, ss_err *e)
{
    ss_schedule_options o;
    bool trained;
    ss_code rc;

    if (class)
        ss_str_addf(&k->text, "%s: ", class->name);
    if (class && class->kind == SS_SCHEDULER_BETAS &&
        !(class->takes_flow && ss_json_bool(j, "use_flow_sigmas", false))) {
        rc = read_betas(j, k, &trained, &o, e);
        if (rc == SS_OK && o.continuous)
            read_range(j, k);
        if (rc == SS_OK)
            describe_betas(k, trained, &o);
        return rc;
    }
    if (!class)
        ss_schedule_read_options(j, &o, &(double *){NULL}); /* for its complaints */
    else if (class->kind == SS_SCHEDULER_EDM)
        read_edm(j, k);
    else if (class->kind == SS_SCHEDULER_CONSISTENCY)
        read_consistency(j, k);
    else if (class->kind == SS_SCHEDULER_SCORE)
        ss_json_complain(j, SS_UNSUPPORTED, "_class_name",
                         "it is of networks that take sigma, and this one takes timesteps");
    else
        read_flow(j, k, class->kind == SS_SCHEDULER_FLOW ? "shift" : "flow_shift");
    rc = ss_json_done(j, e);
    if (rc == SS_OK)
        k->kind = class->kind == SS_SCHEDULER_BETAS ? SS_SCHEDULER_FLOW : class->kind;
    return rc;
}

/* Sets what neither file nor option says. All versions of Stable Diffusion have these betas in
 * their published files. */
static ss_code set_assumed(const ss_noising_options *opt, json_t *o, ss_err *e)
{
    if (opt->like_stable_diffusion &&
        (json_object_set_new(o, "beta_schedule",
                             json_string(ss_betas_name(SS_BETAS_SCALED_LINEAR))) ||
         json_object_set_new(o, "beta_start", json_real(0.00085)) ||
         json_object_set_new(o, "beta_end", json_real(0.012))))
        return ss_no_memory(e, "a schedule");
    return SS_OK;
}

/* Reads the options where there is no file, or none that is usable. */
static ss_code read_nothing(const ss_noising_options *opt, ss_noising *k, ss_err *e)
{
    json_t *o = json_object();
    ss_schedule_options options;
    ss_json j = {0};
    bool trained;
    ss_code rc = o ? set_assumed(opt, o, e) : ss_no_memory(e, "a schedule");

    if (rc == SS_OK)
        rc = set_options(opt, o, e);
    if (rc == SS_OK)
        rc = ss_json_wrap(&j, "the schedule", o, e);
    if (rc == SS_OK)
        rc = read_betas(&j, k, &trained, &options, e);
    if (rc == SS_OK) {
        const bool given = opt->beta_schedule &&
                           (options.betas == SS_BETAS_COSINE || (opt->beta_start && opt->beta_end));
        k->assumed |= !given || !opt->prediction;
        ss_str_add(&k->text, k->assumed ? "assumed " : "");
        describe_betas(k, false, &options);
        if (opt->like_stable_diffusion && !opt->beta_schedule)
            ss_str_add(&k->text, ", as of Stable Diffusion, which the network looks like");
        if (k->unknown.code != SS_OK)
            ss_str_addf(&k->text, ", because %s", k->unknown.msg);
        if (k->assumed)
            ss_str_add(&k->text, "; give --scheduler");
    }
    ss_json_release(&j);
    json_decref(o);
    return rc;
}

static bool has_beta_options(const ss_noising_options *opt)
{
    return opt->beta_schedule || opt->beta_start || opt->beta_end;
}

/* Loads the file, or a copy of what stands in for it, which options then change. */
static ss_code load(const ss_noising_options *opt, ss_json *j, ss_err *e)
{
    if (opt->file)
        return ss_json_load(j, opt->file, e);
    json_t *copy = json_deep_copy(opt->inferred);
    const ss_code rc =
        copy ? ss_json_wrap(j, "the schedule", copy, e) : ss_no_memory(e, "a schedule");
    json_decref(copy);
    return rc;
}

/* Says that the schedule is a convention. */
static void say_inferred(ss_noising *k)
{
    ss_str text = k->text;

    k->text = (ss_str){0};
    ss_str_addf(&k->text, "assumed %s, by convention; give --scheduler", text.s ? text.s : "");
    k->text.failed |= text.failed;
    ss_str_release(&text);
}

static ss_code open_file(const ss_noising_options *opt, ss_noising *k, ss_err *e)
{
    const bool betas = has_beta_options(opt);
    ss_json j = {0};
    ss_err why = {0};
    ss_code rc = load(opt, &j, &why);

    if (rc == SS_FORMAT) { /* not JSON: an error only for callers that need the schedule */
        k->unknown = why;
        return SS_OK;
    }
    if (rc != SS_OK)
        return ss_fail(e, rc, "%s", why.msg);
    const char *name = ss_json_string(&j, "_class_name", NULL);
    const ss_scheduler_class *class = ss_scheduler_class_find(name);

    if (betas && (!class || class->kind != SS_SCHEDULER_BETAS)) {

        ss_note("%s is of %s, and --beta-* say otherwise: it is not read", j.name,
                SS_SHOW(name ? name : ""));
        ss_json_release(&j);
        return read_nothing(opt, k, e);
    }
    rc = set_options(opt, j.root, e);
    k->assumed = !opt->file;
    if (rc == SS_OK && read_file(&j, class, k, &k->unknown) != SS_OK) {
        ss_str_release(&k->text);
        rc = k->unknown.code == SS_NOMEM ? ss_fail(e, SS_NOMEM, "%s", k->unknown.msg) : SS_OK;
    }
    ss_json_release(&j);
    return rc;
}

static ss_code fill(const ss_noising_options *opt, ss_noising *k, ss_err *e)
{
    const ss_schedule_options defaults = ss_schedule_defaults();
    ss_code rc = ss_schedule_new(&defaults, &k->schedule, e);

    k->prediction = SS_PREDICT_EPSILON;
    if (rc == SS_OK && opt->takes_sigma && (has_beta_options(opt) || opt->prediction))
        return ss_fail(e, SS_USAGE,
                       "the network takes sigma itself: --beta-schedule, --beta-start, --beta-end "
                       "and --prediction are of networks with timesteps");
    if (rc == SS_OK && opt->takes_sigma) { /* the file of a score network is about sampling only */
        k->kind = SS_SCHEDULER_SCORE;
        ss_str_add(&k->text, "none: the network takes sigma itself");
    } else if (rc == SS_OK) {
        if (!opt->file && !opt->prediction && opt->ask_prediction && *opt->ask_prediction)
            ss_fail(&k->unknown, SS_USAGE, "%s", opt->ask_prediction);
        else
            rc = opt->file || opt->inferred ? open_file(opt, k, e) : read_nothing(opt, k, e);
    }
    if (rc == SS_OK && !opt->file && opt->inferred && k->unknown.code == SS_OK && k->assumed)
        say_inferred(k);
    if (rc == SS_OK && k->unknown.code != SS_OK) {
        ss_noising_options nothing = *opt;

        nothing.beta_schedule = nothing.beta_start = nothing.beta_end = NULL;
        k->assumed = true;
        rc = read_nothing(&nothing, k, e);
    }
    if (rc == SS_OK && k->text.failed)
        rc = ss_no_memory(e, "a schedule");
    return rc;
}

ss_code ss_noising_open(const ss_noising_options *opt, ss_noising **out, ss_err *e)
{
    ss_noising *k = ss_calloc(1, sizeof *k);

    if (!k)
        return ss_no_memory(e, "a schedule");
    ss_code rc = fill(opt, k, e);
    if (rc == SS_OK)
        *out = k;
    else
        ss_noising_free(k);
    return rc;
}

void ss_noising_free(ss_noising *k)
{
    if (!k)
        return;
    ss_schedule_free(k->schedule);
    ss_str_release(&k->text);
    ss_free(k);
}

ss_code ss_noising_check(const ss_noising *k, ss_err *e)
{
    if (k->unknown.code == SS_OK)
        return SS_OK;
    return ss_fail(e, k->unknown.code,
                   "%s; another file by --scheduler, or --timesteps with --inputs raw: alone",
                   k->unknown.msg);
}

bool ss_noising_assumed(const ss_noising *k)
{
    return k->assumed;
}

const char *ss_noising_text(const ss_noising *k)
{
    return k->text.s ? k->text.s : "";
}

const char *ss_noising_prediction(const ss_noising *k)
{
    switch (k->kind) {
    case SS_SCHEDULER_EDM: return "edm";
    case SS_SCHEDULER_CONSISTENCY: return "consistency";
    case SS_SCHEDULER_SCORE: return "score";
    case SS_SCHEDULER_BETAS:
    case SS_SCHEDULER_FLOW: break;
    }
    return ss_prediction_name(k->prediction);
}

ss_scheduler_kind ss_noising_kind(const ss_noising *k)
{
    return k->kind;
}

const ss_schedule *ss_noising_schedule(const ss_noising *k)
{
    return k->schedule;
}
