/* recorder.h - the hooks of a probe: what is seen at each module goes into a run file
 *
 * First a pass that only infers shapes tells which attention layers, channels and dumps
 * there are (ss_recorder_spec), then each batch's statistics go into the column of the
 * noise level at hand.
 */
#ifndef SS_PROBE_RECORDER_H
#define SS_PROBE_RECORDER_H

#include "kernels/hooks.h"
#include "runfile/run_file.h"

typedef struct ss_recorder ss_recorder;

typedef struct {
    const ss_module *const *modules; /* all of the model; borrowed while the recorder lives */
    int n_modules;
    const char *const *watch; /* globs; none: all modules */
    int n_watch;
    const char *const *dump; /* globs: whose outputs are stored whole */
    int n_dump;
    bool half; /* dumps as f16 */
    bool histogram;
    bool channels; /* per-channel statistics */
} ss_recorder_options;

/* A glob that matches no module is SS_USAGE. */
ss_code ss_recorder_new(const ss_recorder_options *opt, ss_recorder **r, ss_err *e);
void ss_recorder_free(ss_recorder *r); /* NULL is fine */

const ss_hooks *ss_recorder_hooks(ss_recorder *r);

/* After the shapes pass: fills modules, layers, channels and dumps of a run's description;
 * borrowed from the recorder. */
void ss_recorder_spec(ss_recorder *r, ss_run_spec *spec);

/* Where the samples of the next forward pass belong: sample k of the batch is sample[k] of
 * input[k]. col NULL: nothing is recorded, except in the shapes pass. Borrowed until the pass is
 * over. */
void ss_recorder_begin(ss_recorder *r, ss_run_column *col, int n, const int *input,
                       const int *sample);

/* The first error of the pass. */
ss_code ss_recorder_check(const ss_recorder *r, ss_err *e);

#endif
