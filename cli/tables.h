/* tables.h - the tables of a command: printed as they come, or gathered into one JSON object
 *
 *   cli_tables out = cli_tables_begin(&p);       // as --json, --csv, --table and --wide say
 *   if ((rc = ss_growth_table(r, &growth, top, &t, &err)) == SS_OK)
 *       rc = cli_show(&out, &t, &err);
 *   ...
 *   rc = cli_show_end(&out, rc, &err);
 */
#ifndef SS_CLI_TABLES_H
#define SS_CLI_TABLES_H

#include "analyze/findings/verdict.h"
#include "cli/cli.h"

/* The version of what --json prints: docs/schema/tables.schema.json. */
#define CLI_TABLES_SCHEMA "sigmascope-tables/1.0"

typedef struct {
    bool data; /* nothing but tables is printed, and all there are: with --json, --csv, --table */
    bool csv, json, wide;
    const char *only;      /* the title of the table that is asked for, or NULL; borrowed */
    const char *component; /* whose tables these are, of several; borrowed, or NULL */
    int n_shown;
    json_t *tables; /* {title: table}, with data */
} cli_tables;

cli_tables cli_tables_begin(const cli_parser *p);

/* True where tables have all their rows: with --json and --csv. */
bool cli_as_data(const cli_parser *p);

/* Prints a table, or keeps it for the JSON object; releases it, also on failure. */
ss_code cli_show(cli_tables *out, ss_table *t, ss_err *e);

/* Shows the verdict: as text at the top; as JSON "verdict", and every sentence as "findings". */
ss_code cli_show_verdict(cli_tables *out, const ss_verdict *v, const ss_findings *f, ss_err *e);

/* Shows what of a run is not finite: sentences, and tables of at most `top` rows. As text it prints
 * nothing for a finite run; as JSON it is always there, the sentences as
 * "said": [{"part": ..., "text": ...}]. */
ss_code cli_show_not_finite(cli_tables *out, const ss_not_finite *x, int top, ss_err *e);
/* Shows the sentences alone, that of `lead` first; name: the run's name before each, or NULL. */
ss_code cli_say_not_finite(cli_tables *out, const ss_not_finite *x, ss_bad_part lead,
                           const char *name, ss_err *e);

/* Shows another sentence; nothing if text is NULL. */
ss_code cli_say(cli_tables *out, const char *part, const char *text, ss_err *e);
/* The same, on the line after the last sentence where `follows`. */
ss_code cli_say_more(cli_tables *out, const char *part, const char *text, bool follows, ss_err *e);

/* Shows which divergence it is (analyze/training/mechanism.h): the sentence and, if something grew,
 * the evidence; as text nothing for a training in which nothing grew. As JSON both are always
 * there, the sentence as the part "mechanism" of "said". */
ss_code cli_show_mechanism(cli_tables *out, ss_run *const *runs, const int64_t *steps, int n,
                           ss_err *e);

/* The sentence alone. */
ss_code cli_say_mechanism(cli_tables *out, ss_run *const *runs, const int64_t *steps, int n,
                          ss_err *e);

/* Shows the sentence of each module asked about, and as JSON the whole list as the table
 * "structure"; nothing if the run has no list. */
ss_code cli_show_structure(cli_tables *out, const ss_run *r, const ss_structure_asked *asked,
                           ss_err *e);

/* Shows how attention over frames spreads over them, of layers that match the globs (none: all);
 * nothing if the run has no such layers. */
ss_code cli_show_frames(cli_tables *out, ss_run *r, const char *const *globs, int n_globs, int top,
                        ss_err *e);

/* Ends the output: prints the JSON object unless rc is an error; returns rc, or its own failure:
 * SS_USAGE with the titles there are where none is the one asked for. {0} is fine. */
ss_code cli_show_end(cli_tables *out, ss_code rc, ss_err *e);

#endif
