/* replay.h - the options of a probe, read back from the run file that it made
 *
 *   ss_replay p;
 *   rc = ss_replay_read(run, &p, &err);
 *   p.opt.output = "again.h5";
 *   p.opt.network.changes.precision = "fp16";
 *   rc = ss_probe_run(&p.opt, &summary, &err);
 *   ss_replay_release(&p);
 *
 * All that is in the plan (runfile/plan_list.h) is as it was: noise levels, inputs, precision,
 * which modules were recorded and dumped. The output and the number of threads are not set. Paths
 * of model, pictures and tensors are as they were given, so the working directory has to be the
 * same.
 */
#ifndef SS_PROBE_REPLAY_H
#define SS_PROBE_REPLAY_H

#include "probe/probe.h"
#include "runfile/run_reader.h"
#include "runfile/settings.h"

#include <jansson.h>

typedef struct {
    ss_probe_options opt; /* borrows from the other members, and from the run */
    json_t *plan;         /* with today's keys */
    ss_settings_owned owned;
} ss_replay;

/* Reads the options. SS_USAGE for a run without plan or model (of another program), SS_FORMAT if
 * the plan lacks something. r must outlive the options. */
ss_code ss_replay_read(const ss_run *r, ss_replay *p, ss_err *e);
void ss_replay_release(ss_replay *p); /* {0} is fine */

#endif
