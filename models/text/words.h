/* words.h - a vocabulary: byte strings with a number each, found by their text, by what a text
 * begins with, or by number; and a growing list of such numbers
 *
 *   ss_words w = {0};
 *   ss_words_add(&w, "cat</w>", 7, 2368);
 *   rc = ss_words_finish(&w, "vocab.json", &err);     // sorts; then it is only read
 *   ss_words_find(&w, "cat</w>", 7);                  // 2368
 *
 * The strings are sorted, and a prefix is narrowed down byte by byte: no text or vocabulary makes
 * that slower than the logarithm of their number for each byte.
 */
#ifndef SS_MODELS_TEXT_WORDS_H
#define SS_MODELS_TEXT_WORDS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t text; /* offset in the pool, where a NUL follows each word */
    uint32_t len;
    int32_t id;
} ss_word;

typedef struct {
    ss_word *word; /* ascending by their bytes */
    size_t n, cap;
    uint32_t *by_id;   /* indices of words, ascending by id */
    size_t first[257]; /* words whose first byte is below i */
    char *pool;
    size_t pool_len, pool_cap;
    bool failed; /* out of memory; ss_words_finish says so */
} ss_words;

/* Adds a word; of two with the same text the later one counts. id >= 0. */
void ss_words_add(ss_words *w, const char *text, size_t len, int32_t id);

/* Sorts. SS_FORMAT, with the name for messages, where two words have one id. */
ss_code ss_words_finish(ss_words *w, const char *name, ss_err *e);

void ss_words_release(ss_words *w); /* {0} is fine */

/* The word's id, or -1. */
int32_t ss_words_find(const ss_words *w, const char *text, size_t len);

/* The word with this id, ending in NUL, or NULL. Borrowed. */
const char *ss_words_text(const ss_words *w, int64_t id);

/* Where a search for words that a text begins with has come to; {0} to begin. */
typedef struct {
    size_t lo, hi, depth;
} ss_words_at;

/* The next longer word that text begins with: its length and its id. False if there is none. */
bool ss_words_prefix(const ss_words *w, ss_words_at *at, const char *text, size_t n, size_t *len,
                     int32_t *id);

/* Ids of tokens. */
typedef struct {
    int32_t *id;
    size_t n, cap;
    bool failed; /* out of memory */
} ss_ids;

void ss_ids_add(ss_ids *a, int32_t id);

#endif
