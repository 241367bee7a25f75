/* doctor.h - `sigmascope doctor`, from what it looks at to what it runs; private to its files
 *
 *   cli_doctor_find(&d, &err);           // checkpoints or run files; a training's folder is listed
 *   cli_doctor_look_at_all(&d, &err);    // networks, by their headers
 *   cli_doctor_prepare(&d);              // grids, and the time that steps will take
 *   cli_doctor_examine(&d, &err);        // runs the steps
 */
#ifndef SS_CLI_DOCTOR_H
#define SS_CLI_DOCTOR_H

#include "cli/doctor_network.h"
#include "cli/doctor_steps.h"
#include "cli/doctor_verdict.h"
#include "cli/probe_options.h"
#include "models/training_folder.h"

enum { CLI_DOCTOR_NETWORKS = 8, CLI_DOCTOR_RUNS = CLI_DOCTOR_NETWORKS };

/* An option that goes on to the commands that have it. */
typedef struct {
    int id;
    const char *name, *arg;
} cli_doctor_passed;

typedef struct {
    cli_parser p;
    ss_probe_options opt;
    cli_probe_lists lists;
    cli_doctor_passed *passed;
    int n_passed;
    size_t cap;
    const char *format, *folder;
    bool force, resume;

    const char *const *models; /* checkpoints, or run files */
    int n_models;
    ss_checkpoint_folders list; /* owns them, of a training's folder */
    bool runs_given;            /* they are run files */
    bool has_text;              /* the pipeline has text encoders */
    cli_doctor_network net[CLI_DOCTOR_NETWORKS];
    cli_doctor_grid grid[CLI_DOCTOR_NETWORKS];
    int n_nets;
    int probes; /* expected, of each network */

    cli_doctor_steps steps;
    cli_doctor_verdict verdict;
    char *runs[CLI_DOCTOR_RUNS]; /* of components, the denoiser's first; or of the bad checkpoint
                                    alone */
    cli_doctor_judged judged[CLI_DOCTOR_RUNS];
    int n_runs;
    char *baseline; /* run of the last good checkpoint, or NULL */
    int n_failed;   /* steps */
} cli_doctor;

/* doctor_look.c */
ss_code cli_doctor_find(cli_doctor *d, ss_err *e);
/* SS_UNSUPPORTED, with why, if none of the networks can be opened. */
ss_code cli_doctor_look_at_all(cli_doctor *d, ss_err *e);
void cli_doctor_prepare(cli_doctor *d);
/* Estimates of single steps, in seconds: of a probe of network `which`, of reading weights. */
double cli_doctor_probe_seconds(const cli_doctor *d, int which);
double cli_doctor_inspect_seconds(const cli_doctor_network *n);
/* True if the weights of all checkpoints are read, not of the first and the last alone. */
bool cli_doctor_inspects_all(const cli_doctor *d);

/* doctor_words.c: parts of command lines */
/* Adds the options of the command line that the command has; net: of which network, or NULL. */
void cli_doctor_pass(cli_doctor *d, cli_words *w, const cli_command *c,
                     const cli_doctor_network *net);
void cli_doctor_add_component(cli_words *w, const cli_doctor_network *net);
/* Adds the grid and what the network is told where the command line leaves it open. */
void cli_doctor_add_grid(cli_doctor *d, cli_words *w, int which, bool by_prompt);
void cli_doctor_add_formats(cli_doctor *d, cli_words *w);
/* Lists in the verdict what was assumed of a network that ran. */
void cli_doctor_assume_told(cli_doctor *d, int which, bool by_prompt);

/* Runs all steps; doctor_examine.c. */
ss_code cli_doctor_examine(cli_doctor *d, ss_err *e);

#endif
