/* selftest.h - every operation of a device against the CPU, and how fast it is
 *
 *   ss_selftest_options opt = {.reference = cpu, .device = gpu};
 *   ss_selftest_result r;
 *   rc = ss_selftest_run(&opt, &r, &err);      // r.n_failed: runs of cases that failed
 *   ss_selftest_release(&r);
 *
 * Each case (cases.c) runs on both with random numbers in each number format, and with NaN, inf,
 * huge and subnormal numbers; then once more on the device, which must give the same bits. A
 * failure is a result, not an error: also that a device lacks an operation, or runs out of memory.
 */
#ifndef SS_SELFTEST_SELFTEST_H
#define SS_SELFTEST_SELFTEST_H

#include "base/table.h"
#include "kernels/context.h"

typedef enum { SS_SPEED_REAL, SS_SPEED_TINY, SS_SPEED_NONE } ss_selftest_speed;

typedef struct {
    ss_ctx *reference, *device; /* no setup is on them; may be one */
    ss_ctx *tensor;     /* the device with products on tensor cores, for their ceiling; or NULL */
    double rounding;    /* relative error of operands of products: of TF32 where it is asked for */
    const char *only;   /* glob of names of operations; NULL: all */
    const char *hashes; /* file (hashes.h), or NULL */
    bool quick;         /* fewer shapes, formats and numbers */
    ss_selftest_speed speed; /* sizes of real networks, or small ones that try the measuring */
} ss_selftest_options;

typedef struct {
    ss_table operations;       /* a row for each */
    ss_table ceilings, speeds; /* without rows where nothing is measured */
    int n_runs, n_failed;
    int n_hashes, n_unknown; /* compared or written; those the file does not have */
    bool hashes_written;
    char first[400]; /* the first failure: which case, where, and what */
} ss_selftest_result;

/* SS_USAGE where no operation matches. On failure r is released. */
ss_code ss_selftest_run(const ss_selftest_options *opt, ss_selftest_result *r, ss_err *e);
void ss_selftest_release(ss_selftest_result *r);

#endif
