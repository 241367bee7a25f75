/* param.c - parameters as plain f32
 *
 * Biases, norm weights and embedding tables are read value by value, so the prepared form
 * is an f32 array. It is made at the first use and lives as long as the tensor. Convolutions
 * and matrix products keep another form in the same place (onednn.c), of tensors of rank 2
 * to 5; those here have rank 1.
 */
#include "base/mem.h"
#include "kernels/cpu/cpu.h"

typedef struct {
    ss_format format;         /* what rounded points at */
    const ss_format *rounded; /* NULL: not */
    unsigned version;         /* of the tensor's values */
    float values[];
} plain;

bool ss_cpu_same_format(const ss_format *a, const ss_format *b)
{
    if (!a || !b)
        return a == b;
    return a->exp_bits == b->exp_bits && a->man_bits == b->man_bits && a->saturate == b->saturate &&
           a->no_inf == b->no_inf;
}

static void plain_free(ss_device *d, void *form)
{
    (void)d;
    ss_free(form);
}

const float *ss_cpu_param(ss_device *d, const ss_tensor *w, const ss_format *f, ss_err *e)
{
    const int64_t n = ss_shape_numel(w->shape);

    if (w->dtype == SS_F32 && !f)
        return w->data;

    plain *p = w->prepared[SS_PREPARED_FORWARD].form;
    if (p && p->version == w->version && ss_cpu_same_format(p->rounded, f))
        return p->values;

    p = ss_alloc(1, sizeof *p + (size_t)n * sizeof(float));
    if (!p) {
        ss_fail(e, SS_NOMEM, "%lld parameter values as f32", (long long)n);
        return NULL;
    }
    p->version = w->version;
    p->rounded = f ? &p->format : NULL;
    d->isa->to_f32(w->data, w->dtype, p->values, n);
    if (f) {
        p->format = *f;
        d->isa->round_values(f, p->values, p->values, n);
    }

    ss_prepared_set(d, w, SS_PREPARED_FORWARD, (ss_prepared){p, plain_free});
    return p->values;
}
