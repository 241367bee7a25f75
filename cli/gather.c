/* gather.c - `sigmascope gather`: the parts of a sharded probe as one run file */
#include "runfile/gather.h"

#include "cli/cli.h"

enum { OPT_OUTPUT = 1, OPT_PARTIAL, OPT_FORCE };

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "RUN.h5", "the run file to write"},
    {OPT_PARTIAL, "partial", NULL,
     "write what is there: noise levels that parts lack are left undone, for `probe --resume`"},
    {OPT_FORCE, "force", NULL, "replace RUN.h5 if it is there"},
    {0},
};

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_gather_options opt = {0};
    ss_gather_summary sum = {0};
    cli_parser p;
    ss_err e = {0};
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_OUTPUT: opt.output = p.arg; break;
        case OPT_PARTIAL: opt.partial = true; break;
        case OPT_FORCE: opt.replace = true; break;
        }
    }
    if (!p.stop && !opt.output)
        cli_usage(&p, "-o RUN.h5 is missing");
    if (cli_stop(&p, 1, -1))
        return p.status;
    opt.parts = (const char *const *)p.operands;
    opt.n_parts = p.n_operands;
    if (ss_run_gather(&opt, &sum, &e) != SS_OK)
        return cli_fail(&p, &e);
    ss_note("%d of %d noise levels, %d inputs, %d samples of %d parts", sum.n_done, sum.n_sigmas,
            sum.n_inputs, sum.n_samples, sum.count);
    printf("%s\n", opt.output);
    return cli_flush(&p, CLI_OK);
}

static const cli_example examples[] = {
    {"sigmascope gather late.*-of-4.h5 -o late.h5",
     "the parts of `probe --shard K/4 -o late.h5`, in any order."},
    {"sigmascope gather late.*-of-4.h5 -o late.h5 --partial",
     "what there is of them; `probe --resume -o late.h5` computes the rest."},
    {0},
};

const cli_command cmd_gather = {
    "gather",
    "PART... -o RUN.h5",
    "the parts of a sharded probe as one run file",
    "Joins run files that `sigmascope probe --shard` wrote. The result has the bytes that one\n"
    "process writes that computes all, but for the time, the device and the number of threads,\n"
    "which are those of the first part (SOURCE_DATE_EPOCH sets the time). What is missing is\n"
    "named, and parts of different runs are an error; then nothing is written.",
    options,
    CLI_TAKES_RUNS,
    run,
    examples,
};
