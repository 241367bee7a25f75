/* test_dcp.c - folders of torch.distributed.checkpoint: tensors put together from their parts
 *
 * Golden files: tests/golden/make_dcp.py.
 */
#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "models/file/chunked_tensor.h"
#include "models/file/dcp.h"
#include "tests/checkpoint_case.h"
#include "tests/ss_command.h"

#define GOLDEN "tests/golden/formats/dcp/"

/* A shell command in $D; the test fails where it does. */
static void shell(const char *command)
{
    char line[1024];

    snprintf(line, sizeof line, "D=%s; G=" GOLDEN "; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

/* Each folder has what the safetensors file of the same tensors has. */
static void test_folders(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *whole, *format;
        size_t n_files;
    } cases[] = {
        {"one", GOLDEN "one.safetensors", "DCP", 2},
        {"two", GOLDEN "two.safetensors", "DCP", 3},
        {"eight", GOLDEN "eight.safetensors", "DCP", 9},
        {"flat", GOLDEN "flat.safetensors", "DCP", 2},
        {"columns", GOLDEN "hf.safetensors", "DCP", 3},
        {"fsdp1", GOLDEN "fsdp1.safetensors", "DCP", 3},
        {"hf", GOLDEN "hf.safetensors", "DCP, safetensors", 2},
        {"hf-whole", GOLDEN "hf.safetensors", "safetensors", 2},
        {"unet", "tests/golden/unets/plain", "DCP", 3},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        char path[64];

        snprintf(path, sizeof path, GOLDEN "%s", cases[i].folder);
        ss_checkpoint *k = opens(path, NULL), *want = opens(cases[i].whole, NULL);
        assert_same(k, want);
        assert_string_equal(ss_checkpoint_format(k), cases[i].format);
        assert_int_equal(ss_checkpoint_n_files(k), cases[i].n_files);
        assert_null(ss_checkpoint_note(k, 0)); /* there was no choice */
        ss_checkpoint_close(k);
        ss_checkpoint_close(want);
    }
    ss_checkpoint *k = opens(GOLDEN "one/.metadata", "model");
    assert_non_null(ss_checkpoint_find(k, "wide.weight")->data); /* whole, in the mapped file */
    ss_checkpoint_close(k);
    open_fails(GOLDEN "one", "models", SS_USAGE, "there are: model (");
}

/* The optimiser's state is there for whoever asks for it, and is not the model's. */
static void test_optimizer(void **state)
{
    (void)state;
    ss_dcp *d = NULL;
    ss_pickle *p = NULL;
    ss_err e = {0};
    float m[19][5];

    assert_int_equal(ss_dcp_open(GOLDEN "eight/.metadata", &d, &e), SS_OK);
    const ss_stored_tensor *t = ss_dcp_find(d, "optim.state.wide.weight.exp_avg");
    assert_non_null(t);
    assert_int_equal(t->bytes, sizeof m);
    assert_int_equal(ss_stored_read(t, m, &e), SS_OK);
    for (size_t i = 0; i < ss_dcp_count(d); i++) {
        if (strncmp(ss_dcp_at(d, i)->name, "optim.", 6) == 0)
            assert_true(strncmp(ss_dcp_keys(d, i), "optim.state", 11) == 0);
    }
    assert_int_equal(ss_dcp_object(d, "step", &p, &e), SS_OK);
    assert_int_equal(ss_pickle_root(p)->number, 7);
    ss_pickle_close(p);
    assert_int_equal(ss_dcp_object(d, "steps", &p, &e), SS_USAGE);
    ss_dcp_close(d);
}

/* Parts of a 4 x 6 matrix of 0, 1, 2, ... */
enum { ROWS = 4, COLUMNS = 6, MAX_PARTS = 8 };

typedef struct {
    int64_t from[2], size[2];
} box;

static void finish(const box *boxes, size_t n, const char *want)
{
    static float values[MAX_PARTS][ROWS * COLUMNS];
    ss_stored_tensor parts[MAX_PARTS];
    ss_chunk chunks[MAX_PARTS];
    ss_chunked c = {
        .t = {.name = "w", .file = "x", .type = "F32", .rank = 2, .dim = {ROWS, COLUMNS}},
        .size = sizeof(float),
        .chunks = chunks,
        .n = n};
    float out[ROWS * COLUMNS];
    ss_err e = {0};

    for (size_t i = 0; i < n; i++) {
        const box *b = &boxes[i];
        size_t count = 0;

        for (int64_t r = 0; r < b->size[0] && b->from[0] <= ROWS; r++)
            for (int64_t k = 0; k < b->size[1] && count < ROWS * COLUMNS; k++)
                values[i][count++] = (float)((b->from[0] + r) * COLUMNS + b->from[1] + k);
        parts[i] = (ss_stored_tensor){.name = "part", .file = "x", .type = "F32", .rank = 2};
        memcpy(parts[i].dim, b->size, sizeof b->size);
        parts[i].data = values[i];
        chunks[i] = (ss_chunk){.values = &parts[i], .file = "x"};
        memcpy(chunks[i].from, b->from, sizeof b->from);
        memcpy(chunks[i].size, b->size, sizeof b->size);
    }
    const ss_code rc = ss_chunked_finish(&c, &e);
    if (want) {
        assert_int_equal(rc, SS_FORMAT);
        if (!strstr(e.msg, want))
            fail_msg("\"%s\" lacks \"%s\"", e.msg, want);
        return;
    }
    if (rc != SS_OK || ss_stored_read(&c.t, out, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        assert_true(out[i] == (float)i);
}

static void test_cover(void **state)
{
    (void)state;
#define FINISH(want, ...) \
    finish((box[]){__VA_ARGS__}, sizeof((box[]){__VA_ARGS__}) / sizeof(box), want)
    FINISH(NULL, {{0, 0}, {4, 6}});
    FINISH(NULL, {{2, 0}, {2, 6}}, {{0, 0}, {2, 6}});
    FINISH(NULL, {{0, 4}, {4, 2}}, {{0, 0}, {4, 4}});
    FINISH(NULL, {{0, 0}, {2, 3}}, {{2, 0}, {2, 3}}, {{2, 3}, {2, 3}}, {{0, 3}, {2, 3}});
    FINISH(NULL, {{0, 0}, {4, 6}}, {{4, 0}, {0, 6}}); /* a rank that had nothing */
    FINISH(NULL, {{0, 0}, {1, 6}}, {{1, 0}, {3, 1}}, {{1, 1}, {3, 5}});
    FINISH("parts of it are missing", {{0, 0}, {3, 6}});
    FINISH("parts of it are missing", {{0, 0}, {2, 6}}, {{2, 0}, {2, 5}});
    FINISH("in common", {{0, 0}, {4, 6}}, {{0, 0}, {4, 6}});
    FINISH("in common", {{0, 0}, {3, 6}}, {{2, 0}, {2, 6}});
    FINISH("in common", {{0, 0}, {3, 4}}, {{3, 0}, {1, 6}}, {{0, 3}, {3, 3}}); /* 24 elements: 27 */
    FINISH("outside of it", {{1, 0}, {4, 6}});
    FINISH("outside of it", {{0, 0}, {4, 7}});
    FINISH("outside of it", {{-1, 0}, {4, 6}});
    FINISH("outside of it", {{0, 0}, {-1, 6}});
    FINISH("outside of it", {{INT64_MAX, 0}, {1, INT64_MAX}});
}

/* Replaces the first place of a text in a file by another as long. */
static void patch(const char *path, const char *old, const char *new)
{
    static char bytes[1 << 18];
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    char *at = memmem(bytes, n, old, strlen(old));
    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(new));
    memcpy(at, new, strlen(new));
    write_file(path, bytes, n);
}

static void test_damaged(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *want;
    } cases[] = {
        {"__0_0.distcp", "_-0_0.distcp", "No such file"},
        {"__0_0.distcp", "../../distcp", "is outside of the folder"},
        {"__0_0.distcp", "/_0_0.distcp", "is outside of the folder"},
        {"__0_0.distcp", "a/../../etcp", "is outside of the folder"},
        {"__0_0.distcp", "__1_0.distcp", ""}, /* what is there is something else */
        {"state_dict_metadata", "state_dict_metadatb", "the list of tensors is not as"},
        {"storage_data", "storage_datb", "the list of places is not as"},
        {"chunks", "chunkz", NULL},
        {"offsets", "offsetz", "a part of a tensor is not as"},
        {"length", "lengtg", "the place of an item is not as"},
        {"float32", "float33", "dtype or list of parts is not as"},
        {"float32", "float64", ""},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_checkpoint *k = NULL;
        ss_err e = {0};

        shell("rm -rf $D/bad && cp -r $G/columns $D/bad");
        patch(in_tmp("bad/.metadata"), cases[i].old, cases[i].new);
        ss_code rc = ss_checkpoint_open(in_tmp("bad"), NULL, &k, &e);
        for (size_t t = 0; rc == SS_OK && k && t < ss_checkpoint_count(k); t++) {
            char out[1024];

            rc = ss_stored_read(ss_checkpoint_at(k, t), out, &e);
        }
        if (cases[i].want && (rc == SS_OK || !strstr(e.msg, cases[i].want)))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].new, e.msg, cases[i].want);
        ss_checkpoint_close(k);
    }
    shell("rm -rf $D/bad && cp -r $G/columns $D/bad && truncate -s 2000 $D/bad/__1_0.distcp");
    open_fails(in_tmp("bad"), NULL, SS_FORMAT, "cut off, or still being written");
    shell("rm $D/bad/__1_0.distcp");
    open_fails(in_tmp("bad"), NULL, SS_IO, "__1_0.distcp");
    shell("rm -rf $D/hf && cp -r $G/hf $D/hf && rm $D/hf/shard-00001*");
    open_fails(in_tmp("hf"), NULL, SS_FORMAT, "parts of it are missing");
}

/* Every allocation fails once, until opening and reading need no more. */
static void test_out_of_memory(void **state)
{
    static const char *const folders[] = {GOLDEN "two", GOLDEN "hf"};

    (void)state;
    for (size_t f = 0; f < N_OF(folders); f++) {
        for (unsigned long i = 1;; i++) {
            ss_checkpoint *k = NULL;
            ss_err e = {0};
            char out[512];

            ss_mem_fail_at(i);
            ss_code rc = ss_checkpoint_open(folders[f], NULL, &k, &e);
            for (size_t t = 0; rc == SS_OK && t < ss_checkpoint_count(k); t++)
                rc = ss_stored_read(ss_checkpoint_at(k, t), out, &e);
            ss_mem_fail_at(0);
            ss_checkpoint_close(k);
            if (rc == SS_OK)
                break;
            assert_int_equal(rc, SS_NOMEM);
        }
    }
}

static void test_commands(void **state)
{
    (void)state;
#define DCP GOLDEN "unet --config tests/golden/unets/plain"
#define PROBE " --samples 1 --sigmas 1,80 --quiet"
    expect("inspect " DCP, 0, "DCP");
    shell("mkdir -p $D/checkpoint-5 $D/checkpoint-6/pytorch_model && "
          "cp -r $G/unet $D/checkpoint-5/pytorch_model_fsdp_0 && cp $G/../pickles/unet.pt "
          "$D/checkpoint-6/pytorch_model/mp_rank_00_model_states.pt");
    expect("inspect $D/checkpoint-5 --config tests/golden/unets/plain", 0, "DCP");
    expect("inspect $D/checkpoint-6 --config tests/golden/unets/plain", 0, "pickle");
    expect("probe tests/golden/unets/plain -o $D/a.h5" PROBE, 0, NULL);
    expect("probe " DCP " -o $D/b.h5" PROBE, 0, NULL);
    expect("compare $D/a.h5 $D/b.h5 --fail-over absmax=1 --fail-over rms=1", 0, NULL);
    expect("compare $D/b.h5 $D/a.h5 --fail-over absmax=1 --fail-over rms=1", 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),  cmocka_unit_test(test_optimizer),
        cmocka_unit_test(test_cover),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_commands), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
