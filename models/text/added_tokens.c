/* added_tokens.c - see added_tokens.h */
#include "models/text/added_tokens.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/text/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20 };

ss_code ss_added_add(ss_added *a, const ss_added_token *token, ss_err *e)
{
    if (!*token->text)
        return SS_OK;
    if (a->n == MOST)
        return ss_fail(e, SS_FORMAT, "more than %d added tokens", MOST);
    ss_added_entry *grown = ss_grow(a->entry, &a->cap, a->n + 1, sizeof *grown);
    a->entry = grown ? grown : a->entry;
    char *text = grown ? ss_strdup(token->text) : NULL;

    if (!text)
        return ss_no_memory(e, "added tokens");
    grown[a->n] = (ss_added_entry){text, *token, -1, a->n};
    grown[a->n].token.text = text;
    a->n++;
    return SS_OK;
}

static int by_text(const void *a, const void *b)
{
    const ss_added_entry *x = a, *y = b;
    const int order = strcmp(x->text, y->text);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
    const ss_added_entry *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static int by_id(const void *a, const void *b)
{
    const ss_added_entry *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* Makes of a token what it is once a later one with its text is added. */
static void join(ss_added_entry *one, const ss_added_entry *later)
{
    const ss_added_token *t = &later->token;

    if (t->weak && !one->token.weak)
        return;
    if (one->token.weak && !t->weak)
        one->order = later->order;
    one->token = *t;
    one->token.text = one->text;
}

/* Makes one of all entries with one text. */
static void unite(ss_added *a)
{
    size_t n = 0;

    qsort(a->entry, a->n, sizeof *a->entry, by_text);
    for (size_t i = 0, end; i < a->n; i = end) {
        ss_added_entry one = a->entry[i];

        for (end = i + 1; end < a->n && strcmp(a->entry[end].text, one.text) == 0; end++) {
            join(&one, &a->entry[end]);
            ss_free(a->entry[end].text);
        }
        a->entry[n++] = one;
    }
    a->n = n;
}

static ss_code number(ss_added *a, const ss_words *vocabulary, const char *name, ss_err *e)
{
    int64_t largest = -1;
    const int64_t size = (int64_t)vocabulary->n;

    qsort(a->entry, a->n, sizeof *a->entry, by_order);
    for (size_t i = 0; i < a->n; i++) {
        ss_added_entry *t = &a->entry[i];

        t->id = ss_words_find(vocabulary, t->text, strlen(t->text));
        if (t->id < 0 && largest >= INT32_MAX - 1)
            return ss_fail(e, SS_FORMAT, "%s: there is no id left for \"%s\"", name,
                           SS_SHOW(t->text));
        if (t->id < 0)
            t->id = (int32_t)(largest >= size ? largest + 1 : size);
        largest = t->id > largest ? t->id : largest;
    }
    return SS_OK;
}

ss_code ss_added_finish(ss_added *a, const ss_words *vocabulary,
                        ss_code (*normalize)(const void *arg, const char *text, size_t n, void *out,
                                             ss_err *e),
                        const void *arg, const char *name, ss_err *e)
{
    ss_code rc = SS_OK;

    if (a->n > 0) {
        unite(a);
        rc = number(a, vocabulary, name, e);
    }
    /* backwards: of two that normalise to one text, the first one counts */
    for (size_t i = a->n; i-- > 0 && rc == SS_OK;) {
        const ss_added_entry *t = &a->entry[i];
        ss_str text = {0};

        if (!t->token.normalized) {
            ss_words_add(&a->plain, t->text, strlen(t->text), t->id);
            continue;
        }
        rc = normalize(arg, t->text, strlen(t->text), &text, e);
        if (rc == SS_OK && text.len > 0)
            ss_words_add(&a->normalized, text.s, text.len, t->id);
        ss_str_release(&text);
    }
    if (rc == SS_OK)
        rc = ss_words_finish(&a->plain, name, e);
    if (rc == SS_OK)
        rc = ss_words_finish(&a->normalized, name, e);
    if (a->n > 0)
        qsort(a->entry, a->n, sizeof *a->entry, by_id);
    return rc;
}

void ss_added_release(ss_added *a)
{
    for (size_t i = 0; i < a->n; i++)
        ss_free(a->entry[i].text);
    ss_free(a->entry);
    ss_words_release(&a->plain);
    ss_words_release(&a->normalized);
    *a = (ss_added){0};
}

static const ss_added_entry *entry_of(const ss_added *a, int64_t id)
{
    size_t lo = 0, hi = a->n;

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;

        if (a->entry[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < a->n && a->entry[lo].id == id ? &a->entry[lo] : NULL;
}

const char *ss_added_text(const ss_added *a, int64_t id)
{
    const ss_added_entry *t = entry_of(a, id);

    return t ? t->text : NULL;
}

int32_t ss_added_find(const ss_added *a, const char *text)
{
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->entry[i].text, text) == 0)
            return a->entry[i].id;
    }
    return -1;
}

/* Where the white space before text[at], not before `from`, begins. */
static size_t space_before(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t last = at - 1;

        while (last > from && (text[last] & 0xc0) == 0x80)
            last--;
        if (!ss_char_is_space(ss_utf8_get(text + last)))
            break;
        at = last;
    }
    return at;
}

static size_t space_after(const char *text, size_t n, size_t at)
{
    while (at < n && ss_char_is_space(ss_utf8_get(text + at)))
        at += ss_utf8_length(text[at]);
    return at;
}

ss_code ss_added_cut(const ss_added *a, const ss_words *set, const char *text, size_t n,
                     const ss_added_calls *calls)
{
    size_t done = 0;
    ss_code rc = SS_OK;

    for (size_t at = 0; at < n && rc == SS_OK;) {
        ss_words_at walk = {0};
        size_t len = 0, longer;
        int32_t id = -1, found;

        while (ss_words_prefix(set, &walk, text + at, n - at, &longer, &found)) {
            len = longer;
            id = found;
        }
        if (id < 0) {
            at += ss_utf8_length(text[at]);
            continue;
        }
        const ss_added_token *token = &entry_of(a, id)->token;
        const size_t start = token->takes_left && at > done ? space_before(text, done, at) : at;

        if (start > done)
            rc = calls->between(calls->arg, text + done, start - done, done);
        if (rc == SS_OK)
            calls->token(calls->arg, id);
        at += len;
        done = token->takes_right ? space_after(text, n, at) : at;
        at = done > at ? done : at;
    }
    if (rc == SS_OK && done < n)
        rc = calls->between(calls->arg, text + done, n - done, done);
    return rc;
}
