/* test_trainings.c - the folders and names that trainings leave, by the commands that read them
 *
 * tests/golden/trainings was written by diffusers, accelerate and PyTorch (make_trainings.py). The
 * same network is in all of them, so every tensor must be that of checkpoint-4/unet or unet_ema.
 */
#include "base/mem.h"
#include "models/file/wrapped_names.h"
#include "models/model.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#define T "tests/golden/trainings/"
#define UNET T "diffusers/checkpoint-4/unet"
#define EMA T "diffusers/checkpoint-4/unet_ema"
#define WITH "--config " UNET "/config.json "

/* A shell command in $D; the test fails where it does. */
static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

static ss_model *open_model(const char *path, const char *config, bool ema)
{
    const ss_model_options opt = {.places = {.config = config, .ema = ema}};
    ss_model *m = NULL;
    ss_err e = {0};

    if (ss_model_open(path, &opt, &m, &e) != SS_OK)
        fail_msg("%s: %s", path, e.msg);
    return m;
}

/* Opens both; each tensor of the one must have the bytes of the other's. */
static void same(const char *path, const char *config, bool ema, const char *as, const char *notes)
{
    ss_model *a = open_model(path, config, ema), *b = open_model(as, NULL, false);
    int n, m;
    ss_weight *const *w = ss_model_weights(a, &n), *const *v = ss_model_weights(b, &m);
    ss_err e = {0};

    assert_int_equal(n, m);
    for (int i = 0; i < n; i++) {
        assert_string_equal(w[i]->name, v[i]->name);
        assert_memory_equal(ss_weight_data(w[i], &e), ss_weight_data(v[i], &e), w[i]->bytes);
    }
    assert_string_equal(ss_model_about(a)->weight_notes, notes);
    ss_model_close(a);
    ss_model_close(b);
}

static void test_networks_and_averages(void **state)
{
    (void)state;
    same(T "diffusers/checkpoint-4", NULL, false, UNET,
         "unet/ is taken; --ema takes unet_ema/ beside it");
    same(T "diffusers/checkpoint-4", NULL, true, EMA, "unet_ema/ is taken, not unet/ beside it");
    same(UNET, NULL, true, UNET, ""); /* it is named */
    shell("mkdir -p $D/only/checkpoint-4 && cp -r " EMA " $D/only/checkpoint-4/");
    same(in_tmp("only/checkpoint-4"), NULL, false, EMA, "unet_ema/ is taken: there is no unet/");
    expect("inspect " T "diffusers/checkpoint-4", 0, "--ema takes unet_ema/ beside it");
    expect("inspect " T "diffusers/checkpoint-4 --ema", 0, "unet_ema/ is taken, not unet/");
}

static void test_accelerate(void **state)
{
    (void)state;
    same(T "accelerate/checkpoint_0", UNET "/config.json", false, UNET,
         "model.safetensors taken; name another model of the training as MODEL: "
         "model_1.safetensors");
    same(T "accelerate/checkpoint_0/model_1.safetensors", UNET "/config.json", false, EMA, "");
    same(T "accelerate-sharded/checkpoint_0", UNET, false, UNET, "");
    expect("inspect " T "accelerate/checkpoint_0", 1, "--config FILE|FOLDER");
    /* two that are called otherwise */
    shell("mkdir $D/odd && cp " UNET "/*.safetensors $D/odd/a.safetensors && "
          "cp $D/odd/a.safetensors $D/odd/b.safetensors");
    expect("inspect $D/odd " WITH, 2, "name the right one as MODEL");
}

static void test_wrapped_names(void **state)
{
    (void)state;
    static const char config[] = UNET "/config.json";

    same(T "wrapped/compiled-ddp.safetensors", config, false, UNET,
         "prefix module._orig_mod. removed from 104 names");
    same(T "wrapped/attribute.safetensors", config, false, UNET,
         "prefix unet. removed from 104 names");
    same(T "wrapped/checkpoints.safetensors", config, false, UNET,
         "_checkpoint_wrapped_module removed inside 20 names");
    same(T "wrapped/averaged.safetensors", config, false, UNET,
         "prefix module. removed from 104 names; counters of an average are not used: n_averaged");
    same(T "wrapped/both.safetensors", config, false, UNET,
         "prefix online_model. removed from 104 names; counters of an average are not used: "
         "initted, step; 104 tensors under ema_model. are another copy of the network and not "
         "used; --ema takes it");
    same(T "wrapped/both.safetensors", config, true, EMA,
         "prefix ema_model. removed from 104 names; counters of an average are not used: "
         "initted, step; 104 tensors under online_model. are another copy of the network and not "
         "used");
}

/* Notes are in the run file, on stderr once, and in what shows a run. */
static void test_notes_are_shown(void **state)
{
    (void)state;
    ss_run *r;
    ss_err e = {0};

    expect("probe " T "wrapped/both.safetensors " WITH "--ema -o $D/both.h5 --samples 1 --sigmas 1",
           0, "prefix ema_model. removed from 104 names");
    assert_null(strstr(strstr(output, "ema_model.") + 1, "prefix ema_model."));
    assert_int_equal(ss_run_open(in_tmp("both.h5"), &r, &e), SS_OK);
    assert_non_null(strstr(r->weight_notes, "prefix ema_model. removed"));
    ss_run_close(r);
    expect("analyze $D/both.h5", 0, "prefix ema_model. removed");
    expect("probe " T "wrapped/both.safetensors " WITH
           "-o $D/both.h5 --samples 1 --sigmas 1 --resume",
           2, "--ema");
    expect("inspect " T "wrapped/both.safetensors " WITH, 0, "prefix online_model. removed");
    expect("generate " T "wrapped/both.safetensors " WITH
           "--ema -o $D/g --samples 1 --steps 1 --quiet",
           0, NULL);
}

static void test_folders_of_a_training(void **state)
{
    (void)state;
    shell("mkdir $D/run && for n in 500 1000 1500; do cp -r " T "diffusers/checkpoint-4 "
          "$D/run/checkpoint-$n; done; mkdir $D/run/logs $D/run/empty-7; "
          "ln -s .. $D/run/checkpoint-500/loop-1; rm -r $D/run/checkpoint-1500/unet; "
          "touch $D/run/checkpoint-1500/bad");
    expect("inspect $D/run", 0, "checkpoint-1500");
    assert_non_null(strstr(output, "there is no unet/"));
    assert_null(strstr(output, "empty-7"));
    assert_true(strstr(output, "checkpoint-500") < strstr(output, "checkpoint-1000"));
    expect("probe $D/run -o $D/run.h5 --sigmas 1", 1,
           "is the folder of a training, with 3 checkpoints: checkpoint-500, checkpoint-1000, "
           "checkpoint-1500; name one");
    expect("bisect $D/run --samples 1 --sigmas 1 --cache $D/kept --check 'test ! -e $1/bad'", 3,
           "checkpoint-1500; last good before it: ");
    assert_non_null(strstr(output, "order: training step"));
}

/* Copies a checkpoint's list with other names. */
typedef const char *renaming(const char *name, char *out, size_t room);

static ss_checkpoint *renamed(renaming *rename)
{
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    assert_int_equal(ss_checkpoint_open(UNET, NULL, &k, &e), SS_OK);
    const size_t n = ss_checkpoint_count(k);
    const ss_stored_tensor **list = ss_calloc(n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        char name[256];
        const ss_stored_tensor *t = ss_checkpoint_at(k, i);

        list[i] = ss_checkpoint_derive(k, t, rename(t->name, name, sizeof name), &e);
    }
    assert_int_equal(ss_checkpoint_replace(k, list, n, &e), SS_OK);
    ss_free(list);
    return k;
}

/* FSDP 1: each block has a wrapper of its own. */
static const char *fsdp_name(const char *name, char *out, size_t room)
{
    const char *block = strstr(name, ".resnets.");

    snprintf(out, room, "model._fsdp_wrapped_module.%.*s%s%s", (int)(block ? block - name : 0),
             name, block ? "._fsdp_wrapped_module" : "", block ? block : name);
    return out;
}

/* No prefix that most names have. */
static const char *torn_name(const char *name, char *out, size_t room)
{
    snprintf(out, room, "%s%s",
             strlen(name) % 3 == 0   ? "module."
             : strlen(name) % 3 == 1 ? "net."
                                     : "",
             name);
    return out;
}

static void test_names_by_hand(void **state)
{
    (void)state;
    ss_checkpoint *plain = NULL, *k = renamed(fsdp_name);
    bool changed;
    ss_err e = {0};

    assert_int_equal(ss_checkpoint_open(UNET, NULL, &plain, &e), SS_OK);
    const size_t n = ss_checkpoint_count(plain);
    const char **asked = ss_calloc(n, sizeof *asked);
    for (size_t i = 0; i < n; i++)
        asked[i] = ss_checkpoint_at(plain, i)->name;
    assert_int_equal(ss_checkpoint_unwrap(k, asked, n, false, &changed, &e), SS_OK);
    assert_true(changed);
    for (size_t i = 0; i < n; i++)
        assert_non_null(ss_checkpoint_find(k, asked[i]));
    assert_string_equal(ss_checkpoint_note(k, 0),
                        "prefix model._fsdp_wrapped_module. removed from 104 names");
    assert_string_equal(ss_checkpoint_note(k, 1), "_fsdp_wrapped_module removed inside 54 names");
    assert_int_equal(ss_checkpoint_unwrap(k, asked, n, false, &changed, &e), SS_OK);
    assert_false(changed);
    ss_checkpoint_close(k);

    /* without a prefix that most names have, nothing is touched */
    k = renamed(torn_name);
    assert_int_equal(ss_checkpoint_unwrap(k, asked, n, false, &changed, &e), SS_OK);
    assert_int_equal(changed, false);
    ss_checkpoint_close(k);
    ss_free(asked);
    ss_checkpoint_close(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks_and_averages), cmocka_unit_test(test_accelerate),
        cmocka_unit_test(test_wrapped_names),         cmocka_unit_test(test_notes_are_shown),
        cmocka_unit_test(test_folders_of_a_training), cmocka_unit_test(test_names_by_hand),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
