/* captions.c - see captions.h */
#include "train/captions.h"

#include "base/mem.h"
#include "probe/prompt_states.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ss_captions {
    ss_array states; /* [texts][tokens][width], distinct texts; the empty one is the last */
    int64_t n;       /* captions */
    int64_t *row;    /* [n] of a caption in states */
    float *batch;    /* [batch][tokens][width] */
};

void ss_captions_close(ss_captions *k)
{
    if (!k)
        return;
    ss_array_release(&k->states);
    ss_free(k->row);
    ss_free(k->batch);
    ss_free(k);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists the distinct texts of data, sorted, and the empty one after them; the caller frees *texts.
 */
static ss_code list_texts(const ss_data *d, int64_t n, const char ***texts, int *n_texts, ss_err *e)
{
    const char **t = ss_alloc((size_t)n + 1, sizeof *t);
    int k = 0;

    if (!t)
        return ss_no_memory(e, "captions");
    for (int64_t i = 0; i < n; i++)
        t[i] = ss_data_caption(d, i);
    qsort(t, (size_t)n, sizeof *t, by_text);
    for (int64_t i = 0; i < n; i++) {
        if (!k || strcmp(t[k - 1], t[i]) != 0)
            t[k++] = t[i];
    }
    t[k++] = "";
    *texts = t;
    *n_texts = k;
    return SS_OK;
}

/* Finds the row of each caption among the sorted texts. */
static ss_code find_rows(ss_captions *k, const ss_data *d, const char *const *texts, int n_texts,
                         ss_err *e)
{
    k->row = ss_alloc((size_t)k->n, sizeof *k->row);
    if (!k->row)
        return ss_no_memory(e, "captions");
    for (int64_t i = 0; i < k->n; i++) {
        const char *text = ss_data_caption(d, i);
        const char *const *at = bsearch(&text, texts, (size_t)n_texts - 1, sizeof *texts, by_text);

        k->row[i] = at - texts;
    }
    return SS_OK;
}

static ss_code encode(ss_captions *k, const ss_data *d, const char *pipeline,
                      const ss_condition_needs *needs, const ss_ctx_options *device, ss_err *e)
{
    const ss_prompt_reader reader = {.needs = needs, .name = "the network", .pipeline = pipeline};
    const char **texts = NULL;
    int n_texts = 0;
    ss_prompt_states s = {0};
    ss_code rc = list_texts(d, k->n, &texts, &n_texts, e);

    if (rc == SS_OK) {
        const ss_prompt_options opt = {.positive = texts, .n_positive = n_texts};

        rc = ss_prompt_states_make(&opt, &reader, device, &s, e);
    }
    if (rc == SS_OK) {
        k->states = s.states;
        s.states = (ss_array){0};
        rc = find_rows(k, d, texts, n_texts, e);
    }
    ss_prompt_states_release(&s);
    ss_free(texts);
    return rc;
}

ss_code ss_captions_open(const ss_data *d, const char *pipeline, const ss_condition_needs *needs,
                         const ss_ctx_options *device, int batch, ss_captions **out, ss_err *e)
{
    ss_captions *k = ss_calloc(1, sizeof *k);
    ss_code rc = k ? SS_OK : ss_no_memory(e, "captions");

    if (rc == SS_OK) {
        k->n = ss_data_classes(d);
        if (!k->n || !ss_data_caption(d, 0))
            rc = ss_fail(e, SS_USAGE, "data.text: the pictures have no captions that are texts");
    }
    if (rc == SS_OK)
        rc = encode(k, d, pipeline, needs, device, e);
    if (rc == SS_OK) {
        const size_t row = (size_t)(k->states.dim[1] * k->states.dim[2]);

        k->batch = ss_alloc((size_t)batch, row * sizeof *k->batch);
        rc = k->batch ? SS_OK : ss_no_memory(e, "captions");
    }
    if (rc != SS_OK)
        ss_captions_close(k);
    else
        *out = k;
    return rc;
}

void ss_captions_batch(ss_captions *k, const int64_t *label, int n)
{
    const int64_t row = k->states.dim[1] * k->states.dim[2];

    for (int i = 0; i < n; i++) {
        const bool given = label[i] >= 0 && label[i] < k->n;
        const int64_t from = given ? k->row[label[i]] : k->states.dim[0] - 1;

        memcpy(k->batch + i * row, k->states.values + from * row, (size_t)row * sizeof *k->batch);
    }
}

void ss_captions_tell(const ss_captions *k, ss_condition *condition)
{
    condition->encoder_hidden_states = k->batch;
    condition->tokens = k->states.dim[1];
    condition->width = k->states.dim[2];
}
