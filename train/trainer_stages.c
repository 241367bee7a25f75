/* trainer_stages.c - the stages of a trainer; see trainer_state.h */
#include "base/mem.h"
#include "train/trainer_state.h"

/* Stage i with nothing left out; what there is without stages if there are none. */
static ss_train_stage stage_at(const ss_trainer *t, int i)
{
    const ss_trainer_options *o = &t->opt;
    ss_train_stage s = o->n_stages ? o->stages[i] : (ss_train_stage){.lr = -1};

    s.height = s.height ? s.height : t->own_size.height;
    s.width = s.width ? s.width : t->own_size.width;
    s.frames = s.frames ? s.frames : t->own_size.frames;
    s.pool = s.pool ? s.pool : o->data.pool;
    s.batch = s.batch ? s.batch : o->batch;
    s.accumulate = s.accumulate ? s.accumulate : o->accumulate;
    s.lr = s.lr >= 0 ? s.lr : t->own_lr;
    return s;
}

static ss_sample_size size_of(const ss_trainer *t, const ss_train_stage *s)
{
    return (ss_sample_size){.frames = s->frames,
                            .height = s->height,
                            .width = s->width,
                            .channels = t->own_size.channels};
}

static bool same_data(const ss_train_stage *a, const ss_train_stage *b)
{
    return a->height == b->height && a->width == b->width && a->frames == b->frames &&
           a->pool == b->pool;
}

/* Values of a sample's latents; 0 where the network is no autoencoder. */
static ss_code latents_of(const ss_trainer *t, ss_sample_size size, int64_t *n, ss_err *e)
{
    const ss_model_info *about = ss_model_about(t->model);

    *n = 0;
    return about->role == SS_VAE ? ss_autoencoder_latents(&about->net, size, n, e) : SS_OK;
}

static ss_code enter(ss_trainer *t, int i, ss_err *e)
{
    const ss_train_stage s = stage_at(t, i), before = t->stage;
    ss_code rc = latents_of(t, size_of(t, &s), &t->latents, e);

    if (rc != SS_OK)
        return rc;
    t->stage = s;
    t->size = size_of(t, &s);
    t->seen = ss_sample_with_channels(t->size, t->seen.channels);
    t->samples = s.batch * s.accumulate;
    t->opt.optimizer.lr = s.lr;
    ss_objective_fit(&t->opt.objective, s.height, s.width);
    if (t->optimizer)
        ss_optimizer_set_lr(t->optimizer, s.lr);
    if (t->data && same_data(&s, &before))
        return SS_OK;
    ss_data_close(t->data);
    t->data = NULL;
    rc = ss_trainer_open_data(t, e);
    return rc == SS_OK || t->opt.n_stages == 0 ? rc : ss_fail_prefix(e, "stage %d", i + 1);
}

ss_code ss_trainer_enter_stage(ss_trainer *t, int64_t step, ss_err *e)
{
    return enter(t, ss_train_stage_of(t->opt.stages, t->opt.n_stages, step), e);
}

ss_train_stage ss_trainer_stage(const ss_trainer *t, int64_t step, int *index)
{
    *index = ss_train_stage_of(t->opt.stages, t->opt.n_stages, step);
    return stage_at(t, *index);
}

/* Checks what a stage asks for, of which some is the network's to decide. */
static ss_code check_stage(const ss_trainer *t, int i, ss_err *e)
{
    const ss_train_stage s = stage_at(t, i);

    if ((s.frames > 0) != (t->own_size.frames > 0))
        return ss_fail(e, SS_USAGE, "stage %d: %d frames, and %s takes pictures", i + 1, s.frames,
                       t->opt.config_name);
    if ((int64_t)s.batch * s.accumulate > SS_MOST_SAMPLES)
        return ss_fail(e, SS_USAGE, "a step of %d batches of %d samples; expected up to %d samples",
                       s.accumulate, s.batch, SS_MOST_SAMPLES);
    return ss_references_check(&t->opt.references, size_of(t, &s), e);
}

/* The most values of all samples of a step, of one, of all as the network sees them, and of the
 * latents of all. */
typedef struct {
    int64_t values, each, seen, latents;
} room;

static ss_code make_room(ss_trainer *t, const room *r, ss_err *e)
{
    const size_t n = (size_t)t->most, values = (size_t)r->values;
    const bool depth = t->opt.objective.prediction == SS_OBJECTIVE_DEPTH; /* beside pictures */

    t->x0 = ss_alloc(values + (depth ? (size_t)r->seen : 0), sizeof *t->x0);
    t->input = ss_alloc((size_t)r->seen, sizeof *t->input);
    if (t->seen.channels != t->own_size.channels &&
        !(t->noised = ss_alloc((size_t)r->each, sizeof *t->noised)))
        return ss_no_memory(e, "training");
    t->target = ss_alloc(values, sizeof *t->target);
    t->noise = ss_alloc((size_t)r->each, sizeof *t->noise);
    if (r->latents && !(t->latent_noise = ss_alloc((size_t)r->latents, sizeof(float))))
        return ss_no_memory(e, "training");
    t->ids = ss_alloc(n, sizeof *t->ids);
    t->labels = ss_alloc(n, sizeof *t->labels);
    t->levels = ss_calloc(n, sizeof *t->levels);
    t->losses = ss_calloc(n, sizeof *t->losses);
    return t->x0 && t->input && t->target && t->noise && t->ids && t->labels && t->levels &&
                   t->losses
               ? SS_OK
               : ss_no_memory(e, "training");
}

ss_code ss_trainer_begin_stages(ss_trainer *t, ss_err *e)
{
    const int n = t->opt.n_stages ? t->opt.n_stages : 1;
    room r = {0};
    ss_code rc = SS_OK;

    for (int i = 0; i < n && rc == SS_OK; i++) {
        const ss_train_stage s = stage_at(t, i);
        const int64_t one = ss_sample_values(size_of(t, &s));
        const int64_t samples = (int64_t)s.batch * s.accumulate;
        int64_t latents;

        if ((rc = check_stage(t, i, e)) != SS_OK ||
            (rc = latents_of(t, size_of(t, &s), &latents, e)) != SS_OK)
            break;
        t->most = samples > t->most ? (int)samples : t->most;
        t->most_batch = s.batch > t->most_batch ? s.batch : t->most_batch;
        const int64_t seen = one / t->own_size.channels * t->seen.channels * samples;

        r.each = one > r.each ? one : r.each;
        r.seen = seen > r.seen ? seen : r.seen;
        r.values = one * samples > r.values ? one * samples : r.values;
        r.latents = latents * samples > r.latents ? latents * samples : r.latents;
    }
    if (rc == SS_OK)
        rc = make_room(t, &r, e);
    return rc == SS_OK ? enter(t, 0, e) : rc;
}

ss_code ss_trainer_try_stages(ss_trainer *t, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = t->opt.n_stages - 1; i >= 0 && rc == SS_OK; i--) {
        rc = enter(t, i, e);
        if (rc == SS_OK && (rc = ss_trainer_infer(t, e)) != SS_OK)
            ss_fail_prefix(e, "stage %d", i + 1);
    }
    return rc;
}

int ss_trainer_samples(const ss_trainer *t)
{
    return t->samples;
}

int ss_trainer_most_samples(const ss_trainer *t)
{
    return t->most;
}
