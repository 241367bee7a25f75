/* follow.c - see follow.h */
#include "base/follow.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { TICK_MS = 250, LONGEST_LINE = 4096 };

typedef struct {
    ss_follower *heard;
    void *self;
    pid_t pid;
    bool stopped;
    char line[LONGEST_LINE];
    size_t n;
} follower;

static void tell(follower *f, const char *line)
{
    if (f->heard(f->self, line) || f->stopped)
        return;
    kill(f->pid, SIGINT);
    f->stopped = true;
}

/* Hands over the lines among n bytes; a line that is too long is cut. */
static void take(follower *f, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (f->n < sizeof f->line - 1)
                f->line[f->n++] = bytes[i];
            continue;
        }
        f->line[f->n] = '\0';
        f->n = 0;
        tell(f, f->line);
    }
}

/* Reads until the program, and whatever it started, has closed its stderr. */
static void read_all(follower *f, int from)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    char bytes[1024];

    for (;;) {
        const int ready = poll(&p, 1, TICK_MS);

        if (ready > 0) {
            const ssize_t n = read(from, bytes, sizeof bytes);

            if (n > 0)
                take(f, bytes, (size_t)n);
            else if (n == 0 || errno != EINTR)
                break;
        } else if (ready < 0 && errno != EINTR) {
            break;
        }
        tell(f, NULL);
    }
    if (f->n)
        take(f, "\n", 1);
}

static int start(const char *program, const char *const *argv, int out, int err, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int rc = posix_spawn(pid, program, &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

ss_code ss_follow(const char *program, const char *const *argv, const char *output,
                  ss_follower *heard, void *self, int *status, ss_err *e)
{
    follower f = {.heard = heard, .self = self};
    ss_outfile out = {0};
    int ends[2], ended;
    ss_code rc = ss_outfile_open(&out, output, e);

    if (rc != SS_OK)
        return rc;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        rc = ss_fail(e, SS_IO, "%s: no pipe: %s", argv[0], strerror(errno));
        ss_outfile_discard(&out);
        return rc;
    }
    const int failed = start(program, argv, fileno(out.f), ends[1], &f.pid);
    close(ends[1]);
    if (failed) {
        rc = ss_fail(e, SS_IO, "%s: %s", argv[0], strerror(failed));
    } else {
        read_all(&f, ends[0]);
        while (waitpid(f.pid, &ended, 0) < 0 && errno == EINTR) {
        }
        *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    }
    close(ends[0]);
    if (rc == SS_OK && !f.stopped)
        return ss_outfile_commit(&out, e);
    ss_outfile_discard(&out);
    return rc;
}
