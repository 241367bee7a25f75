/* training_health.h - did a training learn at all? Its skipped steps, its loss scale, its losses
 *
 * A step whose gradients are inf or NaN is skipped: it changes no weight. Dynamic loss scaling
 * skips a few while it searches its scale; a training that skips most of its steps learns nothing,
 * even if its largest activations look fine. The run file has the measured steps and, since layout
 * version 1.2, the number of steps that were skipped between them.
 */
#ifndef SS_ANALYZE_TRAINING_HEALTH_H
#define SS_ANALYZE_TRAINING_HEALTH_H

#include "analyze/training/training.h"

typedef struct {
    int measured;      /* finished measured steps */
    int skipped;       /* of these: skipped */
    int lost;          /* of these: with a loss of inf or NaN */
    bool knows;        /* false: skipped steps were not recorded */
    bool knows_loss;   /* false: losses were not recorded */
    double steps;      /* the last step */
    double skips;      /* steps that were skipped until then; NaN: not known */
    double scale[2];   /* of the loss at the first and the last measured step; NaN: not known */
    double least;      /* the least loss scale; NaN: not known */
    bool last_skipped; /* the last measured step was skipped */
    bool stalled;      /* more than half of all steps, or of the measured ones, were skipped */
    bool trouble;      /* stalled, or more than a tenth or the last was skipped, or a loss lost */
} ss_training_health;

ss_code ss_training_health_find(const ss_training *t, ss_training_health *h, ss_err *e);

/* Writes sentences about it into out; "" if no step was skipped or lost. Returns out. */
char *ss_training_health_say(const ss_training_health *h, char *out, size_t n);

#endif
