/* spiece.c - see spiece.h */
#include "models/text/spiece.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/text/charsmap.h"
#include "models/text/spiece_library.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST = 64 << 20, MOST_PIECES = 1 << 22, UNIGRAM = 1 };
enum { PIECES = 1, TRAINER = 2, NORMALIZER = 3, DENORMALIZER = 5 }; /* of ModelProto */

/* The rest of a message. */
typedef struct {
    const unsigned char *p;
    size_t n;
} bytes;

/* One field: a number, or the bytes of a string or message. */
typedef struct {
    uint64_t number; /* in the message */
    int type;        /* of its encoding */
    uint64_t value;
    bytes data;
} field;

static bool varint(bytes *b, uint64_t *x)
{
    *x = 0;
    for (int shift = 0; shift < 64 && b->n > 0; shift += 7) {
        const unsigned char c = *b->p++;

        b->n--;
        *x |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return true;
    }
    return false;
}

/* Takes the next field off a message; false where there is none that is whole. */
static bool take(bytes *b, field *f)
{
    uint64_t key, n = 0;

    *f = (field){0};
    if (!varint(b, &key))
        return false;
    f->number = key >> 3;
    f->type = (int)(key & 7);
    switch (f->type) {
    case 0: return varint(b, &f->value);
    case 1: n = 8; break;
    case 2:
        if (!varint(b, &n))
            return false;
        break;
    case 5: n = 4; break;
    default: return false;
    }
    if (n > b->n)
        return false;
    f->data = (bytes){b->p, (size_t)n};
    b->p += n;
    b->n -= (size_t)n;
    return true;
}

static ss_code damaged(const char *path, ss_err *e)
{
    return ss_fail(e, SS_FORMAT, "%s: not a model of sentencepiece, or cut off", path);
}

static ss_code read_piece(bytes b, const char *path, ss_spiece *m, size_t *cap, ss_err *e)
{
    const size_t id = m->n_pieces;
    unsigned char kind = SS_PIECE_NORMAL;
    bytes text = {(const unsigned char *)"", 0};
    field f;

    while (b.n > 0) {
        if (!take(&b, &f))
            return damaged(path, e);
        if (f.number == 1 && f.type == 2)
            text = f.data;
        if (f.number == 3 && f.type == 0)
            kind = (unsigned char)(f.value < 7 ? f.value : 0);
    }
    if (id == MOST_PIECES)
        return ss_fail(e, SS_FORMAT, "%s: more than %d pieces", path, MOST_PIECES);
    unsigned char *grown = ss_grow(m->kind, cap, id + 1, 1);
    if (!grown)
        return ss_no_memory(e, path);
    m->kind = grown;
    grown[m->n_pieces++] = kind;
    ss_words_add(&m->words, (const char *)text.p, text.n, (int32_t)id);
    return SS_OK;
}

/* The character map of a normaliser: what would lead the library out of its table is refused. */
static ss_code check_normalizer(bytes b, const char *path, ss_err *e)
{
    field f;

    while (b.n > 0) {
        ss_charsmap map = {0};

        if (!take(&b, &f))
            return damaged(path, e);
        if (f.number != 2 || f.type != 2 || f.data.n == 0)
            continue;
        const ss_code rc = ss_charsmap_open(f.data.p, f.data.n, path, &map, e);
        ss_charsmap_release(&map);
        if (rc != SS_OK)
            return rc;
    }
    return SS_OK;
}

static ss_code check_trainer(bytes b, const char *path, ss_err *e)
{
    static const char *const names[] = {"", "unigram", "bpe", "word", "char"};
    uint64_t type = UNIGRAM;
    field f;

    while (b.n > 0) {
        if (!take(&b, &f))
            return damaged(path, e);
        if (f.number == 3 && f.type == 0)
            type = f.value;
    }
    if (type != UNIGRAM)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: its model_type is %" PRIu64 " (%s); supported: 1, "
                       "unigram",
                       path, type, type < 5 ? names[type] : "unknown");
    return SS_OK;
}

static ss_code read_model(bytes b, const char *path, ss_spiece *m, ss_err *e)
{
    size_t cap = 0;
    ss_code rc = SS_OK;
    field f;

    while (b.n > 0 && rc == SS_OK) {
        if (!take(&b, &f))
            return damaged(path, e);
        if (f.type != 2)
            continue;
        if (f.number == PIECES)
            rc = read_piece(f.data, path, m, &cap, e);
        else if (f.number == TRAINER)
            rc = check_trainer(f.data, path, e);
        else if (f.number == NORMALIZER || f.number == DENORMALIZER)
            rc = check_normalizer(f.data, path, e);
    }
    if (rc == SS_OK && m->n_pieces == 0)
        rc = damaged(path, e);
    return rc;
}

static ss_code result(ss_spiece_result r, const char *what, const char *why, ss_err *e)
{
    switch (r) {
    case SS_SPIECE_OK: return SS_OK;
    case SS_SPIECE_NO_MEMORY: return ss_no_memory(e, what);
    case SS_SPIECE_FAILED: break;
    }
    return ss_fail(e, SS_FORMAT, "%s: libsentencepiece: %s", what, SS_SHOW(why));
}

/* Adds the extra tokens, and sorts. */
static ss_code finish_words(const char *path, int n_extra, ss_spiece *m, ss_err *e)
{
    static const char start[] = "<extra_id_";
    size_t count = m->n_pieces;

    for (size_t i = 0; i < m->n_pieces && !m->words.failed; i++) {
        if (strncmp(m->words.pool + m->words.word[i].text, start, sizeof start - 1) == 0)
            n_extra = 0;
    }
    for (int i = n_extra; i-- > 0; count++) {
        char extra[32];
        const int len = snprintf(extra, sizeof extra, "%s%d>", start, i);

        ss_words_add(&m->words, extra, (size_t)len, (int32_t)count);
    }
    const ss_code rc = ss_words_finish(&m->words, path, e);
    if (rc == SS_OK && m->words.n != count)
        return ss_fail(e, SS_FORMAT, "%s: one piece is there twice", path);
    return rc;
}

ss_code ss_spiece_open(const char *path, int n_extra, ss_spiece *m, ss_err *e)
{
    char why[256] = "", *text = NULL;
    size_t n = 0;
    ss_code rc = ss_file_read(path, LARGEST, &text, &n, e);

    *m = (ss_spiece){0};
    if (rc != SS_OK)
        return rc;
    rc = read_model((bytes){(const unsigned char *)text, n}, path, m, e);
    if (rc == SS_OK)
        rc = finish_words(path, n_extra, m, e);
    if (rc == SS_OK)
        rc = result(ss_spiece_library_open(text, n, &m->library, why, sizeof why), path, why, e);
    ss_free(text);
    if (rc != SS_OK)
        ss_spiece_release(m);
    return rc;
}

void ss_spiece_release(ss_spiece *m)
{
    ss_spiece_library_close(m->library);
    ss_words_release(&m->words);
    ss_free(m->kind);
    *m = (ss_spiece){0};
}

static void add(void *arg, int id)
{
    ss_ids_add(arg, id);
}

ss_code ss_spiece_encode(const ss_spiece *m, const char *text, size_t n, ss_ids *out, ss_err *e)
{
    char why[256] = "";

    return result(ss_spiece_library_encode(m->library, text, n, add, out, why, sizeof why),
                  "a text", why, e);
}
