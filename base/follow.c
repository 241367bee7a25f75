/* follow.c - see follow.h */
#include "base/follow.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Becomes the program; `parent` is the process that asked for it. Returns if that failed. */
static void become(const char *program, const char *const *argv, int out, int err, pid_t parent)
{
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* which ended before that was known */
        _exit(1);
    setpgid(0, 0);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(err, STDERR_FILENO) >= 0)
        execv(program, (char *const *)(uintptr_t)argv);
}

/* Starts the program; the errno of what failed comes through a pipe that exec closes. */
static int start(const char *program, const char *const *argv, int out, int err, pid_t *pid)
{
    const pid_t parent = getpid();
    int ends[2], failed = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    *pid = fork();
    if (*pid == 0) {
        become(program, argv, out, err, parent);
        failed = errno;
        if (write(ends[1], &failed, sizeof failed) < 0) { /* the parent sees the status */
        }
        _exit(127);
    }
    if (*pid < 0)
        failed = errno;
    close(ends[1]);
    if (*pid > 0 && read(ends[0], &failed, sizeof failed) == sizeof failed)
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
        }
    close(ends[0]);
    return failed;
}

ss_code ss_follow(const char *program, const char *const *argv, const char *output,
                  ss_follower *heard, void *self, int *status, ss_err *e)
{
    follower f = {.heard = heard, .self = self};
    ss_outfile out = {0};
    int ends[2], ended;
    ss_code rc = output ? ss_outfile_open(&out, output, e) : SS_OK;
    const int nowhere = output ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (rc != SS_OK)
        return rc;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        rc = ss_fail(e, SS_IO, "%s: no pipe: %s", argv[0], strerror(errno));
        ss_outfile_discard(&out);
        if (nowhere >= 0)
            close(nowhere);
        return rc;
    }
    const int failed = start(program, argv, output ? fileno(out.f) : nowhere, ends[1], &f.pid);
    close(ends[1]);
    if (nowhere >= 0)
        close(nowhere);
    if (failed) {
        rc = ss_fail(e, SS_IO, "%s: %s", argv[0], strerror(failed));
    } else {
        read_all(&f, ends[0]);
        while (waitpid(f.pid, &ended, 0) < 0 && errno == EINTR) {
        }
        *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    }
    close(ends[0]);
    if (rc == SS_OK && !f.stopped && output)
        return ss_outfile_commit(&out, e);
    ss_outfile_discard(&out);
    return rc;
}
