/* clock.h - the time that files record */
#ifndef SS_BASE_CLOCK_H
#define SS_BASE_CLOCK_H

enum { SS_TIME_TEXT = 32 };

/* Writes the time as "2026-11-25T17:03:00Z": now, or that of SOURCE_DATE_EPOCH (seconds since 1970,
 * reproducible-builds.org) where the environment has it, so that the same command writes the same
 * bytes at any time. A SOURCE_DATE_EPOCH that is no such number is not used, which a note says.
 * Returns out. */
char *ss_time_text(char out[SS_TIME_TEXT]);

#endif
