/* unicode.c - see unicode.h */
#include "models/text/unicode.h"

#include "base/mem.h"

#include <string.h>

/* Code points of a run of them, and their value. */
typedef struct {
    int32_t first, last, value;
} range;

typedef struct {
    int32_t first, last, step, distance;
} lower_run;

/* A code point and the one (second is 0) or two that it decomposes into. */
typedef struct {
    int32_t whole, first, second;
} parts;

#include "models/text/unicode_data.inc"

enum { CONTROL = 1, EXTEND, SPACING_MARK, PREPENDED, PICTOGRAPHIC, JOINER }; /* of graphemes */

#define N(a) (sizeof(a) / sizeof *(a))

/* Value of the range that c is in, 0 if there is none. */
static int value_of(const range *r, size_t n, uint32_t c)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if ((uint32_t)r[mid].last < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && (uint32_t)r[lo].first <= c ? r[lo].value : 0;
}

ss_char_kind ss_char_category(uint32_t c)
{
    return (ss_char_kind)value_of(categories, N(categories), c);
}

bool ss_char_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r');
    return ss_char_category(c) == SS_CHAR_SPACE;
}

/* --- UTF-8 --- */

size_t ss_utf8_length(char first)
{
    const unsigned char b = (unsigned char)first;

    return b < 0xc0 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}

uint32_t ss_utf8_get(const char *s)
{
    const unsigned char *b = (const unsigned char *)s;

    switch (ss_utf8_length(*s)) {
    case 1: return b[0];
    case 2: return (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
    case 3: return (b[0] & 0xfu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    default: return (b[0] & 7u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
    }
}

void ss_utf8_put(ss_str *out, uint32_t c)
{
    char b[4];
    size_t n = 0;

    if (c < 0x80) {
        b[n++] = (char)c;
    } else if (c < 0x800) {
        b[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        b[n++] = (char)(0xe0 | c >> 12);
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        b[n++] = (char)(0xf0 | c >> 18);
        b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        b[n++] = (char)(0x80 | (c & 0x3f));
    ss_str_addn(out, b, n);
}

/* Bytes at s, of n, that begin a character as far as they go; *whole: they are one. */
static size_t character(const unsigned char *s, size_t n, bool *whole)
{
    const unsigned char b = s[0];
    const size_t want = b < 0x80   ? 1
                        : b < 0xc2 ? 0
                        : b < 0xe0 ? 2
                        : b < 0xf0 ? 3
                        : b < 0xf5 ? 4
                                   : 0;
    /* the second byte says whether the form is overlong, a surrogate or too large */
    const unsigned char lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    const unsigned char hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    size_t k = 1;

    while (k < want && k < n && s[k] >= (k == 1 ? lo : 0x80) && s[k] <= (k == 1 ? hi : 0xbf))
        k++;
    *whole = k == want;
    return k;
}

void ss_utf8_mend(ss_str *out, const char *text, size_t n)
{
    size_t from = 0, at = 0;

    while (at < n) {
        bool whole;
        const size_t k = character((const unsigned char *)text + at, n - at, &whole);

        if (!whole) {
            ss_str_addn(out, text + from, at - from);
            ss_str_add(out, "\xef\xbf\xbd");
            from = at + k;
        }
        at += k;
    }
    ss_str_addn(out, text + from, n - from);
}

/* --- NFC: decompose, sort marks by their class, compose --- */

enum {
    S_BASE = 0xac00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28,
    S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

typedef struct {
    uint32_t c;
    int class;
} mark;

typedef struct {
    mark *m;
    size_t n, cap;
    bool failed;
} marks;

static void add_mark(marks *a, uint32_t c)
{
    mark *m = a->failed ? NULL : ss_grow(a->m, &a->cap, a->n + 1, sizeof *m);

    if (!m) {
        a->failed = true;
        return;
    }
    a->m = m;
    m[a->n++] = (mark){c, value_of(combining, N(combining), c)};
}

/* Recursion ends: each step is to a code point of an older version. */
static void decompose(marks *a, uint32_t c)
{
    size_t lo = 0, hi = N(decomposed);

    if (c >= S_BASE && c < S_BASE + S_COUNT) {
        const uint32_t s = c - S_BASE;

        add_mark(a, L_BASE + s / (V_COUNT * T_COUNT));
        add_mark(a, V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT);
        if (s % T_COUNT)
            add_mark(a, T_BASE + s % T_COUNT);
        return;
    }
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if ((uint32_t)decomposed[mid].whole < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == N(decomposed) || (uint32_t)decomposed[lo].whole != c) {
        add_mark(a, c);
        return;
    }
    decompose(a, (uint32_t)decomposed[lo].first);
    if (decomposed[lo].second)
        decompose(a, (uint32_t)decomposed[lo].second);
}

/* Sorts runs of marks by class, those of one class in their order: a merge sort, as a hostile text
 * is one long run. */
static void sort_run(mark *m, size_t n, mark *room)
{
    if (n < 2)
        return;
    const size_t half = n / 2;
    size_t i = 0, k = half;

    sort_run(m, half, room);
    sort_run(m + half, n - half, room);
    for (size_t at = 0; at < n; at++)
        room[at] = k == n || (i < half && m[i].class <= m[k].class) ? m[i++] : m[k++];
    memcpy(m, room, n * sizeof *m);
}

static bool sort_marks(marks *a)
{
    mark *room = ss_alloc(a->n, sizeof *room);

    if (!room)
        return false;
    for (size_t i = 0; i < a->n;) {
        size_t end = i + 1;

        if (a->m[i].class) {
            while (end < a->n && a->m[end].class)
                end++;
            sort_run(a->m + i, end - i, room);
        }
        i = end;
    }
    ss_free(room);
    return true;
}

/* The code point that the two compose, or 0. */
static uint32_t compose_two(uint32_t a, uint32_t b)
{
    size_t lo = 0, hi = N(composed);

    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + b - V_BASE) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE &&
        b < T_BASE + T_COUNT)
        return a + b - T_BASE;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const parts *p = &decomposed[composed[mid]];

        if ((uint32_t)p->first < a || ((uint32_t)p->first == a && (uint32_t)p->second < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == N(composed))
        return 0;
    const parts *p = &decomposed[composed[lo]];
    return (uint32_t)p->first == a && (uint32_t)p->second == b ? (uint32_t)p->whole : 0;
}

static void compose(marks *a)
{
    size_t n = 0, starter = 0;
    bool has_starter = false;

    for (size_t i = 0; i < a->n; i++) {
        const mark m = a->m[i];
        /* blocked by what is between: a mark of the same or a higher class, or a starter */
        const bool near =
            has_starter && (n == starter + 1 || (a->m[n - 1].class && a->m[n - 1].class < m.class));
        const uint32_t whole = near ? compose_two(a->m[starter].c, m.c) : 0;

        if (whole) {
            a->m[starter].c = whole;
            continue;
        }
        if (m.class == 0) {
            starter = n;
            has_starter = true;
        }
        a->m[n++] = m;
    }
    a->n = n;
}

void ss_text_nfc(ss_str *out, const char *text, size_t n)
{
    marks a = {0};
    size_t plain = 0;

    /* nothing below U+0300 changes but where a mark follows */
    while (plain < n && (unsigned char)text[plain] < 0xcc)
        plain += ss_utf8_length(text[plain]);
    if (plain == n) {
        ss_str_addn(out, text, n);
        return;
    }
    for (size_t at = 0; at < n; at += ss_utf8_length(text[at]))
        decompose(&a, ss_utf8_get(text + at));
    if (a.failed || !sort_marks(&a)) {
        out->failed = true;
    } else {
        compose(&a);
        for (size_t i = 0; i < a.n; i++)
            ss_utf8_put(out, a.m[i].c);
    }
    ss_free(a.m);
}

/* --- lower case --- */

void ss_text_lower(ss_str *out, const char *text, size_t n)
{
    for (size_t at = 0; at < n; at += ss_utf8_length(text[at])) {
        const uint32_t c = ss_utf8_get(text + at);
        size_t lo = 0, hi = N(lower_runs);

        if (c == 0x130) { /* the only one that becomes two */
            ss_str_add(out, "i\xcc\x87");
            continue;
        }
        while (lo < hi) {
            const size_t mid = (lo + hi) / 2;

            if ((uint32_t)lower_runs[mid].last < c)
                lo = mid + 1;
            else
                hi = mid;
        }
        const lower_run *r = lo < N(lower_runs) ? &lower_runs[lo] : NULL;
        const bool in =
            r && (uint32_t)r->first <= c && (c - (uint32_t)r->first) % (uint32_t)r->step == 0;

        ss_utf8_put(out, in ? (uint32_t)((int32_t)c + r->distance) : c);
    }
}

/* --- grapheme clusters --- */

enum { NO_HANGUL, L, V, T, LV, LVT };

static int hangul(uint32_t c)
{
    if ((c >= 0x1100 && c <= 0x115f) || (c >= 0xa960 && c <= 0xa97c))
        return L;
    if ((c >= 0x1160 && c <= 0x11a7) || (c >= 0xd7b0 && c <= 0xd7c6))
        return V;
    if ((c >= 0x11a8 && c <= 0x11ff) || (c >= 0xd7cb && c <= 0xd7fb))
        return T;
    if (c >= S_BASE && c < S_BASE + S_COUNT)
        return (c - S_BASE) % T_COUNT ? LVT : LV;
    return NO_HANGUL;
}

static bool hangul_joins(uint32_t before, uint32_t c)
{
    const int a = hangul(before), b = hangul(c);

    return (a == L && (b == L || b == V || b == LV || b == LVT)) ||
           ((a == LV || a == V) && (b == V || b == T)) || ((a == LVT || a == T) && b == T);
}

size_t ss_grapheme_end(const char *text, size_t n, size_t at)
{
    uint32_t before = ss_utf8_get(text + at);
    int kind = value_of(graphemes, N(graphemes), before);
    bool picture = kind == PICTOGRAPHIC; /* and only marks since */

    at += ss_utf8_length(text[at]);
    if (before == '\r' && at < n && text[at] == '\n')
        return at + 1;
    while (at < n) {
        const uint32_t c = ss_utf8_get(text + at);
        const int next = value_of(graphemes, N(graphemes), c);

        if (kind == CONTROL || next == CONTROL)
            break;
        if (!(next == EXTEND || next == JOINER || next == SPACING_MARK || kind == PREPENDED ||
              (kind == JOINER && picture && next == PICTOGRAPHIC) || hangul_joins(before, c)))
            break;
        picture = next == PICTOGRAPHIC || (picture && (next == EXTEND || next == JOINER));
        kind = next;
        before = c;
        at += ss_utf8_length(text[at]);
    }
    return at;
}
