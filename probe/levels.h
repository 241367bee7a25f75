/* levels.h - parses lists of noise levels */
#ifndef SS_PROBE_LEVELS_H
#define SS_PROBE_LEVELS_H

#include "base/err.h"

enum { SS_MAX_LEVELS = 4096 };

/* Parses "0.02,0.5,80", or "0.002:80:16", which is 16 numbers from 0.002 to 80, equally spaced in
 * the logarithm. Sigmas must be positive and distinct; one may be "inf", pure noise. The caller
 * frees *values with ss_free. */
ss_code ss_levels_parse_sigmas(const char *text, double **values, int *n, ss_err *e);

/* Parses "1,500.5,999", distinct numbers; the schedule knows which are valid. The caller frees
 * *values with ss_free. */
ss_code ss_levels_parse_timesteps(const char *text, double **values, int *n, ss_err *e);

#endif
