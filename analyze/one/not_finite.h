/* not_finite.h - what of a run is inf or NaN, and what is cut off at a limit
 *
 * This is the one place that decides it; it comes before every other analysis of the run.
 *
 *   weights   parameters with values that are inf or NaN: what follows them is, in every format
 *   inputs    pictures that were not finite when the network got them
 *   sites     ports of modules, in forward order
 *   heads     attention heads whose entropy or logits are not finite
 *   outputs   answers of the network, and, at sigma = inf, what was denoised from them
 *   losses    of the inputs whose clean picture is known
 *   limits    sites whose largest |x| is exactly the limit of a saturating format or of a clamp:
 *             their values were cut off, and how large they would have been is not known
 *
 * All modules are examined, whichever the user chose, over finished noise levels (or steps of a
 * training run) only. First means lowest noise level, then input, then sample.
 *
 * Files of other people's hooks may count nothing (no /stats/nonfinite). There a largest |x| of inf
 * is not finite, once for each such sample, and one that is NaN is counted as unclear: NaN, or
 * never looked at. Files before layout version 1.2 lack the counts of weights, of which only
 * those without any finite value are known then, and the number of heads of a layer.
 */
#ifndef SS_ANALYZE_NOT_FINITE_H
#define SS_ANALYZE_NOT_FINITE_H

#include "analyze/one/sites.h"
#include "base/format.h"
#include "base/table.h"

/* A noise level, input and sample; indices into the run's axes, -1 without. Of a text encoder,
 * sample -1 is the whole prompt (ss_site_is_whole). */
typedef struct {
    int sigma, input, sample;
} ss_cell;

/* "sigma 80, input noise:white, sample 2"; "step 250, sample 2" of a training, "step 250,
 * sigma about 11.8" of one in bins; of a text encoder "token 3 'cat' of prompt \"a cat\"", without
 * the token where the sample is -1. Returns out. */
char *ss_cell_name(const ss_run *r, ss_cell c, char *out, size_t n);

typedef struct {
    int64_t parameter;
    uint64_t count; /* values; 0: how many is not recorded, and none is finite */
} ss_bad_weight;

typedef struct {
    ss_site site;
    uint64_t count; /* over finished noise levels, inputs, samples */
    ss_cell first;
    bool nothing_finite; /* no finite value at all, anywhere */
} ss_bad_site;

typedef struct {
    int layer, head; /* head -1: all of the layer, whose number of heads is not known */
    int count, of;   /* noise levels x inputs x samples that are not finite, of how many */
    int *by_input;   /* [n_inputs] of count; owned by the whole */
    ss_cell first;
} ss_bad_head;

/* Samples, in the sense of one noise level, input and sample each; of a training in bins, steps and
 * bins. */
typedef struct {
    int count, of;
    ss_cell first;
} ss_bad_samples;

typedef struct {
    char what[96]; /* "fp8-e4m3-sat", "clamp:20@mid_block" */
    double limit;
    int n_sites; /* at it, of all sites that it may concern */
    int of;
    ss_site first; /* in forward order */
    ss_cell cell;  /* there */
    double share;  /* at most this share of the values of one of these sites is at it; NaN without
                      histogram */
} ss_at_limit;

enum { SS_MAX_LIMITS = 16 };

typedef struct {
    ss_run *run; /* borrowed */

    ss_bad_weight *weights; /* in the order of the file */
    int64_t n_weights;
    uint64_t weight_values; /* 0: not counted */
    bool weights_counted;   /* false: parameters with some values that are finite are not known */

    ss_bad_site *sites; /* in forward order */
    int n_sites, of_sites;
    uint64_t values;      /* over the sites; a value seen at several ports counts at each */
    bool counted;         /* false: no /stats/nonfinite, values are at least so many */
    int unclear;          /* then: modules where something is NaN, or was not looked at */
    bool nothing_finite;  /* not one finite value at any site */
    bool nothing_nonzero; /* every value that was seen is zero */

    ss_bad_head *heads; /* in the order of the file */
    int n_heads, of_heads;
    int *head_inputs;   /* what by_input points into */
    bool heads_certain; /* false: it may also be that they were not recorded */

    ss_bad_samples inputs, outputs, losses;
    int n_infinite;          /* finished noise levels with sigma = inf */
    ss_bad_samples denoised; /* there, of pictures whose answer is finite */

    ss_at_limit limits[SS_MAX_LIMITS]; /* those with a site at them */
    int n_limits;
} ss_not_finite;

/* Reads what it needs of the run, which has to outlive x. A part that the run does not record is
 * empty. */
ss_code ss_not_finite_find(ss_run *r, ss_not_finite *x, ss_err *e);
void ss_not_finite_release(ss_not_finite *x); /* {0} is fine */

/* Number of samples in which the head is not finite, among inputs `from` to `to` - 1. */
int ss_bad_head_count(const ss_not_finite *x, const ss_bad_head *h, int from, int to);

/* True when anything is inf or NaN. Limits and zeros do not count. */
bool ss_not_finite_any(const ss_not_finite *x);

/* The format that all of the run's values were rounded to, "fp16 (half, sdpa)"; false: fp32, or
 * several.
 */
bool ss_run_format(const ss_run *r, ss_format *f);
/* True when nothing was rounded, whatever code of attention the run stands for: "fp32 (half,
 * eager)". */
bool ss_run_is_f32(const ss_run *r);

/* True if attention of the layer was to be recorded in the cell: of a text encoder that of a prompt
 * is at its first token alone, the encoder of a VAE runs for pictures only, and a stage of a
 * training may have fewer samples than another. */
bool ss_attention_is_due(ss_run *r, int layer, ss_cell c);

/* Number of heads of a layer; 0 where the file does not say and none was seen. */
ss_code ss_layer_heads(ss_run *r, int layer, int *n, ss_err *e);

/* Losses [input][sigma][sample], NaN where the clean picture is not known and inf where the loss
 * is inf or NaN, whatever the file's layout version; the caller's to ss_free. NULL: the run has
 * none. */
ss_code ss_losses_read(ss_run *r, float **loss, ss_err *e);

/* Names the first of n runs that is not finite, and the last finite one before it, in a sentence;
 * ss_free. Their training steps are all different. NULL with *e unchanged: all are finite. */
char *ss_last_finite_say(const ss_not_finite *const *x, const char *const *names,
                         const int64_t *steps, int n, ss_err *e);

/* The parts in the order of the report: a cause before its effects. */
#define SS_BAD_PARTS(X)   \
    X(WEIGHTS, "weights") \
    X(SIGMA, "sigma")     \
    X(INPUTS, "inputs")   \
    X(SITES, "modules")   \
    X(HEADS, "heads")     \
    X(OUTPUTS, "outputs") \
    X(LOSSES, "losses")   \
    X(ZERO, "zeros")      \
    X(LIMITS, "limits")
#define X(name, text) SS_BAD_##name,
typedef enum { SS_BAD_PARTS(X) SS_N_BAD_PARTS } ss_bad_part;
#undef X
const char *ss_bad_part_name(ss_bad_part part);

/* Sentences about a part; ss_free. NULL with *e unchanged: there is nothing to say. */
char *ss_not_finite_say(const ss_not_finite *x, ss_bad_part part, ss_err *e);

/* A row for each part that has something not finite, with how many, of how many, and the first. */
ss_code ss_not_finite_table(const ss_not_finite *x, ss_table *t, ss_err *e);
/* The sites, the parameters, at most `top`; what is at a limit. */
ss_code ss_bad_sites_table(const ss_not_finite *x, int top, ss_table *t, ss_err *e);
ss_code ss_bad_weights_table(const ss_not_finite *x, int top, ss_table *t, ss_err *e);
ss_code ss_at_limit_table(const ss_not_finite *x, ss_table *t, ss_err *e);

#endif
