/* fuzz_tokenizer.c - vocabularies of every kind, and texts
 *
 * A vocabulary that opens encodes a few texts. A text goes through one tokenizer of each kind,
 * whose files are written below.
 */
#include "models/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Encodes in every way, and checks what holds for each result. */
static void encode(const ss_tokenizer *t, const char *text, size_t n)
{
    static const ss_tokenizer_options ways[] = {
        {0}, {.max_length = 8, .pad = true, .truncate = true}, {.pad = true}, {.truncate = true}};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ss_token_list k;
        ss_err e = {0};
        const ss_code rc = ss_tokenizer_encode(t, text, n, &ways[i], &k, &e);

        fuzz_check(rc, &e);
        if (rc != SS_OK)
            continue;
        for (size_t at = 0; at < k.n; at++) {
            if (k.id[at] < 0 || (k.mask[at] != 0 && k.mask[at] != 1))
                abort();
        }
        if (k.n_cut > k.n_whole || (i == 1 && k.n != 8))
            abort();
        ss_token_list_release(&k);
    }
}

static const char texts[] =
    "A cat's <|endoftext|> \xe7\x8c\xab\0 </s> \xf0\x9f\x98\x80 e\xcc\x81 \xff";

/* Opens the folder and uses it. */
static void use(const char *folder)
{
    ss_tokenizer *t = NULL;
    ss_err e = {0};

    fuzz_check(ss_tokenizer_open(folder, &t, &e), &e);
    if (!t)
        return;
    encode(t, texts, sizeof texts - 1);
    encode(t, "", 0);
    for (int64_t id = -1; id < 300; id++)
        ss_tokenizer_piece(t, id);
    ss_tokenizer_piece(t, ss_tokenizer_size(t));
    ss_tokenizer_close(t);
}

/* The first byte says which class the tokenizer has. */
void fuzz_vocabulary(const uint8_t *data, size_t size)
{
    static const char *const configs[] = {
        "{\"tokenizer_class\": \"CLIPTokenizer\", \"model_max_length\": 16}",
        "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 2}",
        "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"pad_token\": \"<pad>\"}"};

    if (size == 0)
        return;
    const char *config = configs[data[0] % 3];
    fuzz_folder("vocabulary");
    fuzz_file("vocabulary/tokenizer_config.json", config, strlen(config));
    fuzz_file("vocabulary/tokenizer.json", data + 1, size - 1);
    use(fuzz_path("vocabulary"));
}

/* merges.txt, a zero byte, vocab.json. */
void fuzz_merges(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;

    if (!end)
        return;
    fuzz_folder("merges");
    fuzz_file("merges/merges.txt", data, (size_t)(end - data));
    fuzz_file("merges/vocab.json", end + 1, size - (size_t)(end - data) - 1);
    use(fuzz_path("merges"));
}

void fuzz_spiece(const uint8_t *data, size_t size)
{
    fuzz_folder("spiece");
    fuzz_file("spiece/spiece.model", data, size);
    use(fuzz_path("spiece"));
}

/* tokenizer_config.json, a zero byte, special_tokens_map.json, a zero byte, added_tokens.json,
 * beside a small vocabulary. */
void fuzz_tokens(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokens/tokenizer_config.json",
                                        "tokens/special_tokens_map.json",
                                        "tokens/added_tokens.json"};
    static const char vocab[] = "{\"a\": 0, \"a</w>\": 1, \"c\": 2, \"ca\": 3, \"!\": 5}";
    static const char merges[] = "#version: 0.2\nc a\n";

    fuzz_folder("tokens");
    fuzz_file("tokens/vocab.json", vocab, sizeof vocab - 1);
    fuzz_file("tokens/merges.txt", merges, sizeof merges - 1);
    for (int i = 0; i < 3; i++) {
        const uint8_t *end = size ? memchr(data, 0, size) : NULL;
        const size_t n = end ? (size_t)(end - data) : size;

        if (n)
            fuzz_file(names[i], data, n);
        else
            unlink(fuzz_path(names[i]));
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    use(fuzz_path("tokens"));
}

static ss_tokenizer *open_text(const char *folder, const char *const *files)
{
    ss_tokenizer *t = NULL;
    ss_err e = {0};
    char name[64];

    fuzz_folder(folder);
    for (; *files; files += 2) {
        snprintf(name, sizeof name, "%s/%s", folder, files[0]);
        fuzz_file(name, files[1], strlen(files[1]));
    }
    if (ss_tokenizer_open(fuzz_path(folder), &t, &e) != SS_OK) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    return t;
}

void fuzz_prompt(const uint8_t *data, size_t size)
{
    static const char *const clip[] = {
        "vocab.json",
        "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1, \"a\": 2, \"a</w>\": 3, \"aa\": 4,"
        " \"aa</w>\": 5, \"\xc3\x83\": 6, \"\xc2\xa4</w>\": 7}",
        "merges.txt", "#version: 0.2\na a\na a</w>\n", NULL};
    static const char *const unigram[] = {
        "tokenizer.json",
        "{\"added_tokens\": [{\"id\": 1, \"content\": \"</s>\", \"special\": true, \"rstrip\": "
        "true},"
        "{\"id\": 4, \"content\": \"aa\", \"lstrip\": true, \"normalized\": true}],"
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"},"
        "{\"type\": \"Strip\"}, {\"type\": \"Lowercase\"},"
        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \"_\"}]},"
        "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\","
        "\"prepend_scheme\": \"first\"}, \"model\": {\"type\": \"Unigram\", \"unk_id\": 0,"
        "\"byte_fallback\": true, \"vocab\": [[\"<unk>\", 0], [\"</s>\", 0], [\"a\", -1],"
        "[\"\xe2\x96\x81\", -2], [\"aa\", -1.5], [\"<0xC3>\", -9], [\"<0xA4>\", -9]]}}",
        NULL};
    static ss_tokenizer *t[2];

    if (!t[0]) {
        t[0] = open_text("prompt-clip", clip);
        t[1] = open_text("prompt-unigram", unigram);
    }
    char *text = fuzz_text(data, size);

    for (int i = 0; i < 2; i++)
        encode(t[i], text, size);
    free(text);
}
