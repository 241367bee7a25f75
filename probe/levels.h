/* levels.h - lists of noise levels, as the command line gives them */
#ifndef SS_PROBE_LEVELS_H
#define SS_PROBE_LEVELS_H

#include "base/err.h"

enum { SS_MAX_LEVELS = 4096 };

/* "0.02,0.5,80": the numbers as given, or "0.002:80:16": 16 of them from 0.002 to 80, equally
 * spaced in the logarithm, both ends included. Sigmas must be positive and finite and may not
 * repeat. *values is the caller's to ss_free. */
ss_code ss_levels_parse_sigmas(const char *text, double **values, int *n, ss_err *e);

/* "1,500,999": whole numbers from 0 to limit - 1, none twice. */
ss_code ss_levels_parse_timesteps(const char *text, int limit, double **values, int *n, ss_err *e);

#endif
