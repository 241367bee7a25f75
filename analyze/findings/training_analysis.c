/* training_analysis.c - see training_analysis.h */
#include "analyze/findings/training_analysis.h"

#include "base/mem.h"

ss_code ss_training_analysis_make(ss_run *r, const char *const *globs, int n_globs,
                                  const ss_format *formats, int n_formats, ss_training_analysis *x,
                                  ss_err *e)
{
    ss_code rc;

    *x = (ss_training_analysis){.run = r, .format = formats, .n_formats = n_formats};
    rc = ss_sites_find(r, globs, n_globs, SS_SITES_ALL, &x->all, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, globs, n_globs, SS_SITES_PRODUCED, &x->produced, e);
    if (rc == SS_OK)
        rc = ss_training_find(r, &x->produced, &x->t, e);
    if (rc == SS_OK)
        rc = ss_training_health_find(&x->t, &x->health, e);
    if (rc == SS_OK)
        rc = ss_not_finite_find(r, &x->bad, e);
    if (rc == SS_OK)
        rc = ss_mechanism_find(&r, NULL, 1, &x->mechanism, e);
    if (rc == SS_OK)
        rc = ss_training_overflow_find(&x->t, &x->all, &formats[0], &x->overflow, e);
    if (rc == SS_OK)
        rc = ss_updates_find(&x->t, &x->updates, e);
    if (rc == SS_OK && !(x->losses = ss_alloc((size_t)r->n_bins, sizeof *x->losses)))
        rc = ss_no_memory(e, r->path);
    if (rc == SS_OK)
        rc = ss_training_losses(&x->t, x->losses, &x->n_losses, e);
    if (rc != SS_OK)
        ss_training_analysis_release(x);
    return rc;
}

void ss_training_analysis_release(ss_training_analysis *x)
{
    ss_sites_release(&x->all);
    ss_sites_release(&x->produced);
    ss_not_finite_release(&x->bad);
    ss_mechanism_release(&x->mechanism);
    ss_training_release(&x->t);
    ss_training_overflow_release(&x->overflow);
    ss_updates_release(&x->updates);
    ss_free(x->losses);
    *x = (ss_training_analysis){0};
}
