/* report.c - `sigmascope report`: run files into a page of HTML with its pictures */
#include "reports/report.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/code.h"

#include <string.h>

enum {
    OPT_OUTPUT = 1,
    OPT_SINGLE,
    OPT_STEPS,
    OPT_STORY,
    OPT_SAMPLES,
    OPT_TITLE,
    OPT_FORMAT,
    OPT_MODULES,
    OPT_AS,
    OPT_ATTENTION,
    OPT_FORCE
};

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR",
     "the folder to make; DIR/index.html is the page; with --single-file the file to make"},
    {OPT_SINGLE, "single-file", NULL,
     "one HTML file with its pictures inside, to be sent: below 20 MB; what has no room is left "
     "out, and the page says so"},
    {OPT_FORCE, "force", NULL, "replace a report that is there"},
    CLI_GROUP("What is on the page"),
    {OPT_STEPS, "steps", "LIST",
     "of which training step each run is, for growth over training: 250,6000 (default: the number "
     "in "
     "the model's path)"},
    {OPT_STORY, "story", "DIR",
     "a folder of training runs, as demo/story makes it: the page begins with a table of "
     "findings that they hold or refute"},
    {OPT_SAMPLES, "samples", "DIR", "a folder that `sigmascope generate` made, to be shown too"},
    {OPT_TITLE, "title", "TEXT", "the page's title (default: the names of the models)"},
    CLI_GROUP("What to judge"),
    {OPT_FORMAT, "format", "FMT",
     "a number format to judge: fp16, bf16, fp8-e4m3, fp8-e5m2, eXmY; repeatable, the first is "
     "marked in heat maps (default: these four, fp16 first)"},
    {OPT_MODULES, "modules", "GLOB", "only modules whose path matches; repeatable"},
    {OPT_AS, "as", CLI_AS, CLI_AS_HELP " (default half; of what stays in fp32 autocast)"},
    {OPT_ATTENTION, "attention", CLI_ATTENTION, CLI_ATTENTION_HELP},
    {0},
};

/* True for a name that looks like a file of HTML. */
static bool is_html(const char *path)
{
    const size_t n = strlen(path);

    return n > 5 && strcmp(path + n - 5, ".html") == 0;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    const char **formats = NULL, **globs = NULL;
    char *command = cli_command_line(argc, argv);
    cli_parser p;
    ss_err e = {0};
    int id, status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_OUTPUT: opt.folder = p.arg; break;
        case OPT_SINGLE: opt.single_file = true; break;
        case OPT_STEPS: opt.steps = p.arg; break;
        case OPT_STORY: opt.story = p.arg; break;
        case OPT_SAMPLES: opt.samples = p.arg; break;
        case OPT_TITLE: opt.title = p.arg; break;
        case OPT_FORMAT: cli_append(&p, &formats, &opt.n_formats); break;
        case OPT_MODULES: cli_append(&p, &globs, &opt.n_modules); break;
        case OPT_AS: opt.as = p.arg; break;
        case OPT_ATTENTION: opt.attention = p.arg; break;
        case OPT_FORCE: opt.replace = true; break;
        }
    }
    if (!p.stop && !opt.folder)
        cli_usage(&p, "-o DIR is missing: where the report goes");
    if (!p.stop && opt.folder && is_html(opt.folder) && !opt.single_file)
        cli_usage(&p, "-o %s would be a folder of that name; --single-file makes one file",
                  opt.folder);
    if (cli_stop(&p, 1, -1)) {
        status = p.status;
        goto out;
    }
    if (opt.steps && p.n_operands < 2) {
        status = cli_usage(&p, "--steps is for several runs, here is one");
        goto out;
    }
    opt.runs = (const char *const *)p.operands;
    opt.n_runs = p.n_operands;
    opt.formats = formats;
    opt.modules = globs;
    opt.command = command;
    if (ss_report_write(&opt, &sum, &e) != SS_OK) {
        status = cli_fail(&p, &e);
        goto out;
    }
    if (sum.n_missing)
        ss_warn("%d of %d figures are missing from the report: %s", sum.n_missing,
                sum.n_missing + sum.n_figures, sum.problem);
    if (sum.n_left_out)
        ss_warn("%d of %d pictures are left out, so that %s stays below 20 MB; without "
                "--single-file the report is a folder with all of them",
                sum.n_left_out, sum.n_files, opt.folder);
    printf("%s%s\n", opt.folder, opt.single_file ? "" : "/index.html");
    status = cli_flush(&p, CLI_OK);
out:
    ss_free(formats);
    ss_free(globs);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope report late.h5 -o report", "writes report/index.html."},
    {"sigmascope report early.h5 late.h5 -o report --steps 250,6000",
     "two checkpoints, with growth over training."},
    {"sigmascope report early.h5 late.h5 -o report.html --single-file",
     "one file, to be attached to a message."},
    {"sigmascope report late.h5 -o report --samples samples --force",
     "with pictures of `sigmascope generate`, over an older report."},
    {0},
};

const cli_command cmd_report = {
    "report",
    "RUN.h5... -o DIR|FILE.html",
    "one HTML page with pictures, from one run or several",
    "Writes DIR/index.html, which opens from disk and asks nothing of a network, with the PNG\n"
    "pictures beside it: a summary in words and numbers, then the figures behind each sentence.\n"
    "Several runs are compared; the first is the baseline. Without gnuplot the page has its\n"
    "tables and pixel pictures, and says what is missing. With --single-file all of it is one\n"
    "file, which works from a message and without scripts; the pages of several runs follow one\n"
    "another in it.",
    options,
    CLI_PROGRESS | CLI_TAKES_RUNS,
    run,
    examples,
};
