/* conditions.h - what a network is told beside picture and noise level
 *
 * Loads the tensors that the options name, checks them against what the model wants, and
 * lays out the rows of a batch. A tensor of one row serves every sample; else row i is
 * sample i's.
 */
#ifndef SS_PROBE_CONDITIONS_H
#define SS_PROBE_CONDITIONS_H

#include "models/model.h"
#include "models/safetensors.h"

typedef struct {
    int class_label;           /* -1: none given */
    const char *prompt_embeds; /* FILE#NAME, or NULL */
    const char *text_embeds;
    const char *time_ids;
} ss_condition_options;

/* One loaded tensor and the rows of the batch at hand. */
typedef struct {
    ss_array all; /* [N][...] */
    int64_t row;  /* values of one sample */
    float *batch; /* [batch][...] */
} ss_condition_rows;

typedef struct {
    ss_condition_rows prompt, text, time;
    float *labels;       /* [batch], or NULL */
    char text_form[128]; /* for the run file: "class 3" */
} ss_conditions;

/* samples: how many different ones there will be; batch: the most at a time. */
ss_code ss_conditions_load(const ss_condition_options *opt, const ss_model *m, int samples,
                           int batch, ss_conditions *out, ss_err *e);
void ss_conditions_release(ss_conditions *k); /* {0} is fine */

/* The condition of a batch of n samples; valid until the next call. */
ss_condition ss_conditions_batch(ss_conditions *k, int n, const int *sample);

#endif
