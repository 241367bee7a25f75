/* conditioning.h - what makes activations large: the input, or what the network is told of it?
 *
 * Several runs of one network, each made with another `probe --condition-sigma`, feed the same
 * noise levels and tell the network another one. With y = ln of the largest |x| of a stage, for
 * what it was told t, noise level s of the input, and input and sample k,
 *
 *   y_tsk - m = (m_t - m) + (m_s - m) + (m_ts - m_t - m_s + m) + (y_tsk - m_ts)
 *
 * where m are means over what is not named. The squares of the four parts add up to the whole's,
 * and their shares of it are
 *
 *   told     what the network is told
 *   sigma    the noise level of the input itself
 *   both     their interaction: together they do more, or less, than each by itself
 *   content  the rest: inputs and samples differ where both are the same
 *
 * (two-way analysis of variance with repetition; Box, Hunter & Hunter 2005, "Statistics for
 * experimenters", section 8.1). A sample that has no finite value in some run and noise level is
 * left out of all.
 */
#ifndef SS_ANALYZE_CONDITIONING_H
#define SS_ANALYZE_CONDITIONING_H

#include "analyze/one/stages.h"
#include "analyze/several/align.h"
#include "base/table.h"

typedef enum { SS_TOLD_UNKNOWN, SS_TOLD_OWN, SS_TOLD_FIXED } ss_told_kind;

/* The noise level that a run told its network. */
typedef struct {
    ss_told_kind kind; /* unknown: the run has no plan of ours; own: the input's own level; fixed:
                        * always the same */
    char text[32]; /* "80"; "none", the lowest; "t 495" where only the timestep is known; "own" */
    double value;  /* for sorting: sigma, or timestep; 0 for none, infinity for its own */
} ss_told;

ss_code ss_told_of(const ss_run *r, ss_told *t, ss_err *e);

typedef struct {
    double told, sigma, both, content; /* add up to 1; NaN where nothing varies */
    double told_ratio, sigma_ratio;    /* largest over smallest exp(m_t), exp(m_s) */
    int n;                             /* inputs and samples that count */
} ss_effects;

typedef struct {
    ss_run **runs; /* [n_runs] that are compared, borrowed; smallest told value first */
    ss_told *told; /* [n_runs] */
    int n_runs;
    int n_told; /* runs whose network was told a fixed level; one more may have been told its own */
    int n_left_out;
    ss_aligned aligned; /* of the runs */
    double *largest;    /* [n_runs][aligned.n_sigmas]: |x| over all sites, inputs and samples */
    ss_effects effects[SS_N_STAGES + 1]; /* of the fixed runs; the last: the whole network */
} ss_conditioning;

/* Compares the runs whose network was told a fixed noise level, each another one, and the first run
 * whose network was told the input's own. Runs that differ from the first of them in more (network,
 * precision, interventions, condition, size) are left out. n_told is below 2 where there is nothing
 * to compare, and all else is empty then. Nothing in common (sites, noise levels, inputs) is
 * SS_SHAPE. */
ss_code ss_conditioning_find(ss_run *const *runs, int n_runs, ss_conditioning *c, ss_err *e);
void ss_conditioning_release(ss_conditioning *c); /* {0} is fine */

/* The largest |x| by noise level of the input (rows) and what the network was told. */
ss_code ss_conditioning_table(const ss_conditioning *c, ss_table *t, ss_err *e);
/* The shares for each stage; the note is the sentence below. */
ss_code ss_effects_table(const ss_conditioning *c, ss_table *t, ss_err *e);

/* "The conditioning does it: what the network is told explains 93 % of the variance ...": of the
 * whole network. Returns out. */
char *ss_conditioning_sentence(const ss_conditioning *c, char *out, size_t n);

#endif
