/* str.c - see str.h */
#include "base/str.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for n more bytes and the NUL. */
static bool reserve(ss_str *b, size_t n)
{
    size_t need;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    char *s = ss_grow(b->s, &b->cap, need, 1);

    if (!s) {
        b->failed = true;
        return false;
    }
    b->s = s;
    return true;
}

void ss_str_addn(ss_str *b, const char *text, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n > 0) /* text may be NULL then */
        memcpy(b->s + b->len, text, n);
    b->len += n;
    b->s[b->len] = '\0';
}

void ss_str_add(ss_str *b, const char *text)
{
    ss_str_addn(b, text, strlen(text));
}

void ss_str_addv(ss_str *b, const char *fmt, va_list args)
{
    va_list again;

    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);

    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void ss_str_addf(ss_str *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    ss_str_addv(b, fmt, args);
    va_end(args);
}

void ss_str_add_quoted(ss_str *b, const char *text)
{
    ss_str_add(b, "'");
    for (; *text; text++) {
        if (*text == '\'')
            ss_str_add(b, "'\\''");
        else
            ss_str_addn(b, text, 1);
    }
    ss_str_add(b, "'");
}

void ss_str_add_word(ss_str *b, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_./+,:@%-";
    const size_t room = 4 * strlen(text) + 1;
    char *shown = ss_alloc(room, 1);

    if (!shown) {
        b->failed = true;
        return;
    }
    ss_printable(text, shown, room);
    if (*shown && shown[strspn(shown, plain)] == '\0')
        ss_str_add(b, shown);
    else
        ss_str_add_quoted(b, shown);
    ss_free(shown);
}

char *ss_textf(const char *fmt, ...)
{
    ss_str s = {0};
    va_list args;

    va_start(args, fmt);
    ss_str_addv(&s, fmt, args);
    va_end(args);
    return ss_str_detach(&s);
}

void ss_str_release(ss_str *b)
{
    ss_free(b->s);
    *b = (ss_str){0};
}

char *ss_str_detach(ss_str *b)
{
    char *s = NULL;

    if (reserve(b, 0)) { /* an empty string is a string too */
        s = b->s;
        s[b->len] = '\0';
        b->s = NULL;
    }
    ss_str_release(b);
    return s;
}

/* strto*() skip white space; a whole-string parser must not. */
static bool starts_number(const char *text)
{
    return *text && !strchr(" \t\n\v\f\r", *text);
}

bool ss_parse_double(const char *text, double *value)
{
    char *end;

    if (!starts_number(text))
        return false;
    double v = strtod(text, &end);

    if (end == text || *end || !isfinite(v))
        return false;
    *value = v;
    return true;
}

bool ss_parse_i64(const char *text, int64_t *value)
{
    char *end;

    if (!starts_number(text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);

    if (end == text || *end || errno)
        return false;
    *value = v;
    return true;
}

/* Length of the well-formed character at p (n >= 1 bytes are there), or 0; *code is
 * its code point. Table 3-7 of the Unicode standard: the second byte's range is what
 * keeps out overlong forms, surrogates and anything beyond U+10FFFF. */
static size_t utf8_char(const unsigned char *p, size_t n, uint32_t *code)
{
    unsigned char lo = 0x80, hi = 0xbf;
    size_t len;

    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    switch (p[0]) {
    case 0xe0: lo = 0xa0; break;
    case 0xed: hi = 0x9f; break;
    case 0xf0: lo = 0x90; break;
    case 0xf4: hi = 0x8f; break;
    }
    if (n < len || p[1] < lo || p[1] > hi)
        return 0;
    *code = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    return len;
}

bool ss_utf8_valid(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t code;

    while (n > 0) {
        size_t len = utf8_char(p, n, &code);

        if (len == 0)
            return false;
        p += len;
        n -= len;
    }
    return true;
}

/* C0, DEL and C1 control the terminal; the bidirectional controls reorder what is read. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

size_t ss_control_at(const char *text, uint32_t *code)
{
    const size_t len = utf8_char((const unsigned char *)text, strlen(text), code);

    return len > 0 && is_control(*code) ? len : 0;
}

char *ss_printable(const char *text, char *out, size_t n)
{
    static const char dots[] = "...";
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text), at = 0, cut = 0; /* cut: where dots still fit */

    if (n == 0)
        return out;
    while (left > 0) {
        char piece[4 * 4 + 1]; /* four bytes, each as \xNN */
        uint32_t code;
        size_t len = utf8_char(p, left, &code), size;

        if (len > 0 && !is_control(code)) {
            memcpy(piece, p, len);
            size = len;
        } else {
            len = len ? len : 1;
            size = 4 * len;
            for (size_t i = 0; i < len; i++)
                snprintf(piece + 4 * i, 5, "\\x%02x", p[i]);
        }
        if (at + size >= n) {
            size_t room = n - 1 - cut;

            at = cut;
            size = room < sizeof dots - 1 ? room : sizeof dots - 1;
            memcpy(out + at, dots, size);
            left = len = 0;
        } else {
            memcpy(out + at, piece, size);
        }
        at += size;
        if (at + sizeof dots <= n)
            cut = at;
        p += len;
        left -= len;
    }
    out[at] = '\0';
    return out;
}
