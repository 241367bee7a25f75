/* data.c - see data.h */
#include "train/data.h"

#include "base/mem.h"
#include "base/str.h"
#include "probe/picture.h"
#include "train/data_source.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const ss_data_source *const sources[SS_N_DATA_KINDS] = {
    [SS_DATA_IDX] = &ss_data_source_idx,       [SS_DATA_FOLDER] = &ss_data_source_folder,
    [SS_DATA_SHAPES] = &ss_data_source_shapes, [SS_DATA_MOVING] = &ss_data_source_moving,
    [SS_DATA_SCENES] = &ss_data_source_scenes,
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
        .stride = 1,
        .moving = ss_moving_defaults(),
        .static_prefix = "static video, no movement. ",
        .static_class = -1,
    };
}

static ss_code check_chance(const char *what, double v, ss_err *e)
{
    return v >= 0 && v <= 1
               ? SS_OK
               : ss_fail(e, SS_USAGE, "%s is %g; expected a probability, 0 to 1", what, v);
}

/* Checks the options of videos. */
static ss_code check_videos(const ss_data_options *o, ss_err *e)
{
    enum { MOST_FRAMES = 1 << 16, MOST_SPEED = 1 << 12 };
    ss_code rc = check_chance("static", o->static_share, e);

    if (rc == SS_OK)
        rc = check_chance("second", o->second, e);
    if (rc == SS_OK)
        rc = check_chance("still", o->moving.still, e);
    if (rc == SS_OK)
        rc = check_chance("zoom", o->moving.zoom, e);
    if (rc != SS_OK)
        return rc;
    if (o->frames < 0 || o->frames > MOST_FRAMES ||
        (o->frames && (o->stride < 1 || o->stride > MOST_FRAMES)))
        return ss_fail(e, SS_USAGE, "videos of %d frames at a stride of %d: each is 1 to %d",
                       o->frames, o->stride, (int)MOST_FRAMES);
    if (o->moving.speed < 1 || o->moving.speed > MOST_SPEED)
        return ss_fail(e, SS_USAGE, "speed is %d; expected 1 to %d", o->moving.speed,
                       (int)MOST_SPEED);
    if (o->static_share > 0 && o->frames < 2)
        return ss_fail(e, SS_USAGE,
                       "static videos (static) are for networks of two frames and more");
    if (o->frames > 0 && !o->stills && sources[o->kind]->pictures)
        return ss_fail(e, SS_USAGE,
                       "the network takes videos, and these data are pictures: kind moving makes "
                       "them move, stills repeats each");
    return SS_OK;
}

static ss_code check(const ss_data_options *o, ss_err *e)
{
    ss_code rc = check_chance("condition dropout", o->dropout, e);

    if (rc != SS_OK)
        return rc;
    if (o->h < 1 || o->w < 1 || o->h > SS_IMAGE_MAX_SIDE || o->w > SS_IMAGE_MAX_SIDE)
        return ss_fail(e, SS_USAGE, "pictures of %d x %d: sides are 1 to %d", o->h, o->w,
                       (int)SS_IMAGE_MAX_SIDE);
    if (o->dropout > 0 && o->null_class < 0)
        return ss_fail(e, SS_USAGE, "condition dropout needs a null class");
    if (o->kind != SS_DATA_SHAPES && o->kind != SS_DATA_SCENES && !o->path)
        return ss_fail(e, SS_USAGE, "the data set has no path");
    if (o->rare >= 0 && o->rare_every < 2)
        return ss_fail(e, SS_USAGE, "rare_every is %" PRId64 "; expected 2 or more", o->rare_every);
    if (!isfinite(o->rare_scale))
        return ss_fail(e, SS_USAGE, "rare_scale is %g; expected a finite number", o->rare_scale);
    rc = check_videos(o, e);
    return rc == SS_OK && o->kind != SS_DATA_SCENES ? ss_picture_check_channels(o->c, e) : rc;
}

/* Adds the captions of static videos after the others: the same with the prefix. */
static ss_code add_static_captions(ss_data *d, ss_err *e)
{
    const char *prefix = d->opt.static_prefix ? d->opt.static_prefix : "";
    const int64_t n = d->n_captions;
    size_t room = (size_t)n;
    char **all = ss_grow(d->caption, &room, 2 * (size_t)n, sizeof *all);

    if (!all)
        return ss_no_memory(e, "captions");
    d->caption = all;
    for (int64_t i = 0; i < n; i++) {
        ss_str text = {0};

        ss_str_add(&text, prefix);
        ss_str_add(&text, all[i]);
        if (!(all[n + i] = ss_str_detach(&text)))
            return ss_no_memory(e, "captions");
        d->n_captions++;
    }
    d->classes = d->n_captions;
    return SS_OK;
}

/* Gives static videos their labels. */
static ss_code label_static(ss_data *d, ss_err *e)
{
    const ss_data_options *o = &d->opt;

    d->n_plain = d->n_captions;
    if (!(o->static_share > 0))
        return SS_OK;
    if (d->n_captions)
        return add_static_captions(d, e);
    if (d->classes && (o->static_class < d->classes || o->static_class == o->null_class))
        return ss_fail(e, SS_USAGE,
                       "static videos need a class of their own (static_class): it is %" PRId64
                       ", the data have labels 0 to %" PRId64 " and the null class is %" PRId64,
                       o->static_class, d->classes - 1, o->null_class);
    return SS_OK;
}

static ss_code check_classes(const ss_data *d, ss_err *e)
{
    const ss_data_options *o = &d->opt;

    if (o->null_class >= 0 && o->null_class < d->classes)
        return ss_fail(e, SS_USAGE,
                       "the null class is %" PRId64 ", but the data have labels 0 to %" PRId64,
                       o->null_class, d->classes - 1);
    if (o->rare >= d->classes && o->rare >= 0)
        return ss_fail(e, SS_USAGE,
                       "the rare class is %" PRId64 ", but the data have %" PRId64 " classes",
                       o->rare, d->classes);
    if (o->rare >= 0 && d->classes < 2)
        return ss_fail(e, SS_USAGE, "a rare class needs another class beside it");
    return SS_OK;
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
    if (rc == SS_OK)
        rc = label_static(d, e);
    if (rc == SS_OK)
        rc = check_classes(d, e);
    d->path = d->labels = d->opt.path = d->opt.labels = d->opt.static_prefix = NULL;
    d->opt.names = NULL; /* all of them the caller's */
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
    for (int64_t i = 0; i < d->n_captions; i++)
        ss_free(d->caption[i]);
    ss_free(d->caption);
    ss_free(d->label);
    ss_free(d->first);
    ss_free(d->items);
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
    return label >= 0 && label < d->n_captions ? d->caption[label] : NULL;
}

static void mirror(float *x, int lines, int w, int c)
{
    for (int y = 0; y < lines; y++) {
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

/* Repeats one frame in all others. */
static void hold(const ss_data *d, int frame, float *x)
{
    const size_t n = ss_data_frame_values(d);

    for (int f = 0; f < ss_data_frames(d); f++) {
        if (f != frame)
            memcpy(x + (size_t)f * n, x + (size_t)frame * n, n * sizeof *x);
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

/* Ends a sample that was drawn or read. */
static void finish(const ss_data *d, ss_rng r, float *x)
{
    const ss_data_options *o = &d->opt;

    if (d->source->pictures)
        hold(d, 0, x);
    if (o->flip && ss_rng_uniform(r, SS_DATA_FLIP) < 0.5)
        mirror(x, ss_data_frames(d) * o->h, o->w, o->c);
}

void ss_data_picture(const ss_data *d, int64_t i, float *x, int64_t *label)
{
    const ss_rng r = ss_rng_stream(d->opt.seed, "data picture", (uint64_t)i, 0);

    *label = d->opt.null_class;
    if (d->source->read)
        d->source->read(d, i, r, x, label);
    else
        d->source->draw(d, r, x, label);
    finish(d, r, x);
}

/* Makes some videos static, and says so in their label. */
static void stop_some(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;

    if (!(ss_rng_uniform(r, SS_DATA_STATIC) < o->static_share))
        return;
    hold(d, (int)ss_data_pick(r, SS_DATA_STATIC_FRAME, o->frames), x);
    if (d->n_captions && *label >= 0)
        *label += d->n_plain;
    else if (o->static_class >= 0)
        *label = o->static_class;
}

void ss_data_batch(const ss_data *d, int64_t step, int n, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const int64_t each = ss_data_frames(d) * (int64_t)ss_data_frame_values(d);

    for (int i = 0; i < n; i++) {
        float *xi = x + i * each;
        int64_t y;
        const ss_rng r = draw(d, step, i, xi, &y);

        if (o->rare >= 0 && y == o->rare)
            scale(xi, each, o->rare_scale);
        finish(d, r, xi);
        stop_some(d, r, xi, &y);
        if (ss_rng_uniform(r, SS_DATA_DROP) < o->dropout)
            y = o->null_class;
        if (label)
            label[i] = y;
    }
}
