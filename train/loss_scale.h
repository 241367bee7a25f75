/* loss_scale.h - the factor that keeps small gradients above a format's smallest number
 *
 * Gradients are computed of scale * loss and divided by scale before the weights change. A static
 * scale stays as it is. A dynamic one searches the largest that does not overflow:
 *
 *   gradients not finite     scale = max(scale * backoff, floor), the step is skipped
 *   `interval` good steps    scale = min(scale * growth, ceiling)
 *   one after another
 *
 * A loss that is inf or NaN itself comes from the forward pass, which no scale changes: a search
 * for another ends after SS_LOST_STEPS such steps in a row.
 *
 * Powers of two, as by default, change no bit but for underflow.
 * Source: Micikevicius et al. 2018, section 3.2; the defaults are those of PyTorch's GradScaler.
 */
#ifndef SS_TRAIN_LOSS_SCALE_H
#define SS_TRAIN_LOSS_SCALE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool dynamic;
    double initial;
    double growth, backoff;
    double floor, ceiling;
    int64_t interval;
} ss_loss_scale_options;

/* Static, 1; if made dynamic: growth 2 after 2000 steps, backoff 0.5, from 2^-24 to 2^24. */
ss_loss_scale_options ss_loss_scale_defaults(void);

/* SS_USAGE if a number is out of its range, which the message names. */
ss_code ss_loss_scale_check(const ss_loss_scale_options *opt, ss_err *e);

/* Plain data: it can be saved and read back as it is. */
typedef struct {
    double scale;
    int64_t good;    /* finite steps since the scale last changed */
    int64_t skipped; /* steps so far that were not finite */
    int64_t lost;    /* steps in a row, up to the last, whose loss itself was not finite */
} ss_loss_scale;

ss_loss_scale ss_loss_scale_begin(const ss_loss_scale_options *opt);

enum { SS_LOST_STEPS = 3 };

/* Call after each step. finite: its gradients were; forward: its loss was. False if no other scale
 * can help: gradients are not finite though the scale is at its floor already, or static, or the
 * forward pass itself is not. */
bool ss_loss_scale_update(ss_loss_scale *s, const ss_loss_scale_options *opt, bool finite,
                          bool forward);

#endif
