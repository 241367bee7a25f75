/* judge.c - see judge.h */
#include "train/judge.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "models/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST = 1 << 16,
    ENDLESS = 30000, /* used of data that never end */
    LEAST = 60,
    HELD = 6, /* one of 6 is held out */
    MOST_HELD = 10000,
    EPOCHS = 4,
    LEAST_STEPS = 300,
    STEP_PICTURES = 128,
};

size_t ss_judge_picture(const ss_judge *j)
{
    return (size_t)j->h * (size_t)j->w * (size_t)j->c;
}

bool ss_judge_flat(const ss_judge *j, const uint8_t *picture)
{
    return memcmp(picture, picture + 1, ss_judge_picture(j) - 1) == 0;
}

ss_code ss_looks_new(const ss_judge *j, int64_t n, ss_looks *l, ss_err *e)
{
    const size_t m = (size_t)n;

    *l = (ss_looks){
        .n = n,
        .pictures = ss_alloc(m, ss_judge_picture(j)),
        .label = ss_alloc(m, sizeof *l->label),
        .features = ss_calloc(m, SS_CLASSIFIER_FEATURES * sizeof *l->features),
        .taken = ss_calloc(m, sizeof *l->taken),
        .confidence = ss_calloc(m, sizeof *l->confidence),
    };
    if (l->pictures && l->label && l->features && l->taken && l->confidence)
        return SS_OK;
    ss_looks_release(l);
    return ss_no_memory(e, "pictures to judge by");
}

void ss_looks_release(ss_looks *l)
{
    ss_free(l->pictures);
    ss_free(l->label);
    ss_free(l->features);
    ss_free(l->taken);
    ss_free(l->confidence);
    *l = (ss_looks){0};
}

ss_code ss_looks_take(ss_judge *j, ss_looks *l, ss_err *e)
{
    return ss_classifier_look(j->classifier, l->pictures, l->n, l->features, l->taken,
                              l->confidence, e);
}

/* Finds the sizes of pictures, which are the network's. */
static ss_code read_sizes(ss_judge *j, const ss_train_config *t, ss_err *e)
{
    const ss_trainer_options *o = &t->trainer;
    ss_model *m;
    ss_code rc = ss_model_create(o->config, o->config_name, &o->init, &m, e);

    if (rc != SS_OK)
        return rc;
    const ss_model_info *about = ss_model_about(m);

    j->h = (int)about->net.sample_h;
    j->w = (int)about->net.sample_w;
    j->c = (int)about->net.in_channels;
    if (about->net.sample_h < 1)
        rc = ss_fail(e, SS_USAGE, "%s: config.json gives no sample_size", o->config_name);
    ss_model_close(m);
    return rc;
}

static ss_code open_data(ss_judge *j, const ss_train_config *t, ss_data **d, ss_err *e)
{
    ss_data_options o = t->trainer.data;
    ss_code rc;

    o.h = j->h;
    o.w = j->w;
    o.c = j->c;
    o.seed = 0; /* the same pictures for every run of a configuration */
    if ((rc = ss_data_open(&o, d, e)) != SS_OK)
        return rc;
    j->null_class = o.null_class;
    j->classes = (int)ss_data_classes(*d);
    if (ss_data_caption(*d, 0))
        return ss_fail(e, SS_USAGE,
                       "the captions of the data are texts; samples are judged by "
                       "labels");
    if (j->classes < 2 || j->classes > SS_CLASSIFIER_MAX_CLASSES)
        return ss_fail(e, SS_USAGE,
                       "the data have %d classes; samples are judged by labels of 2 to %d, which "
                       "data.labels names for IDX files",
                       j->classes, (int)SS_CLASSIFIER_MAX_CLASSES);
    if (ss_data_size(*d) && ss_data_size(*d) < LEAST)
        return ss_fail(e, SS_USAGE, "the data have %lld pictures; at least %d are needed",
                       (long long)ss_data_size(*d), (int)LEAST);
    return SS_OK;
}

/* 0 .. n-1 in an order that is always the same; the caller's to ss_free. */
static int64_t *shuffled(int64_t n)
{
    const ss_rng r = ss_rng_stream(0, "held out", 0, 0);
    int64_t *at = ss_alloc((size_t)n, sizeof *at);

    for (int64_t i = 0; at && i < n; i++) {
        const int64_t k = (int64_t)(ss_rng_uniform(r, (uint64_t)i) * (double)(i + 1));

        at[i] = at[k]; /* k == i: overwritten at once */
        at[k] = i;
    }
    return at;
}

/* The byte that `generate` writes of a value (gallery.h). */
static uint8_t to_byte(float x)
{
    const float v = (x + 1) / 2 * 255;

    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)lrintf(v);
}

/* Fills l with pictures at[0 .. l->n - 1]. */
static ss_code read_pictures(const ss_judge *j, const ss_data *d, const int64_t *at, ss_looks *l,
                             ss_err *e)
{
    const size_t n = ss_judge_picture(j);
    float *x = ss_alloc(n, sizeof *x);

    if (!x)
        return ss_no_memory(e, "pictures to judge by");
    for (int64_t i = 0; i < l->n; i++) {
        int64_t label;

        ss_data_picture(d, at[i], x, &label);
        l->label[i] = (int)label;
        for (size_t k = 0; k < n; k++)
            l->pictures[(size_t)i * n + k] = to_byte(x[k]);
    }
    ss_free(x);
    return SS_OK;
}

/* Hashes all that is in a and b, and the sizes. */
static ss_code fingerprint(ss_judge *j, const ss_looks *a, const ss_looks *b, ss_err *e)
{
    const ss_looks *both[] = {a, b};
    char text[512];
    int n = snprintf(text, sizeof text, "%d x %d x %d, %d classes", j->h, j->w, j->c, j->classes);
    ss_code rc = SS_OK;

    for (int k = 0; k < 2 && rc == SS_OK; k++) {
        const ss_looks *l = both[k];
        char pictures[65], labels[65];

        if ((rc = ss_sha256_bytes(l->pictures, (size_t)l->n * ss_judge_picture(j), pictures, e)) ==
                SS_OK &&
            (rc = ss_sha256_bytes(l->label, (size_t)l->n * sizeof *l->label, labels, e)) == SS_OK)
            n += snprintf(text + n, sizeof text - (size_t)n, "; %lld: %s %s", (long long)l->n,
                          pictures, labels);
    }
    return rc == SS_OK ? ss_sha256_bytes(text, (size_t)n, j->data, e) : rc;
}

static ss_code make_classifier(ss_judge *j, const ss_judge_options *opt, const ss_looks *used,
                               ss_err *e)
{
    const ss_classifier_options o = {j->h,      j->w,         j->c,       j->classes,
                                     opt->seed, opt->threads, opt->device};
    int steps = (int)(EPOCHS * used->n / STEP_PICTURES);
    ss_code rc = ss_classifier_new(&o, &j->classifier, e);

    if (rc != SS_OK)
        return rc;
    if (opt->classifier && ss_file_exists(opt->classifier)) {
        j->loaded = true;
        return ss_classifier_load(j->classifier, opt->classifier, j->data, e);
    }
    steps = opt->steps ? opt->steps : steps < LEAST_STEPS ? LEAST_STEPS : steps;
    rc = ss_classifier_train(j->classifier, used->pictures, used->label, used->n, steps, e);
    if (rc == SS_OK && opt->classifier)
        rc = ss_classifier_save(j->classifier, opt->classifier, j->data, e);
    return rc;
}

static ss_code prepare(ss_judge *j, const ss_judge_options *opt, const ss_data *d, ss_err *e)
{
    const int64_t size = ss_data_size(d) ? ss_data_size(d) : ENDLESS;
    const int64_t most = opt->most ? opt->most : MOST, n = size < most ? size : most;
    const int64_t held = n / HELD < MOST_HELD ? n / HELD : MOST_HELD;
    int64_t *at = shuffled(size);
    ss_looks used = {0};
    ss_code rc = at ? SS_OK : ss_no_memory(e, "pictures to judge by");

    if (rc == SS_OK)
        rc = ss_looks_new(j, held, &j->held, e);
    if (rc == SS_OK)
        rc = ss_looks_new(j, n - held, &used, e);
    if (rc == SS_OK)
        rc = read_pictures(j, d, at, &j->held, e);
    if (rc == SS_OK)
        rc = read_pictures(j, d, at + held, &used, e);
    if (rc == SS_OK)
        rc = fingerprint(j, &j->held, &used, e);
    if (rc == SS_OK)
        rc = make_classifier(j, opt, &used, e);
    if (rc == SS_OK)
        rc = ss_looks_take(j, &j->held, e);
    j->n_used = used.n;
    ss_looks_release(&used);
    ss_free(at);
    return rc;
}

ss_code ss_judge_new(const ss_train_config *t, const ss_judge_options *opt, ss_judge **out,
                     ss_err *e)
{
    ss_judge *j = ss_calloc(1, sizeof *j);
    ss_data *d = NULL;
    ss_code rc = j ? read_sizes(j, t, e) : ss_no_memory(e, "pictures to judge by");

    if (rc == SS_OK)
        rc = open_data(j, t, &d, e);
    if (rc == SS_OK)
        rc = prepare(j, opt, d, e);
    ss_data_close(d);
    if (rc != SS_OK) {
        ss_judge_free(j);
        return rc;
    }
    *out = j;
    return SS_OK;
}

void ss_judge_free(ss_judge *j)
{
    if (!j)
        return;
    ss_classifier_free(j->classifier);
    ss_looks_release(&j->held);
    ss_free(j);
}
