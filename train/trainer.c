/* trainer.c - see trainer.h */
#include "train/trainer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/checkpoint_write.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct ss_trainer {
    ss_trainer_options opt;
    ss_ctx *c;
    ss_model *model;
    ss_data *data;
    ss_penalty *penalty; /* or NULL */
    ss_optimizer *optimizer;
    int64_t step;

    ss_weight *const *weights; /* [n] */
    int n;
    ss_trained *trained; /* [n], w owned */
    float **gradient;    /* [n] */

    int h, w, channels;
    float *x0, *input, *target; /* [batch][h][w][channels] */
    float *noise;               /* [h][w][channels] */
    int64_t *ids;               /* [batch] labels as the data have them, */
    float *labels;              /*   and as the network wants them */
    ss_level *levels;           /* [batch] */
    double *losses;
};

ss_trainer_options ss_trainer_defaults(void)
{
    return (ss_trainer_options){
        .data = ss_data_defaults(),
        .objective = ss_objective_defaults(),
        .optimizer = ss_optimizer_defaults(),
        .batch = 32,
        .interval = 1,
        .scale = 1,
    };
}

static ss_code out_of_memory(ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "training: out of memory");
}

/* The network: made, bound, with hooks and changes in place. */
static ss_code open_network(ss_trainer *t, ss_err *e)
{
    const ss_trainer_options *o = &t->opt;
    const ss_ctx_options device = {.device = o->device, .threads = o->threads};
    ss_setup setup = {.precision = o->precision,
                      .interventions = o->interventions,
                      .n_interventions = o->n_interventions};
    ss_code rc;

    if ((rc = ss_model_create(o->model, &o->init, &t->model, e)) != SS_OK ||
        (rc = ss_ctx_new(&device, &t->c, e)) != SS_OK ||
        (rc = ss_model_bind(t->model, t->c, e)) != SS_OK)
        return rc;
    setup.modules = ss_model_modules(t->model, &setup.n_modules);
    if (o->lambda != 0) {
        rc = ss_penalty_new(setup.modules, setup.n_modules, o->penalty, o->n_penalty, NULL,
                            &t->penalty, e);
        if (rc != SS_OK)
            return rc;
        setup.hooks = ss_penalty_hooks(t->penalty);
    }
    return ss_ctx_setup(t->c, &setup, e);
}

/* Sizes, and what the network and the data want of each other. */
static ss_code check_fit(ss_trainer *t, ss_err *e)
{
    const ss_model_info *about = ss_model_about(t->model);

    if (about->in_channels != about->out_channels)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: a network of %" PRId64 " channels in and %" PRId64
                       " out cannot be trained here",
                       t->opt.model, about->in_channels, about->out_channels);
    if (about->sample_h < 1)
        return ss_fail(e, SS_USAGE, "%s: config.json gives no sample_size", t->opt.model);
    if (about->needs.text_width || about->needs.added_width || about->needs.class_width > 1)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: networks that take text or embeddings cannot be trained here; one with "
                       "num_class_embeds can",
                       t->opt.model);
    t->h = (int)about->sample_h;
    t->w = (int)about->sample_w;
    t->channels = (int)about->in_channels;
    return SS_OK;
}

static ss_code open_data(ss_trainer *t, ss_err *e)
{
    const int64_t classes = ss_model_about(t->model)->needs.n_classes;
    ss_data_options o = t->opt.data;
    ss_code rc;

    o.h = t->h;
    o.w = t->w;
    o.c = t->channels;
    if ((rc = ss_data_open(&o, &t->data, e)) != SS_OK)
        return rc;
    if (classes && (ss_data_classes(t->data) > classes || o.null_class >= classes))
        return ss_fail(e, SS_USAGE,
                       "%s: the network knows labels 0 to %" PRId64 ", the data have %" PRId64
                       " classes and the null class %" PRId64,
                       t->opt.model, classes - 1, ss_data_classes(t->data), o.null_class);
    if (classes && !ss_data_classes(t->data) && o.null_class < 0)
        return ss_fail(e, SS_USAGE, "%s: the network wants labels, and the data have none",
                       t->opt.model);
    return SS_OK;
}

/* Parameters on the host, where the optimiser changes them. */
static ss_code open_optimizer(ss_trainer *t, ss_err *e)
{
    t->weights = ss_model_weights(t->model, &t->n);
    t->trained = ss_calloc((size_t)t->n, sizeof *t->trained);
    t->gradient = ss_calloc((size_t)t->n, sizeof *t->gradient);
    if (!t->trained || !t->gradient)
        return out_of_memory(e);
    for (int i = 0; i < t->n; i++) {
        const int64_t n = ss_shape_numel(t->weights[i]->shape);
        ss_code rc;

        t->trained[i] = (ss_trained){t->weights[i]->name, n, ss_alloc((size_t)n, sizeof(float))};
        t->gradient[i] = ss_alloc((size_t)n, sizeof(float));
        if (!t->trained[i].w || !t->gradient[i])
            return out_of_memory(e);
        if ((rc = ss_download(t->c, t->weights[i]->tensor, t->trained[i].w, e)) != SS_OK)
            return rc;
        ss_tensor_want_gradient(t->weights[i]->tensor, true);
    }
    return ss_optimizer_new(&t->opt.optimizer, t->trained, (size_t)t->n, &t->optimizer, e);
}

static ss_code open_batch(ss_trainer *t, ss_err *e)
{
    const size_t n = (size_t)t->opt.batch;
    const size_t each = (size_t)t->h * (size_t)t->w * (size_t)t->channels;

    t->x0 = ss_alloc(n * each, sizeof *t->x0);
    t->input = ss_alloc(n * each, sizeof *t->input);
    t->target = ss_alloc(n * each, sizeof *t->target);
    t->noise = ss_alloc(each, sizeof *t->noise);
    t->ids = ss_alloc(n, sizeof *t->ids);
    t->labels = ss_alloc(n, sizeof *t->labels);
    t->levels = ss_calloc(n, sizeof *t->levels);
    t->losses = ss_calloc(n, sizeof *t->losses);
    return t->x0 && t->input && t->target && t->noise && t->ids && t->labels && t->levels &&
                   t->losses
               ? SS_OK
               : out_of_memory(e);
}

static ss_code check_options(const ss_trainer_options *o, ss_err *e)
{
    enum { MOST = 1 << 16 };

    if (o->batch < 1 || o->batch > MOST)
        return ss_fail(e, SS_USAGE, "training: a batch of %d; 1 to %d", o->batch, MOST);
    if (o->interval < 1)
        return ss_fail(e, SS_USAGE, "training: a penalty at every %d-th step; 1 or more",
                       o->interval);
    if (!(o->lambda >= 0) || isinf(o->lambda))
        return ss_fail(e, SS_USAGE, "training: a penalty of %g; 0 or more", o->lambda);
    if (!(o->scale > 0) || isinf(o->scale))
        return ss_fail(e, SS_USAGE, "training: a loss scale of %g; above 0", o->scale);
    return ss_objective_check(&o->objective, e);
}

ss_code ss_trainer_new(const ss_trainer_options *opt, ss_trainer **out, ss_err *e)
{
    ss_trainer *t = ss_calloc(1, sizeof *t);
    ss_code rc = t ? check_options(opt, e) : out_of_memory(e);

    if (rc == SS_OK) {
        t->opt = *opt;
        rc = open_network(t, e);
    }
    if (rc == SS_OK)
        rc = check_fit(t, e);
    if (rc == SS_OK)
        rc = open_data(t, e);
    if (rc == SS_OK)
        rc = open_optimizer(t, e);
    if (rc == SS_OK)
        rc = open_batch(t, e);
    if (rc != SS_OK) {
        ss_trainer_free(t);
        return rc;
    }
    *out = t;
    return SS_OK;
}

void ss_trainer_free(ss_trainer *t)
{
    if (!t)
        return;
    ss_optimizer_free(t->optimizer);
    for (int i = 0; i < t->n; i++) {
        if (t->trained)
            ss_free(t->trained[i].w);
        if (t->gradient)
            ss_free(t->gradient[i]);
    }
    ss_free(t->trained);
    ss_free(t->gradient);
    ss_free(t->x0);
    ss_free(t->input);
    ss_free(t->target);
    ss_free(t->noise);
    ss_free(t->ids);
    ss_free(t->labels);
    ss_free(t->levels);
    ss_free(t->losses);
    ss_data_close(t->data);
    ss_penalty_free(t->penalty);
    ss_model_close(t->model);
    ss_ctx_free(t->c);
    ss_free(t);
}

/* Draws the batch of the step. */
static void draw(ss_trainer *t)
{
    const ss_objective *o = &t->opt.objective;
    const int64_t each = (int64_t)t->h * t->w * t->channels;

    ss_data_batch(t->data, t->step, t->opt.batch, t->x0, t->ids);
    for (int i = 0; i < t->opt.batch; i++) {
        t->labels[i] = (float)t->ids[i];
        t->levels[i] = ss_objective_draw(o, t->step, i);
        ss_objective_noise(o, t->step, i, each, t->noise);
        ss_objective_prepare(o, t->levels[i], t->x0 + i * each, t->noise, each, t->input + i * each,
                             t->target + i * each);
    }
}

/* Gradients to the host; those on the device are zero from then on. */
static ss_code fetch_gradients(ss_trainer *t, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        ss_tensor *w = t->weights[i]->tensor;
        const ss_tensor *g = ss_tensor_gradient(w);

        if (g)
            rc = ss_download(t->c, g, t->gradient[i], e);
        else
            memset(t->gradient[i], 0, (size_t)t->trained[i].n * sizeof(float));
        ss_tensor_zero_gradient(w);
    }
    return rc;
}

static ss_code set_weights(ss_trainer *t, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < t->n && rc == SS_OK; i++)
        rc = ss_param_set(t->c, t->weights[i]->tensor, t->trained[i].w, e);
    return rc;
}

ss_code ss_trainer_step(ss_trainer *t, ss_trainer_did *did, ss_err *e)
{
    const ss_trainer_options *o = &t->opt;
    const ss_condition condition = {.class_labels = t->labels};
    const ss_batch batch = {.n = o->batch,
                            .h = t->h,
                            .w = t->w,
                            .x = t->input,
                            .levels = t->levels,
                            .condition =
                                ss_model_about(t->model)->needs.n_classes ? &condition : NULL,
                            .target = t->target};
    ss_gradients_options how = ss_gradients_defaults();
    ss_batch_loss loss;
    ss_code rc;

    t->step++;
    draw(t);
    how.scale = o->scale;
    how.recompute = o->recompute;
    how.penalty = t->penalty;
    how.lambda = t->penalty && t->step % o->interval == 0 ? o->lambda * o->interval : 0;
    if ((rc = ss_gradients_add(t->c, t->model, &batch, &how, t->losses, &loss, e)) != SS_OK ||
        (rc = fetch_gradients(t, e)) != SS_OK)
        return rc;

    const float *const *gradient = (const float *const *)t->gradient;
    const double norm = ss_optimizer_norm(t->optimizer, gradient);
    *did = (ss_trainer_did){
        .step = t->step,
        .loss = loss.loss,
        .penalty = loss.penalty,
        .norm = norm / o->scale,
        .rate = ss_optimizer_rate(&o->optimizer, ss_optimizer_steps(t->optimizer) + 1),
        .skipped = !isfinite(norm),
    };
    if (did->skipped)
        return SS_OK;
    ss_optimizer_step(t->optimizer, gradient, 1 / o->scale, norm, NULL);
    return set_weights(t, e);
}

int64_t ss_trainer_steps(const ss_trainer *t)
{
    return t->step;
}

const double *ss_trainer_losses(const ss_trainer *t)
{
    return t->losses;
}

const ss_level *ss_trainer_levels(const ss_trainer *t)
{
    return t->levels;
}

ss_model *ss_trainer_model(ss_trainer *t)
{
    return t->model;
}

ss_ctx *ss_trainer_context(ss_trainer *t)
{
    return t->c;
}

static const char state_file[] = "optimizer.safetensors", step_file[] = "training.json",
                  weight_file[] = "diffusion_pytorch_model.safetensors";

static ss_code write_step(const ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, step_file);
    ss_outfile o = {0};
    ss_code rc = path ? ss_outfile_open(&o, path, e) : out_of_memory(e);

    if (rc == SS_OK) {
        fprintf(o.f, "{\"step\": %" PRId64 "}\n", t->step);
        rc = ss_outfile_commit(&o, e);
    }
    ss_free(path);
    return rc;
}

static ss_code write_state(const ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, state_file);
    ss_code rc = path ? ss_optimizer_save(t->optimizer, path, e) : out_of_memory(e);

    ss_free(path);
    return rc == SS_OK ? write_step(t, folder, e) : rc;
}

ss_code ss_trainer_save(const ss_trainer *t, const char *folder, bool ema, ss_err *e)
{
    ss_st_item *items = ss_calloc((size_t)t->n, sizeof *items);
    ss_outdir o = {0};
    ss_code rc = items ? ss_outdir_open(&o, folder, "config.json", true, e) : out_of_memory(e);

    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_shape s = t->weights[i]->shape;

        items[i] = (ss_st_item){.name = t->weights[i]->name, .dtype = SS_F32, .rank = s.rank};
        items[i].values = ema ? ss_optimizer_ema(t->optimizer, (size_t)i) : t->trained[i].w;
        for (int d = 0; d < s.rank; d++)
            items[i].dim[d] = s.dim[d];
        if (!items[i].values)
            rc = ss_fail(e, SS_USAGE, "%s: no average of the weights is kept (ema_decay is 0)",
                         folder);
    }
    if (rc == SS_OK) {
        const ss_checkpoint_parts parts = {
            .config = ss_model_config(t->model), .weights = items, .n_weights = (size_t)t->n};

        rc = ss_checkpoint_write_into(o.tmp, &parts, e);
    }
    if (rc == SS_OK && !ema)
        rc = write_state(t, o.tmp, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&o, e);
    ss_outdir_discard(&o);
    ss_free(items);
    return rc;
}

static ss_code read_weights(ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, weight_file), have[96], want[96];
    ss_safetensors *f = NULL;
    ss_code rc = path ? ss_safetensors_open(path, &f, e) : out_of_memory(e);

    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_weight *w = t->weights[i];
        const ss_st_tensor *s = ss_safetensors_find(f, w->name);
        bool fits = s && s->usable && s->rank == w->shape.rank;

        for (int d = 0; fits && d < s->rank; d++)
            fits = s->dim[d] == w->shape.dim[d];
        if (!s)
            rc = ss_fail(e, SS_SHAPE, "%s: %s is missing", path, w->name);
        else if (!fits)
            rc = ss_fail(e, SS_SHAPE, "%s: %s is %s, the network's is %s", path, w->name,
                         ss_st_shape_text(s, have, sizeof have),
                         ss_shape_text(w->shape, want, sizeof want));
        else
            ss_values_to_f32(s->dtype, s->data, (size_t)t->trained[i].n, t->trained[i].w);
    }
    ss_safetensors_close(f);
    ss_free(path);
    return rc == SS_OK ? set_weights(t, e) : rc;
}

static ss_code read_step(ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, step_file);
    ss_json j = {0};
    ss_code rc = path ? ss_json_load(&j, path, e) : out_of_memory(e);

    if (rc == SS_OK) {
        const int64_t step = ss_json_int(&j, "step", -1);

        if (step < 0)
            ss_json_complain(&j, SS_FORMAT, "step", "a whole number from 0 on is expected");
        if ((rc = ss_json_done(&j, e)) == SS_OK)
            t->step = step;
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}

ss_code ss_trainer_load(ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, state_file);
    ss_code rc = path ? read_weights(t, folder, e) : out_of_memory(e);

    if (rc == SS_OK)
        rc = ss_optimizer_load(t->optimizer, path, e);
    if (rc == SS_OK)
        rc = read_step(t, folder, e);
    ss_free(path);
    return rc;
}
