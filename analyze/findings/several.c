/* several.c - see several.h */
#include "analyze/findings/several.h"

#include "base/mem.h"

#include <string.h>

/* Makes the trend where the training steps are known. A list of steps that was given has to fit. */
static ss_code find_trend(ss_several *s, ss_err *e)
{
    ss_err why = {0};
    ss_code rc;

    if (!(s->step = ss_calloc((size_t)s->n, sizeof *s->step)))
        return ss_no_memory(e, "several runs");
    rc = ss_trend_steps(s->runs, s->n, s->steps, s->step, &why);
    if (rc != SS_OK) {
        ss_free(s->step);
        s->step = NULL;
    } else {
        rc = ss_trend_find(s->runs, s->step, s->n, s->modules, s->n_modules, &s->trend, &why);
    }
    s->has_trend = rc == SS_OK;
    if (rc == SS_OK || (!s->steps && (rc == SS_USAGE || rc == SS_SHAPE)))
        return SS_OK;
    *e = why;
    return rc;
}

/* Compares each run with the first; runs without anything in common are no failure. */
static ss_code find_pairs(ss_several *s, ss_err *e)
{
    for (int j = 1; j < s->n; j++) {
        ss_err why = {0};
        ss_code rc = ss_comparison_find(s->runs[0], s->runs[j], "B", s->modules, s->n_modules,
                                        &s->pairs[j].result, &why);

        s->pairs[j].fits = rc == SS_OK;
        snprintf(s->pairs[j].why, sizeof s->pairs[j].why, "%.255s", why.msg);
        if (rc != SS_OK && rc != SS_SHAPE) {
            *e = why;
            return rc;
        }
    }
    return SS_OK;
}

/* Finds the mechanism of the trend's runs, which are in the order of training. */
static ss_code find_mechanism(const ss_trend *t, ss_mechanism_finding *m, ss_err *e)
{
    int64_t *steps = ss_calloc((size_t)t->n_steps, sizeof *steps);
    ss_code rc = steps ? SS_OK : ss_no_memory(e, "several runs");

    for (int i = 0; i < t->n_steps && rc == SS_OK; i++)
        steps[i] = (int64_t)t->steps[i];
    if (rc == SS_OK)
        rc = ss_mechanism_find(t->runs, steps, t->n_steps, m, e);
    ss_free(steps);
    return rc;
}

ss_code ss_several_find(ss_several *s, ss_err *e)
{
    ss_err why = {0};
    ss_code rc;

    if (!(s->pairs = ss_calloc((size_t)s->n, sizeof *s->pairs)))
        return ss_no_memory(e, "several runs");
    if ((rc = find_trend(s, e)) != SS_OK ||
        (s->has_trend && (rc = find_mechanism(&s->trend, &s->mechanism, e)) != SS_OK) ||
        (rc = find_pairs(s, e)) != SS_OK)
        return rc;
    rc = ss_conditioning_find(s->runs, s->n, &s->conditioning, &why);
    if (rc == SS_OK || rc == SS_SHAPE)
        return SS_OK;
    *e = why;
    return rc;
}

void ss_several_release(ss_several *s)
{
    ss_trend_release(&s->trend);
    ss_mechanism_release(&s->mechanism);
    ss_conditioning_release(&s->conditioning);
    for (int j = 1; s->pairs && j < s->n; j++) {
        if (s->pairs[j].fits)
            ss_comparison_release(&s->pairs[j].result);
    }
    ss_free(s->pairs);
    ss_free(s->step);
    *s = (ss_several){0};
}
