/* cli.c - see cli.h */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "kernels/context.h"
#include "probe/interrupt.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Common options have ids above the commands' own. */
enum {
    OPT_COMMON = 1000,
    OPT_HELP,
    OPT_VERSION,
    OPT_QUIET,
    OPT_JSON,
    OPT_SEED,
    OPT_THREADS,
    OPT_DEVICE,
    OPT_ARITHMETIC,
    OPT_PROGRESS
};

static const struct {
    int needs; /* of cli_command.common; 0: every command has it */
    cli_option option;
} common_options[] = {
    {CLI_SEED, {OPT_SEED, "seed", "N", "random seed (default 0)"}},
    {CLI_COMPUTE, {OPT_THREADS, "threads", "N", "threads (default: all cores)"}},
    {CLI_COMPUTE, {OPT_DEVICE, "device", "D", NULL}}, /* device_option has the text */
    {CLI_ARITHMETIC,
     {OPT_ARITHMETIC, "arithmetic", CLI_CHOICES(SS_ARITHMETICS),
      "products of matrices and convolutions on tensor cores: auto, where no operand is rounded by "
      "that (default); f32, never; tensor, always, with operands rounded to TF32 (a GPU only)"}},
    {CLI_JSON, {OPT_JSON, "json", NULL, "print JSON instead of text"}},
    {CLI_PROGRESS,
     {OPT_PROGRESS, "progress", "auto|always|never",
      "a line with the progress and the time left; auto: on a terminal (default)"}},
    {0, {OPT_QUIET, "quiet", NULL, "no notes and no progress, only errors"}},
    {0, {OPT_HELP, "help", NULL, "this text"}},
    {0, {OPT_VERSION, "version", NULL, "the version"}},
};
enum { N_COMMON = sizeof common_options / sizeof *common_options };

/* Its text says what this build can compute on. */
static const cli_option *device_option(void)
{
    static char text[96];
    static const cli_option o = {OPT_DEVICE, "device", "D", text};

    snprintf(text, sizeof text, "where to compute: %s", ss_device_names());
    return &o;
}

const cli_option *cli_option_at(const cli_command *cmd, int i)
{
    const cli_option *o = cmd->options;

    for (; o && o->id; o++) {
        if (i-- == 0)
            return o;
    }
    for (int k = 0; k < N_COMMON; k++) {
        const int needs = common_options[k].needs;

        if ((!needs || (cmd->common & needs)) && i-- == 0)
            return common_options[k].option.id == OPT_DEVICE ? device_option()
                                                             : &common_options[k].option;
    }
    return NULL;
}

char cli_short(const cli_option *o)
{
    return strcmp(o->name, "output") == 0 ? 'o' : strcmp(o->name, "help") == 0 ? 'h' : '\0';
}

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
    const cli_option *o;

    fprintf(f, "usage: sigmascope %s [OPTION]... %s\n\n%s\n\n", cmd->name, cmd->operands,
            cmd->about ? cmd->about : cmd->summary);
    for (int i = 0; (o = cli_option_at(cmd, i)); i++)
        print_option(f, o);
}

void cli_begin(cli_parser *p, const cli_command *cmd, int argc, char **argv)
{
    const cli_option *o;
    int n = 0;

    *p = (cli_parser){.cmd = cmd, .argc = argc, .argv = argv, .common = {.device = "cpu"}};
    while (cli_option_at(cmd, n))
        n++;
    struct option *table = ss_calloc((size_t)n + 1, sizeof *table);
    if (!table) {
        cli_usage(p, "out of memory");
        return;
    }
    for (int i = 0; (o = cli_option_at(cmd, i)); i++)
        table[i] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, o->id};
    p->table = table;
    optind = 0; /* getopt starts afresh */
}

void cli_stop_on_signals(void)
{
    const struct sigaction stop = {.sa_handler = ss_interrupt, .sa_flags = SA_RESETHAND};

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

static void set_progress(cli_parser *p)
{
    static const char *const names[] = {"auto", "always", "never"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(p->arg, names[i]) == 0) {
            p->common.progress = (ss_progress_mode)i;
            return;
        }
    }
    cli_usage(p, "--progress takes auto, always or never, not '%s'", p->arg);
}

static void set_arithmetic(cli_parser *p)
{
    ss_arithmetic known;
    ss_err e = {0};

    if (ss_arithmetic_parse(p->arg, &known, &e) != SS_OK)
        cli_usage(p, "%s", e.msg);
    p->common.arithmetic = p->arg;
}

/* Takes a common option; false if the id is none of these. */
static bool take_common(cli_parser *p, int id)
{
    int64_t value = 0;

    switch (id) {
    case OPT_HELP:
        cli_help(p->cmd, stdout);
        p->stop = true;
        p->status = cli_flush(p, CLI_OK);
        break;
    case OPT_VERSION:
        printf("sigmascope %s\n", SS_VERSION);
        p->stop = true;
        p->status = cli_flush(p, CLI_OK);
        break;
    case OPT_QUIET: p->common.quiet = true; break;
    case OPT_JSON: p->common.json = true; break;
    case OPT_SEED:
        cli_int(p, 0, INT64_MAX, &value);
        p->common.seed = (uint64_t)value;
        break;
    case OPT_THREADS:
        cli_int(p, 1, 1024, &value);
        p->common.threads = (int)value;
        break;
    case OPT_DEVICE: p->common.device = p->arg; break;
    case OPT_ARITHMETIC: set_arithmetic(p); break;
    case OPT_PROGRESS: set_progress(p); break;
    default: return false;
    }
    return true;
}

/* Returns the id of --output, which -o is short for; 0 where the command has no such option. */
static int take_output(cli_parser *p)
{
    for (const cli_option *o = p->cmd->options; o && o->id; o++) {
        if (strcmp(o->name, "output") == 0) {
            p->option = o->name;
            return o->id;
        }
    }
    return 0;
}

int cli_next(cli_parser *p)
{
    while (!p->stop) {
        int index = -1;
        /* ':' first: getopt then distinguishes a missing value from an unknown option */
        int id = getopt_long(p->argc, p->argv, ":ho:", p->table, &index);
        const bool is_long = index >= 0; /* then id may be any number, that of a letter too */
        const bool lacks_value = !is_long && id == ':';

        p->arg = optarg;
        p->option = is_long ? ((struct option *)p->table)[index].name : "";
        if (id == -1)
            break;
        if (!is_long)
            id = id == 'h' ? OPT_HELP : id == 'o' ? take_output(p) : 0;
        if (lacks_value)
            cli_usage(p, "%s needs a value", p->argv[optind - 1]);
        else if (!id)
            cli_usage(p, "unknown or ambiguous option '%s'", p->argv[optind - 1]);
        else if (!take_common(p, id))
            return id;
    }
    p->operands = p->argv + optind;
    p->n_operands = p->argc - optind;
    return CLI_END;
}

bool cli_stop(cli_parser *p, int min_operands, int max_operands)
{
    ss_free(p->table);
    p->table = NULL;
    if (!p->stop && p->n_operands < min_operands)
        cli_usage(p, "expected %s", p->cmd->operands);
    if (!p->stop && max_operands >= 0 && p->n_operands > max_operands)
        cli_usage(p, "unexpected operand '%s'", p->operands[max_operands]);
    if (!p->stop)
        ss_log_setup(p->common.quiet, p->common.progress);
    return p->stop;
}

int cli_usage(cli_parser *p, const char *fmt, ...)
{
    va_list ap;

    if (p->stop) /* the first complaint is enough */
        return p->status;
    fprintf(stderr, "sigmascope %s: ", p->cmd->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry 'sigmascope %s --help'.\n", p->cmd->name);
    p->stop = true;
    p->status = CLI_USAGE;
    return CLI_USAGE;
}

/* True if stdout is a pipe or a socket that nobody reads from any more. */
static bool is_unread(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int cli_fail(const cli_parser *p, const ss_err *e)
{
    const char *at = e->code == SS_OK || !e->msg[0] ? ss_code_text(e->code) : e->msg;

    if (e->code == SS_IO && ferror(stdout) && is_unread()) /* what could not be printed */
        return cli_unwritten(p->cmd->name);
    fprintf(stderr, "sigmascope %s: ", p->cmd->name);
    for (bool more = true; more; at++) { /* line by line: a message may quote what a file says */
        const size_t n = strcspn(at, "\n");
        char line[sizeof e->msg], shown[4 * sizeof line];

        snprintf(line, sizeof line, "%.*s", (int)n, at);
        fprintf(stderr, "%s\n", ss_printable(line, shown, sizeof shown));
        at += n;
        more = *at != '\0';
    }
    return e->code == SS_USAGE ? CLI_USAGE : CLI_FAIL;
}

void cli_int(cli_parser *p, int64_t min, int64_t max, int64_t *value)
{
    int64_t v;

    if (!ss_parse_i64(p->arg, &v) || v < min || v > max)
        cli_usage(p, "--%s takes a whole number from %lld to %lld, not '%s'", p->option,
                  (long long)min, (long long)max, p->arg);
    else
        *value = v;
}

void cli_double(cli_parser *p, double *value)
{
    if (!ss_parse_double(p->arg, value))
        cli_usage(p, "--%s takes a number, not '%s'", p->option, p->arg);
}

void cli_count(cli_parser *p, int min, int max, int *value)
{
    int64_t v = *value;

    cli_int(p, min, max, &v);
    *value = (int)v;
}

void cli_size(cli_parser *p, int *height, int *width)
{
    int end = 0, h, w;

    if (sscanf(p->arg, "%5dx%5d%n", &h, &w, &end) != 2 || p->arg[end] || h < 1 || w < 1) {
        cli_usage(p, "--size takes HEIGHTxWIDTH, not '%s'", p->arg);
        return;
    }
    *height = h;
    *width = w;
}

void cli_either(cli_parser *p, const char *first, const char *other, bool *second)
{
    *second = strcmp(p->arg, other) == 0;
    if (!*second && strcmp(p->arg, first) != 0)
        cli_usage(p, "--%s takes %s or %s, not '%s'", p->option, first, other, p->arg);
}

void cli_append(cli_parser *p, const char ***list, int *n)
{
    const char **grown = ss_realloc(*list, (size_t)*n + 1, sizeof *grown);

    if (!grown) {
        cli_usage(p, "out of memory");
        return;
    }
    grown[(*n)++] = p->arg;
    *list = grown;
}

char *cli_command_line(int argc, char **argv)
{
    ss_str s = {0};

    ss_str_add(&s, "sigmascope");
    for (int i = 0; i < argc; i++)
        ss_str_addf(&s, " %s", argv[i]);
    return ss_str_detach(&s);
}

void cli_print_word(const char *text, const char *more)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_./+,:@%-";
    ss_str whole = {0}, word = {0};

    ss_str_add(&whole, text);
    ss_str_add(&whole, more);
    const size_t room = 4 * whole.len + 1;
    char *shown = whole.failed ? NULL : ss_alloc(room, 1);

    if (shown) {
        ss_printable(whole.s, shown, room);
        if (*shown && shown[strspn(shown, plain)] == '\0')
            ss_str_add(&word, shown);
        else
            ss_str_add_quoted(&word, shown);
    }
    fputs(shown && !word.failed ? word.s : "...", stdout);
    ss_free(shown);
    ss_str_release(&whole);
    ss_str_release(&word);
}

int cli_unwritten(const char *who)
{
    const int why = errno;

    if (why == EPIPE || is_unread()) {
        signal(SIGPIPE, SIG_DFL); /* main ignores it, so that files are finished first */
        raise(SIGPIPE);
    }
    fprintf(stderr, "%s: writing the output: %s\n", who, strerror(why));
    return CLI_FAIL;
}

int cli_flush(const cli_parser *p, int status)
{
    char who[64];

    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    snprintf(who, sizeof who, "sigmascope %s", p->cmd->name);
    return cli_unwritten(who);
}
