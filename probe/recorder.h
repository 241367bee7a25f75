/* recorder.h - the hooks of a probe, which record each module into a run file
 *
 * A first pass only infers shapes; from it ss_recorder_spec knows the attention layers, channels
 * and dumps. Then each batch's statistics go into the column of the current noise level.
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
    const char *const *dump; /* globs of modules whose outputs are stored whole */
    int n_dump;
    bool half;      /* dumps are f16 */
    bool histogram; /* of exponents */
    bool channels;  /* statistics of each channel */
    bool tokens;    /* samples are the tokens of a prompt; values of the whole prompt (attention, a
                       pooled state) are put at the first */
    void (*on_progress)(void *self, double part); /* part of the modules of this batch that ran, 0
                                                     to 1; NULL is fine */
    void *self;
} ss_recorder_options;

/* A glob that matches no module is SS_USAGE. */
ss_code ss_recorder_new(const ss_recorder_options *opt, ss_recorder **r, ss_err *e);
void ss_recorder_free(ss_recorder *r); /* NULL is fine */

const ss_hooks *ss_recorder_hooks(ss_recorder *r);

/* Fills modules, layers, channels and dumps of the spec, borrowed from the recorder. Call it after
 * the shapes pass. */
void ss_recorder_spec(ss_recorder *r, ss_run_spec *spec);

/* Prepares the next forward pass: sample k of the batch is sample[k] of input[k]. col NULL: nothing
 * is recorded, except in the shapes pass. All are borrowed until the pass is over. */
void ss_recorder_begin(ss_recorder *r, ss_run_column *col, int n, const int *input,
                       const int *sample);

/* The first error of the pass. */
ss_code ss_recorder_check(const ss_recorder *r, ss_err *e);

#endif
