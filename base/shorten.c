/* shorten.c - see shorten.h */
#include "base/shorten.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DOTS = 2 }; /* characters that stand for what is left out */

int ss_display_width(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Byte offset of character i. */
static size_t offset_of(const char *s, int i)
{
    const char *p = s;

    for (; *p; p++) {
        if (((unsigned char)*p & 0xc0) != 0x80 && i-- == 0)
            break;
    }
    return (size_t)(p - s);
}

/* The texts, each once, in the order of strcmp, so that those with one beginning are side by side.
 */
typedef struct {
    const char **text;
    size_t n;
} sorted;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool fits(const char *text, const char *head, size_t n_head, const char *tail)
{
    const size_t n = strlen(text), n_tail = strlen(tail);

    return n >= n_head + n_tail && memcmp(text, head, n_head) == 0 &&
           memcmp(text + n - n_tail, tail, n_tail) == 0;
}

/* True when no text but number `at` begins with its first `head` bytes and ends with `tail`. */
static bool is_alone(const sorted *s, size_t at, size_t head, const char *tail)
{
    const char *own = s->text[at];

    for (size_t i = at + 1; i < s->n && strncmp(s->text[i], own, head) == 0; i++)
        if (fits(s->text[i], own, head, tail))
            return false;
    for (size_t i = at; i-- > 0 && strncmp(s->text[i], own, head) == 0;)
        if (fits(s->text[i], own, head, tail))
            return false;
    return true;
}

static char *joined(const char *text, size_t head, const char *tail)
{
    ss_str out = {0};

    ss_str_addn(&out, text, head);
    ss_str_add(&out, "..");
    ss_str_add(&out, tail);
    return ss_str_detach(&out);
}

/* The text at `at`, in as few characters from `width` on as distinguish it; NULL: no memory. */
static char *shorten(const sorted *s, size_t at, int width)
{
    const char *text = s->text[at];
    const int n = ss_display_width(text);

    for (int w = width < DOTS + 2 ? DOTS + 2 : width; w < n; w++) {
        const int kept = w - DOTS, middle = (kept + 1) / 2;

        for (int k = 0; k < 2 * kept; k++) { /* the middle, then further and further from it */
            const int head = middle + (k % 2 ? (k + 1) / 2 : -(k / 2));

            if (head < 1 || head >= kept)
                continue;
            const size_t end = offset_of(text, head);
            const char *tail = text + offset_of(text, n - (kept - head));

            if (is_alone(s, at, end, tail))
                return joined(text, end, tail);
        }
    }
    return ss_strdup(text);
}

/* A shown text and what it stands for. */
typedef struct {
    char *shown;
    const char *text;
    size_t at;
} pair;

static int by_shown(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    const int order = strcmp(x->shown, y->shown);

    return order ? order : strcmp(x->text, y->text);
}

/* Restores texts that look like another: a name may itself have two dots in its middle. Returns how
 * many, or -1 without memory. */
static int part(pair *p, size_t n)
{
    int changed = 0;

    qsort(p, n, sizeof *p, by_shown);
    for (size_t i = 0, end; i < n; i = end) {
        bool twins = false;

        for (end = i + 1; end < n && strcmp(p[end].shown, p[i].shown) == 0; end++)
            twins |= strcmp(p[end].text, p[i].text) != 0;
        for (size_t k = i; k < end && twins; k++) {
            if (strcmp(p[k].shown, p[k].text) == 0)
                continue;
            char *whole = ss_strdup(p[k].text);

            if (!whole)
                return -1;
            ss_free(p[k].shown);
            p[k].shown = whole;
            changed++;
        }
    }
    return changed;
}

ss_code ss_shorten(const char *const *texts, size_t n, int width, char **shown, ss_err *e)
{
    sorted s = {.text = ss_alloc(n + 1, sizeof *s.text)};
    pair *p = ss_calloc(n + 1, sizeof *p);
    int changed = s.text && p ? 1 : -1;

    for (size_t i = 0; changed > 0 && i < n; i++)
        s.text[i] = texts[i];
    if (changed > 0)
        qsort(s.text, n, sizeof *s.text, by_text);
    for (size_t i = 0; changed > 0 && i < n; i++)
        if (s.n == 0 || strcmp(s.text[s.n - 1], s.text[i]) != 0)
            s.text[s.n++] = s.text[i];
    for (size_t i = 0; changed > 0 && i < n; i++) {
        const char **hit = bsearch(&texts[i], s.text, s.n, sizeof *s.text, by_text);

        p[i] = (pair){shorten(&s, (size_t)(hit - s.text), width), texts[i], i};
        changed = p[i].shown ? 1 : -1;
    }
    while (changed > 0)
        changed = part(p, n);
    for (size_t i = 0; p && i < n; i++) {
        if (changed < 0)
            ss_free(p[i].shown);
        else
            shown[p[i].at] = p[i].shown;
    }
    ss_free(s.text);
    ss_free(p);
    return changed < 0 ? ss_no_memory(e, "shortening names") : SS_OK;
}
