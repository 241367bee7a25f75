/* trainer_weights.c - the parameters of a trainer; see trainer_state.h */
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/net/magnitude.h"
#include "train/trainer_state.h"

#include <string.h>

ss_code ss_trainer_open_weights(ss_trainer *t, ss_err *e)
{
    t->weights = ss_model_weights(t->model, &t->n);
    t->trained = ss_calloc((size_t)t->n, sizeof *t->trained);
    t->gradient = ss_calloc((size_t)t->n, sizeof(ss_tensor *));
    t->updates = ss_calloc((size_t)t->n, sizeof *t->updates);
    if (!t->trained || !t->gradient || !t->updates)
        return ss_no_memory(e, "training");
    for (int i = 0; i < t->n; i++) {
        const ss_weight *w = t->weights[i];

        t->trained[i] = (ss_trained){w->name, w->tensor, ss_weight_unit_row(w)};
        ss_tensor_want_gradient(w->tensor, true);
    }
    return ss_ctx_check(t->c, e);
}

void ss_trainer_close_weights(ss_trainer *t)
{
    ss_free(t->trained);
    ss_free(t->gradient);
    ss_free(t->updates);
}

void ss_trainer_take_gradients(ss_trainer *t)
{
    for (int i = 0; i < t->n; i++)
        t->gradient[i] = ss_tensor_gradient(t->weights[i]->tensor);
}

void ss_trainer_forget_gradients(ss_trainer *t)
{
    for (int i = 0; i < t->n; i++) {
        ss_tensor_zero_gradient(t->weights[i]->tensor);
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

/* The tensor of that name among `stored`; SS_SHAPE where it is not there or has another shape. */
static ss_code find(ss_weight *const *stored, int n, const ss_weight *w, const char *folder,
                    ss_weight **s, ss_err *e)
{
    char have[96], want[96];

    *s = ss_weight_named(stored, n, w->name);
    if (!*s)
        return ss_fail(e, SS_SHAPE, "%s: %s is missing, which the network in training has", folder,
                       w->name);
    if (!ss_shape_equal((*s)->shape, w->shape))
        return ss_fail(e, SS_SHAPE, "%s: %s is %s, the network's is %s", folder, w->name,
                       ss_shape_text((*s)->shape, have, sizeof have),
                       ss_shape_text(w->shape, want, sizeof want));
    return SS_OK;
}

static ss_code set_weight(ss_trainer *t, const ss_weight *w, ss_weight *s, ss_err *e)
{
    const size_t n = (size_t)ss_shape_numel(w->shape);
    float *values = ss_alloc(n, sizeof *values);
    ss_code rc = values ? SS_OK : ss_no_memory(e, "training");

    if (rc == SS_OK && !ss_weight_data(s, e))
        rc = e->code;
    if (rc == SS_OK) {
        ss_values_to_f32(s->dtype, s->data, n, values);
        rc = ss_param_set(t->c, w->tensor, values, e);
    }
    ss_free(values);
    return rc;
}

ss_code ss_trainer_read_weights(ss_trainer *t, const char *folder, ss_err *e)
{
    ss_model *m;
    ss_weight *s;
    int n;
    ss_code rc = ss_model_open(folder, NULL, &m, e);

    if (rc != SS_OK)
        return rc;
    ss_weight *const *stored = ss_model_weights(m, &n);
    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        rc = find(stored, n, t->weights[i], folder, &s, e);
        if (rc == SS_OK)
            rc = set_weight(t, t->weights[i], s, e);
    }
    ss_model_close(m);
    return rc;
}
