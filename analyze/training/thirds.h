/* thirds.h - noise levels that divide the samples of a training into thirds
 *
 * With as many samples in each third, none has a larger largest |x| because it has more samples.
 * Bins of noise level are whole: each border is the one between two bins that comes nearest to a
 * third of all samples, so that a bin, whose mean noise level differs from step to step, stays in
 * one third. Two bins have no thirds.
 */
#ifndef SS_ANALYZE_THIRDS_H
#define SS_ANALYZE_THIRDS_H

#include "runfile/run_reader.h"

/* Where the middle and the high third begin; NaN: noise levels are not known. */
ss_code ss_thirds_find(const ss_run *r, double cut[2], ss_err *e);

#endif
