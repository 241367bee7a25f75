/* training.h - the page of a training's own run file: statistics against the training step
 *
 * What needs noise levels in common between steps is not on it: the samples of each step have
 * others. `sigmascope probe` of the checkpoints gives those.
 */
#ifndef SS_REPORTS_TRAINING_H
#define SS_REPORTS_TRAINING_H

#include "analyze/findings/training_analysis.h"
#include "reports/page/page.h"

/* Writes FOLDER/index.html. opt: title, samples, command. */
ss_code ss_training_page(const ss_training_analysis *x, const ss_report_options *opt,
                         const char *folder, ss_report_summary *summary, ss_err *e);

/* The parts, in the order in which one reads them. */
ss_code ss_section_training(ss_page *p, const ss_training_analysis *x, ss_err *e);  /* #training */
ss_code ss_section_steps(ss_page *p, const ss_training_analysis *x, ss_err *e);     /* #growth */
ss_code ss_section_step_heat(ss_page *p, const ss_training_analysis *x, ss_err *e); /* #heat */
ss_code ss_section_updates(ss_page *p, const ss_training_analysis *x, ss_err *e);   /* #updates */

#endif
