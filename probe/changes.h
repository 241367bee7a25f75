/* changes.h - changes of a network while it runs: emulated precision and interventions */
#ifndef SS_PROBE_CHANGES_H
#define SS_PROBE_CHANGES_H

#include "kernels/hooks.h"

typedef struct {
    const char *precision;             /* format name, or NULL: fp32 */
    const char *const *precision_maps; /* "GLOB=FMT" */
    int n_precision_maps;
    bool round_blocks; /* block outputs only; excludes the next */
    const char *as;    /* emulated code: "half", "autocast", "autocast-cpu"; NULL: half. If it is
                          given, norms overflow as in PyTorch also where nothing is rounded */
    const char *attention; /* "sdpa", "eager", "eager-unscaled"; NULL: sdpa */
    const char *const *interventions;
    int n_interventions;
} ss_changes_options;

typedef struct {
    ss_precision precision;
    struct ss_precision_rule *rules; /* precision.rules; owned, with their globs */
    ss_intervention *interventions;  /* owned; their globs are borrowed from the options */
    int n_interventions;
    char *precision_text; /* "fp16 (half, sdpa), mid_block=bf16"; "fp32" */
} ss_changes;

/* Parses the options, whose texts are borrowed while k lives. The error for a malformed one names
 * the option and what it should be. On failure *k is {0}. */
ss_code ss_changes_parse(const ss_changes_options *opt, ss_changes *k, ss_err *e);
void ss_changes_release(ss_changes *k); /* {0} is fine */

#endif
