/* signals.c - what SIGINT, SIGTERM and SIGHUP do; see cli.h
 *
 * A handler may do next to nothing, so it wakes a thread, which may do anything:
 *
 *   command      first signal                            second
 *   any          deletes unfinished outputs, exits       -
 *   stops soon   says so; the work ends by itself        deletes unfinished outputs, exits
 *
 * The exit status is 128 + the signal, as shells count.
 */
#include "base/unfinished.h"
#include "cli/cli.h"
#include "probe/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static int wake[2] = {-1, -1}; /* a pipe from the handler to the thread */
static atomic_bool stops_soon; /* the command asks ss_interrupted() */
static atomic_bool ending;     /* the thread is at its last deeds */
static char who[64];           /* "sigmascope probe" */

static void on_signal(int signal)
{
    const int saved = errno;
    const char byte = (char)signal;

    ss_interrupt(signal);
    if (write(wake[1], &byte, 1) < 0) { /* full: the thread has been told often enough */
    }
    errno = saved;
}

static void *end_by_signals(void *unused)
{
    char signal;

    (void)unused;
    for (int n = 1; read(wake[0], &signal, 1) == 1; n++) {
        if (stops_soon && n == 1) {
            ss_note("stopping where nothing is lost; a second signal ends it at once");
            continue;
        }
        ending = true;
        ss_unfinished_delete();
        ss_progress_hide();
        dprintf(STDERR_FILENO, "%s: interrupted\n", who);
        _exit(128 + signal);
    }
    return NULL;
}

void cli_handle_signals(const char *command)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction before;
    pthread_t thread;

    if (wake[0] >= 0 || pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    fcntl(wake[0], F_SETFL, 0); /* the thread waits, the handler does not */
    snprintf(who, sizeof who, "sigmascope %s", command);
    if (pthread_create(&thread, NULL, end_by_signals, NULL) != 0)
        return; /* signals end the program as they always do */
    pthread_detach(thread);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        /* nohup means it; a shell's ignored SIGINT of work in the background is for terminals */
        if (signals[i] != SIGHUP ||
            (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN))
            sigaction(signals[i], &act, NULL);
    }
}

void cli_stop_on_signals(void)
{
    stops_soon = true;
}

void cli_wait_for_end(void)
{
    while (ending)
        pause();
}
