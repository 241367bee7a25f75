/* tables.h - the tables of a command: printed as they come, or gathered into one JSON object
 *
 *   cli_tables out = {.json = p.common.json};
 *   if ((rc = ss_growth_table(..., &t, &e)) == SS_OK)
 *       rc = cli_show(&out, &t, &e);
 *   ...
 *   rc = cli_show_end(&out, rc, &e);
 */
#ifndef SS_CLI_TABLES_H
#define SS_CLI_TABLES_H

#include "base/table.h"

typedef struct {
    bool json;
    int n_shown;
    json_t *tables; /* {title: table}, with json */
} cli_tables;

/* Prints a table, or keeps it for the JSON object; releases it, also on failure. */
ss_code cli_show(cli_tables *out, ss_table *t, ss_err *e);

/* The last call: prints the JSON object unless rc is an error; returns rc, or its own failure.
 * {0} is fine. */
ss_code cli_show_end(cli_tables *out, ss_code rc, ss_err *e);

#endif
