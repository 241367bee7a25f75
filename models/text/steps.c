/* steps.c - see steps.h */
#include "models/text/steps.h"

#include "base/mem.h"
#include "models/text/unicode.h"

#include <string.h>

#define UNDERLINE "\xe2\x96\x81" /* U+2581 */
enum { UNDERLINE_LEN = 3 };

static void release_normal(ss_normal_step *s)
{
    ss_free(s->with);
    ss_charsmap_release(&s->map);
}

ss_code ss_steps_add_normal(ss_steps *p, ss_normal_step *step, ss_err *e)
{
    if (p->n_normal == SS_MOST_STEPS) {
        release_normal(step);
        return ss_fail(e, SS_UNSUPPORTED, "more than %d steps of normalisation", SS_MOST_STEPS);
    }
    p->normal[p->n_normal++] = *step;
    return SS_OK;
}

ss_code ss_steps_add_cut(ss_steps *p, ss_cut_step *step, ss_err *e)
{
    if (p->n_cut == SS_MOST_STEPS) {
        ss_split_close(step->pattern);
        return ss_fail(e, SS_UNSUPPORTED, "more than %d steps of pre-tokenization", SS_MOST_STEPS);
    }
    p->cut[p->n_cut++] = *step;
    return SS_OK;
}

ss_code ss_steps_add_pattern(ss_steps *p, ss_cut_kind kind, ss_split_pattern pattern, ss_err *e)
{
    ss_cut_step step = {.kind = kind};
    const ss_code rc = ss_split_open(pattern, &step.pattern, e);

    return rc == SS_OK ? ss_steps_add_cut(p, &step, e) : rc;
}

ss_code ss_steps_clip(ss_steps *p, ss_err *e)
{
    ss_normal_step nfc = {.kind = SS_NORMAL_NFC}, lower = {.kind = SS_NORMAL_LOWER};
    ss_normal_step spaces = {.kind = SS_NORMAL_SPACES, .with = ss_strdup(" ")};
    ss_cut_step bytes = {.kind = SS_CUT_BYTES};

    if (!spaces.with)
        return ss_no_memory(e, "a tokenizer");
    p->normal[p->n_normal++] = nfc;
    p->normal[p->n_normal++] = spaces;
    p->normal[p->n_normal++] = lower;
    ss_code rc = ss_steps_add_pattern(p, SS_CUT_PATTERN, SS_SPLIT_CLIP, e);
    if (rc == SS_OK)
        rc = ss_steps_add_pattern(p, SS_CUT_ALL, SS_SPLIT_BYTE_LEVEL, e);
    return rc == SS_OK ? ss_steps_add_cut(p, &bytes, e) : rc;
}

ss_code ss_steps_t5(ss_steps *p, ss_err *e)
{
    ss_cut_step spaces = {.kind = SS_CUT_SPACES};
    ss_cut_step underlines = {.kind = SS_CUT_UNDERLINES, .prepend = SS_PREPEND_ALWAYS, .cut = true};
    const ss_code rc = ss_steps_add_cut(p, &spaces, e);

    return rc == SS_OK ? ss_steps_add_cut(p, &underlines, e) : rc;
}

void ss_steps_release(ss_steps *p)
{
    for (int i = 0; i < p->n_normal; i++)
        release_normal(&p->normal[i]);
    for (int i = 0; i < p->n_cut; i++)
        ss_split_close(p->cut[i].pattern);
    *p = (ss_steps){0};
}

/* --- normalisation --- */

/* Replaces runs of at least `least` characters, white space or only U+0020. */
static void replace_runs(ss_str *out, const char *text, size_t n, bool all, size_t least,
                         const char *with)
{
    for (size_t at = 0; at < n;) {
        size_t end = at, run = 0;

        while (end < n && (all ? ss_char_is_space(ss_utf8_get(text + end)) : text[end] == ' ')) {
            end += ss_utf8_length(text[end]);
            run++;
        }
        if (run >= least) {
            ss_str_add(out, with);
            at = end;
            continue;
        }
        end = run ? end : end + ss_utf8_length(text[end]);
        ss_str_addn(out, text + at, end - at);
        at = end;
    }
}

static void strip(ss_str *out, const char *text, size_t n, const ss_normal_step *s)
{
    size_t from = 0, to = n;

    while (s->left && from < n && ss_char_is_space(ss_utf8_get(text + from)))
        from += ss_utf8_length(text[from]);
    while (s->right && to > from) {
        size_t last = to - 1;

        while (last > from && (text[last] & 0xc0) == 0x80)
            last--;
        if (!ss_char_is_space(ss_utf8_get(text + last)))
            break;
        to = last;
    }
    ss_str_addn(out, text + from, to - from);
}

static void normalize_step(const ss_normal_step *s, ss_str *out, const char *text, size_t n)
{
    switch (s->kind) {
    case SS_NORMAL_NFC: ss_text_nfc(out, text, n); return;
    case SS_NORMAL_SPACES: replace_runs(out, text, n, true, 1, s->with); return;
    case SS_NORMAL_LOWER: ss_text_lower(out, text, n); return;
    case SS_NORMAL_CHARSMAP: ss_charsmap_apply(&s->map, out, text, n); return;
    case SS_NORMAL_STRIP: strip(out, text, n, s); return;
    case SS_NORMAL_RUNS: replace_runs(out, text, n, false, 2, s->with); return;
    }
}

ss_code ss_steps_normalize(const void *steps, const char *text, size_t n, void *out, ss_err *e)
{
    const ss_steps *p = steps;
    ss_str *to = out, now = {0};
    bool failed = false;

    ss_str_addn(&now, text, n);
    for (int i = 0; i < p->n_normal; i++) {
        ss_str next = {0};

        if (now.len > SS_LONGEST_NORMALIZED) { /* steps multiply */
            ss_str_release(&now);
            return ss_fail(e, SS_FORMAT, "a text becomes longer than %d bytes by normalisation",
                           SS_LONGEST_NORMALIZED);
        }
        normalize_step(&p->normal[i], &next, now.s ? now.s : "", now.len);
        failed = failed || next.failed || now.failed;
        ss_str_release(&now);
        now = next;
    }
    failed = failed || now.failed;
    ss_str_addn(to, now.s, now.len);
    failed = failed || to->failed;
    ss_str_release(&now);
    return failed ? ss_no_memory(e, "a text") : SS_OK;
}

/* --- words --- */

/* A word on its way through the steps from `step` on. */
typedef struct {
    const ss_steps *p;
    int step;
    bool at_start;
    const char *whole; /* the text that is cut by this step */
    ss_code (*word)(void *arg, const char *text, size_t n);
    void *arg;
    ss_err *e;
} way;

static ss_code go_on(const way *w, const char *text, size_t n);

/* The next step for a part of a text. */
static ss_code part(void *arg, const char *text, size_t n)
{
    way next = *(const way *)arg;

    next.step++;
    next.at_start = next.at_start && text == next.whole;
    return go_on(&next, text, n);
}

static ss_code cut_spaces(way *w, const char *text, size_t n)
{
    ss_code rc = SS_OK;

    for (size_t at = 0; at < n && rc == SS_OK;) {
        size_t end = at;

        while (end < n && !ss_char_is_space(ss_utf8_get(text + end)))
            end += ss_utf8_length(text[end]);
        if (end > at)
            rc = part(w, text + at, end - at);
        at = end < n ? end + ss_utf8_length(text[end]) : end;
    }
    return rc;
}

/* GPT-2's character for a byte: itself where that is printable, the others from U+0100 on. */
static uint32_t character_of(unsigned char b)
{
    if (b <= ' ')
        return 0x100u + b;
    if (b >= 0x7f && b <= 0xa0)
        return 0x121u + b - 0x7f;
    return b == 0xad ? 0x143 : b;
}

static ss_code to_characters(way *w, const char *text, size_t n)
{
    ss_str out = {0};

    for (size_t i = 0; i < n; i++)
        ss_utf8_put(&out, character_of((unsigned char)text[i]));
    w->whole = out.s;
    const ss_code rc = out.failed ? ss_no_memory(w->e, "a text") : part(w, out.s, out.len);
    ss_str_release(&out);
    return rc;
}

static ss_code cut_underlines(way *w, const ss_cut_step *s, const char *text, size_t n)
{
    const bool there = (n > 0 && *text == ' ') ||
                       (n >= UNDERLINE_LEN && memcmp(text, UNDERLINE, UNDERLINE_LEN) == 0);
    ss_str out = {0};
    ss_code rc = SS_OK;

    if (!there &&
        (s->prepend == SS_PREPEND_ALWAYS || (s->prepend == SS_PREPEND_FIRST && w->at_start)))
        ss_str_add(&out, UNDERLINE);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ')
            ss_str_add(&out, UNDERLINE);
        else
            ss_str_addn(&out, text + i, 1);
    }
    w->whole = out.s;
    if (out.failed)
        rc = ss_no_memory(w->e, "a text");
    else if (!s->cut)
        rc = part(w, out.s, out.len);
    for (size_t at = 0, end; s->cut && at < out.len && rc == SS_OK; at = end) {
        const size_t next = at + ss_utf8_length(out.s[at]);
        const char *mark = memmem(out.s + next, out.len - next, UNDERLINE, UNDERLINE_LEN);

        end = mark ? (size_t)(mark - out.s) : out.len;
        rc = part(w, out.s + at, end - at);
    }
    ss_str_release(&out);
    return rc;
}

/* Recursion is as deep as there are steps. */
static ss_code go_on(const way *from, const char *text, size_t n)
{
    way w = *from;

    if (w.step == w.p->n_cut)
        return w.word(w.arg, text, n);
    const ss_cut_step *s = &w.p->cut[w.step];

    w.whole = text;
    switch (s->kind) {
    case SS_CUT_PATTERN:
    case SS_CUT_ALL: return ss_split_each(s->pattern, text, n, part, &w, w.e);
    case SS_CUT_BYTES: return to_characters(&w, text, n);
    case SS_CUT_SPACES: return cut_spaces(&w, text, n);
    case SS_CUT_UNDERLINES: return cut_underlines(&w, s, text, n);
    }
    return SS_OK;
}

ss_code ss_steps_cut(const ss_steps *p, const char *text, size_t n, bool at_start,
                     ss_code (*word)(void *arg, const char *text, size_t n), void *arg, ss_err *e)
{
    const way w = {p, 0, at_start, text, word, arg, e};

    return n > 0 ? go_on(&w, text, n) : SS_OK;
}
