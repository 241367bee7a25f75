/* levels.h - lists of noise levels, as the command line gives them */
#ifndef SS_PROBE_LEVELS_H
#define SS_PROBE_LEVELS_H

#include "base/err.h"

enum { SS_MAX_LEVELS = 4096 };

/* "0.02,0.5,80": the numbers as given, or "0.002:80:16": 16 of them from 0.002 to 80, equally
 * spaced in the logarithm, both ends included. Sigmas must be positive and may not repeat; one may
 * be "inf", pure noise. *values is the caller's to ss_free. */
ss_code ss_levels_parse_sigmas(const char *text, double **values, int *n, ss_err *e);

/* "1,500.5,999": numbers, none twice. Which there are is the schedule's to say. */
ss_code ss_levels_parse_timesteps(const char *text, double **values, int *n, ss_err *e);

#endif
