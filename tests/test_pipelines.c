/* test_pipelines.c - whole pipelines in small (tests/golden/make_pipelines.py): prompts,
 * components, pictures of latents
 *
 * Folders are put together in $D of the networks there and the tokenizers in
 * tests/golden/tokenizers.
 */
#include "base/mem.h"
#include "models/file/safetensors_write.h"
#include "models/pipeline.h"
#include "probe/latents.h"
#include "probe/prompt_states.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"
#include "train/captions.h"

#include <math.h>

#define PIPELINES "tests/golden/pipelines"
#define TOKENIZERS "tests/golden/tokenizers"
#define QUICK " --samples 1 --sigmas 1 --quiet "

static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; T=" TOKENIZERS "; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

/* Copies the pipelines with their tokenizers, and keeps encoded prompts out of the user's cache. */
static int make_pipelines(void **state)
{
    const int failed = make_tmp(state);

    if (failed)
        return failed;
    setenv("SIGMASCOPE_CACHE", in_tmp("cache"), 1);
    shell("cp -r " PIPELINES "/* $D/ && "
          "for p in sd xl; do cp -r $T/clip $D/$p/tokenizer && "
          "  cp $T/vocab.json $T/merges.txt $D/$p/tokenizer/; done && "
          "cp -r $T/clip_pad0 $D/xl/tokenizer_2 && cp $T/vocab.json $T/merges.txt "
          "$D/xl/tokenizer_2/ && "
          "cp -r $T/t5 $D/if/tokenizer && cp $T/spiece.model $D/if/tokenizer/");
    return 0;
}

static ss_array load(const char *pipeline, const char *name)
{
    ss_array a = {0};
    ss_err e = {0};
    char from[256];

    snprintf(from, sizeof from, PIPELINES "/%s/golden.safetensors#%s", pipeline, name);
    if (ss_safetensors_load_f32(from, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return a;
}

static int64_t numel(const ss_array *a)
{
    int64_t n = 1;

    for (int i = 0; i < a->rank; i++)
        n *= a->dim[i];
    return n;
}

/* Relative L2 error of got [n] against want. */
static double error_of(const float *got, const float *want, int64_t n)
{
    double d = 0, w = 0;

    for (int64_t i = 0; i < n; i++) {
        d += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        w += (double)want[i] * want[i];
    }
    return sqrt(d / w);
}

static void assert_states(const char *pipeline, const char *name, const ss_array *got)
{
    ss_array want = load(pipeline, name);

    assert_int_equal(got->rank, want.rank);
    for (int i = 0; i < want.rank; i++)
        assert_int_equal(got->dim[i], want.dim[i]);
    const double error = error_of(got->values, want.values, numel(&want));
    print_message("%s: %s %.1e\n", pipeline, name, error);
    if (!(error < 1e-5)) /* worst seen: 3e-7 */
        fail_msg("%s: %s differ by %g", pipeline, name, error);
    ss_array_release(&want);
}

/* Checks that the denoiser gets of the prompts what diffusers gives it. */
static void check_prompts(const char *pipeline, bool pooled)
{
    const ss_ctx_options device = {.threads = 2};
    json_t *list = json_load_file(PIPELINES "/prompts.json", 0, NULL);
    const char *texts[8];
    ss_prompt_options opt = {.positive = texts, .n_positive = (int)json_array_size(list)};
    ss_prompt_states s = {0}, again = {0};
    ss_model *m;
    ss_err e = {0};

    for (int i = 0; i < opt.n_positive; i++)
        texts[i] = json_string_value(json_array_get(list, (size_t)i));
    if (ss_model_open(in_tmp(pipeline), NULL, &m, &e) != SS_OK)
        fail_msg("%s: %s", pipeline, e.msg);
    const ss_prompt_reader reader = {.needs = &ss_model_about(m)->net.needs,
                                     .name = pipeline,
                                     .pipeline = ss_model_about(m)->pipeline};
    if (ss_prompt_states_make(&opt, &reader, &device, &s, &e) != SS_OK)
        fail_msg("%s: %s", pipeline, e.msg);
    assert_states(pipeline, "states", &s.states);
    assert_int_equal(s.pooled.rank, pooled ? 2 : 0);
    if (pooled)
        assert_states(pipeline, "pooled", &s.pooled);

    /* kept states are the same bits */
    assert_int_equal(ss_prompt_states_make(&opt, &reader, &device, &again, &e), SS_OK);
    assert_memory_equal(again.states.values, s.states.values,
                        (size_t)numel(&s.states) * sizeof(float));
    ss_prompt_states_release(&s);
    ss_prompt_states_release(&again);
    ss_model_close(m);
    json_decref(list);
}

static void test_prompts_of_stable_diffusion(void **state)
{
    (void)state;
    check_prompts("sd", false);
}

static void test_prompts_of_sdxl(void **state)
{
    (void)state;
    check_prompts("xl", true);
}

static void test_prompts_of_deepfloyd(void **state)
{
    (void)state;
    check_prompts("if", false);
}

/* [1][C][H][W] of a golden file to [H][W][C] and back is base/sample_size.h's. */
static void test_latents(void **state)
{
    (void)state;
    const ss_ctx_options device = {.threads = 2};
    const ss_sample_size size = {.height = 8, .width = 8, .channels = 4};
    ss_array z = load("sd", "latents"), x = load("sd", "picture"), back = load("sd", "encoded");
    float latent[8 * 8 * 4], want_latent[8 * 8 * 4];
    static float picture[64 * 64 * 3], want[64 * 64 * 3];
    ss_model *m;
    ss_latents *l;
    ss_err e = {0};

    if (ss_model_open(in_tmp("sd"), NULL, &m, &e) != SS_OK ||
        ss_latents_open(m, NULL, size, &device, &l, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_non_null(l);
    const ss_sample_size p = ss_latents_picture(l);
    assert_int_equal(p.height, 64);
    assert_int_equal(p.channels, 3);
    ss_sample_from_torch(size, z.values, latent);
    ss_sample_from_torch(p, x.values, want);
    assert_int_equal(ss_latents_decode(l, latent, picture, &e), SS_OK);
    assert_true(error_of(picture, want, 64 * 64 * 3) < 1e-5);
    ss_sample_from_torch(size, back.values, want_latent);
    assert_int_equal(ss_latents_encode(l, want, latent, &e), SS_OK);
    assert_true(error_of(latent, want_latent, 8 * 8 * 4) < 1e-5);
    ss_latents_close(l);

    /* latents of other channels stay what they are */
    assert_int_equal(ss_latents_open(m, NULL,
                                     (ss_sample_size){.height = 8, .width = 8, .channels = 16},
                                     &device, &l, &e),
                     SS_OK);
    assert_null(l);
    ss_model_close(m);
    ss_array_release(&z);
    ss_array_release(&x);
    ss_array_release(&back);
}

static void assert_run(const char *name, const char *component, const char *role, int samples)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_string_equal(r->component, component);
    assert_string_equal(r->role, role);
    assert_int_equal(r->n_samples, samples);
    assert_true(r->complete);
    ss_run_close(r);
}

/* One command, a run file for each network. */
static void test_components(void **state)
{
    (void)state;
    expect(
        "probe $D/xl -o $D/xl.h5 --components all --prompt 'a cat' --samples 2 --sigmas 1 --quiet",
        0, "xl.unet.h5");
    assert_run("xl.text_encoder.h5", "text_encoder", "text", 77);
    assert_run("xl.text_encoder_2.h5", "text_encoder_2", "text", 77);
    assert_run("xl.unet.h5", "unet", "denoiser", 2);
    assert_run("xl.vae.h5", "vae", "vae", 2);
    expect("probe $D/if -o $D/if.h5 --components text,denoiser --prompt 'a cat'" QUICK, 0, NULL);
    assert_run("if.text_encoder.h5", "text_encoder", "text", 77);
    expect("probe $D/sd -o $D/v.h5 --components vae --quiet", 0, NULL);
    assert_run("v.h5", "vae", "vae", 1);
    expect("probe $D/sd/text_encoder -o $D/t.h5 --prompt 'a cat' --quiet", 0, NULL);
    assert_run("t.h5", "text_encoder", "text", 77);
    expect("probe $D/sd -o $D/x.h5 --components vae,safety" QUICK, 2, "has no component 'safety'");
    expect("probe $D/if -o $D/x.h5 --components vae" QUICK, 2, "it has text_encoder (text), unet");
    expect("probe $D/sd -o $D/x.h5 --components text" QUICK, 2, "--prompt TEXT");
    expect(
        "probe $D/sd -o $D/x.h5 --components text,denoiser --prompt a --modules 'nowhere*'" QUICK,
        2, "matches no module of any component");
}

/* Tokens are samples, with their texts. */
static void test_tokens_of_a_run(void **state)
{
    (void)state;
    ss_run *r;
    ss_err e = {0};
    const float *absmax;

    expect("probe $D/sd -o $D/tokens.h5 --components text --prompt 'a cat' --negative-prompt '' "
           "--quiet",
           0, NULL);
    if (ss_run_open(in_tmp("tokens.h5"), &r, &e) != SS_OK ||
        ss_run_stat(r, "absmax", &absmax, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(r->n_inputs, 2);
    assert_string_equal(r->inputs[0], "a cat");
    assert_string_equal(r->inputs[1], "");
    assert_string_equal(r->pictures[0], "<|startoftext|>");
    assert_string_equal(r->pictures[76], "<|endoftext|>");
    for (int m = 0; m < r->n_modules; m++) {
        const bool logits = strstr(r->modules[m], "logits") != NULL;
        const float last = absmax[ss_run_at(r, m, ss_run_port(r, "output"), 0, 0, 76)];

        if (logits && !isnan(last))
            fail_msg("%s has a value of token 76", r->modules[m]);
        if (strstr(r->modules[m], "mlp.fc2") && !(last > 0))
            fail_msg("%s has no value of token 76", r->modules[m]);
    }
    ss_run_close(r);
}

/* Writes the weights of FILE again, in F32, with one tensor times k. */
static void scale_tensor(const char *file, const char *name, float k)
{
    enum { MAX = 512 };
    static ss_st_item items[MAX];
    ss_safetensors *f;
    ss_err e = {0};
    bool found = false;

    if (ss_safetensors_open(in_tmp(file), &f, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const size_t n = ss_safetensors_count(f);
    assert_true(n <= MAX);
    for (size_t i = 0; i < n; i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        const size_t values = t->bytes / ss_dtype_size(t->dtype);
        float *v = ss_alloc(values, sizeof *v);

        assert_non_null(v);
        ss_values_to_f32(t->dtype, t->data, values, v);
        for (size_t j = 0; j < values && strcmp(t->name, name) == 0; j++, found = true)
            v[j] *= k;
        items[i] = (ss_st_item){.name = t->name, .dtype = SS_F32, .rank = t->rank, .values = v};
        memcpy(items[i].dim, t->dim, sizeof t->dim);
    }
    assert_true(found);
    char other[600];
    snprintf(other, sizeof other, "%s.new", in_tmp(file));
    if (ss_safetensors_write(other, items, n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        ss_free((void *)items[i].values);
    ss_safetensors_close(f);
    assert_int_equal(rename(other, in_tmp(file)), 0);
}

/* A planted overflow is what the first line names, in whichever component it is, and the first of
 * two. */
static void test_which_component(void **state)
{
    (void)state;
    shell("cp -r $D/if $D/t5 && cp -r $D/sd $D/bad");
    scale_tensor("t5/text_encoder/model.safetensors",
                 "encoder.block.1.layer.1.DenseReluDense.wo.weight", 1e6F);
    expect("probe $D/t5 -o $D/t5.h5 --components all --prompt 'a cat'" QUICK, 0,
           "fp16: the text encoder alone fails: text_encoder "
           "encoder.block.1.layer.1.DenseReluDense.wo reaches");
    scale_tensor("bad/vae/diffusion_pytorch_model.safetensors",
                 "decoder.up_blocks.2.resnets.0.conv2.weight", 1e5F);
    expect("probe $D/bad -o $D/bad.h5 --components all --prompt 'a cat'" QUICK, 0,
           "fp16: the VAE alone fails: vae decoder.up_blocks.2.resnets.0.conv2 reaches");
    scale_tensor("bad/unet/diffusion_pytorch_model.safetensors",
                 "up_blocks.0.resnets.1.conv2.weight", 1e5F);
    expect("probe $D/bad -o $D/bad.h5 --force --components all --prompt 'a cat'" QUICK, 0,
           "fp16: the denoiser fails first: unet up_blocks.0.resnets.1.conv2 reaches");
    scale_tensor("t5/text_encoder/model.safetensors", "encoder.final_layer_norm.weight", NAN);
    expect("probe $D/t5 -o $D/nan.h5 --prompt 'a cat' --samples 1 --sigmas 1", 0,
           "--components text says where");
    expect("analyze $D/bad.vae.h5 $D/bad.unet.h5 $D/bad.text_encoder.h5", 0,
           "fp16: the denoiser fails first: unet up_blocks.0.resnets.1.conv2 reaches");
}

/* Pictures go through the VAE on both ends. */
static void test_pictures(void **state)
{
    (void)state;
    expect("generate $D/sd -o $D/g --prompt 'a cat' --guidance 3 --samples 1 --steps 2 --quiet", 0,
           NULL);
    shell("test -s $D/g/*/latents.safetensors && grep -q decoded_nonfinite $D/g/generate.json && "
          "grep -q 'a cat' $D/g/generate.json && file $D/g/01-sd/0000.png | grep -q '64 x 64'");
    expect("probe $D/sd -o $D/p.h5 --prompt a --inputs images:$D/g/01-sd/0000.png" QUICK, 0, NULL);
    expect("probe $D/sd -o $D/q.h5 --components vae --inputs images:$D/g/01-sd/0000.png "
           "--inputs latents:$D/p.h5 --inputs noise:white --sigmas 0.1 --quiet",
           0, NULL);
    assert_run("q.h5", "vae", "vae", 1);
    expect("generate $D/xl -o $D/gx --prompt 'a cat' --guidance 3 --samples 1 --steps 2 --quiet", 0,
           NULL);
    expect("generate $D/sd -o $D/x --prompt a --negative-prompt b --samples 1 --steps 1 --quiet", 2,
           "no effect without --guidance");
    expect("generate $D/sd/unet -o $D/gu --prompt a --samples 1 --steps 1 --quiet", 0, NULL);
    expect("bisect $D/sd --prompt a --fail 'absmax(*) > 1e-6'" QUICK "--cache $D/kept", 3, NULL);
}

static const char training[] =
    "{\"steps\": 4, \"batch\": 3, \"seed\": 1, \"model\": {"
    " \"_class_name\": \"UNet2DConditionModel\", \"sample_size\": 8, \"in_channels\": 3,"
    " \"out_channels\": 3, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"
    " \"down_block_types\": [\"DownBlock2D\", \"CrossAttnDownBlock2D\"],"
    " \"up_block_types\": [\"CrossAttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4,"
    " \"norm_num_groups\": 4, \"cross_attention_dim\": 16},"
    " \"data\": {\"kind\": \"folder\", \"path\": \"pictures\", \"text\": \"sd\", \"dropout\": 0.2},"
    " \"statistics\": {\"every\": 4}, \"checkpoints\": {\"every\": 4}}";

/* Rows of two labels are those of their texts, and a null class is the empty one. */
static void check_captions(void)
{
    ss_data_options o = ss_data_defaults();
    const ss_condition_needs needs = {.text_width = 16};
    const ss_ctx_options device = {.threads = 2};
    const char *texts[] = {"a dog", "a cat", ""};
    const ss_prompt_options prompts = {.positive = texts, .n_positive = 3};
    const ss_prompt_reader reader = {.needs = &needs, .name = "x", .pipeline = in_tmp("sd")};
    const int64_t label[] = {1, 0, 2, SS_NO_CAPTION};
    static const int want[] = {1, 0, 1, 2};
    ss_condition told = {0};
    ss_prompt_states s;
    ss_captions *k = NULL;
    ss_data *d = NULL;
    ss_err e = {0};

    o.kind = SS_DATA_FOLDER;
    o.path = in_tmp("pictures");
    o.h = o.w = 8;
    o.c = 3;
    o.null_class = SS_NO_CAPTION;
    if (ss_data_open(&o, &d, &e) != SS_OK ||
        ss_captions_open(d, in_tmp("sd"), &needs, &device, 4, &k, &e) != SS_OK ||
        ss_prompt_states_make(&prompts, &reader, &device, &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_captions_tell(k, &told);
    ss_captions_batch(k, label, 4);
    const size_t row = (size_t)(told.tokens * told.width);
    for (int i = 0; i < 4; i++)
        assert_memory_equal(told.encoder_hidden_states + (size_t)i * row,
                            s.states.values + (size_t)want[i] * row, row * sizeof(float));
    ss_prompt_states_release(&s);
    ss_captions_close(k);
    ss_data_close(d);
}

static void test_captions(void **state)
{
    (void)state;
    shell("mkdir $D/pictures && cp docs/growth.png $D/pictures/a.png && "
          "cp docs/heat.png $D/pictures/b.png && { "
          "echo '{\"file\": \"a.png\", \"text\": \"a dog\"}'; "
          "echo '{\"file\": \"b.png\", \"text\": \"a cat\"}'; "
          "echo '{\"file\": \"a.png\", \"text\": \"a cat\"}'; } > $D/pictures/captions.jsonl");
    check_captions();
    write_file(in_tmp("train.json"), training, sizeof training - 1);
    expect("train $D/train.json -o $D/trained --quiet --threads 1", 0, NULL);
    expect("train $D/train.json -o $D/x --set data.text=pictures --quiet", 2,
           "has no text encoder");
    expect("train $D/train.json -o $D/x --set data.text=null --quiet", 2, "data.text names");
    shell("ls $D/trained");
}

static void test_what_is_missing(void **state)
{
    (void)state;
    shell("cp -r $D/sd $D/bare && rm -r $D/bare/tokenizer && cp -r $D/sd $D/other && "
          "sed -i s/CLIPTextModel/BertModel/ $D/other/text_encoder/config.json "
          "$D/other/model_index.json && cp -r $D/sd/unet $D/alone");
    expect("probe $D/bare -o $D/x.h5 --prompt a" QUICK, 1, "--tokenizer FOLDER");
    expect("probe $D/bare -o $D/b.h5 --tokenizer $D/sd --prompt a" QUICK, 0, NULL);
    expect("probe $D/bare -o $D/c.h5 --tokenizer $D/sd/tokenizer --prompt a" QUICK, 0, NULL);
    expect("probe $D/other -o $D/x.h5 --prompt a" QUICK, 1, "class BertModel");
    expect("probe $D/alone -o $D/x.h5 --prompt a" QUICK, 2, "is in no pipeline");
    expect("probe $D/alone -o $D/d.h5 --prompt a --tokenizer $D/sd" QUICK, 0, NULL);
    expect("probe $D/sd -o $D/x.h5 --prompt a --prompt-embeds x#y" QUICK, 2, "exclude each other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts_of_stable_diffusion),
        cmocka_unit_test(test_prompts_of_sdxl),
        cmocka_unit_test(test_prompts_of_deepfloyd),
        cmocka_unit_test(test_latents),
        cmocka_unit_test(test_components),
        cmocka_unit_test(test_tokens_of_a_run),
        cmocka_unit_test(test_which_component),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_captions),
        cmocka_unit_test(test_what_is_missing),
    };
    return cmocka_run_group_tests(tests, make_pipelines, remove_tmp);
}
