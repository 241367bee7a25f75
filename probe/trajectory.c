/* trajectory.c - see trajectory.h */
#include "probe/trajectory.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/context.h"
#include "models/sampling/sampler_config.h"
#include "probe/concat.h"
#include "probe/given.h"
#include "probe/interrupt.h"
#include "probe/trajectory_record.h"

#include <string.h>

struct ss_trajectory {
    ss_trajectory_options opt;
    ss_network net;
    ss_sampler *sampler;
    ss_conditions conditions;
    ss_concat_channels concat;
    ss_sample_size picture; /* of what is sampled */
    int batch;
    ss_track track; /* {0} if no run file is written */
    int runs;       /* begun */

    float *init;   /* [samples][H][W][C] of the options, or NULL */
    float *x;      /* [samples][H][W][C], the states */
    float *memory; /* [samples][2][H][W][C], the sampler's */
    /* one batch, twice as many rows under guidance */
    float *in;       /* [rows][H][W][in_channels] */
    float *y;        /* [rows][H][W][out_channels] */
    float *t;        /* [rows] */
    int *sample;     /* [batch] */
    float *answer;   /* [H][W][C] */
    float *variance; /* [H][W][C] */
    float *noise;    /* [H][W][C] */
    float *clean;    /* [H][W][C] */
};

static int64_t values(const ss_trajectory *t)
{
    return ss_sample_values(t->picture);
}

/* Checks that there is a sampler: for networks with timesteps of betas, and those that take sigma.
 */
static ss_code check_schedule(const ss_trajectory *t, ss_err *e)
{
    const ss_noising *k = t->net.noising;

    if (ss_noising_check(k, e) != SS_OK)
        return ss_fail_prefix(e, "%s", t->opt.network.model);
    if (ss_noising_kind(k) != SS_SCHEDULER_BETAS && ss_noising_kind(k) != SS_SCHEDULER_SCORE)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: %s; it can be probed, but there is no sampler for it here",
                       t->opt.network.model, ss_noising_text(k));
    return t->net.exact ? ss_fail(e, SS_USAGE,
                                  "--round-timestep none is for probes: a sampler has timesteps of "
                                  "its own")
                        : SS_OK;
}

/* Turns clipping off for latents, which have no range as pictures have. Pipelines of latents turn
 * off the default of a scheduler's class; those of Stable Diffusion even ignore clip_sample in the
 * file. */
static void leave_latents_alone(const ss_trajectory *t, ss_sampler_options *o)
{
    const ss_model_info *about = ss_model_about(t->net.model);
    const bool latent = (t->picture.channels != 1 && t->picture.channels != 3) || about->has_vae;

    if (!latent || !o->clip || o->clip_range > 1)
        return;
    if (o->clip_given)
        ss_note("%s: clip_sample is true; latents are not clipped to -1..1", about->scheduler);
    o->clip = false;
}

/* Reads the sampler's options from the scheduler's file, or from what stands in for it. */
static ss_code read_sampler(const ss_model_info *about, const ss_sampler_kind *kind,
                            ss_sampler_options *o, ss_err *e)
{
    ss_json j = {0};

    if (about->scheduler || !about->inferred_scheduler)
        return ss_sampler_options_load(about->scheduler, kind, o, e);
    json_t *copy = json_deep_copy(about->inferred_scheduler);
    ss_code rc = copy ? ss_json_wrap(&j, "the schedule", copy, e) : ss_no_memory(e, "a schedule");
    if (rc == SS_OK)
        rc = ss_sampler_options_read(&j, kind, o, e);
    ss_json_release(&j);
    json_decref(copy);
    return rc;
}

static ss_code make_sampler(ss_trajectory *t, ss_err *e)
{
    const ss_trajectory_options *opt = &t->opt;
    const bool score = ss_noising_kind(t->net.noising) == SS_SCHEDULER_SCORE;
    const ss_model_info *about = ss_model_about(t->net.model);
    ss_sampler_options o;
    ss_code rc = check_schedule(t, e);

    if (rc == SS_OK)
        rc = score ? ss_sampler_options_load_score(about->scheduler, opt->sampler, &o, e)
                   : read_sampler(about, opt->sampler, &o, e);
    if (rc != SS_OK)
        return rc;
    leave_latents_alone(t, &o);
    if (opt->eta >= 0 && o.kind != SS_SAMPLER_DDIM)
        return ss_fail(e, SS_USAGE, "--eta belongs to ddim, the sampler is %s",
                       ss_sampler_name(o.kind));
    o.eta = opt->eta >= 0 ? opt->eta : 0;
    rc = ss_sampler_new(&o, score ? NULL : ss_noising_schedule(t->net.noising), opt->steps,
                        &t->sampler, e);
    if (rc != SS_OK)
        return ss_fail_prefix(e, "%s", opt->network.model);
    if (opt->strength != 1 && ss_sampler_shorten(t->sampler, opt->strength, e) != SS_OK)
        return ss_fail_prefix(e, "--strength");
    if (ss_sampler_wants_variance(t->sampler) && t->net.out_channels != 2 * t->picture.channels)
        return ss_fail(e, SS_USAGE,
                       "%s: variance_type learned_range wants %d output channels, the network "
                       "has %d",
                       about->scheduler, 2 * t->picture.channels, t->net.out_channels);
    return SS_OK;
}

static ss_code check_channels(ss_trajectory *t, ss_err *e)
{
    const ss_code rc =
        ss_concat_open(t->opt.concat, &t->net, t->opt.samples, t->opt.seed, &t->concat, e);

    if (rc != SS_OK)
        return rc;
    t->picture = t->concat.picture;
    if (t->net.out_channels == t->picture.channels ||
        t->net.out_channels == 2 * t->picture.channels)
        return SS_OK;
    return ss_fail(e, SS_UNSUPPORTED,
                   "%s takes pictures of %d channels and answers with %d; generate needs as many, "
                   "or twice as many with a variance",
                   t->opt.network.model, t->picture.channels, t->net.out_channels);
}

static ss_code allocate(ss_trajectory *t, ss_err *e)
{
    const size_t n = (size_t)values(t), samples = (size_t)t->opt.samples;
    const size_t rows = (size_t)t->batch * (t->opt.condition.guided ? 2 : 1);
    const size_t pixels = (size_t)ss_sample_pixels(t->picture);
    const size_t in = pixels * (size_t)t->net.size.channels;
    const size_t out = pixels * (size_t)t->net.out_channels;

    t->x = ss_alloc(samples * n, sizeof(float));
    t->memory = ss_alloc(samples * n, 2 * sizeof(float));
    t->in = ss_alloc(rows * in, sizeof(float));
    t->y = ss_alloc(rows * out, sizeof(float));
    t->t = ss_alloc(rows, sizeof(float));
    t->sample = ss_alloc((size_t)t->batch, sizeof(int));
    t->answer = ss_alloc(n, sizeof(float));
    t->variance = ss_alloc(n, sizeof(float));
    t->noise = ss_alloc(n, sizeof(float));
    t->clean = ss_alloc(n, sizeof(float));
    if (t->x && t->memory && t->in && t->y && t->t && t->sample && t->answer && t->variance &&
        t->noise && t->clean)
        return SS_OK;
    return ss_fail(e, SS_NOMEM, "no memory for %d samples of %zu values", t->opt.samples, n);
}

/* Loads the pictures that the options begin from. */
static ss_code load_init(ss_trajectory *t, const ss_ctx_options *device, ss_err *e)
{
    if (!t->opt.init)
        return SS_OK;
    const ss_code rc =
        ss_given_load(t->opt.init, &t->net, device, t->picture, t->opt.samples, &t->init, e);
    return rc == SS_OK ? rc : ss_fail_prefix(e, "--init");
}

ss_code ss_trajectory_open(const ss_trajectory_options *opt, ss_trajectory **out, ss_err *e)
{
    ss_trajectory *t = ss_calloc(1, sizeof *t);
    ss_code rc;

    if (!t)
        return ss_no_memory(e, "a trajectory");
    t->opt = *opt;
    t->opt.condition.guided = opt->guidance != 1;
    rc = ss_network_open(&t->opt.network, &t->net, e);
    if (rc == SS_OK) {
        ss_network_say_ignored(&t->net);
        rc = check_channels(t, e);
    }
    if (rc == SS_OK)
        rc = make_sampler(t, e);
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    if (rc == SS_OK)
        rc = load_init(t, &device, e);
    if (rc == SS_OK) {
        t->batch =
            ss_network_batch(&t->net, opt->batch, t->opt.condition.guided ? 2 : 1, opt->samples);
        rc = ss_conditions_load(&t->opt.condition, &t->net, &device, opt->samples, t->batch,
                                &t->conditions, e);
    }
    if (rc == SS_OK)
        rc = allocate(t, e);
    if (rc != SS_OK)
        ss_trajectory_close(t);
    else
        *out = t;
    return rc;
}

void ss_trajectory_close(ss_trajectory *t)
{
    if (!t)
        return;
    ss_track_release(&t->track);
    ss_conditions_release(&t->conditions);
    ss_concat_release(&t->concat);
    ss_sampler_free(t->sampler);
    ss_network_close(&t->net);
    ss_free(t->init);
    ss_free(t->x);
    ss_free(t->memory);
    ss_free(t->in);
    ss_free(t->y);
    ss_free(t->t);
    ss_free(t->sample);
    ss_free(t->answer);
    ss_free(t->variance);
    ss_free(t->noise);
    ss_free(t->clean);
    ss_free(t);
}

ss_sampler_kind ss_trajectory_sampler(const ss_trajectory *t)
{
    return ss_sampler_kind_of(t->sampler);
}

const ss_network *ss_trajectory_network(const ss_trajectory *t)
{
    return &t->net;
}

int ss_trajectory_evaluations(const ss_trajectory *t)
{
    return ss_sampler_count(t->sampler);
}

ss_sample_size ss_trajectory_size(const ss_trajectory *t)
{
    return t->picture;
}

const float *ss_trajectory_picture(const ss_trajectory *t, int sample)
{
    return t->x + sample * values(t);
}

static void start(ss_trajectory *t, const ss_trajectory_start *from)
{
    const int64_t n = values(t);
    const double scale = ss_sampler_start(t->sampler);

    for (int i = 0; i < t->opt.samples; i++) {
        float *x = t->x + i * n;

        ss_rng_normals(ss_rng_stream(t->opt.seed, "noise", (uint64_t)i, from->draw), 0, x,
                       (size_t)n);
        if (t->opt.strength < 1) {
            ss_sampler_noised(t->sampler, (from->init ? from->init : t->init) + i * n, x, n, x);
            continue;
        }
        for (int64_t k = 0; k < n; k++)
            x[k] = (float)(scale * x[k]);
    }
}

/* Runs the network on n samples at evaluation i; the answers are in t->y. */
static ss_code ask(ss_trajectory *t, ss_ctx *c, int i, int n, ss_err *e)
{
    const bool guided = t->opt.condition.guided;
    const int rows = guided ? 2 * n : n;
    const int64_t one = values(t), seen = ss_sample_values(t->net.size);
    ss_code rc = SS_OK;

    for (int k = 0; k < n; k++) {
        ss_sampler_input(t->sampler, i, t->x + t->sample[k] * one, one, t->answer);
        ss_concat_put(&t->concat, t->sample[k], t->answer, t->in + k * seen);
    }
    if (guided)
        memcpy(t->in + n * seen, t->in, (size_t)(n * seen) * sizeof *t->in);
    for (int k = 0; k < rows; k++)
        t->t[k] = ss_network_rounded(&t->net, ss_sampler_at(t->sampler, i)->timestep);
    if (t->track.recorder)
        ss_track_batch(&t->track, n, t->sample);

    ss_condition cond = ss_conditions_batch(&t->conditions, n, t->sample, guided);
    ss_tensor *x = ss_upload(c, ss_sample_batch(rows, t->net.size), t->in);
    ss_tensor *y = ss_model_forward(c, t->net.model, x, t->t, &cond);
    rc = ss_ctx_finish(c, e);
    if (rc == SS_OK)
        rc = ss_download(c, y, t->y, e);
    ss_release(x);
    ss_release(y);
    if (rc == SS_OK && t->track.recorder)
        rc = ss_track_put(&t->track, i, n, t->in, t->y, e);
    return rc;
}

/* Computes the guided answer for row k of n, and takes its variance. */
static void guide(ss_trajectory *t, int n, int k)
{
    const int64_t c = t->picture.channels, out = t->net.out_channels, pixels = values(t) / c;
    const float *positive = t->y + k * pixels * out, *negative = positive + n * pixels * out;
    const double g = t->opt.guidance;

    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t j = 0; j < c; j++) {
            const float yes = positive[p * out + j];

            t->answer[p * c + j] = yes;
            if (t->opt.condition.guided) {
                const double no = negative[p * out + j];

                t->answer[p * c + j] = (float)(no + g * (yes - no));
            }
            if (out > c)
                t->variance[p * c + j] = positive[p * out + c + j];
        }
    }
}

static void step(ss_trajectory *t, int i, int n, uint32_t draw)
{
    const uint64_t number = (uint64_t)draw << 32 | (uint64_t)i;
    const int64_t one = values(t);

    for (int k = 0; k < n; k++) {
        const int sample = t->sample[k];
        const ss_rng rng = ss_rng_stream(t->opt.seed, "step", (uint64_t)sample, number);

        guide(t, n, k);
        if (ss_sampler_at(t->sampler, i)->noisy)
            ss_rng_normals(rng, 0, t->noise, (size_t)one);
        ss_sampler_step(t->sampler, i, t->answer,
                        t->net.out_channels > t->picture.channels ? t->variance : NULL, t->noise,
                        one, t->x + sample * one, t->memory + 2 * sample * one, t->clean);
    }
}

static ss_code evaluate(ss_trajectory *t, ss_ctx *c, int i, uint32_t draw, ss_err *e)
{
    ss_code rc = t->track.recorder ? ss_track_begin(&t->track, i, e) : SS_OK;

    for (int from = 0; from < t->opt.samples && rc == SS_OK; from += t->batch) {
        const int left = t->opt.samples - from, n = left < t->batch ? left : t->batch;

        for (int k = 0; k < n; k++)
            t->sample[k] = from + k;
        rc = ask(t, c, i, n, e);
        if (rc == SS_OK)
            step(t, i, n, draw);
        if (rc == SS_OK && ss_interrupted())
            rc = t->opt.run ? ss_fail(e, SS_INTERRUPTED, "interrupted; %s has the finished steps",
                                      t->opt.run)
                            : ss_fail(e, SS_INTERRUPTED, "interrupted");
    }
    if (rc == SS_OK && t->track.recorder)
        rc = ss_track_end(&t->track, e);
    return rc;
}

/* Binds the network: for a first run with hooks if a run file is wanted. */
static ss_code prepare(ss_trajectory *t, ss_ctx *c, ss_err *e)
{
    const bool first = t->runs++ == 0, watched = t->track.recorder;
    ss_code rc = first ? ss_network_identify(&t->net, e) : SS_OK;

    if (rc == SS_OK && first && t->opt.run)
        return ss_track_open(&t->track, &t->opt, &t->net, t->sampler, &t->conditions, t->picture,
                             t->batch, c, e);
    if (watched)
        ss_track_release(&t->track);
    return rc == SS_OK && (first || watched) ? ss_network_bind(&t->net, c, NULL, e) : rc;
}

ss_code ss_trajectory_run_from(ss_trajectory *t, ss_ctx *c, const ss_trajectory_start *from,
                               ss_trajectory_tick tick, void *self, ss_err *e)
{
    if (t->opt.strength < 1 && !from->init && !t->init)
        return ss_fail(e, SS_USAGE, "a strength of %g needs pictures to begin from",
                       t->opt.strength);
    ss_code rc = prepare(t, c, e);

    if (rc != SS_OK)
        return rc;
    start(t, from);
    for (int i = 0; i < ss_sampler_count(t->sampler) && rc == SS_OK; i++) {
        if (tick)
            tick(self, i);
        rc = evaluate(t, c, i, from->draw, e);
    }
    if (rc == SS_OK && t->track.recorder)
        rc = ss_track_finish(&t->track, e);
    return rc;
}

ss_code ss_trajectory_run(ss_trajectory *t, ss_ctx *c, ss_trajectory_tick tick, void *self,
                          ss_err *e)
{
    return ss_trajectory_run_from(t, c, &(ss_trajectory_start){0}, tick, self, e);
}
