/* training.h - the page of a training's own run file: statistics against the training step
 *
 * What needs noise levels in common between steps is not on it: the samples of each step have
 * others. `sigmascope probe` of the checkpoints gives those.
 */
#ifndef SS_REPORTS_TRAINING_H
#define SS_REPORTS_TRAINING_H

#include "analyze/one/not_finite.h"
#include "analyze/training/mechanism.h"
#include "analyze/training/training_health.h"
#include "analyze/training/training_overflow.h"
#include "analyze/training/updates.h"
#include "reports/page/page.h"

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

/* Writes FOLDER/index.html. opt: title, samples, command. */
ss_code ss_training_page(const ss_training_analysis *x, const ss_report_options *opt,
                         const char *folder, ss_report_summary *summary, ss_err *e);

/* The parts, in the order in which one reads them. */
void ss_summary_training(ss_page *p, const ss_training_analysis *x);
ss_code ss_section_training(ss_page *p, const ss_training_analysis *x, ss_err *e);  /* #training */
ss_code ss_section_steps(ss_page *p, const ss_training_analysis *x, ss_err *e);     /* #growth */
ss_code ss_section_step_heat(ss_page *p, const ss_training_analysis *x, ss_err *e); /* #heat */
ss_code ss_section_updates(ss_page *p, const ss_training_analysis *x, ss_err *e);   /* #updates */

#endif
