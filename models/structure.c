/* structure.c - see structure.h */
#include "models/structure.h"

#include "base/mem.h"

ss_code ss_structure_new(const ss_model *m, const float *absmax, ss_structure **out, ss_err *e)
{
    ss_structure_list l = {.absmax = absmax};
    ss_structure *s = ss_calloc(1, sizeof *s);

    if (!s)
        return ss_no_memory(e, "the list of what lets activations grow");
    l.modules = ss_model_modules(m, &l.n_modules);
    l.weights = ss_model_weights(m, &l.n_weights);
    ss_model_structure(m, &l);
    const ss_code rc = ss_structure_finish(&l, ss_model_config(m), &s->rows, &s->n, e);
    if (rc != SS_OK)
        ss_free(s);
    else
        *out = s;
    return rc;
}

void ss_structure_free(ss_structure *s)
{
    if (!s)
        return;
    ss_structure_rows_free(s->rows, s->n);
    ss_free(s);
}
