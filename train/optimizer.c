/* optimizer.c - see optimizer.h */
#include "train/optimizer.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/context.h"
#include "train/optimizer_state.h"

#include <float.h>
#include <math.h>

ss_optimizer_options ss_optimizer_defaults(void)
{
    return (ss_optimizer_options){.kind = SS_OPTIMIZER_ADAM,
                                  .lr = 1e-4,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .momentum = 0.9,
                                  .rate = SS_RATE_CONSTANT,
                                  .ema_warmup = SS_EMA_DIFFUSERS};
}

ss_code ss_optimizer_check(const ss_optimizer_options *p, ss_err *e)
{
    const struct {
        const char *name;
        double v;
        double below; /* the limit; 0: any finite number */
    } numbers[] = {{"lr", p->lr, 0},
                   {"eps", p->eps, 0},
                   {"weight_decay", p->weight_decay, 0},
                   {"clip", p->clip, 0},
                   {"beta1", p->beta1, 1},
                   {"beta2", p->beta2, 1},
                   {"momentum", p->momentum, 1},
                   {"ema_decay", p->ema_decay, 1}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const double v = numbers[i].v;

        if (numbers[i].below > 0 && !(v >= 0 && v < numbers[i].below))
            return ss_fail(e, SS_USAGE, "%s is %g; expected 0 or more, and less than %g",
                           numbers[i].name, v, numbers[i].below);
        if (!(v >= 0) || !isfinite(v))
            return ss_fail(e, SS_USAGE, "%s is %g; expected a finite number, 0 or more",
                           numbers[i].name, v);
    }
    if (!(p->floor >= 0 && p->floor <= 1))
        return ss_fail(e, SS_USAGE, "floor is %g; expected a share of lr, 0 to 1", p->floor);
    if (p->warmup < 0)
        return ss_fail(e, SS_USAGE, "warmup is %lld; expected 0 or more", (long long)p->warmup);
    if (p->rate != SS_RATE_CONSTANT && p->steps <= p->warmup)
        return ss_fail(e, SS_USAGE, "steps is %lld; expected more than the %lld of the warm-up",
                       (long long)p->steps, (long long)p->warmup);
    if (p->nesterov && p->momentum == 0)
        return ss_fail(e, SS_USAGE, "nesterov needs a momentum over 0");
    return SS_OK;
}

double ss_optimizer_rate(const ss_optimizer_options *p, int64_t t)
{
    double share = 1, at;

    if (t < p->warmup)
        return p->lr * ((double)t / (double)p->warmup);
    if (p->rate == SS_RATE_CONSTANT)
        return p->lr;
    at = fmin(1, (double)(t - p->warmup) / (double)(p->steps - p->warmup));
    share = p->rate == SS_RATE_LINEAR ? 1 - at : (1 + cos(M_PI * at)) / 2;
    return p->lr * fmax(share, p->floor);
}

double ss_optimizer_ema_decay(const ss_optimizer_options *p, int64_t t)
{
    if (p->ema_warmup == SS_EMA_DIFFUSERS)
        return t <= 1 ? 0 : fmin(p->ema_decay, (double)t / (double)(t + 9));
    if (p->ema_warmup == SS_EMA_EDM) /* decay = 0.5 ^ (1 / half-life) */
        return fmin(p->ema_decay, pow(0.5, 20 / (double)t));
    return p->ema_decay;
}

/* Makes a state of zeros for each tensor. */
static ss_code make_state(ss_optimizer *o, ss_tensor ***at, ss_err *e)
{
    if (!(*at = ss_calloc(o->n, sizeof(ss_tensor *))))
        return ss_fail(e, SS_NOMEM, "no memory for the state of %lld weights", (long long)o->total);
    for (size_t i = 0; i < o->n; i++) {
        const int64_t n = ss_shape_numel(ss_shape_get(o->tensor[i].w));

        if (!((*at)[i] = ss_param_full(o->c, ss_shape_of(n), 0)))
            return ss_ctx_check(o->c, e);
    }
    return SS_OK;
}

/* Gives weights memory of their own, and averages their values. */
static ss_code take_weights(ss_optimizer *o, int64_t largest, ss_err *e)
{
    float *values = ss_alloc((size_t)largest, sizeof *values);
    ss_code rc =
        values ? SS_OK : ss_fail(e, SS_NOMEM, "no memory for %lld weights", (long long)largest);

    for (size_t i = 0; i < o->n && rc == SS_OK; i++) {
        const int64_t n = ss_shape_numel(ss_shape_get(o->tensor[i].w));

        rc = ss_download(o->c, o->tensor[i].w, values, e);
        for (int64_t k = 0; k < n && rc == SS_OK; k++)
            values[k] = ss_keep_value(o->opt.weights, false, 0, k, 0, values[k]);
        if (rc == SS_OK)
            rc = ss_param_set(o->c, o->tensor[i].w, values, e);
        if (rc == SS_OK && o->ema)
            rc = ss_param_set(o->c, o->ema[i], values, e);
    }
    ss_free(values);
    return rc;
}

ss_code ss_optimizer_new(ss_ctx *c, const ss_optimizer_options *opt, const ss_trained *tensors,
                         size_t n, ss_optimizer **out, ss_err *e)
{
    ss_code rc = ss_optimizer_check(opt, e);
    int64_t largest = 0;
    ss_optimizer *o;

    if (rc != SS_OK)
        return rc;
    o = ss_calloc(1, sizeof *o);
    if (!o)
        return ss_no_memory(e, "the optimiser's state");
    o->opt = *opt;
    o->c = c;
    o->tensor = ss_alloc(n, sizeof *o->tensor);
    o->steps = ss_calloc(n, sizeof *o->steps);
    o->sums = ss_calloc(n, sizeof *o->sums);
    if (!o->tensor || !o->steps || !o->sums)
        rc = ss_no_memory(e, "the optimiser's state");
    else
        o->n = n;
    for (size_t i = 0; i < o->n; i++) {
        const int64_t values = ss_shape_numel(ss_shape_get(tensors[i].w));

        if (opt->weights != SS_KEPT_F32 && tensors[i].unit_row)
            rc = ss_fail(e, SS_UNSUPPORTED,
                         "optimizer.weights: %s is brought to unit RMS after each step, which 16 "
                         "bits cannot hold; leave them f32",
                         tensors[i].name);
        o->tensor[i] = tensors[i];
        o->total += values;
        largest = values > largest ? values : largest;
    }
    if (rc == SS_OK)
        rc = make_state(o, &o->m, e);
    if (rc == SS_OK && (opt->kind == SS_OPTIMIZER_ADAM || opt->kind == SS_OPTIMIZER_ADAMW))
        rc = make_state(o, &o->v, e);
    if (rc == SS_OK && opt->ema_decay > 0)
        rc = make_state(o, &o->ema, e);
    if (rc == SS_OK)
        rc = take_weights(o, largest, e);
    if (rc != SS_OK) {
        ss_optimizer_free(o);
        return rc;
    }
    *out = o;
    return SS_OK;
}

static void release_all(ss_tensor **x, size_t n)
{
    for (size_t i = 0; x && i < n; i++)
        ss_release(x[i]);
    ss_free(x);
}

void ss_optimizer_free(ss_optimizer *o)
{
    if (!o)
        return;
    release_all(o->m, o->n);
    release_all(o->v, o->n);
    release_all(o->ema, o->n);
    ss_free(o->tensor);
    ss_free(o->steps);
    ss_free(o->sums);
    ss_free(o);
}

ss_code ss_optimizer_norm(ss_optimizer *o, const ss_tensor *const *grad, double *norm, ss_err *e)
{
    double sum = 0;
    ss_code rc = ss_sum_squares(o->c, grad, o->n, &sum, e);

    if (rc == SS_OK)
        rc = ss_ctx_finish(o->c, e);
    *norm = sqrt(sum);
    return rc;
}

static ss_step_rule make_rule(const ss_optimizer_options *p, int64_t t, double scale)
{
    const double rate = ss_optimizer_rate(p, t);
    const double correction1 = 1 - pow(p->beta1, (double)t);
    const double correction2 = 1 - pow(p->beta2, (double)t);

    return (ss_step_rule){.kind = p->kind,
                          .nesterov = p->nesterov,
                          .first = t == 1,
                          .scale = (float)scale,
                          .decay = (float)p->weight_decay,
                          .keep = (float)(1 - rate * p->weight_decay),
                          .beta1 = (float)p->beta1,
                          .rest1 = (float)(1 - p->beta1),
                          .beta2 = (float)p->beta2,
                          .rest2 = (float)(1 - p->beta2),
                          .eps = (float)p->eps,
                          .momentum = (float)p->momentum,
                          .rate = (float)rate,
                          .rate1 = (float)(rate / correction1),
                          .root2 = (float)sqrt(correction2),
                          .correction2 = correction2,
                          .floor2 = fmax(p->eps * p->eps, DBL_MIN),
                          .ema_rest = (float)(1 - ss_optimizer_ema_decay(p, t)),
                          .weights = p->weights,
                          .states = p->states,
                          .stochastic = p->stochastic};
}

static ss_update update_of(const ss_optimizer *o, size_t i)
{
    const ss_step_sums *s = &o->sums[i];
    const int64_t n = ss_shape_numel(ss_shape_get(o->tensor[i].w));
    const double count = n > 0 ? (double)n : 1;

    return (ss_update){.gradient_rms = sqrt(s->g2 / count),
                       .update_rms = sqrt(s->dw2 / count),
                       .weight_rms = sqrt(s->w2 / count),
                       .staleness = o->v ? sqrt(s->stale / count) : NAN,
                       .lost = s->lost / count};
}

/* The key of a tensor's random bits in this step, by its name: other tensors do not matter. */
static uint64_t key_of(const ss_optimizer *o, size_t i)
{
    uint32_t block[4];

    if (!o->opt.stochastic)
        return 0;
    ss_rng_block(ss_rng_stream(o->opt.seed, o->tensor[i].name, (uint64_t)o->t, 0), 0, block);
    return (uint64_t)block[0] << 32 | block[1];
}

ss_code ss_optimizer_step(ss_optimizer *o, const ss_tensor *const *grad, double multiplier,
                          double norm, ss_update *update, ss_err *e)
{
    double scale = multiplier;
    ss_code rc;

    if (o->opt.clip > 0)
        scale *= fmin(1, o->opt.clip / (norm * multiplier + 1e-6)); /* PyTorch's 1e-6 */
    o->t++;
    const ss_step_rule r = make_rule(&o->opt, o->t, scale);

    for (size_t i = 0; i < o->n; i++)
        o->steps[i] = (ss_step){.gradient = grad[i],
                                .w = o->tensor[i].w,
                                .m = o->m[i],
                                .v = o->v ? o->v[i] : NULL,
                                .ema = o->ema ? o->ema[i] : NULL,
                                .unit_row = o->tensor[i].unit_row,
                                .key = key_of(o, i)};
    rc = ss_param_step(o->c, o->steps, o->n, &r, update ? o->sums : NULL, e);
    if (rc == SS_OK && update)
        rc = ss_ctx_finish(o->c, e);
    for (size_t i = 0; i < o->n && rc == SS_OK && update; i++)
        update[i] = update_of(o, i);
    return rc;
}

void ss_optimizer_set_lr(ss_optimizer *o, double lr)
{
    o->opt.lr = lr;
}

int64_t ss_optimizer_steps(const ss_optimizer *o)
{
    return o->t;
}

const ss_tensor *ss_optimizer_ema(const ss_optimizer *o, size_t i)
{
    return o->ema ? o->ema[i] : NULL;
}
