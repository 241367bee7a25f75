/* wrapped_names.c - see wrapped_names.h
 *
 *   cleans each name of the parts that are known in the middle
 *   finds candidates: whatever stands before one of the longest names that are asked for
 *   keeps those that stand before most names that are asked for, and picks one
 *   gives its tensors their names, drops other copies and counters, and says so
 */
#include "models/file/wrapped_names.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_GROUPS = 8,
    MAX_TRIED = 64, /* candidates; more are no checkpoint */
    PROBES = 3      /* names by which candidates are found */
};

/* Parts of a name that wrappers put anywhere. */
static const char *const wrappers[] = {"_orig_mod", "_fsdp_wrapped_module",
                                       "_checkpoint_wrapped_module", "_forward_module"};
enum { N_WRAPPERS = sizeof wrappers / sizeof *wrappers };

typedef struct {
    char *clean; /* the name without the parts of wrappers */
    const ss_stored_tensor *t;
    unsigned inside; /* bit w: wrappers[w] was removed */
} entry;

/* Names that begin alike, and then go on as a network asks. */
typedef struct {
    const char *prefix; /* "module."; not terminated, in the first such name */
    size_t n;           /* its length */
    size_t fit;         /* how many names that the network asks for follow it */
    bool average;       /* it names an average of the weights */
} group;

typedef struct {
    ss_checkpoint *k;
    entry *entries; /* sorted by their clean names */
    size_t n;
    const char *const *asked;
    size_t n_asked;
    group groups[MAX_GROUPS];
    int n_groups, n_tried;
} fitting;

static int part_of_wrapper(const char *part, size_t n)
{
    for (int w = 0; w < N_WRAPPERS; w++) {
        if (strlen(wrappers[w]) == n && memcmp(wrappers[w], part, n) == 0)
            return w;
    }
    return -1;
}

char *ss_unwrapped_name(const char *name, unsigned *inside)
{
    ss_str s = {0};
    bool first = true;

    *inside = 0;
    ss_str_add(&s, "");
    for (const char *part = name;;) {
        const size_t n = strcspn(part, ".");
        const int w = part_of_wrapper(part, n);

        if (w < 0)
            ss_str_addf(&s, "%s%.*s", first ? "" : ".", (int)n, part);
        else
            *inside |= 1U << w;
        first &= w >= 0;
        if (!part[n])
            break;
        part += n + 1;
    }
    return ss_str_detach(&s);
}

static int by_clean(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int c = strcmp(x->clean, y->clean);

    return c ? c : strcmp(x->t->name, y->t->name);
}

static ss_code clean_all(fitting *f, ss_err *e)
{
    const size_t n = ss_checkpoint_count(f->k);

    f->entries = ss_calloc(n, sizeof *f->entries);
    if (!f->entries)
        return ss_no_memory(e, ss_checkpoint_name(f->k));
    for (; f->n < n; f->n++) {
        entry *x = &f->entries[f->n];

        x->t = ss_checkpoint_at(f->k, f->n);
        x->clean = ss_unwrapped_name(x->t->name, &x->inside);
        if (!x->clean)
            return ss_no_memory(e, ss_checkpoint_name(f->k));
    }
    if (n)
        qsort(f->entries, n, sizeof *f->entries, by_clean);
    return SS_OK;
}

static bool has(const fitting *f, const char *name)
{
    const entry key = {.clean = (char *)(uintptr_t)name};
    size_t from = 0, to = f->n;

    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const int c = strcmp(f->entries[middle].clean, key.clean);

        if (c == 0)
            return true;
        if (c < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

/* Counts the names asked for that are there with the prefix before them. */
static ss_code count_fit(const fitting *f, group *g, ss_err *e)
{
    ss_str name = {0};

    for (size_t i = 0; i < f->n_asked; i++) {
        name.len = 0;
        ss_str_addn(&name, g->prefix, g->n);
        ss_str_add(&name, f->asked[i]);
        if (name.failed)
            break;
        g->fit += has(f, name.s);
    }
    const bool failed = name.failed;
    ss_str_release(&name);
    return failed ? ss_no_memory(e, ss_checkpoint_name(f->k)) : SS_OK;
}

/* True for a prefix that names an average: "ema_model.", "unet_ema.", "averaged.shadow.". */
static bool names_average(const char *prefix, size_t n)
{
    static const char *const words[] = {"ema", "shadow", "average"};

    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        if (memmem(prefix, n, words[w], strlen(words[w])))
            return true;
    }
    return false;
}

static bool is_known(const fitting *f, const char *prefix, size_t n)
{
    for (int i = 0; i < f->n_groups; i++) {
        if (f->groups[i].n == n && memcmp(f->groups[i].prefix, prefix, n) == 0)
            return true;
    }
    return false;
}

/* Adds the text before a name that the network asks for as a group, if most other names that it
 * asks for follow the same text. */
static ss_code add_groups(fitting *f, const char *asked, ss_err *e)
{
    const size_t m = strlen(asked);

    for (size_t i = 0; i < f->n && f->n_groups < MAX_GROUPS && f->n_tried < MAX_TRIED; i++) {
        const char *name = f->entries[i].clean;
        const size_t n = strlen(name);

        if (n < m || strcmp(name + n - m, asked) != 0 || (n > m && name[n - m - 1] != '.') ||
            is_known(f, name, n - m))
            continue;
        group g = {.prefix = name, .n = n - m, .average = names_average(name, n - m)};
        f->n_tried++;
        if (count_fit(f, &g, e) != SS_OK)
            return e->code;
        if (g.fit > f->n_asked / 2)
            f->groups[f->n_groups++] = g;
    }
    return SS_OK;
}

/* Finds the groups by the longest names, which are the least likely to end another one. */
static ss_code find_groups(fitting *f, ss_err *e)
{
    const char *tried[PROBES] = {0};
    ss_code rc = SS_OK;

    for (int p = 0; p < PROBES && rc == SS_OK; p++) {
        for (size_t i = 0; i < f->n_asked; i++) {
            const char *name = f->asked[i];
            bool taken = false;

            for (int k = 0; k < p; k++)
                taken |= tried[k] == name;
            if (!taken && (!tried[p] || strlen(name) > strlen(tried[p])))
                tried[p] = name;
        }
        if (tried[p])
            rc = add_groups(f, tried[p], e);
    }
    return rc;
}

/* Writes the prefix for a message into out; returns out. */
static const char *shown_prefix(const group *g, char out[SS_SHOWN])
{
    char text[SS_SHOWN];

    snprintf(text, sizeof text, "%.*s", (int)g->n, g->prefix);
    return *text ? ss_printable(text, out, SS_SHOWN) : "no prefix";
}

static ss_code say_ambiguous(const fitting *f, ss_err *e)
{
    ss_str names = {0};
    char shown[SS_SHOWN];

    for (int i = 0; i < f->n_groups; i++)
        ss_str_addf(&names, "%s%s (%zu names)", i ? ", " : "", shown_prefix(&f->groups[i], shown),
                    f->groups[i].fit);
    const ss_code rc = ss_fail(e, SS_USAGE, "%s has several copies of the network, under %s",
                               ss_checkpoint_name(f->k), names.s ? names.s : "several prefixes");
    ss_str_release(&names);
    return rc;
}

/* Picks the group to be used, *pick NULL where there is none. */
static ss_code pick_group(const fitting *f, bool ema, const group **pick, ss_err *e)
{
    int n = 0;

    *pick = f->n_groups == 1 ? &f->groups[0] : NULL;
    if (f->n_groups < 2)
        return SS_OK;
    for (int i = 0; i < f->n_groups; i++) {
        if (f->groups[i].average == ema) {
            *pick = &f->groups[i];
            n++;
        }
    }
    return n == 1 ? SS_OK : say_ambiguous(f, e);
}

/* Returns the group that a name belongs to: that of the longest prefix; NULL for none. */
static const group *owner_of(const fitting *f, const entry *x)
{
    const group *owner = NULL;

    for (int i = 0; i < f->n_groups; i++) {
        const group *g = &f->groups[i];

        if (strlen(x->clean) > g->n && memcmp(x->clean, g->prefix, g->n) == 0 &&
            (!owner || g->n > owner->n))
            owner = g;
    }
    return owner;
}

/* True for a counter of a wrapper: one value, under a name that is not asked for. */
static bool is_counter(const fitting *f, const entry *x, const group *owner)
{
    static const char *const names[] = {"initted", "step", "n_averaged", "num_updates", "decay"};
    const char *dot = strrchr(x->clean, '.'), *leaf = dot ? dot + 1 : x->clean;
    bool known = false;

    for (int d = 0; d < x->t->rank; d++) {
        if (x->t->dim[d] != 1)
            return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known |= strcmp(leaf, names[i]) == 0;
    for (size_t i = 0; i < f->n_asked && known && owner; i++)
        known = strcmp(f->asked[i], x->clean + owner->n) != 0;
    return known;
}

/* Counts of what was done, for the notes. */
typedef struct {
    char *lead; /* what was removed at the front of a name, "module._orig_mod." */
    size_t n_lead, n_inside, n_copies, n_counters;
    unsigned inside;
    const group *copy;
    ss_str counters;
} account;

/* Counts the removal of a name's prefix, or of parts in its middle. */
static ss_code count_removed(account *a, const entry *x, const group *g, ss_err *e)
{
    const char *rest = x->clean + g->n;
    const size_t n = strlen(x->t->name), m = strlen(rest);
    const bool at_front = n >= m && strcmp(x->t->name + n - m, rest) == 0;

    a->n_lead += n > m && (at_front || g->n);
    a->n_inside += !at_front;
    if (!at_front)
        a->inside |= x->inside;
    if (!at_front || n == m || a->lead)
        return SS_OK;
    ss_str s = {0};
    ss_str_addn(&s, x->t->name, n - m);
    a->lead = ss_str_detach(&s);
    return a->lead ? SS_OK : ss_no_memory(e, x->t->name);
}

/* Adds the tensor of x to list [*n], with its name in g, or drops it. */
static ss_code place(fitting *f, const entry *x, const group *g, const ss_stored_tensor **list,
                     size_t *n, account *a, ss_err *e)
{
    const group *owner = owner_of(f, x);

    if (is_counter(f, x, owner)) {
        ss_str_addf(&a->counters, "%s%s", a->n_counters++ ? ", " : "", SS_SHOW(x->t->name));
        return SS_OK;
    }
    if (owner && owner != g) {
        a->copy = owner;
        a->n_copies++;
        return SS_OK;
    }
    if (!owner || strcmp(x->clean + g->n, x->t->name) == 0) {
        list[(*n)++] = x->t;
        return SS_OK;
    }
    list[*n] = ss_checkpoint_derive(f->k, x->t, x->clean + g->n, e);
    return list[(*n)++] ? count_removed(a, x, g, e) : SS_NOMEM;
}

static ss_code say_all(fitting *f, const account *a, ss_err *e)
{
    ss_str inside = {0};
    char shown[SS_SHOWN];
    ss_code rc = SS_OK;

    for (int w = 0; w < N_WRAPPERS; w++) {
        if (a->inside >> w & 1)
            ss_str_addf(&inside, "%s%s", inside.len ? ", " : "", wrappers[w]);
    }
    if (a->lead)
        rc = ss_checkpoint_say(f->k, e, "prefix %s removed from %zu names", SS_SHOW(a->lead),
                               a->n_lead);
    if (rc == SS_OK && a->n_inside)
        rc = ss_checkpoint_say(f->k, e, "%s removed inside %zu names",
                               inside.s ? inside.s : "wrappers", a->n_inside);
    if (rc == SS_OK && a->n_counters)
        rc = ss_checkpoint_say(f->k, e, "counters of an average are not used: %s",
                               a->counters.s ? a->counters.s : "");
    if (rc == SS_OK && a->n_copies)
        rc = ss_checkpoint_say(f->k, e,
                               "%zu tensors under %s are another copy of the network and not "
                               "used%s",
                               a->n_copies, shown_prefix(a->copy, shown),
                               a->copy->average ? "; --ema takes it" : "");
    ss_str_release(&inside);
    return rc;
}

/* Replaces the list by what is used: the tensors of g, and those of no group. */
static ss_code take_group(fitting *f, const group *g, bool *changed, ss_err *e)
{
    const ss_stored_tensor **list = ss_calloc(f->n, sizeof *list);
    account a = {0};
    size_t n = 0;
    ss_code rc = list ? SS_OK : ss_no_memory(e, ss_checkpoint_name(f->k));

    for (size_t i = 0; i < f->n && rc == SS_OK; i++)
        rc = place(f, &f->entries[i], g, list, &n, &a, e);
    if (rc == SS_OK && a.counters.failed)
        rc = ss_no_memory(e, ss_checkpoint_name(f->k));
    *changed = a.n_lead || a.n_inside || a.n_copies || a.n_counters;
    if (rc == SS_OK && *changed)
        rc = ss_checkpoint_replace(f->k, list, n, e);
    if (rc == SS_OK && *changed)
        rc = say_all(f, &a, e);
    ss_str_release(&a.counters);
    ss_free(a.lead);
    ss_free(list);
    return rc;
}

ss_code ss_checkpoint_unwrap(ss_checkpoint *k, const char *const *asked, size_t n, bool ema,
                             bool *changed, ss_err *e)
{
    fitting f = {.k = k, .asked = asked, .n_asked = n};
    const group *g = NULL;
    ss_code rc = clean_all(&f, e);

    *changed = false;
    if (rc == SS_OK)
        rc = find_groups(&f, e);
    if (rc == SS_OK)
        rc = pick_group(&f, ema, &g, e);
    if (rc == SS_OK && g)
        rc = take_group(&f, g, changed, e);
    for (size_t i = 0; i < f.n; i++)
        ss_free(f.entries[i].clean);
    ss_free(f.entries);
    return rc;
}
