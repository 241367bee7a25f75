/* shell.c - see shell.h */
#include "base/shell.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const double GRACE = 3;     /* seconds that a command has after the program is to stop */
static const double LAST_WORD = 1; /* seconds between SIGTERM and SIGKILL */

/* The environment with the additions before it: the first of a name counts. */
static const char **join(const char *const *env)
{
    size_t n = 0, own = 0;

    while (env[own])
        own++;
    while (environ[n])
        n++;
    const char **all = ss_calloc(own + n + 1, sizeof *all);
    for (size_t i = 0; all && i < own; i++)
        all[i] = env[i];
    for (size_t i = 0, k = own; all && i < n; i++) {
        bool again = false;

        for (size_t j = 0; j < own; j++) {
            const size_t name = strcspn(env[j], "=") + 1;

            again |= strncmp(environ[i], env[j], name) == 0;
        }
        if (!again)
            all[k++] = environ[i];
    }
    return all;
}

static int start(const char *command, const char *const *env, pid_t *pid)
{
    char *const argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int failed =
        posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, (char *const *)(uintptr_t)env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Waits for the shell until the moment; false: it runs on. */
static bool wait_until(pid_t pid, double moment, int (*stop)(void), int *status)
{
    const struct timespec tick = {.tv_nsec = 10000000};
    bool stopping = false;

    for (;;) {
        const pid_t got = waitpid(pid, status, WNOHANG);

        if (got == pid || (got < 0 && errno != EINTR))
            return true;
        if (ss_now() >= moment)
            return false;
        if (!stopping && stop && stop()) {
            stopping = true;
            moment = ss_now() + GRACE < moment ? ss_now() + GRACE : moment;
        }
        nanosleep(&tick, NULL);
    }
}

ss_code ss_shell(const char *command, const char *const *env, double seconds, int (*stop)(void),
                 ss_shell_end *end, ss_err *e)
{
    const char **all = join(env);
    int status = 0;
    pid_t pid;

    *end = (ss_shell_end){0};
    if (!all)
        return ss_no_memory(e, "a command");
    const int failed = start(command, all, &pid);
    ss_free(all);
    if (failed)
        return ss_fail(e, SS_IO, "/bin/sh: %s", strerror(failed));
    if (!wait_until(pid, ss_now() + seconds, stop, &status)) {
        end->timed_out = true;
        kill(-pid, SIGTERM);
        if (!wait_until(pid, ss_now() + LAST_WORD, NULL, &status)) {
            kill(-pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            }
        }
        kill(-pid, SIGKILL); /* what ignored the first one */
    }
    end->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return SS_OK;
}
