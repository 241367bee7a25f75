/* verdict_parts.h - how the files that judge put a verdict together; private to them
 *
 * A text that could not be allocated is NULL; ss_verdict_end finds what has to be there.
 */
#ifndef SS_FINDINGS_VERDICT_PARTS_H
#define SS_FINDINGS_VERDICT_PARTS_H

#include "analyze/findings/verdict.h"
#include "base/json.h"
#include "base/str.h"

/* Adds to the data; takes the value. */
void ss_verdict_add(ss_verdict *v, const char *name, json_t *value);
void ss_verdict_place_data(ss_verdict *v, const ss_run *r, ss_site s, ss_cell c);
/* Adds a command; the second form has a path between its parts, quoted where a shell needs it. */
void ss_verdict_next(ss_verdict *v, const char *command);
void ss_verdict_next_with(ss_verdict *v, const char *before, const char *path, const char *after);
/* SS_NOMEM where memory ran out on the way. */
ss_code ss_verdict_end(const ss_verdict *v, ss_err *e);

#endif
