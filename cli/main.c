/* main.c - `sigmascope`: picks the subcommand */
#include "base/threads.h"
#include "base/version.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const cli_command *const cli_commands[] = {
    &cmd_inspect, &cmd_probe,    &cmd_analyze,  &cmd_report, &cmd_attn, &cmd_compare,
    &cmd_convert, &cmd_spectrum, &cmd_generate, &cmd_score,  &cmd_sbs,  &cmd_bisect,
    &cmd_train,   &cmd_video,    &cmd_selftest, NULL};

static void usage(FILE *f)
{
    fputs("usage: sigmascope COMMAND [OPTION]...\n\n"
          "Shows why a diffusion model's training diverges.\n\n",
          f);
    for (int i = 0; cli_commands[i]; i++)
        fprintf(f, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fputs("\n'sigmascope COMMAND --help' prints a command's options, --version the version.\n"
          "--man prints the manual page, --completion bash|zsh|fish what that shell reads to\n"
          "complete commands and options.\n",
          f);
}

/* Runs an option that stands in place of a command; -1: name is none. */
static int print_about(const char *name, const char *value)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        usage(stdout);
    } else if (strcmp(name, "--version") == 0) {
        printf("sigmascope %s\n", SS_VERSION);
    } else if (strcmp(name, "--man") == 0) {
        cli_manual(stdout);
    } else if (strcmp(name, "--completion") != 0) {
        return -1;
    } else if (!value || !cli_completion(value, stdout)) {
        fprintf(stderr, "sigmascope: --completion takes bash, zsh or fish, not '%s'\n",
                value ? value : "");
        return CLI_USAGE;
    }
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_OK;
    return cli_unwritten("sigmascope");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int status;

    ss_threads_limit_spinning(argv);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error like any other, */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow (ulimit -f) */
    if ((status = print_about(name, argc > 2 ? argv[2] : NULL)) >= 0)
        return status;
    for (int i = 0; cli_commands[i]; i++) {
        if (strcmp(name, cli_commands[i]->name) == 0)
            return cli_commands[i]->run(cli_commands[i], argc - 1, argv + 1);
    }
    if (*name)
        fprintf(stderr, "sigmascope: no command '%s'\n", name);
    usage(stderr);
    return CLI_USAGE;
}
