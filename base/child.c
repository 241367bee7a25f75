/* child.c - see child.h */
#include "base/child.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_ARGUMENTS = 62 };

ss_code ss_child_start(ss_child *c, const char *program, const char *const *arguments,
                       const char *folder, ss_err *e)
{
    posix_spawn_file_actions_t actions;
    char *argv[MAX_ARGUMENTS + 2] = {(char *)program};
    int ends[2], rc;

    for (int i = 0; arguments[i] && i < MAX_ARGUMENTS; i++)
        argv[i + 1] = (char *)arguments[i];
    if (!(c->err = tmpfile()))
        return ss_fail(e, SS_IO, "%s: no temporary file: %s", program, strerror(errno));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fclose(c->err);
        return ss_fail(e, SS_IO, "%s: no pipe: %s", program, strerror(errno));
    }
    posix_spawn_file_actions_init(&actions);
    if (folder)
        posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(c->err), 1);
    posix_spawn_file_actions_adddup2(&actions, fileno(c->err), 2);
    rc = posix_spawnp(&c->pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    c->in = ends[1];
    if (rc != 0) {
        close(ends[1]);
        fclose(c->err);
        return ss_fail(e, SS_UNSUPPORTED, "%s: %s", program, strerror(rc));
    }
    return SS_OK;
}

bool ss_child_feed(ss_child *c, const void *bytes, size_t n)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    const char *at = bytes;

    if (c->in < 0)
        return false;
    sigaction(SIGPIPE, &ignore, &before);
    while (n > 0) {
        const ssize_t k = write(c->in, at, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        at += k;
        n -= (size_t)k;
    }
    sigaction(SIGPIPE, &before, NULL);
    if (n > 0) {
        close(c->in);
        c->in = -1;
    }
    return n == 0;
}

static void first_complaint(FILE *err, char *out, size_t n)
{
    char line[256];
    bool warned = false;

    snprintf(out, n, "no complaint");
    rewind(err);
    while (fgets(line, sizeof line, err)) {
        const char *text = line + strspn(line, " \t^\n");

        line[strcspn(line, "\n")] = '\0';
        if (!*text || (strstr(text, "warning") && warned))
            continue;
        ss_printable(text, out, n);
        if (!strstr(text, "warning"))
            return;
        warned = true;
    }
}

int ss_child_end(ss_child *c, char *complaint, size_t n)
{
    int status;

    if (c->in >= 0)
        close(c->in);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    first_complaint(c->err, complaint, n);
    ss_detail("a child program ended with wait status %d: %s", status, complaint);
    fclose(c->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
