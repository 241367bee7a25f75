/* words.c - see words.h */
#include "models/text/words.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void ss_words_add(ss_words *w, const char *text, size_t len, int32_t id)
{
    if (w->failed)
        return;
    char *pool = ss_grow(w->pool, &w->pool_cap, w->pool_len + len + 1, 1);

    w->pool = pool ? pool : w->pool;
    ss_word *word =
        pool && len < UINT32_MAX ? ss_grow(w->word, &w->cap, w->n + 1, sizeof *word) : NULL;

    if (!word) {
        w->failed = true;
        return;
    }
    w->word = word;
    word[w->n++] = (ss_word){w->pool_len, (uint32_t)len, id};
    memcpy(pool + w->pool_len, text, len);
    pool[w->pool_len + len] = '\0';
    w->pool_len += len + 1;
}

static int compare_bytes(const char *a, size_t n, const char *b, size_t m)
{
    const int order = memcmp(a, b, n < m ? n : m);

    return order ? order : (n > m) - (n < m);
}

/* The earlier one first where texts are the same: offsets in the pool grow. */
static int by_text(const void *a, const void *b, void *pool)
{
    const ss_word *x = a, *y = b;
    const int order = compare_bytes((char *)pool + x->text, x->len, (char *)pool + y->text, y->len);

    return order ? order : (x->text > y->text) - (x->text < y->text);
}

static int by_id(const void *a, const void *b, void *words)
{
    const ss_word *word = words, *x = &word[*(const uint32_t *)a], *y = &word[*(const uint32_t *)b];

    return (x->id > y->id) - (x->id < y->id);
}

ss_code ss_words_finish(ss_words *w, const char *name, ss_err *e)
{
    size_t n = 0;

    w->by_id = w->failed ? NULL : ss_alloc(w->n, sizeof *w->by_id);
    if (!w->by_id)
        return ss_no_memory(e, name);
    if (w->n > 0)
        qsort_r(w->word, w->n, sizeof *w->word, by_text, w->pool);
    for (size_t i = 0; i < w->n; i++) {
        const ss_word *a = &w->word[i];

        if (i + 1 < w->n &&
            compare_bytes(w->pool + a->text, a->len, w->pool + a[1].text, a[1].len) == 0)
            continue;
        w->word[n++] = *a;
    }
    w->n = n;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = w->word[i].len ? (unsigned char)w->pool[w->word[i].text] : 0;

        w->by_id[i] = (uint32_t)i;
        if (w->word[i].len)
            w->first[c + 1]++;
        else
            w->first[0]++; /* the empty word, before all others */
    }
    for (int c = 0; c < 256; c++)
        w->first[c + 1] += w->first[c];
    if (n > 0)
        qsort_r(w->by_id, n, sizeof *w->by_id, by_id, w->word);
    for (size_t i = 0; i + 1 < n; i++) {
        const ss_word *a = &w->word[w->by_id[i]], *b = &w->word[w->by_id[i + 1]];

        if (a->id == b->id)
            return ss_fail(e, SS_FORMAT, "%s: \"%s\" and \"%s\" both have the id %d", name,
                           SS_SHOW(w->pool + a->text), SS_SHOW(w->pool + b->text), a->id);
    }
    return SS_OK;
}

void ss_words_release(ss_words *w)
{
    ss_free(w->word);
    ss_free(w->by_id);
    ss_free(w->pool);
    *w = (ss_words){0};
}

int32_t ss_words_find(const ss_words *w, const char *text, size_t len)
{
    size_t lo = 0, hi = w->n;

    if (len > 0) {
        lo = w->first[(unsigned char)*text];
        hi = w->first[(unsigned char)*text + 1];
    }
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const ss_word *a = &w->word[mid];
        const int order = compare_bytes(w->pool + a->text, a->len, text, len);

        if (order == 0)
            return a->id;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

const char *ss_words_text(const ss_words *w, int64_t id)
{
    size_t lo = 0, hi = w->n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (w->word[w->by_id[mid]].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == w->n || w->word[w->by_id[lo]].id != id)
        return NULL;
    return w->pool + w->word[w->by_id[lo]].text;
}

/* The first word of [lo, hi) whose byte at `depth` is at least c; all have one there. */
static size_t bound(const ss_words *w, size_t lo, size_t hi, size_t depth, int c)
{
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if ((unsigned char)w->pool[w->word[mid].text + depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool ss_words_prefix(const ss_words *w, ss_words_at *at, const char *text, size_t n, size_t *len,
                     int32_t *id)
{
    /* words of [lo, hi) begin with the first `depth` bytes of the text and are longer */
    while (at->depth < n) {
        const unsigned char c = (unsigned char)text[at->depth];

        if (at->depth == 0) {
            at->lo = w->first[c];
            at->hi = w->first[c + 1];
        } else {
            at->lo = bound(w, at->lo, at->hi, at->depth, c);
            at->hi = bound(w, at->lo, at->hi, at->depth, c + 1);
        }
        if (at->lo == at->hi)
            return false;
        at->depth++;
        if (w->word[at->lo].len == at->depth) {
            *len = at->depth;
            *id = w->word[at->lo++].id;
            return true;
        }
    }
    return false;
}

void ss_ids_add(ss_ids *a, int32_t id)
{
    int32_t *grown = a->failed ? NULL : ss_grow(a->id, &a->cap, a->n + 1, sizeof *grown);

    if (!grown) {
        a->failed = true;
        return;
    }
    a->id = grown;
    grown[a->n++] = id;
}
