/* config_fields.c - the list of fields; see config_fields.h */
#include "train/config_fields.h"

#include <math.h>
#include <stddef.h>

#define AT(member) offsetof(ss_train_config, member)
/* The parts of an entry; a role other than SS_FIELD_DATA follows them. */
#define PLAIN(name, type, member) .key = name, .kind = SS_FIELD_##type, .offset = AT(member)
#define WHOLE(name, type, member, from, to) PLAIN(name, type, member), .lo = from, .hi = to
#define REAL(name, member, from, to) WHOLE(name, DOUBLE, member, from, to)
#define POSITIVE(name, member) REAL(name, member, 0, INFINITY), .over = true
#define CHOICE(name, member, list) PLAIN(name, CHOICE, member), .names = list
#define TEXTS(name, member, n) PLAIN(name, TEXTS, member), .count = AT(n)

#define X(name, text) text,
static const char *const on_nonfinite[] = {SS_ON_NONFINITE(X) NULL};
static const char *const data_kinds[] = {SS_DATA_KINDS(X) NULL};
static const char *const moving_laws[] = {SS_MOVING_LAWS(X) NULL};
static const char *const predictions[] = {SS_OBJECTIVES(X) NULL};
static const char *const level_laws[] = {SS_LEVEL_LAWS(X) NULL};
static const char *const weightings[] = {SS_WEIGHTINGS(X) NULL};
static const char *const optimizers[] = {SS_OPTIMIZERS(X) NULL};
static const char *const rates[] = {SS_RATES(X) NULL};
static const char *const kept[] = {SS_KEPT(X) NULL};
static const char *const ema_warmups[] = {SS_EMA_WARMUPS(X) NULL};
static const char *const arithmetics[] = {SS_ARITHMETICS(X) NULL};
#undef X

static const ss_field run_fields[] = {
    {PLAIN("output", TEXT, output), .role = SS_FIELD_NAME},
    {WHOLE("seed", SEED, seed, 0, 0x1p63)},
    {WHOLE("steps", INT64, steps, 1, SS_MOST_STEPS), .role = SS_FIELD_LENGTH},
    {WHOLE("batch", INT, trainer.batch, 1, SS_MOST_SAMPLES)},
    {WHOLE("accumulate", INT, trainer.accumulate, 1, SS_MOST_SAMPLES), .role = SS_FIELD_UNUSUAL},
    {PLAIN("recompute", BOOL, trainer.recompute)},
    {TEXTS("freeze", trainer.freeze, trainer.n_freeze), .role = SS_FIELD_UNUSUAL},
    {CHOICE("arithmetic", trainer.arithmetic, arithmetics), .role = SS_FIELD_UNUSUAL},
    {CHOICE("on_nonfinite", on_nonfinite, on_nonfinite)},
    {WHOLE("max_rollbacks", INT, max_rollbacks, 0, 1 << 20)},
    {WHOLE("max_overflows", INT64, max_overflows, 0, SS_MOST_STEPS), .role = SS_FIELD_STOP},
    {0},
};

static const ss_field init_fields[] = {
    {TEXTS("zero", trainer.init.zero, trainer.init.n_zero)},
    {TEXTS("identity", trainer.init.identity, trainer.init.n_identity), .role = SS_FIELD_UNUSUAL},
    {PLAIN("from", PATH, trainer.from)},
    {PLAIN("state", BOOL, init_state), .role = SS_FIELD_UNUSUAL},
    {0},
};

static const ss_field data_fields[] = {
    {CHOICE("kind", trainer.data.kind, data_kinds)},
    {PLAIN("path", PATH, trainer.data.path)},
    {PLAIN("labels", PATH, trainer.data.labels)},
    {PLAIN("text", PATH, trainer.text), .role = SS_FIELD_UNUSUAL},
    {WHOLE("pool", INT, trainer.data.pool, 1, 1 << 12)},
    {PLAIN("flip", BOOL, trainer.data.flip)},
    {REAL("dropout", trainer.data.dropout, 0, 1)},
    {WHOLE("null_class", INT64, trainer.data.null_class, -1, SS_MOST_STEPS)},
    {WHOLE("rare", INT64, trainer.data.rare, -1, SS_MOST_STEPS)},
    {WHOLE("rare_every", INT64, trainer.data.rare_every, 2, SS_MOST_STEPS)},
    {REAL("rare_scale", trainer.data.rare_scale, -INFINITY, INFINITY)},
    {WHOLE("frames", INT, trainer.data.frames, 0, 1 << 16), .role = SS_FIELD_UNUSUAL},
    {WHOLE("stride", INT, trainer.data.stride, 1, 1 << 16), .role = SS_FIELD_UNUSUAL},
    {PLAIN("stills", BOOL, trainer.data.stills), .role = SS_FIELD_UNUSUAL},
    {CHOICE("motion", trainer.data.moving.law, moving_laws), .role = SS_FIELD_UNUSUAL},
    {WHOLE("speed", INT, trainer.data.moving.speed, 1, 1 << 12), .role = SS_FIELD_UNUSUAL},
    {PLAIN("offset", BOOL, trainer.data.moving.offset), .role = SS_FIELD_UNUSUAL},
    {REAL("still", trainer.data.moving.still, 0, 1), .role = SS_FIELD_UNUSUAL},
    {REAL("zoom", trainer.data.moving.zoom, 0, 1), .role = SS_FIELD_UNUSUAL},
    {REAL("second", trainer.data.second, 0, 1), .role = SS_FIELD_UNUSUAL},
    {TEXTS("names", trainer.data.names, trainer.data.n_names), .role = SS_FIELD_UNUSUAL},
    {REAL("static", trainer.data.static_share, 0, 1), .role = SS_FIELD_UNUSUAL},
    {REAL("given_first", trainer.references.first, 0, 1), .role = SS_FIELD_UNUSUAL},
    {REAL("given_ends", trainer.references.ends, 0, 1), .role = SS_FIELD_UNUSUAL},
    {REAL("given_second", trainer.references.second, 0, 1), .role = SS_FIELD_UNUSUAL},
    {WHOLE("given_lower", INT, trainer.references.lower, 0, 1 << 12), .role = SS_FIELD_UNUSUAL},
    {PLAIN("static_prefix", TEXT, trainer.data.static_prefix), .role = SS_FIELD_UNUSUAL},
    {WHOLE("static_class", INT64, trainer.data.static_class, -1, SS_MOST_STEPS),
     .role = SS_FIELD_UNUSUAL},
    {0},
};

static const ss_field objective_fields[] = {
    {CHOICE("prediction", trainer.objective.prediction, predictions)},
    {CHOICE("levels", trainer.objective.levels, level_laws)},
    {CHOICE("weighting", trainer.objective.weighting, weightings)},
    {POSITIVE("gamma", trainer.objective.gamma)},
    {POSITIVE("sigma_data", trainer.objective.sigma_data)},
    {REAL("p_mean", trainer.objective.p_mean, -INFINITY, INFINITY)},
    {POSITIVE("p_std", trainer.objective.p_std)},
    {PLAIN("blind", BOOL, trainer.objective.blind)},
    {REAL("base_size", trainer.objective.base_size, 0, 1 << 16), .role = SS_FIELD_UNUSUAL},
    {REAL("l1_weight", trainer.objective.l1_weight, 0, INFINITY), .role = SS_FIELD_UNUSUAL},
    {REAL("kl_weight", trainer.objective.kl_weight, 0, INFINITY), .role = SS_FIELD_UNUSUAL},
    {REAL("frame_weight", trainer.objective.frame_weight, 0, INFINITY), .role = SS_FIELD_UNUSUAL},
    {0},
};

static const ss_field optimizer_fields[] = {
    {CHOICE("kind", trainer.optimizer.kind, optimizers)},
    {REAL("lr", trainer.optimizer.lr, 0, INFINITY)},
    {REAL("beta1", trainer.optimizer.beta1, 0, 1)},
    {REAL("beta2", trainer.optimizer.beta2, 0, 1)},
    {REAL("eps", trainer.optimizer.eps, 0, INFINITY)},
    {REAL("weight_decay", trainer.optimizer.weight_decay, 0, INFINITY)},
    {REAL("momentum", trainer.optimizer.momentum, 0, 1)},
    {PLAIN("nesterov", BOOL, trainer.optimizer.nesterov)},
    {REAL("clip", trainer.optimizer.clip, 0, INFINITY)},
    {CHOICE("rate", trainer.optimizer.rate, rates)},
    {WHOLE("warmup", INT64, trainer.optimizer.warmup, 0, SS_MOST_STEPS)},
    {REAL("floor", trainer.optimizer.floor, 0, 1)},
    {REAL("ema_decay", trainer.optimizer.ema_decay, 0, 1)},
    {CHOICE("ema_warmup", trainer.optimizer.ema_warmup, ema_warmups)},
    {CHOICE("weights", trainer.optimizer.weights, kept), .role = SS_FIELD_UNUSUAL},
    {CHOICE("states", trainer.optimizer.states, kept), .role = SS_FIELD_UNUSUAL},
    {PLAIN("stochastic", BOOL, trainer.optimizer.stochastic), .role = SS_FIELD_UNUSUAL},
    {0},
};

static const ss_field penalty_fields[] = {
    {REAL("coefficient", trainer.lambda, 0, INFINITY)},
    {WHOLE("interval", INT, trainer.interval, 1, 1 << 30)},
    {TEXTS("modules", trainer.penalty, trainer.n_penalty)},
    {0},
};

static const ss_field loss_scale_fields[] = {
    {PLAIN("dynamic", BOOL, trainer.scale.dynamic)},
    {POSITIVE("initial", trainer.scale.initial)},
    {REAL("growth", trainer.scale.growth, 1, INFINITY)},
    {REAL("backoff", trainer.scale.backoff, 0, 1)},
    {POSITIVE("floor", trainer.scale.floor)},
    {POSITIVE("ceiling", trainer.scale.ceiling)},
    {WHOLE("interval", INT64, trainer.scale.interval, 1, SS_MOST_STEPS)},
    {0},
};

static const ss_field spike_fields[] = {
    {POSITIVE("threshold", trainer.spikes.threshold)},
    {REAL("decay", trainer.spikes.decay, 0, 1)},
    {WHOLE("warmup", INT64, trainer.spikes.warmup, 0, SS_MOST_STEPS)},
    {WHOLE("quiet", INT64, trainer.spikes.quiet, 0, SS_MOST_STEPS)},
    {0},
};

static const ss_field bin_fields[] = {
    {WHOLE("bins", INT, trainer.bins, 1, SS_LOSS_MAX_BINS)},
    {POSITIVE("from", trainer.bin_lo)},
    {POSITIVE("to", trainer.bin_hi)},
    {0},
};

static const ss_field statistics_fields[] = {
    {WHOLE("every", INT64, statistics_every, 0, SS_MOST_STEPS)},
    {TEXTS("modules", statistics_modules, n_statistics_modules)},
    {PLAIN("tensorboard", BOOL, tensorboard)},
    {0},
};

static const ss_field checkpoint_fields[] = {
    {WHOLE("every", INT64, checkpoint_every, 1, SS_MOST_STEPS)},
    {WHOLE("keep", INT64, checkpoint_keep, 0, SS_MOST_STEPS)},
    {PLAIN("ema", BOOL, checkpoint_ema)},
    {0},
};

const ss_field_section ss_train_sections[] = {
    {"", run_fields},
    {"init", init_fields},
    {"data", data_fields},
    {"objective", objective_fields},
    {"optimizer", optimizer_fields},
    {"penalty", penalty_fields},
    {"loss_scale", loss_scale_fields},
    {"spikes", spike_fields},
    {"loss_by_sigma", bin_fields},
    {"statistics", statistics_fields},
    {"checkpoints", checkpoint_fields},
    {0},
};
