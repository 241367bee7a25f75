/* finding.h - sentences about runs, each with its data
 *
 *   ss_findings f;
 *   rc = ss_findings_init(&f, &err);
 *   ss_findings_say(&f, "headroom", SS_SAID_BAD, "headroom", "%s would overflow", name);
 *   ss_finding_severity(&f, SS_SEVERITY_FAILING);
 *   ss_finding_site(&f, run, site);              // of the sentence said last
 *   ss_finding_number(&f, "absmax", 9.1e4, NULL);
 *   ...
 *   json_t *list = ss_findings_json(&f);
 *   ss_findings_release(&f);
 *
 * `analyze` prints them, a page shows them, findings.json holds them: one list, so that these
 * cannot differ. docs/schema/findings.schema.json describes the JSON. A failure of memory is
 * remembered and comes out at ss_findings_json.
 */
#ifndef SS_ANALYZE_FINDING_H
#define SS_ANALYZE_FINDING_H

#include "analyze/one/not_finite.h"
#include "analyze/one/structure.h"
#include "base/format.h"

#include <jansson.h>

/* The verdict of a sentence: good and bad answer whether there is trouble of the kind that it is
 * about; a size or a ratio alone is neither. */
#define SS_SAIDS(X)                                                             \
    X(BAD, "bad")           /* trouble */                                       \
    X(GOOD, "good")         /* that trouble was looked for, and is not there */ \
    X(MEASURED, "measured") /* a fact */                                        \
    X(UNKNOWN, "unknown")   /* the run cannot say */
#define X(name, text) SS_SAID_##name,
typedef enum { SS_SAIDS(X) SS_N_SAIDS } ss_said;
#undef X
const char *ss_said_name(ss_said said);

/* How much a sentence that is bad matters; the others have none. */
#define SS_SEVERITIES(X)                                                                      \
    X(NONE, "none")       /* no trouble */                                                    \
    X(RISK, "risk")       /* near a limit, lost in a format that is not the first one judged, \
                             or trouble that leads to losses */                               \
    X(FAILING, "failing") /* finite in fp32, lost in the format that is judged first */       \
    X(BROKEN, "broken")   /* values are inf or NaN already: what follows them is, too */
#define X(name, text) SS_SEVERITY_##name,
typedef enum { SS_SEVERITIES(X) SS_N_SEVERITIES } ss_severity;
#undef X
const char *ss_severity_name(ss_severity severity);

typedef struct {
    json_t *list;    /* of objects, in reading order */
    const char *run; /* name of the run that sentences are about from now on, or NULL; borrowed */
    bool failed;     /* memory ran out on the way */
} ss_findings;

ss_code ss_findings_init(ss_findings *f, ss_err *e);
void ss_findings_release(ss_findings *f); /* {0} is fine */

/* Adds a sentence. id: its kind ("headroom"); figure: the anchor of what shows it on a page, or
 * NULL. SS_SAID_BAD has severity RISK unless ss_finding_severity says more. */
void ss_findings_say(ss_findings *f, const char *id, ss_said said, const char *figure,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Add to the sentence that was said last. A number that is NaN is null, an infinite one "inf". */
void ss_finding_severity(ss_findings *f, ss_severity severity);
void ss_finding_number(ss_findings *f, const char *name, double value, const char *unit);
void ss_finding_set(ss_findings *f, const char *name, const char *value);
void ss_finding_format(ss_findings *f, const ss_format *format);
/* Its module (as PyTorch names it) and port. */
void ss_finding_site(ss_findings *f, const ss_run *r, ss_site s);
void ss_finding_module(ss_findings *f, const ss_run *r, int module);
/* Its sigma (or step), input and sample; what is -1 is left out. */
void ss_finding_cell(ss_findings *f, const ss_run *r, ss_cell c);

/* The list, a new reference; NULL: no memory. */
json_t *ss_findings_json(const ss_findings *f);

/* Adds a JSON object's module and port, its sigma or step, input and sample; false: no memory. */
bool ss_json_add_site(json_t *to, const ss_run *r, ss_site s);
bool ss_json_add_cell(json_t *to, const ss_run *r, ss_cell c);

/* Says what of a run is not finite, a sentence for each part, which begins with name unless that is
 * NULL. */
void ss_findings_not_finite(ss_findings *f, const ss_not_finite *x, const char *name,
                            const char *figure);
/* Says how the network is built at each module that was asked for; nothing where the run has no
 * list. */
void ss_findings_structure(ss_findings *f, const ss_run *r, const ss_structure_asked *asked);

#endif
