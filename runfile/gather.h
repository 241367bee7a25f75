/* gather.h - joins the parts of a run (run_part.h) into the file that one process writes
 *
 * All parts are laid out as the whole run is. The whole is therefore a copy of one part, into which
 * the values of the others are copied. Counts of exponents are added where several parts have
 * samples of one input; nothing else is computed. Which values belong to which part follows from
 * the axes of each data set, so this works for any set of a run file.
 *
 *   input < sigma < sample    a part has its samples
 *   input < sigma             whole numbers are sums over samples; others have whole inputs
 *   neither                   is the same in all parts
 *
 * The bytes are those of an undivided run whose command, device, time and threads are the ones of
 * the first part.
 */
#ifndef SS_RUN_GATHER_H
#define SS_RUN_GATHER_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    const char *const *parts; /* in any order; one that is there twice must have the same bytes */
    int n_parts;
    const char *output;
    bool replace; /* output if it is there */
    bool partial; /* noise levels that parts lack are left undone; else nothing is written */
} ss_gather_options;

typedef struct {
    int count; /* parts of the run */
    int n_sigmas, n_done, n_inputs, n_samples;
} ss_gather_summary;

/* SS_USAGE if the parts are not of one run, SS_IO if some of it is missing; the message says what
 * and where. The output appears whole or not at all. */
ss_code ss_run_gather(const ss_gather_options *opt, ss_gather_summary *sum, ss_err *e);

#endif
