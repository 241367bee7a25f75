/* modules.h - the modules that cases run in, and how they put results; private to selftest/ */
#ifndef SS_SELFTEST_MODULES_H
#define SS_SELFTEST_MODULES_H

#include "kernels/hooks.h"
#include "selftest/operation.h"

/* The module of a case, and inner values below it, in the order of the enum. */
enum {
    SS_CASE_MODULE,
    SS_CASE_LOGITS,
    SS_CASE_UNSCALED,
    SS_CASE_PROBABILITIES,
    SS_CASE_SCALED,
    SS_CASE_SHIFTED,
    SS_N_CASE_MODULES
};
extern const ss_module *const ss_case_modules[SS_N_CASE_MODULES];
#define ss_case_module (ss_case_modules[SS_CASE_MODULE])

/* Put values of a tensor or a gradient, or statistics of n samples, with or without their
 * histogram. */
void ss_case_put(ss_ctx *c, ss_outputs *out, const char *name, const ss_tensor *y);
void ss_case_put_gradient(ss_ctx *c, ss_outputs *out, const char *name, const ss_tensor *dy);
void ss_case_put_stats(ss_outputs *out, const char *module, const ss_stats *s, int n,
                       bool exponents);

#endif
