/* speed.h - how fast a device is, beside what it can do at most; private to selftest/ */
#ifndef SS_SELFTEST_SPEED_H
#define SS_SELFTEST_SPEED_H

#include "selftest/selftest.h"

/* Measures into the tables of r, which have no columns yet. */
ss_code ss_measure_speed(const ss_selftest_options *opt, ss_selftest_result *r, ss_err *e);

#endif
