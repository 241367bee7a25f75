/* keep_check.h - does the list of keep.h suffice? The same plan under emulation says so
 *
 * Repeats the run of the fp32 file (probe/replay.h) in the format: once with nothing kept, then
 * with the list. Where inf or NaN is left, because fewer overflows upstream expose new ones
 * downstream or rounding enlarges a value, the list grows by ss_keep_grow and the run is repeated,
 * until it is clean, nothing is left to add, or the list was tried SS_KEEP_ROUNDS times.
 */
#ifndef SS_ANALYZE_KEEP_CHECK_H
#define SS_ANALYZE_KEEP_CHECK_H

#include "analyze/precision/keep.h"

enum { SS_KEEP_ROUNDS = 8 };

typedef struct {
    int kept;           /* modules on the list; 0 in the first trial */
    uint64_t nonfinite; /* values that are inf or NaN, over all ports */
    int modules;        /* that have any */
    int pictures;       /* denoised ones: inputs x noise levels x samples */
    int lost;           /* of them, with anything that is not finite */
    double change;      /* |y - y0| / |y0| over the others, y0 in fp32; NaN without any */
} ss_keep_trial;

typedef struct {
    ss_keep_trial *trials; /* nothing kept, then (unless the list is empty) round by round */
    int n;
    bool clean; /* the last trial has neither inf nor NaN where fp32 has none */
} ss_keep_check;

/* k grows. threads, device: as in ss_probe_options. The runs are written to a folder in $TMPDIR (or
 * /tmp) that is removed. Errors are those of ss_replay_read and ss_probe_run; SS_FORMAT when the
 * model is not the one of the run any more. */
ss_code ss_keep_check_run(ss_run *r, ss_keep *k, int threads, const char *device, ss_keep_check *c,
                          ss_err *e);
void ss_keep_check_release(ss_keep_check *c); /* {0} is fine */

ss_code ss_keep_check_table(const ss_keep *k, const ss_keep_check *c, ss_table *t, ss_err *e);

#endif
