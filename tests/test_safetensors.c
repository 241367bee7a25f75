/* test_safetensors.c - reading of safetensors files: good ones, and every kind of bad one */
#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "models/file/safetensors.h"
#include "models/model_paths.h"
#include "tests/ss_tmp.h"

/* Writes a file of a header and room bytes of data 0, 1, 2, ...; claimed < 0: the true length. */
static const char *make_file(const char *name, const char *header, long long claimed, size_t room)
{
    static unsigned char bytes[1 << 16];
    const size_t len = strlen(header);
    const uint64_t n = claimed < 0 ? len : (uint64_t)claimed;
    const char *path = in_tmp(name);

    assert_true(8 + len + room <= sizeof bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> 8 * i);
    memcpy(bytes + 8, header, len);
    for (size_t i = 0; i < room; i++)
        bytes[8 + len + i] = (unsigned char)i;
    write_file(path, bytes, 8 + len + room);
    return path;
}

static void test_reads(void **state)
{
    (void)state;
    const char *path =
        make_file("good.st",
                  "{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"z\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[4,12]},"
                  "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
                  "\"a.b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                  "\"scalar\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[12,14]},"
                  "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[14,22]},"
                  "\"next\":{\"dtype\":\"F2_FUTURE\",\"shape\":[3],\"data_offsets\":[22,23]}}   ",
                  -1, 23);
    ss_safetensors *f;
    ss_shape s;
    ss_err e = {0};
    char text[64];

    assert_int_equal(ss_safetensors_open(path, &f, &e), SS_OK);
    assert_int_equal(ss_safetensors_count(f), 6);
    assert_string_equal(ss_safetensors_at(f, 0)->name, "a.b");
    assert_string_equal(ss_safetensors_at(f, 5)->name, "z");
    assert_string_equal(ss_safetensors_metadata(f, "format"), "pt");
    assert_null(ss_safetensors_metadata(f, "none"));
    assert_null(ss_safetensors_find(f, "a"));

    const ss_stored_tensor *t = ss_safetensors_find(f, "z");
    assert_string_equal(ss_stored_shape_text(t, text, sizeof text), "[2,1]");
    assert_int_equal(t->bytes, 8);
    assert_int_equal(*(const unsigned char *)t->data, 4);
    assert_int_equal(ss_stored_shape(t, &s, &e), SS_OK);
    assert_true(ss_shape_equal(s, ss_shape_of(2, 1)));

    t = ss_safetensors_find(f, "ids");
    assert_false(t->usable);
    assert_int_equal(ss_stored_shape(t, &s, &e), SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "good.st: tensor ids has dtype I64; F32, F16, BF16 can"));
    t = ss_safetensors_find(f, "next");
    assert_string_equal(t->type, "F2_FUTURE");
    ss_safetensors_close(f);
}

#define ONE(rest) "{\"a\":{\"dtype\":\"F32\"," rest "}}"

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        long long claimed;
        size_t room;
        const char *want;
    } cases[] = {
        {"", 0, 0, "header, line"},
        {"{}", 3, 0, "header claims 3 bytes, the file has 2"},
        {"{}", 0x7fffffffffffffff, 0, "header claims 9223372036854775807 bytes"},
        {"[]", -1, 0, "not a JSON object"},
        {"{", -1, 0, "header, line 1"},
        {"{\"a\":1,\"a\":1}", -1, 0, "duplicate"},
        {"{\"\xff\":{}}", -1, 0, "header, line 1"},
        {"{\"a\":{}} x", -1, 0, "header, line 1"},
        {"{\"a\":7}", -1, 0, "tensor a: expected an object"},
        {"{\"__metadata__\":7}", -1, 0, "__metadata__ is not"},
        {"{\"__metadata__\":{\"k\":1}}", -1, 0, "__metadata__ k is not a text"},
        {"{}", -1, 4, "nothing owns the last 4 bytes"},
        {ONE("\"shape\":[1]"), -1, 4, "\"data_offsets\" is missing"},
        {ONE("\"shape\":[1],\"data_offsets\":[0]"), -1, 4, "\"data_offsets\" is missing"},
        {ONE("\"shape\":[1],\"data_offsets\":[0,4,4]"), -1, 4, "\"data_offsets\" is missing"},
        {ONE("\"shape\":[1],\"data_offsets\":[0,4.0]"), -1, 4, "\"data_offsets\" is missing"},
        {ONE("\"data_offsets\":[0,4]"), -1, 4, "\"shape\" is missing"},
        {ONE("\"shape\":4,\"data_offsets\":[0,4]"), -1, 4, "\"shape\" is missing"},
        {ONE("\"shape\":[-1],\"data_offsets\":[0,4]"), -1, 4, "not a number >= 0"},
        {ONE("\"shape\":[1.5],\"data_offsets\":[0,4]"), -1, 4, "not a number >= 0"},
        {ONE("\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), -1, 4, "9 dimensions"},
        {ONE("\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"), -1, 4, "too large"},
        {ONE("\"shape\":[4611686018427387904],\"data_offsets\":[0,4]"), -1, 4, "too large"},
        {ONE("\"shape\":[9223372036854775808],\"data_offsets\":[0,4]"), -1, 4, "too big"},
        {ONE("\"shape\":[2],\"data_offsets\":[0,4]"), -1, 4, "has 4 bytes, not 8"},
        {ONE("\"shape\":[1],\"data_offsets\":[0,8]"), -1, 4, "at bytes 0 to 8, the file has 4"},
        {ONE("\"shape\":[1],\"data_offsets\":[-4,0]"), -1, 4, "at bytes -4 to 0"},
        {ONE("\"shape\":[1],\"data_offsets\":[4,0]"), -1, 4, "at bytes 4 to 0"},
        {ONE("\"shape\":[1],\"data_offsets\":[4,8]"), -1, 8, "nothing owns the 4 bytes before"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 4, "\"dtype\" is missing"},
        {"{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 4, "\"dtype\" is"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", -1, 1, "has 1 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
         -1, 6, "tensor b overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         -1, 4, "overlaps"},
        {"{\"a\\u001b[2J\":{}}", -1, 0, "\\x1b[2J"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *path = make_file("bad.st", cases[i].header, cases[i].claimed, cases[i].room);
        ss_safetensors *f;
        ss_err e = {0};

        if (ss_safetensors_open(path, &f, &e) != SS_FORMAT)
            fail_msg("%s was taken", cases[i].header);
        if (!strstr(e.msg, cases[i].want) || !strstr(e.msg, "bad.st"))
            fail_msg("%s gives '%s', not '...%s...'", cases[i].header, e.msg, cases[i].want);
    }

    static const char seven[7];
    ss_safetensors *f;
    ss_err e = {0};
    write_file(in_tmp("short.st"), seven, 7);
    assert_int_equal(ss_safetensors_open(in_tmp("short.st"), &f, &e), SS_FORMAT);
    write_file(in_tmp("short.st"), seven, 0);
    assert_int_equal(ss_safetensors_open(in_tmp("short.st"), &f, &e), SS_FORMAT);
    assert_int_equal(ss_safetensors_open(in_tmp("none.st"), &f, &e), SS_IO);
    assert_int_equal(ss_safetensors_open(tmp_dir, &f, &e), SS_IO);
}

/* A good file with one byte changed, at each place of its header: never more than an error. */
static void test_survives_any_byte(void **state)
{
    (void)state;
    static const char header[] =
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
    static const unsigned char values[] = {0, 0x20, 0x22, 0x30, 0x39, 0x5b, 0x7f, 0x80, 0xff};
    unsigned char file[8 + sizeof header - 1 + 8] = {sizeof header - 1};
    int good = 0;

    memcpy(file + 8, header, sizeof header - 1);
    for (size_t at = 0; at < sizeof file - 8; at++) {
        for (size_t v = 0; v < N_OF(values); v++) {
            const unsigned char was = file[at];
            ss_safetensors *f;

            file[at] = values[v];
            write_file(in_tmp("byte.st"), file, sizeof file);
            file[at] = was;
            if (ss_safetensors_open(in_tmp("byte.st"), &f, NULL) == SS_OK) {
                good++;
                for (size_t i = 0; i < ss_safetensors_count(f); i++) {
                    const ss_stored_tensor *t = ss_safetensors_at(f, i);
                    float x[8];

                    if (t->usable)
                        ss_values_to_f32(t->dtype, t->data, t->bytes / ss_dtype_size(t->dtype), x);
                }
                ss_safetensors_close(f);
            }
        }
    }
    assert_true(good > 0); /* a name may be anything */
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const char *path = make_file("oom.st", ONE("\"shape\":[1],\"data_offsets\":[0,4]"), -1, 4);
    char spec[512];

    snprintf(spec, sizeof spec, "%s#a", path);
    for (unsigned long k = 1;; k++) {
        ss_array a = {0};
        ss_err e = {0};

        ss_mem_fail_at(k);
        const ss_code rc = ss_safetensors_load_f32(spec, &a, &e);
        ss_mem_fail_at(0);
        ss_array_release(&a);
        if (rc == SS_OK) {
            assert_true(k > 3);
            break;
        }
        assert_int_equal(rc, SS_NOMEM);
    }
}

/* f16 and bf16 values whose f32 forms are known. */
static void test_values(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        float want;
    } half[] = {{0x0000, 0},         {0x3c00, 1},          {0xbc00, -1},       {0x7bff, 65504},
                {0x0001, 0x1p-24f},  {0x03ff, 0x3ffp-24f}, {0x0400, 0x1p-14f}, {0x7c00, INFINITY},
                {0xfc00, -INFINITY}, {0x3555, 0x1.554p-2f}},
      brain[] = {{0x3f80, 1}, {0xff80, -INFINITY}, {0x0001, 0x1p-133f}, {0x4049, 3.140625f}};
    float x;

    for (size_t i = 0; i < N_OF(half); i++) {
        ss_values_to_f32(SS_F16, &half[i].bits, 1, &x);
        assert_memory_equal(&x, &half[i].want, sizeof x);
    }
    for (size_t i = 0; i < N_OF(brain); i++) {
        ss_values_to_f32(SS_BF16, &brain[i].bits, 1, &x);
        assert_memory_equal(&x, &brain[i].want, sizeof x);
    }
    ss_values_to_f32(SS_F16, &(uint16_t){0x8000}, 1, &x);
    assert_true(x == 0 && signbit(x));
    ss_values_to_f32(SS_F16, &(uint16_t){0x7e01}, 1, &x);
    assert_true(isnan(x));
}

static void test_file_hash_name(void **state)
{
    (void)state;
    const char *path = make_file(
        "array#1.st", "{\"x\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[0,4]}}", -1, 4);
    char spec[512];
    ss_array a;
    ss_err e = {0};

    snprintf(spec, sizeof spec, "%s#x", path);
    assert_int_equal(ss_safetensors_load_f32(spec, &a, &e), SS_OK);
    assert_int_equal(a.rank, 2);
    assert_int_equal(a.dim[1], 2);
    ss_array_release(&a);
    snprintf(spec, sizeof spec, "%s#y", path);
    assert_int_equal(ss_safetensors_load_f32(spec, &a, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no tensor y; the file has 1 tensors, the first is x"));
    assert_int_equal(ss_safetensors_load_f32("file", &a, &e), SS_USAGE);
    assert_int_equal(ss_safetensors_load_f32("file#", &a, &e), SS_USAGE);
    assert_int_equal(ss_safetensors_load_f32("#x", &a, &e), SS_USAGE);
    assert_int_equal(ss_safetensors_load_f32("none.st#x", &a, &e), SS_IO);
}

/* ---- checkpoints ---- */

#define WHOLE "diffusion_pytorch_model"
#define TENSOR(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"

static void write_index(const char *text)
{
    write_file(in_tmp(WHOLE ".safetensors.index.json"), text, strlen(text));
}

static void open_fails(const char *variant, ss_code code, const char *want)
{
    ss_checkpoint *k;
    ss_err e = {0};
    const ss_code rc =
        ss_checkpoint_open(tmp_dir, &(ss_checkpoint_options){.variant = variant}, &k, &e);

    if (rc != code || !strstr(e.msg, want))
        fail_msg("code %d and '%s', not %d and '...%s...'", rc, e.msg, code, want);
}

static void test_checkpoints(void **state)
{
    (void)state;
    ss_checkpoint *k;
    ss_err e = {0};
    char hex[65], again[65];

    /* earlier tests left files; start in a folder of our own */
    char outer[sizeof tmp_dir];
    strcpy(outer, tmp_dir);
    strcat(tmp_dir, "/k");
    assert_int_equal(mkdir(tmp_dir, 0700), 0);

    open_fails(NULL, SS_IO, "no weights");
    make_file("other.safetensors", TENSOR("b"), -1, 4);
    assert_int_equal(ss_checkpoint_open(tmp_dir, NULL, &k, &e), SS_OK); /* the only one */
    assert_non_null(ss_checkpoint_find(k, "b"));
    ss_checkpoint_close(k);
    make_file(WHOLE ".fp16.safetensors", TENSOR("c"), -1, 4);
    open_fails(NULL, SS_USAGE, "pick one by its variant, as with --variant fp16");
    open_fails("ema", SS_USAGE, "there is no variant ema of the weights; there are: fp16");
    assert_int_equal(
        ss_checkpoint_open(tmp_dir, &(ss_checkpoint_options){.variant = "fp16"}, &k, &e), SS_OK);
    assert_non_null(ss_checkpoint_find(k, "c"));
    ss_checkpoint_close(k);

    /* shards */
    make_file("s1.safetensors", TENSOR("a"), -1, 4);
    make_file("s2.safetensors", TENSOR("b"), -1, 4);
    write_index("{\"weight_map\":{\"b\":\"s2.safetensors\",\"a\":\"s1.safetensors\"}}");
    write_file(in_tmp("config.json"), "{}", 2);
    assert_int_equal(ss_checkpoint_open(tmp_dir, NULL, &k, &e), SS_OK);
    assert_int_equal(ss_checkpoint_count(k), 2);
    assert_int_equal(ss_checkpoint_n_files(k), 3);
    assert_string_equal(ss_checkpoint_at(k, 0)->name, "a");
    assert_non_null(strstr(ss_checkpoint_find(k, "b")->file, "/s2.safetensors"));
    assert_string_equal(ss_checkpoint_format(k), "safetensors");
    assert_int_equal(ss_checkpoint_sha256(k, in_tmp("config.json"), hex, &e), SS_OK);
    assert_int_equal(strlen(hex), 64);
    write_file(in_tmp("config.json"), "{ }", 3);
    assert_int_equal(ss_checkpoint_sha256(k, in_tmp("config.json"), again, &e), SS_OK);
    assert_string_not_equal(hex, again);
    ss_checkpoint_close(k);

    write_index("{\"weight_map\":{\"a\":\"../good.st\"}}");
    open_fails(NULL, SS_FORMAT, "the shard of a is not the name of a file beside it");
    write_index("{\"weight_map\":{\"a\":7}}");
    open_fails(NULL, SS_FORMAT, "the shard of a");
    write_index("{\"weight_map\":{\"a\":\"..\"}}");
    open_fails(NULL, SS_FORMAT, "the shard of a");
    write_index("{\"weight_map\":{}}");
    open_fails(NULL, SS_FORMAT, "\"weight_map\" is missing or empty");
    write_index("{\"weight_map\":{\"x\":\"s1.safetensors\"}}");
    open_fails(NULL, SS_FORMAT, "tensor x is not in its shard s1.safetensors");
    write_index("{\"weight_map\":{\"a\":\"none.safetensors\"}}");
    open_fails(NULL, SS_IO, "none.safetensors");
    make_file("s2.safetensors", TENSOR("a"), -1, 4);
    write_index("{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"}}");
    open_fails(NULL, SS_FORMAT, "tensor a is in two files");

    strcpy(tmp_dir, outer);
}

static void write_text(const char *name, const char *text)
{
    write_file(in_tmp(name), text, strlen(text));
}

/* An empty folder to work in; back to the one around it. */
static void enter_folder(const char *name)
{
    strcat(strcat(tmp_dir, "/"), name);
    assert_int_equal(mkdir(tmp_dir, 0700), 0);
}

static void leave_folder(void)
{
    *strrchr(tmp_dir, '/') = '\0';
}

/* The tensor names a set of weights has: each is made with one of its own. */
static void opens(const char *variant, const char *tensor)
{
    ss_checkpoint *k;
    ss_err e = {0};

    if (ss_checkpoint_open(tmp_dir, &(ss_checkpoint_options){.variant = variant}, &k, &e) != SS_OK)
        fail_msg("%s: %s", variant ? variant : "no variant", e.msg);
    if (!ss_checkpoint_find(k, tensor))
        fail_msg("%s: not %s", ss_checkpoint_name(k), tensor);
    ss_checkpoint_close(k);
}

/* Sharded variants, as diffusers has named them: of each the index, and a shard. */
static void test_sharded_variants(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {WHOLE ".safetensors.index.fp16.json", WHOLE ".fp16-00001-of-00001.safetensors"},
        {WHOLE ".safetensors.index.fp16.json", WHOLE "-00001-of-00001.fp16.safetensors"},
        {WHOLE ".safetensors.fp16.index.json", WHOLE "-00001-of-00001.fp16.safetensors"},
        {WHOLE ".fp16.safetensors.index.json", WHOLE ".fp16-00001-of-00001.safetensors"},
        {"model.fp16.safetensors.index.json", "model.fp16-00001-of-00001.safetensors"},
    };

    for (size_t i = 0; i < N_OF(names); i++) {
        char folder[16], index[200];

        snprintf(folder, sizeof folder, "v%zu", i);
        enter_folder(folder);
        make_file(names[i][1], TENSOR("a"), -1, 4);
        open_fails(NULL, SS_IO, "the index that says what is in them");
        snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"%s\"}}", names[i][1]);
        write_text(names[i][0], index);
        opens(NULL, "a"); /* the only weights */
        opens("fp16", "a");
        open_fails("ema", SS_USAGE, "there is no variant ema of the weights; there are: fp16");
        make_file(WHOLE ".non_ema.safetensors", TENSOR("b"), -1, 4);
        open_fails(NULL, SS_USAGE, "pick one by its variant, as with --variant");
        opens("non_ema", "b");
        opens("fp16", "a");
        make_file(WHOLE ".safetensors", TENSOR("c"), -1, 4);
        opens(NULL, "c");
        opens("fp16", "a");
        leave_folder();
    }
}

/* A file and its index are one set of weights, of which diffusers takes the index. */
static void test_file_beside_its_index(void **state)
{
    (void)state;
    enter_folder("both");
    make_file(WHOLE ".fp16.safetensors", TENSOR("a"), -1, 4);
    make_file(WHOLE ".fp16-00001-of-00001.safetensors", TENSOR("b"), -1, 4);
    write_text(WHOLE ".safetensors.index.fp16.json",
               "{\"weight_map\":{\"b\":\"" WHOLE ".fp16-00001-of-00001.safetensors\"}}");
    opens(NULL, "b");
    opens("fp16", "b");
    leave_folder();
}

/* Weights that are there and cannot be read: what they are, and what to do. */
static void test_weights_of_other_kinds(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize "
                                  "3438167540\n";

    enter_folder("kinds");
    write_text("optimizer.bin", "");
    open_fails(NULL, SS_IO, "no weights");
    write_text(WHOLE ".msgpack", "");
    open_fails(NULL, SS_UNSUPPORTED, "its weights are Flax's, " WHOLE ".msgpack");
    open_fails("fp16", SS_UNSUPPORTED, "save_pretrained(");
    write_text(WHOLE ".bin", "");
    open_fails(NULL, SS_FORMAT, WHOLE ".bin: the file is empty");
    write_text(WHOLE ".safetensors", pointer);
    open_fails(NULL, SS_FORMAT, "a git-lfs pointer; the file itself, of 3438167540 bytes");
    write_text(WHOLE ".safetensors", "version https://git-lfs");
    open_fails(NULL, SS_FORMAT, "of some bytes");
    assert_int_equal(unlink(in_tmp(WHOLE ".safetensors")), 0);
    write_text(WHOLE ".safetensors.index.json", pointer);
    open_fails(NULL, SS_FORMAT, "`git lfs pull`");
    assert_int_equal(unlink(in_tmp(WHOLE ".safetensors.index.json")), 0);
    assert_int_equal(symlink("../../blobs/77", in_tmp(WHOLE ".safetensors")), 0);
    open_fails(NULL, SS_IO, "is a symbolic link to ../../blobs/77, which is not there");
    leave_folder();
}

#define KNOWN "{\"_class_name\": \"UNet2DModel\"}"
#define OTHER "{\"_class_name\": \"ControlNetModel\"}"

static void finds(const char *model, const char *folder, const char *scheduler)
{
    ss_model_paths p;
    ss_err e = {0};
    char want[600];

    if (ss_model_paths_find(in_tmp(model), NULL, &p, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(want, sizeof want, "%s/%s", tmp_dir, folder);
    assert_string_equal(p.folder, want);
    snprintf(want, sizeof want, "%s/%s", tmp_dir, scheduler);
    assert_true(*scheduler ? p.scheduler && strcmp(p.scheduler, want) == 0 : !p.scheduler);
    ss_model_paths_release(&p);
}

/* Takes, of several config.json files, the one that names a known model. */
static void test_model_among_others(void **state)
{
    (void)state;
    ss_model_paths p;
    ss_err e = {0};

    enter_folder("roots");
    assert_int_equal(mkdir(in_tmp("unet"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("denoiser"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("unet_ema"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("scheduler"), 0700), 0);
    write_text("scheduler/scheduler_config.json", "{}");
    write_text("config.json", "{\"learning_rate\": 1e-5}");
    finds(".", ".", "./scheduler/scheduler_config.json");
    write_text("unet/config.json", OTHER); /* says what it is */
    finds(".", "./unet", "./scheduler/scheduler_config.json");
    write_text("unet_ema/config.json", KNOWN);
    finds(".", "./unet_ema", "./scheduler/scheduler_config.json");
    write_text("denoiser/config.json", KNOWN);
    write_text("model_index.json",
               "{\"vae\": [\"diffusers\", \"AutoencoderKL\"], \"x\": [null, null], \"..\": "
               "[\"a\", \"UNet2DModel\"], \"denoiser\": [\"mine\", \"UNet2DModel\"]}");
    finds(".", "./denoiser", "./scheduler/scheduler_config.json");
    write_text("unet/config.json", KNOWN);
    finds(".", "./unet", "./scheduler/scheduler_config.json");
    write_text("config.json", "not JSON");
    finds(".", "./unet", "./scheduler/scheduler_config.json");
    finds("unet", "unet", "scheduler/scheduler_config.json");
    finds("unet/", "unet/", "scheduler/scheduler_config.json");
    finds("unet/.", "unet/.", "unet/./../scheduler/scheduler_config.json");
    write_text("config.json", KNOWN);
    finds(".", ".", "./scheduler/scheduler_config.json");
    leave_folder();

    /* links: a unet/ that lies elsewhere belongs to the pipeline that it is linked in */
    enter_folder("links");
    assert_int_equal(mkdir(in_tmp("pipe"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("pipe/scheduler"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("checkpoint-500"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("checkpoint-500/unet"), 0700), 0);
    write_text("checkpoint-500/unet/config.json", KNOWN);
    write_text("pipe/scheduler/scheduler_config.json", "{}");
    assert_int_equal(symlink("../checkpoint-500/unet", in_tmp("pipe/unet")), 0);
    assert_int_equal(symlink("pipe", in_tmp("latest")), 0);
    assert_int_equal(symlink("pipe/unet", in_tmp("denoiser")), 0);
    finds("checkpoint-500", "checkpoint-500/unet", "");
    finds("pipe", "pipe/unet", "pipe/scheduler/scheduler_config.json");
    finds("latest", "latest/unet", "latest/scheduler/scheduler_config.json");
    finds("latest/unet", "latest/unet", "latest/scheduler/scheduler_config.json");
    finds("denoiser", "denoiser", "");
    assert_int_equal(symlink("nowhere", in_tmp("gone")), 0);
    assert_int_equal(ss_model_paths_find(in_tmp("gone"), NULL, &p, &e), SS_IO);
    leave_folder();
}

static void test_model_folders(void **state)
{
    (void)state;
    ss_model_paths p;
    ss_err e = {0};
    char pipe[256], unet[300];

    snprintf(pipe, sizeof pipe, "%s/pipe", tmp_dir);
    assert_int_equal(mkdir(pipe, 0700), 0);
    assert_int_equal(ss_model_paths_find(pipe, NULL, &p, &e), SS_IO);
    assert_int_equal(ss_model_paths_find(in_tmp("nowhere"), NULL, &p, &e), SS_IO);
    assert_int_equal(mkdir(in_tmp("pipe/unet"), 0700), 0);
    assert_int_equal(mkdir(in_tmp("pipe/scheduler"), 0700), 0);
    write_file(in_tmp("pipe/unet/config.json"), "{}", 2);
    write_file(in_tmp("pipe/scheduler/scheduler_config.json"), "{}", 2);
    write_file(in_tmp("pipe/class_embeddings.safetensors"), "", 0);
    snprintf(unet, sizeof unet, "%s/unet", pipe);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ss_model_paths_find(i ? unet : pipe, NULL, &p, &e), SS_OK);
        assert_non_null(strstr(p.folder, "pipe/unet"));
        assert_non_null(p.scheduler);
        assert_non_null(p.class_embeddings);
        ss_model_paths_release(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_survives_any_byte),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_file_hash_name),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_sharded_variants),
        cmocka_unit_test(test_file_beside_its_index),
        cmocka_unit_test(test_weights_of_other_kinds),
        cmocka_unit_test(test_model_among_others),
        cmocka_unit_test(test_model_folders),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
