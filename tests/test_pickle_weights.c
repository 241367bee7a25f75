/* test_pickle_weights.c - the model in .pt, .pth, .bin and .ckpt files, and in folders with them
 *
 * Golden files: tests/golden/make_pickles.py.
 */
#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "models/file/safetensors.h"
#include "models/file/tensor_groups.h"
#include "tests/checkpoint_case.h"
#include "tests/ss_command.h"

#define GOLDEN "tests/golden/formats/pickles/"
#define PLAIN "tests/golden/unets/plain"
#define WHOLE "diffusion_pytorch_model"

/* A shell command in $D; the test fails where it does. */
static void shell(const char *command)
{
    char line[1024];

    snprintf(line, sizeof line, "D=%s; G=" GOLDEN "; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

static void test_flat(void **state)
{
    (void)state;
    ss_checkpoint *want = opens(GOLDEN "tensors.safetensors", NULL);
    ss_checkpoint *zip = opens(GOLDEN "tensors.pt", NULL),
                  *legacy = opens(GOLDEN "tensors-legacy.pt", NULL);

    assert_string_equal(ss_checkpoint_format(zip), "pickle");
    assert_null(ss_checkpoint_note(zip, 0)); /* there was no choice */
    assert_same(zip, want);
    assert_same(legacy, want);
    open_fails(GOLDEN "tensors.pt", "model", SS_USAGE, "there are: the outermost (30 tensors)");
    ss_checkpoint_close(zip);
    ss_checkpoint_close(legacy);
    ss_checkpoint_close(want);
}

/* The usual one of several dicts of tensors is used, with a word about the others. */
static void test_nested(void **state)
{
    (void)state;
    ss_checkpoint *k = opens(GOLDEN "nested.pt", NULL), *ema = opens(GOLDEN "nested.pt", "ema");

    assert_int_equal(ss_checkpoint_count(k), 7);
    assert_string_equal(ss_checkpoint_at(k, 0)->name, "0.bias");
    assert_string_equal(ss_checkpoint_note(k, 0),
                        "the weights are the 7 tensors of model; there are also: the outermost (1 "
                        "tensor), ema (7 tensors), extra (1 tensor) (--key picks)");
    assert_null(ss_checkpoint_note(k, 1));
    assert_int_equal(ss_checkpoint_count(ema), 7);
    assert_null(ss_checkpoint_note(ema, 0));
    assert_true(*(const float *)ss_checkpoint_find(ema, "0.bias")->data ==
                *(const float *)ss_checkpoint_find(k, "0.bias")->data + 1);
    ss_checkpoint_close(k);
    ss_checkpoint_close(ema);
    k = opens(GOLDEN "nested.pt", "optimizer.state.0"); /* any dict may be named */
    assert_non_null(ss_checkpoint_find(k, "exp_avg"));
    ss_checkpoint_close(k);
    open_fails(GOLDEN "nested.pt", "emu", SS_USAGE,
               "there is no dict of tensors emu; there are: the outermost (1 tensor), model (7");
    open_fails(GOLDEN "optimizer.bin", NULL, SS_FORMAT, "there is no dict of tensors in it");
}

/* A module gives the names that its state dict would. */
static void test_module(void **state)
{
    (void)state;
    ss_checkpoint *k = opens(GOLDEN "module.pt", NULL), *want = opens(GOLDEN "nested.pt", "model");

    assert_same(k, want);
    ss_checkpoint_close(k);
    ss_checkpoint_close(want);
}

static void choose(const char *const *keys, const size_t *counts, size_t n, const char *want)
{
    ss_tensor_groups l = {0};
    const ss_tensor_group *g = NULL;
    char *note = NULL;
    ss_err e = {0};

    for (size_t i = 0; i < n; i++)
        assert_int_equal(ss_tensor_groups_add(&l, keys[i], counts[i], NULL, &e), SS_OK);
    const ss_code rc = ss_tensor_groups_choose(&l, "x.pt", NULL, &g, &note, &e);
    if (want && rc != SS_OK)
        fail_msg("%s", e.msg);
    if (want)
        assert_string_equal(g->key, want);
    else
        assert_int_equal(rc, SS_USAGE);
    if (!want)
        assert_non_null(strstr(e.msg, "Pick one of "));
    ss_free(note);
    ss_tensor_groups_release(&l);
}

static void test_choice(void **state)
{
    (void)state;
    choose((const char *[]){"", "aux"}, (size_t[]){9, 9}, 2, "");
    choose((const char *[]){"", "aux"}, (size_t[]){8, 9}, 2, NULL);
    choose((const char *[]){"", "module"}, (size_t[]){8, 9}, 2, "module");
    choose((const char *[]){"unet", "vae"}, (size_t[]){8, 9}, 2, NULL);
    choose((const char *[]){"ema", "model.net", "model.module"}, (size_t[]){9, 9, 9}, 3,
           "model.module");
    choose((const char *[]){"model.net", "model"}, (size_t[]){9, 3}, 2, "model");
    choose((const char *[]){"model.unet", "model.vae", "ema.unet"}, (size_t[]){9, 3, 9}, 3, NULL);
    choose((const char *[]){"my.weights"}, (size_t[]){9}, 1, "my.weights");
}

/* A dict of a tensor without values: DeepSpeed's ZeRO stage 3. */
static void test_no_values(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x02}q\0X\6\0\0\0moduleq\1}q\2X\1\0\0\0wq\3"
                                "ctorch._utils\n_rebuild_tensor_v2\nq\4((X\7\0\0\0storagector"
                                "ch\nFloatStorage\nX\1\0\0\0"
                                "0X\3\0\0\0cpuK\0tQK\0K\0\x85K\1\x85\x89}tRss.";
    static const char before[] = "\x80\x02\x8a\x0al\xfc\x9c"
                                 "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.",
                      after[] = "\x80\x02]X\1\0\0\0"
                                "0a.\0\0\0\0\0\0\0\0";
    char file[512];
    const size_t n[] = {sizeof before - 1, sizeof bytes - 1, sizeof after - 1};

    memcpy(file, before, n[0]);
    memcpy(file + n[0], bytes, n[1]);
    memcpy(file + n[0] + n[1], after, n[2]);
    write_file(in_tmp("mp_rank_00_model_states.pt"), file, n[0] + n[1] + n[2]);
    open_fails(in_tmp("mp_rank_00_model_states.pt"), NULL, SS_FORMAT,
               "the 1 tensors of module have no values: with DeepSpeed's ZeRO stage 3");
}

/* In a folder: safetensors before .bin before others; an index of .bin shards. */
static void test_folders(void **state)
{
    (void)state;
    ss_checkpoint *want = opens(GOLDEN "tensors.safetensors", NULL), *k;

    shell("mkdir -p $D/f && cp $G/optimizer.bin $D/f && cp $G/tensors.pt $D/f/model.pt");
    k = opens(in_tmp("f"), NULL);
    assert_same(k, want);
    assert_null(ss_checkpoint_note(k, 0));
    ss_checkpoint_close(k);
    shell("cp $G/tensors.pt $D/f/" WHOLE ".bin");
    k = opens(in_tmp("f"), NULL);
    assert_non_null(strstr(ss_checkpoint_name(k), WHOLE ".bin"));
    assert_string_equal(ss_checkpoint_note(k, 0),
                        "the weights are those of " WHOLE ".bin; there is also model.pt");
    ss_checkpoint_close(k);
    shell("cp $G/tensors.safetensors $D/f/" WHOLE ".safetensors");
    k = opens(in_tmp("f"), NULL);
    assert_string_equal(ss_checkpoint_format(k), "safetensors");
    ss_checkpoint_close(k);
    shell("mkdir -p $D/g && cp $G/module.pt $D/g/pytorch_model.bin && cp $G/module.pt $D/g/a.pt && "
          "cp $G/tensors.safetensors $D/g/model.safetensors");
    k = opens(in_tmp("g"), NULL);
    assert_string_equal(ss_checkpoint_format(k), "safetensors");
    ss_checkpoint_close(k);
    shell("mkdir -p $D/h && cp $G/module.pt $D/h/a.pt && cp $G/module.pt $D/h/b.pt");
    open_fails(in_tmp("h"), NULL, SS_USAGE, "none of the weights a.pt, b.pt is called");
    shell("mkdir -p $D/i && cp $G/module.pt $D/i/" WHOLE "-00001-of-00001.bin && echo "
          "'{\"weight_map\": {\"0.bias\": \"" WHOLE "-00001-of-00001.bin\"}}' > $D/i/" WHOLE
          ".bin.index.json");
    k = opens(in_tmp("i"), NULL);
    assert_int_equal(ss_checkpoint_count(k), 7);
    assert_int_equal(ss_checkpoint_n_files(k), 2);
    ss_checkpoint_close(k);
    ss_checkpoint_close(want);
}

/* Every allocation fails once, until opening needs no more. */
static void test_out_of_memory(void **state)
{
    static const char *const files[] = {GOLDEN "nested.pt", GOLDEN "tensors-legacy.pt",
                                        GOLDEN "module.pt"};

    (void)state;
    for (size_t f = 0; f < N_OF(files); f++) {
        for (unsigned long i = 1;; i++) {
            ss_checkpoint *k = NULL;
            ss_err e = {0};

            ss_mem_fail_at(i);
            const ss_code rc = ss_checkpoint_open(files[f], NULL, &k, &e);
            ss_mem_fail_at(0);
            ss_checkpoint_close(k);
            if (rc == SS_OK)
                break;
            assert_int_equal(rc, SS_NOMEM);
        }
    }
}

/* By the commands: the same numbers as from safetensors, whose folder has the config. */
static void test_commands(void **state)
{
    (void)state;
#define PT GOLDEN "unet.pt --config " PLAIN
#define PROBE " --samples 1 --sigmas 1,80 --quiet"
    expect("inspect " PT, 0, "pickle");
    expect("inspect " PT " --key ema", 0, NULL);
    expect("inspect " PLAIN " --key ema", 2,
           "--key ema: " PLAIN "/" WHOLE ".safetensors is a file");
    expect("inspect " PT " --key nothing", 2, "there are: state_dict.model (");
    shell("cp " PLAIN "/config.json $D/ && cp $G/unet.pt $D/diffusion_pytorch_model.bin");
    expect("inspect " PLAIN " $D", 0, "0 of");
    expect("probe " PLAIN " -o $D/a.h5" PROBE, 0, NULL);
    expect("probe " PT " -o $D/b.h5" PROBE, 0, NULL);
    expect("compare $D/a.h5 $D/b.h5 --fail-over absmax=1 --fail-over rms=1", 0, NULL);
    expect("compare $D/b.h5 $D/a.h5 --fail-over absmax=1 --fail-over rms=1", 0, NULL);
    expect("probe " PT " -o $D/c.h5 --key ema" PROBE, 0, NULL);
    expect("compare $D/c.h5 $D/a.h5 --fail-over absmax=1 --fail-over rms=1", 3, NULL);
    expect("probe " PT " -o $D/c.h5 --key ema --resume" PROBE, 0, NULL);
    expect("probe " PT " -o $D/c.h5 --resume" PROBE, 2, "--key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),     cmocka_unit_test(test_nested),
        cmocka_unit_test(test_module),   cmocka_unit_test(test_choice),
        cmocka_unit_test(test_folders),  cmocka_unit_test(test_no_values),
        cmocka_unit_test(test_commands), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
