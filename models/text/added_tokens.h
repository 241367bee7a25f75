/* added_tokens.h - tokens that are found in a text before it is cut into words: <|endoftext|>, </s>
 *
 * They are searched from the left, of several that begin at one place the longest. Those with
 * `normalized` are found in the normalised text, and so is their own text; the others before.
 *
 * As `tokenizers` 0.23 does it (tokenizer/added_vocabulary): of a token that is added twice, the
 * last one counts.
 */
#ifndef SS_MODELS_TEXT_ADDED_TOKENS_H
#define SS_MODELS_TEXT_ADDED_TOKENS_H

#include "models/text/words.h"

typedef struct {
    const char *text;
    bool special, normalized;
    bool takes_left, takes_right; /* white space beside it ("lstrip", "rstrip") */
    bool weak; /* does not count where another one has its text and is not weak */
} ss_added_token;

typedef struct {
    char *text;
    ss_added_token token; /* its text is the one before */
    int32_t id;
    size_t order; /* in which it was added */
} ss_added_entry;

typedef struct {
    ss_added_entry *entry; /* after ss_added_finish: one a text, ascending by id */
    size_t n, cap;
    ss_words plain;      /* searched in the text */
    ss_words normalized; /* searched in the normalised text */
} ss_added;

/* Copies a token to the list; an empty one is passed over. */
ss_code ss_added_add(ss_added *a, const ss_added_token *token, ss_err *e);

/* Gives each token its id: that of the vocabulary, else the next one after all others. normalize
 * appends a text as the tokenizer normalises it. */
ss_code ss_added_finish(ss_added *a, const ss_words *vocabulary,
                        ss_code (*normalize)(const void *arg, const char *text, size_t n, void *out,
                                             ss_err *e),
                        const void *arg, const char *name, ss_err *e);

void ss_added_release(ss_added *a); /* {0} is fine */

/* The token's text by its id, or NULL; and its id by its text, or -1. */
const char *ss_added_text(const ss_added *a, int64_t id);
int32_t ss_added_find(const ss_added *a, const char *text);

/* Cuts a text: calls between(arg, text, n, offset) for what is between tokens, token(arg, id) for
 * each token, in order, until one fails. set is a->plain or a->normalized. */
typedef struct {
    ss_code (*between)(void *arg, const char *text, size_t n, size_t offset);
    void (*token)(void *arg, int32_t id);
    void *arg;
} ss_added_calls;
ss_code ss_added_cut(const ss_added *a, const ss_words *set, const char *text, size_t n,
                     const ss_added_calls *calls);

#endif
