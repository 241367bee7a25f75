/* modules.c - see modules.h */
#include "selftest/modules.h"

#include <stdio.h>

#define MODULE(id_, path_, inner_)                                                              \
    {                                                                                           \
        .path = path_, .kind = "selftest", .id = id_, .parent = (id_) ? 0 : -1, .inner = inner_ \
    }
static const ss_module modules[SS_N_CASE_MODULES] = {
    MODULE(SS_CASE_MODULE, "m", SS_INNER_NONE),
    MODULE(SS_CASE_LOGITS, "m.logits", SS_INNER_LOGITS),
    MODULE(SS_CASE_UNSCALED, "m.unscaled", SS_INNER_UNSCALED),
    MODULE(SS_CASE_PROBABILITIES, "m.softmax", SS_INNER_PROBABILITIES),
    MODULE(SS_CASE_SCALED, "m.scaled", SS_INNER_MODULATED),
    MODULE(SS_CASE_SHIFTED, "m.shifted", SS_INNER_MODULATED),
};
const ss_module *const ss_case_modules[SS_N_CASE_MODULES] = {
    &modules[0], &modules[1], &modules[2], &modules[3], &modules[4], &modules[5],
};

static void put_tensor(ss_ctx *c, ss_outputs *out, const char *name, const ss_tensor *y,
                       bool gradient)
{
    const ss_shape s = ss_shape_get(y);
    float *to = y ? ss_outputs_add(out, name, ss_shape_numel(s), gradient, false) : NULL;
    ss_err e = {0};

    if (to && ss_download(c, y, to, &e) != SS_OK)
        ss_ctx_fail(c, e.code, "%s", e.msg);
}

void ss_case_put(ss_ctx *c, ss_outputs *out, const char *name, const ss_tensor *y)
{
    put_tensor(c, out, name, y, false);
}

void ss_case_put_gradient(ss_ctx *c, ss_outputs *out, const char *name, const ss_tensor *dy)
{
    put_tensor(c, out, name, dy, true);
}

static void put_stats(ss_outputs *out, const char *module, const ss_stats *s, int n)
{
    char name[32];

    for (int i = 0; i < n; i++) {
#define X(field)                                          \
    snprintf(name, sizeof name, "%.12s " #field, module); \
    ss_outputs_put(out, name, (double)s[i].field, false);
        SS_STATS(X)
#undef X
        snprintf(name, sizeof name, "%.12s nonfinite", module);
        ss_outputs_put(out, name, (double)s[i].nonfinite, true);
    }
}

void ss_case_put_stats(ss_outputs *out, const char *module, const ss_stats *s, int n,
                       bool exponents)
{
    char name[32];

    put_stats(out, module, s, n);
    snprintf(name, sizeof name, "%.12s exponents", module);
    for (int i = 0; i < n && exponents; i++)
        for (int k = 0; k < SS_N_EXPONENTS; k++)
            ss_outputs_put(out, name, (double)s[i].exponent[k], true);
}
