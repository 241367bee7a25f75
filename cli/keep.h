/* keep.h - `sigmascope analyze --keep-fp32`: what must stay in fp32, ready to
 * paste (analyze/precision/keep.h) */
#ifndef SS_CLI_KEEP_H
#define SS_CLI_KEEP_H

#include "analyze/precision/keep.h"
#include "cli/code.h"
#include "cli/tables.h"

typedef struct {
    const char *path; /* run file */
    ss_format format;
    double margin; /* bits */
    bool check;    /* under emulation */
    int threads, top;
    const char *device;
    const char *write_map; /* file for --precision-map @FILE, or NULL */
    cli_code code;
} cli_keep;

/* Shows the list as a table, as a Python list and as arguments of probe, what underflows, and the
 * check. *suffices is false when the check shows that the list is too short. */
ss_code cli_keep_show(const cli_keep *x, cli_tables *out, bool *suffices, ss_err *e);

/* The list of k as a Python list and as arguments of probe; as JSON "keep_fp32", "precision_maps".
 */
ss_code cli_keep_blocks(const ss_run *r, const ss_keep *k, cli_tables *out, ss_err *e);

#endif
