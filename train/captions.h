/* captions.h - captions of training pictures as a network with text gets them
 *
 * Every text is encoded once, before the first step, by the text encoders of a pipeline
 * (probe/prompt_states.h); a step then looks its samples' rows up. The empty text stands for the
 * null class, so that dropout trains a network for guidance.
 *
 *   rc = ss_captions_open(data, "sd15/", &needs, &device, 32, &k, &err);
 *   ss_captions_tell(k, &condition);                // points at the batch
 *   ss_captions_batch(k, ids, n);                   // before each pass
 *   ss_captions_close(k);
 */
#ifndef SS_TRAIN_CAPTIONS_H
#define SS_TRAIN_CAPTIONS_H

#include "kernels/context.h"
#include "models/net/condition.h"
#include "train/data.h"

typedef struct ss_captions ss_captions;

enum { SS_NO_CAPTION = 1 << 30 }; /* a null class that is no caption's number */

/* Encodes the captions of data. SS_USAGE if they are no texts, or if the pipeline's encoders do not
 * make states of the network's width. batch: the most samples at a time. */
ss_code ss_captions_open(const ss_data *d, const char *pipeline, const ss_condition_needs *needs,
                         const ss_ctx_options *device, int batch, ss_captions **k, ss_err *e);
void ss_captions_close(ss_captions *k); /* NULL is fine */

/* Fills the batch with the texts of n samples of these labels. */
void ss_captions_batch(ss_captions *k, const int64_t *label, int n);
/* Sets the text of a condition to the batch, as it is when the condition is used. */
void ss_captions_tell(const ss_captions *k, ss_condition *condition);

#endif
