/* classifier.c - see classifier.h */
#include "train/classifier.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/file/safetensors_write.h"
#include "models/net/layers.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STAGES = 3, BATCH = 128, GROUPS = 8, WEIGHTS = 4 * STAGES + 2 };

static const int channels[STAGES] = {16, 32, SS_CLASSIFIER_FEATURES};
static const char FORMAT[] = "sigmascope-classifier-1";

struct ss_classifier {
    ss_classifier_options opt;
    ss_init init;
    ss_ctx *c;
    ss_net *net;
    ss_module root;
    ss_conv_layer *conv[STAGES];
    ss_group_norm_layer *norm[STAGES];
    ss_linear_layer *head;
    ss_weight *const *weights; /* [WEIGHTS] */
    ss_trained trained[WEIGHTS];
    float *x, *logits; /* of a batch: [BATCH][h][w][c], [BATCH][classes] */
};

static int64_t picture_size(const ss_classifier *k)
{
    return (int64_t)k->opt.h * k->opt.w * k->opt.c;
}

static ss_code build(ss_classifier *k, ss_err *e)
{
    const ss_conv2d_opt halve = {2, 1, 1, 1, 1};
    int in = k->opt.c, n;
    char name[16];
    ss_code rc;

    if (!(k->net = ss_net_new_untrained(&k->init, "classifier", e)))
        return e->code;
    ss_net_module(k->net, &k->root, NULL, "Classifier", "%s", "");
    for (int i = 0; i < STAGES; i++) {
        snprintf(name, sizeof name, "conv%d", i);
        k->conv[i] = ss_conv_layer_new(k->net, &k->root, name, in, channels[i], 3, halve);
        snprintf(name, sizeof name, "norm%d", i);
        k->norm[i] = ss_group_norm_layer_new(k->net, &k->root, name, channels[i], GROUPS, 1e-5F);
        in = channels[i];
    }
    k->head = ss_linear_layer_new(k->net, &k->root, "head", in, k->opt.classes, true);
    if ((rc = ss_net_finish(k->net, e)) != SS_OK || (rc = ss_net_bind(k->net, k->c, e)) != SS_OK)
        return rc;
    k->weights = ss_net_weights(k->net, &n);
    return n == WEIGHTS ? SS_OK : ss_fail(e, SS_SHAPE, "classifier: %d parameters", n);
}

/* Room for a batch. */
static ss_code make_room(ss_classifier *k, ss_err *e)
{
    for (int i = 0; i < WEIGHTS; i++)
        k->trained[i] = (ss_trained){.name = k->weights[i]->name, .w = k->weights[i]->tensor};
    k->x = ss_alloc(BATCH, (size_t)picture_size(k) * sizeof *k->x);
    k->logits = ss_alloc(BATCH, (size_t)k->opt.classes * sizeof *k->logits);
    return k->x && k->logits ? SS_OK : ss_no_memory(e, "classifier");
}

ss_code ss_classifier_new(const ss_classifier_options *opt, ss_classifier **out, ss_err *e)
{
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    ss_classifier *k;
    ss_code rc;

    if (opt->classes < 2 || opt->classes > SS_CLASSIFIER_MAX_CLASSES)
        return ss_fail(e, SS_USAGE, "a classifier of %d classes; 2 to %d", opt->classes,
                       (int)SS_CLASSIFIER_MAX_CLASSES);
    if (opt->h < 2 || opt->w < 2)
        return ss_fail(e, SS_USAGE, "a classifier of pictures of %d x %d; sides of 2 and more",
                       opt->h, opt->w);
    if (!(k = ss_calloc(1, sizeof *k)))
        return ss_no_memory(e, "classifier");
    k->opt = *opt;
    k->init.seed = opt->seed;
    if ((rc = ss_ctx_new(&device, &k->c, e)) == SS_OK && (rc = build(k, e)) == SS_OK)
        rc = make_room(k, e);
    if (rc != SS_OK) {
        ss_classifier_free(k);
        return rc;
    }
    *out = k;
    return SS_OK;
}

void ss_classifier_free(ss_classifier *k)
{
    if (!k)
        return;
    ss_free(k->x);
    ss_free(k->logits);
    ss_net_free(k->net);
    ss_ctx_free(k->c);
    ss_free(k);
}

/* Puts a picture into k->x[i], as the network's input. */
static void put(ss_classifier *k, int i, const uint8_t *picture)
{
    const int64_t n = picture_size(k);

    for (int64_t j = 0; j < n; j++)
        k->x[i * n + j] = (float)picture[j] / 127.5F - 1;
}

/* Logits [n][classes] of k->x, and features [n][1][SS_CLASSIFIER_FEATURES] unless NULL; both the
 * caller's, NULL after an error, which the context has. */
static ss_tensor *forward(ss_classifier *k, int n, ss_tensor **features)
{
    ss_ctx *c = k->c;
    ss_tensor *y = ss_upload(c, ss_shape_of(n, k->opt.h, k->opt.w, k->opt.c), k->x);

    for (int i = 0; i < STAGES; i++) {
        ss_set(&y, ss_conv_layer_run(c, k->conv[i], y)); /* [n][h/2][w/2][channels] */
        ss_set(&y, ss_group_norm_layer_run(c, k->norm[i], y, NULL, SS_ACT_SILU));
    }
    ss_set(&y, ss_reshape(c, y, ss_shape_of(n, ss_dim(y, 1) * ss_dim(y, 2), ss_dim(y, 3))));
    ss_set(&y, ss_mean_tokens(c, y));
    if (features)
        *features = ss_retain(y);
    ss_set(&y, ss_linear_layer_run(c, k->head, y));
    return y;
}

/* Turns logits into the gradient of the mean cross entropy; returns the loss. */
static double cross_entropy(float *logits, const int *labels, int n, int classes)
{
    double loss = 0;

    for (int i = 0; i < n; i++) {
        float *y = logits + (int64_t)i * classes, most = y[0];
        double sum = 0;

        for (int j = 1; j < classes; j++)
            most = fmaxf(most, y[j]);
        for (int j = 0; j < classes; j++)
            sum += exp((double)y[j] - most);
        loss += log(sum) - ((double)y[labels[i]] - most);
        for (int j = 0; j < classes; j++)
            y[j] = (float)((exp((double)y[j] - most) / sum - (j == labels[i])) / n);
    }
    return loss / n;
}

/* Computes the gradients of the batch in k->x, which stay with the weights. */
static ss_code differentiate(ss_classifier *k, const int *labels, double *loss, ss_err *e)
{
    ss_tensor *y, *dy = NULL;
    ss_code rc = ss_tape_begin(k->c, NULL, e);

    if (rc != SS_OK)
        return rc;
    y = forward(k, BATCH, NULL);
    if ((rc = ss_ctx_check(k->c, e)) == SS_OK &&
        (rc = ss_download(k->c, y, k->logits, e)) == SS_OK) {
        *loss = cross_entropy(k->logits, labels, BATCH, k->opt.classes);
        dy = ss_upload(k->c, ss_shape_get(y), k->logits);
        ss_tape_seed(k->c, y, dy, 1);
        rc = ss_ctx_check(k->c, e);
    }
    ss_release(dy);
    ss_release(y);
    if (rc == SS_OK)
        rc = ss_tape_backward(k->c, e);
    else
        ss_ctx_clear(k->c);
    return rc;
}

static ss_code train_step(ss_classifier *k, ss_optimizer *o, const uint8_t *pictures,
                          const int *labels, int64_t n, int step, ss_err *e)
{
    const ss_rng r = ss_rng_stream(k->opt.seed, "classifier batch", (uint64_t)step, 0);
    const ss_tensor *gradient[WEIGHTS];
    int label[BATCH];
    double loss, norm;
    ss_code rc;

    for (int i = 0; i < BATCH; i++) {
        const int64_t at = (int64_t)(ss_rng_uniform(r, (uint64_t)i) * (double)n);

        put(k, i, pictures + at * picture_size(k));
        label[i] = labels[at];
    }
    if ((rc = differentiate(k, label, &loss, e)) != SS_OK)
        return rc;
    for (int i = 0; i < WEIGHTS; i++)
        gradient[i] = ss_tensor_gradient(k->weights[i]->tensor);
    if ((rc = ss_optimizer_norm(o, gradient, &norm, e)) != SS_OK)
        return rc;
    if (!isfinite(loss) || !isfinite(norm))
        return ss_fail(e, SS_DEVICE, "the classifier's training diverged at step %d", step);
    rc = ss_optimizer_step(o, gradient, 1, norm, NULL, e);
    for (int i = 0; i < WEIGHTS; i++)
        ss_tensor_zero_gradient(k->weights[i]->tensor);
    return rc;
}

ss_code ss_classifier_train(ss_classifier *k, const uint8_t *pictures, const int *labels, int64_t n,
                            int steps, ss_err *e)
{
    ss_optimizer_options opt = ss_optimizer_defaults();
    ss_optimizer *o;
    ss_progress progress;
    ss_code rc;

    opt.lr = 4e-3;
    opt.rate = SS_RATE_COSINE;
    opt.warmup = steps > 20 ? 20 : steps - 1;
    opt.steps = steps;
    if (n < 1)
        return ss_fail(e, SS_USAGE, "a classifier cannot be trained on no pictures");
    if ((rc = ss_optimizer_new(k->c, &opt, k->trained, WEIGHTS, &o, e)) != SS_OK)
        return rc;
    for (int i = 0; i < WEIGHTS; i++)
        ss_tensor_want_gradient(k->weights[i]->tensor, true);
    ss_progress_begin(&progress, "classifier", steps);
    for (int s = 1; s <= steps && rc == SS_OK; s++) {
        rc = train_step(k, o, pictures, labels, n, s, e);
        ss_progress_step(&progress, s, "");
    }
    ss_progress_end(&progress);
    for (int i = 0; i < WEIGHTS; i++)
        ss_tensor_want_gradient(k->weights[i]->tensor, false);
    ss_optimizer_free(o);
    return rc;
}

/* The largest logit of one picture, and its probability. */
static int most_likely(const float *y, int classes, float *confidence)
{
    double sum = 0;
    int most = 0;

    for (int j = 1; j < classes; j++)
        most = y[j] > y[most] ? j : most;
    for (int j = 0; j < classes; j++)
        sum += exp((double)y[j] - y[most]);
    *confidence = (float)(1 / sum);
    return most;
}

ss_code ss_classifier_look(ss_classifier *k, const uint8_t *pictures, int64_t n, float *features,
                           int *taken, float *confidence, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int64_t from = 0; from < n && rc == SS_OK; from += BATCH) {
        const int m = n - from < BATCH ? (int)(n - from) : BATCH;
        ss_tensor *f = NULL, *y;

        for (int i = 0; i < m; i++)
            put(k, i, pictures + (from + i) * picture_size(k));
        y = forward(k, m, &f);
        if ((rc = ss_ctx_check(k->c, e)) == SS_OK &&
            (rc = ss_download(k->c, y, k->logits, e)) == SS_OK)
            rc = ss_download(k->c, f, features + from * SS_CLASSIFIER_FEATURES, e);
        ss_release(f);
        ss_release(y);
        ss_ctx_clear(k->c);
        for (int i = 0; i < m && rc == SS_OK; i++)
            taken[from + i] = most_likely(k->logits + (int64_t)i * k->opt.classes, k->opt.classes,
                                          &confidence[from + i]);
    }
    return rc;
}

ss_code ss_classifier_save(const ss_classifier *k, const char *path, const char *data, ss_err *e)
{
    const ss_st_note notes[] = {{"format", FORMAT}, {"data", data}};
    ss_st_item items[WEIGHTS];
    float *values[WEIGHTS] = {NULL};
    ss_code rc = SS_OK;

    for (int i = 0; i < WEIGHTS && rc == SS_OK; i++) {
        const ss_shape s = k->weights[i]->shape;

        values[i] = ss_alloc((size_t)ss_shape_numel(s), sizeof *values[i]);
        items[i] = (ss_st_item){
            .name = k->weights[i]->name, .dtype = SS_F32, .rank = s.rank, .values = values[i]};
        memcpy(items[i].dim, s.dim, (size_t)s.rank * sizeof *s.dim);
        rc = values[i] ? ss_download(k->c, k->weights[i]->tensor, values[i], e)
                       : ss_no_memory(e, "classifier");
    }
    if (rc == SS_OK)
        rc = ss_safetensors_write(path, items, WEIGHTS, notes, 2, e);
    for (int i = 0; i < WEIGHTS; i++)
        ss_free(values[i]);
    return rc;
}

/* Checks one parameter; reads it if `read` is set. */
static ss_code take(ss_classifier *k, const ss_safetensors *f, const char *path, int i, bool read,
                    ss_err *e)
{
    const ss_weight *w = k->weights[i];
    const ss_stored_tensor *t = ss_safetensors_find(f, w->name);
    ss_shape shape;
    char want[64];
    ss_code rc;

    if (!t)
        return ss_fail(e, SS_FORMAT, "%s: no tensor %s", path, w->name);
    if ((rc = ss_stored_shape(t, &shape, e)) != SS_OK)
        return ss_fail_prefix(e, "%s", path);
    if (!ss_shape_equal(shape, w->shape) || t->dtype != SS_F32)
        return ss_fail(e, SS_FORMAT, "%s: %s is not F32 %s", path, w->name,
                       ss_shape_text(w->shape, want, sizeof want));
    const int64_t n = ss_shape_numel(shape);
    float *values = ss_alloc((size_t)n, sizeof *values);

    if (!values)
        return ss_no_memory(e, "classifier");
    ss_values_to_f32(SS_F32, t->data, (size_t)n, values);
    for (int64_t j = 0; j < n && rc == SS_OK; j++) {
        if (!isfinite(values[j]))
            rc = ss_fail(e, SS_FORMAT, "%s: %s has values that are inf or NaN", path, w->name);
    }
    if (rc == SS_OK && read)
        rc = ss_param_set(k->c, w->tensor, values, e);
    ss_free(values);
    return rc;
}

ss_code ss_classifier_load(ss_classifier *k, const char *path, const char *data, ss_err *e)
{
    ss_safetensors *f;
    ss_code rc = ss_safetensors_open(path, &f, e);

    if (rc != SS_OK)
        return rc;
    const char *format = ss_safetensors_metadata(f, "format"),
               *trained_on = ss_safetensors_metadata(f, "data");
    if (!format || strcmp(format, FORMAT) != 0 || !trained_on)
        rc = ss_fail(e, SS_FORMAT, "%s: not a classifier that `sigmascope score` wrote", path);
    else if (strcmp(trained_on, data) != 0)
        rc = ss_fail(e, SS_FORMAT,
                     "%s: this classifier was trained on other data or sizes; name another file, "
                     "or delete it to have it made again",
                     path);
    for (int read = 0; read < 2; read++) {
        for (int i = 0; i < WEIGHTS && rc == SS_OK; i++)
            rc = take(k, f, path, i, read, e);
    }
    ss_safetensors_close(f);
    return rc;
}
