/* spectrum.c - `sigmascope spectrum`: power spectra of pictures and of what networks saw */
#include "analyze/one/picture.h"
#include "analyze/one/spectra.h"
#include "analyze/several/conditioning.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/tables.h"

#include <limits.h>
#include <math.h>

enum { OPT_CUTOFF = 1, OPT_LOWPASS, OPT_HIGHPASS, OPT_OUTPUT, OPT_TOP };
enum { ROWS = 40 }; /* default of --top */

static const cli_option options[] = {
    CLI_GROUP("Spectra and filters"),
    {OPT_CUTOFF, "cutoff", "CYCLES",
     "what counts as a low frequency: so many cycles per picture or less (default 2)"},
    {OPT_LOWPASS, "lowpass", "CYCLES",
     "the spectrum of the picture after a Gaussian filter, too: waves of so many cycles keep 0.61 "
     "of "
     "their amplitude, longer ones more"},
    {OPT_HIGHPASS, "highpass", "CYCLES", "the same, and the mean and longer waves go"},
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "OUT.png", "write the filtered picture; after --highpass around 127.5"},
    {OPT_TOP, "top", "N", "at most N rows a table of a run (default 40, with --json all)"},
    {0},
};

static ss_code show_run(ss_run *r, double cutoff, const char *name, int top, cli_tables *out,
                        ss_err *e)
{
    ss_sites sites = {0};
    ss_spectra s = {0};
    ss_table t;
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);

    if (rc == SS_OK)
        rc = ss_spectra_find(r, &sites, cutoff, name, &s, e);
    if (rc == SS_OK && (rc = ss_spectra_table(r, &s, &t, e)) == SS_OK) {
        ss_table_spread(&t, top);
        rc = cli_show(out, &t, e);
    }
    if (rc == SS_OK && (rc = ss_spectra_finding_table(r, &s, &t, e)) == SS_OK) {
        ss_table_spread(&t, top);
        rc = cli_show(out, &t, e);
    }
    ss_spectra_release(&s);
    ss_sites_release(&sites);
    return rc;
}

static ss_code show_conditioning(ss_run *const *runs, int n, cli_tables *out, ss_err *e)
{
    ss_conditioning c;
    ss_table t;
    ss_code rc = ss_conditioning_find(runs, n, &c, e);

    if (rc == SS_OK && c.n_told > 1 && (rc = ss_conditioning_table(&c, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && c.n_told > 1 && (rc = ss_effects_table(&c, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    ss_conditioning_release(&c);
    return rc;
}

/* Options. */
typedef struct {
    double cutoff;
    ss_picture_filter filter;
    const char *output;
    int top;
    cli_tables out;
} request;

static ss_code show_picture(request *q, const char *path, const char *name, ss_err *e)
{
    ss_picture p = {0};
    ss_table t;
    int64_t cut = 0;
    ss_code rc = ss_picture_read(path, &q->filter, q->cutoff, name, &p, e);

    if (rc == SS_OK && (rc = ss_picture_table(&p, &t, e)) == SS_OK)
        rc = cli_show(&q->out, &t, e);
    if (rc == SS_OK && (rc = ss_picture_psd_table(&p, q->out.data, &t, e)) == SS_OK)
        rc = cli_show(&q->out, &t, e);
    if (rc == SS_OK && q->output)
        rc = ss_picture_write(&p, &q->filter, q->output, &cut, e);
    if (cut)
        ss_note("%s: %lld values are out of 0 to 255 and were cut off", q->output, (long long)cut);
    ss_picture_release(&p);
    return rc;
}

/* Shows a picture, or a run, which is left open in *r. */
static ss_code show_file(request *q, const char *path, const char *name, ss_run **r, ss_err *e)
{
    bool is_png;
    ss_code rc = ss_picture_is_png(path, &is_png, e);

    if (rc != SS_OK)
        return rc;
    if (is_png)
        return show_picture(q, path, name, e);
    if (ss_run_open(path, r, e) != SS_OK)
        return ss_fail_prefix(e, "no PNG picture, and no run file");
    if (q->filter.lowpass > 0 || q->filter.highpass > 0)
        return ss_fail(e, SS_USAGE,
                       "%s: is a run; its inputs are filtered when it is made, by 'probe --inputs "
                       "lowpass:CUTOFF:SPEC'",
                       path);
    ss_not_finite bad;

    rc = ss_not_finite_find(*r, &bad, e);
    if (rc == SS_OK)
        rc = cli_say_not_finite(&q->out, &bad, SS_BAD_INPUTS, *name ? name : NULL, e);
    ss_not_finite_release(&bad);
    return rc == SS_OK ? show_run(*r, q->cutoff, name, q->top, &q->out, e) : rc;
}

static ss_code show_files(request *q, char *const *paths, int n, ss_err *e)
{
    ss_run **runs = ss_calloc((size_t)n, sizeof *runs);
    int n_runs = 0;
    ss_code rc = runs ? SS_OK : ss_no_memory(e, "spectra");

    for (int i = 0; i < n && rc == SS_OK; i++) {
        rc = show_file(q, paths[i], n > 1 ? paths[i] : "", &runs[n_runs], e);
        n_runs += runs[n_runs] != NULL;
    }
    if (rc == SS_OK)
        rc = show_conditioning(runs, n_runs, &q->out, e);
    for (int i = 0; i < n_runs; i++)
        ss_run_close(runs[i]);
    ss_free(runs);
    return rc;
}

static void take_cycles(cli_parser *p, double *cycles)
{
    double v = 0;

    cli_double(p, &v);
    if (!p->stop && !(v > 0))
        cli_usage(p, "--%s takes a positive number of cycles per picture, not '%s'", p->option,
                  p->arg);
    *cycles = v;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    request q = {.cutoff = SS_DEFAULT_CUTOFF};
    cli_parser p;
    ss_err e = {0};
    int64_t top = -1;
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_CUTOFF: take_cycles(&p, &q.cutoff); break;
        case OPT_LOWPASS: take_cycles(&p, &q.filter.lowpass); break;
        case OPT_HIGHPASS: take_cycles(&p, &q.filter.highpass); break;
        case OPT_OUTPUT: q.output = p.arg; break;
        case OPT_TOP: cli_int(&p, 0, 1 << 20, &top); break;
        }
    }
    if (!p.stop && q.output && !(q.filter.lowpass > 0 || q.filter.highpass > 0))
        cli_usage(&p, "-o writes the filtered picture: give --lowpass or --highpass");
    if (!p.stop && q.output && p.n_operands > 1)
        cli_usage(&p, "-o takes one picture, not %d files", p.n_operands);
    if (cli_stop(&p, 1, -1))
        return p.status;
    q.out = cli_tables_begin(&p);
    q.top = top >= 0 ? (int)top : cli_as_data(&p) ? INT_MAX : ROWS;

    ss_code rc = show_files(&q, p.operands, p.n_operands, &e);
    rc = cli_show_end(&q.out, rc, &e);
    return rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
}

static const cli_example examples[] = {
    {"sigmascope spectrum late.h5", "do inputs with less low frequencies give larger activations?"},
    {"sigmascope spectrum picture.png --lowpass 4 -o blurred.png",
     "a picture, before and after a Gaussian filter."},
    {0},
};

const cli_command cmd_spectrum = {
    "spectrum",
    "IMAGE.png|RUN.h5...",
    "power spectra of pictures and of runs' inputs; input against conditioning",
    "For a picture: its radial power spectrum, slope and low-frequency share, also after a\n"
    "Gaussian filter. For a run: the same for what the network saw, and whether inputs with less\n"
    "low frequencies give the larger activations, at each noise level by itself. For several\n"
    "runs of one network with different --condition-sigma: how much the input makes the\n"
    "activations large, and how much what the network is told of it.",
    options,
    CLI_TABLES | CLI_TAKES_RUNS,
    run,
    examples,
};
