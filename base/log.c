/* log.c - see log.h */
#include "base/log.h"

#include "base/str.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below, and stderr */
static ss_log_level level;
static double began; /* of ss_log_setup */
static ss_progress_mode mode;
static bool line_shown;   /* a progress line stands on the terminal's last row */
static uint64_t said[64]; /* hashes of the notes that are said once; when full, all are said */
static int n_said;

void ss_log_setup(ss_log_level wanted, ss_progress_mode progress)
{
    pthread_mutex_lock(&lock);
    level = wanted;
    mode = progress;
    began = ss_now();
    pthread_mutex_unlock(&lock);
}

static void clear_line(void)
{
    if (line_shown)
        fputs("\r\033[K", stderr);
    line_shown = false;
}

static void say(const char *kind, const char *fmt, va_list ap)
{
    char text[4 * LINE], shown[8 * LINE];

    clear_line();
    vsnprintf(text, sizeof text, fmt, ap);
    fprintf(stderr, "%s: %s\n", kind, ss_printable(text, shown, sizeof shown));
}

void ss_note(const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&lock);
    va_start(ap, fmt);
    if (level != SS_LOG_QUIET)
        say("note", fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&lock);
}

/* FNV-1a. */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3;
    return h;
}

void ss_note_once(const char *fmt, ...)
{
    char text[4 * LINE];
    bool known = false;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const uint64_t h = hash(text);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_said; i++)
        known |= said[i] == h;
    if (!known && n_said < (int)(sizeof said / sizeof *said))
        said[n_said++] = h;
    pthread_mutex_unlock(&lock);
    if (!known)
        ss_note("%s", text);
}

void ss_detail(const char *fmt, ...)
{
    char when[32];
    va_list ap;

    pthread_mutex_lock(&lock);
    snprintf(when, sizeof when, "%.2f s", ss_now() - began);
    va_start(ap, fmt);
    if (level == SS_LOG_VERBOSE)
        say(when, fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&lock);
}

void ss_warn(const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&lock);
    va_start(ap, fmt);
    say("warning", fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&lock);
}

double ss_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 42 s, 3:07, 2:03:07 */
static const char *duration(double seconds, char *out, size_t n)
{
    long s = lround(fmin(seconds, 359999)); /* a cap of 99:59:59 */

    if (s < 60)
        snprintf(out, n, "%ld s", s);
    else if (s < 3600)
        snprintf(out, n, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(out, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return out;
}

void ss_progress_begin(ss_progress *p, const char *what, int64_t total)
{
    double now = ss_now();

    *p = (ss_progress){.what = what, .total = total, .start = now, .last = now};
}

/* One row of the terminal, so that \r can take it back. */
static void draw(const char *text)
{
    struct winsize size;
    int width = 80;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        width = size.ws_col;
    fprintf(stderr, "\r\033[K%.*s", width - 1, text);
    fflush(stderr);
    line_shown = true;
}

/* Shows the line, unless it is too early for one; left: seconds, NAN if they are not known. With
 * `speed`, units a second. */
static void show(ss_progress *p, double left, double speed, const char *detail)
{
    char text[LINE], time[32] = "?", rate[32] = "", shown[128];
    double now = ss_now(), spent = now - p->start;
    bool terminal = isatty(STDERR_FILENO);
    bool first = p->last == p->start;

    pthread_mutex_lock(&lock);
    if (level == SS_LOG_QUIET || mode == SS_PROGRESS_NEVER ||
        (mode == SS_PROGRESS_AUTO && !terminal))
        goto out;
    /* Work that is done within a second needs no line; a log needs fewer than an eye. */
    if (first ? spent < 1 : now - p->last < (terminal ? 0.1 : 5))
        goto out;
    p->last = now;
    if (!isnan(left))
        duration(left, time, sizeof time);
    if (!isnan(speed))
        snprintf(rate, sizeof rate, ", %.3g/s", speed);
    snprintf(text, sizeof text, "%s %lld/%lld%s, %s left  %s", p->what, (long long)p->done,
             (long long)p->total, rate, time,
             detail ? ss_printable(detail, shown, sizeof shown) : "");
    if (terminal)
        draw(text);
    else
        fprintf(stderr, "%s\n", text);
out:
    pthread_mutex_unlock(&lock);
}

/* Shows the line with the speed so far. */
static void show_speed(ss_progress *p, const char *detail)
{
    const double spent = ss_now() - p->start;
    const double done = (double)(p->done - p->before) + p->within; /* of this work */
    const double rest = (double)(p->total - p->before) - done;

    show(p, done > 0 ? spent / done * rest : NAN, done / spent, detail);
}

void ss_progress_step(ss_progress *p, int64_t done, const char *detail)
{
    p->done = done;
    p->within = 0;
    show_speed(p, detail);
}

void ss_progress_skip(ss_progress *p, int64_t n)
{
    p->done += n;
    p->before += n;
}

void ss_progress_within(ss_progress *p, int64_t n, double part, const char *detail)
{
    p->within = fmin(part, 1) * (double)n;
    show_speed(p, detail);
}

void ss_progress_left(ss_progress *p, int64_t done, double left, const char *detail)
{
    p->done = done;
    show(p, left, NAN, detail);
}

void ss_progress_hide(void)
{
    pthread_mutex_lock(&lock);
    clear_line();
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void ss_progress_end(ss_progress *p)
{
    char spent[32];

    pthread_mutex_lock(&lock);
    clear_line();
    if (p->last > p->start) /* it was shown, so its end is, too */
        fprintf(stderr, "%s: %lld/%lld in %s\n", p->what, (long long)p->done, (long long)p->total,
                duration(ss_now() - p->start, spent, sizeof spent));
    pthread_mutex_unlock(&lock);
}
