/* align.h - several runs side by side: the sites, noise levels and inputs that all of them have
 *
 *   sites         by module path and port; those that a module produces
 *   noise levels  by value: sigmas whose ratio is within SS_SIGMA_TOLERANCE of 1, nearest first,
 *                 then nearest in timestep where a value repeats; finished ones only
 *   inputs        by label; where every run has one input only, they count as the same
 *                 whatever their labels
 *
 * Samples are not aligned: every number of a site is over all samples of a run.
 */
#ifndef SS_ANALYZE_ALIGN_H
#define SS_ANALYZE_ALIGN_H

#include "analyze/one/sites.h"
#include "base/str.h"

/* A value typed with three digits is still the same. */
#define SS_SIGMA_TOLERANCE 1e-3

typedef struct {
    ss_run **runs; /* [n_runs], the runs are borrowed */
    int n_runs;
    ss_site *sites; /* [n_sites][n_runs], in forward order of the first run */
    int n_sites;
    int *sigmas; /* [n_sigmas][n_runs] indices, lowest sigma first */
    int n_sigmas;
    int *inputs; /* [n_inputs][n_runs] indices, in the order of the first run */
    int n_inputs;
    bool renamed;    /* one input each, and the labels differ */
    ss_sites *found; /* [n_runs] all sites of each */
    bool **shared;   /* [n_runs][found.n] whether it is in all runs */
} ss_aligned;

/* n_runs >= 1. Globs select modules; one that matches nothing in some run is SS_USAGE. Nothing in
 * common (sites, noise levels, inputs) is SS_SHAPE, with what each side has. */
ss_code ss_align(ss_run *const *runs, int n_runs, const char *const *globs, int n_globs,
                 ss_aligned *a, ss_err *e);
void ss_align_release(ss_aligned *a); /* {0} is fine */

/* The site, noise level or input number i of a run, as its own index. */
ss_site ss_align_site(const ss_aligned *a, int i, int run);
int ss_align_sigma(const ss_aligned *a, int i, int run);
int ss_align_input(const ss_aligned *a, int i, int run);

/* ss_site_peak and ss_site_count of one run over what is common: site, input and sigma count in
 * the alignment, the latter two may be SS_ALL. x is what ss_run_stat or ss_run_nonfinite of that
 * run gives. */
double ss_align_peak(const ss_aligned *a, int run, const float *x, int site, int input, int sigma);
uint64_t ss_align_count(const ss_aligned *a, int run, const uint64_t *x, int site, int input,
                        int sigma);

/* Index of a text in a list, or -1. */
int ss_align_label(char *const *list, int64_t n, const char *label);

/* Appends what was left out, "; left out: 3 sites, 2 noise levels of A.h5"; nothing where all
 * fits. */
void ss_align_describe(const ss_aligned *a, ss_str *out);

#endif
