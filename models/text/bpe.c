/* bpe.c - see bpe.h */
#include "models/text/bpe.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/text/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = -1 };

ss_code ss_bpe_add_merge(ss_bpe *m, const char *a, size_t a_len, const char *b, size_t b_len,
                         const char *name, ss_err *e)
{
    ss_str both = {0};

    ss_str_addn(&both, a, a_len);
    ss_str_addn(&both, b, b_len);
    ss_merge *grown =
        both.failed ? NULL : ss_grow(m->merge, &m->cap, m->n_merges + 1, sizeof *grown);

    if (!grown) {
        ss_str_release(&both);
        return ss_no_memory(e, name);
    }
    m->merge = grown;
    const ss_merge new = {ss_words_find(&m->words, a, a_len), ss_words_find(&m->words, b, b_len),
                          (int32_t)m->n_merges, ss_words_find(&m->words, both.s, both.len)};
    const bool known = new.a >= 0 && new.b >= 0 && new.whole >= 0;

    if (!known)
        ss_fail(e, SS_FORMAT, "%s: merge %zu makes \"%s\": %s is not in the vocabulary", name,
                m->n_merges + 1, SS_SHOW(both.s), new.whole < 0 ? "that" : "one of its two parts");
    ss_str_release(&both);
    if (!known)
        return SS_FORMAT;
    m->merge[m->n_merges++] = new;
    return SS_OK;
}

static int by_pair(const void *a, const void *b)
{
    const ss_merge *x = a, *y = b;

    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    if (x->b != y->b)
        return x->b < y->b ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

void ss_bpe_finish(ss_bpe *m)
{
    size_t n = 0;

    if (m->n_merges > 0)
        qsort(m->merge, m->n_merges, sizeof *m->merge, by_pair);
    for (size_t i = 0; i < m->n_merges; i++) {
        if (i + 1 < m->n_merges && m->merge[i].a == m->merge[i + 1].a &&
            m->merge[i].b == m->merge[i + 1].b)
            continue;
        m->merge[n++] = m->merge[i];
    }
    m->n_merges = n;
}

void ss_bpe_release(ss_bpe *m)
{
    ss_words_release(&m->words);
    ss_free(m->merge);
    ss_free(m->suffix);
    *m = (ss_bpe){0};
}

static const ss_merge *find_merge(const ss_bpe *m, int32_t a, int32_t b)
{
    size_t lo = 0, hi = m->n_merges;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const ss_merge *p = &m->merge[mid];

        if (p->a == a && p->b == b)
            return p;
        if (p->a < a || (p->a == a && p->b < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* A part of the word; parts are a list in which merged ones are skipped. */
typedef struct {
    int32_t id; /* NONE: merged into the part before */
    int32_t before, after;
} part;

/* A pair that can merge: rank in the upper half, its first part in the lower one. */
typedef struct {
    uint64_t *key; /* a binary heap, the smallest first */
    size_t n, cap;
    bool failed;
} heap;

static void heap_add(heap *h, int32_t rank, int32_t at)
{
    uint64_t *key = h->failed ? NULL : ss_grow(h->key, &h->cap, h->n + 1, sizeof *key);
    const uint64_t new = (uint64_t)(uint32_t)rank << 32 | (uint32_t)at;
    size_t i = h->n;

    if (!key) {
        h->failed = true;
        return;
    }
    h->key = key;
    h->n++;
    for (; i > 0 && key[(i - 1) / 2] > new; i = (i - 1) / 2)
        key[i] = key[(i - 1) / 2];
    key[i] = new;
}

static uint64_t heap_take(heap *h)
{
    const uint64_t top = h->key[0], last = h->key[--h->n];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && h->key[child + 1] < h->key[child])
            child++;
        if (h->key[child] >= last)
            break;
        h->key[i] = h->key[child];
    }
    if (h->n > 0)
        h->key[i] = last;
    return top;
}

static void offer(const ss_bpe *m, heap *h, const part *p, int32_t at)
{
    const ss_merge *merge =
        at == NONE || p[at].after == NONE ? NULL : find_merge(m, p[at].id, p[p[at].after].id);

    if (merge)
        heap_add(h, merge->rank, at);
}

/* Ids of the characters; *count of them. */
static ss_code split(const ss_bpe *m, const char *word, size_t n, part *p, size_t *count, ss_err *e)
{
    const size_t suffix = m->suffix ? strlen(m->suffix) : 0;
    bool last_unknown = false;
    ss_str last = {0};
    ss_code rc = SS_OK;

    *count = 0;
    for (size_t at = 0, len; at < n && rc == SS_OK; at += len) {
        const char *text = word + at;

        len = ss_utf8_length(*text);
        size_t text_len = len;
        if (at + len == n && suffix) {
            ss_str_addn(&last, text, len);
            ss_str_addn(&last, m->suffix, suffix);
            text = last.s;
            text_len = last.len;
            if (last.failed) {
                rc = ss_no_memory(e, "a text");
                break;
            }
        }
        int32_t id = ss_words_find(&m->words, text, text_len);
        const bool unknown = id < 0;

        if (unknown)
            id = m->unknown;
        if (id < 0)
            rc = ss_fail(e, SS_FORMAT,
                         "the vocabulary has no token for \"%s\", and none for what is unknown",
                         SS_SHOW(ss_printable(text, (char[16]){0}, 16)));
        else if (!(unknown && last_unknown && m->fuse_unknown))
            p[(*count)++].id = id;
        last_unknown = unknown;
    }
    ss_str_release(&last);
    return rc;
}

static void merge_all(const ss_bpe *m, part *p, size_t n, heap *h)
{
    for (size_t i = 0; i < n; i++) {
        p[i].before = (int32_t)i - 1;
        p[i].after = i + 1 < n ? (int32_t)i + 1 : NONE;
    }
    for (size_t i = 0; i < n; i++)
        offer(m, h, p, (int32_t)i);
    while (h->n > 0 && !h->failed) {
        const uint64_t top = heap_take(h);
        part *a = &p[(uint32_t)top], *b = a->after == NONE ? NULL : &p[a->after];
        const ss_merge *merge = a->id == NONE || !b ? NULL : find_merge(m, a->id, b->id);

        if (!merge || (uint32_t)merge->rank != top >> 32)
            continue; /* one of the two has merged with another since */
        a->id = merge->whole;
        a->after = b->after;
        b->id = NONE;
        if (a->after != NONE)
            p[a->after].before = (int32_t)(a - p);
        offer(m, h, p, a->before);
        offer(m, h, p, (int32_t)(a - p));
    }
}

ss_code ss_bpe_encode(const ss_bpe *m, const char *word, size_t n, ss_ids *out, ss_err *e)
{
    const int32_t whole = m->whole_first ? ss_words_find(&m->words, word, n) : -1;
    size_t count;
    heap h = {0};

    if (whole >= 0) {
        ss_ids_add(out, whole);
        return SS_OK;
    }
    part *p = n < INT32_MAX ? ss_alloc(n, sizeof *p) : NULL;
    if (!p)
        return ss_no_memory(e, "a text");
    ss_code rc = split(m, word, n, p, &count, e);
    if (rc == SS_OK) {
        merge_all(m, p, count, &h);
        if (h.failed)
            rc = ss_no_memory(e, "a text");
    }
    for (size_t i = 0; i < count && rc == SS_OK; i++) {
        if (p[i].id != NONE)
            ss_ids_add(out, p[i].id);
    }
    ss_free(h.key);
    ss_free(p);
    return rc;
}
