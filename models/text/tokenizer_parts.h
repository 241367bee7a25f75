/* tokenizer_parts.h - what a tokenizer consists of, for the files that read and use one */
#ifndef SS_MODELS_TEXT_TOKENIZER_PARTS_H
#define SS_MODELS_TEXT_TOKENIZER_PARTS_H

#include "base/json.h"
#include "models/text/added_tokens.h"
#include "models/text/bpe.h"
#include "models/text/spiece.h"
#include "models/text/steps.h"
#include "models/text/tokenizer.h"
#include "models/text/unigram.h"

/* The model that cuts words into tokens. That of spiece.model does the work of the steps as well.
 */
typedef enum { SS_MODEL_BPE, SS_MODEL_UNIGRAM, SS_MODEL_SPIECE } ss_token_model;

/* Special tokens with a name of their own, in the order in which they are added. */
#define SS_NAMED_TOKENS(X) X(bos) X(eos) X(unk) X(sep) X(pad) X(cls) X(mask)
#define X(name) SS_TOKEN_##name,
typedef enum { SS_NAMED_TOKENS(X) SS_N_NAMED } ss_named_token;
#undef X

struct ss_tokenizer {
    ss_token_model model;
    ss_bpe bpe;
    ss_unigram unigram;
    ss_spiece spiece;
    ss_steps steps;
    ss_added added;
    ss_ids before, after;      /* special tokens around each text */
    int32_t named[SS_N_NAMED]; /* ids, or -1 */
    int max_length;            /* 0: none */
};

/* The vocabulary of the model. */
const ss_words *ss_tokenizer_words(const ss_tokenizer *t);

/* tokenizer_class; NONE: there is no tokenizer_config.json, or it does not say. */
typedef enum { SS_CLASS_NONE, SS_CLASS_CLIP, SS_CLASS_T5, SS_CLASS_FILE } ss_tokenizer_class;

/* A token of the configuration; the text is borrowed from its JSON. */
typedef struct {
    int64_t index; /* by which those of added_tokens_decoder are sorted */
    ss_added_token token;
} ss_config_token;

/* The contents of tokenizer_config.json, special_tokens_map.json and added_tokens.json. */
typedef struct {
    ss_json config, map, added; /* {0} where there is no such file */
    ss_tokenizer_class class;
    int max_length, extra_ids;
    ss_config_token named[SS_N_NAMED]; /* token.text NULL: none */
    ss_config_token *token;            /* added_tokens_decoder, or what stands for it */
    size_t n, cap;
    bool has_decoder;
} ss_tokenizer_config;

ss_code ss_tokenizer_config_read(const char *folder, ss_tokenizer_config *c, ss_err *e);
void ss_tokenizer_config_release(ss_tokenizer_config *c); /* {0} is fine */

/* Adds one of the added tokens of a tokenizer.json or a model. */
ss_code ss_tokenizer_config_add(ss_tokenizer_config *c, const ss_config_token *token, ss_err *e);

/* A token as JSON has it: {"content": ..., "lstrip": ...}. The text is borrowed. */
ss_code ss_config_token_read(const json_t *o, const char *name, ss_added_token *t, ss_err *e);

/* Sets what is not set: the class's default tokens. */
void ss_tokenizer_config_defaults(ss_tokenizer_config *c, ss_tokenizer_class class);

/* Reads vocab.json and merges.txt as CLIPTokenizer does. */
ss_code ss_tokenizer_read_vocab(const char *folder, ss_bpe *m, ss_err *e);

/* Reads model, added tokens and, if the class is SS_CLASS_FILE, all steps of a tokenizer.json. With
 * SS_CLASS_NONE it becomes the class of the file: SS_CLASS_FILE. j must stay until the tokens of c
 * are used. */
ss_code ss_tokenizer_read_json(ss_json *j, ss_tokenizer_config *c, ss_tokenizer *t, ss_err *e);

/* Reads "normalizer" and "pre_tokenizer" of a tokenizer.json. */
ss_code ss_steps_read(ss_json *j, ss_steps *p, ss_err *e);
/* Only the table in its normalizer, if there is one. */
ss_code ss_steps_read_map(ss_json *j, ss_steps *p, ss_err *e);

#endif
