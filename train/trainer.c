/* trainer.c - see trainer.h */
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/net/magnitude.h"
#include "train/trainer_state.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
ss_trainer_options ss_trainer_defaults(void)
{
    return (ss_trainer_options){
        .data = ss_data_defaults(),
        .objective = ss_objective_defaults(),
        .optimizer = ss_optimizer_defaults(),
        .batch = 32,
        .accumulate = 1,
        .interval = 1,
        .scale = ss_loss_scale_defaults(),
        .spikes = ss_spike_defaults(),
        .bins = 16,
        .bin_lo = 0.01,
        .bin_hi = 100,
    };
}

static const double BIN_DECAY = 0.99; /* of the running loss by noise level */

/* Puts eyes and changes in place; with the penalty's hooks if `penalty` is set and there is one.
 */
static ss_code set_up(ss_trainer *t, const ss_trainer_eyes *eyes, bool penalty, ss_err *e)
{
    const ss_trainer_options *o = &t->opt;
    const ss_hooks *hooks = eyes ? eyes->hooks : NULL;
    ss_setup setup = {.hooks = hooks,
                      .precision = o->precision,
                      .interventions = o->interventions,
                      .n_interventions = o->n_interventions};

    if (penalty && t->penalty) {
        ss_penalty_set_next(t->penalty, hooks);
        setup.hooks = ss_penalty_hooks(t->penalty);
    }
    t->eyes = eyes ? *eyes : (ss_trainer_eyes){0};
    setup.modules = ss_model_modules(t->model, &setup.n_modules);
    return ss_ctx_setup(t->c, &setup, e);
}

/* Makes the network and binds it, with hooks and changes in place. */
static ss_code open_network(ss_trainer *t, ss_err *e)
{
    const ss_trainer_options *o = &t->opt;
    const ss_ctx_options device = {
        .device = o->device, .threads = o->threads, .arithmetic = o->arithmetic};
    const ss_module *const *modules;
    int n;
    ss_code rc;

    if ((rc = ss_model_create(o->config, o->config_name, &o->init, &t->model, e)) != SS_OK ||
        (rc = ss_ctx_new(&device, &t->c, e)) != SS_OK ||
        (rc = ss_model_bind(t->model, t->c, e)) != SS_OK)
        return rc;
    modules = ss_model_modules(t->model, &n);
    if (o->lambda != 0)
        rc = ss_penalty_new(modules, n, o->penalty, o->n_penalty, &t->penalty, e);
    return rc == SS_OK ? set_up(t, NULL, true, e) : rc;
}

/* Takes sizes from the network, and refuses one that cannot be trained here. */
static ss_code check_fit(ss_trainer *t, ss_err *e)
{
    const ss_model_info *about = ss_model_about(t->model);

    if ((about->role == SS_VAE) != (t->opt.objective.prediction == SS_OBJECTIVE_AUTOENCODER))
        return ss_fail(e, SS_USAGE, "%s: %s %s, which objective.prediction \"autoencoder\" trains",
                       t->opt.config_name, about->family,
                       about->role == SS_VAE ? "is an autoencoder" : "is no autoencoder");
    if (about->role == SS_TEXT)
        return ss_fail(e, SS_UNSUPPORTED, "%s: text encoders cannot be trained here",
                       t->opt.config_name);
    const int64_t given = about->net.needs.reference_channels;
    if (t->opt.objective.prediction == SS_OBJECTIVE_DEPTH) {
        if (about->net.out_channels != 1 || about->net.sample_frames)
            return ss_fail(e, SS_USAGE,
                           "%s: a network of depth takes pictures and answers 1 channel",
                           t->opt.config_name);
    } else if (about->net.in_channels - (given ? given + 1 : 0) != about->net.out_channels)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: a network of %" PRId64 " channels in and %" PRId64
                       " out cannot be trained here",
                       t->opt.config_name, about->net.in_channels, about->net.out_channels);
    if (about->net.sample_h < 1)
        return ss_fail(e, SS_USAGE, "%s: config.json gives no sample_size", t->opt.config_name);
    if (about->net.needs.added_width || about->net.needs.class_width > 1)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: networks that take vectors beside a text cannot be trained here; one "
                       "with a text, or num_class_embeds, can",
                       t->opt.config_name);
    if (about->net.needs.text_width && !t->opt.text)
        return ss_fail(e, SS_USAGE,
                       "%s: the network takes a text: data.text names a pipeline whose text "
                       "encoders encode the captions",
                       t->opt.config_name);
    if (!about->net.needs.text_width && t->opt.text)
        return ss_fail(e, SS_USAGE, "data.text: %s describes a network that takes no text",
                       t->opt.config_name);
    if (about->role == SS_DENOISER && t->opt.data.frames &&
        t->opt.data.frames != about->net.sample_frames)
        return ss_fail(e, SS_USAGE,
                       "data.frames is %d, and %s takes %" PRId64
                       "; the key is for autoencoders, which do not say how many frames they take",
                       t->opt.data.frames, t->opt.config_name, about->net.sample_frames);
    t->own_size = (ss_sample_size){.frames = about->role == SS_VAE ? t->opt.data.frames
                                                                   : (int)about->net.sample_frames,
                                   .height = (int)about->net.sample_h,
                                   .width = (int)about->net.sample_w,
                                   .channels = (int)about->net.out_channels};
    t->seen = ss_sample_with_channels(t->own_size, (int)about->net.in_channels);
    const ss_references_options *r = &t->opt.references;
    if (!given && (r->first > 0 || r->ends > 0 || r->lower))
        return ss_fail(e, SS_USAGE, "data.given_*: %s takes no reference frames",
                       t->opt.config_name);
    return SS_OK;
}

/* Encodes the captions of a network with text. */
static ss_code open_captions(ss_trainer *t, ss_err *e)
{
    const ss_ctx_options device = {.device = t->opt.device, .threads = t->opt.threads};
    const ss_condition_needs *needs = &ss_model_about(t->model)->net.needs;

    return t->opt.text ? ss_captions_open(t->data, t->opt.text, needs, &device, t->most_batch,
                                          &t->captions, e)
                       : SS_OK;
}

/* Makes the optimiser and the weights: the network's, or those of a model folder. */
static ss_code open_optimizer(ss_trainer *t, ss_err *e)
{
    ss_code rc = ss_trainer_open_weights(t, e);

    if (rc == SS_OK && t->opt.from)
        rc = ss_trainer_read_weights(t, t->opt.from, true, e);
    return rc == SS_OK ? ss_optimizer_new(t->c, &t->opt.optimizer, t->trained, (size_t)t->n_trained,
                                          &t->optimizer, e)
                       : rc;
}

static ss_code check_options(const ss_trainer_options *o, ss_err *e)
{
    if (o->batch < 1 || o->batch > SS_MOST_SAMPLES)
        return ss_fail(e, SS_USAGE, "training: a batch of %d; expected 1 to %d", o->batch,
                       SS_MOST_SAMPLES);
    if (o->accumulate < 1 || o->accumulate > SS_MOST_SAMPLES)
        return ss_fail(e, SS_USAGE, "training: accumulate is %d; expected 1 to %d", o->accumulate,
                       SS_MOST_SAMPLES);
    if (o->interval < 1)
        return ss_fail(e, SS_USAGE, "training: penalty interval %d; expected 1 or more",
                       o->interval);
    if (!(o->lambda >= 0) || isinf(o->lambda))
        return ss_fail(e, SS_USAGE,
                       "training: penalty coefficient %g; expected a finite number, 0 or more",
                       o->lambda);
    if (o->bins < 1 || o->bins > SS_LOSS_MAX_BINS)
        return ss_fail(e, SS_USAGE, "training: loss in %d bins; expected 1 to %d", o->bins,
                       SS_LOSS_MAX_BINS);
    if (!(o->bin_lo > 0 && o->bin_lo < o->bin_hi) || isinf(o->bin_hi))
        return ss_fail(e, SS_USAGE,
                       "training: loss in bins from sigma %g to %g; expected 0 < from < to",
                       o->bin_lo, o->bin_hi);
    ss_code rc = ss_loss_scale_check(&o->scale, e);
    if (rc == SS_OK)
        rc = ss_train_stages_check(o->stages, o->n_stages, e);
    if (rc != SS_OK)
        return rc;
    return ss_objective_check(&o->objective, e);
}

ss_code ss_trainer_new(const ss_trainer_options *opt, ss_trainer **out, ss_err *e)
{
    ss_trainer *t = ss_calloc(1, sizeof *t);
    ss_code rc = t ? check_options(opt, e) : ss_no_memory(e, "training");

    if (rc == SS_OK) {
        t->opt = *opt;
        t->drawn = -1;
        t->own_lr = opt->optimizer.lr;
        t->scale = ss_loss_scale_begin(&opt->scale);
        t->bins = (ss_loss_bins){opt->bins, opt->bin_lo, opt->bin_hi, BIN_DECAY, {0}, {0}};
        rc = open_network(t, e);
    }
    if (rc == SS_OK)
        rc = check_fit(t, e);
    if (rc == SS_OK)
        rc = ss_trainer_begin_stages(t, e);
    if (rc == SS_OK)
        rc = open_captions(t, e);
    if (rc == SS_OK)
        rc = open_optimizer(t, e);
    if (rc == SS_OK)
        rc = ss_trainer_try_stages(t, e);
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
    ss_trainer_close_weights(t);
    ss_free(t->x0);
    ss_free(t->input);
    ss_free(t->target);
    ss_free(t->noised);
    ss_free(t->noise);
    ss_free(t->latent_noise);
    ss_free(t->ids);
    ss_free(t->labels);
    ss_captions_close(t->captions);
    ss_free(t->levels);
    ss_free(t->losses);
    ss_data_close(t->data);
    ss_penalty_free(t->penalty);
    ss_model_close(t->model);
    ss_ctx_free(t->c);
    ss_free(t->ended);
    ss_free(t);
}

/* Parts sample i of the data into a picture and its depth. */
static void take_depth(ss_trainer *t, int i)
{
    const int64_t pixels = ss_sample_pixels(t->size), c = t->seen.channels;
    const float *from = t->x0 + i * pixels * (c + 1);

    for (int64_t p = 0; p < pixels; p++, from += c + 1) {
        memcpy(t->input + (i * pixels + p) * c, from, (size_t)c * sizeof *from);
        t->target[i * pixels + p] = from[c];
    }
}

/* Draws the samples of the step; those of the first, before it. */
static ss_code draw(ss_trainer *t, ss_err *e)
{
    const ss_objective *o = &t->opt.objective;
    ss_code rc = ss_trainer_enter_stage(t, t->step, e);
    const int64_t each = ss_sample_values(t->size), seen = ss_sample_values(t->seen);

    if (rc != SS_OK)
        return rc;
    t->drawn = t->step;
    ss_data_batch(t->data, t->step, t->samples, t->x0, t->ids);
    for (int i = 0; i < t->samples && rc == SS_OK; i++) {
        float *x = t->noised ? t->noised : t->input + i * seen;

        t->labels[i] = (float)t->ids[i];
        t->levels[i] = ss_objective_draw(o, t->step, i);
        if (o->prediction == SS_OBJECTIVE_DEPTH) {
            take_depth(t, i);
            continue;
        }
        if (t->latents) {
            ss_objective_noise(o, t->step, i, t->latents, t->latent_noise + i * t->latents);
            continue;
        }
        ss_objective_noise(o, t->step, i, each, t->noise);
        ss_objective_prepare(o, t->levels[i], t->x0 + i * each, t->noise, each, x,
                             t->target + i * each);
        if (t->noised)
            rc = ss_references_put(
                &t->opt.references, t->size,
                ss_rng_stream(t->opt.data.seed, "reference", (uint64_t)t->step, (uint64_t)i),
                t->x0 + i * each, x, t->input + i * seen, e);
    }
    return rc;
}

/* Fills *did once gradients and losses are there, and counts the step. */
static void report(ss_trainer *t, const ss_batch_loss *loss, double norm, ss_trainer_did *did)
{
    const ss_trainer_options *o = &t->opt;

    *did = (ss_trainer_did){
        .step = t->step,
        .stage = o->n_stages ? 1 + ss_train_stage_of(o->stages, o->n_stages, t->step) : 0,
        .loss = loss->loss,
        .penalty = loss->penalty,
        .norm = norm / t->scale.scale,
        .rate = ss_optimizer_rate(&o->optimizer, ss_optimizer_steps(t->optimizer) + 1),
        .scale = t->scale.scale,
        .staleness = NAN,
        .spike = ss_spikes_add(&t->spikes, &o->spikes, loss->loss),
        .skipped = !isfinite(norm),
    };
    t->overflows += !isfinite(loss->loss);
    for (int i = 0; i < t->samples; i++)
        ss_loss_bins_add(&t->bins, t->levels[i].sigma, t->losses[i]);
}

/* Does one step of the optimiser, and finds the stalest tensor. */
static ss_code update(ss_trainer *t, double norm, ss_trainer_did *did, ss_err *e)
{
    ss_code rc = ss_optimizer_step(t->optimizer, t->gradient, 1 / did->scale, norm, t->done, e);

    for (int i = 0; i < t->n_trained && rc == SS_OK; i++) {
        did->lost = fmax(did->lost, t->done[i].lost);
        if (t->done[i].staleness > did->staleness || !did->stalest) {
            did->staleness = t->done[i].staleness;
            did->stalest = isnan(did->staleness) ? NULL : t->trained[i].name;
        }
    }
    for (int i = 0; i < t->n && rc == SS_OK; i++)
        if (t->slot[i] >= 0)
            t->updates[i] = t->done[t->slot[i]];
    ss_trainer_forget_gradients(t);
    return rc;
}

/* Adds the gradients of all samples of the step; *loss is that of one batch of them all. */
static ss_code add_gradients(ss_trainer *t, ss_batch_loss *loss, ss_err *e)
{
    const ss_trainer_options *o = &t->opt;
    const int parts = t->stage.accumulate;
    ss_gradients_options how = ss_gradients_defaults();
    ss_batch_loss of;
    double penalty = 0, sum = 0;
    ss_code rc = SS_OK;

    how.scale = t->scale.scale;
    how.parts = parts;
    how.recompute = o->recompute;
    how.penalty = t->penalty;
    how.lambda = t->penalty && t->step % o->interval == 0 ? o->lambda * o->interval : 0;
    for (int first = 0; first < t->samples && rc == SS_OK; first += t->stage.batch) {
        ss_condition condition;
        const ss_batch batch = ss_trainer_batch(t, first, &condition);

        rc = ss_gradients_add(t->c, t->model, &batch, &how, t->losses + first, &of, e);
        penalty += of.penalty;
    }
    for (int i = 0; i < t->samples; i++)
        sum += t->losses[i];
    *loss = (ss_batch_loss){sum / t->samples, penalty / parts};
    return rc;
}

ss_code ss_trainer_step(ss_trainer *t, ss_trainer_did *did, ss_err *e)
{
    ss_batch_loss loss;
    double norm;
    ss_code rc;

    ss_trainer_forget_gradients(t); /* of a step that was skipped */
    t->step++;
    if ((rc = draw(t, e)) != SS_OK || (rc = add_gradients(t, &loss, e)) != SS_OK)
        return rc;
    ss_trainer_take_gradients(t);
    if ((rc = ss_optimizer_norm(t->optimizer, t->gradient, &norm, e)) != SS_OK)
        return rc;
    report(t, &loss, norm, did);
    did->exhausted =
        !ss_loss_scale_update(&t->scale, &t->opt.scale, !did->skipped, isfinite(did->loss));
    return did->skipped ? SS_OK : update(t, norm, did, e);
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

const ss_update *ss_trainer_updates(const ss_trainer *t)
{
    return t->updates;
}

ss_code ss_trainer_weight_stats(ss_trainer *t, int i, ss_weight_stats *out, ss_err *e)
{
    return ss_weight_stats_of(t->c, t->weights[i]->tensor, out, e);
}

ss_code ss_trainer_bad_gradient(ss_trainer *t, const char **name, ss_err *e)
{
    ss_code rc = SS_OK;

    *name = NULL;
    for (int i = t->n_trained - 1; i >= 0 && !*name && rc == SS_OK; i--) {
        ss_weight_stats s = {0};

        if (t->gradient[i])
            rc = ss_weight_stats_of(t->c, t->gradient[i], &s, e);
        if (s.nonfinite)
            *name = t->trained[i].name;
    }
    return rc;
}

const ss_loss_bins *ss_trainer_bins(const ss_trainer *t)
{
    return &t->bins;
}

const ss_spikes *ss_trainer_spikes(const ss_trainer *t)
{
    return &t->spikes;
}

const ss_loss_scale *ss_trainer_scale(const ss_trainer *t)
{
    return &t->scale;
}

int ss_trainer_rewinds(const ss_trainer *t)
{
    return t->rewinds;
}

int64_t ss_trainer_overflows(const ss_trainer *t)
{
    return t->overflows;
}

ss_code ss_trainer_end(ss_trainer *t, const char *reason, ss_err *e)
{
    ss_free(t->ended);
    t->ended = ss_strdup(reason);
    return t->ended ? SS_OK : ss_no_memory(e, "training");
}

const char *ss_trainer_ended(const ss_trainer *t)
{
    return t->ended;
}

ss_model *ss_trainer_model(ss_trainer *t)
{
    return t->model;
}

ss_ctx *ss_trainer_context(ss_trainer *t)
{
    return t->c;
}

ss_code ss_trainer_watch(ss_trainer *t, const ss_trainer_eyes *eyes, ss_err *e)
{
    return set_up(t, eyes, true, e);
}

ss_code ss_trainer_look(ss_trainer *t, const ss_trainer_eyes *eyes, bool shapes_only, ss_err *e)
{
    ss_code rc = set_up(t, eyes, false, e);

    if (rc == SS_OK && t->drawn != t->step)
        rc = draw(t, e);
    ss_ctx_set_shapes_only(t->c, shapes_only);
    for (int i = 0; i < t->samples && rc == SS_OK; i += shapes_only ? t->samples : t->stage.batch)
        rc = ss_trainer_forward(t, i, e);
    ss_ctx_set_shapes_only(t->c, false);
    return rc == SS_OK ? set_up(t, NULL, true, e) : rc;
}
