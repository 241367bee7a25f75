/* penalty.c - see penalty.h */
#include "train/penalty.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "kernels/results.h"
#include "kernels/tape.h"

#include <math.h>

struct ss_penalty {
    ss_hooks hooks, next;
    bool *watched; /* [n_modules] by id */
    bool on;
    ss_tensor **kept; /* [n_kept] outputs of the current forward pass */
    size_t n_kept, cap_kept;
    double sum, modules; /* of the mean squares of what was seeded, and of how many */
};

static bool wants(void *self, const ss_module *m, ss_port port)
{
    const ss_penalty *p = self;

    return (port == SS_PORT_OUTPUT && p->watched[m->id]) ||
           (p->next.wants && p->next.wants(p->next.self, m, port));
}

static bool wants_attention(void *self, const ss_module *m)
{
    const ss_penalty *p = self;

    return p->next.wants_attention && p->next.wants_attention(p->next.self, m);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port port, const ss_tensor *x)
{
    ss_penalty *p = self;

    if (p->next.see && p->next.wants(p->next.self, m, port))
        p->next.see(p->next.self, c, m, port, x);
    if (!p->on || port != SS_PORT_OUTPUT || !p->watched[m->id] || ss_ctx_shapes_only(c))
        return;
    ss_tensor **kept = ss_grow(p->kept, &p->cap_kept, p->n_kept + 1, sizeof(ss_tensor *));
    if (!kept) {
        ss_ctx_fail(c, SS_NOMEM, "activation penalty: out of memory");
        return;
    }
    p->kept = kept;
    p->kept[p->n_kept++] = ss_retain(x);
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    const ss_penalty *p = self;

    if (p->next.see_attention)
        p->next.see_attention(p->next.self, c, m, s, n, heads, keys);
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port port, const ss_stats *s,
                      int n)
{
    const ss_penalty *p = self;

    if (p->next.see_stats && p->next.wants(p->next.self, m, port))
        p->next.see_stats(p->next.self, c, m, port, s, n);
}

static ss_code select_modules(ss_penalty *p, const ss_module *const *modules, int n_modules,
                              const char *const *globs, int n_globs, ss_err *e)
{
    for (int i = 0; i < n_modules && n_globs == 0; i++)
        p->watched[modules[i]->id] = modules[i]->block;
    for (int g = 0; g < n_globs; g++) {
        bool hit = false;
        ss_code rc = ss_glob_check(globs[g], e);

        if (rc != SS_OK)
            return rc;
        for (int i = 0; i < n_modules; i++) {
            if (!modules[i]->inner && ss_glob_module(globs[g], modules[i]->path))
                p->watched[modules[i]->id] = hit = true;
        }
        if (!hit)
            return ss_fail(e, SS_USAGE, "activation penalty: no module matches '%s'", globs[g]);
    }
    for (int i = 0; i < n_modules; i++) {
        if (p->watched[modules[i]->id])
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "activation penalty: the network has no blocks; name modules");
}

ss_code ss_penalty_new(const ss_module *const *modules, int n_modules, const char *const *globs,
                       int n_globs, ss_penalty **out, ss_err *e)
{
    ss_penalty *p = ss_calloc(1, sizeof *p);
    ss_code rc;

    if (!p || !(p->watched = ss_calloc((size_t)n_modules, sizeof *p->watched)))
        rc = ss_no_memory(e, "activation penalty");
    else
        rc = select_modules(p, modules, n_modules, globs, n_globs, e);
    if (rc != SS_OK) {
        ss_penalty_free(p);
        return rc;
    }
    p->hooks = (ss_hooks){p, wants, wants_attention, see, see_attention, see_stats};
    *out = p;
    return SS_OK;
}

static void drop(ss_penalty *p)
{
    for (size_t i = 0; i < p->n_kept; i++)
        ss_release(p->kept[i]);
    p->n_kept = 0;
}

void ss_penalty_free(ss_penalty *p)
{
    if (!p)
        return;
    drop(p);
    ss_free(p->kept);
    ss_free(p->watched);
    ss_free(p);
}

const ss_hooks *ss_penalty_hooks(ss_penalty *p)
{
    return &p->hooks;
}

void ss_penalty_set_next(ss_penalty *p, const ss_hooks *next)
{
    p->next = next ? *next : (ss_hooks){0};
}

void ss_penalty_begin(ss_penalty *p, bool on)
{
    drop(p);
    p->on = on;
    p->sum = p->modules = 0;
}

/* Adds mean(a^2) from the statistics of the samples, which have equally many values; NaN if one has
 * inf or NaN. */
static void add_mean_square(void *self, ss_ctx *c, const ss_module *m, ss_port port,
                            const ss_stats *s, int n)
{
    ss_penalty *p = self;
    double sum = 0;

    (void)c, (void)m, (void)port;
    for (int i = 0; i < n; i++)
        sum += s[i].nonfinite ? NAN : (double)s[i].rms * s[i].rms;
    p->sum += sum / n;
}

void ss_penalty_seed(ss_penalty *p, ss_ctx *c, double scale)
{
    const double modules = (double)p->n_kept;

    for (size_t i = 0; i < p->n_kept; i++) {
        const ss_tensor *a = p->kept[i];
        const double values = (double)ss_shape_numel(ss_shape_get(a));

        ss_ask_stats(c, a, false, NULL, SS_PORT_OUTPUT, add_mean_square, p);
        if (ss_tape_reaches(c, a)) /* not where all that a depends on is frozen */
            ss_tape_seed(c, a, a, (float)(2 * scale / (modules * values)));
    }
    p->modules = modules;
    drop(p);
    p->on = false; /* blocks that the tape computes again do not count twice */
}

double ss_penalty_value(const ss_penalty *p)
{
    return p->sum / p->modules;
}
