/* subset.c - see subset.h */
#include "analyze/math/subset.h"

#include "base/mem.h"

#include <string.h>

typedef struct {
    int *items, *part; /* [n] */
    int n, *tries;
    ss_subset_try *try;
    void *ctx;
    ss_err *e;
} minimal;

/* Tries items [from, to), or all others; keeps them alone where they suffice. */
static ss_code try_part(minimal *m, int from, int to, bool others, bool *kept)
{
    int k = 0;
    ss_code rc;

    for (int i = 0; i < m->n; i++) {
        if ((i >= from && i < to) != others)
            m->part[k++] = m->items[i];
    }
    ++*m->tries;
    rc = m->try(m->ctx, m->part, k, kept, m->e);
    if (rc == SS_OK && *kept) {
        memcpy(m->items, m->part, (size_t)k * sizeof *m->items);
        m->n = k;
    }
    return rc;
}

/* Tries each of `parts` parts in turn, until one is kept. */
static ss_code try_parts(minimal *m, int parts, bool others, bool *kept)
{
    const int n = m->n;
    ss_code rc = SS_OK;

    *kept = false;
    for (int i = 0; i < parts && rc == SS_OK && !*kept; i++)
        rc =
            try_part(m, (int)((long)n * i / parts), (int)((long)n * (i + 1) / parts), others, kept);
    return rc;
}

/* Tries to leave out each item by itself, again while one can go: a set of which most is needed
 * takes a few rounds of n tries. */
static ss_code drop_single(minimal *m)
{
    bool dropped = true;
    ss_code rc = SS_OK;

    while (dropped && rc == SS_OK) {
        dropped = false;
        for (int i = 0; i < m->n && m->n > 1 && rc == SS_OK;) {
            bool kept;

            rc = try_part(m, i, i + 1, true, &kept);
            if (rc == SS_OK && kept)
                dropped = true;
            else
                i++;
        }
    }
    return rc;
}

static ss_code reduce(minimal *m)
{
    bool kept = false;
    ss_code rc = try_part(m, 0, 0, false, &kept); /* nothing at all may do */

    for (int parts = 2; rc == SS_OK && m->n >= 2;) {
        rc = try_parts(m, parts, false, &kept);
        if (rc == SS_OK && kept) {
            parts = 2;
            continue;
        }
        if (rc == SS_OK && parts == m->n)
            return drop_single(m);
        if (rc == SS_OK && parts > 2) /* the complement of one of two is the other */
            rc = try_parts(m, parts, true, &kept);
        if (rc == SS_OK && kept)
            parts = parts > 3 ? parts - 1 : 2;
        else if (parts >= m->n)
            break;
        else
            parts = 2 * parts < m->n ? 2 * parts : m->n;
    }
    return rc;
}

ss_code ss_subset_minimal(int *items, int *n, ss_subset_try *try, void *ctx, int *tries, ss_err *e)
{
    minimal m = {.items = items, .n = *n, .tries = tries, .try = try, .ctx = ctx, .e = e};
    ss_code rc = SS_OK;

    *tries = 0;
    if (*n == 0)
        return SS_OK;
    m.part = ss_alloc((size_t)*n, sizeof *m.part);
    if (!m.part)
        return ss_no_memory(e, "a subset");
    rc = reduce(&m);
    if (rc == SS_OK)
        *n = m.n;
    ss_free(m.part);
    return rc;
}
