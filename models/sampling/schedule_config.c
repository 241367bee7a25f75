/* schedule_config.c - see schedule_config.h */
#include "models/sampling/schedule_config.h"

#include "base/mem.h"
#include "models/sampling/scheduler_class.h"

#define X(name, text) text,
static const char *const betas_names[] = {SS_BETAS(X) NULL};
static const char *const prediction_names[] = {SS_PREDICTIONS(X) NULL};
#undef X

static ss_code read_trained(ss_json *j, ss_schedule_options *o, double **betas)
{
    const json_t *v = ss_json_get(j, "trained_betas");
    const size_t n = json_array_size(v);

    if (!v)
        return SS_OK;
    if (!json_is_array(v) || n < 1 || n > SS_SCHEDULE_MAX_STEPS) {
        ss_json_complain(j, SS_FORMAT, "trained_betas", "expected a list of numbers");
        return SS_FORMAT;
    }
    *betas = ss_alloc(n, sizeof **betas);
    if (!*betas) {
        ss_json_complain(j, SS_NOMEM, "trained_betas", "out of memory");
        return SS_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(v, i)))
            ss_json_complain(j, SS_FORMAT, "trained_betas", "expected a list of numbers");
        (*betas)[i] = json_number_value(json_array_get(v, i));
    }
    o->trained = *betas;
    o->steps = (int64_t)n;
    return SS_OK;
}

/* Reads what the network predicts. Files of diffusers 0.4 to 0.9 say it by predict_epsilon, and
 * files that a later version saved again have both keys. */
static ss_prediction read_prediction(ss_json *j)
{
    const bool old = ss_json_has(j, "predict_epsilon");
    const bool epsilon = ss_json_bool(j, "predict_epsilon", true);
    const bool named = ss_json_has(j, "prediction_type");
    const int p = ss_json_choice(j, "prediction_type", prediction_names, SS_PREDICT_EPSILON);

    if (p == SS_PREDICT_FLOW)
        ss_json_complain(j, SS_UNSUPPORTED, "prediction_type",
                         "of betas it is epsilon, v_prediction or sample; flow_prediction goes "
                         "with use_flow_sigmas or a FlowMatch class");
    if (old && !named)
        return epsilon ? SS_PREDICT_EPSILON : SS_PREDICT_SAMPLE;
    if (old && (epsilon ? p == SS_PREDICT_SAMPLE : p != SS_PREDICT_SAMPLE))
        ss_json_complain(j, SS_FORMAT, "predict_epsilon",
                         "prediction_type is %s: say which by --prediction",
                         ss_prediction_name((ss_prediction)p));
    return (ss_prediction)p;
}

void ss_schedule_read_options(ss_json *j, ss_schedule_options *o, double **trained)
{
    static const char *const timestep_types[] = {"discrete", "continuous", NULL};
    const ss_scheduler_class *class = ss_scheduler_class_read(j);
    const bool zero_snr = ss_json_bool(j, "rescale_betas_zero_snr", false);

    *trained = NULL;
    *o = ss_schedule_defaults();
    if (!class || class->kind != SS_SCHEDULER_BETAS) {
        ss_json_complain(j, SS_UNSUPPORTED, "_class_name",
                         class ? "its noise is not made of betas, which this needs"
                               : "this class is not known");
        return;
    }
    o->betas = (ss_betas)ss_json_choice(j, "beta_schedule", betas_names, (int)class->betas);
    o->beta_start = ss_json_double(j, "beta_start", class->beta_start);
    o->beta_end = ss_json_double(j, "beta_end", class->beta_end);
    o->steps = ss_json_int(j, "num_train_timesteps", o->steps);
    o->zero_snr = zero_snr;
    o->last_abar = class->tiny_end ? 0x1p-24 : 0;
    o->snr_shift =
        class->snr_shift != 1 ? ss_json_double(j, "snr_shift_scale", class->snr_shift) : 1;
    o->prediction = read_prediction(j);
    /* the reference conditions on ln(sigma) / 4 for v alone, and on steps otherwise */
    o->continuous = ss_json_choice(j, "timestep_type", timestep_types, 0) == 1 &&
                    o->prediction == SS_PREDICT_V_PREDICTION;
    read_trained(j, o, trained);
}

ss_code ss_schedule_read(ss_json *j, ss_schedule **s, ss_err *e)
{
    ss_schedule_options o;
    double *trained;
    ss_code rc;

    ss_schedule_read_options(j, &o, &trained);
    rc = ss_json_done(j, e);
    if (rc == SS_OK) {
        rc = ss_schedule_new(&o, s, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s", j->name);
    }
    ss_free(trained);
    return rc;
}

ss_code ss_schedule_load(const char *path, ss_schedule **s, ss_err *e)
{
    const ss_schedule_options defaults = ss_schedule_defaults();
    ss_json j = {0};
    ss_code rc;

    if (!path)
        return ss_schedule_new(&defaults, s, e);
    rc = ss_json_load(&j, path, e);
    if (rc == SS_OK)
        rc = ss_schedule_read(&j, s, e);
    ss_json_release(&j);
    return rc;
}
