/* training_analysis.h - all that the analyses say of a training's own run, and its sentences */
#ifndef SS_FINDINGS_TRAINING_ANALYSIS_H
#define SS_FINDINGS_TRAINING_ANALYSIS_H

#include "analyze/findings/finding.h"
#include "analyze/training/mechanism.h"
#include "analyze/training/training_health.h"
#include "analyze/training/training_overflow.h"
#include "analyze/training/updates.h"

/* All that the analyses say, computed once for text and figures. */
typedef struct {
    ss_run *run; /* borrowed */
    ss_sites all, produced;
    const ss_format *format; /* [n_formats] borrowed; the first is the one that is judged most */
    int n_formats;
    ss_training t;
    ss_training_health health;
    ss_not_finite bad;
    ss_mechanism_finding mechanism;
    ss_training_overflow overflow; /* of the first format */
    ss_updates updates;            /* n is 0 without */
    ss_training_loss *losses;      /* [n_losses] by noise level */
    int n_losses;
} ss_training_analysis;

ss_code ss_training_analysis_make(ss_run *r, const char *const *globs, int n_globs,
                                  const ss_format *formats, int n_formats, ss_training_analysis *x,
                                  ss_err *e);
void ss_training_analysis_release(ss_training_analysis *x); /* {0} is fine */

/* The sentences, in reading order. */
void ss_findings_training(ss_findings *f, const ss_training_analysis *x);

#endif
