/* main.c - `sigmascope`: picks the subcommand */
#include "base/version.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_command *const cli_commands[] = {&cmd_inspect, &cmd_probe,   &cmd_analyze,  &cmd_report,
                                           &cmd_attn,    &cmd_compare, &cmd_spectrum, &cmd_generate,
                                           &cmd_bisect,  &cmd_train,   NULL};

static void usage(FILE *f)
{
    fputs("usage: sigmascope COMMAND [OPTION]...\n\n"
          "Shows why a diffusion model's training diverges.\n\n",
          f);
    for (int i = 0; cli_commands[i]; i++)
        fprintf(f, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fputs("\n'sigmascope COMMAND --help' tells a command's options.\n", f);
}

/* Where other programs keep the cores busy, OpenMP's threads wait for one another in loops for
 * milliseconds at each of thousands of operations: 14 s instead of 1. libgomp reads how long to
 * spin when it is loaded, before main, so the program starts itself anew; whoever has set one of
 * the variables is left alone. 3000 rounds are some 10 us: in a quiet machine as fast as the
 * default. */
static void wait_politely(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0)
        execv("/proc/self/exe", argv); /* comes back only where it cannot: then as it is */
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    wait_politely(argv);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error like any other */
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        usage(stdout);
        return CLI_OK;
    }
    if (strcmp(name, "--version") == 0) {
        printf("sigmascope %s\n", SS_VERSION);
        return CLI_OK;
    }
    for (int i = 0; cli_commands[i]; i++) {
        if (strcmp(name, cli_commands[i]->name) == 0)
            return cli_commands[i]->run(cli_commands[i], argc - 1, argv + 1);
    }
    if (*name)
        fprintf(stderr, "sigmascope: no command '%s'\n", name);
    usage(stderr);
    return CLI_USAGE;
}
