/* ss_command.h - runs the program as a user does
 *
 * Commands go through the shell, from the repository's root, with M for the bundled model and
 * D for a folder of the test's own. SIGMASCOPE names the program (tests/run-all sets it).
 */
#ifndef SS_TEST_COMMAND_H
#define SS_TEST_COMMAND_H

#include "tests/ss_tmp.h"

#include <sys/wait.h>

#define MODEL "demo/fashion-mnist/step-00250"

static char output[1 << 24]; /* of the last command, stdout and stderr */

/* The length of a command's name, if it runs networks and the tests have a device for them. */
static inline int runs_networks(const char *args)
{
    static const char *const names[] = {"probe ", "generate ", "train ", "bisect "};

    for (size_t i = 0; i < N_OF(names) && test_device(); i++)
        if (!strncmp(args, names[i], strlen(names[i])) && !strstr(args, "--device"))
            return (int)strlen(names[i]);
    return 0;
}

/* Runs "PROGRAM args" with $M and $D set, networks on test_device(); the exit status, or
 * -signal. */
static inline int run(const char *args)
{
    const char *program = getenv("SIGMASCOPE");
    const int name = runs_networks(args);
    char command[4096];

    snprintf(command, sizeof command, "M=%s; D=%s; { %s %.*s%s%s %s; } 2>&1", MODEL, tmp_dir,
             program ? program : "build/sigmascope", name, args, name ? "--device " : "",
             name ? test_device() : "", args + name);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(output, 1, sizeof output - 1, p);
    output[n] = '\0';
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void expect(const char *args, int status, const char *text)
{
    int got = run(args);

    if (got != status)
        fail_msg("%s: exit status %d, want %d; it printed:\n%s", args, got, status, output);
    if (text && !strstr(output, text))
        fail_msg("%s: printed\n%s\nwhich lacks \"%s\"", args, output, text);
}

#endif
