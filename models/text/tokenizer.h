/* tokenizer.h - the tokenizers of text-to-image pipelines: CLIP's byte pairs, T5's unigram models
 *
 *   ss_tokenizer *t = NULL;
 *   ss_token_list k = {0};
 *   ss_tokenizer_options opt = {.max_length = 77, .pad = true, .truncate = true};
 *   rc = ss_tokenizer_open("sd15/tokenizer", &t, &err);
 *   rc = ss_tokenizer_encode(t, prompt, strlen(prompt), &opt, &k, &err);
 *   const char *piece = ss_tokenizer_piece(t, k.id[1]);     // "cat</w>"; k.n is 77
 *   ss_token_list_release(&k);
 *   ss_tokenizer_close(t);
 *
 * Which files of a folder count, as in transformers 5:
 *
 *   tokenizer_class           files                       how texts are cut
 *   CLIPTokenizer(Fast)       tokenizer.json, or else     CLIP's steps (steps.h), whatever the
 *                             vocab.json and merges.txt   file lists
 *   T5Tokenizer(Fast)         tokenizer.json, or else     T5's steps and the file's table
 *                             spiece.model
 *   PreTrainedTokenizerFast,  tokenizer.json              the steps that the file lists
 *   TokenizersBackend
 *
 * tokenizer_config.json names the class; without one, it is that of the files that are there.
 * Special tokens, their ids and model_max_length are of tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json.
 *
 * Where this differs from transformers 5.24:
 *   - spiece.model goes through libsentencepiece, as in transformers before 5. transformers 5
 *     converts it, and then does not compose a letter and a mark that are written apart.
 *   - T5Tokenizer takes the token for unknown text and byte_fallback from tokenizer.json, which
 *     transformers 5 sets to 2 and false: wrong for the files of UMT5.
 *   - ill-formed UTF-8 becomes U+FFFD (ss_utf8_mend), where Python has no text to begin with.
 *
 * What pipelines of diffusers 0.42 ask for, all with pad and truncate:
 *
 *   pipeline              tokenizer   max_length  mask to the encoder              text before that
 *   stable_diffusion      tokenizer   own: 77     if its config has                as it is
 *                                                 use_attention_mask
 *   stable_diffusion_xl   1 and 2     own: 77     no                               as it is
 *   stable_diffusion_3    1 and 2     own: 77     no                               as it is
 *                         3 (T5)      256         no                               as it is
 *   flux                  1           own: 77     no                               as it is
 *                         2 (T5)      512         no                               as it is
 *   deepfloyd_if          tokenizer   77          yes                              lower
 *   pixart_alpha          tokenizer   120         yes, and to the denoiser         lower
 *   pixart_sigma          tokenizer   300         yes, and to the denoiser         lower
 *   cogvideo              tokenizer   226         no                               as it is
 *   ltx                   tokenizer   128         no, but to the denoiser          as it is
 *   wan                   tokenizer   512         yes; states of padding are zero  as it is
 *                                                 become zeros
 *
 * deepfloyd_if and pixart clean captions by other rules where the packages bs4 and ftfy are there,
 * and wan undoes HTML's escapes; none of that is done here.
 */
#ifndef SS_MODELS_TEXT_TOKENIZER_H
#define SS_MODELS_TEXT_TOKENIZER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ss_tokenizer ss_tokenizer;

/* Opens the folder of a tokenizer. On failure *t is NULL: SS_IO (no such file), SS_FORMAT
 * (damaged), SS_UNSUPPORTED (another kind of tokenizer, by name), SS_NOMEM. */
ss_code ss_tokenizer_open(const char *folder, ss_tokenizer **t, ss_err *e);
void ss_tokenizer_close(ss_tokenizer *t); /* NULL is fine */

typedef struct {
    int max_length; /* 0: the tokenizer's own, ss_tokenizer_max_length() */
    bool pad;       /* fill up to max_length with the padding token */
    bool truncate;  /* cut off what is longer; special tokens at its end stay */
    bool lower;     /* lower case before all else, a final sigma as any other */
} ss_tokenizer_options;

typedef struct {
    int64_t *id;   /* [n] */
    int64_t *mask; /* [n] 1 for tokens of the text and special ones, 0 for padding */
    size_t n;
    size_t n_whole; /* tokens of the whole text, with special ones, without padding */
    size_t n_cut;   /* of them, how many were cut off */
} ss_token_list;

/* Encodes one text of len bytes, at most 1 MiB. Threads may share the tokenizer. SS_USAGE: the text
 * or max_length is out of range, or there is no length or token to pad with. On failure out is {0}.
 */
ss_code ss_tokenizer_encode(const ss_tokenizer *t, const char *text, size_t len,
                            const ss_tokenizer_options *options, ss_token_list *out, ss_err *e);
void ss_token_list_release(ss_token_list *k); /* {0} is fine */

/* model_max_length, or 0 where the tokenizer has none. */
int ss_tokenizer_max_length(const ss_tokenizer *t);

/* Ids of the token for padding, before and after a text; -1 where there is none. */
int32_t ss_tokenizer_pad_id(const ss_tokenizer *t);
int32_t ss_tokenizer_bos_id(const ss_tokenizer *t);
int32_t ss_tokenizer_eos_id(const ss_tokenizer *t);

/* A number above the largest id: rows that a table of embeddings needs. */
int64_t ss_tokenizer_size(const ss_tokenizer *t);

/* Text of a token, "cat</w>" or "▁cat", as it stands in the vocabulary; NULL if there is no such
 * id. Borrowed, and untrusted: show it through ss_printable. */
const char *ss_tokenizer_piece(const ss_tokenizer *t, int64_t id);

#endif
