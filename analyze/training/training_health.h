/* training_health.h - did a training get anywhere? Its skipped steps, its loss scale, its losses
 *
 * A step whose gradients are inf or NaN is skipped: it changes no weight. Dynamic loss scaling
 * skips a few while it looks for its scale; a training that skips most of its steps learns nothing,
 * however fine its largest activations look. The run file knows the measured steps, and, since
 * layout version 1.2, how many were skipped between them, too.
 */
#ifndef SS_ANALYZE_TRAINING_HEALTH_H
#define SS_ANALYZE_TRAINING_HEALTH_H

#include "analyze/training/training.h"

typedef struct {
    int measured;        /* finished measured steps, */
    int skipped;         /*   of which were skipped, */
    int lost;            /*   and how many had a loss of inf or NaN */
    bool knows;          /* false: the run does not say what was skipped */
    double steps, skips; /* the last step, and how many were skipped until then; NaN: not known */
    double scale[2], least; /* of the loss at the first and the last measured step, and the least;
                               NaN: not known */
    bool last_skipped;      /* the last measured step was */
    bool stalled;           /* more than half of all steps were skipped, or of the measured ones */
    bool trouble;           /* that, more than a tenth, the last, or a loss of inf or NaN */
} ss_training_health;

ss_code ss_training_health_find(const ss_training *t, ss_training_health *h, ss_err *e);

/* Writes the sentences about it; "" where every step was taken and finite. Returns out. */
char *ss_training_health_say(const ss_training_health *h, char *out, size_t n);

#endif
