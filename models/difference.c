/* difference.c - see difference.h */
#include "models/difference.h"

#include "base/log.h"
#include "base/mem.h"
#include "models/weight_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ss_stored_tensor *a, *b; /* one may be NULL */
    const char *note;              /* why there are no numbers, or "" */
    ss_weight_change change;
    ss_weight_stats stats_a, stats_b;
} pair;

static bool same_shape(const ss_stored_tensor *a, const ss_stored_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

static int64_t numel(const ss_stored_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

/* Pairs without numbers first, then by relative change, then by name. */
static int by_size(const void *pa, const void *pb)
{
    const pair *a = pa, *b = pb;
    bool na = *a->note != '\0', nb = *b->note != '\0';

    if (na != nb)
        return na ? -1 : 1;
    if (!na && a->change.relative != b->change.relative)
        return a->change.relative > b->change.relative ? -1 : 1;
    return strcmp((a->a ? a->a : a->b)->name, (b->a ? b->a : b->b)->name);
}

/* The values of a tensor: where they are mapped, or made into *made, which the caller frees. NULL
 * after an error. */
static const void *values_of(const ss_stored_tensor *t, void **made, ss_err *e)
{
    *made = t->data ? NULL : ss_alloc(t->bytes, 1);
    if (t->data)
        return t->data;
    if (!*made)
        ss_no_memory(e, t->name);
    else if (ss_stored_read(t, *made, e) == SS_OK)
        return *made;
    return NULL;
}

static ss_code measure_values(ss_ctx *c, pair *p, ss_err *e)
{
    const ss_stored_tensor *a = p->a, *b = p->b;
    void *made_a = NULL, *made_b = NULL;
    const void *va = values_of(a, &made_a, e), *vb = va ? values_of(b, &made_b, e) : NULL;
    ss_code rc = vb ? SS_OK : e->code;

    if (rc == SS_OK)
        rc = ss_weight_change_take(c, a->dtype, va, b->dtype, vb, numel(a), &p->change, e);
    if (rc == SS_OK)
        rc = ss_weight_stats_take(c, a->dtype, va, numel(a), &p->stats_a, e);
    if (rc == SS_OK)
        rc = ss_weight_stats_take(c, b->dtype, vb, numel(b), &p->stats_b, e);
    ss_free(made_a);
    ss_free(made_b);
    return rc;
}

static ss_code measure(ss_ctx *c, pair *p, ss_err *e)
{
    const ss_stored_tensor *a = p->a, *b = p->b;

    if (!a || !b) {
        p->note = a ? "only in the first" : "only in the second";
        return SS_OK;
    }
    if (!same_shape(a, b)) {
        p->note = "shapes differ";
        return SS_OK;
    }
    if (!a->usable || !b->usable) {
        p->note = "dtype is not supported";
        return SS_OK;
    }
    p->note = "";
    return measure_values(c, p, e);
}

static bool differs(const pair *p)
{
    return *p->note || p->change.difference.absmax != 0 || p->change.difference.nonfinite;
}

static void fill(ss_table *t, const pair *pairs, size_t n, int top)
{
    ss_table_column(t, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(t, "shape", SS_COL_TEXT, NULL);
    ss_table_column(t, "change", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "max_change", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "rms_a", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "rms_b", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "note", SS_COL_TEXT, NULL);
    for (size_t i = 0; i < n && differs(&pairs[i]) && (!top || i < (size_t)top); i++) {
        const pair *p = &pairs[i];
        bool numbers = !*p->note;
        char text[128];

        ss_table_row(t);
        ss_table_text(t, (p->a ? p->a : p->b)->name);
        ss_table_text(t, ss_stored_shape_text(p->a ? p->a : p->b, text, sizeof text));
        ss_table_number(t, numbers ? p->change.relative : NAN);
        ss_table_number(t, numbers ? p->change.difference.absmax : NAN);
        ss_table_number(t, numbers ? p->stats_a.rms : NAN);
        ss_table_number(t, numbers ? p->stats_b.rms : NAN);
        ss_table_text(t, p->note);
    }
}

ss_code ss_checkpoint_difference(ss_ctx *c, const ss_checkpoint *a, const ss_checkpoint *b, int top,
                                 ss_table *t, size_t *n_differ, ss_err *e)
{
    size_t na = ss_checkpoint_count(a), nb = ss_checkpoint_count(b), n = 0, differ = 0, ia = 0,
           ib = 0;
    pair *pairs = ss_calloc(na + nb, sizeof *pairs);
    ss_progress progress;
    ss_code rc = SS_OK;

    if (!pairs)
        return ss_no_memory(e, "a comparison of weights");
    ss_progress_begin(&progress, "compare", (int64_t)(na > nb ? na : nb));
    while ((ia < na || ib < nb) && rc == SS_OK) { /* both are sorted: merge */
        const ss_stored_tensor *x = ia < na ? ss_checkpoint_at(a, ia) : NULL;
        const ss_stored_tensor *y = ib < nb ? ss_checkpoint_at(b, ib) : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);
        pair *p = &pairs[n++];

        p->a = order <= 0 ? x : NULL;
        p->b = order >= 0 ? y : NULL;
        ia += order <= 0;
        ib += order >= 0;
        rc = measure(c, p, e);
        differ += differs(p);
        ss_progress_step(&progress, (int64_t)(ia > ib ? ia : ib), (p->a ? p->a : p->b)->name);
    }
    ss_progress_end(&progress);
    if (rc == SS_OK)
        rc = ss_table_init(t, "difference", e);
    if (rc == SS_OK) {
        qsort(pairs, n, sizeof *pairs, by_size);
        ss_table_note(t, "%zu of %zu tensors differ", differ, n);
        fill(t, pairs, n, top);
        *n_differ = differ;
    }
    ss_free(pairs);
    return rc;
}
