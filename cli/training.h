/* training.h - `sigmascope analyze` of a training's own run file (analyze/training/training.h) */
#ifndef SS_CLI_TRAINING_H
#define SS_CLI_TRAINING_H

#include "analyze/training/trainings.h"
#include "base/format.h"
#include "cli/tables.h"
#include "runfile/run_reader.h"

typedef struct {
    ss_run *run; /* over training steps */
    const char *const *globs;
    int n_globs;
    const ss_format *formats; /* [n_formats] to forecast; overflow is reported for the first ones */
    int n_formats, n_overflow;
    int top;
} cli_training;

/* Shows the tables. */
ss_code cli_training_show(const cli_training *x, cli_tables *out, bool *finding, ss_err *e);

/* Prints the tables of two trainings side by side. */
ss_code cli_trainings_show(const ss_trainings *x, int top, cli_tables *out, ss_err *e);

#endif
