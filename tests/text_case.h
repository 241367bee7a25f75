/* text_case.h - inputs and answers of the small text encoders in tests/golden/texts (make_texts.py)
 */
#ifndef SS_TEXT_CASE_H
#define SS_TEXT_CASE_H

#include "probe/prompts.h"
#include "tests/unet_case.h"

#include <dirent.h>

#define TEXTS "tests/golden/texts"

typedef struct {
    ss_safetensors *file;
    int64_t *ids;
    float *mask;
    ss_text_tokens tokens;
} text_case;

/* Runs fn on every case, of another folder where SIGMASCOPE_TEXTS names one. */
static inline void each_text_case(void (*fn)(const char *name, const char *dir))
{
    const char *other = getenv("SIGMASCOPE_TEXTS"), *texts = other && *other ? other : TEXTS;
    struct dirent **list;
    int n = scandir(texts, &list, NULL, alphasort), ran = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char dir[512];

        snprintf(dir, sizeof dir, "%s/%s", texts, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && !strchr(list[i]->d_name, '.')) {
            fn(list[i]->d_name, dir);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    assert_true(ran >= (texts == other ? 1 : 18));
}

static inline ss_model *open_text(const char *dir, ss_ctx *c)
{
    char path[600];
    ss_model *m;
    ss_err e = {0};

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (ss_model_open(path, NULL, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

static inline void load_text_case(const char *dir, text_case *s)
{
    char path[600];
    const ss_stored_tensor *t;
    ss_err e = {0};

    *s = (text_case){0};
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    if (ss_safetensors_open(path, &s->file, &e) != SS_OK)
        fail_msg("%s", e.msg);
    float *ids = golden(s->file, "ids", &t);
    const int64_t n = t->dim[0] * t->dim[1];
    s->ids = ss_alloc((size_t)n, sizeof *s->ids);
    for (int64_t i = 0; i < n; i++)
        s->ids[i] = (int64_t)ids[i];
    ss_free(ids);
    s->mask = golden(s->file, "mask", NULL);
    s->tokens = (ss_text_tokens){s->ids, s->mask, t->dim[0], t->dim[1]};
}

static inline void release_text_case(text_case *s)
{
    ss_safetensors_close(s->file);
    ss_free(s->ids);
    ss_free(s->mask);
}

static inline float *download(ss_ctx *c, const ss_tensor *x)
{
    float *y = ss_alloc((size_t)ss_shape_numel(ss_shape_get(x)), sizeof *y);

    assert_non_null(y);
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    return y;
}

static inline void same_states(ss_ctx *c, const ss_text_states *a, const ss_text_states *b)
{
    const ss_tensor *x[] = {a->last, a->penultimate, a->pooled, a->projected};
    const ss_tensor *y[] = {b->last, b->penultimate, b->pooled, b->projected};

    for (size_t i = 0; i < N_OF(x); i++) {
        if (!x[i])
            continue;
        float *left = download(c, x[i]), *right = download(c, y[i]);

        assert_memory_equal(left, right, (size_t)ss_shape_numel(ss_shape_get(x[i])) * sizeof *left);
        ss_free(left);
        ss_free(right);
    }
}

#endif
