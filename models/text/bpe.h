/* bpe.h - byte pair encoding: pairs of neighbours are merged in the order of a list
 *
 *   word "lower"     l o w e r</w>  ->  lo w er</w>  ->  low er</w>  ->  lower</w>
 *
 * The last character carries a suffix ("</w>" for CLIP). Each step merges the pair that stands
 * first in the list, of equal ones the leftmost.
 *
 * Source: Sennrich, Haddow, Birch 2016, "Neural machine translation of rare words with subword
 * units", ACL; as `tokenizers` 0.23 has it (models/bpe).
 */
#ifndef SS_MODELS_TEXT_BPE_H
#define SS_MODELS_TEXT_BPE_H

#include "models/text/words.h"

typedef struct {
    int32_t a, b;  /* ids of the pair */
    int32_t rank;  /* place in the list */
    int32_t whole; /* id of what they make */
} ss_merge;

typedef struct {
    ss_words words;
    ss_merge *merge; /* ascending by pair */
    size_t n_merges, cap;
    char *suffix;      /* of the last character of a word, or NULL */
    int32_t unknown;   /* id for characters that are no word, or -1 */
    bool fuse_unknown; /* several in a row are one token */
    bool whole_first;  /* a word of the vocabulary is not taken apart */
} ss_bpe;

/* Adds the next merge of the list; words must be finished. SS_FORMAT if one of them is not in the
 * vocabulary, nor what they make. */
ss_code ss_bpe_add_merge(ss_bpe *m, const char *a, size_t a_len, const char *b, size_t b_len,
                         const char *name, ss_err *e);
/* Sorts the merges: of two with the same pair the later one counts. */
void ss_bpe_finish(ss_bpe *m);
void ss_bpe_release(ss_bpe *m); /* {0} is fine */

/* Appends the ids of a word of n > 0 bytes, well-formed UTF-8. SS_FORMAT where a character is not
 * in the vocabulary and nothing stands for unknown ones. */
ss_code ss_bpe_encode(const ss_bpe *m, const char *word, size_t n, ss_ids *out, ss_err *e);

#endif
