/* cli.c - see cli.h */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "probe/interrupt.h"
#include "probe/precision_map.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void cli_begin(cli_parser *p, const cli_command *cmd, int argc, char **argv)
{
    cli_option_list l;

    *p = (cli_parser){.cmd = cmd, .argc = argc, .argv = argv, .common = {.device = "cpu"}};
    cli_options(cmd, &l);
    struct option *table = ss_calloc((size_t)l.n + 1, sizeof *table);
    if (!table) {
        cli_usage(p, "out of memory");
        return;
    }
    for (int i = 0; i < l.n; i++) {
        const cli_option *o = l.at[i].option;

        table[i] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, o->id};
    }
    p->table = table;
    optind = 0; /* getopt starts afresh */
}

static void set_progress(cli_parser *p)
{
    p->common.progress = strcmp(p->arg, "always") == 0  ? SS_PROGRESS_ALWAYS
                         : strcmp(p->arg, "never") == 0 ? SS_PROGRESS_NEVER
                                                        : SS_PROGRESS_AUTO;
}

/* Takes a common option; false if the id is none of these. */
static bool take_common(cli_parser *p, int id)
{
    int64_t value = 0;

    switch (id) {
    case CLI_OPT_HELP:
        cli_help(p->cmd, stdout);
        p->stop = true;
        p->status = cli_flush(p, CLI_OK);
        break;
    case CLI_OPT_VERSION:
        printf("sigmascope %s\n", SS_VERSION);
        p->stop = true;
        p->status = cli_flush(p, CLI_OK);
        break;
    case CLI_OPT_QUIET: p->common.level = SS_LOG_QUIET; break;
    case CLI_OPT_VERBOSE: p->common.level = SS_LOG_VERBOSE; break;
    case CLI_OPT_JSON: p->common.json = true; break;
    case CLI_OPT_CSV: p->common.csv = true; break;
    case CLI_OPT_TABLE: p->common.table = p->arg; break;
    case CLI_OPT_WIDE: p->common.wide = true; break;
    case CLI_OPT_SEED:
        cli_int(p, 0, INT64_MAX, &value);
        p->common.seed = (uint64_t)value;
        break;
    case CLI_OPT_THREADS:
        cli_int(p, 1, 1024, &value);
        p->common.threads = (int)value;
        break;
    case CLI_OPT_DEVICE: p->common.device = p->arg; break;
    case CLI_OPT_ARITHMETIC: p->common.arithmetic = p->arg; break;
    case CLI_OPT_PROGRESS: set_progress(p); break;
    default: return false;
    }
    return true;
}

/* Returns the id of --output, which -o is short for; 0 where the command has no such option. */
static int take_output(cli_parser *p)
{
    for (const cli_option *o = p->cmd->options; o && o->id; o++) {
        if (o->id != CLI_GROUP_ROW && strcmp(o->name, "output") == 0) {
            p->option = o->name;
            return o->id;
        }
    }
    return 0;
}

static int short_option(cli_parser *p, int letter)
{
    switch (letter) {
    case 'h': return CLI_OPT_HELP;
    case 'q': return CLI_OPT_QUIET;
    case 'v': return CLI_OPT_VERBOSE;
    case 'o': return take_output(p);
    default: return 0;
    }
}

int cli_next(cli_parser *p)
{
    while (!p->stop) {
        int index = -1;
        /* ':' first: getopt then distinguishes a missing value from an unknown option */
        int id = getopt_long(p->argc, p->argv, ":ho:qv", p->table, &index);
        const bool is_long = index >= 0; /* then id may be any number, that of a letter too */
        const bool lacks_value = !is_long && id == ':';

        p->arg = optarg;
        p->option = is_long ? ((struct option *)p->table)[index].name : "";
        if (id == -1)
            break;
        const int letter = id;
        if (!is_long)
            id = short_option(p, id);
        if (lacks_value)
            cli_usage(p, "%s needs a value", p->argv[optind - 1]);
        else if (!id)
            cli_refuse_option(p, letter);
        else if (!cli_is_choice(p, id) || take_common(p, id))
            continue;
        else
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
    if (!p->stop) {
        ss_log_setup(p->common.level, p->common.progress);
        cli_handle_signals(p->cmd->name);
    }
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

    cli_wait_for_end();
    ss_progress_hide();
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
    if (e->code == SS_USAGE || e->code == SS_IO || e->code == SS_FORMAT)
        cli_offer(p);
    return e->code == SS_USAGE         ? CLI_USAGE
           : e->code == SS_INTERRUPTED ? 128 + ss_interrupted()
                                       : CLI_FAIL;
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

void cli_append_maps(cli_parser *p, const char ***list, int *n)
{
    const char *const given = p->arg;
    char **rules = NULL;
    int count = 0;
    ss_err e = {0};

    if (*given == '@' && ss_precision_map_read(given + 1, &rules, &count, &e) != SS_OK) {
        cli_usage(p, "--precision-map: %s", e.msg);
        return;
    }
    for (int i = 0; i < (*given == '@' ? count : 1); i++) {
        const int before = *n;
        char *rule = *given == '@' ? rules[i] : ss_strdup(given);

        p->arg = rule;
        if (rule)
            cli_append(p, list, n);
        else
            cli_usage(p, "out of memory");
        if (*n == before)
            ss_free(rule);
    }
    p->arg = given;
    ss_free(rules);
}

void cli_free_maps(const char **list, int n)
{
    for (int i = 0; i < n; i++)
        ss_free((char *)(uintptr_t)list[i]);
    ss_free(list);
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
    ss_str whole = {0}, word = {0};

    ss_str_add(&whole, text);
    ss_str_add(&whole, more);
    if (!whole.failed)
        ss_str_add_word(&word, whole.s);
    fputs(word.s && !word.failed ? word.s : "...", stdout);
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

    struct rusage used;

    cli_wait_for_end();
    if (getrusage(RUSAGE_SELF, &used) == 0)
        ss_detail("done; at most %.0f MB of memory, %.1f s of CPU time",
                  (double)used.ru_maxrss / 1024,
                  (double)used.ru_utime.tv_sec + 1e-6 * (double)used.ru_utime.tv_usec);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    snprintf(who, sizeof who, "sigmascope %s", p->cmd->name);
    return cli_unwritten(who);
}
