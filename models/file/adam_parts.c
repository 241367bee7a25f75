/* adam_parts.c - numbers and checks of Adam's states, see adam_inside.h */
#include "base/str.h"
#include "models/file/adam_inside.h"

#include <math.h>
#include <string.h>

double ss_adam_scalar(const ss_stored_tensor *t)
{
    char raw[8];
    float x;

    if (!t || !t->usable || t->bytes != ss_dtype_size(t->dtype) ||
        ss_stored_read(t, raw, NULL) != SS_OK)
        return NAN;
    ss_values_to_f32(t->dtype, raw, 1, &x);
    return (double)x;
}

double ss_adam_number(const ss_pickle_value *v)
{
    if (!v)
        return NAN;
    if (v->kind == SS_PICKLE_INT)
        return (double)v->number;
    if (v->kind == SS_PICKLE_FLOAT)
        return v->real;
    return v->kind == SS_PICKLE_TENSOR ? ss_adam_scalar(v->tensor) : NAN;
}

static bool has_shape_of(const ss_stored_tensor *a, const ss_stored_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

ss_code ss_adam_check(const char *path, const char *name, const ss_adam_moment *p, ss_err *e)
{
    if (!p->m || !p->v)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: parameter %s has no exp_avg and exp_avg_sq, so its optimizer is not "
                       "Adam",
                       path, SS_SHOW(name));
    if (!p->m->usable || !p->v->usable || !has_shape_of(p->m, p->v))
        return ss_fail(e, SS_FORMAT,
                       "%s: the moments of parameter %s are not two tensors of one shape that can "
                       "be used",
                       path, SS_SHOW(name));
    if (!(p->step >= 1))
        return ss_fail(e, SS_FORMAT, "%s: parameter %s has no step", path, SS_SHOW(name));
    return SS_OK;
}

bool ss_adam_has_options(const ss_adam_moment *p)
{
    return p->beta1 >= 0 && p->beta1 < 1 && p->beta2 >= 0 && p->beta2 < 1 && p->eps >= 0 &&
           isfinite(p->rate);
}
