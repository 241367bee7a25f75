/* unicode.h - what tokenizers know of code points: UTF-8, NFC, lower case, grapheme clusters
 *
 * The tables (unicode_data.inc) hold what the package `tokenizers` 0.23.3 believes, whose parts
 * know different versions of Unicode; those of a library here would split and fold some texts
 * otherwise.
 *
 * All functions but ss_utf8_mend take well-formed UTF-8, NUL bytes included.
 */
#ifndef SS_MODELS_TEXT_UNICODE_H
#define SS_MODELS_TEXT_UNICODE_H

#include "base/str.h"

/* A letter (\p{L}), a number (\p{N}), white space (\s), or none of them. */
typedef enum { SS_CHAR_OTHER, SS_CHAR_LETTER, SS_CHAR_NUMBER, SS_CHAR_SPACE } ss_char_kind;

ss_char_kind ss_char_category(uint32_t c);
bool ss_char_is_space(uint32_t c);

/* Bytes of the character that begins with this byte, 1 to 4. */
size_t ss_utf8_length(char first);
/* The code point at s. */
uint32_t ss_utf8_get(const char *s);
void ss_utf8_put(ss_str *out, uint32_t c);

/* Appends the text, with U+FFFD for each longest part of it that could begin a character but does
 * not, as Python's decode("utf-8", "replace") does; overlong forms and surrogates are such. */
void ss_utf8_mend(ss_str *out, const char *text, size_t n);

/* Appends the text's canonical composition (NFC). */
void ss_text_nfc(ss_str *out, const char *text, size_t n);

/* Appends the text in lower case, code point by code point: a final sigma is as any other. */
void ss_text_lower(ss_str *out, const char *text, size_t n);

/* End of the extended grapheme cluster that begins at `at` < n. Indic conjuncts and pairs of
 * regional indicators, which have more than five bytes in any case, are not kept together: the one
 * use is ss_charsmap_apply, which looks at shorter clusters. */
size_t ss_grapheme_end(const char *text, size_t n, size_t at);

#endif
