/* test_convert.c - weights as diffusers has them; make_single.py --open lets diffusers open them */
#include "base/file.h"
#include "models/convert.h"
#include "tests/single_file.h"
#include "tests/ss_command.h"

static json_t *cases;

static int set_up(void **state)
{
    cases = read_single_cases();
    return make_tmp(state);
}

static int tear_down(void **state)
{
    json_decref(cases);
    return remove_tmp(state);
}

static json_t *component_of(const char *name, const char *component, const char *part)
{
    json_t *c = json_object_get(json_object_get(cases, name), "components");

    return json_object_get(json_object_get(c, component), part);
}

/* Writes a case's file as NAME in the test's folder, without tensors that begin with `without`. */
static void write_case(const char *name, const char *as, const char *without)
{
    json_t *file = json_deep_copy(json_object_get(json_object_get(cases, name), "file")), *shape;
    const char *tensor;
    void *next;

    json_object_foreach_safe(file, next, tensor, shape)
    {
        if (without && strncmp(tensor, without, strlen(without)) == 0)
            json_object_del(file, tensor);
    }
    write_single_file(in_tmp(as), file, true);
    json_decref(file);
}

static void check_weights(const char *path, const char *name, const char *component)
{
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    if (ss_checkpoint_open(in_tmp(path), NULL, &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    check_tensors(path, k, component_of(name, component, "tensors"));
    ss_checkpoint_close(k);
}

static json_t *load(const char *path)
{
    json_t *j = json_load_file(in_tmp(path), 0, NULL);

    if (!j)
        fail_msg("%s is missing, or no JSON", path);
    return j;
}

static void check_string(const char *path, const char *key, const char *want)
{
    json_t *j = load(path);
    const char *got = json_string_value(json_object_get(j, key));

    assert_non_null(got);
    assert_string_equal(got, want);
    json_decref(j);
}

/* A class in model_index.json; NULL: it is listed as absent. */
static void check_part(const char *path, const char *part, const char *class_name)
{
    json_t *j = load(path), *value = json_array_get(json_object_get(j, part), 1);

    assert_non_null(value);
    if (class_name)
        assert_string_equal(json_string_value(value), class_name);
    else
        assert_true(json_is_null(value));
    json_decref(j);
}

static void test_one_network(void **state)
{
    (void)state;
    write_case("small-vae", "vae.safetensors", NULL);
    expect("convert $D/vae.safetensors $D/vae", 0, "AutoencoderKL      200  1.9");
    check_weights("vae/diffusion_pytorch_model.safetensors", "small-vae", "vae");
    check_string("vae/config.json", "_class_name", "AutoencoderKL");
    assert_int_equal(count_files(in_tmp("vae")), 2);

    /* from the folder to a file, and back */
    expect("convert $D/vae $D/again.safetensors", 0, "again.safetensors");
    check_weights("again.safetensors", "small-vae", "vae");
    expect("convert $D/vae $D/again.safetensors", 1, "again.safetensors exists; --force replaces");
    expect("convert $D/again.safetensors $D/vae", 1, "vae exists; --force replaces it");
    expect("convert $D/again.safetensors $D/vae --force --json", 0, "\"tensors\": 200");
    check_weights("vae/diffusion_pytorch_model.safetensors", "small-vae", "vae");
}

static void test_components(void **state)
{
    (void)state;
    write_case("small-2", "two.safetensors", NULL);
    expect("convert $D/two.safetensors $D/two --components unet", 2,
           "two.safetensors: the file does not say what the network predicts");
    assert_false(ss_file_exists(in_tmp("two")));
    expect("convert $D/two.safetensors $D/two --components unet --prediction v", 2, "--prediction");
    expect("convert $D/two.safetensors $D/two --components unet --prediction v_prediction", 0,
           "UNet2DConditionModel");
    check_weights("two/diffusion_pytorch_model.safetensors", "small-2", "unet");
    check_string("two/scheduler_config.json", "prediction_type", "v_prediction");
    check_string("two/scheduler_config.json", "_class_name", "DDIMScheduler");
    expect("convert $D/two.safetensors $D/two --components vae --force", 0, "AutoencoderKL");
    assert_false(ss_file_exists(in_tmp("two/scheduler_config.json")));
    expect("convert $D/two.safetensors $D/one.safetensors --components vae", 0, "AutoencoderKL");
    check_weights("one.safetensors", "small-2", "vae");
    expect("convert $D/two.safetensors $D/other --components prior", 2,
           "no such component is in it");
    expect("convert $D/two.safetensors", 2, NULL);
    expect("convert $D/nowhere.safetensors $D/other", 1, "nowhere.safetensors");
    assert_false(ss_file_exists(in_tmp("other")));
}

static void test_averaged_weights(void **state)
{
    (void)state;
    write_case("small-1", "both.safetensors", NULL);
    expect("convert $D/both.safetensors $D/plain.safetensors", 0, "--ema takes them");
    expect("convert $D/both.safetensors $D/ema.safetensors --ema", 0, "are taken");
    check_weights("plain.safetensors", "small-1", "unet");
    expect("inspect $D/plain.safetensors $D/ema.safetensors", 0, "mid_block");
}

static void test_pipelines(void **state)
{
    (void)state;
    static const char index[] = "pipe/model_index.json";

    write_case("small-1", "all.safetensors", NULL);
    expect("convert $D/all.safetensors $D/pipe", 0,
           "no tokenizer is in a single file; --tokenizer FOLDER copies one");
    check_weights("pipe/unet/diffusion_pytorch_model.safetensors", "small-1", "unet");
    check_weights("pipe/vae/diffusion_pytorch_model.safetensors", "small-1", "vae");
    check_string("pipe/scheduler/scheduler_config.json", "prediction_type", "epsilon");
    check_string(index, "_class_name", "StableDiffusionPipeline");
    check_part(index, "unet", "UNet2DConditionModel");
    check_part(index, "vae", "AutoencoderKL");
    check_part(index, "scheduler", "PNDMScheduler");
    check_part(index, "tokenizer", NULL);
    check_part(index, "text_encoder", "CLIPTextModel");
    check_part(index, "safety_checker", NULL);
    check_weights("pipe/text_encoder/model.safetensors", "small-1", "text_encoder");
    assert_int_equal(count_files(in_tmp("pipe")), 5);

    /* a tokenizer from elsewhere: its files, or a pipeline that has it */
    assert_int_equal(mkdir(in_tmp("words"), 0700), 0);
    write_file(in_tmp("words/vocab.json"), "{}", 2);
    write_file(in_tmp("words/merges.txt"), "", 0);
    expect("convert $D/all.safetensors $D/pipe --force --tokenizer $D/words", 0, NULL);
    check_part(index, "tokenizer", "CLIPTokenizer");
    assert_int_equal(count_files(in_tmp("pipe/tokenizer")), 2);
    assert_int_equal(mkdir(in_tmp("pipe/tokenizer_2"), 0700), 0);
    expect("convert $D/all.safetensors $D/second --tokenizer $D/pipe", 0, NULL);
    check_part("second/model_index.json", "tokenizer", "CLIPTokenizer");
    assert_int_equal(count_files(in_tmp("second/tokenizer")), 2);
    assert_false(ss_file_exists(in_tmp("second/tokenizer_2")));

    /* a pipeline's folder keeps what is no network */
    expect("convert $D/pipe $D/third", 0, "UNet2DConditionModel");
    check_weights("third/unet/diffusion_pytorch_model.safetensors", "small-1", "unet");
    check_weights("third/vae/diffusion_pytorch_model.safetensors", "small-1", "vae");
    assert_int_equal(count_files(in_tmp("third/tokenizer")), 2);
    check_string("third/scheduler/scheduler_config.json", "_class_name", "PNDMScheduler");
    check_part("third/model_index.json", "vae", "AutoencoderKL");
    check_weights("third/text_encoder/model.safetensors", "small-1", "text_encoder");
    assert_int_equal(count_files(in_tmp("third")), 6);
}

/* A failure leaves neither DST nor something beside it. */
static void test_whole_or_not_at_all(void **state)
{
    (void)state;
    write_case("small-2", "late.safetensors", "cond_stage_model.");
    const int before = count_files(tmp_dir);

    /* the VAE is written after the denoiser, which fails here */
    expect("convert $D/late.safetensors $D/late", 2, "what the network predicts");
    assert_int_equal(count_files(tmp_dir), before);
    write_file(in_tmp("taken"), "x", 1);
    expect("convert $D/late.safetensors $D/taken --components vae --force", 1,
           "taken exists and is not a folder");
    assert_int_equal(mkdir(in_tmp("full"), 0700), 0);
    write_file(in_tmp("full/mine"), "x", 1);
    expect("convert $D/late.safetensors $D/full --components vae --force", 1, "full");
    assert_true(ss_file_exists(in_tmp("full/mine")));
}

static void test_no_memory(void **state)
{
    (void)state;
    char src[600], dst[600];

    write_case("small-vae-16", "memory.safetensors", NULL);
    snprintf(src, sizeof src, "%s/memory.safetensors", tmp_dir);
    snprintf(dst, sizeof dst, "%s/memory", tmp_dir);
    for (unsigned long at = 1, failures = 1; failures; at += 1 + at) {
        const ss_convert_options o = {.replace = true};
        ss_table t = {0};
        ss_err e = {0};

        ss_mem_fail_at(at);
        const ss_code rc = ss_convert(src, dst, &o, &t, &e);
        failures = rc != SS_OK;
        ss_mem_fail_at(0);
        if (failures && (rc != SS_NOMEM || e.code != SS_NOMEM))
            fail_msg("allocation %lu: %d, %s", at, rc, e.msg);
        ss_table_release(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_network),         cmocka_unit_test(test_components),
        cmocka_unit_test(test_averaged_weights),    cmocka_unit_test(test_pipelines),
        cmocka_unit_test(test_whole_or_not_at_all), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
