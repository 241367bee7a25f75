/* adam_owners.c - see adam_owners.h */
#include "models/adam_owners.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/wrapped_names.h"
#include "models/torch_order.h"

#include <stdlib.h>
#include <string.h>

static bool fits(const ss_adam_moment *a, const ss_weight *w)
{
    if (!a->m)
        return true; /* it was never updated, and has no shape */
    if (a->m->rank != w->shape.rank)
        return false;
    for (int i = 0; i < a->m->rank; i++) {
        if (a->m->dim[i] != w->shape.dim[i])
            return false;
    }
    return true;
}

static ss_code say_misfit(const char *path, const ss_weight *w, ss_err *e)
{
    char shape[SS_SHOWN];

    return ss_fail(e, SS_SHAPE,
                   "%s: in no group of parameters the next state has the shape of %s, %s: it is of "
                   "another network, or of a part of this one",
                   path, SS_SHOW(w->name), ss_shape_text(w->shape, shape, sizeof shape));
}

/* --- by numbers --- */

/* Deals the parameters out to the groups: each group lists its own in PyTorch's order. next
 * [groups] is scratch. */
static ss_code deal(const ss_adam_state *s, const char *path, ss_adam_owner *owners, size_t *next,
                    ss_err *e)
{
    size_t from = 0;

    for (int g = 0; g < s->n_groups; g++) {
        next[g] = from;
        while (from < s->n && s->list[from].group == g)
            from++;
    }
    for (size_t i = 0; i < s->n; i++) {
        int taken = -1;

        for (int g = 0; g < s->n_groups; g++) {
            const bool left = next[g] < s->n && s->list[next[g]].group == g;

            if (!left || !fits(&s->list[next[g]], owners[i].w))
                continue;
            if (taken >= 0)
                return ss_fail(
                    e, SS_SHAPE,
                    "%s: %s may be in group %d or %d of the optimizer, whose next states "
                    "have its shape; which it is is not in the file",
                    path, SS_SHOW(owners[i].w->name), taken, g);
            taken = g;
        }
        if (taken < 0)
            return say_misfit(path, owners[i].w, e);
        owners[i].moment = &s->list[next[taken]++];
    }
    return SS_OK;
}

static ss_code match_numbers(const ss_model *m, const ss_adam_state *s, const char *path,
                             ss_adam_owner *owners, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_model_weights(m, &n);
    ss_weight **order = ss_calloc((size_t)n, sizeof *order);
    size_t *next = ss_calloc((size_t)s->n_groups, sizeof *next);
    ss_code rc = order && next ? SS_OK : ss_no_memory(e, path);

    if (rc == SS_OK && s->n != (size_t)n)
        rc = ss_fail(e, SS_SHAPE,
                     "%s: it has %zu parameters and the network %d, so only a part was trained, or "
                     "another network",
                     path, s->n, n);
    if (rc == SS_OK) {
        memcpy(order, w, (size_t)n * sizeof *order);
        if (ss_torch_order(order, (size_t)n, e) != SS_OK)
            rc = ss_fail_prefix(e, "%s", path);
    }
    for (int i = 0; i < n && rc == SS_OK; i++)
        owners[i].w = order[i];
    if (rc == SS_OK)
        rc = deal(s, path, owners, next, e);
    ss_free(next);
    ss_free(order);
    return rc;
}

/* --- by names --- */

enum { MAX_PREFIXES = 64 };

/* Text before the network's names. */
typedef struct {
    const char *text; /* not terminated */
    size_t n;         /* its length */
    size_t fits;      /* how many names of the network follow it */
} prefix;

typedef struct {
    const char *path;
    const ss_adam_state *s;
    char **clean;          /* [s->n] names without the parts of wrappers */
    ss_adam_owner *owners; /* [n], in the order of their names */
    size_t n;
    prefix tried[MAX_PREFIXES];
    size_t n_tried;
} naming;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ss_adam_owner *)a)->w->name, ((const ss_adam_owner *)b)->w->name);
}

static int is_name(const void *name, const void *owner)
{
    return strcmp(name, ((const ss_adam_owner *)owner)->w->name);
}

static ss_adam_owner *owner_of(const naming *g, const char *name)
{
    return bsearch(name, g->owners, g->n, sizeof *g->owners, is_name);
}

static ss_code clean_all(naming *g, ss_err *e)
{
    g->clean = ss_calloc(g->s->n, sizeof(char *));
    if (!g->clean)
        return ss_no_memory(e, g->path);
    for (size_t i = 0; i < g->s->n; i++) {
        unsigned inside;

        if (!(g->clean[i] = ss_unwrapped_name(g->s->list[i].name, &inside)))
            return ss_no_memory(e, g->path);
    }
    return SS_OK;
}

static void count_prefix(naming *g, const char *text, size_t n)
{
    size_t i = 0;

    while (i < g->n_tried && (g->tried[i].n != n || memcmp(g->tried[i].text, text, n) != 0))
        i++;
    if (i == MAX_PREFIXES)
        return;
    if (i == g->n_tried)
        g->tried[g->n_tried++] = (prefix){.text = text, .n = n};
    g->tried[i].fits++;
}

/* Finds what stands before most names that are the network's. */
static ss_code find_prefix(naming *g, const prefix **best, ss_err *e)
{
    bool tie = false;

    for (size_t i = 0; i < g->s->n; i++) {
        for (const char *c = g->clean[i]; c; c = strchr(c, '.'), c += c != NULL) {
            if (owner_of(g, c))
                count_prefix(g, g->clean[i], (size_t)(c - g->clean[i]));
        }
    }
    *best = NULL;
    for (size_t i = 0; i < g->n_tried; i++) {
        if (*best && g->tried[i].fits == (*best)->fits)
            tie = true;
        if (!*best || g->tried[i].fits > (*best)->fits) {
            *best = &g->tried[i];
            tie = false;
        }
    }
    if (!*best)
        return ss_fail(e, SS_SHAPE,
                       "%s: none of its parameters is the network's, the first is %s: it is of "
                       "another network",
                       g->path, SS_SHOW(g->clean[0]));
    if (tie)
        return ss_fail(e, SS_SHAPE,
                       "%s: it has two networks with this one's names, the first of them begins "
                       "with %.*s; which it is is not in the file",
                       g->path, (int)(*best)->n, SS_SHOW((*best)->text));
    return SS_OK;
}

/* Gives the moments to their owners. */
static ss_code give(naming *g, const prefix *p, ss_err *e)
{
    for (size_t i = 0; i < g->s->n; i++) {
        const ss_adam_moment *a = &g->s->list[i];
        ss_adam_owner *o = NULL;

        if (strncmp(g->clean[i], p->text, p->n) == 0)
            o = owner_of(g, g->clean[i] + p->n);
        if (!o)
            continue;
        if (o->moment->name)
            return ss_fail(e, SS_SHAPE, "%s: %s and %s are the state of one parameter", g->path,
                           SS_SHOW(o->moment->name), SS_SHOW(a->name));
        if (!fits(a, o->w)) {
            char shape[SS_SHOWN];

            return ss_fail(e, SS_SHAPE,
                           "%s: the state of %s has another shape than the network's, %s: it is of "
                           "another network",
                           g->path, SS_SHOW(o->w->name),
                           ss_shape_text(o->w->shape, shape, sizeof shape));
        }
        o->moment = a;
    }
    return SS_OK;
}

static ss_code match_names(const ss_model *m, const ss_adam_state *s, const char *path,
                           ss_adam_owner *owners, ss_err *e)
{
    static const ss_adam_moment none = {0};
    const prefix *p = NULL;
    int n;
    ss_weight *const *w = ss_model_weights(m, &n);
    naming g = {.path = path, .s = s, .owners = owners, .n = (size_t)n};

    for (int i = 0; i < n; i++)
        owners[i] = (ss_adam_owner){.w = w[i], .moment = &none};
    qsort(owners, g.n, sizeof *owners, by_name);
    ss_code rc = clean_all(&g, e);
    if (rc == SS_OK)
        rc = find_prefix(&g, &p, e);
    if (rc == SS_OK)
        rc = give(&g, p, e);
    for (size_t i = 0; g.clean && i < s->n; i++)
        ss_free(g.clean[i]);
    ss_free(g.clean);
    return rc;
}

ss_code ss_adam_owners(const ss_model *m, const ss_adam_state *s, const char *path,
                       ss_adam_owner *owners, ss_err *e)
{
    return s->list[0].name ? match_names(m, s, path, owners, e)
                           : match_numbers(m, s, path, owners, e);
}
