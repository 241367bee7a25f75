/* manual.c - the manual page, in the man(7) macros of roff
 *
 * Commands and options come from the tables that --help prints; the rest stands here. In roff
 * a line that begins with . or ' is a request and a backslash begins an escape; - ' ` ^ ~ are
 * set as typographic characters unless they are escaped, and could then not be pasted into a
 * shell. So:
 *
 *   text      \  -  '  `  ^  ~             \(rs  \-  \(aq  \(ga  \(ha  \(ti
 *   line      begins with .                \&.
 */
#include "base/version.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* Prints one character; `start`: it is the first of a line. */
static void put_char(FILE *f, char c, bool start)
{
    static const char plain[] = "\\-'`^~";
    static const char *const escapes[] = {"\\(rs", "\\-", "\\(aq", "\\(ga", "\\(ha", "\\(ti"};
    const char *at = strchr(plain, c);

    if (at)
        fputs(escapes[at - plain], f);
    else
        fprintf(f, "%s%c", start && c == '.' ? "\\&" : "", c);
}

/* Prints text without white space at its ends. Lines are folded at spaces, as roff fills
 * them anyway; an empty line begins a paragraph. */
static void put_text(FILE *f, const char *text)
{
    enum { WIDTH = 72 };
    int column = 0;

    for (; *text; text++) {
        const int word = (int)strcspn(text + 1, " \n");

        if (strncmp(text, "\n\n", 2) == 0) {
            fputs("\n.PP\n", f);
            column = 0;
            text++;
        } else if ((*text == '\n' || *text == ' ') && column + word >= WIDTH) {
            fputc('\n', f);
            column = 0;
        } else {
            put_char(f, *text == '\n' ? ' ' : *text, column == 0);
            column++;
        }
    }
    fputc('\n', f);
}

/* Prints text inside a line, after something else. */
static void put_inline(FILE *f, const char *text)
{
    for (; *text; text++)
        put_char(f, *text, false);
}

static void put_entry(FILE *f, const char *name, const char *text)
{
    fputs(".TP\n.B ", f);
    put_inline(f, name);
    fputc('\n', f);
    put_text(f, text);
}

static void put_option(FILE *f, const cli_option *o)
{
    fputs(".TP\n\\fB", f);
    if (cli_short(o))
        fprintf(f, "\\-%c\\fR, \\fB", cli_short(o));
    fputs("\\-\\-", f);
    put_inline(f, o->name);
    fputs("\\fR", f);
    if (o->arg) {
        fputs(" \\fI", f);
        put_inline(f, o->arg);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    put_text(f, o->help);
}

static void put_command(FILE *f, const cli_command *c)
{
    const char *group = NULL;
    cli_option_list l;

    cli_options(c, &l);
    fprintf(f, ".SS sigmascope %s\n.B sigmascope %s\n[\\fIOPTION\\fR]...\\& ", c->name, c->name);
    put_inline(f, c->operands);
    fputs("\n.PP\n", f);
    put_text(f, c->about ? c->about : c->summary);
    for (int i = 0; i < l.n; i++) {
        if (!group || strcmp(group, l.at[i].group) != 0) {
            fputs(".PP\n", f);
            put_inline(f, l.at[i].group);
            fputs(":\n", f);
        }
        group = l.at[i].group;
        put_option(f, l.at[i].option);
    }
    if (c->examples)
        fputs(".PP\nExamples:\n", f);
    for (const cli_example *x = c->examples; x && x->line; x++)
        put_entry(f, x->line, x->text);
}

typedef struct {
    const char *name, *text;
} entry;

static void put_entries(FILE *f, const char *title, const entry *entries)
{
    fprintf(f, ".SH %s\n", title);
    for (; entries->name; entries++)
        put_entry(f, entries->name, entries->text);
}

static const char description[] =
    "Shows where, at which noise level and for which inputs the activations of a diffusion model "
    "grow, and how far each module is from overflowing, from the checkpoints of its training. A "
    "checkpoint is a diffusers folder with config.json and safetensors, or a pipeline folder that "
    "has one. It is probed: the network runs over noise levels and inputs with every module "
    "watched, which changes no bit of what it computes. What was seen is a run file, which the "
    "other commands read."
    "\n\n"
    "Tables go to standard output, notes, progress and errors to standard error. Files appear "
    "whole or not at all.";

static const entry globals[] = {
    {"-h, --help", "the list of commands; after a command, its options"},
    {"--version", "the version"},
    {"--man", "this page, as roff"},
    {"--completion bash|zsh|fish",
     "what the shell reads to complete commands, options and files, made from the same tables"},
    {NULL, NULL},
};

static const entry statuses[] = {
    {"0", "done"},
    {"1", "the work failed; a message on standard error says what, where, and what was expected"},
    {"2", "wrong usage"},
    {"3", "done, and there is a finding: bisect found a bad checkpoint, compare --fail-over was "
          "exceeded, the list of analyze --keep-fp32 --check does not suffice, train ended early "
          "because a step was not finite"},
    {"130, 143", "ended by SIGINT or SIGTERM (128 and the signal), after unfinished outputs were "
                 "removed; probe, bisect and train go on from there"},
    {NULL, NULL},
};

static const entry environment[] = {
    {"GOMP_SPINCOUNT, OMP_WAIT_POLICY",
     "how threads wait for one another; unless one is set, the program sets GOMP_SPINCOUNT to "
     "3000, on more than four cores only if other programs run, so that cores that others keep "
     "busy do not slow it down"},
    {"SIGMASCOPE_ISA", "base, v3 or v4: the most capable instruction set that the program's own "
                       "kernels use; oneDNN has ONEDNN_MAX_CPU_ISA for its own"},
    {NULL, NULL},
};

static const entry files[] = {
    {"MODEL/config.json, MODEL/*.safetensors", "a model as diffusers writes it"},
    {"MODEL/scheduler_config.json",
     "its noise schedule, also taken from the scheduler/ folder of a pipeline; --scheduler names "
     "another"},
    {"RUN.h5", "a run file, HDF5 with named axes; xarray and h5py open it"},
    {".sigmascope-bisect", "where bisect keeps its runs, so that none is made twice"},
    {"DIR/index.html", "the page that report writes, with its pictures beside it"},
    {NULL, NULL},
};

static const entry examples[] = {
    {"sigmascope probe step-6000 -o late.h5 --sigmas 0.02:80:8 --inputs noise:white",
     "runs the network on white noise at eight noise levels."},
    {"sigmascope analyze late.h5 --format fp16",
     "prints where activations grow, and which module overflows fp16 first."},
    {"sigmascope bisect step-* --fail 'absmax(up_blocks.*, sigma>10) > 3e4'",
     "finds the first checkpoint whose decoder is that large at high noise."},
    {"sigmascope analyze late.h5 --keep-fp32 fp16 --check",
     "lists the modules that have to stay in fp32, and tries the list."},
    {"sigmascope report early.h5 late.h5 -o report",
     "writes report/index.html, one page to send to the team."},
    {NULL, NULL},
};

void cli_manual(FILE *f)
{
    const cli_command *c;

    fprintf(f,
            ".\\\" Printed by `sigmascope --man` from its tables of options.\n"
            ".TH SIGMASCOPE 1 %s \"sigmascope %s\"\n"
            ".SH NAME\nsigmascope \\- shows why the training of a diffusion model diverges\n"
            ".SH SYNOPSIS\n",
            SS_VERSION_DATE, SS_VERSION);
    for (int i = 0; (c = cli_command_at(i)); i++) {
        fprintf(f, "%s.B sigmascope %s\n[\\fIOPTION\\fR]...\\& ", i ? ".br\n" : "", c->name);
        put_inline(f, c->operands);
        fputc('\n', f);
    }
    fputs(".SH DESCRIPTION\n", f);
    put_text(f, description);
    put_entries(f, "OPTIONS", globals);
    fputs(".SH COMMANDS\n", f);
    for (int i = 0; (c = cli_command_at(i)); i++)
        put_command(f, c);
    put_entries(f, "EXIT STATUS", statuses);
    put_entries(f, "ENVIRONMENT", environment);
    put_entries(f, "FILES", files);
    put_entries(f, "EXAMPLES", examples);
}
