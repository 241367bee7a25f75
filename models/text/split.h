/* split.h - the patterns by which byte-level tokenizers cut a text into words, through PCRE2
 *
 * What is a letter, a number or white space in them is as unicode.h says, not as the PCRE2 at hand
 * does: it sees a text with one byte for each character,
 *
 *   "Żółw 42\u00a0³"   becomes   "QQQw 42\n0"
 *
 * where ASCII stays and the others become Q (letters), 0, a newline (white space) or a dot. No
 * pattern has a Q or a dot of its own.
 */
#ifndef SS_MODELS_TEXT_SPLIT_H
#define SS_MODELS_TEXT_SPLIT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Which pattern, and how `tokenizers` writes it. */
#define SS_SPLIT_PATTERNS(X)                                                                    \
    /* of transformers 5: special tokens stay whole */                                          \
    X(CLIP, "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|" \
            "[^\\s\\p{L}\\p{N}]+")                                                              \
    /* of transformers 4 */                                                                     \
    X(CLIP_PLAIN, "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+")             \
    /* of the pre-tokenizer ByteLevel, unless use_regex is false */                             \
    X(BYTE_LEVEL, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"          \
                  "\\s+(?!\\S)|\\s+")

#define X(name, text) SS_SPLIT_##name,
typedef enum { SS_SPLIT_PATTERNS(X) SS_N_SPLITS } ss_split_pattern;
#undef X

/* The pattern with this text, or SS_N_SPLITS. */
ss_split_pattern ss_split_find(const char *text);

/* A compiled pattern; threads may share it. */
typedef struct ss_split ss_split;

ss_code ss_split_open(ss_split_pattern pattern, ss_split **s, ss_err *e);
void ss_split_close(ss_split *s); /* NULL is fine */

/* Calls word(arg, text, n) for each match in a text of well-formed UTF-8, in order, until one
 * fails. What is between matches is left out. SS_FORMAT if PCRE2 gives up, at limits that no text
 * reaches: the patterns never go back. */
ss_code ss_split_each(const ss_split *s, const char *text, size_t n,
                      ss_code (*word)(void *arg, const char *text, size_t n), void *arg, ss_err *e);

#endif
