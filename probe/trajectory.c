/* trajectory.c - see trajectory.h */
#include "probe/trajectory.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "models/sampling/sampler_config.h"
#include "probe/concat.h"
#include "probe/given.h"
#include "probe/interrupt.h"
#include "probe/reel_state.h"
#include "probe/trajectory_record.h"

#include <string.h>

struct ss_trajectory {
    ss_trajectory_options opt;
    ss_network net;
    ss_sampler *sampler;
    ss_conditions conditions;
    ss_concat_channels concat;
    ss_sample_size picture; /* of what the network is asked about at once: a window of the video */
    ss_reel reel;
    ss_reel_state *state;
    int batch;
    ss_track track; /* {0} if no run file is written */
    int runs;       /* begun */

    float *init; /* [samples][F][H][W][C] of the options, or NULL */
    /* one batch of windows, twice as many rows under guidance */
    float *in;       /* [rows][H][W][in_channels] */
    float *y;        /* [rows][H][W][out_channels] */
    float *t;        /* [rows] */
    int *window;     /* [batch] number sample * windows + window */
    int *sample;     /* [batch] */
    float *answer;   /* [H][W][C] */
    float *variance; /* [H][W][C] */
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

/* True if the channels beside the picture are frames that the reel gives, or does not. */
static bool reel_gives_channels(const ss_trajectory *t)
{
    const ss_condition_needs *needs = &ss_model_about(t->net.model)->net.needs;

    return !t->opt.concat && (needs->reference_channels || t->opt.reel.upscale_from);
}

static ss_code check_channels(ss_trajectory *t, ss_err *e)
{
    const int beside = (int)ss_model_about(t->net.model)->net.needs.concat_channels;
    ss_code rc = SS_OK;

    if (reel_gives_channels(t))
        t->picture = ss_sample_with_channels(t->net.size, t->net.size.channels - beside);
    else if ((rc = ss_concat_open(t->opt.concat, &t->net, t->opt.samples, t->opt.seed, &t->concat,
                                  e)) == SS_OK)
        t->picture = t->concat.picture;
    if (rc != SS_OK)
        return rc;
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
    const size_t n = (size_t)values(t);
    const size_t rows = (size_t)t->batch * (t->opt.condition.guided ? 2 : 1);
    const size_t pixels = (size_t)ss_sample_pixels(t->picture);
    const size_t in = pixels * (size_t)t->net.size.channels;
    const size_t out = pixels * (size_t)t->net.out_channels;

    t->in = ss_alloc(rows * in, sizeof(float));
    t->y = ss_alloc(rows * out, sizeof(float));
    t->t = ss_alloc(rows, sizeof(float));
    t->window = ss_alloc((size_t)t->batch, sizeof(int));
    t->sample = ss_alloc((size_t)t->batch, sizeof(int));
    t->answer = ss_alloc(n, sizeof(float));
    t->variance = ss_alloc(n, sizeof(float));
    if (t->in && t->y && t->t && t->window && t->sample && t->answer && t->variance)
        return ss_reel_state_new(&t->reel, t->sampler, t->opt.samples, t->opt.seed, &t->state, e);
    return ss_fail(e, SS_NOMEM, "no memory for a batch of %d samples of %zu values", t->batch, n);
}

/* Loads the pictures that a part of the steps begins from. */
static ss_code load_init(ss_trajectory *t, const ss_ctx_options *device, ss_err *e)
{
    if (t->opt.strength == 1 || !t->opt.reel.init)
        return SS_OK;
    if (t->reel.mode != SS_REEL_PLAIN)
        return ss_fail(e, SS_USAGE,
                       "--strength goes with none of --keep, --interpolate and --upscale-from");
    const ss_code rc = ss_given_load(t->opt.reel.init, &t->net, device, t->reel.video,
                                     t->opt.samples, &t->init, e);
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
    rc = ss_reel_window(&opt->reel, &t->opt.network.frames, e);
    if (rc == SS_OK)
        rc = ss_network_open(&t->opt.network, &t->net, e);
    if (rc == SS_OK) {
        ss_network_say_ignored(&t->net);
        rc = check_channels(t, e);
    }
    if (rc == SS_OK)
        rc = make_sampler(t, e);
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    if (rc == SS_OK)
        rc = ss_reel_open(&opt->reel, &t->net, &device, t->picture, opt->samples, opt->seed,
                          &t->reel, e);
    if (rc == SS_OK)
        rc = load_init(t, &device, e);
    if (rc == SS_OK) {
        const int at_once = t->reel.join == SS_JOIN_SEQUENCE ? 1 : t->reel.windows.n;

        t->batch = ss_network_batch(&t->net, opt->batch, t->opt.condition.guided ? 2 : 1,
                                    opt->samples * at_once);
        rc = ss_conditions_load(&t->opt.condition, &t->net, &device, opt->samples, t->batch,
                                opt->seed, &t->conditions, e);
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
    ss_reel_state_free(t->state);
    ss_reel_release(&t->reel);
    ss_free(t->init);
    ss_free(t->in);
    ss_free(t->y);
    ss_free(t->t);
    ss_free(t->window);
    ss_free(t->sample);
    ss_free(t->answer);
    ss_free(t->variance);
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
    const int turns = t->reel.join == SS_JOIN_SEQUENCE ? t->reel.windows.n : 1;

    return turns * ss_sampler_count(t->sampler);
}

ss_sample_size ss_trajectory_size(const ss_trajectory *t)
{
    return t->reel.video;
}

const float *ss_trajectory_picture(const ss_trajectory *t, int sample)
{
    return ss_reel_state_video(t->state, sample);
}

/* Writes what the network sees of row k of a batch at evaluation i. */
static void put_input(ss_trajectory *t, int i, int k, float *in)
{
    const int window = t->window[k] % t->reel.windows.n;
    const float *x = ss_reel_state_window(t->state, t->sample[k], window);

    ss_sampler_input(t->sampler, i, x, values(t), t->answer);
    if (t->reel.given)
        ss_reel_put(&t->reel, t->sample[k], window, t->answer, in);
    else
        ss_concat_put(&t->concat, t->sample[k], t->answer, in);
}

/* Runs the network on n windows at evaluation i; the answers are in t->y. */
static ss_code ask(ss_trajectory *t, ss_ctx *c, int i, int n, ss_err *e)
{
    const bool guided = t->opt.condition.guided;
    const int rows = guided ? 2 * n : n;
    const int64_t seen = ss_sample_values(t->net.size);
    ss_code rc = SS_OK;

    for (int k = 0; k < n; k++)
        put_input(t, i, k, t->in + k * seen);
    if (guided)
        memcpy(t->in + n * seen, t->in, (size_t)(n * seen) * sizeof *t->in);
    for (int k = 0; k < rows; k++)
        t->t[k] = ss_network_rounded(&t->net, ss_sampler_at(t->sampler, i)->timestep);
    if (t->track.recorder)
        ss_track_batch(&t->track, n, t->reel.join == SS_JOIN_SEQUENCE ? t->sample : t->window);

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

static void take_answers(ss_trajectory *t, int i, int n)
{
    const bool has_variance = t->net.out_channels > t->picture.channels;

    for (int k = 0; k < n; k++) {
        guide(t, n, k);
        ss_reel_state_answer(t->state, i, t->sample[k], t->window[k] % t->reel.windows.n, t->answer,
                             has_variance ? t->variance : NULL);
    }
}

/* Asks about windows first to first + count - 1 of every sample at evaluation i, and moves them. */
static ss_code evaluate(ss_trajectory *t, ss_ctx *c, int i, int first, int count, ss_err *e)
{
    const int all = t->opt.samples * count;
    ss_code rc = t->track.recorder ? ss_track_begin(&t->track, i, e) : SS_OK;

    for (int from = 0; from < all && rc == SS_OK; from += t->batch) {
        const int n = all - from < t->batch ? all - from : t->batch;

        for (int k = 0; k < n; k++) {
            t->sample[k] = (from + k) / count;
            t->window[k] = t->sample[k] * t->reel.windows.n + first + (from + k) % count;
        }
        rc = ask(t, c, i, n, e);
        if (rc == SS_OK)
            take_answers(t, i, n);
        if (rc == SS_OK && ss_interrupted())
            rc = t->opt.run ? ss_fail(e, SS_INTERRUPTED, "interrupted; %s has the finished steps",
                                      t->opt.run)
                            : ss_fail(e, SS_INTERRUPTED, "interrupted");
    }
    ss_reel_state_advance(t->state, i);
    if (rc == SS_OK && t->track.recorder)
        rc = ss_track_end(&t->track, e);
    return rc;
}

/* Makes the name of window k's run file: that of the options, or of it for later windows,
 * NAME-02.h5; the caller frees it. */
static char *run_path(const char *run, int k)
{
    const char *dot = strrchr(run, '.'), *slash = strrchr(run, '/');
    ss_str s = {0};

    if (!dot || (slash && dot < slash))
        dot = run + strlen(run);
    ss_str_addf(&s, "%.*s", (int)(dot - run), run);
    if (k)
        ss_str_addf(&s, "-%02d", k + 1);
    ss_str_add(&s, dot);
    return ss_str_detach(&s);
}

/* Binds the network for windows from `first` on, `count` at once: in a first run with hooks, if a
 * run file is wanted. */
static ss_code prepare(ss_trajectory *t, ss_ctx *c, int first, int count, ss_err *e)
{
    const bool watched = t->track.recorder, fresh = t->runs == 1 && first == 0;
    ss_code rc = SS_OK;

    ss_track_release(&t->track);
    if (t->runs == 1 && t->opt.run) {
        char *path = run_path(t->opt.run, first);

        rc = path ? ss_track_open(&t->track, &t->opt, path, t->opt.samples * count, &t->net,
                                  t->sampler, &t->conditions, t->picture, t->batch, c, e)
                  : ss_no_memory(e, t->opt.run);
        ss_free(path);
        return rc;
    }
    return fresh || watched ? ss_network_bind(&t->net, c, NULL, e) : SS_OK;
}

/* Samples windows first to first + count - 1 of every sample to the end. */
static ss_code run_windows(ss_trajectory *t, ss_ctx *c, int first, int count,
                           ss_trajectory_tick tick, void *self, ss_err *e)
{
    const int steps = ss_sampler_count(t->sampler);
    ss_code rc = prepare(t, c, first, count, e);

    for (int i = 0; i < steps && rc == SS_OK; i++) {
        if (tick)
            tick(self, first / count * steps + i);
        rc = evaluate(t, c, i, first, count, e);
    }
    if (rc == SS_OK && t->track.recorder)
        rc = ss_track_finish(&t->track, e);
    if (rc == SS_OK)
        ss_reel_state_finish(t->state, first, count);
    return rc;
}

ss_code ss_trajectory_run_from(ss_trajectory *t, ss_ctx *c, const ss_trajectory_start *from,
                               ss_trajectory_tick tick, void *self, ss_err *e)
{
    const float *init = t->opt.strength == 1 ? NULL : from->init ? from->init : t->init;
    const int n = t->reel.windows.n, count = t->reel.join == SS_JOIN_SEQUENCE ? 1 : n;
    ss_code rc = SS_OK;

    if (t->opt.strength < 1 && !init)
        return ss_fail(e, SS_USAGE, "a strength of %g needs pictures to begin from",
                       t->opt.strength);
    if (t->runs++ == 0)
        rc = ss_network_identify(&t->net, e);
    ss_reel_state_begin(t->state, init, from->draw);
    for (int k = 0; k < n && rc == SS_OK; k += count)
        rc = run_windows(t, c, k, count, tick, self, e);
    return rc;
}

ss_code ss_trajectory_run(ss_trajectory *t, ss_ctx *c, ss_trajectory_tick tick, void *self,
                          ss_err *e)
{
    return ss_trajectory_run_from(t, c, &(ss_trajectory_start){0}, tick, self, e);
}
