/* mechanism_evidence.h - the rows of evidence for and against each mechanism (mechanism.h)
 *
 * Each function adds the rows of one mechanism to m. data, rate and spike look at all finite
 * points; weights, logits and stream at those before the stream broke.
 */
#ifndef SS_ANALYZE_MECHANISM_EVIDENCE_H
#define SS_ANALYZE_MECHANISM_EVIDENCE_H

#include "analyze/training/mechanism_logits.h"

void ss_evidence_data(ss_course *c, ss_mechanism_finding *m);
void ss_evidence_rate(ss_course *c, ss_mechanism_finding *m);
void ss_evidence_spike(ss_course *c, ss_mechanism_finding *m);
void ss_evidence_weights(ss_course *c, ss_mechanism_finding *m);
/* x: the leading layer. */
void ss_evidence_logits(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m);
void ss_evidence_stream(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m);

#endif
