/* charsmap.h - sentencepiece's table of replacements: strings and what stands for them
 *
 * Layout, little-endian:
 *
 *   u32 bytes of the units          a multiple of 1024: blocks of 256 units
 *   u32 unit[]                      a double array (Yata et al. 2007), the root first
 *   char replacement[]              strings, each ending in NUL
 *
 *   unit    bits 0-7 and 31: label; bit 8: a leaf follows; bits 10-30: offset, shifted left by
 *           8 if bit 9 is set; a leaf holds in bits 0-30 where its replacement begins
 *   walk    from unit p with the offset o by byte c: q = p ^ o ^ c, if the label of q is c;
 *           its leaf is at q ^ offset of q
 */
#ifndef SS_MODELS_TEXT_CHARSMAP_H
#define SS_MODELS_TEXT_CHARSMAP_H

#include "base/str.h"

typedef struct {
    unsigned char *blob; /* NULL: the table is empty */
    size_t n_units;
    const char *text; /* the replacements */
    size_t n_text;
} ss_charsmap;

/* Copies and checks a table: no walk leaves it, and no replacement has more than 64 bytes, so
 * that no text becomes much longer. SS_FORMAT, with
 * the name for messages. */
ss_code ss_charsmap_open(const void *data, size_t n, const char *name, ss_charsmap *m, ss_err *e);
void ss_charsmap_release(ss_charsmap *m); /* {0} is fine */

/* Appends the text as `tokenizers` changes it: a grapheme cluster of less than six bytes that
 * begins with a string of the table is replaced as a whole by what stands for the shortest such
 * string; in others each character is looked up by itself. (sentencepiece takes the longest string
 * from where it is, so it composes a letter and its mark where this may not.) */
void ss_charsmap_apply(const ss_charsmap *m, ss_str *out, const char *text, size_t n);

#endif
