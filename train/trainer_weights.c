/* trainer_weights.c - the parameters of a trainer; see trainer_state.h */
#include "base/log.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/net/magnitude.h"
#include "train/freeze.h"
#include "train/trainer_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const ss_update no_update = {NAN, NAN, NAN, NAN, NAN};

static ss_code make_lists(ss_trainer *t, ss_err *e)
{
    const size_t n = (size_t)t->n;

    t->slot = ss_calloc(n, sizeof *t->slot);
    t->trained = ss_calloc(n, sizeof *t->trained);
    t->gradient = ss_calloc(n, sizeof(ss_tensor *));
    t->done = ss_calloc(n, sizeof *t->done);
    t->updates = ss_calloc(n, sizeof *t->updates);
    return t->slot && t->trained && t->gradient && t->done && t->updates
               ? SS_OK
               : ss_no_memory(e, "training");
}

ss_code ss_trainer_open_weights(ss_trainer *t, ss_err *e)
{
    t->weights = ss_model_weights(t->model, &t->n);
    bool *frozen = ss_calloc((size_t)t->n, sizeof *frozen);
    ss_code rc = frozen ? make_lists(t, e) : ss_no_memory(e, "training");

    const ss_motion_config *motion = ss_model_about(t->model)->net.motion;

    for (int i = 0; rc == SS_OK && motion && motion->freeze && i < t->n; i++)
        frozen[i] = !ss_is_motion_weight(t->weights[i]->name);
    if (rc == SS_OK)
        rc = ss_freeze_select(t->opt.freeze, t->opt.n_freeze, t->weights, t->n, t->opt.config_name,
                              frozen, e);
    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_weight *w = t->weights[i];

        t->slot[i] = frozen[i] ? -1 : t->n_trained;
        if (frozen[i]) {
            t->updates[i] = no_update;
            continue;
        }
        t->trained[t->n_trained++] = (ss_trained){w->name, w->tensor, ss_weight_unit_row(w)};
        ss_tensor_want_gradient(w->tensor, true);
    }
    ss_free(frozen);
    return rc == SS_OK ? ss_ctx_check(t->c, e) : rc;
}

void ss_trainer_close_weights(ss_trainer *t)
{
    ss_free(t->slot);
    ss_free(t->trained);
    ss_free(t->gradient);
    ss_free(t->done);
    ss_free(t->updates);
}

void ss_trainer_take_gradients(ss_trainer *t)
{
    for (int i = 0; i < t->n_trained; i++)
        t->gradient[i] = ss_tensor_gradient(t->trained[i].w);
}

void ss_trainer_forget_gradients(ss_trainer *t)
{
    for (int i = 0; i < t->n_trained; i++) {
        ss_tensor_zero_gradient(t->trained[i].w);
        t->gradient[i] = NULL;
    }
}

ss_weight *ss_weight_named(ss_weight *const *weights, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(weights[i]->name, name) == 0)
            return weights[i];
    }
    return NULL;
}

/* ---- weights of a model folder ---- */

/* Counts what of the network a folder lacks. */
typedef struct {
    int parameters;
    int64_t values;
    const char *first, *last; /* of the parameters, in order of definition */
    int64_t channels;         /* of conv_in's input */
} lacking;

/* True if s is w of a network with fewer input channels, [out][in][h][w]. */
static bool is_narrower(const ss_weight *s, const ss_weight *w)
{
    ss_shape wide = s->shape;

    if (strcmp(w->name, "conv_in.weight") != 0 || w->shape.rank != s->shape.rank ||
        w->shape.rank < 2 || s->shape.dim[1] >= w->shape.dim[1])
        return false;
    wide.dim[1] = w->shape.dim[1];
    return ss_shape_equal(wide, w->shape);
}

/* Sets w to the values of s; the channels that s lacks become zero. */
static ss_code set_weight(ss_trainer *t, const ss_weight *w, ss_weight *s, ss_err *e)
{
    const size_t n = (size_t)ss_shape_numel(w->shape), m = (size_t)ss_shape_numel(s->shape);
    const size_t rows = m == n ? 1 : (size_t)w->shape.dim[0];
    float *values = ss_calloc(n + m, sizeof *values), *stored = values + n;
    ss_code rc = values ? SS_OK : ss_no_memory(e, "training");

    if (rc == SS_OK && !ss_weight_data(s, e))
        rc = e->code;
    if (rc == SS_OK) {
        ss_values_to_f32(s->dtype, s->data, m, stored);
        for (size_t i = 0; i < rows; i++)
            memcpy(values + i * (n / rows), stored + i * (m / rows), m / rows * sizeof *values);
        rc = ss_param_set(t->c, w->tensor, values, e);
    }
    ss_free(values);
    return rc;
}

/* Reads w, which is s in the folder (NULL: it is not there); notes what of it stays as it is. */
static ss_code read_weight(ss_trainer *t, const ss_weight *w, ss_weight *s, const char *folder,
                           lacking *l, ss_err *e)
{
    char have[96], want[96];

    if (s && (ss_shape_equal(s->shape, w->shape) || (l && is_narrower(s, w)))) {
        if (l && !ss_shape_equal(s->shape, w->shape))
            l->channels = w->shape.dim[1] - s->shape.dim[1];
        return set_weight(t, w, s, e);
    }
    if (s)
        return ss_fail(e, SS_SHAPE, "%s: %s is %s, the network's is %s", folder, w->name,
                       ss_shape_text(s->shape, have, sizeof have),
                       ss_shape_text(w->shape, want, sizeof want));
    if (!l)
        return ss_fail(e, SS_SHAPE, "%s: %s is missing, which the network in training has", folder,
                       w->name);
    l->first = l->first ? l->first : w->name;
    l->last = w->name;
    l->parameters++;
    l->values += ss_shape_numel(w->shape);
    return SS_OK;
}

/* The parameter of that name in a folder, or in one of a network of pictures that the network in
 * training extends; NULL. */
static ss_weight *find(ss_weight *const *stored, int n, const char *name, const char *part)
{
    ss_weight *w = ss_weight_named(stored, n, name);
    const char *at = part ? strstr(name, part) : NULL;
    char plain[512];

    if (w || !at)
        return w;
    snprintf(plain, sizeof plain, "%.*s%s", (int)(at - name), name, at + strlen(part));
    return ss_weight_named(stored, n, plain);
}

/* Refuses a folder with parameters that the network does not have. */
static ss_code check_stored(const ss_trainer *t, ss_weight *const *stored, int n, const char *part,
                            const char *folder, bool begin, ss_err *e)
{
    const char *first = NULL;
    int more = 0;

    for (int i = 0; i < n; i++) {
        bool taken = false;

        for (int k = 0; k < t->n && !taken; k++)
            taken = find(&stored[i], 1, t->weights[k]->name, part) != NULL;
        if (taken)
            continue;
        first = first ? first : stored[i]->name;
        more++;
    }
    return first ? ss_fail(e, SS_SHAPE,
                           "%s: has %d parameters that the network in training has not, the first "
                           "is %s%s",
                           folder, more, first, begin ? "" : "; with init.state both have the same")
                 : SS_OK;
}

static void say_lacking(const lacking *l, const char *folder)
{
    if (l->parameters)
        ss_note("init.from: %s lacks %d of the network's parameters (%" PRId64
                " values, from %s to %s), which begin as initialised",
                folder, l->parameters, l->values, l->first, l->last);
    if (l->channels)
        ss_note("init.from: conv_in has %" PRId64
                " input channels more than that of %s; their weights begin at zero",
                l->channels, folder);
}

ss_code ss_trainer_read_weights(ss_trainer *t, const char *folder, bool begin, ss_err *e)
{
    lacking l = {0};
    ss_model *m;
    int n;
    ss_code rc = ss_model_open(folder, NULL, &m, e);

    if (rc != SS_OK)
        return rc;
    ss_weight *const *stored = ss_model_weights(m, &n);
    const char *part = begin ? ss_model_about(t->model)->net.spatial_part : NULL;

    rc = check_stored(t, stored, n, part, folder, begin, e);
    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_weight *w = t->weights[i];

        rc = read_weight(t, w, find(stored, n, w->name, part), folder, begin ? &l : NULL, e);
    }
    if (rc == SS_OK)
        say_lacking(&l, folder);
    ss_model_close(m);
    return rc;
}
