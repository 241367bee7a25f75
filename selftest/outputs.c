/* outputs.c - see outputs.h */
#include "selftest/outputs.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

float *ss_outputs_add(ss_outputs *o, const char *name, int64_t n, bool gradient, bool count)
{
    ss_output *x = &o->list[o->n];

    if (o->n == SS_MAX_OUTPUTS || !(x->values = ss_calloc((size_t)n, sizeof *x->values))) {
        o->failed = true;
        return NULL;
    }
    snprintf(x->name, sizeof x->name, "%s", name);
    x->gradient = gradient;
    x->count = count;
    x->n = n;
    o->n++;
    return x->values;
}

void ss_outputs_put(ss_outputs *o, const char *name, double value, bool count)
{
    ss_output *x = NULL;

    for (int i = 0; i < o->n; i++)
        if (strcmp(o->list[i].name, name) == 0)
            x = &o->list[i];
    if (!x) {
        float *first = ss_outputs_add(o, name, 1, false, count);

        if (first)
            *first = (float)value;
        return;
    }
    float *grown = ss_realloc(x->values, (size_t)x->n + 1, sizeof *grown);

    if (!grown) {
        o->failed = true;
        return;
    }
    x->values = grown;
    x->values[x->n++] = (float)value;
}

void ss_outputs_release(ss_outputs *o)
{
    for (int i = 0; i < o->n; i++)
        ss_free(o->list[i].values);
    *o = (ss_outputs){0};
}

/* RMS of the finite numbers that are not huge, or the largest one. */
static double scale_of(const ss_output *x, bool largest)
{
    double sum = 0, most = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < x->n; i++) {
        const double v = x->values[i];

        if (fabs(v) < 1e15) { /* not NaN either */
            sum += v * v;
            n++;
        }
        if (isfinite(v))
            most = fmax(most, fabs(v));
    }
    return largest ? most : n ? sqrt(sum / (double)n) : 0;
}

static double error_of(double got, double want, double scale, double floor)
{
    const double d = fabs(got - want);

    if (got == want || (isnan(got) && isnan(want)))
        return 0;
    if (!isfinite(got) || !isfinite(want))
        return INFINITY;
    return d <= floor ? 0 : d / fmax(fabs(want), scale);
}

static void compare(const ss_output *got, const ss_output *want, const ss_comparison *how,
                    ss_difference *d)
{
    const double scale = scale_of(want, how->to_largest);

    for (int64_t i = 0; i < want->n; i++) {
        double error = error_of(got->values[i], want->values[i], scale, how->floor);

        if (want->count && error > 0)
            error = INFINITY;
        if (error > d->worst) {
            d->worst = error;
            snprintf(d->where, sizeof d->where, "%s[%lld]: %.9g, expected %.9g", want->name,
                     (long long)i, (double)got->values[i], (double)want->values[i]);
        }
    }
}

ss_difference ss_outputs_compare(const ss_outputs *got, const ss_outputs *want,
                                 const ss_comparison *how)
{
    ss_difference d = {0};

    if (got->n != want->n)
        return (ss_difference){INFINITY, "another number of results"};
    for (int i = 0; i < want->n; i++) {
        const ss_output *g = &got->list[i], *w = &want->list[i];

        if (g->n != w->n || strcmp(g->name, w->name) != 0) {
            d.worst = INFINITY;
            snprintf(d.where, sizeof d.where, "%s: %lld values, expected %s: %lld", g->name,
                     (long long)g->n, w->name, (long long)w->n);
            return d;
        }
        if (w->gradient == how->gradient)
            compare(g, w, how, &d);
    }
    return d;
}

bool ss_outputs_same_bits(const ss_outputs *a, const ss_outputs *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++) {
        if (a->list[i].n != b->list[i].n ||
            memcmp(a->list[i].values, b->list[i].values, (size_t)a->list[i].n * sizeof(float)) != 0)
            return false;
    }
    return true;
}

ss_code ss_outputs_hash(const ss_outputs *o, char hex[17], ss_err *e)
{
    static const uint32_t one_nan = 0x7fc00000;
    ss_str all = {0};
    char whole[65];
    ss_code rc = SS_OK;

    for (int i = 0; i < o->n && rc == SS_OK; i++) {
        const ss_output *x = &o->list[i];
        float *v = ss_alloc((size_t)x->n, sizeof *v);
        char one[65];

        if (!v)
            return ss_no_memory(e, "a hash");
        for (int64_t k = 0; k < x->n; k++)
            memcpy(&v[k], isnan(x->values[k]) ? (const void *)&one_nan : &x->values[k], sizeof *v);
        rc = ss_sha256_bytes(v, (size_t)x->n * sizeof *v, one, e);
        ss_free(v);
        if (rc == SS_OK)
            ss_str_addf(&all, "%s %s\n", x->name, one);
    }
    if (rc == SS_OK)
        rc = all.failed ? ss_no_memory(e, "a hash")
                        : ss_sha256_bytes(all.s ? all.s : "", all.len, whole, e);
    ss_str_release(&all);
    if (rc == SS_OK)
        snprintf(hex, 17, "%.16s", whole);
    return rc;
}
