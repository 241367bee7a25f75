/* analysis.h - all that the analyses say of one run, computed once for text and figures */
#ifndef SS_FINDINGS_ANALYSIS_H
#define SS_FINDINGS_ANALYSIS_H

#include "analyze/findings/finding.h"
#include "analyze/one/attention.h"
#include "analyze/one/blobs.h"
#include "analyze/one/channels.h"
#include "analyze/one/frame_attention.h"
#include "analyze/one/growth.h"
#include "analyze/one/headroom.h"
#include "analyze/one/health.h"
#include "analyze/one/not_finite.h"
#include "analyze/one/overflow.h"
#include "analyze/one/spectra.h"
#include "analyze/one/stages.h"
#include "analyze/one/structure.h"
#include "analyze/one/tokens.h"
#include "analyze/one/weights.h"

enum { SS_FIGURE_ROWS = 56 }; /* modules in one figure; tables have them all */

typedef struct {
    ss_run *run;
    char name[96];           /* of the run, for titles */
    ss_sites all, produced;  /* in forward order */
    ss_sites rows;           /* of produced, those for figures */
    const char *rows_are;    /* what those are: "block outputs", "all modules", ... */
    const ss_format *format; /* [n_formats] borrowed; the first is the one that is judged most */
    int n_formats;

    int *order; /* [n] noise levels from lowest to highest */
    int n;
    const float *absmax, *rms; /* of the run, or NULL */

    ss_not_finite bad; /* of all modules, whatever was asked for */
    ss_growth growth;
    ss_headroom headroom;
    ss_overflow overflow[SS_MAX_FORMATS];
    ss_stages stages;
    ss_weights weights;
    bool has_attention;
    ss_attn attention;
    char *attention_sentence;
    ss_frame_attention frames; /* of networks for videos; n 0 of others */
    ss_blobs blobs;            /* of dumped modules; n is 0 without */
    ss_channels channels;      /* n_sites is 0 without */
    ss_tokens tokens;          /* of dumped modules; n_modules is 0 without */
    bool has_spectra;
    ss_spectra spectra;
    double *loss; /* [n_inputs][n_sigmas], NULL: none */
} ss_analysis;

/* The run stays the caller's, and must outlive the analysis. */
ss_code ss_analysis_make(ss_run *r, const char *const *globs, int n_globs, const ss_format *formats,
                         int n_formats, ss_analysis *x, ss_err *e);
void ss_analysis_release(ss_analysis *x); /* {0} is fine */

/* The largest |x| at a site at the k-th noise level of the order, over inputs and samples. */
double ss_analysis_peak(const ss_analysis *x, ss_site s, int k);

/* Names n runs that are shown together: by their models, where these differ, else by file. */
void ss_analysis_name(ss_analysis *x, int n);

/* The sentences of one run, in reading order. */
void ss_findings_run(ss_findings *f, const ss_analysis *x);

#endif
