/* unigram.c - see unigram.h */
#include "models/text/unigram.h"

#include "base/mem.h"
#include "models/text/unicode.h"

#include <stdio.h>

void ss_unigram_release(ss_unigram *m)
{
    ss_words_release(&m->words);
    ss_free(m->score);
    *m = (ss_unigram){0};
}

/* The best segmentation that ends at a byte. */
typedef struct {
    double score;
    int32_t id;  /* of the last piece, -1: unknown */
    size_t from; /* where that begins; NOWHERE: nothing ends here */
} ending;

static const size_t NOWHERE = (size_t)-1;

static void offer(ending *end, double score, int32_t id, size_t from)
{
    if (end->from == NOWHERE || score > end->score)
        *end = (ending){score, id, from};
}

/* best[0 .. n] of the text. */
static void search(const ss_unigram *m, const char *text, size_t n, ending *best)
{
    for (size_t i = 0; i <= n; i++)
        best[i] = (ending){.from = NOWHERE};
    for (size_t at = 0, len; at < n; at += len) {
        const double so_far = best[at].score;
        ss_words_at walk = {0};
        bool alone = false;
        size_t piece;
        int32_t id;

        len = ss_utf8_length(text[at]);
        while (ss_words_prefix(&m->words, &walk, text + at, n - at, &piece, &id)) {
            offer(&best[at + piece], so_far + m->score[id], id, at);
            alone = alone || piece == len;
        }
        if (!alone)
            offer(&best[at + len], so_far + m->lowest - 10, -1, at);
    }
}

/* Unknown text: a word nevertheless, or its bytes, or the one token for what is unknown. */
static ss_code add_unknown(const ss_unigram *m, const char *text, size_t n, ss_ids *out, ss_err *e)
{
    const int32_t whole = ss_words_find(&m->words, text, n);
    const size_t before = out->n;
    bool all = m->bytes;

    if (whole >= 0) {
        ss_ids_add(out, whole);
        return SS_OK;
    }
    for (size_t i = 0; i < n && all; i++) {
        char byte[8];
        const int len = snprintf(byte, sizeof byte, "<0x%02X>", (unsigned char)text[i]);
        const int32_t id = ss_words_find(&m->words, byte, (size_t)len);

        all = id >= 0;
        if (all)
            ss_ids_add(out, id);
    }
    if (all)
        return SS_OK;
    out->n = before;
    if (m->unknown < 0)
        return ss_fail(e, SS_FORMAT, "the vocabulary has no token for what is unknown");
    ss_ids_add(out, m->unknown);
    return SS_OK;
}

ss_code ss_unigram_encode(const ss_unigram *m, const char *text, size_t n, ss_ids *out, ss_err *e)
{
    ending *best = ss_alloc(n + 1, sizeof *best);
    ss_code rc = SS_OK;

    if (!best)
        return ss_no_memory(e, "a text");
    search(m, text, n, best);
    /* turns the links round: from where a piece ends, to the next one */
    size_t *next = ss_alloc(n + 1, sizeof *next);
    if (!next) {
        ss_free(best);
        return ss_no_memory(e, "a text");
    }
    for (size_t at = n; at > 0; at = best[at].from)
        next[best[at].from] = at;
    for (size_t at = 0; at < n && rc == SS_OK;) {
        size_t end = next[at];
        const int32_t id = best[end].id;

        if (id >= 0 && id != m->unknown) {
            ss_ids_add(out, id);
        } else {
            while (end < n && (best[next[end]].id < 0 || best[next[end]].id == m->unknown))
                end = next[end];
            rc = add_unknown(m, text + at, end - at, out, e);
        }
        at = end;
    }
    ss_free(next);
    ss_free(best);
    return rc;
}
