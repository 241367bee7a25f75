/* lora_table.c - see lora_table.h */
#include "models/lora_table.h"

#include "base/mem.h"
#include "models/weight_stats.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const ss_lora_layer *l;
    double change;
} row;

/* Reads both weights of a layer, and compares them. */
static ss_code measure(ss_ctx *c, const ss_lora_layer *l, double *change, ss_err *e)
{
    const ss_stored_tensor *a = l->before, *b = l->after;
    void *x = ss_alloc(a->bytes, 1), *y = ss_alloc(b->bytes, 1);
    ss_weight_change w = {0};
    ss_code rc = x && y ? ss_stored_read(a, x, e) : ss_no_memory(e, l->weight);

    if (rc == SS_OK)
        rc = ss_stored_read(b, y, e);
    if (rc == SS_OK)
        rc = ss_weight_change_take(c, a->dtype, x, b->dtype, y,
                                   (int64_t)(a->bytes / ss_dtype_size(a->dtype)), &w, e);
    *change = w.relative;
    ss_free(x);
    ss_free(y);
    return rc;
}

static int by_change(const void *a, const void *b)
{
    const row *x = a, *y = b;

    return x->change != y->change ? (x->change < y->change) - (x->change > y->change)
                                  : strcmp(x->l->weight, y->l->weight);
}

static void fill(ss_table *t, const row *rows, size_t n, int top)
{
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    ss_table_column(t, "kind", SS_COL_TEXT, NULL);
    ss_table_column(t, "rank", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "alpha", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "scale", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "change", SS_COL_NUMBER, "%.4g");
    for (size_t i = 0; i < n && (!top || i < (size_t)top); i++) {
        const ss_lora_layer *l = rows[i].l;

        ss_table_row(t);
        ss_table_text(t, l->weight);
        ss_table_text(t, l->kind);
        ss_table_number(t, (double)l->rank);
        ss_table_number(t, l->alpha);
        ss_table_number(t, l->scale);
        ss_table_number(t, rows[i].change);
    }
    ss_table_note(t, "%zu layers; change is |dW| / |W|", n);
}

ss_code ss_lora_table(ss_ctx *c, const ss_model *m, int top, ss_table *t, ss_err *e)
{
    const ss_lora_layers *layers = ss_model_lora_layers(m);
    row *rows = ss_calloc(layers->n, sizeof *rows);
    ss_code rc = rows ? SS_OK : ss_no_memory(e, "LoRA");

    for (size_t i = 0; i < layers->n && rc == SS_OK; i++) {
        rows[i].l = &layers->list[i];
        rc = measure(c, rows[i].l, &rows[i].change, e);
    }
    if (rc == SS_OK && layers->n)
        qsort(rows, layers->n, sizeof *rows, by_change);
    if (rc == SS_OK)
        rc = ss_table_init(t, "LoRA", e);
    if (rc == SS_OK)
        fill(t, rows, layers->n, top);
    ss_free(rows);
    return rc;
}
