/* tokenizer.c - opening a tokenizer, and what is known of it; tokenizer_encode.c uses it */
#include "models/text/tokenizer.h"

#include "base/file.h"
#include "base/mem.h"
#include "models/text/tokenizer_parts.h"

#include <stdio.h>
#include <string.h>

const ss_words *ss_tokenizer_words(const ss_tokenizer *t)
{
    switch (t->model) {
    case SS_MODEL_BPE: return &t->bpe.words;
    case SS_MODEL_UNIGRAM: return &t->unigram.words;
    case SS_MODEL_SPIECE: break;
    }
    return &t->spiece.words;
}

/* Files of a folder that hold a vocabulary. */
typedef struct {
    bool json, vocab, spiece;
} files;

static ss_code look(const char *folder, files *f, ss_err *e)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt",
                                        "spiece.model"};
    bool there[4];

    if (!ss_is_dir(folder))
        return ss_fail(e, SS_IO, "%s: there is no such folder", folder);
    for (int i = 0; i < 4; i++) {
        char *path = ss_path_join(folder, names[i]);

        if (!path)
            return ss_no_memory(e, folder);
        there[i] = ss_file_exists(path);
        ss_free(path);
    }
    *f = (files){there[0], there[1] && there[2], there[3]};
    return SS_OK;
}

/* The pieces of a spiece.model that are special, or always whole. */
static ss_code add_pieces(const ss_spiece *m, ss_tokenizer_config *c, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < m->n_pieces && rc == SS_OK; i++) {
        const bool special = m->kind[i] == SS_PIECE_CONTROL;
        const ss_config_token token = {
            .index = (int64_t)i,
            .token = {.text = ss_words_text(&m->words, (int64_t)i), .special = special}};

        if (special || m->kind[i] == SS_PIECE_USER)
            rc = ss_tokenizer_config_add(c, &token, e);
    }
    return rc;
}

/* Reads the vocabulary from the file that transformers would choose. */
static ss_code read_model(const char *folder, const files *f, ss_tokenizer_config *c, ss_json *j,
                          ss_tokenizer *t, ss_err *e)
{
    char *path;
    ss_code rc;

    if (f->json) {
        path = ss_path_join(folder, "tokenizer.json");
        rc = path ? ss_json_load(j, path, e) : ss_no_memory(e, folder);
        ss_free(path);
        return rc == SS_OK ? ss_tokenizer_read_json(j, c, t, e) : rc;
    }
    if (c->class == SS_CLASS_NONE)
        c->class = f->vocab ? SS_CLASS_CLIP : f->spiece ? SS_CLASS_T5 : SS_CLASS_NONE;
    if (c->class == SS_CLASS_CLIP && f->vocab) {
        t->model = SS_MODEL_BPE;
        rc = ss_tokenizer_read_vocab(folder, &t->bpe, e);
        return rc == SS_OK ? ss_steps_clip(&t->steps, e) : rc;
    }
    if (c->class == SS_CLASS_T5 && f->spiece) {
        t->model = SS_MODEL_SPIECE;
        path = ss_path_join(folder, "spiece.model");
        rc = path ? ss_spiece_open(path, c->extra_ids, &t->spiece, e) : ss_no_memory(e, folder);
        ss_free(path);
        return rc == SS_OK ? add_pieces(&t->spiece, c, e) : rc;
    }
    return ss_fail(e, SS_IO, "%s: there is no %s", folder,
                   c->class == SS_CLASS_CLIP   ? "tokenizer.json, nor vocab.json with merges.txt"
                   : c->class == SS_CLASS_T5   ? "tokenizer.json, nor spiece.model"
                   : c->class == SS_CLASS_FILE ? "tokenizer.json"
                                               : "tokenizer.json, vocab.json with merges.txt, or "
                                                 "spiece.model");
}

static int by_index(const void *a, const void *b)
{
    const ss_config_token *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

/* Adds the extra special tokens of one of the files. */
static ss_code add_extra(const ss_json *j, const char *key, ss_tokenizer *t, bool *ids, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(j->root, key), i, v)
    {
        ss_added_token token = {.text = json_string_value(v), .special = true};

        if (!token.text)
            rc = ss_config_token_read(v, j->name, &token, e);
        token.weak = true;
        if (rc == SS_OK && strstr(token.text, "<extra_id_"))
            *ids = true;
        if (rc == SS_OK)
            rc = ss_added_add(&t->added, &token, e);
        if (rc != SS_OK)
            break;
    }
    return rc;
}

/* Special tokens, in the order in which TokenizersBackend of transformers adds them. */
static ss_code add_tokens(ss_tokenizer_config *c, ss_tokenizer *t, ss_err *e)
{
    static const char *const keys[] = {"extra_special_tokens", "additional_special_tokens"};
    bool ids = false;
    ss_code rc = SS_OK;

    if (c->n > 0)
        qsort(c->token, c->n, sizeof *c->token, by_index);
    ss_tokenizer_config_defaults(c, c->class);
    for (size_t i = 0; i < c->n && rc == SS_OK; i++) {
        ss_added_token *token = &c->token[i].token;

        for (int k = 0; k < SS_N_NAMED; k++)
            token->special = token->special || (c->named[k].token.text &&
                                                !strcmp(c->named[k].token.text, token->text));
        rc = ss_added_add(&t->added, token, e);
    }
    for (int i = 0; i < SS_N_NAMED && rc == SS_OK; i++) {
        ss_added_token token = c->named[i].token;

        token.weak = true;
        if (token.text)
            rc = ss_added_add(&t->added, &token, e);
    }
    for (int i = 0; i < 4 && rc == SS_OK; i++) {
        rc = add_extra(i < 2 ? &c->config : &c->map, keys[i % 2], t, &ids, e);
    }
    for (int i = 0; i < c->extra_ids && c->class == SS_CLASS_T5 && !ids && rc == SS_OK; i++) {
        char text[32];

        snprintf(text, sizeof text, "<extra_id_%d>", i);
        rc = ss_added_add(&t->added, &(ss_added_token){.text = text, .special = true, .weak = true},
                          e);
    }
    return rc;
}

static int32_t find(const ss_tokenizer *t, const char *text)
{
    const int32_t id = text ? ss_added_find(&t->added, text) : -1;

    return id >= 0 || !text ? id : ss_words_find(ss_tokenizer_words(t), text, strlen(text));
}

/* Ids of the named tokens, and those around a text. */
static ss_code place_tokens(const char *folder, const ss_tokenizer_config *c, ss_tokenizer *t,
                            ss_err *e)
{
    for (int i = 0; i < SS_N_NAMED; i++)
        t->named[i] = find(t, c->named[i].token.text);
    switch (c->class) {
    case SS_CLASS_CLIP:
        t->bpe.unknown = c->named[SS_TOKEN_unk].token.text
                             ? ss_words_find(&t->bpe.words, c->named[SS_TOKEN_unk].token.text,
                                             strlen(c->named[SS_TOKEN_unk].token.text))
                             : -1;
        ss_ids_add(&t->before, t->named[SS_TOKEN_bos]);
        ss_ids_add(&t->after, t->named[SS_TOKEN_eos]);
        break;
    case SS_CLASS_T5: ss_ids_add(&t->after, t->named[SS_TOKEN_eos]); break;
    case SS_CLASS_FILE:
    case SS_CLASS_NONE: break;
    }
    if (t->before.failed || t->after.failed)
        return ss_no_memory(e, "a tokenizer");
    if ((t->before.n && t->before.id[0] < 0) || (t->after.n && t->after.id[0] < 0))
        return ss_fail(e, SS_FORMAT, "%s: bos_token or eos_token is an empty text", folder);
    return SS_OK;
}

ss_code ss_tokenizer_open(const char *folder, ss_tokenizer **out, ss_err *e)
{
    ss_tokenizer_config c = {0};
    ss_json j = {0};
    files f = {0};
    ss_tokenizer *t = ss_calloc(1, sizeof *t);
    ss_code rc = t ? look(folder, &f, e) : ss_no_memory(e, folder);

    *out = NULL;
    if (rc == SS_OK)
        rc = ss_tokenizer_config_read(folder, &c, e);
    if (rc == SS_OK)
        rc = read_model(folder, &f, &c, &j, t, e);
    if (rc == SS_OK)
        rc = add_tokens(&c, t, e);
    if (rc == SS_OK)
        rc = ss_added_finish(&t->added, ss_tokenizer_words(t), ss_steps_normalize, &t->steps,
                             folder, e);
    if (rc == SS_OK)
        rc = place_tokens(folder, &c, t, e);
    if (rc == SS_OK) {
        t->max_length = c.max_length;
        *out = t;
        t = NULL;
    }
    ss_tokenizer_config_release(&c);
    ss_json_release(&j);
    ss_tokenizer_close(t);
    return rc;
}

void ss_tokenizer_close(ss_tokenizer *t)
{
    if (!t)
        return;
    ss_bpe_release(&t->bpe);
    ss_unigram_release(&t->unigram);
    ss_spiece_release(&t->spiece);
    ss_steps_release(&t->steps);
    ss_added_release(&t->added);
    ss_free(t->before.id);
    ss_free(t->after.id);
    ss_free(t);
}

int ss_tokenizer_max_length(const ss_tokenizer *t)
{
    return t->max_length;
}

int32_t ss_tokenizer_pad_id(const ss_tokenizer *t)
{
    return t->named[SS_TOKEN_pad];
}

int32_t ss_tokenizer_bos_id(const ss_tokenizer *t)
{
    return t->named[SS_TOKEN_bos];
}

int32_t ss_tokenizer_eos_id(const ss_tokenizer *t)
{
    return t->named[SS_TOKEN_eos];
}

int64_t ss_tokenizer_size(const ss_tokenizer *t)
{
    const ss_words *w = ss_tokenizer_words(t);
    const int64_t words = w->n ? (int64_t)w->word[w->by_id[w->n - 1]].id + 1 : 0;
    const int64_t added = t->added.n ? (int64_t)t->added.entry[t->added.n - 1].id + 1 : 0;

    return words > added ? words : added;
}

const char *ss_tokenizer_piece(const ss_tokenizer *t, int64_t id)
{
    const char *text = ss_added_text(&t->added, id);

    return text ? text : ss_words_text(ss_tokenizer_words(t), id);
}
