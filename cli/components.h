/* components.h - the answer of `analyze` and `probe` for several components of a pipeline */
#ifndef SS_CLI_COMPONENTS_H
#define SS_CLI_COMPONENTS_H

#include "analyze/several/components.h"
#include "cli/tables.h"

/* Shows which component fails first: a sentence for each format, as the part "components" of
 * "said", and the table. */
ss_code cli_show_components(cli_tables *out, const ss_verdicts *v, ss_err *e);

/* Begins the tables of one component: prints its name and file, or makes them an object of their
 * own, "runs": {NAME: ...}, which cli_end_component adds to out. */
void cli_begin_component(cli_tables *out, const ss_component_verdicts *c, cli_tables *own);
ss_code cli_end_component(cli_tables *out, const ss_component_verdicts *c, cli_tables *own,
                          ss_code rc, ss_err *e);

#endif
