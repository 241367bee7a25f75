/* help.c - what --help prints, and `sigmascope help` */
#include "base/near.h"
#include "base/str.h"
#include "cli/cli.h"

#include <string.h>

enum { MAX_COMMANDS = 64 };

/* Prints text folded at 78 columns, later lines indented. */
static void print_folded(FILE *f, const char *text, int indent, int column)
{
    while (*text) {
        size_t n = strcspn(text, " ");

        if (column + 1 + (int)n > 78 && column > indent) {
            fprintf(f, "\n%*s", indent, "");
            column = indent;
        }
        fprintf(f, "%s%.*s", column > indent ? " " : "", (int)n, text);
        column += (int)n + (column > indent);
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', f);
}

static void print_option(FILE *f, const cli_option *o)
{
    enum { INDENT = 26 };
    const char short_name[] = {'-', cli_short(o), ',', ' ', '\0'};
    int n = fprintf(f, "  %s--%s%s%s", cli_short(o) ? short_name : "", o->name, o->arg ? " " : "",
                    o->arg ? o->arg : "");

    if (n > INDENT - 2) {
        fputc('\n', f);
        n = 0;
    }
    fprintf(f, "%*s", INDENT - n, "");
    print_folded(f, o->help, INDENT, INDENT);
}

void cli_help(const cli_command *cmd, FILE *f)
{
    cli_option_list l;
    const char *group = NULL;

    cli_options(cmd, &l);
    fprintf(f, "usage: sigmascope %s [OPTION]... %s\n\n%s\n", cmd->name, cmd->operands,
            cmd->about ? cmd->about : cmd->summary);
    for (int i = 0; i < l.n; i++) {
        if (!group || strcmp(group, l.at[i].group) != 0)
            fprintf(f, "\n%s:\n", l.at[i].group);
        group = l.at[i].group;
        print_option(f, l.at[i].option);
    }
    if (!cmd->examples)
        return;
    fputs("\nExamples:\n", f);
    for (const cli_example *x = cmd->examples; x->line; x++)
        fprintf(f, "%s  %s\n      %s\n", x == cmd->examples ? "" : "\n", x->line, x->text);
}

void cli_overview(FILE *f)
{
    fputs("usage: sigmascope COMMAND [OPTION]...\n\n"
          "Shows why a diffusion model's training diverges.\n",
          f);
    for (const cli_job *j = cli_jobs; j->title; j++) {
        fprintf(f, "\n%s\n", j->title);
        for (int i = 0; j->commands[i]; i++)
            fprintf(f, "  %-10s %s\n", j->commands[i]->name, j->commands[i]->summary);
    }
    fputs("\n'sigmascope help COMMAND' prints a command's options and examples, --version the\n"
          "version, --man the manual page, --completion bash|zsh|fish what that shell reads to\n"
          "complete commands and options.\n",
          f);
}

int cli_no_command(const char *who, const char *name)
{
    const char *known[MAX_COMMANDS];
    const cli_command *c;
    char hint[SS_NEAR];
    int n = 0;

    while (n < MAX_COMMANDS && (c = cli_command_at(n)))
        known[n++] = c->name;
    fprintf(stderr, "%s: no command '%s'%s\n'sigmascope help' lists the commands.\n", who,
            SS_SHOW(name), ss_near(name, known, n, hint));
    return CLI_USAGE;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    cli_parser p;
    const cli_command *c;

    cli_begin(&p, cmd, argc, argv);
    while (cli_next(&p) != CLI_END)
        ;
    if (cli_stop(&p, 0, 1))
        return p.status;
    if (p.n_operands == 0)
        cli_overview(stdout);
    for (int i = 0; p.n_operands && (c = cli_command_at(i)); i++) {
        if (strcmp(p.operands[0], c->name) == 0) {
            cli_help(c, stdout);
            return cli_flush(&p, CLI_OK);
        }
    }
    if (p.n_operands)
        return cli_no_command("sigmascope help", p.operands[0]);
    return cli_flush(&p, CLI_OK);
}

static const cli_example examples[] = {
    {"sigmascope help", "lists the commands."},
    {"sigmascope help probe", "prints what 'sigmascope probe --help' prints."},
    {0},
};

const cli_command cmd_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "the commands, or a command's options and examples",
    .run = run,
    .examples = examples,
};
