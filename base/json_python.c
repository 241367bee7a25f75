/* json_python.c - see json_python.h */
#include "base/json_python.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 6 }; /* bytes of \uXXXX */

#define NO_CHARACTER "\\ufffd"

/* The code of "\uXXXX" at the beginning of n bytes; -1 if there is none. */
static int unicode_escape(const char *s, size_t n)
{
    char digits[5] = "";

    if (n < ESCAPE || s[0] != '\\' || s[1] != 'u')
        return -1;
    memcpy(digits, s + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? (int)strtol(digits, NULL, 16) : -1;
}

static bool is_high(int code)
{
    return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(int code)
{
    return code >= 0xdc00 && code < 0xe000;
}

/* The escape at s, and how many bytes of the n it takes. */
static size_t put_escape(ss_str *out, const char *s, size_t n)
{
    const int code = unicode_escape(s, n);

    if (code < 0) { /* \n, \", or an error: two bytes, if there are so many */
        const size_t taken = n < 2 ? n : 2;

        ss_str_addn(out, s, taken);
        return taken;
    }
    if (is_high(code) && is_low(unicode_escape(s + ESCAPE, n - ESCAPE))) {
        ss_str_addn(out, s, 2 * ESCAPE);
        return 2 * (size_t)ESCAPE;
    }
    if (code == 0 || is_high(code) || is_low(code))
        ss_str_add(out, NO_CHARACTER);
    else
        ss_str_addn(out, s, ESCAPE);
    return ESCAPE;
}

/* The string whose opening quote is at s, up to its closing one, or to the end. */
static size_t put_string(ss_str *out, const char *s, size_t n)
{
    size_t at = 1;

    ss_str_addn(out, s, 1);
    while (at < n && s[at] != '"') {
        const char *stop = s + at;
        size_t plain = 0;

        while (at + plain < n && stop[plain] != '"' && stop[plain] != '\\')
            plain++;
        ss_str_addn(out, stop, plain);
        at += plain;
        if (at < n && s[at] == '\\')
            at += put_escape(out, s + at, n - at);
    }
    if (at < n)
        ss_str_addn(out, s + at++, 1);
    return at;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || strchr("+-._", c);
}

static bool is(const char *word, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(word, text, n) == 0;
}

static size_t digits_at(const char *s)
{
    return strspn(s, "0123456789");
}

/* Number of bytes at s that are digits of an integer, if s is a JSON number; else 0. */
static size_t integer_part(const char *s)
{
    const size_t n = digits_at(s);
    const char *at = s + n;

    if (n == 0 || (s[0] == '0' && n > 1))
        return 0;
    if (*at == '.' && !digits_at(++at))
        return 0;
    at += digits_at(at);
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '+' || at[1] == '-');
        if (!digits_at(at))
            return 0;
        at += digits_at(at);
    }
    return *at ? 0 : n;
}

/* A number that has too many digits, or too large an exponent, becomes one that can be read. */
static void put_number(ss_str *out, const char *word)
{
    const bool minus = word[0] == '-';
    const size_t n = integer_part(word + minus);
    int64_t fits;

    if (n && isinf(strtod(word, NULL))) {
        ss_str_add(out, minus ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    ss_str_add(out, word);
    if (n && !word[minus + n] && !ss_parse_i64(word, &fits))
        ss_str_add(out, ".0");
}

/* A number, or a name such as true; key: a colon follows, and no number can be a key. */
static void put_word(ss_str *out, const char *word, size_t n, bool key)
{
    const char first = word[word[0] == '-' && n > 1];

    if (!key && (is(word, n, "NaN") || is(word, n, "Infinity") || is(word, n, "-Infinity"))) {
        ss_str_add(out, "\"");
        ss_str_addn(out, word, n);
        ss_str_add(out, "\"");
    } else if (!key && isdigit((unsigned char)first)) {
        ss_str copy = {0};

        ss_str_addn(&copy, word, n);
        if (copy.failed)
            out->failed = true;
        else
            put_number(out, copy.s);
        ss_str_release(&copy);
    } else {
        ss_str_addn(out, word, n);
    }
}

/* True if the next character, white space aside, is a colon. */
static bool colon_follows(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && s[i] && strchr(" \t\r\n", s[i]))
        i++;
    return i < n && s[i] == ':';
}

char *ss_json_from_python(const char *text, size_t len, size_t *n)
{
    static const char mark[] = "\xef\xbb\xbf";
    ss_str out = {0};
    size_t at = len >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;

    ss_str_add(&out, "");
    while (at < len) {
        size_t size = 0;

        while (at + size < len && text[at + size] && in_word(text[at + size]))
            size++;
        if (size) {
            put_word(&out, text + at, size, colon_follows(text + at + size, len - at - size));
        } else if (text[at] == '"') {
            size = put_string(&out, text + at, len - at);
        } else {
            ss_str_addn(&out, text + at, 1);
            size = 1;
        }
        at += size;
    }
    *n = out.len;
    return ss_str_detach(&out);
}
