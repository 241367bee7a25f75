/* recorder.c - see recorder.h */
#include "probe/recorder.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "kernels/results.h"

#include <string.h>

/* One module; indices into the run's lists, -1 if it is not in them. */
typedef struct {
    int run, layer, channels, dump;
    int entered;           /* how many modules were entered before it */
    bool seen[SS_N_PORTS]; /* in this pass; a module that runs twice counts once */
} slot;

struct ss_recorder {
    ss_recorder_options opt;
    ss_hooks hooks;
    slot *slots; /* [opt.n_modules] */

    ss_run_module *modules;
    ss_run_layer *layers;
    int64_t *layer_frames; /* [n_layers], as in ss_run_spec */
    ss_run_channels *channels;
    ss_run_dump *dumps;
    int n_modules, n_layers, n_channels, n_dumps, n_entered;
    int n_ports, n_seen; /* of all modules, and of those that ran in this batch */

    ss_run_column *col;
    int n;
    const int *input, *sample;
    ss_err err;
};

static bool any_match(const char *const *globs, int n, const char *path)
{
    for (int i = 0; i < n; i++) {
        if (ss_glob_module(globs[i], path))
            return true;
    }
    return false;
}

static ss_code check_globs(const char *what, const char *const *globs, int n,
                           const ss_recorder_options *opt, ss_err *e)
{
    for (int i = 0; i < n; i++) {
        bool used = false;

        if (ss_glob_check(globs[i], e) != SS_OK)
            return ss_fail_prefix(e, "--%s", what);
        for (int m = 0; m < opt->n_modules && !used; m++)
            used = ss_glob_module(globs[i], opt->modules[m]->path);
        if (!used)
            return ss_fail(e, SS_USAGE,
                           "--%s: no module matches '%s'; `sigmascope inspect` lists them", what,
                           globs[i]);
    }
    return SS_OK;
}

static bool wants(void *self, const ss_module *m, ss_port p)
{
    const ss_recorder *r = self;
    const slot *s = &r->slots[m->id];

    return s->run >= 0 || (s->dump >= 0 && p == SS_PORT_OUTPUT);
}

static bool wants_attention(void *self, const ss_module *m)
{
    const ss_recorder *r = self;

    return r->slots[m->id].run >= 0;
}

/* Notes shapes, in the shapes pass. */
static void measure(ss_recorder *r, slot *s, ss_port p, const ss_tensor *x)
{
    ss_shape shape = ss_shape_get(x);
    int64_t width = ss_dim(x, -1);

    if (s->channels >= 0 && width > r->channels[s->channels].channels)
        r->channels[s->channels].channels = width;
    if (s->dump >= 0 && p == SS_PORT_OUTPUT) {
        ss_shape one = {.rank = shape.rank - 1}; /* without the batch */

        memcpy(one.dim, shape.dim + 1, (size_t)one.rank * sizeof *one.dim);
        r->dumps[s->dump].shape = one;
    }
}

static void take_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *st,
                       int n)
{
    const ss_recorder *r = self;

    (void)c;
    for (int k = 0; k < n; k++)
        ss_run_put_stats(r->col, r->slots[m->id].run, p, r->input[k], r->sample[k], &st[k]);
}

static void take_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                          const float *rms, int n, int64_t width)
{
    const ss_recorder *r = self;

    (void)c;
    for (int k = 0; k < n; k++)
        ss_run_put_channels(r->col, r->slots[m->id].channels, p, r->input[k], width,
                            absmax + k * width, rms + k * width);
}

typedef struct {
    const float *values;
    int64_t n;
} sample_of;

static ss_code fill_sample(void *self, float *to, ss_err *e)
{
    const sample_of *s = self;

    (void)e;
    memcpy(to, s->values, (size_t)s->n * sizeof *to);
    return SS_OK;
}

static void take_sample(void *self, ss_ctx *c, const ss_module *m, ss_port p, int k,
                        const float *values, int64_t n)
{
    ss_recorder *r = self;

    (void)c, (void)p;
    if (r->err.code == SS_OK)
        ss_run_put_activation(r->col, r->slots[m->id].dump, r->input[k], r->sample[k], fill_sample,
                              &(sample_of){values, n}, &r->err);
}

/* True for values of n samples that belong to those of the pass. */
static bool is_recorded(const ss_recorder *r, int64_t n)
{
    return n == r->n || (n == 1 && r->opt.tokens);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    ss_recorder *r = self;
    slot *s = &r->slots[m->id];

    if (ss_ctx_shapes_only(c) && (p == SS_PORT_INPUT || m->inner) && s->entered < 0)
        s->entered = r->n_entered++;
    if (r->err.code != SS_OK || ss_shape_get(x).rank < 2 || !is_recorded(r, ss_dim(x, 0)) ||
        s->seen[p])
        return;
    if (ss_ctx_shapes_only(c)) {
        measure(r, s, p, x);
        r->n_ports++;
        return;
    }
    if (!r->col)
        return;
    s->seen[p] = true;
    if (r->opt.on_progress && r->n_ports)
        r->opt.on_progress(r->opt.self, (double)++r->n_seen / r->n_ports);
    if (s->run >= 0)
        ss_ask_stats(c, x, r->opt.histogram, m, p, take_stats, r);
    if (s->run >= 0 && s->channels >= 0)
        ss_ask_channels(c, x, m, p, take_channels, r);
    for (int k = 0; s->dump >= 0 && p == SS_PORT_OUTPUT && k < ss_dim(x, 0); k++)
        ss_ask_sample(c, x, k, m, p, take_sample, r);
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *st,
                          int n, int heads, int64_t keys)
{
    ss_recorder *r = self;
    slot *s = &r->slots[m->id];

    if (ss_ctx_shapes_only(c)) {
        if (s->layer < 0) {
            s->layer = r->n_layers;
            r->layer_frames[r->n_layers] = st ? st->frames : 0;
            r->layers[r->n_layers++] = (ss_run_layer){m->path, heads, keys};
        }
        return;
    }
    for (int k = 0; r->col && is_recorded(r, n) && k < n; k++) {
        for (int h = 0; h < heads; h++)
            ss_run_put_attention(r->col, s->layer, h, r->input[k], r->sample[k],
                                 &st[k * heads + h]);
    }
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *st,
                      int n)
{
    ss_recorder *r = self;
    slot *s = &r->slots[m->id];

    if (ss_ctx_shapes_only(c) && s->entered < 0)
        s->entered = r->n_entered++;
    if (ss_ctx_shapes_only(c) || !r->col || !is_recorded(r, n) || s->run < 0 || s->seen[p])
        return;
    s->seen[p] = true;
    take_stats(r, c, m, p, st, n);
}

/* Lists the modules that the options select. Each array has room for all modules. */
static void list_modules(ss_recorder *r)
{
    for (int i = 0; i < r->opt.n_modules; i++) {
        const ss_module *m = r->opt.modules[i];
        slot *s = &r->slots[i];

        *s = (slot){.run = -1, .layer = -1, .channels = -1, .dump = -1, .entered = -1};
        if (!r->opt.n_watch || any_match(r->opt.watch, r->opt.n_watch, m->path)) {
            s->run = r->n_modules++; /* order_modules sets the place */
            if (r->opt.channels && !m->inner) {
                s->channels = r->n_channels;
                r->channels[r->n_channels++] = (ss_run_channels){m->path, 0};
            }
        }
        if (!m->inner && any_match(r->opt.dump, r->opt.n_dump, m->path)) {
            s->dump = r->n_dumps;
            r->dumps[r->n_dumps++] = (ss_run_dump){.path = m->path, .half = r->opt.half};
        }
    }
}

ss_code ss_recorder_new(const ss_recorder_options *opt, ss_recorder **out, ss_err *e)
{
    size_t n = (size_t)opt->n_modules;
    ss_code rc = check_globs("modules", opt->watch, opt->n_watch, opt, e);

    if (rc == SS_OK)
        rc = check_globs("dump", opt->dump, opt->n_dump, opt, e);
    if (rc != SS_OK)
        return rc;

    ss_recorder *r = ss_calloc(1, sizeof *r);
    if (!r)
        return ss_no_memory(e, "recording");
    r->opt = *opt;
    r->n = 1; /* the shapes pass has one sample */
    r->slots = ss_calloc(n, sizeof *r->slots);
    r->modules = ss_calloc(n, sizeof *r->modules);
    r->layers = ss_calloc(n, sizeof *r->layers);
    r->layer_frames = ss_calloc(n, sizeof *r->layer_frames);
    r->channels = ss_calloc(n, sizeof *r->channels);
    r->dumps = ss_calloc(n, sizeof *r->dumps);
    if (!r->slots || !r->modules || !r->layers || !r->layer_frames || !r->channels || !r->dumps) {
        ss_recorder_free(r);
        return ss_no_memory(e, "recording");
    }
    r->hooks = (ss_hooks){r, wants, wants_attention, see, see_attention, see_stats};
    list_modules(r);
    *out = r;
    return SS_OK;
}

void ss_recorder_free(ss_recorder *r)
{
    if (!r)
        return;
    ss_free(r->slots);
    ss_free(r->modules);
    ss_free(r->layers);
    ss_free(r->layer_frames);
    ss_free(r->channels);
    ss_free(r->dumps);
    ss_free(r);
}

const ss_hooks *ss_recorder_hooks(ss_recorder *r)
{
    return &r->hooks;
}

/* Removes modules that did not run: a network may define more than it uses. */
static void drop_unseen(ss_recorder *r)
{
    r->n_channels = r->n_dumps = 0;
    for (int i = 0; i < r->opt.n_modules; i++) {
        slot *s = &r->slots[i];

        if (s->channels >= 0) {
            ss_run_channels c = r->channels[s->channels];

            s->channels = c.channels ? r->n_channels++ : -1;
            if (c.channels)
                r->channels[s->channels] = c;
        }
        if (s->dump >= 0) {
            ss_run_dump d = r->dumps[s->dump];

            s->dump = d.shape.rank ? r->n_dumps++ : -1;
            if (d.shape.rank)
                r->dumps[s->dump] = d;
        }
    }
}

/* Sorts modules by the order in which they were entered, which a network's definition need not
 * follow. Those that did not run are last. */
static void order_modules(ss_recorder *r)
{
    int at = 0;

    for (int k = 0; k <= r->n_entered; k++) {
        for (int i = 0; i < r->opt.n_modules; i++) {
            const ss_module *m = r->opt.modules[i];
            slot *s = &r->slots[i];

            if (s->run < 0 || s->entered != (k < r->n_entered ? k : -1))
                continue;
            s->run = at;
            r->modules[at++] = (ss_run_module){m->path, m->kind, m->block};
        }
    }
}

void ss_recorder_spec(ss_recorder *r, ss_run_spec *spec)
{
    drop_unseen(r);
    order_modules(r);
    spec->modules = r->modules;
    spec->n_modules = r->n_modules;
    spec->layers = r->layers;
    spec->n_layers = r->n_layers;
    spec->layer_frames = r->layer_frames;
    spec->channels = r->channels;
    spec->n_channels = r->n_channels;
    spec->histogram = r->opt.histogram;
    spec->dumps = r->dumps;
    spec->n_dumps = r->n_dumps;
}

void ss_recorder_begin(ss_recorder *r, ss_run_column *col, int n, const int *input,
                       const int *sample)
{
    r->col = col;
    r->n = n;
    r->input = input;
    r->sample = sample;
    r->n_seen = 0;
    for (int i = 0; i < r->opt.n_modules; i++)
        memset(r->slots[i].seen, 0, sizeof r->slots[i].seen);
}

ss_code ss_recorder_check(const ss_recorder *r, ss_err *e)
{
    if (e && r->err.code != SS_OK)
        *e = r->err;
    return r->err.code;
}
