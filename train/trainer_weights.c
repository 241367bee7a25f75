/* trainer_weights.c - the parameters of a trainer, on the host and on the device; see
 * trainer_state.h */
#include "base/mem.h"
#include "kernels/tape.h"
#include "train/trainer_state.h"

#include <string.h>

static ss_code out_of_memory(ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "training: out of memory");
}

ss_code ss_trainer_open_weights(ss_trainer *t, ss_err *e)
{
    t->weights = ss_model_weights(t->model, &t->n);
    t->trained = ss_calloc((size_t)t->n, sizeof *t->trained);
    t->gradient = ss_calloc((size_t)t->n, sizeof *t->gradient);
    t->updates = ss_calloc((size_t)t->n, sizeof *t->updates);
    if (!t->trained || !t->gradient || !t->updates)
        return out_of_memory(e);
    for (int i = 0; i < t->n; i++) {
        const int64_t n = ss_shape_numel(t->weights[i]->shape);
        ss_code rc;

        t->trained[i] = (ss_trained){t->weights[i]->name, n, ss_alloc((size_t)n, sizeof(float))};
        t->gradient[i] = ss_alloc((size_t)n, sizeof(float));
        if (!t->trained[i].w || !t->gradient[i])
            return out_of_memory(e);
        if ((rc = ss_download(t->c, t->weights[i]->tensor, t->trained[i].w, e)) != SS_OK)
            return rc;
        ss_tensor_want_gradient(t->weights[i]->tensor, true);
    }
    return SS_OK;
}

void ss_trainer_close_weights(ss_trainer *t)
{
    for (int i = 0; i < t->n; i++) {
        if (t->trained)
            ss_free(t->trained[i].w);
        if (t->gradient)
            ss_free(t->gradient[i]);
    }
    ss_free(t->trained);
    ss_free(t->gradient);
    ss_free(t->updates);
}

ss_code ss_trainer_fetch_gradients(ss_trainer *t, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        ss_tensor *w = t->weights[i]->tensor;
        const ss_tensor *g = ss_tensor_gradient(w);

        if (g)
            rc = ss_download(t->c, g, t->gradient[i], e);
        else
            memset(t->gradient[i], 0, (size_t)t->trained[i].n * sizeof(float));
        ss_tensor_zero_gradient(w);
    }
    return rc;
}

ss_code ss_trainer_set_weights(ss_trainer *t, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < t->n && rc == SS_OK; i++)
        rc = ss_param_set(t->c, t->weights[i]->tensor, t->trained[i].w, e);
    return rc;
}

const ss_weight *ss_weight_named(ss_weight *const *weights, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(weights[i]->name, name) == 0)
            return weights[i];
    }
    return NULL;
}

ss_code ss_trainer_read_weights(ss_trainer *t, const char *folder, ss_err *e)
{
    ss_model *m;
    ss_code rc = ss_model_open(folder, NULL, &m, e);
    char have[96], want[96];
    int n;

    if (rc != SS_OK)
        return rc;
    ss_weight *const *stored = ss_model_weights(m, &n);
    for (int i = 0; i < t->n && rc == SS_OK; i++) {
        const ss_weight *w = t->weights[i], *s = ss_weight_named(stored, n, w->name);

        if (!s)
            rc = ss_fail(e, SS_SHAPE, "%s: %s is missing, which the network in training has",
                         folder, w->name);
        else if (!ss_shape_equal(s->shape, w->shape))
            rc = ss_fail(e, SS_SHAPE, "%s: %s is %s, the network's is %s", folder, w->name,
                         ss_shape_text(s->shape, have, sizeof have),
                         ss_shape_text(w->shape, want, sizeof want));
        else
            ss_values_to_f32(s->dtype, s->data, (size_t)t->trained[i].n, t->trained[i].w);
    }
    ss_model_close(m);
    return rc;
}
