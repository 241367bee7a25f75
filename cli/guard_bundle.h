/* guard_bundle.h - what `sigmascope bisect --bundle` prints */
#ifndef SS_CLI_GUARD_BUNDLE_H
#define SS_CLI_GUARD_BUNDLE_H

#include "cli/tables.h"

/* Plays the bundle of a recorder's NaN guard and prints what it shows; *bad where something is not
 * finite. */
ss_code cli_guard_bundle(cli_tables *out, const char *dir, const char *device, int threads,
                         bool *bad, ss_err *e);

#endif
