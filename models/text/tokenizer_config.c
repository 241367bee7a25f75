/* tokenizer_config.c - tokenizer_config.json, special_tokens_map.json and added_tokens.json
 *
 * As transformers 5 reads them (tokenization_utils_base): with an added_tokens_decoder in the first
 * one, the other two do not count.
 */
#include "base/file.h"
#include "base/mem.h"
#include "models/text/tokenizer_parts.h"

#include <string.h>

static const char *const token_keys[] = {
#define X(name) #name "_token",
    SS_NAMED_TOKENS(X)
#undef X
};

/* Loads FOLDER/NAME if it is there. */
static ss_code load(const char *folder, const char *name, ss_json *j, ss_err *e)
{
    char *path = ss_path_join(folder, name);
    ss_code rc = SS_OK;

    if (!path)
        return ss_no_memory(e, folder);
    if (ss_file_exists(path))
        rc = ss_json_load(j, path, e);
    ss_free(path);
    return rc;
}

static bool flag(const json_t *o, const char *key, bool fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

ss_code ss_config_token_read(const json_t *o, const char *name, ss_added_token *t, ss_err *e)
{
    const char *text = json_string_value(json_object_get(o, "content"));

    if (!text)
        return ss_fail(e, SS_FORMAT, "%s: an added token has no \"content\"", name);
    if (flag(o, "single_word", false))
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: the added token \"%s\" has \"single_word\", which is not supported",
                       name, SS_SHOW(text));
    *t = (ss_added_token){.text = text,
                          .special = flag(o, "special", false),
                          .takes_left = flag(o, "lstrip", false),
                          .takes_right = flag(o, "rstrip", false)};
    t->normalized = flag(o, "normalized", !t->special);
    return SS_OK;
}

/* A special token: a string, or an object with flags. */
static ss_code read_special(const json_t *v, const char *name, ss_added_token *t, ss_err *e)
{
    if (json_is_string(v)) {
        *t = (ss_added_token){.text = json_string_value(v), .special = true};
        return SS_OK;
    }
    if (!json_is_object(v))
        return ss_fail(e, SS_FORMAT, "%s: a special token is neither a string nor an object", name);
    const ss_code rc = ss_config_token_read(v, name, t, e);
    t->special = true;
    return rc;
}

ss_code ss_tokenizer_config_add(ss_tokenizer_config *c, const ss_config_token *token, ss_err *e)
{
    ss_config_token *grown = ss_grow(c->token, &c->cap, c->n + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, "added tokens");
    c->token = grown;
    grown[c->n++] = *token;
    return SS_OK;
}

static ss_code read_named(ss_tokenizer_config *c, const ss_json *j, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < SS_N_NAMED && rc == SS_OK; i++) {
        const json_t *v = json_object_get(j->root, token_keys[i]);

        if (v && !json_is_null(v))
            rc = read_special(v, j->name, &c->named[i].token, e);
    }
    return rc;
}

/* The tokens of added_tokens_decoder: {"49406": {"content": ...}}. */
static ss_code read_decoder(ss_tokenizer_config *c, json_t *decoder, ss_err *e)
{
    const char *key;
    json_t *v;
    ss_code rc = SS_OK;

    json_object_foreach(decoder, key, v)
    {
        ss_config_token token = {0};

        if (!ss_parse_i64(key, &token.index))
            rc = ss_fail(e, SS_FORMAT, "%s: added_tokens_decoder: \"%s\" is not an id",
                         c->config.name, SS_SHOW(key));
        if (rc == SS_OK)
            rc = ss_config_token_read(v, c->config.name, &token.token, e);
        if (rc == SS_OK)
            rc = ss_tokenizer_config_add(c, &token, e);
        if (rc != SS_OK)
            return rc;
        /* named tokens are as they are here */
        for (int i = 0; i < SS_N_NAMED; i++) {
            if (c->named[i].token.text && strcmp(c->named[i].token.text, token.token.text) == 0)
                c->named[i].token = token.token;
        }
    }
    return SS_OK;
}

/* The texts of special tokens. */
static ss_code special_texts(const ss_tokenizer_config *c, ss_words *w, ss_err *e)
{
    const ss_json *const files[] = {&c->config, &c->map};
    int32_t n = 0;
    size_t k;
    json_t *v;

    for (int i = 0; i < SS_N_NAMED; i++) {
        if (c->named[i].token.text)
            ss_words_add(w, c->named[i].token.text, strlen(c->named[i].token.text), n++);
    }
    for (int i = 0; i < 2; i++) {
        json_array_foreach(json_object_get(files[i]->root, "additional_special_tokens"), k, v)
        {
            if (json_is_string(v))
                ss_words_add(w, json_string_value(v), json_string_length(v), n++);
        }
    }
    return ss_words_finish(w, "special tokens", e);
}

/* added_tokens.json: {"<extra>": 32100}. Those that are special elsewhere are so here. */
static ss_code read_added(ss_tokenizer_config *c, ss_err *e)
{
    const char *key;
    json_t *v;
    ss_words special = {0};
    ss_code rc = special_texts(c, &special, e);

    json_object_foreach(c->added.root, key, v)
    {
        ss_config_token token = {
            .token = {.text = key, .special = ss_words_find(&special, key, strlen(key)) >= 0}};

        if (rc == SS_OK && !json_is_integer(v))
            rc = ss_fail(e, SS_FORMAT, "%s: the id of \"%s\" is not an integer", c->added.name,
                         SS_SHOW(key));
        token.index = json_integer_value(v);
        token.token.normalized = !token.token.special;
        if (rc == SS_OK)
            rc = ss_tokenizer_config_add(c, &token, e);
        if (rc != SS_OK)
            break;
    }
    ss_words_release(&special);
    return rc;
}

static ss_code read_class(ss_tokenizer_config *c, ss_err *e)
{
    const char *name = ss_json_string(&c->config, "tokenizer_class", NULL);
    const size_t n = name ? strlen(name) : 0, fast = n > 4 && !strcmp(name + n - 4, "Fast") ? 4 : 0;
    static const struct {
        const char *name;
        ss_tokenizer_class class;
    } classes[] = {{"CLIPTokenizer", SS_CLASS_CLIP},
                   {"T5Tokenizer", SS_CLASS_T5},
                   {"PreTrainedTokenizer", SS_CLASS_FILE},
                   {"TokenizersBackend", SS_CLASS_FILE}};

    if (!name)
        return SS_OK;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) == n - fast && memcmp(classes[i].name, name, n - fast) == 0) {
            c->class = classes[i].class;
            return SS_OK;
        }
    }
    ss_json_complain(&c->config, SS_UNSUPPORTED, "tokenizer_class",
                     "supported: CLIPTokenizer, T5Tokenizer, PreTrainedTokenizerFast, "
                     "TokenizersBackend");
    return ss_json_done(&c->config, e);
}

static ss_code read_numbers(ss_tokenizer_config *c, ss_err *e)
{
    static const char *const sides[] = {"right", NULL};
    double length = 0;

    ss_json_choice(&c->config, "padding_side", sides, 0);
    ss_json_choice(&c->config, "truncation_side", sides, 0);
    if (ss_json_number(json_object_get(c->config.root, "model_max_length"), &length) &&
        length >= 1 && length <= 1e9) /* transformers writes 1e30 for none */
        c->max_length = (int)length;
    const int64_t extra = ss_json_int(&c->config, "extra_ids", 100);
    if (extra < 0 || extra > 10000)
        ss_json_complain(&c->config, SS_FORMAT, "extra_ids", "allowed: 0 to 10000");
    c->extra_ids = (int)extra;
    return ss_json_done(&c->config, e);
}

ss_code ss_tokenizer_config_read(const char *folder, ss_tokenizer_config *c, ss_err *e)
{
    json_t *decoder = NULL;

    *c = (ss_tokenizer_config){.extra_ids = 100};
    ss_code rc = load(folder, "tokenizer_config.json", &c->config, e);
    if (rc == SS_OK && c->config.root) {
        decoder = json_object_get(c->config.root, "added_tokens_decoder");
        rc = read_class(c, e);
        if (rc == SS_OK)
            rc = read_numbers(c, e);
        if (rc == SS_OK)
            rc = read_named(c, &c->config, e);
    }
    if (rc != SS_OK)
        return rc;
    c->has_decoder = json_is_object(decoder);
    if (c->has_decoder) {
        rc = read_decoder(c, decoder, e);
    } else {
        rc = load(folder, "special_tokens_map.json", &c->map, e);
        if (rc == SS_OK)
            rc = read_named(c, &c->map, e);
        if (rc == SS_OK)
            rc = load(folder, "added_tokens.json", &c->added, e);
        if (rc == SS_OK)
            rc = read_added(c, e);
    }
    return rc;
}

void ss_tokenizer_config_release(ss_tokenizer_config *c)
{
    ss_json_release(&c->config);
    ss_json_release(&c->map);
    ss_json_release(&c->added);
    ss_free(c->token);
    *c = (ss_tokenizer_config){0};
}

void ss_tokenizer_config_defaults(ss_tokenizer_config *c, ss_tokenizer_class class)
{
    static const char *const clip[SS_N_NAMED] = {[SS_TOKEN_bos] = "<|startoftext|>",
                                                 [SS_TOKEN_eos] = "<|endoftext|>",
                                                 [SS_TOKEN_unk] = "<|endoftext|>",
                                                 [SS_TOKEN_pad] = "<|endoftext|>"};
    static const char *const t5[SS_N_NAMED] = {
        [SS_TOKEN_eos] = "</s>", [SS_TOKEN_unk] = "<unk>", [SS_TOKEN_pad] = "<pad>"};

    for (int i = 0; i < SS_N_NAMED && (class == SS_CLASS_CLIP || class == SS_CLASS_T5); i++) {
        const char *text = (class == SS_CLASS_CLIP ? clip : t5)[i];

        if (!c->named[i].token.text && text)
            c->named[i].token = (ss_added_token){.text = text, .special = true};
    }
}
