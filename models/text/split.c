/* split.c - see split.h */
#include "models/text/split.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/text/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

static const char *const texts[] = {
#define X(name, text) text,
    SS_SPLIT_PATTERNS(X)
#undef X
};

/* The same for texts of one byte a character; ++ takes what it can and keeps it. */
#define L "[A-Za-z]"
#define N "[0-9]"
#define S "[ \\n]" /* ASCII's other white space is a newline, too */
#define OTHER "[^A-Za-z0-9 \\n]"
static const char *const patterns[] = {
    [SS_SPLIT_CLIP] =
        "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|" L "++|" N "|" OTHER "++",
    [SS_SPLIT_CLIP_PLAIN] = "'s|'t|'re|'ve|'m|'ll|'d|" L "++|" N "|" OTHER "++",
    [SS_SPLIT_BYTE_LEVEL] = "'s|'t|'re|'ve|'m|'ll|'d| ?" L "++| ?" N "++| ?" OTHER "++|" S "++$|" S
                            "+(?=" S ")|" S "++",
};

ss_split_pattern ss_split_find(const char *text)
{
    int i = 0;

    while (i < SS_N_SPLITS && strcmp(texts[i], text) != 0)
        i++;
    return (ss_split_pattern)i;
}

struct ss_split {
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_code *code;
};

static void *take(PCRE2_SIZE n, void *unused)
{
    (void)unused;
    return ss_alloc(n, 1);
}

static void give(void *p, void *unused)
{
    (void)unused;
    ss_free(p);
}

ss_code ss_split_open(ss_split_pattern pattern, ss_split **out, ss_err *e)
{
    ss_split *s = ss_calloc(1, sizeof *s);
    pcre2_compile_context *compile = NULL;
    PCRE2_SIZE where;
    int error = 0;

    *out = NULL;
    if (!s)
        goto fail;
    s->memory = pcre2_general_context_create(take, give, NULL);
    compile = s->memory ? pcre2_compile_context_create(s->memory) : NULL;
    s->limits = s->memory ? pcre2_match_context_create(s->memory) : NULL;
    if (!compile || !s->limits)
        goto fail;
    pcre2_set_match_limit(s->limits, 1000000);
    pcre2_set_depth_limit(s->limits, 1000);
    pcre2_set_heap_limit(s->limits, 1024); /* KiB */
    s->code = pcre2_compile((PCRE2_SPTR)patterns[pattern], PCRE2_ZERO_TERMINATED,
                            PCRE2_DOLLAR_ENDONLY, &error, &where, compile);
    if (!s->code)
        goto fail;
    pcre2_compile_context_free(compile);
    *out = s;
    return SS_OK;
fail:
    pcre2_compile_context_free(compile);
    ss_split_close(s);
    return ss_no_memory(e, "the pattern of a tokenizer");
}

void ss_split_close(ss_split *s)
{
    if (!s)
        return;
    pcre2_code_free(s->code);
    pcre2_match_context_free(s->limits);
    pcre2_general_context_free(s->memory);
    ss_free(s);
}

/* A text with one byte for each character, and where each of them begins in the text it stands for.
 */
typedef struct {
    char *text;
    uint32_t *at; /* [n + 1] */
    size_t n;
} classes;

static ss_code classify(const char *text, size_t n, classes *c, ss_err *e)
{
    static const char of[] = {[SS_CHAR_OTHER] = '.',
                              [SS_CHAR_LETTER] = 'Q',
                              [SS_CHAR_NUMBER] = '0',
                              [SS_CHAR_SPACE] = '\n'};

    c->text = ss_alloc(n, 1);
    c->at = n < UINT32_MAX ? ss_alloc(n + 1, sizeof *c->at) : NULL;
    if (!c->text || !c->at)
        return ss_no_memory(e, "a text");
    for (size_t i = 0; i < n; i += ss_utf8_length(text[i])) {
        const uint32_t u = ss_utf8_get(text + i);
        const bool plain = u < 0x80 && u != '\t' && u != '\v' && u != '\f' && u != '\r';

        c->at[c->n] = (uint32_t)i;
        c->text[c->n++] = plain ? (char)u : of[ss_char_category(u)];
    }
    c->at[c->n] = (uint32_t)n;
    return SS_OK;
}

ss_code ss_split_each(const ss_split *s, const char *text, size_t n,
                      ss_code (*word)(void *arg, const char *text, size_t n), void *arg, ss_err *e)
{
    classes c = {0};
    ss_code rc = classify(text, n, &c, e);
    pcre2_match_data *found = pcre2_match_data_create(1, s->memory);

    if (!found && rc == SS_OK)
        rc = ss_no_memory(e, "a text");
    for (size_t at = 0; at < c.n && rc == SS_OK;) {
        const int result = pcre2_match(s->code, (PCRE2_SPTR)c.text, c.n, at, 0, found, s->limits);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(found);

        if (result == PCRE2_ERROR_NOMATCH)
            break;
        if (result < 0) {
            rc = result == PCRE2_ERROR_NOMEMORY
                     ? ss_no_memory(e, "a text")
                     : ss_fail(e, SS_FORMAT, "PCRE2 gives up on a text of %zu bytes: error %d", n,
                               result);
            break;
        }
        rc = word(arg, text + c.at[span[0]], c.at[span[1]] - c.at[span[0]]);
        at = span[1]; /* no pattern matches an empty string */
    }
    pcre2_match_data_free(found);
    ss_free(c.text);
    ss_free(c.at);
    return rc;
}
