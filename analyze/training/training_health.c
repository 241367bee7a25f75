/* training_health.c - see training_health.h */
#include "analyze/training/training_health.h"

#include "base/str.h"

#include <math.h>
#include <stdio.h>

static double value_at(const ss_training *t, const float *x, int step)
{
    return x ? (double)x[t->columns[step]] : NAN;
}

static bool any_known(const ss_training *t, const float *x)
{
    for (int j = 0; j < t->trend.n_steps; j++) {
        if (!isnan(value_at(t, x, j)))
            return true;
    }
    return false;
}

ss_code ss_training_health_find(const ss_training *t, ss_training_health *h, ss_err *e)
{
    const int n = t->trend.n_steps;
    const float *loss, *skipped, *scale, *skips;
    ss_code rc;

    *h = (ss_training_health){.measured = n, .steps = t->trend.steps[n - 1], .least = NAN};
    if ((rc = ss_run_training(t->run, "loss", &loss, e)) != SS_OK ||
        (rc = ss_run_training(t->run, "skipped", &skipped, e)) != SS_OK ||
        (rc = ss_run_training(t->run, "scale", &scale, e)) != SS_OK ||
        (rc = ss_run_training(t->run, "skips", &skips, e)) != SS_OK)
        return rc;
    /* a recorder leaves NaN what it cannot know, and writes inf for a loss that is not finite */
    h->knows = any_known(t, skipped) || any_known(t, skips);
    h->knows_loss = loss && (!t->run->binned || any_known(t, loss));
    for (int j = 0; j < n; j++) {
        h->skipped += value_at(t, skipped, j) > 0;
        h->lost += t->run->binned ? isinf(value_at(t, loss, j))
                                  : h->knows_loss && !isfinite(value_at(t, loss, j));
        h->least = fmin(h->least, value_at(t, scale, j));
    }
    h->skips = value_at(t, skips, n - 1);
    h->scale[0] = value_at(t, scale, 0);
    h->scale[1] = value_at(t, scale, n - 1);
    h->last_skipped = value_at(t, skipped, n - 1) > 0;
    h->stalled = 2 * h->skipped > n || 2 * h->skips > h->steps;
    h->trouble =
        h->stalled || h->lost || h->last_skipped || 10 * h->skipped > n || 10 * h->skips > h->steps;
    return SS_OK;
}

char *ss_training_health_say(const ss_training_health *h, char *out, size_t n)
{
    ss_str s = {0};

    if (h->skips > 0)
        ss_str_addf(&s,
                    "%.0f of %.0f steps were skipped, because gradients were inf or NaN: they "
                    "changed no weight",
                    h->skips, h->steps);
    else if (h->skipped)
        ss_str_addf(&s,
                    "%d of %d measured steps were skipped, because gradients were inf or NaN: they "
                    "changed no weight",
                    h->skipped, h->measured);
    if (s.len && h->last_skipped)
        ss_str_add(&s, ", the last measured step among them");
    if (s.len && h->scale[0] != h->scale[1] && !isnan(h->scale[1]))
        ss_str_addf(&s, "; the loss scale went from %g to %g", h->scale[0], h->scale[1]);
    if (s.len)
        ss_str_add(&s, h->stalled ? ". This training learned little or nothing." : ".");
    if (h->lost)
        ss_str_addf(&s, "%sThe loss is inf or NaN at %d of %d measured steps.", s.len ? " " : "",
                    h->lost, h->measured);
    snprintf(out, n, "%s", s.s ? s.s : "");
    ss_str_release(&s);
    return out;
}
