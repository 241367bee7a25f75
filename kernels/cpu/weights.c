/* weights.c - weights in the arrangement that a kernel wants, made once
 *
 * The copy stays with the tensor, one for each direction, until the values change, or another
 * arrangement or rounding is asked for, which nearly never happens. A tensor's other prepared form
 * (param.c) is of rank 1, these have rank 2 to 5.
 */
#include "base/mem.h"
#include "kernels/cpu/cpu.h"

typedef struct {
    uint64_t arrangement;
    ss_format format;         /* what rounded points at */
    const ss_format *rounded; /* NULL: not */
    unsigned version;         /* of the tensor's values */
    float *values;
} prepared;

static void prepared_free(ss_device *d, void *p)
{
    (void)d;
    ss_free(((prepared *)p)->values);
    ss_free(p);
}

static prepared *prepared_new(const ss_arrangement *how, const ss_format *f)
{
    prepared *p = ss_calloc(1, sizeof *p);

    if (!p || !(p->values = ss_alloc_aligned(how->bytes))) {
        ss_free(p);
        return NULL;
    }
    p->arrangement = how->id;
    if (f) {
        p->format = *f;
        p->rounded = &p->format;
    }
    return p;
}

/* Fills p from the tensor's values. */
static ss_code prepare(const ss_device *d, const ss_tensor *w, const ss_format *f,
                       const ss_arrangement *how, prepared *p, ss_err *e)
{
    const int64_t n = ss_shape_numel(w->shape);
    float *plain = NULL;

    if (w->dtype != SS_F32 || f) {
        plain = ss_alloc((size_t)n, sizeof *plain);
        if (!plain)
            return ss_fail(e, SS_NOMEM, "%lld weights as f32", (long long)n);
        d->isa->to_f32(w->data, w->dtype, plain, n);
    }
    if (f)
        d->isa->round_values(f, plain, plain, n);
    ss_code rc = how->arrange(how->self, d, plain ? plain : w->data, p->values, e);
    ss_free(plain);
    return rc;
}

ss_code ss_cpu_weights(ss_device *d, const ss_tensor *w, ss_use use, const ss_format *f,
                       const ss_arrangement *how, float **values, ss_err *e)
{
    prepared *p = w->prepared[use].form, *fresh = NULL;

    if (p && (p->arrangement != how->id || !ss_cpu_same_format(p->rounded, f)))
        p = NULL;
    if (p && p->version == w->version) {
        *values = p->values;
        return SS_OK;
    }
    if (!p && !(p = fresh = prepared_new(how, f)))
        return ss_fail(e, SS_NOMEM, "weights of %zu bytes", how->bytes);

    ss_code rc = prepare(d, w, f, how, p, e);
    if (rc != SS_OK) {
        if (fresh)
            prepared_free(d, fresh);
        return rc;
    }
    p->version = w->version;
    if (fresh)
        ss_prepared_set(d, w, use, (ss_prepared){fresh, prepared_free});
    *values = p->values;
    return SS_OK;
}
