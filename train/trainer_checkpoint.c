/* trainer_checkpoint.c - see trainer_checkpoint.h
 *
 * A model folder and what training needs beyond it:
 *
 *   FOLDER/config.json, diffusion_pytorch_model.safetensors, scheduler_config.json
 *   FOLDER/optimizer.safetensors    moments and averages of what is trained (optimizer.h)
 *   FOLDER/training.json            {"step": 1000, "rewinds": 0, "overflows": 0,
 *                                    "loss_scale": {"scale": 65536, "good": 12, "skipped": 3,
 * "lost": 0}, "spikes": {"mean": 0.14, "var": 1e-4, ...}, "loss_by_sigma": {"count": [...], "mean":
 * [...]}, "version": "sigmascope 0.1.0", "run": {the configuration, without steps where the
 *                                            learning rate does not depend on them}}
 *
 * and "ended": "why" if the training ended early. overflows and ended may be absent: older versions
 * did not write them.
 *
 * Numbers have 17 digits, so that they come back as they were; a mean that is not known is null.
 */
#include "train/trainer_checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/version.h"
#include "models/file/checkpoint_write.h"
#include "runfile/training_files.h"
#include "train/trainer_state.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char state_file[] = "optimizer.safetensors", config_file[] = "config.json";

/* ---- saving ---- */

/* Notes that a training goes on where other numbers come out, in their last digits. */
static void compare_devices(const ss_trainer *t, ss_json *j)
{
    const char *was = ss_json_string(j, "device", NULL), *now = ss_ctx_device_name(t->c);

    if (was && strcmp(was, now) != 0)
        ss_note("%s: its steps were computed on device %s, the next ones are on %s: they differ in "
                "their last digits from those of a training that stays on one device",
                j->name, was, now);
}

/* NULL when out of memory. */
static json_t *counters(const ss_trainer *t)
{
    json_t *count = json_array(), *mean = json_array();

    for (int i = 0; i < t->bins.n; i++) {
        json_array_append_new(count, json_integer(t->bins.count[i]));
        json_array_append_new(mean,
                              isfinite(t->bins.mean[i]) ? json_real(t->bins.mean[i]) : json_null());
    }
    return json_pack(
        "{s:I, s:i, s:I, s:{s:f, s:I, s:I, s:I}, s:{s:f, s:f, s:I, s:I, s:I}, s:{s:o, s:o}, "
        "s:s*, s:s}",
        "step", (json_int_t)t->step, "rewinds", t->rewinds,                         //
        "overflows", (json_int_t)t->overflows,                                      //
        "loss_scale", "scale", t->scale.scale, "good", (json_int_t)t->scale.good,   //
        "skipped", (json_int_t)t->scale.skipped, "lost", (json_int_t)t->scale.lost, //
        "spikes", "mean", t->spikes.mean, "var", t->spikes.var,                     //
        "n", (json_int_t)t->spikes.n, "last", (json_int_t)t->spikes.last,           //
        "count", (json_int_t)t->spikes.count,                                       //
        "loss_by_sigma", "count", count, "mean", mean, "ended", t->ended,           //
        "device", ss_ctx_device_name(t->c));
}

static ss_code write_counters(const ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, SS_TRAINING_STATE);
    json_t *all = counters(t);

    json_object_set_new(all, "version", json_string("sigmascope " SS_VERSION));
    if (t->opt.record)
        json_object_set(all, "run", (json_t *)t->opt.record);
    ss_code rc = path ? ss_json_write(path, all, JSON_INDENT(1), e) : ss_no_memory(e, "training");

    json_decref(all);
    ss_free(path);
    return rc;
}

static ss_code write_state(const ss_trainer *t, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, state_file);
    ss_code rc = path ? ss_optimizer_save(t->optimizer, path, e) : ss_no_memory(e, "training");

    ss_free(path);
    return rc == SS_OK ? write_counters(t, folder, e) : rc;
}

/* The values of all parameters or of their averages come from the device, to *values, which is the
 * caller's to free, and are described by items [t->n]. */
static ss_code fetch_weights(const ss_trainer *t, const char *folder, bool ema, ss_st_item *items,
                             float **values, ss_err *e)
{
    int64_t total = 0, at = 0;
    ss_code rc = SS_OK;

    for (int i = 0; i < t->n; i++)
        total += ss_shape_numel(t->weights[i]->shape);
    if (!(*values = ss_alloc((size_t)total, sizeof **values)))
        return ss_no_memory(e, "training");
    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_weight *w = t->weights[i];
        const bool averaged = ema && t->slot[i] >= 0; /* frozen ones are their own average */
        const ss_tensor *x =
            averaged ? ss_optimizer_ema(t->optimizer, (size_t)t->slot[i]) : w->tensor;

        if (!x)
            return ss_fail(e, SS_USAGE, "%s: no average of the weights is kept (ema_decay is 0)",
                           folder);
        items[i] = (ss_st_item){
            .name = w->name, .dtype = SS_F32, .rank = w->shape.rank, .values = *values + at};
        memcpy(items[i].dim, w->shape.dim, (size_t)w->shape.rank * sizeof *w->shape.dim);
        rc = ss_download(t->c, x, *values + at, e);
        at += ss_shape_numel(w->shape);
    }
    return rc;
}

ss_code ss_trainer_save(const ss_trainer *t, const char *folder, bool ema, ss_err *e)
{
    ss_st_item *items = ss_calloc((size_t)t->n, sizeof *items);
    float *values = NULL;
    ss_outdir o = {0};
    ss_code rc =
        items ? ss_outdir_open(&o, folder, config_file, true, e) : ss_no_memory(e, "training");

    if (rc == SS_OK)
        rc = fetch_weights(t, folder, ema, items, &values, e);
    if (rc == SS_OK) {
        const ss_checkpoint_parts parts = {.config = ss_model_config(t->model),
                                           .scheduler = t->opt.scheduler,
                                           .weights = items,
                                           .n_weights = (size_t)t->n};

        rc = ss_checkpoint_write_into(o.tmp, &parts, e);
    }
    ss_free(values);
    if (rc == SS_OK && !ema)
        rc = write_state(t, o.tmp, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&o, e);
    ss_outdir_discard(&o);
    ss_free(items);
    return rc;
}

/* ---- loading ---- */

/* Opens the object at a key; {0} after a complaint. */
static void section(ss_json *j, const char *key, ss_json *part)
{
    json_t *v = ss_json_get(j, key);

    *part = (ss_json){0};
    if (!json_is_object(v) || ss_json_wrap(part, j->name, v, &j->err) != SS_OK)
        ss_json_complain(j, SS_FORMAT, key, "expected an object");
}

static const double most_rewinds = 1e9; /* counting on never overflows */

static int64_t read_count(ss_json *j, const char *key, double most)
{
    const int64_t n = ss_json_int(j, key, 0);

    if (n >= 0 && (double)n <= most)
        return n;
    ss_json_complain(j, SS_FORMAT, key, "expected a whole number from 0 to %g", most);
    return 0;
}

static void read_bins(ss_json *j, ss_loss_bins *bins)
{
    const json_t *count = ss_json_get(j, "count"), *mean = ss_json_get(j, "mean");

    if (json_array_size(count) != (size_t)bins->n || json_array_size(mean) != (size_t)bins->n) {
        ss_json_complain(j, SS_FORMAT, "count", "expected two lists of %d numbers", bins->n);
        return;
    }
    for (int i = 0; i < bins->n; i++) {
        const json_t *m = json_array_get(mean, (size_t)i);

        bins->count[i] = json_integer_value(json_array_get(count, (size_t)i));
        if (bins->count[i] < 0)
            ss_json_complain(j, SS_FORMAT, "count", "expected numbers, 0 or more");
        bins->mean[i] = json_is_null(m) ? NAN : json_number_value(m);
    }
}

static void read_counters(ss_json *j, ss_trainer *t)
{
    ss_json scale, spikes, bins;

    if (!ss_json_has(j, "step"))
        ss_json_complain(j, SS_FORMAT, "step", "expected a whole number");
    t->step = read_count(j, "step", SS_MOST_STEPS);
    t->rewinds = (int)read_count(j, "rewinds", most_rewinds);
    t->overflows = read_count(j, "overflows", SS_MOST_STEPS);
    section(j, "loss_scale", &scale);
    section(j, "spikes", &spikes);
    section(j, "loss_by_sigma", &bins);
    if (j->err.code == SS_OK) {
        t->scale = (ss_loss_scale){.scale = ss_json_double(&scale, "scale", 0),
                                   .good = read_count(&scale, "good", SS_MOST_STEPS),
                                   .skipped = read_count(&scale, "skipped", SS_MOST_STEPS),
                                   .lost = read_count(&scale, "lost", SS_MOST_STEPS)};
        if (!(t->scale.scale > 0))
            ss_json_complain(&scale, SS_FORMAT, "scale", "expected a number over 0");
        t->spikes = (ss_spikes){.mean = ss_json_double(&spikes, "mean", 0),
                                .var = ss_json_double(&spikes, "var", 0),
                                .n = read_count(&spikes, "n", SS_MOST_STEPS),
                                .last = read_count(&spikes, "last", SS_MOST_STEPS),
                                .count = read_count(&spikes, "count", SS_MOST_STEPS)};
        read_bins(&bins, &t->bins);
        if (ss_json_done(&scale, &j->err) == SS_OK && ss_json_done(&spikes, &j->err) == SS_OK)
            ss_json_done(&bins, &j->err);
    }
    ss_json_release(&scale);
    ss_json_release(&spikes);
    ss_json_release(&bins);
}

/* Changes what a branch does not simply take over: the loss scale, and why the other training
 * ended. run: the other's configuration, or NULL. */
static ss_code fit_branch(ss_trainer *t, const char *folder, const json_t *run, ss_err *e)
{
    const ss_loss_scale_options *o = &t->opt.scale;
    const json_t *bins = json_object_get(run, "loss_by_sigma");
    const json_t *lo = json_object_get(bins, "from"), *hi = json_object_get(bins, "to");
    const bool searched =
        !json_is_false(json_object_get(json_object_get(run, "loss_scale"), "dynamic"));
    double scale = o->initial;

    if ((lo && json_number_value(lo) != t->bins.lo) || (hi && json_number_value(hi) != t->bins.hi))
        return ss_fail(e, SS_USAGE,
                       "%s: its losses by noise level are from sigma %g to %g, here from %g to %g, "
                       "and cannot go on in other bins; leave loss_by_sigma as it was",
                       folder, json_number_value(lo), json_number_value(hi), t->bins.lo,
                       t->bins.hi);
    if (o->dynamic && searched)
        scale = fmin(fmax(t->scale.scale, o->floor), o->ceiling);
    if (scale != t->scale.scale)
        t->scale.good = 0;
    t->scale.scale = scale;
    ss_free(t->ended);
    t->ended = NULL;
    return SS_OK;
}

static ss_code load_counters(ss_trainer *t, const char *folder, bool branch, ss_err *e)
{
    char *path = ss_path_join(folder, SS_TRAINING_STATE);
    ss_json j = {0};
    ss_code rc = path ? ss_json_load(&j, path, e) : ss_no_memory(e, "training");

    if (rc == SS_OK) {
        read_counters(&j, t);
        const char *ended = ss_json_string(&j, "ended", NULL);

        compare_devices(t, &j);

        rc = ss_json_done(&j, e);
        ss_free(t->ended);
        t->ended = NULL;
        if (rc == SS_OK && ended)
            rc = ss_trainer_end(t, ended, e);
        if (rc == SS_OK && branch)
            rc = fit_branch(t, folder, json_object_get(j.root, "run"), e);
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}

/* Loads weights and the optimiser's state; that of a branch may be of parameters, too, that are
 * frozen here. */
static ss_code load_state(ss_trainer *t, const char *folder, bool branch, ss_err *e)
{
    char *path = ss_path_join(folder, state_file);
    ss_code rc = path ? ss_trainer_read_weights(t, folder, false, e) : ss_no_memory(e, "training");

    if (rc == SS_OK)
        rc = ss_optimizer_load(t->optimizer, path, branch, e);
    ss_free(path);
    return rc;
}

ss_code ss_trainer_load(ss_trainer *t, const char *folder, ss_err *e)
{
    const ss_code rc = load_state(t, folder, false, e);

    return rc == SS_OK ? load_counters(t, folder, false, e) : rc;
}

static bool holds(const char *folder, const char *name)
{
    char *path = ss_path_join(folder, name);
    const bool yes = path && ss_file_exists(path);

    ss_free(path);
    return yes;
}

static bool is_average(const char *folder)
{
    static const char end[] = "-ema";
    size_t n = strlen(folder);

    while (n && folder[n - 1] == '/')
        n--;
    return n >= sizeof end && memcmp(folder + n - (sizeof end - 1), end, sizeof end - 1) == 0;
}

/* Refuses a checkpoint without state. */
static ss_code check_branch(const char *folder, ss_err *e)
{
    if (holds(folder, state_file) && holds(folder, SS_TRAINING_STATE))
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "%s: has no state to go on from (%s and %s)%s; name a step-NNNNNN folder of "
                   "`sigmascope train`, or leave out init.state to take the weights alone",
                   folder, state_file, SS_TRAINING_STATE,
                   is_average(folder) ? ", averages of weights never have" : "");
}

ss_code ss_trainer_branch(ss_trainer *t, const char *folder, ss_err *e)
{
    ss_code rc = check_branch(folder, e);

    if (rc == SS_OK)
        rc = load_state(t, folder, true, e);
    return rc == SS_OK ? load_counters(t, folder, true, e) : rc;
}

ss_code ss_trainer_rewind(ss_trainer *t, const char *folder, ss_err *e)
{
    t->rewinds++;
    return load_state(t, folder, false, e);
}
