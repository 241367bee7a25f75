/* board.c - see board.h */
#include "train/board.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <time.h>

struct ss_board {
    ss_events *events;
};

static double wall_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ss_code ss_board_open(const char *folder, ss_board **out, ss_err *e)
{
    ss_board *b = ss_calloc(1, sizeof *b);
    ss_code rc = b ? ss_events_open(folder, wall_time(), &b->events, e) : ss_no_memory(e, folder);

    if (rc != SS_OK)
        ss_free(b);
    else
        *out = b;
    return rc;
}

ss_code ss_board_step(ss_board *b, const ss_trainer_did *did, ss_err *e)
{
    const struct {
        const char *tag;
        double value;
    } curves[] = {{"train/loss", did->loss},          {"train/penalty", did->penalty},
                  {"train/gradient_norm", did->norm}, {"train/learning_rate", did->rate},
                  {"train/loss_scale", did->scale},   {"train/staleness", did->staleness}};
    const double now = wall_time();
    ss_code rc = SS_OK;

    for (size_t i = 0; i < sizeof curves / sizeof *curves && rc == SS_OK; i++) {
        if (!isnan(curves[i].value))
            rc = ss_events_scalar(b->events, now, did->step, curves[i].tag, curves[i].value, e);
    }
    return rc;
}

/* Puts a value at PREFIX/NAME; NaN is left out. */
static ss_code put(ss_board *b, double now, int64_t step, const char *prefix, const char *name,
                   double value, ss_err *e)
{
    ss_str tag = {0};
    ss_code rc;

    if (isnan(value))
        return SS_OK;
    ss_str_addf(&tag, "%s/%s", prefix, *name ? name : SS_ROOT);
    rc = tag.failed ? ss_no_memory(e, "TensorBoard")
                    : ss_events_scalar(b->events, now, step, tag.s, value, e);
    ss_str_release(&tag);
    return rc;
}

ss_code ss_board_modules(ss_board *b, ss_trainer *t, const ss_watch *w, int64_t step, ss_err *e)
{
    const double now = wall_time();
    int n_modules, n_weights;
    const ss_module *const *modules = ss_model_modules(ss_trainer_model(t), &n_modules);
    ss_weight *const *weights = ss_model_weights(ss_trainer_model(t), &n_weights);
    const ss_update *u = ss_trainer_updates(t);
    ss_code rc = SS_OK;

    for (int i = 0; i < n_modules && rc == SS_OK; i++) {
        rc = put(b, now, step, "absmax", modules[i]->path, ss_watch_absmax(w, i), e);
        if (rc == SS_OK)
            rc = put(b, now, step, "rms", modules[i]->path, ss_watch_rms(w, i), e);
    }
    for (int i = 0; i < n_weights && rc == SS_OK; i++) {
        const double ratio = u[i].weight_rms > 0 ? u[i].update_rms / u[i].weight_rms : NAN;

        rc = put(b, now, step, "update", weights[i]->name, ratio, e);
        if (rc == SS_OK)
            rc = put(b, now, step, "staleness", weights[i]->name, u[i].staleness, e);
    }
    return rc == SS_OK ? ss_events_flush(b->events, e) : rc;
}

ss_code ss_board_close(ss_board *b, ss_err *e)
{
    ss_code rc = SS_OK;

    if (b)
        rc = ss_events_close(b->events, e);
    ss_free(b);
    return rc;
}
