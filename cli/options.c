/* options.c - the options of a command in the order of --help; see cli.h */
#include "cli/cli.h"
#include "kernels/context.h"

#include <string.h>

static const struct {
    int needs; /* of cli_command.common; 0: every command has it */
    const char *group;
    cli_option option;
} common_options[] = {
    {CLI_SEED, "General", {CLI_OPT_SEED, "seed", "N", "random seed (default 0)"}},
    {CLI_COMPUTE, "General", {CLI_OPT_THREADS, "threads", "N", "threads (default: all cores)"}},
    {CLI_COMPUTE,
     "General",
     {CLI_OPT_DEVICE, "device", "D", NULL}}, /* device_option has the text */
    {CLI_ARITHMETIC,
     "General",
     {CLI_OPT_ARITHMETIC, "arithmetic", CLI_CHOICES(SS_ARITHMETICS),
      "products of matrices and convolutions on tensor cores: auto, where no operand is rounded by "
      "that (default); f32, never; tensor, always, with operands rounded to TF32 (a GPU only)"}},
    {CLI_JSON,
     "Output",
     {CLI_OPT_JSON, "json", NULL,
      "print JSON instead of text, all rows and digits (docs/schema/tables.schema.json)"}},
    {CLI_TABLES & ~CLI_JSON,
     "Output",
     {CLI_OPT_CSV, "csv", NULL,
      "print CSV instead: of each table a line '# TITLE', the headings and all rows"}},
    {CLI_TABLES & ~CLI_JSON,
     "Output",
     {CLI_OPT_TABLE, "table", "TITLE",
      "print that table alone; with --csv without its title, as pandas.read_csv reads it"}},
    {CLI_TABLES & ~CLI_JSON,
     "Output",
     {CLI_OPT_WIDE, "wide", NULL,
      "shorten no name on a terminal (COLUMNS or its width are the limit)"}},
    {CLI_PROGRESS,
     "General",
     {CLI_OPT_PROGRESS, "progress", "auto|always|never",
      "a line with the progress and the time left; auto: on a terminal (default)"}},
    {0, "General", {CLI_OPT_QUIET, "quiet", NULL, "no notes and no progress, only errors"}},
    {0,
     "General",
     {CLI_OPT_VERBOSE, "verbose", NULL,
      "what is done and what was assumed, with times, on standard error"}},
    {0, "General", {CLI_OPT_HELP, "help", NULL, "this text"}},
    {0, "General", {CLI_OPT_VERSION, "version", NULL, "the version"}},
};
enum { N_COMMON = sizeof common_options / sizeof *common_options };

/* Its text says what this build can compute on. */
static const cli_option *device_option(void)
{
    static char text[96];
    static const cli_option o = {CLI_OPT_DEVICE, "device", "D", text};

    snprintf(text, sizeof text, "where to compute: %s", ss_device_names());
    return &o;
}

static void add(cli_option_list *l, const char *group, const cli_option *o)
{
    if (l->n == CLI_MAX_OPTIONS)
        return;
    l->at[l->n].group = group;
    l->at[l->n++].option = o;
}

/* Lists the options as the tables have them. */
static void list_all(const cli_command *cmd, cli_option_list *l)
{
    const char *group = "Options";

    l->n = 0;
    for (const cli_option *o = cmd->options; o && o->id; o++) {
        if (o->id == CLI_GROUP_ROW)
            group = o->name;
        else
            add(l, group, o);
    }
    for (int k = 0; k < N_COMMON; k++) {
        const int needs = common_options[k].needs;
        const bool is_device = common_options[k].option.id == CLI_OPT_DEVICE;

        if (!needs || (cmd->common & needs))
            add(l, common_options[k].group,
                is_device ? device_option() : &common_options[k].option);
    }
}

void cli_options(const cli_command *cmd, cli_option_list *l)
{
    cli_option_list all;

    list_all(cmd, &all);
    l->n = 0;
    for (int i = 0; i < all.n; i++) { /* takes each group where its first option stands */
        const char *group = all.at[i].group;

        for (int k = i; group && k < all.n; k++) {
            if (all.at[k].group && strcmp(all.at[k].group, group) == 0) {
                add(l, group, all.at[k].option);
                all.at[k].group = NULL;
            }
        }
    }
}

bool cli_has_option(const char *command, const char *option)
{
    const cli_command *c;
    cli_option_list l;

    for (int i = 0; (c = cli_command_at(i)); i++) {
        if (strcmp(c->name, command) != 0)
            continue;
        list_all(c, &l);
        for (int k = 0; k < l.n; k++) {
            if (strcmp(l.at[k].option->name, option) == 0)
                return true;
        }
    }
    return false;
}

char cli_short(const cli_option *o)
{
    static const char *const names[] = {"output", "help", "quiet", "verbose"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(o->name, names[i]) == 0)
            return *names[i];
    }
    return '\0';
}
