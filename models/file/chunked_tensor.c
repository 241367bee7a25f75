/* chunked_tensor.c - see chunked_tensor.h */
#include "models/file/chunked_tensor.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static ss_code wrong(const ss_chunked *c, const char *why, ss_err *e)
{
    char shape[SS_SHOWN];

    return ss_fail(e, SS_FORMAT, "%s: tensor %s of shape %s: %s", c->t.file, SS_SHOW(c->t.name),
                   ss_stored_shape_text(&c->t, shape, sizeof shape), why);
}

/* Counts the elements of a box; false where a size is negative, or they are too many. */
static bool volume(const int64_t *size, int rank, int64_t *n)
{
    *n = 1;
    for (int i = 0; i < rank; i++) {
        if (size[i] < 0 || __builtin_mul_overflow(*n, size[i], n))
            return false;
    }
    return true;
}

static bool is_inside(const ss_chunked *c, const ss_chunk *k)
{
    for (int i = 0; i < c->t.rank; i++) {
        if (k->from[i] < 0 || k->size[i] < 0 || k->from[i] > c->t.dim[i] ||
            k->size[i] > c->t.dim[i] - k->from[i])
            return false;
    }
    return true;
}

static bool overlap(const ss_chunk *a, const ss_chunk *b, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (a->from[i] >= b->from[i] + b->size[i] || b->from[i] >= a->from[i] + a->size[i])
            return false;
    }
    return true;
}

static int by_start(const void *a, const void *b, void *dim)
{
    const int64_t x = ((const ss_chunk *)a)->from[*(int *)dim];
    const int64_t y = ((const ss_chunk *)b)->from[*(int *)dim];

    return (x > y) - (x < y);
}

/* The dimension along which most chunks begin after the first element. */
static int sweep_dimension(const ss_chunked *c)
{
    size_t most = 0;
    int best = 0;

    for (int d = 0; d < c->t.rank; d++) {
        size_t n = 0;

        for (size_t i = 0; i < c->n; i++)
            n += c->chunks[i].from[d] > 0;
        if (n > most) {
            most = n;
            best = d;
        }
    }
    return best;
}

/* Checks that no two chunks have an element in common, by a sweep along one dimension. */
static ss_code check_disjoint(ss_chunked *c, ss_err *e)
{
    enum { MAX_PAIRS = 1 << 26 };
    int d = sweep_dimension(c), pairs = 0;

    if (c->n < 2 || !c->t.rank)
        return SS_OK;
    qsort_r(c->chunks, c->n, sizeof *c->chunks, by_start, &d);
    for (size_t i = 0; i < c->n; i++) {
        const ss_chunk *a = &c->chunks[i];

        for (size_t k = i + 1; k < c->n && c->chunks[k].from[d] < a->from[d] + a->size[d]; k++) {
            if (++pairs > MAX_PAIRS)
                return wrong(c, "it has too many parts", e);
            if (overlap(a, &c->chunks[k], c->t.rank))
                return wrong(c, "two of its parts have elements in common", e);
        }
    }
    return SS_OK;
}

/* Drops chunks without elements, which ranks leave that had nothing of a tensor. */
static void drop_empty(ss_chunked *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        int64_t v = 0;

        if (!volume(c->chunks[i].size, c->t.rank, &v) || v != 0)
            c->chunks[n++] = c->chunks[i];
    }
    c->n = n;
}

static ss_code check_cover(ss_chunked *c, ss_err *e)
{
    int64_t numel, covered = 0, part;

    if (!volume(c->t.dim, c->t.rank, &numel) ||
        __builtin_mul_overflow((size_t)numel, c->size, &c->t.bytes))
        return wrong(c, "such a shape cannot be", e);
    drop_empty(c);
    for (size_t i = 0; i < c->n; i++) {
        if (!is_inside(c, &c->chunks[i]))
            return wrong(c, "a part of it lies outside of it", e);
        if (!volume(c->chunks[i].size, c->t.rank, &part) ||
            __builtin_add_overflow(covered, part, &covered))
            return wrong(c, "a part of it is larger than itself", e);
    }
    const ss_code rc = check_disjoint(c, e);
    return rc == SS_OK && covered != numel ? wrong(c, "parts of it are missing", e) : rc;
}

/* The values of a part, checked against what is known of it. They are in *p, which the caller
 * closes, unless they are known already. */
static ss_code find_values(const ss_chunked *c, const ss_chunk *k, ss_pickle **p,
                           const ss_stored_tensor **t, ss_err *e)
{
    ss_code rc = SS_OK;

    *t = k->values;
    if (!*t) {
        rc = ss_pickle_open_bytes(k->file, k->item, k->item_bytes, p, e);
        if (rc == SS_OK && ss_pickle_root(*p)->kind == SS_PICKLE_TENSOR)
            *t = ss_pickle_root(*p)->tensor;
    }
    if (rc != SS_OK) {
        ss_fail_prefix(e, "tensor %s", SS_SHOW(c->t.name));
        return rc;
    }
    if (*t && (*t)->rank == c->t.rank && strcmp((*t)->type, c->t.type) == 0 &&
        memcmp((*t)->dim, k->size, sizeof k->size[0] * (size_t)c->t.rank) == 0)
        return SS_OK;
    return wrong(c, "a part of it is not what its metadata says", e);
}

/* Copies the values of a part [size], row-major, to where they are in the whole. */
static void place(const ss_chunked *c, const ss_chunk *k, const unsigned char *from,
                  unsigned char *out)
{
    int64_t at[SS_STORED_MAX_RANK] = {0}, run = 1, numel;
    int outer = c->t.rank;

    /* the last dimensions that the part has whole, and one more, lie together in both */
    while (outer > 0 && k->size[outer - 1] == c->t.dim[outer - 1])
        run *= k->size[--outer];
    if (outer > 0)
        run *= k->size[--outer];
    volume(k->size, c->t.rank, &numel);
    const size_t bytes = (size_t)run * c->size;

    for (int64_t done = 0; done < numel; done += run, from += bytes) {
        int64_t to = 0;

        for (int i = 0; i < c->t.rank; i++)
            to = to * c->t.dim[i] + k->from[i] + at[i];
        memcpy(out + (size_t)to * c->size, from, bytes);
        for (int i = outer; i-- > 0 && ++at[i] == k->size[i];)
            at[i] = 0;
    }
}

static ss_code make_part(const ss_chunked *c, const ss_chunk *k, unsigned char *out, ss_err *e)
{
    ss_pickle *p = NULL;
    const ss_stored_tensor *t = NULL;
    unsigned char *copy = NULL;
    ss_code rc = find_values(c, k, &p, &t, e);

    if (rc == SS_OK && !t->data) {
        copy = ss_alloc(1, t->bytes);
        rc = copy ? ss_stored_read(t, copy, e) : ss_no_memory(e, c->t.name);
    }
    if (rc == SS_OK)
        place(c, k, copy ? copy : t->data, out);
    ss_free(copy);
    ss_pickle_close(p);
    return rc;
}

static ss_code make(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const ss_chunked *c = t->source;
    ss_code rc = SS_OK;

    for (size_t i = 0; i < c->n && rc == SS_OK; i++)
        rc = make_part(c, &c->chunks[i], out, e);
    return rc;
}

/* Uses the values of the only part where they are. */
static ss_code use_in_place(ss_chunked *c, ss_err *e)
{
    ss_pickle *p = NULL;
    const ss_stored_tensor *t = NULL;
    const ss_code rc = find_values(c, c->chunks, &p, &t, e);

    if (rc == SS_OK) {
        c->t.data = t->data; /* in the mapped file, not in p */
        c->t.file = c->chunks->file;
    }
    ss_pickle_close(p);
    return rc;
}

ss_code ss_chunked_finish(ss_chunked *c, ss_err *e)
{
    static const char nothing[1];
    ss_err own = {0};
    ss_code rc = check_cover(c, e ? e : &own);

    c->t.usable = ss_stored_usable(c->t.type, &c->t.dtype);
    c->t.source = c;
    if (rc == SS_OK && c->n == 0)
        c->t.data = nothing;
    else if (rc == SS_OK && c->n == 1)
        rc = use_in_place(c, e ? e : &own);
    if (!c->t.data)
        c->t.make = make;
    return rc;
}
