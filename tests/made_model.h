/* made_model.h - a small network of random weights as a model folder, for tests that need one of a
 * certain configuration
 */
#ifndef SS_MADE_MODEL_H
#define SS_MADE_MODEL_H

#include "base/mem.h"
#include "models/file/checkpoint_write.h"
#include "models/model.h"
#include "tests/ss_test.h"

#include <jansson.h>

/* Lets a test change a parameter before it is written; values [n]. */
typedef void made_edit(const char *name, float *values, size_t n);

/* Writes DIR with the configuration; edit may be NULL. */
static inline void make_model(const char *dir, const char *config, made_edit *edit)
{
    const ss_init init = {.seed = 7};
    json_t *j = json_loads(config, 0, NULL);
    ss_model *m;
    ss_err e = {0};
    int n;

    assert_non_null(j);
    if (ss_model_create(j, "made", &init, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_weight *const *w = ss_model_weights(m, &n);
    ss_st_item *items = ss_calloc((size_t)n, sizeof *items);
    assert_non_null(items);
    for (int i = 0; i < n; i++) {
        const size_t values = w[i]->bytes / sizeof(float);
        float *copy = ss_alloc(values, sizeof *copy);

        assert_non_null(copy);
        memcpy(copy, w[i]->data, w[i]->bytes);
        if (edit)
            edit(w[i]->name, copy, values);
        items[i] = (ss_st_item){
            .name = w[i]->name, .dtype = SS_F32, .rank = w[i]->shape.rank, .values = copy};
        for (int d = 0; d < w[i]->shape.rank; d++)
            items[i].dim[d] = w[i]->shape.dim[d];
    }
    const ss_checkpoint_parts parts = {.config = j, .weights = items, .n_weights = (size_t)n};
    if (ss_checkpoint_write(dir, &parts, true, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < n; i++)
        ss_free((void *)items[i].values);
    ss_free(items);
    ss_model_close(m);
    json_decref(j);
}

#endif
