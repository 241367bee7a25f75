/* pickle_literals.c - values that an opcode of a pickle holds itself: see pickle_machine.h
 *
 * Binary ones are little-endian, but for floats, which are big-endian. Those of protocol 0 are
 * lines: decimal numbers, texts in quotes with Python's escapes, and raw-unicode-escape.
 */
#include "base/str.h"
#include "models/file/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

static ss_pickle_value *unreadable(const ss_pickle_store *s, const char *what, ss_err *e)
{
    ss_fail(e, SS_FORMAT, "%s: pickle: %s cannot be read", s->path, what);
    return NULL;
}

static ss_pickle_value *make_int(ss_pickle_store *s, int64_t number, ss_err *e)
{
    ss_pickle_value *v = ss_pickle_new(s, SS_PICKLE_INT, e);

    if (v)
        v->number = number;
    return v;
}

static ss_pickle_value *make_bool(ss_pickle_store *s, bool truth, ss_err *e)
{
    ss_pickle_value *v = ss_pickle_new(s, SS_PICKLE_BOOL, e);

    if (v)
        v->truth = truth;
    return v;
}

static ss_pickle_value *make_float(ss_pickle_store *s, double real, ss_err *e)
{
    ss_pickle_value *v = ss_pickle_new(s, SS_PICKLE_FLOAT, e);

    if (v)
        v->real = real;
    return v;
}

static ss_pickle_value *make_text(ss_pickle_store *s, ss_pickle_kind kind, const char *text,
                                  size_t n, ss_err *e)
{
    ss_pickle_value *v = ss_pickle_new(s, kind, e);

    if (v) {
        v->text.s = text;
        v->text.n = n;
    }
    return v;
}

static double binary_float(const char *text)
{
    uint64_t bits = 0;
    double real;

    for (int i = 0; i < 8; i++)
        bits = bits << 8 | (unsigned char)text[i];
    memcpy(&real, &bits, sizeof real);
    return real;
}

/* Two's complement of any length. */
static ss_pickle_value *make_long(ss_pickle_store *s, const ss_pickle_argument *a, ss_err *e)
{
    uint64_t v = 0;

    if (a->n > 8)
        return make_text(s, SS_PICKLE_BIG, a->text, a->n, e);
    for (size_t i = a->n; i-- > 0;)
        v = v << 8 | (unsigned char)a->text[i];
    if (a->n && a->n < 8 && (unsigned char)a->text[a->n - 1] & 0x80)
        v |= ~UINT64_C(0) << 8 * a->n;
    return make_int(s, (int64_t)v, e);
}

enum { LINE = 64 };

/* Copies a line; false if it is longer than numbers are. */
static bool short_line(const ss_pickle_argument *a, char out[LINE])
{
    if (a->n >= LINE)
        return false;
    memcpy(out, a->text, a->n);
    out[a->n] = '\0';
    return strlen(out) == a->n;
}

/* "12", "12L", and for INT also "00" and "01", which are False and True. */
static ss_pickle_value *make_decimal(ss_pickle_store *s, const ss_pickle_argument *a, bool is_int,
                                     ss_err *e)
{
    char line[LINE];
    int64_t v;

    if (is_int && a->n == 2 && a->text[0] == '0' && (a->text[1] == '0' || a->text[1] == '1'))
        return make_bool(s, a->text[1] == '1', e);
    if (!short_line(a, line))
        return unreadable(s, "a number", e);
    if (a->n && line[a->n - 1] == 'L')
        line[a->n - 1] = '\0';
    if (ss_parse_i64(line, &v))
        return make_int(s, v, e);
    for (const char *p = line + (line[0] == '-'); *p; p++) {
        if (*p < '0' || *p > '9')
            return unreadable(s, "a number", e);
    }
    return make_text(s, SS_PICKLE_BIG, a->text, a->n, e);
}

/* Also inf and nan, which ss_parse_double refuses. */
static ss_pickle_value *make_decimal_float(ss_pickle_store *s, const ss_pickle_argument *a,
                                           ss_err *e)
{
    char line[LINE], *end = line;
    const double v = short_line(a, line) ? strtod(line, &end) : 0;

    return end != line && !*end ? make_float(s, v, e) : unreadable(s, "a number", e);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes a code point as UTF-8; returns its length. */
static size_t put_utf8(char *out, uint32_t c)
{
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00 >> n & 0xff) | c);
    return n;
}

/* Reads \xNN, \uNNNN, \UNNNNNNNN at text; 0 where there is none, else its length. */
static size_t read_escape(const char *text, size_t n, uint32_t *c)
{
    static const char kinds[] = "xuU";
    const char *kind = n > 1 && text[0] == '\\' && text[1] ? strchr(kinds, text[1]) : NULL;
    const size_t digits = kind ? (size_t)2 << (kind - kinds) : 0;
    uint32_t v = 0;

    if (!kind || n < 2 + digits)
        return 0;
    for (size_t i = 0; i < digits; i++) {
        const int d = hex_digit(text[2 + i]);

        if (d < 0)
            return 0;
        v = v << 4 | (uint32_t)d;
    }
    *c = v;
    return v <= 0x10ffff ? 2 + digits : 0;
}

/* A line in raw-unicode-escape: Latin-1 but for \uNNNN and \UNNNNNNNN. */
static ss_pickle_value *make_unicode_line(ss_pickle_store *s, const ss_pickle_argument *a,
                                          ss_err *e)
{
    char *out = ss_pickle_text(s, 2 * a->n, e); /* no form is longer as UTF-8 */
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < a->n;) {
        const bool is_hex = a->n - i > 1 && a->text[i + 1] == 'x';
        uint32_t c = (unsigned char)a->text[i];
        const size_t used = is_hex ? 0 : read_escape(a->text + i, a->n - i, &c);

        n += put_utf8(out + n, c);
        i += used ? used : 1;
    }
    return make_text(s, SS_PICKLE_TEXT, out, n, e);
}

/* Reads one letter of a quoted text, maybe escaped; returns how many bytes it takes. */
static size_t read_letter(const char *text, size_t n, char *letter)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *known = n > 1 && text[0] == '\\' && text[1] ? strchr(from, text[1]) : NULL;
    uint32_t c = 0;
    const size_t used = n > 1 && text[1] == 'x' ? read_escape(text, n, &c) : 0;

    *letter = known ? to[known - from] : used ? (char)c : text[0];
    return known ? 2 : used ? used : 1;
}

static ss_pickle_value *make_quoted_line(ss_pickle_store *s, const ss_pickle_argument *a, ss_err *e)
{
    char *out = ss_pickle_text(s, a->n, e);
    size_t n = 0;

    if (!out)
        return NULL;
    if (a->n < 2 || a->text[0] != a->text[a->n - 1] || (a->text[0] != '\'' && a->text[0] != '"'))
        return unreadable(s, "a text without quotes", e);
    for (size_t i = 1; i < a->n - 1;)
        i += read_letter(a->text + i, a->n - 1 - i, &out[n++]);
    return make_text(s, SS_PICKLE_TEXT, out, n, e);
}

ss_pickle_value *ss_pickle_literal(ss_pickle_store *s, unsigned char op,
                                   const ss_pickle_argument *a, ss_err *e)
{
    switch (op) {
    case 'N': return ss_pickle_new(s, SS_PICKLE_NONE, e);
    case 0x88: return make_bool(s, true, e);
    case 0x89: return make_bool(s, false, e);
    case 'I': return make_decimal(s, a, true, e);
    case 'L': return make_decimal(s, a, false, e);
    case 'J': return make_int(s, (int32_t)(uint32_t)a->number, e);
    case 'K':
    case 'M': return make_int(s, (int64_t)a->number, e);
    case 0x8a:
    case 0x8b: return make_long(s, a, e);
    case 'F': return make_decimal_float(s, a, e);
    case 'G': return make_float(s, binary_float(a->text), e);
    case 'V': return make_unicode_line(s, a, e);
    case 'S': return make_quoted_line(s, a, e);
    case 'T':
    case 'U': /* str of Python 2 */
    case 'X':
    case 0x8c:
    case 0x8d: return make_text(s, SS_PICKLE_TEXT, a->text, a->n, e);
    case 'B':
    case 'C':
    case 0x8e:
    case 0x96: return make_text(s, SS_PICKLE_BYTES, a->text, a->n, e);
    default: return unreadable(s, "an opcode", e);
    }
}
