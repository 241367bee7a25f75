/* spectrum.c - `sigmascope spectrum`: power spectra of pictures and of what networks saw */
#include "analyze/spectra.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/tables.h"

#include <math.h>

enum { OPT_CUTOFF = 1 };

static const cli_option options[] = {
    {OPT_CUTOFF, "cutoff", "CYCLES",
     "what counts as a low frequency: so many cycles per picture or less (default 2)"},
    {0},
};

static ss_code show_run(ss_run *r, double cutoff, const char *name, cli_tables *out, ss_err *e)
{
    ss_sites sites = {0};
    ss_spectra s = {0};
    ss_table t;
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);

    if (rc == SS_OK)
        rc = ss_spectra_find(r, &sites, cutoff, name, &s, e);
    if (rc == SS_OK && (rc = ss_spectra_table(r, &s, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (rc = ss_spectra_finding_table(r, &s, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    ss_spectra_release(&s);
    ss_sites_release(&sites);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    double cutoff = SS_DEFAULT_CUTOFF;
    cli_parser p;
    cli_tables out = {0};
    ss_err e = {0};
    ss_code rc = SS_OK;
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_CUTOFF: cli_double(&p, &cutoff); break;
        }
    }
    if (!(cutoff > 0))
        cli_usage(&p, "--cutoff takes a positive number of cycles, not %g", cutoff);
    if (cli_stop(&p, 1, -1))
        return p.status;
    out.json = p.common.json;
    for (int i = 0; i < p.n_operands && rc == SS_OK; i++) {
        ss_run *r;

        rc = ss_run_open(p.operands[i], &r, &e);
        if (rc == SS_OK)
            rc = show_run(r, cutoff, p.n_operands > 1 ? p.operands[i] : "", &out, &e);
        if (rc == SS_OK)
            ss_run_close(r);
    }
    rc = cli_show_end(&out, rc, &e);
    return rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
}

const cli_command cmd_spectrum = {
    "spectrum", "RUN.h5...", "power spectra of the inputs of runs, against their activations",
    NULL,       options,     CLI_JSON,
    run,
};
