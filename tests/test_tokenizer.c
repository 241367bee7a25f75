/* test_tokenizer.c - tokenizers against transformers, tokenizers and sentencepiece
 *
 * Golden files: tests/golden/tokenizers/, written by make_tokenizers.py, which describes them. The
 * strings are made here again, by the same generator.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/text/tokenizer.h"
#include "tests/ss_tmp.h"

#include <sys/stat.h>

#define GOLDEN "tests/golden/tokenizers/"
enum { STRINGS = 10000, BLOCKS = 17 * 256, FULL = 100 };

/* A tokenizer of the golden script. */
typedef struct {
    const char *name;
    const char *const *files; /* beside those of its folder: pairs of from, to */
    int length;
    bool all_points; /* else every 16th block of code points */
} golden_case;

static const char *const clip_files[] = {"vocab.json", "vocab.json", "merges.txt", "merges.txt",
                                         NULL};
static const char *const t5_files[] = {"spiece.model", "spiece.model", NULL};
static const char *const bytes_files[] = {"bytes.model", "spiece.model", NULL};
static const char *const none[] = {NULL};

static const golden_case cases[] = {
    {"clip", clip_files, 77, true}, {"clip_pad0", clip_files, 77, false},
    {"clip_json", none, 77, false}, {"bpe_file", none, 77, false},
    {"t5", t5_files, 128, true},    {"t5_bytes", bytes_files, 128, false},
    {"t5_json", none, 128, true},   {"unigram_file", none, 128, false},
};

/* --- folders --- */

static char *read_file(const char *name, size_t *n)
{
    char path[256], *text = NULL;
    ss_err e = {0};

    snprintf(path, sizeof path, GOLDEN "%s", name);
    if (ss_file_read(path, 64 << 20, &text, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static ss_json fragments;

static void add_base64(ss_str *out, const unsigned char *b, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        const uint32_t x = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                           (i + 2 < n ? b[i + 2] : 0);

        for (int k = 0; k < 4; k++)
            ss_str_addn(out, i + (size_t)k < n + 1 ? &digits[x >> (18 - 6 * k) & 63] : "=", 1);
    }
}

/* Appends the large part NAME of a tokenizer.json, which the golden files share. */
static void add_part(ss_str *out, const char *name)
{
    size_t n;

    if (strcmp(name, "CHARSMAP") == 0) {
        const json_t *span = json_object_get(fragments.root, "charsmap");
        char *model = read_file("spiece.model", &n);

        ss_str_add(out, "\"");
        add_base64(out, (unsigned char *)model + json_integer_value(json_array_get(span, 0)),
                   (size_t)json_integer_value(json_array_get(span, 1)));
        ss_str_add(out, "\"");
        ss_free(model);
    } else if (strcmp(name, "MERGES") == 0) {
        char *text = read_file("merges.txt", &n), *rest = strchr(text, '\n') + 1;

        ss_str_add(out, "[");
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
            json_t *s = json_string(line);
            char *quoted = json_dumps(s, JSON_ENCODE_ANY);

            ss_str_addf(out, "%s%s", out->s[out->len - 1] == '[' ? "" : ",", quoted);
            free(quoted);
            json_decref(s);
        }
        ss_str_add(out, "]");
        ss_free(text);
    } else {
        char *text = read_file(strcmp(name, "VOCAB") == 0 ? "vocab.json" : "pieces.json", &n);

        ss_str_add(out, text);
        ss_free(text);
    }
}

static void copy(const char *from, const char *folder, const char *to)
{
    static const char *const names[] = {"VOCAB", "MERGES", "PIECES", "CHARSMAP"};
    char path[600];
    size_t n;
    char *text = read_file(from, &n);
    ss_str out = {0};

    ss_str_addn(&out, text, n);
    for (size_t i = 0; i < N_OF(names) && strcmp(to, "tokenizer.json") == 0; i++) {
        char mark[32];
        snprintf(mark, sizeof mark, "\"@%s@\"", names[i]);
        const char *at = strstr(out.s, mark);

        if (at) {
            ss_str with = {0};

            ss_str_addn(&with, out.s, (size_t)(at - out.s));
            add_part(&with, names[i]);
            ss_str_add(&with, at + strlen(mark));
            ss_str_release(&out);
            out = with;
        }
    }
    snprintf(path, sizeof path, "%s/%s", folder, to);
    write_file(path, out.s ? out.s : "", out.len);
    ss_str_release(&out);
    ss_free(text);
}

/* The folder of a case, whole. */
static const char *make_folder(const golden_case *c)
{
    static const char *const own[] = {"tokenizer_config.json", "special_tokens_map.json",
                                      "tokenizer.json"};
    const char *folder = in_tmp(c->name);

    if (mkdir(folder, 0777) != 0)
        return folder;
    for (size_t i = 0; i < N_OF(own); i++) {
        char name[128], path[256];

        snprintf(name, sizeof name, "%s/%s", c->name, own[i]);
        snprintf(path, sizeof path, GOLDEN "%s", name);
        if (access(path, F_OK) == 0)
            copy(name, folder, own[i]);
    }
    for (int i = 0; c->files[i]; i += 2)
        copy(c->files[i], folder, c->files[i + 1]);
    return folder;
}

static ss_tokenizer *open_case(const char *name)
{
    ss_tokenizer *t = NULL;
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(cases); i++) {
        if (strcmp(cases[i].name, name) == 0 &&
            ss_tokenizer_open(make_folder(&cases[i]), &t, &e) != SS_OK)
            fail_msg("%s", e.msg);
    }
    assert_non_null(t);
    return t;
}

static int setup(void **state)
{
    ss_err e = {0};

    if (make_tmp(state))
        return -1;
    return ss_json_load(&fragments, GOLDEN "fragments.json", &e) != SS_OK;
}

static int teardown(void **state)
{
    ss_json_release(&fragments);
    return remove_tmp(state);
}

/* --- strings, as make_tokenizers.py makes them --- */

static uint64_t draw(uint64_t *state, uint64_t n) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % n;
}

static void add_char(ss_str *s, uint64_t c)
{
    if ((c >= 0xd800 && c < 0xe000) || c >= 0x110000)
        c = 0xfffd;
    if (c < 0x80)
        ss_str_addf(s, "%c", (int)c); /* a NUL, too */
    else if (c < 0x800)
        ss_str_addf(s, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 63)));
    else if (c < 0x10000)
        ss_str_addf(s, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 63)),
                    (int)(0x80 | (c & 63)));
    else
        ss_str_addf(s, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 63)),
                    (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
}

static void add_one_of(ss_str *s, const char *key, uint64_t *state)
{
    const json_t *list = json_object_get(fragments.root, key);
    const char *text = json_string_value(json_array_get(list, draw(state, json_array_size(list))));

    if (strcmp(text, "\xe2\x90\x80") == 0)
        ss_str_addn(s, "", 1); /* a zero byte, which stands there as U+2400 */
    else
        ss_str_add(s, text);
}

static void make_string(ss_str *s, int i)
{
    uint64_t r = (uint64_t)i;

    s->len = 0;
    if (i == 0)
        return;
    if (i % 500 == 1) {
        while (s->len < 10000) {
            add_one_of(s, "texts", &r);
            add_one_of(s, "separators", &r);
        }
        return;
    }
    const uint64_t kind = draw(&r, 10);
    if (kind == 6) {
        const uint64_t range = draw(&r, 2) ? 0x3400 : 0x110000, base = draw(&r, range);

        for (uint64_t n = 1 + draw(&r, 8); n-- > 0;)
            add_char(s, base + draw(&r, 64));
    } else if (kind == 7) {
        for (uint64_t n = 1 + draw(&r, 8); n-- > 0;)
            add_char(s, draw(&r, 0x110000));
    } else if (kind == 8) {
        for (uint64_t n = 1 + draw(&r, 4); n-- > 0;) {
            add_one_of(s, "texts", &r);
            for (uint64_t marks = 1 + draw(&r, 3); marks-- > 0;)
                add_char(s, 0x300 + draw(&r, 112));
            add_one_of(s, "separators", &r);
        }
    } else {
        for (uint64_t n = 1 + draw(&r, 12); n-- > 0;) {
            add_one_of(s, "texts", &r);
            add_one_of(s, "separators", &r);
        }
        for (uint64_t n = kind == 9 ? 1 + draw(&r, 4) : 0; n-- > 0;) {
            const uint64_t at = draw(&r, s->len);

            s->s[at] = (char)draw(&r, 256);
        }
    }
}

static void make_block(ss_str *s, int block)
{
    s->len = 0;
    for (uint64_t c = (uint64_t)block * 256; c < (uint64_t)block * 256 + 256; c++) {
        ss_str_add(s, c % 256 ? " a" : "a");
        add_char(s, c);
        ss_str_add(s, "B");
        add_char(s, c);
        add_char(s, c);
    }
}

/* --- comparison --- */

static uint32_t fnv(uint32_t h, const int64_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 32; k += 8)
            h = (h ^ ((uint32_t)x[i] >> k & 0xff)) * 0x01000193;
    }
    return h;
}

static ss_token_list encode(const ss_tokenizer *t, const ss_str *s, const ss_tokenizer_options *o)
{
    ss_token_list k = {0};
    ss_err e = {0};

    if (ss_tokenizer_encode(t, s->s ? s->s : "", s->len, o, &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return k;
}

/* The golden hash of a text: whole, and cut off and filled up. */
static uint16_t hash(const ss_tokenizer *t, const ss_str *s, int length)
{
    ss_token_list whole = encode(t, s, &(ss_tokenizer_options){0});
    ss_token_list cut =
        encode(t, s, &(ss_tokenizer_options){.max_length = length, .pad = true, .truncate = true});
    uint32_t h = fnv(0x811c9dc5, whole.id, whole.n);

    assert_int_equal(cut.n, length);
    assert_int_equal(cut.n_whole, whole.n);
    assert_int_equal(cut.n_cut, whole.n > (size_t)length ? whole.n - (size_t)length : 0);
    h = fnv(fnv(h, cut.id, cut.n), cut.mask, cut.n);
    ss_token_list_release(&whole);
    ss_token_list_release(&cut);
    h = (h >> 16 ^ h) & 0xffff;
    return (uint16_t)(h ? h : 1);
}

static void compare_ids(const golden_case *c, const ss_tokenizer *t, const ss_str *s, int i,
                        const int32_t *want)
{
    ss_token_list k = encode(t, s, &(ss_tokenizer_options){0});

    for (size_t j = 0; j < k.n || j < (size_t)want[0]; j++) {
        const int64_t got = j < k.n ? k.id[j] : -1, id = j < (size_t)want[0] ? want[j + 1] : -1;

        if (got != id)
            fail_msg("%s, string %d (%s): id %zu of %zu is %lld (%s), golden %lld (%s) of %d",
                     c->name, i, SS_SHOW(s->s), j, k.n, (long long)got, ss_tokenizer_piece(t, got),
                     (long long)id, ss_tokenizer_piece(t, id), want[0]);
    }
    ss_token_list_release(&k);
}

static void test_golden(void **state)
{
    const golden_case *c = *state;
    char name[64], first[256] = "";
    size_t n;
    ss_tokenizer *t = open_case(c->name);
    ss_str s = {0};
    int different = 0, undecided = 0;

    snprintf(name, sizeof name, "%s.bin", c->name);
    char *data = read_file(name, &n);
    const uint16_t *hashes = (const uint16_t *)data;
    const int32_t *ids = (const int32_t *)(hashes + STRINGS + BLOCKS);

    ss_str_add(&s, "");
    for (int i = 0; i < FULL; i++) {
        make_string(&s, i);
        if (hashes[i])
            compare_ids(c, t, &s, i, ids);
        ids += ids[0] + 1;
    }
    assert_ptr_equal(ids, data + n);
    for (int i = 0; i < STRINGS + BLOCKS; i++) {
        if (i < STRINGS)
            make_string(&s, i);
        else
            make_block(&s, i - STRINGS);
        undecided += hashes[i] == 0;
        if (hashes[i] == 0 || (i > STRINGS && !c->all_points && i % 16) ||
            hash(t, &s, c->length) == hashes[i])
            continue;
        if (different++ == 0)
            snprintf(first, sizeof first, "%s %d: %s", i < STRINGS ? "string" : "block",
                     i < STRINGS ? i : i - STRINGS, SS_SHOW(s.s));
    }
    assert_in_range(undecided, 0, (STRINGS + BLOCKS) / 20);
    if (different)
        fail_msg("%s: %d of %d differ, first %s", c->name, different, STRINGS + BLOCKS, first);
    ss_str_release(&s);
    ss_free(data);
    ss_tokenizer_close(t);
}

/* --- what goldens do not have --- */

static void test_padding(void **state)
{
    (void)state;
    ss_tokenizer *t = open_case("clip_pad0");
    ss_str s = {0};

    assert_int_equal(ss_tokenizer_max_length(t), 77);
    assert_int_equal(ss_tokenizer_pad_id(t), 0);
    assert_string_equal(ss_tokenizer_piece(t, 0), "!");
    assert_int_equal(ss_tokenizer_size(t), ss_tokenizer_eos_id(t) + 1);
    assert_null(ss_tokenizer_piece(t, ss_tokenizer_size(t)));
    assert_null(ss_tokenizer_piece(t, -1));
    for (int i = 0; i < 91; i++)
        ss_str_add(&s, "a ");
    ss_token_list k = encode(t, &s, &(ss_tokenizer_options){.pad = true, .truncate = true});
    assert_int_equal(k.n, 77);
    assert_int_equal(k.n_whole, 93); /* "the prompt has 93 tokens, 16 are cut off" */
    assert_int_equal(k.n_cut, 16);
    assert_int_equal(k.id[0], ss_tokenizer_bos_id(t));
    assert_int_equal(k.id[76], ss_tokenizer_eos_id(t));
    assert_string_equal(ss_tokenizer_piece(t, k.id[75]), "a</w>");
    ss_token_list_release(&k);

    s.len = 2;
    k = encode(t, &s, &(ss_tokenizer_options){.max_length = 5, .pad = true});
    assert_int_equal(k.n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(k.mask[i], i < 3);
    assert_int_equal(k.id[3] + k.id[4], 0);
    ss_token_list_release(&k);
    k = encode(t, &s, &(ss_tokenizer_options){.max_length = 2, .pad = true}); /* not cut off */
    assert_int_equal(k.n, 3);
    ss_token_list_release(&k);
    ss_str_release(&s);
    ss_tokenizer_close(t);
}

static void expect_usage(const ss_tokenizer *t, ss_tokenizer_options o, size_t len, const char *why)
{
    char *text = calloc(1, len + 1);
    ss_token_list k = {0};
    ss_err e = {0};

    assert_int_equal(ss_tokenizer_encode(t, text, len, &o, &k, &e), SS_USAGE);
    if (!strstr(e.msg, why))
        fail_msg("\"%s\" lacks \"%s\"", e.msg, why);
    assert_null(k.id);
    free(text);
}

static void test_lower(void **state)
{
    (void)state;
    ss_tokenizer *t = open_case("t5");
    const ss_str upper = {.s = (char[]){"A \xc3\x84PFEL \xc4\xb0"}, .len = 11};
    const ss_str lower = {.s = (char[]){"a \xc3\xa4pfel i\xcc\x87"}, .len = 12};
    ss_token_list a = encode(t, &upper, &(ss_tokenizer_options){.lower = true});
    ss_token_list b = encode(t, &lower, &(ss_tokenizer_options){0});
    ss_token_list c = encode(t, &upper, &(ss_tokenizer_options){0});

    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
    assert_true(a.n != c.n || memcmp(a.id, c.id, a.n * sizeof *a.id) != 0);
    ss_token_list_release(&a);
    ss_token_list_release(&b);
    ss_token_list_release(&c);
    ss_tokenizer_close(t);
}

static void test_lengths(void **state)
{
    (void)state;
    ss_tokenizer *t = open_case("clip");

    expect_usage(t, (ss_tokenizer_options){.max_length = 1, .truncate = true}, 3, "allowed: 2 to");
    expect_usage(t, (ss_tokenizer_options){.max_length = -5, .pad = true}, 3, "allowed: 2 to");
    expect_usage(t, (ss_tokenizer_options){0}, (1 << 20) + 1, "a text of 1048577 bytes");
    ss_tokenizer_close(t);
}

/* Ids that `tokenizers` gives with this file. */
static void test_added_tokens(void **state)
{
    (void)state;
    static const char file[] =
        "{\"added_tokens\": [{\"id\": 5, \"content\": \"<l>\", \"lstrip\": true, \"special\": "
        "true},"
        "{\"id\": 6, \"content\": \"<r>\", \"rstrip\": true, \"special\": true},"
        "{\"id\": 7, \"content\": \"Wo\", \"normalized\": true}],"
        "\"normalizer\": {\"type\": \"Lowercase\"}, \"pre_tokenizer\": {\"type\": \"Metaspace\","
        "\"replacement\": \"\xe2\x96\x81\", \"prepend_scheme\": \"first\"},"
        "\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0],"
        "[\"\xe2\x96\x81\", -2], [\"a\", -1], [\"\xe2\x96\x81\x61\", -1.5], [\"w\", -3]]}}";
    static const struct {
        const char *text;
        int64_t id[5];
        size_t n;
    } want[] = {
        {"a  <l>  a", {3, 5, 1, 3}, 4},
        {"a  <r>  a", {3, 1, 1, 6, 2}, 5},
        {"a WO a", {3, 1, 7, 3}, 4},
        {"<r> <l>a", {6, 5, 2}, 3},
        {"  a", {1, 3}, 2},
        {"<l>a", {5, 2}, 2},
        {"wow", {7, 4}, 2},
        {"a<r>\t\n", {3, 6}, 2},
    };
    const char *folder = in_tmp("added");
    char path[600];
    ss_tokenizer *t = NULL;
    ss_err e = {0};

    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    write_file(path, file, sizeof file - 1);
    if (ss_tokenizer_open(folder, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < N_OF(want); i++) {
        ss_str s = {0};

        ss_str_add(&s, want[i].text);
        ss_token_list k = encode(t, &s, &(ss_tokenizer_options){0});
        assert_int_equal(k.n, want[i].n);
        assert_memory_equal(k.id, want[i].id, k.n * sizeof *k.id);
        ss_token_list_release(&k);
        ss_str_release(&s);
    }
    assert_int_equal(ss_tokenizer_pad_id(t), -1);
    expect_usage(t, (ss_tokenizer_options){.max_length = 8, .pad = true}, 3, "no pad_token");
    expect_usage(t, (ss_tokenizer_options){.truncate = true}, 3, "no model_max_length");
    ss_tokenizer_close(t);
}

/* Long words and hostile marks take no more than n log n steps. */
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const names[] = {"clip", "t5", "t5_json"};
    static const char *const units[] = {"a", "\xcc\x81\xcc\xa3", "\xe7\x8c\xab", "a "};

    for (size_t i = 0; i < N_OF(names); i++) {
        ss_tokenizer *t = open_case(names[i]);

        for (size_t k = 0; k < N_OF(units); k++) {
            ss_str s = {0};

            while (s.len + 8 < 100000)
                ss_str_add(&s, units[k]);
            ss_token_list all = encode(t, &s, &(ss_tokenizer_options){0});
            assert_true(all.n > 1);
            ss_token_list_release(&all);
            ss_str_release(&s);
        }
        ss_tokenizer_close(t);
    }
}

/* Files of a folder: pairs of name and text. */
static void expect_open(const char *const *files, ss_code code, const char *why)
{
    static int number;
    char name[32], path[600];
    ss_tokenizer *t = NULL;
    ss_err e = {0};

    snprintf(name, sizeof name, "folder%d", number++);
    const char *folder = in_tmp(name);
    assert_int_equal(mkdir(folder, 0777), 0);
    for (; *files; files += 2) {
        snprintf(path, sizeof path, "%s/%s", folder, files[0]);
        write_file(path, files[1], strlen(files[1]));
    }
    const ss_code rc = ss_tokenizer_open(folder, &t, &e);
    if (rc != code || (rc != SS_OK && !strstr(e.msg, why)))
        fail_msg("got %d \"%s\", want %d \"%s\"", rc, e.msg, code, why);
    assert_int_equal(t != NULL, rc == SS_OK);
    ss_tokenizer_close(t);
}

#define FILES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define VOCAB "{\"a\": 0, \"b\": 1, \"ab\": 2}"
#define UNIGRAM(more) \
    "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"a\", -1]]}" more "}"

static void test_damaged_files(void **state)
{
    (void)state;
    expect_open(FILES("x", ""), SS_IO,
                "there is no tokenizer.json, vocab.json with merges.txt, or");
    expect_open(FILES("tokenizer_config.json", "{\"tokenizer_class\": \"BertTokenizer\"}"),
                SS_UNSUPPORTED,
                "\"tokenizer_class\" is \"BertTokenizer\"; supported: CLIPTokenizer");
    expect_open(FILES("tokenizer_config.json", "{\"tokenizer_class\": \"T5TokenizerFast\"}",
                      "vocab.json", VOCAB, "merges.txt", ""),
                SS_IO, "there is no tokenizer.json, nor spiece.model");
    expect_open(FILES("vocab.json", VOCAB, "merges.txt", "#version: 0.2\na b\n"), SS_OK, "");
    expect_open(FILES("vocab.json", VOCAB, "merges.txt", "a b c\n"), SS_FORMAT,
                "merge 1 is not two words");
    expect_open(FILES("vocab.json", VOCAB, "merges.txt", "a b\n\n"), SS_FORMAT,
                "merge 2 is not two");
    expect_open(FILES("vocab.json", VOCAB, "merges.txt", "b a\n"), SS_FORMAT,
                "merge 1 makes \"ba\": that is not in the vocabulary");
    expect_open(FILES("vocab.json", "{\"a\": 7, \"b\": 7}", "merges.txt", ""), SS_FORMAT,
                "\"a\" and \"b\" both have the id 7");
    expect_open(FILES("vocab.json", "{\"a\": 4294967296}", "merges.txt", ""), SS_FORMAT,
                "the id of \"a\" is no number from 0 to");
    expect_open(FILES("vocab.json", "{\"a\": -1}", "merges.txt", ""), SS_FORMAT, "the id of \"a\"");
    expect_open(FILES("vocab.json", "{}", "merges.txt", ""), SS_FORMAT, "no object of 1 to");
    expect_open(FILES("tokenizer.json", UNIGRAM("")), SS_OK, "");
    expect_open(FILES("tokenizer.json", UNIGRAM(", \"normalizer\": {\"type\": \"NFKC\"}")),
                SS_UNSUPPORTED, "the normalizer \"NFKC\" is not supported");
    expect_open(FILES("tokenizer.json", UNIGRAM(", \"normalizer\": {\"type\": \"Precompiled\", "
                                                "\"precompiled_charsmap\": \"AAQAAA==\"}")),
                SS_FORMAT, "a character map of 4 bytes says that its table has 1024 bytes");
    expect_open(
        FILES("tokenizer.json",
              UNIGRAM(", \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": "
                      "{\"Regex\": \"(a+)+$\"}, \"behavior\": \"Removed\", \"invert\": true}")),
        SS_UNSUPPORTED, "the pre_tokenizer \"Split\" is not supported with this pattern");
    expect_open(FILES("tokenizer.json", UNIGRAM(", \"post_processor\": {\"type\": \"Template\"}")),
                SS_UNSUPPORTED, "the post_processor \"Template\" is not supported");
    expect_open(FILES("tokenizer.json", UNIGRAM(""), "tokenizer_config.json",
                      "{\"tokenizer_class\": \"CLIPTokenizer\"}"),
                SS_FORMAT,
                "the model is of type Unigram, but the tokenizer_class is CLIPTokenizer");
    expect_open(FILES("tokenizer.json", UNIGRAM(""), "tokenizer_config.json",
                      "{\"padding_side\": \"left\"}"),
                SS_UNSUPPORTED, "\"padding_side\" is \"left\"");
    expect_open(FILES("tokenizer.json",
                      UNIGRAM(", \"added_tokens\": [{\"content\": \"x\", \"single_word\": true}]")),
                SS_UNSUPPORTED, "the added token \"x\" has \"single_word\"");
    expect_open(
        FILES("tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", NaN]]}}"),
        SS_FORMAT, "entry 0 of the vocabulary is not a piece and its score");
    expect_open(FILES("spiece.model", "no"), SS_FORMAT, "not a model of sentencepiece, or cut off");
}

/* Every cut of a model, and every byte of it changed, is an error or a model; with the sanitizers,
 * so is what is made of texts. */
static void test_damaged_model(void **state)
{
    (void)state;
    size_t n;
    char *model = NULL;
    ss_err e = {0};
    const char *folder = in_tmp("damaged");
    char path[600];

    assert_int_equal(ss_file_read("tests/fuzz/corpus/spiece/rules", 1 << 20, &model, &n, &e),
                     SS_OK);
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(path, sizeof path, "%s/spiece.model", folder);
    for (size_t i = 0; i < n; i += 3) {
        const ss_str text = {.s = (char[]){"A cat \xef\xac\x81ne e\xcc\x81"}, .len = 14};
        ss_tokenizer *t = NULL;

        model[i] ^= (char)(1 << i % 8);
        write_file(path, model, i % 2 ? n : i);
        if (ss_tokenizer_open(folder, &t, &e) == SS_OK) {
            ss_token_list k = encode(t, &text, &(ss_tokenizer_options){0});

            ss_token_list_release(&k);
        } else {
            assert_true(*e.msg);
        }
        ss_tokenizer_close(t);
        model[i] ^= (char)(1 << i % 8);
    }
    ss_free(model);
}

/* Each allocation fails once: the error is told, and nothing leaks. */
static void test_allocations(void **state)
{
    (void)state;
    static const char *const names[] = {"clip", "t5", "unigram_file"};

    for (size_t i = 0; i < N_OF(names); i++) {
        const golden_case *c = &cases[0];

        while (strcmp(c->name, names[i]) != 0)
            c++;
        const char *folder = make_folder(c);
        for (unsigned long k = 1;; k += 1 + k / 8) {
            const unsigned long before = ss_mem_calls();
            ss_tokenizer *t = NULL;
            ss_token_list list = {0};
            ss_err e = {0};

            ss_mem_fail_at(k);
            ss_code rc = ss_tokenizer_open(folder, &t, &e);
            if (rc == SS_OK)
                rc = ss_tokenizer_encode(t, "a \xc3\x84 e\xcc\x81", 7,
                                         &(ss_tokenizer_options){.pad = true}, &list, &e);
            ss_mem_fail_at(0);
            ss_token_list_release(&list);
            ss_tokenizer_close(t);
            if (rc == SS_OK) {
                assert_true(ss_mem_calls() - before < k);
                break;
            }
            assert_int_equal(rc, SS_NOMEM);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_padding),       cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_lower),         cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_added_tokens),  cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_damaged_model), cmocka_unit_test(test_allocations),
    };
    struct CMUnitTest tests[N_OF(cases) + N_OF(others)];
    size_t n = 0;

    for (size_t i = 0; i < N_OF(cases); i++)
        tests[n++] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = test_golden, .initial_state = (void *)&cases[i]};
    for (size_t i = 0; i < N_OF(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests(tests, setup, teardown);
}
