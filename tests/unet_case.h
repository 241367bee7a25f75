/* unet_case.h - inputs and answers of the small UNets in tests/golden/unets (make_unets.py) */
#ifndef SS_UNET_CASE_H
#define SS_UNET_CASE_H

#include "base/mem.h"
#include "models/file/safetensors.h"
#include "models/model.h"
#include "tests/ss_test.h"

#include <stdio.h>

#define UNETS "tests/golden/unets"

/* A tensor of a golden file, as f32; NULL where it is not there. The caller frees. */
static inline float *golden(const ss_safetensors *f, const char *name, const ss_stored_tensor **t)
{
    const ss_stored_tensor *found = ss_safetensors_find(f, name);
    float *v;

    if (t)
        *t = found;
    if (!found)
        return NULL;
    v = ss_alloc(found->bytes, 1);
    assert_non_null(v);
    assert_int_equal(found->dtype, SS_F32);
    ss_values_to_f32(found->dtype, found->data, found->bytes / 4, v);
    return v;
}

/* [N][C][H][W] -> [N][H][W][C], and [N][F][C][H][W] -> [N][F][H][W][C] */
static inline float *to_channels_last(float *x, const ss_stored_tensor *t)
{
    const int64_t *dim = t->dim + t->rank - 4;
    const int64_t N = dim[0] * (t->rank == 5 ? t->dim[0] : 1), C = dim[1], P = dim[2] * dim[3];
    float *y = ss_alloc((size_t)(N * C * P), sizeof *y);

    assert_non_null(y);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t p = 0; p < P; p++)
                y[(n * P + p) * C + c] = x[(n * C + c) * P + p];
    ss_free(x);
    return y;
}

/* A case's inputs and what the network answers. */
typedef struct {
    ss_safetensors *file;
    float *x, *t, *out;
    ss_shape x_shape, out_shape;
    ss_condition cond;
} sample;

static inline ss_shape picture(const ss_stored_tensor *t)
{
    const int64_t *d = t->dim;

    return t->rank == 5 ? ss_shape_of(d[0], d[1], d[3], d[4], d[2])
                        : ss_shape_of(d[0], d[2], d[3], d[1]);
}

static inline void load_sample(const char *dir, sample *s)
{
    char path[600];
    const ss_stored_tensor *t;
    ss_err e = {0};

    *s = (sample){0};
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    if (ss_safetensors_open(path, &s->file, &e) != SS_OK)
        fail_msg("%s", e.msg);
    s->x = golden(s->file, "x", &t);
    s->x_shape = picture(t);
    s->x = to_channels_last(s->x, t);
    s->out = golden(s->file, "out", &t);
    s->out_shape = picture(t);
    s->out = to_channels_last(s->out, t);
    s->t = golden(s->file, "timesteps", NULL);
    s->cond.class_labels = golden(s->file, "class_labels", &t);
    s->cond.class_width = t && t->rank == 2 ? t->dim[1] : 1;
    s->cond.encoder_hidden_states = golden(s->file, "encoder_hidden_states", &t);
    if (t) {
        s->cond.tokens = t->dim[1];
        s->cond.width = t->dim[2];
    }
    s->cond.encoder_mask = golden(s->file, "attention_mask", NULL);
    s->cond.text_embeds = golden(s->file, "text_embeds", &t);
    s->cond.text_width = t ? t->dim[1] : 0;
    s->cond.time_ids = golden(s->file, "time_ids", &t);
    if (!t)
        s->cond.time_ids = golden(s->file, "added_time_ids", &t);
    s->cond.n_time_ids = t ? t->dim[1] : 0;
    s->cond.timestep_cond = golden(s->file, "timestep_cond", &t);
    s->cond.timestep_cond_width = t ? t->dim[1] : 0;
}

static inline void release_sample(sample *s)
{
    ss_safetensors_close(s->file);
    ss_free(s->x);
    ss_free(s->t);
    ss_free(s->out);
    ss_free((void *)s->cond.class_labels);
    ss_free((void *)s->cond.encoder_hidden_states);
    ss_free((void *)s->cond.encoder_mask);
    ss_free((void *)s->cond.text_embeds);
    ss_free((void *)s->cond.time_ids);
    ss_free((void *)s->cond.timestep_cond);
}

/* The network of DIR with another object at a key of its configuration (JSON, or NULL: none),
 * untrained. */
static inline ss_code create_with(const char *dir, const char *key, const char *object,
                                  const ss_init *init, ss_model **m, ss_err *e)
{
    char path[300];
    ss_json j;

    snprintf(path, sizeof path, "%s/config.json", dir);
    if (ss_json_load(&j, path, e) != SS_OK)
        fail_msg("%s", e->msg);
    json_object_del(j.root, key);
    if (object) {
        json_t *v = json_loads(object, JSON_DECODE_ANY, NULL);

        assert_non_null(v);
        json_object_set_new(j.root, key, v);
    }
    const ss_code rc = ss_model_create(j.root, "net.json", init, m, e);
    ss_json_release(&j);
    return rc;
}

#endif
