/* components.h - which component of a pipeline fails first, and how far the others are from it
 *
 *   rc = ss_verdicts_find(runs, n_runs, NULL, 0, formats, n_formats, &v, &err);
 *   char *text = ss_verdicts_say(&v, 0);     // "fp16: the text encoder fails first: ..."
 *   rc = ss_verdicts_table(&v, &table, &err);
 *   ss_verdicts_release(&v);
 *
 * Each run is of another network of one pipeline. Networks are in the order in which a sample
 * passes them: text encoders, denoiser, VAE, and by name within a role, however the runs were
 * given. For each format, a network's verdict is
 *
 *   not finite   the run itself has inf or NaN at a site
 *   overflows    the largest |x| of a stored site, or of a weight, rounds to more than the format
 *                holds (ss_overflows, ss_site_is_stored)
 *   fits         neither, and the run has numbers
 *   unknown      the run has nothing to judge
 *
 * and the site is the first in forward order, over all noise levels and inputs, that is not finite
 * or overflows, or where neither happens the one with least headroom. Everything is taken from
 * overflow.h, headroom.h and not_finite.h, so this table cannot contradict those of one run.
 */
#ifndef SS_ANALYZE_COMPONENTS_H
#define SS_ANALYZE_COMPONENTS_H

#include "analyze/one/headroom.h"
#include "analyze/one/not_finite.h"

typedef enum {
    SS_VERDICT_UNKNOWN,
    SS_VERDICT_FITS,
    SS_VERDICT_OVERFLOWS,
    SS_VERDICT_NOT_FINITE
} ss_component_verdict_kind;

typedef struct {
    ss_component_verdict_kind kind;
    ss_site site;   /* module -1: unknown */
    bool weights;   /* its weights overflow, and its values do not */
    ss_cell cell;   /* where |x| is largest, or is first not finite; -1 each of weights */
    double largest; /* |x| at the site, over all that is finite; NaN without any */
    double bits;    /* left to the format's largest value; NaN if not finite or unknown */
} ss_component_verdict;

typedef struct {
    ss_run *run;      /* borrowed */
    const char *name; /* of the component, or else the network's class or role; borrowed */
    const char *role; /* "the text encoder" */
    const char *why;  /* why nothing is known; NULL otherwise */
    ss_component_verdict verdict[SS_MAX_FORMATS];
    bool emulated;         /* values were rounded while the network ran */
    char limit[96];        /* what cuts values off, "fp8-e4m3-sat"; "" without */
    double limit_value;    /* the value that those are cut to */
    int64_t n_bad_weights; /* parameters with inf or NaN */
    char bad_weight[160];  /* name of the first */
} ss_component_verdicts;

typedef struct {
    const ss_format *formats; /* borrowed */
    int n_formats;
    ss_component_verdicts *list; /* in the order in which a sample passes them */
    int n;
    bool one_pipeline; /* false: the paths of their models disagree */
} ss_verdicts;

/* True for several runs of which not all are of the same component: they are judged together, while
 * runs of one component are a trend. */
bool ss_runs_are_components(ss_run *const *runs, int n);

/* The component's folder, or else the class of the network, or its role; borrowed. */
const char *ss_component_name(const ss_run *r);

/* Keeps those globs that match a module of the run; kept has room for all. Returns how many. */
int ss_globs_of_run(const ss_run *r, const char *const *globs, int n_globs, const char **kept);

/* Judges. globs: only modules that match; each must match in one of the runs, and a run in which
 * none does is unknown. Two runs of one component are SS_USAGE. Runs and formats have to outlive
 * *v. */
ss_code ss_verdicts_find(ss_run *const *runs, int n, const char *const *globs, int n_globs,
                         const ss_format *formats, int n_formats, ss_verdicts *v, ss_err *e);
void ss_verdicts_release(ss_verdicts *v); /* {0} is fine */

/* The answer for a format in a sentence, which begins with the format's name; ss_free. NULL: no
 * memory. */
char *ss_verdicts_say(const ss_verdicts *v, int format);

/* A row for each format and component, titled "components". */
ss_code ss_verdicts_table(const ss_verdicts *v, ss_table *t, ss_err *e);

/* "token 3 'cat' of prompt "a cat"", "sigma 80", "weights": where a verdict's value is; returns
 * out. */
char *ss_verdict_place(const ss_run *r, const ss_component_verdict *x, char *out, size_t n);

#endif
