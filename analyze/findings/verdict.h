/* verdict.h - the answer of runs in one sentence: bad or good, where, since when, what to do next
 *
 *   ss_verdict v;
 *   rc = ss_verdict_run(&analysis, &v, &err);
 *   ss_verdict_print(&v, stdout);
 *   json_t *j = ss_verdict_json(&v);      // "verdict" of findings.json
 *   ss_verdict_release(&v);
 *
 * A verdict is about one format: the one that the run was made in, where it was emulated, else the
 * first that is judged. It is bad where values are lost in it:
 *
 *   1. weights are inf or NaN: what follows them is, in every format
 *   2. something else is inf or NaN; the first place in forward order is named
 *   3. values are cut off at the limit of a saturating format or of a clamp
 *   4. a value would overflow. Named is the first place in forward order at that noise level and
 *      input at which the largest value overflows, which is the place PyTorch would name there
 *
 * RISK: nothing is lost, and less than SS_VERDICT_BITS are left. UNKNOWN: the run cannot say.
 */
#ifndef SS_FINDINGS_VERDICT_H
#define SS_FINDINGS_VERDICT_H

#include "analyze/findings/several.h"
#include "analyze/findings/training_analysis.h"

/* Less headroom than this, in bits, is a risk: activations of one training differ by a factor of
 * two between batches. */
#define SS_VERDICT_BITS 1.0

#define SS_JUDGED(X) X(GOOD, "good") X(UNKNOWN, "unknown") X(RISK, "risk") X(BAD, "bad")
#define X(name, text) SS_JUDGED_##name,
typedef enum { SS_JUDGED(X) } ss_judged; /* from the best to the worst */
#undef X
const char *ss_judged_name(ss_judged kind);

typedef struct {
    ss_judged kind;
    char *format;                 /* that is judged; "" if it is of every format */
    char *text;                   /* the sentence */
    char *where, *since, *covers; /* sigma, input, sample; checkpoint; what was looked at; or
                                     NULL. All owned */
    char **next;                  /* [n_next] commands to paste */
    int n_next;
    char **keep;    /* [n_keep] modules to keep in fp32, as PyTorch names them */
    int n_keep;     /* 0: none are needed, or it is not known */
    char *keep_for; /* the PyTorch code that the list is for, or NULL */
    char *paste;    /* Python that does it (analyze/precision/keep_paste.h), or NULL */
    json_t *data;   /* module, port, sigma, input, sample, numbers */
} ss_verdict;

/* Judge one run; several runs of one network, in the order of training where it is known; a
 * training's own run; components of a pipeline. A run without a finished noise level is UNKNOWN. */
ss_code ss_verdict_run(const ss_analysis *x, ss_verdict *v, ss_err *e);
ss_code ss_verdict_several(const ss_several *s, ss_verdict *v, ss_err *e);
ss_code ss_verdict_training(const ss_training_analysis *x, ss_verdict *v, ss_err *e);
ss_code ss_verdict_components(const ss_verdicts *c, ss_verdict *v, ss_err *e);
void ss_verdict_release(ss_verdict *v); /* {0} is fine */

/* "BAD in fp16: ...", then a line for each of where, since, keep, next, covers. */
void ss_verdict_print(const ss_verdict *v, FILE *f);

/* The same as data, a new reference; NULL: no memory. */
json_t *ss_verdict_json(const ss_verdict *v);

/* The whole of findings.json: format, version, verdict and findings. v may be NULL. */
json_t *ss_findings_document(const ss_findings *f, const ss_verdict *v);

#endif
