/* charsmap.c - see charsmap.h */
#include "models/text/charsmap.h"

#include "base/mem.h"
#include "models/text/unicode.h"

#include <string.h>

enum { BLOCK = 256, LARGEST = 64 << 20 };
enum { LONGEST = 64 }; /* bytes of a replacement; in nmt_nfkc: 33 */

static uint32_t unit_at(const ss_charsmap *m, size_t i)
{
    const unsigned char *b = m->blob + 4 * i;

    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << (unit & 1u << 9 ? 8 : 0);
}

static bool has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t label_of(uint32_t unit)
{
    return unit & (1u << 31 | 0xff);
}

static bool has_replacement(const ss_charsmap *m, size_t leaf)
{
    const size_t at = unit_at(m, leaf) & 0x7fffffff;

    return at < m->n_text && strlen(m->text + at) <= LONGEST;
}

/* Follows all walks from the root once: each unit that is met leads to a whole block, and each leaf
 * to a replacement. */
static bool check_walks(const ss_charsmap *m, unsigned char *met, uint32_t *stack)
{
    size_t n = 0;

    stack[n++] = 0;
    met[0] = 1;
    while (n > 0) {
        const size_t p = stack[--n];
        const uint32_t unit = unit_at(m, p);
        const size_t children = p ^ offset_of(unit);

        if ((children | (BLOCK - 1)) >= m->n_units)
            return false;
        /* the root's leaf bit means nothing: no string is empty */
        if (p && has_leaf(unit) && !has_replacement(m, children))
            return false;
        for (size_t c = 0; c < 256; c++) {
            const size_t q = children ^ c;

            if (label_of(unit_at(m, q)) == c && !met[q]) {
                met[q] = 1;
                stack[n++] = (uint32_t)q;
            }
        }
    }
    return true;
}

static ss_code check(const ss_charsmap *m, const char *name, ss_err *e)
{
    if (m->n_text == 0 || m->text[m->n_text - 1] != '\0' || !ss_utf8_valid(m->text, m->n_text))
        return ss_fail(
            e, SS_FORMAT,
            "%s: the character map's replacements are not strings of UTF-8 that end in a "
            "zero byte",
            name);
    unsigned char *met = ss_calloc(m->n_units, 1);
    uint32_t *stack = ss_alloc(m->n_units, sizeof *stack);
    ss_code rc = SS_OK;

    if (!met || !stack)
        rc = ss_no_memory(e, name);
    else if (!check_walks(m, met, stack))
        rc = ss_fail(
            e, SS_FORMAT,
            "%s: the character map's table leads out of itself, or to a replacement of more "
            "than %d bytes",
            name, LONGEST);
    ss_free(met);
    ss_free(stack);
    return rc;
}

ss_code ss_charsmap_open(const void *data, size_t n, const char *name, ss_charsmap *m, ss_err *e)
{
    const unsigned char *b = data;
    const size_t units =
        n < 4 ? 0 : (b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24);

    *m = (ss_charsmap){0};
    if (n < 4 || n > LARGEST || units > n - 4 || units == 0 || units % (4 * BLOCK))
        return ss_fail(
            e, SS_FORMAT,
            "%s: a character map of %zu bytes says that its table has %zu bytes; that is "
            "a multiple of 1024 within the map",
            name, n, units);
    m->blob = ss_alloc(n - 4, 1);
    if (!m->blob)
        return ss_no_memory(e, name);
    memcpy(m->blob, b + 4, n - 4);
    m->n_units = units / 4;
    m->text = (const char *)m->blob + units;
    m->n_text = n - 4 - units;
    const ss_code rc = check(m, name, e);
    if (rc != SS_OK)
        ss_charsmap_release(m);
    return rc;
}

void ss_charsmap_release(ss_charsmap *m)
{
    ss_free(m->blob);
    *m = (ss_charsmap){0};
}

/* The replacement of the shortest string of the table that the text begins with, or NULL. */
static const char *replacement(const ss_charsmap *m, const char *text, size_t n)
{
    size_t p = offset_of(unit_at(m, 0));

    for (size_t i = 0; i < n && text[i]; i++) {
        p ^= (unsigned char)text[i];
        const uint32_t unit = unit_at(m, p);

        if (label_of(unit) != (unsigned char)text[i])
            return NULL;
        p ^= offset_of(unit);
        if (has_leaf(unit))
            return m->text + (unit_at(m, p) & 0x7fffffff);
    }
    return NULL;
}

void ss_charsmap_apply(const ss_charsmap *m, ss_str *out, const char *text, size_t n)
{
    for (size_t at = 0, end; at < n && m->blob; at = end) {
        end = ss_grapheme_end(text, n, at);
        const char *whole = end - at < 6 ? replacement(m, text + at, end - at) : NULL;

        if (whole) {
            ss_str_add(out, whole);
            continue;
        }
        for (size_t len; at < end; at += len) {
            len = ss_utf8_length(text[at]);
            const char *part = replacement(m, text + at, len);

            if (part)
                ss_str_add(out, part);
            else
                ss_str_addn(out, text + at, len);
        }
    }
    if (!m->blob)
        ss_str_addn(out, text, n);
}
