/* main.c - `sigmascope`: picks the subcommand */
#include "base/threads.h"
#include "base/version.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const cli_job cli_jobs[] = {
    {"Find the fault",
     {&cmd_doctor, &cmd_probe, &cmd_gather, &cmd_bisect, &cmd_analyze, &cmd_compare, &cmd_report,
      &cmd_watch}},
    {"Look closer", {&cmd_inspect, &cmd_attn, &cmd_spectrum, &cmd_video, &cmd_score, &cmd_sbs}},
    {"Train and generate", {&cmd_train, &cmd_generate}},
    {"Files and this program", {&cmd_convert, &cmd_selftest, &cmd_help}},
    {0},
};

const cli_command *cli_command_at(int i)
{
    for (const cli_job *j = cli_jobs; j->title; j++) {
        for (int k = 0; j->commands[k]; k++) {
            if (i-- == 0)
                return j->commands[k];
        }
    }
    return NULL;
}

/* Runs an option that stands in place of a command; -1: name is none. */
static int print_about(const char *name, const char *value)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_overview(stdout);
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
    const cli_command *cmd;
    int status;

    ss_threads_limit_spinning(argv);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error like any other, */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow (ulimit -f) */
    if ((status = print_about(name, argc > 2 ? argv[2] : NULL)) >= 0)
        return status;
    for (int i = 0; (cmd = cli_command_at(i)); i++) {
        if (strcmp(name, cmd->name) == 0)
            return cmd->run(cmd, argc - 1, argv + 1);
    }
    if (!*name) {
        cli_overview(stderr);
        return CLI_USAGE;
    }
    return cli_no_command("sigmascope", name);
}
