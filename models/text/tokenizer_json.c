/* tokenizer_json.c - vocabularies: vocab.json with merges.txt, and tokenizer.json of `tokenizers`
 *
 *   {"added_tokens": [{"id": 49406, "content": "<|startoftext|>", ...}],
 *    "normalizer": ..., "pre_tokenizer": ...                           (steps_json.c)
 *    "post_processor": special tokens around a text,
 *    "model": one of
 *      {"type": "BPE", "vocab": {"cat</w>": 2368}, "merges": ["c at</w>"] or [["c", "at</w>"]]}
 *      {"type": "Unigram", "unk_id": 2, "byte_fallback": false, "vocab": [["▁cat", -9.3]]}}
 */
#include "base/file.h"
#include "base/mem.h"
#include "models/text/tokenizer_parts.h"

#include <math.h>
#include <string.h>

enum { MOST_WORDS = 1 << 22 };

/* The words of a JSON object of ids. */
static ss_code read_words(json_t *vocab, const char *name, ss_words *w, ss_err *e)
{
    const char *key;
    json_t *v;

    if (!json_is_object(vocab) || json_object_size(vocab) == 0 ||
        json_object_size(vocab) > MOST_WORDS)
        return ss_fail(e, SS_FORMAT, "%s: the vocabulary is no object of 1 to %d ids", name,
                       MOST_WORDS);
    json_object_foreach(vocab, key, v)
    {
        const json_int_t id = json_integer_value(v);

        if (!json_is_integer(v) || id < 0 || id >= INT32_MAX)
            return ss_fail(e, SS_FORMAT, "%s: the id of \"%s\" is no number from 0 to 2147483646",
                           name, SS_SHOW(key));
        ss_words_add(w, key, strlen(key), (int32_t)id);
    }
    return ss_words_finish(w, name, e);
}

/* "a b", n bytes */
static ss_code add_line(ss_bpe *m, const char *line, size_t n, const char *name, ss_err *e)
{
    const char *space = memchr(line, ' ', n);
    const size_t first = space ? (size_t)(space - line) : n;

    if (!space || memchr(space + 1, ' ', n - first - 1))
        return ss_fail(e, SS_FORMAT, "%s: merge %zu is not two words with a space between", name,
                       m->n_merges + 1);
    return ss_bpe_add_merge(m, line, first, space + 1, n - first - 1, name, e);
}

/* merges.txt: a first line "#version: 0.2", then a merge a line. */
static ss_code read_merges(const char *path, ss_bpe *m, ss_err *e)
{
    static const char version[] = "#version";
    char *text = NULL;
    size_t n = 0;
    ss_code rc = ss_file_read(path, SS_JSON_MAX_FILE, &text, &n, e);

    for (size_t at = 0; at < n && rc == SS_OK;) {
        const char *line = text + at, *newline = memchr(line, '\n', n - at);
        size_t len = newline ? (size_t)(newline - line) : n - at;

        at += len + 1;
        if (newline && len > 0 && line[len - 1] == '\r')
            len--;
        if (len < sizeof version - 1 || memcmp(line, version, sizeof version - 1) != 0)
            rc = add_line(m, line, len, path, e);
    }
    ss_bpe_finish(m);
    ss_free(text);
    return rc;
}

static ss_code set_suffix(ss_bpe *m, const char *suffix, ss_err *e)
{
    m->suffix = suffix ? ss_strdup(suffix) : NULL;
    return suffix && !m->suffix ? ss_no_memory(e, "a vocabulary") : SS_OK;
}

ss_code ss_tokenizer_read_vocab(const char *folder, ss_bpe *m, ss_err *e)
{
    char *vocab = ss_path_join(folder, "vocab.json"), *merges = ss_path_join(folder, "merges.txt");
    ss_json j = {0};
    ss_code rc = vocab && merges ? SS_OK : ss_no_memory(e, folder);

    if (rc == SS_OK)
        rc = ss_json_load(&j, vocab, e);
    if (rc == SS_OK)
        rc = read_words(j.root, vocab, &m->words, e);
    if (rc == SS_OK)
        rc = read_merges(merges, m, e);
    if (rc == SS_OK)
        rc = set_suffix(m, "</w>", e);
    ss_json_release(&j);
    ss_free(vocab);
    ss_free(merges);
    return rc;
}

/* --- tokenizer.json --- */

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static ss_code read_json_merges(json_t *merges, const char *name, ss_bpe *m, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    json_array_foreach(merges, i, v)
    {
        const char *line = json_string_value(v);
        const char *a = json_string_value(json_array_get(v, 0));
        const char *b = json_string_value(json_array_get(v, 1));

        if (line)
            rc = add_line(m, line, strlen(line), name, e);
        else if (a && b && json_array_size(v) == 2)
            rc = ss_bpe_add_merge(m, a, strlen(a), b, strlen(b), name, e);
        else
            rc = ss_fail(e, SS_FORMAT, "%s: merge %zu is neither a string nor two of them", name,
                         i + 1);
        if (rc != SS_OK)
            return rc;
    }
    ss_bpe_finish(m);
    return SS_OK;
}

static ss_code read_bpe(ss_json *j, json_t *model, ss_tokenizer_class class, ss_bpe *m, ss_err *e)
{
    const char *prefix = text_of(model, "continuing_subword_prefix"), *unknown;
    double dropout = 0;
    ss_code rc = read_words(json_object_get(model, "vocab"), j->name, &m->words, e);

    if (rc == SS_OK)
        rc = read_json_merges(json_object_get(model, "merges"), j->name, m, e);
    if (rc != SS_OK || class == SS_CLASS_CLIP)
        return rc == SS_OK ? set_suffix(m, "</w>", e) : rc;
    ss_json_number(json_object_get(model, "dropout"), &dropout);
    if (dropout != 0 || (prefix && *prefix) ||
        json_is_true(json_object_get(model, "byte_fallback")))
        return ss_fail(
            e, SS_UNSUPPORTED,
            "%s: a BPE model with dropout, continuing_subword_prefix or byte_fallback is "
            "not supported",
            j->name);
    unknown = text_of(model, "unk_token");
    m->unknown = unknown ? ss_words_find(&m->words, unknown, strlen(unknown)) : -1;
    m->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    m->whole_first = json_is_true(json_object_get(model, "ignore_merges"));
    return set_suffix(m, text_of(model, "end_of_word_suffix"), e);
}

static ss_code read_unigram(ss_json *j, json_t *model, ss_unigram *m, ss_err *e)
{
    json_t *vocab = json_object_get(model, "vocab"), *v,
           *unknown = json_object_get(model, "unk_id");
    const size_t n = json_array_size(vocab);
    size_t i;

    if (n == 0 || n > MOST_WORDS)
        return ss_fail(e, SS_FORMAT, "%s: the vocabulary is no list of 1 to %d pieces", j->name,
                       MOST_WORDS);
    m->score = ss_alloc(n, sizeof *m->score);
    if (!m->score)
        return ss_no_memory(e, j->name);
    m->lowest = INFINITY;
    json_array_foreach(vocab, i, v)
    {
        const char *piece = json_string_value(json_array_get(v, 0));

        if (!piece || !ss_json_number(json_array_get(v, 1), &m->score[i]) || !isfinite(m->score[i]))
            return ss_fail(e, SS_FORMAT,
                           "%s: entry %zu of the vocabulary is not a piece and its score", j->name,
                           i);
        m->lowest = fmin(m->lowest, m->score[i]);
        ss_words_add(&m->words, piece, strlen(piece), (int32_t)i);
    }
    m->unknown = json_is_integer(unknown) && json_integer_value(unknown) >= 0 &&
                         (size_t)json_integer_value(unknown) < n
                     ? (int32_t)json_integer_value(unknown)
                     : -1;
    m->bytes = json_is_true(json_object_get(model, "byte_fallback"));
    return ss_words_finish(&m->words, j->name, e);
}

static ss_code read_model(ss_json *j, ss_tokenizer_class class, ss_tokenizer *t, ss_err *e)
{
    json_t *model = json_object_get(j->root, "model");
    const char *type = text_of(model, "type");
    const bool list = json_is_array(json_object_get(model, "vocab"));
    const bool unigram = type ? strcmp(type, "Unigram") == 0 : list;

    if (!unigram && type && strcmp(type, "BPE") != 0)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: the model is of type \"%s\"; supported: BPE, Unigram", j->name,
                       SS_SHOW(type));
    if ((class == SS_CLASS_T5 && !unigram) || (class == SS_CLASS_CLIP && unigram))
        return ss_fail(e, SS_FORMAT, "%s: the model is of type %s, but the tokenizer_class is %s",
                       j->name, unigram ? "Unigram" : "BPE",
                       unigram ? "CLIPTokenizer" : "T5Tokenizer");
    t->model = unigram ? SS_MODEL_UNIGRAM : SS_MODEL_BPE;
    return unigram ? read_unigram(j, model, &t->unigram, e) : read_bpe(j, model, class, &t->bpe, e);
}

static ss_code read_added(ss_json *j, ss_tokenizer_config *c, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(j->root, "added_tokens"), i, v)
    {
        ss_config_token token = {.index = json_integer_value(json_object_get(v, "id"))};

        rc = ss_config_token_read(v, j->name, &token.token, e);
        if (rc == SS_OK)
            rc = ss_tokenizer_config_add(c, &token, e);
        if (rc != SS_OK)
            break;
    }
    return rc;
}

/* --- post_processor: which special tokens stand around a text --- */

static ss_code add_id(ss_ids *ids, const json_t *id, const char *name, ss_err *e)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= INT32_MAX)
        return ss_fail(e, SS_FORMAT, "%s: the post_processor has a special token without an id",
                       name);
    ss_ids_add(ids, (int32_t)json_integer_value(id));
    return ids->failed ? ss_no_memory(e, name) : SS_OK;
}

/* {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, ...],
 *  "special_tokens": {"<s>": {"ids": [2]}}} */
static ss_code read_template(const json_t *o, const char *name, ss_tokenizer *t, ss_err *e)
{
    const json_t *tokens = json_object_get(o, "special_tokens");
    bool text = false;
    ss_code rc = SS_OK;
    size_t i, k;
    json_t *v, *id;

    json_array_foreach(json_object_get(o, "single"), i, v)
    {
        const char *special = text_of(json_object_get(v, "SpecialToken"), "id");

        if (!special) {
            if (text || !json_object_get(v, "Sequence"))
                return ss_fail(e, SS_UNSUPPORTED,
                               "%s: the post_processor's template has the text more than once",
                               name);
            text = true;
            continue;
        }
        json_array_foreach(json_object_get(json_object_get(tokens, special), "ids"), k, id)
        {
            rc = add_id(text ? &t->after : &t->before, id, name, e);
            if (rc != SS_OK)
                return rc;
        }
    }
    return rc;
}

static ss_code read_post(const json_t *o, const char *name, ss_tokenizer *t, int depth, ss_err *e)
{
    const char *type = text_of(o, "type");
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    if (!o || json_is_null(o) || (type && strcmp(type, "ByteLevel") == 0))
        return SS_OK;
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return read_template(o, name, t, e);
    if (type && (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)) {
        rc = add_id(&t->before, json_array_get(json_object_get(o, "cls"), 1), name, e);
        return rc == SS_OK
                   ? add_id(&t->after, json_array_get(json_object_get(o, "sep"), 1), name, e)
                   : rc;
    }
    if (!type || strcmp(type, "Sequence") != 0 || depth > 0)
        return ss_fail(e, SS_UNSUPPORTED, "%s: the post_processor \"%s\" is not supported", name,
                       SS_SHOW(type ? type : ""));
    json_array_foreach(json_object_get(o, "processors"), i, v)
    {
        rc = read_post(v, name, t, depth + 1, e);
        if (rc != SS_OK)
            break;
    }
    return rc;
}

ss_code ss_tokenizer_read_json(ss_json *j, ss_tokenizer_config *c, ss_tokenizer *t, ss_err *e)
{
    if (c->class == SS_CLASS_NONE)
        c->class = SS_CLASS_FILE;
    ss_code rc = read_model(j, c->class, t, e);

    if (rc == SS_OK && (c->class == SS_CLASS_FILE || !c->has_decoder))
        rc = read_added(j, c, e);
    if (rc != SS_OK)
        return rc;
    switch (c->class) {
    case SS_CLASS_CLIP: return ss_steps_clip(&t->steps, e);
    case SS_CLASS_T5:
        rc = ss_steps_read_map(j, &t->steps, e);
        return rc == SS_OK ? ss_steps_t5(&t->steps, e) : rc;
    case SS_CLASS_NONE:
    case SS_CLASS_FILE: break;
    }
    rc = ss_steps_read(j, &t->steps, e);
    return rc == SS_OK ? read_post(json_object_get(j->root, "post_processor"), j->name, t, 0, e)
                       : rc;
}
