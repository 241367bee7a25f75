/* h5_trial.c - see h5_trial.h */
#include "runfile/h5_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

bool ss_h5_survives(void (*what)(void *self), void *self)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP}; /* signals that the parent answers */
    enum { SECONDS = 60 };
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        return true;
    if (pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
            signal(deadly[i], SIG_DFL);
        for (size_t i = 0; i < sizeof ours / sizeof *ours;
             i++) /* the terminal's keys reach it, too */
            signal(ours[i], SIG_IGN);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        dup2(nowhere, STDERR_FILENO); /* hides what the C library prints when it aborts */
        alarm(SECONDS);
        what(self);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return true;
    }
    return status == 0;
}
