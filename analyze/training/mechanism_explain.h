/* mechanism_explain.h - a mechanism and its evidence in a sentence */
#ifndef SS_ANALYZE_MECHANISM_EXPLAIN_H
#define SS_ANALYZE_MECHANISM_EXPLAIN_H

#include "analyze/training/mechanism_logits.h"

/* Fills m->sentence once m has its rows and its name. x: the layer whose logits lead. */
ss_code ss_mechanism_explain(ss_course *c, const ss_runaway *x, ss_mechanism_finding *m, ss_err *e);

#endif
