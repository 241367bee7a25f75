/* test_pickle.c - pickles as data: those of torch.save in every layout, and hostile ones
 *
 * Golden files: tests/golden/make_pickles.py.
 */
#include "base/mem.h"
#include "models/file/pickle.h"
#include "models/file/safetensors.h"
#include "tests/ss_tmp.h"

#include <sys/resource.h>

#define GOLDEN "tests/golden/formats/pickles/"

static ss_pickle *open_pickle(const char *path)
{
    ss_pickle *p = NULL;
    ss_err e = {0};

    if (ss_pickle_open(path, &p, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return p;
}

static void assert_same_tensor(const ss_stored_tensor *got, const ss_stored_tensor *want)
{
    unsigned char *values = ss_alloc(1, want->bytes);
    ss_err e = {0};

    assert_non_null(values);
    assert_string_equal(got->type, want->type);
    assert_int_equal(got->usable, want->usable);
    assert_int_equal(got->rank, want->rank);
    assert_memory_equal(got->dim, want->dim, sizeof want->dim[0] * (size_t)want->rank);
    assert_int_equal(got->bytes, want->bytes);
    assert_int_equal(ss_stored_read(got, values, &e), SS_OK);
    if (want->bytes && memcmp(values, want->data, want->bytes) != 0)
        fail_msg("%s: other values", want->name);
    ss_free(values);
}

/* Every tensor has the bytes that safetensors has, whatever its strides and storage. */
static void test_tensors(void **state)
{
    (void)state;
    static const char *const files[] = {GOLDEN "tensors.pt", GOLDEN "tensors-legacy.pt"};
    static const char *const in_place[] = {"base", "row", "scalar", "half", "one", "empty", "e4m3"},
                             *const made[] = {"transposed", "cut", "t", "expanded", "diagonal"};
    ss_safetensors *want;
    ss_err e = {0};

    assert_int_equal(ss_safetensors_open(GOLDEN "tensors.safetensors", &want, &e), SS_OK);
    for (size_t f = 0; f < N_OF(files); f++) {
        ss_pickle *p = open_pickle(files[f]);
        const ss_pickle_value *root = ss_pickle_root(p);

        assert_int_equal(ss_pickle_count(root), ss_safetensors_count(want));
        for (size_t i = 0; i < ss_safetensors_count(want); i++) {
            const ss_stored_tensor *t = ss_safetensors_at(want, i);
            const ss_pickle_value *v = ss_pickle_get(root, t->name);

            assert_true(v && v->kind == SS_PICKLE_TENSOR);
            assert_same_tensor(v->tensor, t);
        }
        for (size_t i = 0; i < N_OF(in_place); i++)
            assert_non_null(ss_pickle_get(root, in_place[i])->tensor->data);
        for (size_t i = 0; i < N_OF(made); i++)
            assert_null(ss_pickle_get(root, made[i])->tensor->data);
        /* "row" is a part of "base", in the same place of the file */
        assert_ptr_equal(ss_pickle_get(root, "row")->tensor->data,
                         (const char *)ss_pickle_get(root, "base")->tensor->data +
                             3 * 20 * sizeof(float));
        ss_pickle_close(p);
    }
    ss_safetensors_close(want);
}

static bool is_text(const ss_pickle_value *v, const char *text, size_t n)
{
    return v && v->kind == SS_PICKLE_TEXT && v->text.n == n && memcmp(v->text.s, text, n) == 0;
}

static bool is_int(const ss_pickle_value *v, int64_t number)
{
    return v && v->kind == SS_PICKLE_INT && v->number == number;
}

static void check_scalars(const ss_pickle_value *root)
{
    static const struct {
        const char *key;
        int64_t want;
    } ints[] = {{"small", 7},        {"byte", 200},      {"word", 40000},
                {"negative", -5},    {"int", INT32_MIN}, {"long", INT64_C(1) << 40},
                {"least", INT64_MIN}};
    static const char unicode[] = "äöü€😀\\u \n'\"";

    for (size_t i = 0; i < N_OF(ints); i++)
        assert_true(is_int(ss_pickle_get(root, ints[i].key), ints[i].want));
    assert_int_equal(ss_pickle_get(root, "none")->kind, SS_PICKLE_NONE);
    assert_int_equal(ss_pickle_get(root, "true")->kind, SS_PICKLE_BOOL);
    assert_true(ss_pickle_get(root, "true")->truth);
    assert_int_equal(ss_pickle_get(root, "false")->kind, SS_PICKLE_BOOL);
    assert_false(ss_pickle_get(root, "false")->truth);
    assert_int_equal(ss_pickle_get(root, "big")->kind, SS_PICKLE_BIG);
    assert_int_equal(ss_pickle_get(root, "minus_big")->kind, SS_PICKLE_BIG);
    assert_true(ss_pickle_get(root, "float")->real == 0.1);
    assert_true(ss_pickle_get(root, "inf")->real > 1e308);
    assert_true(is_text(ss_pickle_get(root, "text"), "plain", 5));
    assert_true(is_text(ss_pickle_get(root, "unicode"), unicode, sizeof unicode - 1));
    assert_true(is_text(ss_pickle_get(root, "empty"), "", 0));
    const ss_pickle_value *bytes = ss_pickle_get(root, "bytes");
    assert_int_equal(bytes->kind, SS_PICKLE_BYTES);
    assert_int_equal(bytes->text.n, 4);
    assert_memory_equal(bytes->text.s,
                        "\x00\xff\xc3"
                        "a",
                        4);
}

static void check_containers(const ss_pickle_value *root)
{
    char key[8];
    int64_t v[4];

    for (int n = 0; n <= 4; n++) {
        snprintf(key, sizeof key, "tuple%d", n);
        assert_int_equal(ss_pickle_get(root, key)->kind, SS_PICKLE_TUPLE);
        assert_int_equal(ss_pickle_ints(ss_pickle_get(root, key), v, 4), n);
        for (int i = 0; i < n; i++)
            assert_int_equal(v[i], i + 1);
    }
    assert_int_equal(ss_pickle_ints(ss_pickle_get(root, "tuple4"), v, 3), -1);
    assert_int_equal(ss_pickle_ints(ss_pickle_get(root, "list"), v, 4), -1);
    assert_true(is_int(ss_pickle_find(root, "list.1.0"), 2));
    const ss_pickle_value *shared = ss_pickle_get(root, "shared");
    assert_ptr_equal(ss_pickle_at(shared, 0), ss_pickle_at(shared, 1));
    const ss_pickle_value *ring = ss_pickle_get(root, "ring");
    assert_ptr_equal(ss_pickle_at(ring, 1), ring);
    assert_true(is_text(ss_pickle_find(root, "5"), "five", 4));
    assert_int_equal(ss_pickle_get(root, "ordered")->kind, SS_PICKLE_DICT);
    assert_true(ss_pickle_is(ss_pickle_key(ss_pickle_get(root, "ordered"), 0), "b"));
    assert_true(is_int(ss_pickle_find(root, "ordered.a"), 2));
    assert_true(is_int(ss_pickle_find(root, "default.k.0"), 1));
    assert_true(is_int(ss_pickle_find(root, "dotted.key.in.side"), 1));
    assert_null(ss_pickle_find(root, "dotted.key.in"));
    assert_null(ss_pickle_find(root, "ring.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1"));
    assert_int_equal(ss_pickle_count(ss_pickle_get(root, "many")), 300);
    assert_true(ss_pickle_is(ss_pickle_at(ss_pickle_get(root, "many"), 299), "299"));
}

/* Objects are names with what they are made of; nothing is called. */
static void check_objects(const ss_pickle_value *root, int protocol)
{
    int64_t v[4];
    const ss_pickle_value *space = ss_pickle_get(root, "namespace");

    assert_int_equal(space->kind, SS_PICKLE_OBJECT);
    assert_true(
        ss_pickle_names(space, protocol < 2 ? "copy_reg._reconstructor" : "argparse.Namespace"));
    assert_true(ss_pickle_get(space, "lr")->real == 0.5);
    assert_true(ss_pickle_is(ss_pickle_get(space, "name"), "run"));
    assert_null(ss_pickle_get(space, "other"));
    assert_true(ss_pickle_names(ss_pickle_get(root, "size"), "torch.Size"));
    assert_int_equal(ss_pickle_ints(ss_pickle_get(root, "size"), v, 4), 2);
    assert_int_equal(v[1], 3);
    assert_int_equal(ss_pickle_get(root, "dtype")->kind, SS_PICKLE_GLOBAL);
    assert_true(ss_pickle_names(ss_pickle_get(root, "dtype"), "torch.bfloat16"));
    assert_false(ss_pickle_names(ss_pickle_get(root, "dtype"), "torch.bfloat1"));
    assert_int_equal(ss_pickle_get(root, "numpy")->kind, SS_PICKLE_OBJECT);
    assert_int_equal(ss_pickle_get(root, "array")->kind, SS_PICKLE_OBJECT);
    const ss_pickle_value *deque = ss_pickle_get(root, "deque");
    assert_true(ss_pickle_names(deque, "collections.deque"));
    assert_int_equal(ss_pickle_count(deque->object.items), 2);
}

static void test_values(void **state)
{
    (void)state;
    for (int protocol = 0; protocol <= 5; protocol++) {
        char path[64];

        snprintf(path, sizeof path, GOLDEN "values-%d.pkl", protocol);
        ss_pickle *p = open_pickle(path);
        check_scalars(ss_pickle_root(p));
        check_containers(ss_pickle_root(p));
        check_objects(ss_pickle_root(p), protocol);
        ss_pickle_close(p);
    }
}

/* AdamW's state, as torch.save(opt.state_dict()) has it. */
static void test_optimizer(void **state)
{
    (void)state;
    ss_pickle *p = open_pickle(GOLDEN "optimizer.bin");
    const ss_pickle_value *root = ss_pickle_root(p), *states = ss_pickle_get(root, "state");
    const ss_pickle_value *step = ss_pickle_find(root, "state.0.step");

    assert_int_equal(ss_pickle_count(states), 4);
    assert_int_equal(step->kind, SS_PICKLE_TENSOR);
    assert_true(*(const float *)step->tensor->data == 2);
    assert_int_equal(ss_pickle_find(root, "state.3.exp_avg_sq")->tensor->rank, 1);
    assert_true(ss_pickle_find(root, "param_groups.0.betas.1")->real == 0.98);
    assert_true(ss_pickle_find(root, "param_groups.0.lr")->real == 0.25);
    ss_pickle_close(p);
}

/* Opening of bytes fails with the code and the text. */
static void fails(const void *bytes, size_t n, ss_code code, const char *want)
{
    const char *path = in_tmp("bad.pt");
    ss_pickle *p = NULL;
    ss_err e = {0};

    write_file(path, bytes, n);
    const ss_code rc = ss_pickle_open(path, &p, &e);
    if (rc != code || !strstr(e.msg, want))
        fail_msg("code %d, not %d, and \"%s\", which lacks \"%s\"", rc, code, e.msg, want);
}

#define STORAGE(key, numel) "((U\7storagectorch\nFloatStorage\nU\1" key "U\3cpuK" numel "tQ"
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n"

static void test_hostile(void **state)
{
    (void)state;
    static const char other_version[] = "\x80\x02\x8a\x0al\xfc\x9c"
                                        "F\xf9 j\xa8P\x19.\x80\x02M\xea\x03.\x80\x02}.";
#define BAD(text, want)             \
    {                               \
        text, sizeof text - 1, want \
    }
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } cases[] = {
        BAD("", "the file is empty"),
        BAD(".", "no value on the stack"),
        BAD("(.", "no value on the stack"),
        BAD("\xff", "byte 0: an unknown opcode"),
        BAD("\x97.", "an unknown opcode"), /* a buffer outside of the file */
        BAD("\x80\x06N.", "newer than 5"),
        BAD("N", "ends without an end mark"),
        BAD("X\xff\xff\xff\xff", "longer than the file"),
        BAD("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
            "a.",
            "longer than the file"),
        BAD("\x8e\0\0\0\0\1\0\0\0.", "longer than the file"),
        BAD("\x8b\xff\xff\xff\x7f.", "longer than the file"),
        BAD("J\1\2", "in the middle of a value"),
        BAD("I12", "in the middle of a line"),
        BAD("cos\nsystem", "in the middle of a line"),
        BAD("I1x\n.", "a number cannot be read"),
        BAD("F1..2\n.", "a number cannot be read"),
        BAD("Sabc\n.", "a text without quotes"),
        BAD("h\5.", "the memo has no such key"),
        BAD("Nr\xff\xff\xff\x7f.", "larger than their number"),
        BAD("Np99999999999999999999\n.", "larger than their number"),
        BAD("Np-1\n.", "key of the memo cannot be read"),
        BAD("t.", "no mark on the stack"),
        BAD("NN\x87.", "too few values"),
        BAD("(N\x86.", "a mark where a value"),
        BAD("Na.", "no container"),
        BAD("NNa.", "no list"),
        BAD("]NNs.", "no dict"),
        BAD("}(Nu.", "has no value"),
        BAD("]}(Nu.", "has no value"),
        BAD("NR.", "no value on the stack"),
        BAD("cos\nsystem\nNR.", "makes an object"),
        BAD("(Io.", "in the middle of a line"),
        BAD("(o.", "an object has no class"),
        BAD("NN\x93.", "name of a class is no text"),
        BAD("X\1\0\0\0aQ.", "something outside"),
        BAD("Pabc\n.", "something outside"),
        BAD(TENSOR "(tR.", "makes a tensor of what"),
        BAD(TENSOR "(NNNNNNtR.", "makes a tensor of what"),
        BAD("(U\7storageNNNNtQ.", "makes a storage of what"),
        BAD("(U\7storagectorch\nOddStorage\nU\1"
            "0U\3cpuK\1tQ.",
            "dtype that is not known"),
        BAD(TENSOR STORAGE("0", "\4") "K\0(K\2K\2t(K\2K\1tNNtR.", "without their values"),
        BAD("ccollections\nOrderedDict\n(](K\1K\2K\3tatR.", "makes a dict of what"),
        BAD("PK\3\4", "index at the end of the archive is missing"),
    };
    char deep[4096];

    for (size_t i = 0; i < N_OF(cases); i++)
        fails(cases[i].bytes, cases[i].n, SS_FORMAT, cases[i].want);
    memset(deep, '(', sizeof deep);
    fails(deep, sizeof deep, SS_FORMAT, "ends without an end mark");
    memset(deep, ']', sizeof deep);
    deep[sizeof deep - 1] = '.';
    write_file(in_tmp("deep.pkl"), deep, sizeof deep);
    ss_pickle_close(open_pickle(in_tmp("deep.pkl")));
    fails(other_version, sizeof other_version - 1, SS_UNSUPPORTED, "not the version");
    memcpy(deep + 257, "ustar", 5);
    fails(deep, sizeof deep, SS_UNSUPPORTED, "a tar file");
}

/* Lists in lists, each twice: 2^64 places, 65 values. */
static void test_exponential(void **state)
{
    (void)state;
    char bytes[1024] = "]q\0";
    size_t n = 3;

    for (int i = 1; i <= 64; i++) {
        const char more[] = {']', 'q', (char)i, 'h', (char)(i - 1), 'a', 'h', (char)(i - 1), 'a'};

        memcpy(bytes + n, more, sizeof more);
        n += sizeof more;
    }
    bytes[n++] = '.';
    write_file(in_tmp("twice.pkl"), bytes, n);
    ss_pickle *p = open_pickle(in_tmp("twice.pkl"));
    assert_int_equal(ss_pickle_count(ss_pickle_root(p)), 2);
    ss_pickle_close(p);
}

/* Reads a golden file, of at most max bytes. */
static size_t read_file(const char *path, unsigned char *bytes, size_t max)
{
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    const size_t n = fread(bytes, 1, max, f);
    assert_true(n < max);
    fclose(f);
    return n;
}

/* Replaces the only place of old [n] in bytes. */
static void patch(unsigned char *bytes, size_t n_bytes, const void *old, const void *new, size_t n)
{
    unsigned char *at = memmem(bytes, n_bytes, old, n);

    assert_non_null(at);
    memcpy(at, new, n);
}

/* Damaged files: each number that says where values are is checked. */
static void test_damaged(void **state)
{
    (void)state;
    static unsigned char good[1 << 16], bad[1 << 16];
    const size_t n = read_file(GOLDEN "tensors.pt", good, sizeof good);

    for (size_t cut = 0; cut < n; cut += 97) {
        ss_pickle *p = NULL;
        ss_err e = {0};

        write_file(in_tmp("cut.pt"), good, cut);
        assert_int_equal(ss_pickle_open(in_tmp("cut.pt"), &p, &e), SS_FORMAT);
        assert_true(*e.msg);
    }
    /* "cut" begins at value 22 of 120 */
    memcpy(bad, good, n);
    patch(bad, n, "K\x15K\x03K\x03K\x03\x87", "K\x6eK\x03K\x03K\x03\x87", 9);
    fails(bad, n, SS_FORMAT, "reaches to value");
    memcpy(bad, good, n);
    patch(bad, n, "little", "bigger", 6);
    fails(bad, n, SS_UNSUPPORTED, "big-endian");
    for (int i = 0; i < 2;
         i++) /* in the entry and in the index: the record came with PyTorch 2.1 */
        patch(bad, n, "/byteorder", "/byteordre", 10);
    write_file(in_tmp("older.pt"), bad, n);
    ss_pickle_close(open_pickle(in_tmp("older.pt")));
    memcpy(bad, good, n);
    patch(bad, n, "/data/7", "/data/x", 7); /* another name than in the index */
    fails(bad, n, SS_FORMAT, "/data/7 of the archive, of ");
    patch(bad, n, "/data/7", "/data/x", 7);
    fails(bad, n, SS_FORMAT, "the archive lacks data/7");
}

/* A tensor of 10 GiB, 0xa0000000 floats. */
static const char large_pickle[] = "\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n"
                                   "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
                                   "0X\3\0\0\0cpu\x8a\5\0\0\0\xa0\0tQK\0\x8a\5\0\0\0\xa0\0\x85"
                                   "K\1\x85\x89}tRs.";
enum { LARGE_PICKLE = sizeof large_pickle - 1 };
static const uint64_t large = UINT64_C(10) << 30;

static void put(FILE *f, uint64_t v, int bytes)
{
    for (; bytes; bytes--, v >>= 8)
        fputc((int)(v & 0xff), f);
}

/* A stored entry whose sizes are in the extra field, as of any that may be large; returns its
 * place. The bytes are NULL for a hole. */
static uint64_t put_entry(FILE *f, const char *name, const void *bytes, uint64_t n)
{
    const uint64_t at = (uint64_t)ftello(f);

    put(f, 0x04034b50, 4);
    put(f, 0, 14);
    put(f, UINT64_MAX, 8);
    put(f, strlen(name), 2);
    put(f, 20, 2);
    fputs(name, f);
    put(f, 0x100001, 4);
    put(f, n, 8);
    put(f, n, 8);
    if (bytes)
        assert_int_equal(fwrite(bytes, 1, n, f), n);
    else
        assert_int_equal(fseeko(f, (off_t)n, SEEK_CUR), 0);
    return at;
}

static void put_central(FILE *f, const char *name, uint64_t n, uint64_t at)
{
    put(f, 0x02014b50, 4);
    put(f, 0, 16);
    put(f, UINT64_MAX, 8);
    put(f, strlen(name), 2);
    put(f, 28, 2);
    put(f, 0, 10);
    put(f, UINT32_MAX, 4);
    fputs(name, f);
    put(f, 0x180001, 4);
    put(f, n, 8);
    put(f, n, 8);
    put(f, at, 8);
}

/* ZIP64 throughout: the values end beyond 4 GiB, and so does the index. */
static void write_large_zip(const char *path)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    const uint64_t values = put_entry(f, "a/data/0", NULL, large);
    const uint64_t pickle = put_entry(f, "a/data.pkl", large_pickle, LARGE_PICKLE);
    const uint64_t central = (uint64_t)ftello(f);
    put_central(f, "a/data/0", large, values);
    put_central(f, "a/data.pkl", LARGE_PICKLE, pickle);
    const uint64_t end = (uint64_t)ftello(f);
    put(f, 0x06064b50, 4);
    put(f, 44, 8);
    put(f, 0, 12);
    put(f, 2, 8);
    put(f, 2, 8);
    put(f, end - central, 8);
    put(f, central, 8);
    put(f, 0x07064b50, 4);
    put(f, 0, 4);
    put(f, end, 8);
    put(f, 1, 4);
    put(f, 0x06054b50, 4);
    put(f, 0, 4);
    put(f, UINT64_MAX, 8);
    put(f, UINT32_MAX, 4);
    put(f, 0, 2);
    assert_int_equal(fclose(f), 0);
}

static void write_large_row(const char *path)
{
    static const char before[] = "\x80\x02\x8a\x0al\xfc\x9c"
                                 "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.",
                      after[] = "\x80\x02]X\1\0\0\0"
                                "0a.";
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    fwrite(before, 1, sizeof before - 1, f);
    fwrite(large_pickle, 1, LARGE_PICKLE, f);
    fwrite(after, 1, sizeof after - 1, f);
    put(f, large / sizeof(float), 8);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), (off_t)((uint64_t)ftello(f) + large)), 0);
    assert_int_equal(fclose(f), 0);
}

/* Opening reads no values: 10 GiB with holes for values take less than 1 MiB of memory. */
static void test_large(void **state)
{
    (void)state;
    struct rusage before, after;

    write_large_zip(in_tmp("large.pt"));
    write_large_row(in_tmp("large-row.pt"));
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 2; i++) {
        ss_pickle *p = open_pickle(in_tmp(i ? "large-row.pt" : "large.pt"));
        const ss_stored_tensor *t = ss_pickle_get(ss_pickle_root(p), "w")->tensor;

        assert_true(t->bytes == large);
        assert_non_null(t->data);
        assert_int_equal(((const char *)t->data)[large - 1], 0);
        ss_pickle_close(p);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_optimizer),   cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_exponential), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
