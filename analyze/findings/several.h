/* several.h - all that the analyses say of several runs of one network together, and its sentences
 *
 *   ss_several s = {.runs = runs, .found = analyses, .n = n}; // and formats, steps, modules
 *   rc = ss_several_find(&s, &err);
 *   rc = ss_findings_several(&findings, &s, &err);
 *   ss_several_release(&s);
 */
#ifndef SS_FINDINGS_SEVERAL_H
#define SS_FINDINGS_SEVERAL_H

#include "analyze/findings/analysis.h"
#include "analyze/several/comparison.h"
#include "analyze/several/components.h"
#include "analyze/several/conditioning.h"
#include "analyze/several/trend.h"
#include "analyze/training/mechanism.h"

/* A run against the first. */
typedef struct {
    bool fits;            /* false: they have nothing in common */
    char why[256];        /* then: what each side has */
    ss_comparison result; /* else */
} ss_pair;

typedef struct {
    /* of the caller, borrowed */
    ss_run *const *runs;      /* [n] */
    const ss_analysis *found; /* [n] */
    int n;
    const ss_format *format; /* [n_formats] */
    int n_formats;
    const char *steps; /* "250,6000": of which training step each run is; NULL: from paths */
    const char *const *modules; /* globs; none: all */
    int n_modules;

    /* found */
    bool has_trend; /* the training steps are known and differ, or were given */
    int64_t *step;  /* [n] of the runs, with a trend */
    ss_trend trend;
    ss_mechanism_finding mechanism; /* with a trend */
    ss_conditioning conditioning;   /* n_told below 2: nothing */
    ss_pair *pairs;                 /* [n]; the first is not used */
} ss_several;

/* Fills in what is found. Runs that have nothing in common are no failure; a list of steps that
 * does not fit is SS_USAGE. */
ss_code ss_several_find(ss_several *s, ss_err *e);
void ss_several_release(ss_several *s);

/* The sentences: what is not finite, the mechanism, growth over training, run against run. */
ss_code ss_findings_several(ss_findings *f, const ss_several *s, ss_err *e);

/* Parts of them that a training's own run has, too: how the largest value grows and when each
 * format's limit is reached (those with the exponents of fp32 have none), and which divergence it
 * is. */
void ss_findings_trend(ss_findings *out, const ss_format *formats, int n_formats,
                       const ss_trend *t);
void ss_findings_mechanism(ss_findings *f, const ss_mechanism_finding *m);

/* The sentences of several components of a pipeline, one for each format. */
void ss_findings_components(ss_findings *f, const ss_verdicts *v);

#endif
