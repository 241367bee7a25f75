/* log.h - chatter on stderr: messages and a progress line; results never go here */
#ifndef SS_BASE_LOG_H
#define SS_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { SS_PROGRESS_AUTO, SS_PROGRESS_ALWAYS, SS_PROGRESS_NEVER } ss_progress_mode;

/* SS_LOG_QUIET drops notes and progress, never warnings; SS_LOG_VERBOSE adds details. */
typedef enum { SS_LOG_NORMAL, SS_LOG_QUIET, SS_LOG_VERBOSE } ss_log_level;

/* Set once by the command. */
void ss_log_setup(ss_log_level level, ss_progress_mode progress);

/* "note: ..." and "warning: ..." lines. Thread-safe; a progress line is cleared first. */
void ss_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a note once in a process; later calls with the same text print nothing. */
void ss_note_once(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* With SS_LOG_VERBOSE a line that begins with the seconds since ss_log_setup: what was opened,
 * chosen or finished. */
void ss_detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ss_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A progress line with rate and time left, for work over a second. With `auto` it
 * shows only where stderr is a terminal; with `always` a stderr that is none gets a
 * whole line every five seconds.
 *
 *   ss_progress p;
 *   ss_progress_begin(&p, "probe", n);
 *   for (int i = 0; i < n; i++)
 *       ss_progress_step(&p, i + 1, "sigma 0.5");   // when it is done: the last one is N/N
 *   ss_progress_end(&p);
 */
typedef struct {
    const char *what;
    int64_t total, done;
    int64_t before; /* of `done`: not of this work, so that they tell nothing about its speed */
    double within;  /* part of the next unit, 0 to 1 */
    double start, last;
} ss_progress;

void ss_progress_begin(ss_progress *p, const char *what, int64_t total);
void ss_progress_step(ss_progress *p, int64_t done, const char *detail);
/* The same for work whose parts take unlike times: without a rate, with the seconds that are left.
 */
void ss_progress_left(ss_progress *p, int64_t done, double left, const char *detail);
/* Takes the line off the terminal for a while: something is printed on stdout, or begins where it
 * stood. Safe at any time. */
void ss_progress_hide(void);
/* Counts n units that were there before, or are left out. */
void ss_progress_skip(ss_progress *p, int64_t n);
/* Units that take seconds: which part of the next n, 0 to 1, is done, for the time left. */
void ss_progress_within(ss_progress *p, int64_t n, double part, const char *detail);
void ss_progress_end(ss_progress *p);

/* Seconds since some fixed moment, monotonic. */
double ss_now(void);

#endif
