/* apart.c - see apart.h
 *
 * The child writes the code as one byte, and after it the answer, or the message.
 */
#include "base/apart.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 100 };

static void write_all(int to, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(to, bytes, n);

        if (done < 0 && errno != EINTR)
            return; /* nobody reads: the caller has ended */
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        }
    }
}

static void work_in_child(ss_apart_work *work, void *self, int to)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP}; /* signals that the parent answers */
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ss_str answer = {0};
    ss_err e = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], SIG_DFL);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        signal(ours[i], SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    dup2(nowhere, STDERR_FILENO);
    ss_code rc = work(self, &answer, &e);
    if (rc == SS_OK && answer.failed)
        rc = ss_no_memory(&e, "an answer");
    write_all(to, (const char[]){(char)rc}, 1);
    if (rc == SS_OK)
        write_all(to, answer.s ? answer.s : "", answer.len);
    else
        write_all(to, e.msg, strlen(e.msg));
    _exit(0);
}

/* Reads until the child has ended its answer; false: it was to stop. */
static bool read_answer(int from, int (*stop)(void), ss_str *answer)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    char bytes[1024];

    while (!stop || !stop()) {
        const int ready = poll(&p, 1, TICK_MS);
        const ssize_t n = ready > 0 ? read(from, bytes, sizeof bytes) : -1;

        if (n > 0)
            ss_str_addn(answer, bytes, (size_t)n);
        else if (n == 0 || (ready != 0 && errno != EINTR))
            return true;
    }
    return false;
}

ss_code ss_apart(ss_apart_work *work, void *self, int (*stop)(void), char **answer, ss_err *e)
{
    int ends[2], status = 0;
    ss_str text = {0};
    ss_code rc = SS_OK;

    *answer = NULL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ss_fail(e, SS_IO, "no pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0)
        work_in_child(work, self, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        rc = ss_fail(e, SS_IO, "no process: %s", strerror(errno));
    } else {
        if (!read_answer(ends[0], stop, &text)) {
            kill(pid, SIGKILL);
            rc = ss_fail(e, SS_INTERRUPTED, "interrupted");
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(ends[0]);
    if (rc == SS_OK && WIFSIGNALED(status))
        rc = ss_fail(e, SS_IO, "the process that read it was ended by signal %d (%s)%s",
                     WTERMSIG(status), strsignal(WTERMSIG(status)),
                     WTERMSIG(status) == SIGBUS ? ": a file became shorter meanwhile" : "");
    if (rc == SS_OK && text.failed)
        rc = ss_no_memory(e, "an answer");
    if (rc == SS_OK && text.len == 0)
        rc = ss_fail(e, SS_IO, "the process that read it gave no answer");
    if (rc == SS_OK && text.s[0] != SS_OK)
        rc = ss_fail(e, (ss_code)text.s[0], "%s", text.s + 1);
    if (rc == SS_OK && !(*answer = ss_strdup(text.s + 1)))
        rc = ss_no_memory(e, "an answer");
    ss_str_release(&text);
    return rc;
}
