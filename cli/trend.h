/* trend.h - `sigmascope analyze` of several runs: growth over training (analyze/several/trend.h) */
#ifndef SS_CLI_TREND_H
#define SS_CLI_TREND_H

#include "analyze/one/headroom.h"
#include "cli/tables.h"

typedef struct {
    char *const *paths; /* [n_paths] run files */
    int n_paths;
    const char *steps; /* "250,500,1000", a step for each; NULL: from the models' paths */
    const char *const *globs;
    int n_globs;
    const ss_format *formats;
    int n_formats;
    int top;
} cli_trend;

/* Shows the tables. Unknown steps, or another number of them than of runs, are SS_USAGE. */
ss_code cli_trend_show(const cli_trend *x, cli_tables *out, bool *finding, ss_err *e);

#endif
