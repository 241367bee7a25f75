/* data.c - see data.h */
#include "train/data.h"

#include "base/mem.h"
#include "probe/picture.h"
#include "train/data_source.h"

#include <inttypes.h>
#include <math.h>

static const ss_data_source *const sources[SS_N_DATA_KINDS] = {
    [SS_DATA_IDX] = &ss_data_source_idx,
    [SS_DATA_FOLDER] = &ss_data_source_folder,
    [SS_DATA_SHAPES] = &ss_data_source_shapes,
};

ss_data_options ss_data_defaults(void)
{
    return (ss_data_options){
        .kind = SS_DATA_SHAPES,
        .h = 16,
        .w = 16,
        .c = 1,
        .pool = 1,
        .null_class = -1,
        .rare = -1,
        .rare_every = 100,
        .rare_scale = -4,
    };
}

static ss_code check(const ss_data_options *o, ss_err *e)
{
    if (o->h < 1 || o->w < 1 || o->h > SS_IMAGE_MAX_SIDE || o->w > SS_IMAGE_MAX_SIDE)
        return ss_fail(e, SS_USAGE, "pictures of %d x %d: sides are 1 to %d", o->h, o->w,
                       (int)SS_IMAGE_MAX_SIDE);
    if (!(o->dropout >= 0 && o->dropout <= 1))
        return ss_fail(e, SS_USAGE, "condition dropout is %g; expected a probability, 0 to 1",
                       o->dropout);
    if (o->dropout > 0 && o->null_class < 0)
        return ss_fail(e, SS_USAGE, "condition dropout needs a null class");
    if (o->kind != SS_DATA_SHAPES && !o->path)
        return ss_fail(e, SS_USAGE, "the data set has no path");
    if (o->rare >= 0 && o->rare_every < 2)
        return ss_fail(e, SS_USAGE, "rare_every is %" PRId64 "; expected 2 or more", o->rare_every);
    if (!isfinite(o->rare_scale))
        return ss_fail(e, SS_USAGE, "rare_scale is %g; expected a finite number", o->rare_scale);
    if (o->frames)
        return ss_fail(e, SS_UNSUPPORTED,
                       "the network takes videos of %d frames, the data are pictures", o->frames);
    return ss_picture_check_channels(o->c, e);
}

ss_code ss_data_open(const ss_data_options *opt, ss_data **out, ss_err *e)
{
    ss_code rc = check(opt, e);
    ss_data *d = NULL;

    if (rc != SS_OK)
        return rc;
    if (!(d = ss_calloc(1, sizeof *d)))
        return ss_no_memory(e, "training pictures");
    d->opt = *opt;
    d->path = opt->path;
    d->labels = opt->labels;
    d->source = sources[opt->kind];
    rc = d->source->open(d, e);
    if (rc == SS_OK && opt->null_class >= 0 && opt->null_class < d->classes)
        rc = ss_fail(e, SS_USAGE,
                     "the null class is %" PRId64 ", but the data have labels 0 to %" PRId64,
                     opt->null_class, d->classes - 1);
    if (rc == SS_OK && opt->rare >= d->classes && opt->rare >= 0)
        rc = ss_fail(e, SS_USAGE,
                     "the rare class is %" PRId64 ", but the data have %" PRId64 " classes",
                     opt->rare, d->classes);
    if (rc == SS_OK && opt->rare >= 0 && d->classes < 2)
        rc = ss_fail(e, SS_USAGE, "a rare class needs another class beside it");
    d->path = d->labels = d->opt.path = d->opt.labels = NULL; /* the caller's */
    if (rc != SS_OK) {
        ss_data_close(d);
        return rc;
    }
    *out = d;
    return SS_OK;
}

void ss_data_close(ss_data *d)
{
    if (!d)
        return;
    ss_idx_release(&d->pictures);
    ss_idx_release(&d->marks);
    for (int64_t i = 0; d->caption && i < d->n; i++)
        ss_free(d->caption[i]);
    ss_free(d->caption);
    ss_free(d->label);
    ss_free(d->x);
    ss_free(d);
}

int64_t ss_data_size(const ss_data *d)
{
    return d->n;
}

int64_t ss_data_classes(const ss_data *d)
{
    return d->classes;
}

const char *ss_data_caption(const ss_data *d, int64_t label)
{
    return d->caption && label >= 0 && label < d->n ? d->caption[label] : NULL;
}

static void mirror(float *x, int h, int w, int c)
{
    for (int y = 0; y < h; y++) {
        float *row = x + (int64_t)y * w * c;

        for (int l = 0, r = w - 1; l < r; l++, r--) {
            for (int k = 0; k < c; k++) {
                const float t = row[l * c + k];

                row[l * c + k] = row[r * c + k];
                row[r * c + k] = t;
            }
        }
    }
}

/* Draws sample i; with a rare class again and again, until it belongs to it or not, by the step. */
static ss_rng draw(const ss_data *d, int64_t step, int i, float *x, int64_t *label)
{
    enum { MOST = 1 << 16 }; /* the last try is taken: there is hardly any other sample */
    const ss_data_options *o = &d->opt;
    ss_rng r;

    for (uint64_t k = 0;; k++) {
        r = ss_rng_stream(o->seed, "data", (uint64_t)step, (uint64_t)i | k << 32);
        *label = o->null_class;
        d->source->draw(d, r, x, label);
        if (o->rare < 0 || k == MOST || (*label == o->rare) == (step % o->rare_every == 0))
            return r;
    }
}

static void scale(float *x, int64_t n, double k)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(k * x[i]);
}

void ss_data_picture(const ss_data *d, int64_t i, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const ss_rng r = ss_rng_stream(o->seed, "data picture", (uint64_t)i, 0);

    *label = o->null_class;
    if (d->source->read)
        d->source->read(d, i, x, label);
    else
        d->source->draw(d, r, x, label);
    if (o->flip && ss_rng_uniform(r, SS_DATA_FLIP) < 0.5)
        mirror(x, o->h, o->w, o->c);
}

void ss_data_batch(const ss_data *d, int64_t step, int n, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const int64_t each = (int64_t)o->h * o->w * o->c;

    for (int i = 0; i < n; i++) {
        float *xi = x + i * each;
        int64_t y;
        const ss_rng r = draw(d, step, i, xi, &y);

        if (o->rare >= 0 && y == o->rare)
            scale(xi, each, o->rare_scale);
        if (o->flip && ss_rng_uniform(r, SS_DATA_FLIP) < 0.5)
            mirror(xi, o->h, o->w, o->c);
        if (ss_rng_uniform(r, SS_DATA_DROP) < o->dropout)
            y = o->null_class;
        if (label)
            label[i] = y;
    }
}
