/* changes.h - what is done to a network while it runs: emulated precision and interventions */
#ifndef SS_PROBE_CHANGES_H
#define SS_PROBE_CHANGES_H

#include "kernels/hooks.h"

typedef struct {
    const char *precision;             /* format name, or NULL: fp32 */
    const char *const *precision_maps; /* "GLOB=FMT" */
    int n_precision_maps;
    bool round_blocks;     /* block outputs only; excludes the next */
    const char *as;        /* code that is emulated: "half", "autocast", "autocast-cpu"; NULL: half.
                              Given, norms overflow as PyTorch's also where nothing is rounded */
    const char *attention; /* "sdpa", "eager", "eager-unscaled"; NULL: sdpa */
    const char *const *interventions;
    int n_interventions;
} ss_changes_options;

typedef struct {
    ss_precision precision;
    struct ss_precision_rule *rules; /* precision.rules; the globs are owned too */
    ss_intervention *interventions;  /* their globs are the options' */
    int n_interventions;
    char *precision_text; /* "fp16 (half, sdpa), mid_block=bf16"; "fp32" */
} ss_changes;

/* Understands the options, whose texts are borrowed while k lives. What a malformed one should
 * be is in the error, which names the option of the command line. On failure *k is {0}. */
ss_code ss_changes_parse(const ss_changes_options *opt, ss_changes *k, ss_err *e);
void ss_changes_release(ss_changes *k); /* {0} is fine */

#endif
