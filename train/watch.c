/* watch.c - see watch.h */
#include "train/watch.h"

#include "base/mem.h"
#include "kernels/results.h"

#include <math.h>
#include <string.h>

struct ss_watch {
    ss_hooks hooks, next;
    int n_modules;
    int n, cap;           /* samples, and room for them */
    int first;            /* of the pass */
    double *absmax, *rms; /* [n_modules] */
    double *count;        /* [n_modules] values that are finite */
    ss_origin *origin;    /* [cap] */
};

static bool wants(void *self, const ss_module *m, ss_port port)
{
    const ss_watch *w = self;

    return port == SS_PORT_OUTPUT || (w->next.wants && w->next.wants(w->next.self, m, port));
}

static bool wants_attention(void *self, const ss_module *m)
{
    const ss_watch *w = self;

    return w->next.wants_attention && w->next.wants_attention(w->next.self, m);
}

/* Adds one output: its largest |x| and RMS over all samples; it is the origin of a sample that has
 * its first inf or NaN here. */
static void add_stats(ss_watch *w, const ss_module *m, const ss_stats *s, int n)
{
    double absmax = NAN, squares = 0, count = 0;

    for (int i = 0; i < n; i++) {
        const double finite = (double)(s[i].count - s[i].nonfinite);

        absmax = fmax(absmax, s[i].absmax);
        if (finite > 0)
            squares += finite * s[i].rms * s[i].rms;
        count += finite;
        const int at = w->first + i;
        if (s[i].nonfinite && at < w->n && !w->origin[at].module)
            w->origin[at] = (ss_origin){m, (double)s[i].nonfinite / (double)s[i].count};
    }
    if (n == 0)
        return;
    const double before = w->count[m->id], rms = w->rms[m->id];
    if (before > 0) /* of an earlier pass */
        squares += before * rms * rms;
    w->count[m->id] = count += before;
    w->absmax[m->id] = fmax(w->absmax[m->id], absmax);
    w->rms[m->id] = sqrt(squares / count);
}

static void take_stats(void *self, ss_ctx *c, const ss_module *m, ss_port port, const ss_stats *s,
                       int n)
{
    (void)c, (void)port;
    add_stats(self, m, s, n);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port port, const ss_tensor *x)
{
    ss_watch *w = self;

    if (w->next.see && w->next.wants(w->next.self, m, port))
        w->next.see(w->next.self, c, m, port, x);
    if (port == SS_PORT_OUTPUT)
        ss_ask_stats(c, x, false, m, port, take_stats, w);
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port port, const ss_stats *s,
                      int n)
{
    ss_watch *w = self;

    if (w->next.see_stats && w->next.wants(w->next.self, m, port))
        w->next.see_stats(w->next.self, c, m, port, s, n);
    add_stats(w, m, s, s ? n : 0); /* none where only shapes are inferred */
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    const ss_watch *w = self;

    if (w->next.see_attention)
        w->next.see_attention(w->next.self, c, m, s, n, heads, keys);
}

ss_code ss_watch_new(int n_modules, ss_watch **out, ss_err *e)
{
    ss_watch *w = ss_calloc(1, sizeof *w);

    if (w) {
        w->hooks = (ss_hooks){w, wants, wants_attention, see, see_attention, see_stats};
        w->n_modules = n_modules;
        w->absmax = ss_alloc((size_t)n_modules, sizeof *w->absmax);
        w->rms = ss_alloc((size_t)n_modules, sizeof *w->rms);
        w->count = ss_alloc((size_t)n_modules, sizeof *w->count);
    }
    if (!w || !w->absmax || !w->rms || !w->count) {
        ss_watch_free(w);
        return ss_no_memory(e, "training");
    }
    *out = w;
    return SS_OK;
}

void ss_watch_free(ss_watch *w)
{
    if (!w)
        return;
    ss_free(w->absmax);
    ss_free(w->rms);
    ss_free(w->count);
    ss_free(w->origin);
    ss_free(w);
}

void ss_watch_set_next(ss_watch *w, const ss_hooks *next)
{
    w->next = next ? *next : (ss_hooks){0};
}

const ss_hooks *ss_watch_hooks(ss_watch *w)
{
    return &w->hooks;
}

ss_code ss_watch_begin(ss_watch *w, int n, ss_err *e)
{
    if (n > w->cap) {
        ss_origin *grown = ss_realloc(w->origin, (size_t)n, sizeof *grown);

        if (!grown)
            return ss_no_memory(e, "training");
        w->origin = grown;
        w->cap = n;
    }
    w->n = n;
    w->first = 0;
    for (int i = 0; i < n; i++)
        w->origin[i] = (ss_origin){0};
    for (int i = 0; i < w->n_modules; i++) {
        w->absmax[i] = w->rms[i] = NAN;
        w->count[i] = 0;
    }
    return SS_OK;
}

void ss_watch_go_on(ss_watch *w, int first)
{
    w->first = first;
}

double ss_watch_absmax(const ss_watch *w, int id)
{
    return w->absmax[id];
}

double ss_watch_rms(const ss_watch *w, int id)
{
    return w->rms[id];
}

ss_origin ss_watch_origin(const ss_watch *w, int sample)
{
    return w->origin[sample];
}
