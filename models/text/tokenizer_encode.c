/* tokenizer_encode.c - from a text to ids
 *
 *   "A cat<|endoftext|>"  ill-formed bytes become U+FFFD
 *     "A cat" | 49407     tokens that are searched in the text as it is
 *     "a cat"             normalised; then those that are searched in this
 *     "a" "cat"           words
 *     320, 2368           ids
 *   49406 320 2368 49407 49407     around them; cut off, filled up
 */
#include "base/mem.h"
#include "models/text/tokenizer_parts.h"
#include "models/text/unicode.h"

#include <string.h>

/* A text on its way. */
typedef struct {
    const ss_tokenizer *t;
    ss_ids ids;
    bool at_start; /* this part begins where the text does */
    ss_err *e;
} encoder;

static ss_code encode_word(void *arg, const char *text, size_t n)
{
    encoder *x = arg;

    return x->t->model == SS_MODEL_BPE ? ss_bpe_encode(&x->t->bpe, text, n, &x->ids, x->e)
                                       : ss_unigram_encode(&x->t->unigram, text, n, &x->ids, x->e);
}

static void add_token(void *arg, int32_t id)
{
    encoder *x = arg;

    ss_ids_add(&x->ids, id);
}

/* A part of the normalised text, without added tokens. */
static ss_code encode_normalized(void *arg, const char *text, size_t n, size_t offset)
{
    encoder *x = arg;

    return ss_steps_cut(&x->t->steps, text, n, x->at_start && offset == 0, encode_word, x, x->e);
}

/* A part of the text, without those added tokens that are searched in it. */
static ss_code encode_part(void *arg, const char *text, size_t n, size_t offset)
{
    encoder *x = arg;
    const ss_tokenizer *t = x->t;
    ss_str normal = {0};
    ss_code rc;

    if (t->model == SS_MODEL_SPIECE)
        return ss_spiece_encode(&t->spiece, text, n, &x->ids, x->e);
    x->at_start = offset == 0;
    rc = ss_steps_normalize(&t->steps, text, n, &normal, x->e);
    if (rc == SS_OK && normal.len > 0)
        rc = ss_added_cut(&t->added, &t->added.normalized, normal.s, normal.len,
                          &(ss_added_calls){encode_normalized, add_token, x});
    ss_str_release(&normal);
    return rc;
}

/* The ids of a text, without special tokens around it. */
static ss_code encode_text(encoder *x, const char *text, size_t len, bool lower)
{
    ss_str mended = {0};
    ss_code rc = SS_OK;

    ss_utf8_mend(&mended, text, len);
    if (lower && !mended.failed && mended.len > 0) {
        ss_str low = {0};

        ss_text_lower(&low, mended.s, mended.len);
        ss_str_release(&mended);
        mended = low;
    }
    if (mended.failed)
        rc = ss_no_memory(x->e, "a text");
    else if (mended.len > 0)
        rc = ss_added_cut(&x->t->added, &x->t->added.plain, mended.s, mended.len,
                          &(ss_added_calls){encode_part, add_token, x});
    ss_str_release(&mended);
    return rc == SS_OK && x->ids.failed ? ss_no_memory(x->e, "a text") : rc;
}

/* Puts special tokens around the first `keep` ids, and padding up to `length`. */
static ss_code put_together(const ss_tokenizer *t, const ss_ids *ids, size_t keep, size_t length,
                            ss_token_list *out, ss_err *e)
{
    const size_t used = t->before.n + keep + t->after.n;
    const size_t n = used > length ? used : length;
    size_t at = 0;

    out->id = ss_alloc(n, sizeof *out->id);
    out->mask = ss_alloc(n, sizeof *out->mask);
    if (!out->id || !out->mask) {
        ss_token_list_release(out);
        return ss_no_memory(e, "a text");
    }
    for (size_t i = 0; i < t->before.n; i++)
        out->id[at++] = t->before.id[i];
    for (size_t i = 0; i < keep; i++)
        out->id[at++] = ids->id[i];
    for (size_t i = 0; i < t->after.n; i++)
        out->id[at++] = t->after.id[i];
    while (at < n)
        out->id[at++] = t->named[SS_TOKEN_pad];
    for (size_t i = 0; i < n; i++)
        out->mask[i] = i < used;
    out->n = n;
    return SS_OK;
}

/* Length of the result where it matters, else 0. */
static ss_code length_of(const ss_tokenizer *t, const ss_tokenizer_options *o, size_t *length,
                         ss_err *e)
{
    const size_t around = t->before.n + t->after.n;

    *length = 0;
    if (!o->pad && !o->truncate)
        return SS_OK;
    const int wanted = o->max_length ? o->max_length : t->max_length;
    if (wanted == 0)
        return ss_fail(e, SS_USAGE,
                       "the tokenizer has no model_max_length: say to how many tokens a text is "
                       "%s",
                       o->pad ? "filled up" : "cut off");
    if (wanted < 0 || wanted > SS_LONGEST_TEXT || (size_t)wanted < around)
        return ss_fail(e, SS_USAGE, "a length of %d tokens; allowed: %zu to %d", wanted, around,
                       SS_LONGEST_TEXT);
    if (o->pad && t->named[SS_TOKEN_pad] < 0)
        return ss_fail(e, SS_USAGE, "the tokenizer has no pad_token to fill up with");
    *length = (size_t)wanted;
    return SS_OK;
}

ss_code ss_tokenizer_encode(const ss_tokenizer *t, const char *text, size_t len,
                            const ss_tokenizer_options *options, ss_token_list *out, ss_err *e)
{
    const size_t around = t->before.n + t->after.n;
    encoder x = {.t = t, .e = e};
    size_t length;
    ss_code rc = length_of(t, options, &length, e);

    *out = (ss_token_list){0};
    if (rc == SS_OK && len > SS_LONGEST_TEXT)
        rc = ss_fail(e, SS_USAGE, "a text of %zu bytes; allowed: %d", len, SS_LONGEST_TEXT);
    if (rc == SS_OK)
        rc = encode_text(&x, text, len, options->lower);
    if (rc == SS_OK) {
        const bool cut = options->truncate && x.ids.n > length - around;
        const size_t keep = cut ? length - around : x.ids.n;

        rc = put_together(t, &x.ids, keep, options->pad ? length : 0, out, e);
        if (rc == SS_OK) {
            out->n_whole = x.ids.n + around;
            out->n_cut = x.ids.n - keep;
        }
    }
    ss_free(x.ids.id);
    return rc;
}

void ss_token_list_release(ss_token_list *k)
{
    ss_free(k->id);
    ss_free(k->mask);
    *k = (ss_token_list){0};
}
