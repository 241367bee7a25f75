/* selftest.c - `sigmascope selftest`: does a device compute what it should, and how fast? */
#include "selftest/selftest.h"

#include "cli/cli.h"
#include "cli/tables.h"

#include <string.h>

enum { OPT_ONLY = 1, OPT_QUICK, OPT_SPEED, OPT_HASHES };

static const cli_option options[] = {
    CLI_GROUP("What to test"),
    {OPT_ONLY, "only", "GLOB", "operations whose name matches, as 'conv*'"},
    {OPT_QUICK, "quick", NULL, "fewer shapes, formats and numbers, and no speeds"},
    {OPT_SPEED, "speed", "real|tiny|none",
     "measure speeds at sizes of real networks (default), at small ones, which tries the "
     "measuring alone, or not"},
    {OPT_HASHES, "hashes", "FILE",
     "compare hashes of the results of kernels of our own with those in FILE, or write them "
     "there if it does not exist: all cards, and the emulated device, give the same bits"},
    {0},
};

static void set_speed(const cli_parser *p, ss_selftest_speed *speed)
{
    static const char *const names[] = {"real", "tiny", "none"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(p->arg, names[i]) == 0)
            *speed = (ss_selftest_speed)i;
    }
}

/* Relative error of an operand that tensor cores take as TF32: half a unit of its last place when
 * it is rounded, a whole one when it is cut off. */
static const double TF32_ROUNDING = 0x1p-10;

/* Opens the CPU, the device, and the device with products on tensor cores if it has them. Another
 * device is held against the CPU in f32: its units for bf16 spread a NaN over neighbours. */
static ss_code open_devices(const cli_parser *p, ss_selftest_options *opt, ss_err *e)
{
    const cli_common *o = &p->common;
    ss_ctx_options device = {.device = o->device, .threads = o->threads};
    ss_ctx_options reference = {.threads = o->threads, .arithmetic = SS_ARITHMETIC_F32};
    ss_code rc = ss_arithmetic_parse(o->arithmetic, &device.arithmetic, e);

    if (rc == SS_OK)
        rc = ss_ctx_new(&device, &opt->device, e);
    if (rc == SS_OK && strcmp(ss_ctx_device_name(opt->device), "cpu") == 0)
        reference.arithmetic = device.arithmetic;
    if (rc == SS_OK)
        rc = ss_ctx_new(&reference, &opt->reference, e);
    if (rc != SS_OK)
        return rc;
    if (device.arithmetic == SS_ARITHMETIC_TENSOR)
        opt->rounding = 8 * TF32_ROUNDING; /* both operands', and sums smaller than their terms */
    device.arithmetic = SS_ARITHMETIC_TENSOR;
    if (opt->speed == SS_SPEED_NONE || ss_ctx_new(&device, &opt->tensor, NULL) != SS_OK)
        opt->tensor = NULL;
    return SS_OK;
}

static ss_code show(ss_selftest_options *opt, ss_selftest_result *r, cli_tables *out, ss_err *e)
{
    char line[600];
    ss_code rc = cli_show(out, &r->operations, e);

    if (rc == SS_OK && opt->speed != SS_SPEED_NONE)
        rc = cli_show(out, &r->ceilings, e);
    if (rc == SS_OK && opt->speed != SS_SPEED_NONE)
        rc = cli_show(out, &r->speeds, e);
    if (rc == SS_OK && opt->hashes) {
        snprintf(line, sizeof line,
                 r->hashes_written ? "%d hashes written to %s"
                                   : "%d hashes compared with %s, %d are not in it",
                 r->n_hashes, opt->hashes, r->n_unknown);
        rc = cli_say(out, "hashes", line, e);
    }
    if (r->n_failed)
        snprintf(line, sizeof line, "%d of %d runs FAILED, first %s", r->n_failed, r->n_runs,
                 r->first);
    else
        snprintf(line, sizeof line, "all %d runs are good", r->n_runs);
    return rc == SS_OK ? cli_say(out, "result", line, e) : rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_selftest_options opt = {0};
    ss_selftest_result r = {0};
    cli_tables out = {0};
    cli_parser p;
    ss_err e = {0};
    bool speed_given = false;
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_ONLY: opt.only = p.arg; break;
        case OPT_QUICK: opt.quick = true; break;
        case OPT_HASHES: opt.hashes = p.arg; break;
        case OPT_SPEED:
            set_speed(&p, &opt.speed);
            speed_given = true;
            break;
        }
    }
    if (cli_stop(&p, 0, 0))
        return p.status;
    if (opt.quick && !speed_given)
        opt.speed = SS_SPEED_NONE;
    out = cli_tables_begin(&p);
    ss_code rc = open_devices(&p, &opt, &e);
    if (rc == SS_OK)
        rc = ss_selftest_run(&opt, &r, &e);
    const bool failed = r.n_failed > 0;
    if (rc == SS_OK)
        rc = show(&opt, &r, &out, &e);
    rc = cli_show_end(&out, rc, &e);
    ss_selftest_release(&r);
    ss_ctx_free(opt.tensor);
    ss_ctx_free(opt.device);
    ss_ctx_free(opt.reference);
    return rc != SS_OK ? cli_fail(&p, &e) : cli_flush(&p, failed ? CLI_FAIL : CLI_OK);
}

static const cli_example examples[] = {
    {"sigmascope selftest", "every operation of the CPU, then speeds; minutes."},
    {"sigmascope selftest --device cuda --quick --only 'conv*'",
     "convolutions of a GPU, without speeds."},
    {0},
};

const cli_command cmd_selftest = {
    "selftest",
    "[--device D]",
    "every operation of a device against the CPU, and its speed",
    "Runs every operation and its gradient on the device and on the CPU, over shapes that no "
    "block\n"
    "divides, in several number formats, with random numbers and with NaN, inf, huge and "
    "subnormal\n"
    "ones; each twice, as a device gives the same bits again. Then measures speeds, beside what "
    "the\n"
    "device reaches in copies and products. Exit status 1: something is beyond its bound.",
    options,
    CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_TABLES,
    run,
    examples,
};
