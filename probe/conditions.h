/* conditions.h - what a network is told besides picture and noise level
 *
 * Loads the tensors that the options name, checks them against what the model wants, and lays out
 * the rows of a batch. Sample i gets row i modulo the rows of a tensor: one row serves every
 * sample, and a list of classes starts again after its end.
 *
 * Classifier-free guidance (Ho & Salimans 2022) asks the network twice, with the condition and
 * with a negative one; a batch then has both, the negative rows after the others.
 */
#ifndef SS_PROBE_CONDITIONS_H
#define SS_PROBE_CONDITIONS_H

#include "kernels/context.h"
#include "models/file/safetensors.h"
#include "models/model.h"
#include "probe/network.h"
#include "probe/prompts.h"

typedef struct {
    const int *classes; /* of samples 0, 1, ...; none: the null class, if the model has one */
    int n_classes;
    ss_prompt_options prompts;
    const char *prompt_embeds; /* FILE#NAME, a stand-in (stand_in.h), or NULL */
    const char *text_embeds;   /* the same; where it is NULL it is a stand-in if prompt_embeds is */
    const char *time_ids;      /* FILE#NAME, or NULL */
    const char *class_embeds;  /* FILE#NAME or a stand-in, in place of a class */
    const char *guidance_embed; /* a scale that a distilled network (LCM) is told, or NULL */

    bool guided;                       /* a negative condition is needed */
    int negative_class;                /* -1: the null class */
    const char *negative_embeds;       /* FILE#NAME, in place of a class, or NULL */
    const char *negative_text;         /* for text_embeds */
    const char *negative_class_embeds; /* for class_embeds */
} ss_condition_options;

/* One kind of tensor, and its rows for the current batch. */
typedef struct {
    ss_array all, negative; /* [N][...]; rank 0: there is none */
    int64_t row;            /* values of one sample */
    float *batch;           /* [batch, or twice that][...] */
} ss_condition_rows;

typedef struct {
    ss_condition_rows prompt, text, time, labels, guidance;
    char *text_form; /* for the run file: "class 3" */
} ss_conditions;

/* Parses "0,3,7", or "all" for all classes of m except its null class. The caller frees *classes
 * with ss_free. */
ss_code ss_classes_parse(const char *text, const ss_model *m, int **classes, int *n, ss_err *e);

/* samples: how many different ones there will be; batch: the most at a time. Prompts are encoded on
 * the device; without guidance the negative ones take turns with the others. seed: of stand-ins.
 * SS_USAGE if guidance is wanted and there is no negative condition. */
ss_code ss_conditions_load(const ss_condition_options *opt, const ss_network *net,
                           const ss_ctx_options *device, int samples, int batch, uint64_t seed,
                           ss_conditions *out, ss_err *e);
void ss_conditions_release(ss_conditions *k); /* {0} is fine */

/* Returns the condition of a batch of n samples, with negatives in 2 n rows; valid until the next
 * call. */
ss_condition ss_conditions_batch(ss_conditions *k, int n, const int *sample, bool negatives);

/* Writes what the network is told of sample i: "class 3", or "" for nothing. */
void ss_conditions_text(const ss_condition_options *opt, const ss_model *m, int sample, char *out,
                        size_t n);

#endif
