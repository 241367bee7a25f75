/* emulation.h - repeats an fp32 run under emulation, with one list after another of the modules
 * that stay in fp32
 *
 *   ss_emulation m;
 *   rc = ss_emulation_begin(r, "fp16", threads, device, &m, &err);
 *   m.replay.opt.sigmas = "80";                    // narrower than the plan, if wanted
 *   rc = ss_emulation_run(&m, r, &keep, &again, &err);
 *   ...
 *   ss_run_close(again);
 *   ss_emulation_end(&m);
 */
#ifndef SS_ANALYZE_EMULATION_H
#define SS_ANALYZE_EMULATION_H

#include "analyze/precision/keep.h"
#include "probe/replay.h"

typedef struct {
    ss_format format; /* of one that saturates its twin that overflows: what is lost has to show */
    ss_replay replay;
    char *folder, *output; /* in $TMPDIR (or /tmp) */
} ss_emulation;

/* r is borrowed; its r->as and r->attention say which code is emulated. threads, device: as in
 * ss_probe_options. Errors of ss_replay_read. */
ss_code ss_emulation_begin(ss_run *r, const char *format, int threads, const char *device,
                           ss_emulation *m, ss_err *e);
void ss_emulation_end(ss_emulation *m); /* removes the folder; {0} is fine */

/* One run with what k keeps, or nothing kept (NULL). Its file is removed already: *again lives
 * until ss_run_close. SS_FORMAT when the model is not the one of r any more. */
ss_code ss_emulation_run(ss_emulation *m, const ss_run *r, const ss_keep *k, ss_run **again,
                         ss_err *e);

/* Values that are inf or NaN, over all ports; modules (may be NULL): how many modules have any. */
ss_code ss_emulation_count(ss_run *again, uint64_t *nonfinite, int *modules, ss_err *e);

#endif
