/* test_folders.c - folders as people have them, by the commands that read them
 *
 * They are made of the small networks in tests/golden/unets: copied, renamed, with keys and tensors
 * that a training left there.
 */
#include "base/mem.h"
#include "models/file/safetensors_write.h"
#include "probe/conditions.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#define WEIGHTS "diffusion_pytorch_model"
#define UNETS "tests/golden/unets"

/* A shell command in $D; the test fails where it does. */
static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

/* Folder NAME in $D, a copy of a golden network. */
static void copy_unet(const char *unet, const char *name)
{
    char line[512];

    snprintf(line, sizeof line, "mkdir -p $D/%s && cp " UNETS "/%s/[cd]* $D/%s/", name, unet, name);
    shell(line);
}

/* Which weights are used is an option, and replays use the same. */
static void test_variant(void **state)
{
    (void)state;
    copy_unet("plain", "two");
    shell("mv $D/two/" WEIGHTS ".safetensors $D/two/" WEIGHTS ".fp16.safetensors && "
          "cp $D/two/" WEIGHTS ".fp16.safetensors $D/two/" WEIGHTS ".non_ema.safetensors");
    expect("inspect $D/two", 2, "as with --variant fp16");
    expect("inspect $D/two --variant non_ema", 0, ".non_ema.safetensors");
    expect("inspect $D/two --variant ema", 2, "there are: fp16, non_ema");
    expect("inspect $D/two $D/two --variant fp16", 0, "0 of");
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --quiet", 2, "--variant");
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant fp16 --quiet", 0, NULL);
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant fp16 --quiet --resume", 0,
           NULL);
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant non_ema --quiet --resume", 2,
           "cannot be resumed");
    expect("analyze $D/two.h5 --keep-fp32 e4m3-ieee --check --quiet", 0, NULL); /* runs it again */
    expect("bisect $D/two --fail 'absmax(*) > 1e-6' --samples 1 --sigmas 1 --variant fp16 --quiet "
           "--cache $D/cache --save-bundle $D/bundle",
           3, NULL);
    shell("grep -q -- \"--variant 'fp16'\" $D/bundle/replay.sh && "
          "grep -q '\"variant\": \"fp16\"' $D/bundle/expected.json");
    expect("generate $D/two -o $D/pictures --samples 1 --steps 1 --variant fp16 --quiet", 0, NULL);
}

#define HUB "$D/hub/models--me--sd-v1-5/snapshots/"
#define HASH_A "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
#define HASH_B "1d0c4ebf6ff58a5caecab40fa1406526bca4b5b9"
#define BISECT "--samples 1 --sigmas 1 --quiet --cache $D/kept --check 'test ! -e $1/bad' "

/* The order of checkpoints, and what says which it is. */
static void test_order_of_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = {"hub/models--me--sd-v1-5/snapshots/" HASH_A "/unet",
                                        "hub/models--me--sd-v1-5/snapshots/" HASH_B "/unet",
                                        "step_1000_fp16", "step_500_fp16", "final"};

    for (size_t i = 0; i < N_OF(names); i++)
        copy_unet("plain", names[i]);
    shell("touch " HUB HASH_B "/bad $D/step_1000_fp16/bad");
    /* digits of a hash are no step: 14 is before 9, as given */
    expect("bisect " HUB HASH_A " " HUB HASH_B " " BISECT, 3, HASH_A "; ");
    assert_non_null(strstr(output, HASH_B "; last good before it: "));
    assert_non_null(strstr(output, "order: as given"));
    expect("bisect $D/step_1000_fp16 $D/step_500_fp16 " BISECT, 3, "step_500_fp16; 2 of 2");
    assert_non_null(strstr(output, "order: training step"));
    expect("bisect $D/step_1000_fp16 $D/step_500_fp16 --as-given " BISECT, 3,
           "step_1000_fp16; last good before it: none");
    assert_non_null(strstr(output, "order: as given"));
    /* some names have a step, others do not */
    expect("bisect $D/step_1000_fp16 $D/step_500_fp16 $D/final " BISECT, 3, "before it: none");
    assert_non_null(strstr(output, "order: as given"));
    expect("bisect $D/step_1000_fp16 $D/step_500_fp16 $D/final --steps 3,1,2 " BISECT, 3,
           "before it: ");
    assert_non_null(strstr(output, "/final; 3 of 3"));
    assert_non_null(strstr(output, "order: training step"));
    expect("bisect $D/step_500_fp16 $D/final " BISECT, 0, "no bad one");
    assert_non_null(strstr(output, "order: as given"));
    expect("bisect $D/step_500_fp16 $D/final --steps 1 " BISECT, 2,
           "--steps has 1 numbers for 2 checkpoints");
    expect("bisect $D/step_500_fp16 $D/final --steps 1,1 " BISECT, 2, "are both of step 1");
    expect("bisect $D/final --steps 1 --as-given " BISECT, 2, "exclude each other");
}

/* One that cannot be read is left out, and said to be. */
static void test_unreadable_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = {"r/step-1", "r/step-2", "r/step-3", "r/step-4"};

    for (size_t i = 0; i < N_OF(names); i++)
        copy_unet("plain", names[i]);
    shell("touch $D/r/step-4/bad; truncate -s 5000 $D/r/step-3/" WEIGHTS ".safetensors; "
          "echo '{' > $D/r/step-2/config.json");
    expect("bisect $D/r/step-* " BISECT, 3, "step-3 cannot be read and is skipped: ");
    assert_non_null(strstr(output, "2 skipped between the two"));
    assert_non_null(strstr(output, "2 cannot be read)"));
    expect("bisect $D/r/step-[123] " BISECT, 0, "no bad one");
    expect("bisect $D/r/step-[23] " BISECT, 1,
           "none of the 2 checkpoints can be read; of the first: ");
    assert_non_null(strstr(output, "config.json: line"));
    expect("bisect $D/r/step-1 $D/r/none " BISECT, 1,
           "none: No such file or directory; expected a model folder");
    assert_null(strstr(output, "none: /")); /* the path is said once */
    expect("bisect $D/r/step-1 $D/r/step-2 --inputs nothing:of " BISECT, 2, "nothing");
}

#define VECTOR UNETS "/class-projection-concat"
#define TEXT "--prompt-embeds " VECTOR "/golden.safetensors#encoder_hidden_states "
#define CLASS VECTOR "/golden.safetensors#class_labels "
#define QUICK " --samples 2 --sigmas 1 --quiet "

/* Networks that take a vector in the place of a class. */
static void test_class_vectors(void **state)
{
    (void)state;
    expect("inspect " VECTOR, 0, "--class-embeds [N,6]");
    expect("probe " VECTOR " -o $D/v.h5" QUICK TEXT, 2, "--class-embeds FILE#NAME, [N,6]");
    expect("probe " VECTOR " -o $D/v.h5 --class 3" QUICK TEXT, 2,
           "--class: this model takes a vector instead of a class: give it with --class-embeds "
           "FILE#NAME, [N,6]");
    expect("probe " VECTOR " -o $D/v.h5" QUICK TEXT "--class-embeds " CLASS, 0, NULL);
    expect("probe " VECTOR " -o $D/v.h5 --resume" QUICK TEXT "--class-embeds " CLASS, 0, NULL);
    expect("probe " VECTOR " -o $D/v.h5" QUICK TEXT "--class 1 --class-embeds " CLASS, 2,
           "--class and --class-embeds exclude each other");
    expect("probe " VECTOR " -o $D/w.h5" QUICK TEXT "--class-embeds " VECTOR
           "/golden.safetensors#timesteps",
           2, "must be [N,6]");
    expect("probe " VECTOR " -o $D/w.h5 --samples 3 " TEXT "--class-embeds " CLASS, 2, "3 samples");
    expect("probe " UNETS "/plain -o $D/w.h5" QUICK "--class-embeds " CLASS, 2,
           "takes neither a class nor a vector");
    expect("probe " UNETS "/tables -o $D/w.h5" QUICK "--class-embeds " CLASS, 2, "--class K");
    /* a number in the place of a class may be a fraction, and one of each sample */
    expect("probe " UNETS "/class-timestep -o $D/w.h5" QUICK "--class-embeds " UNETS
           "/class-timestep/golden.safetensors#class_labels",
           0, NULL);
    expect("analyze $D/v.h5 --keep-fp32 e4m3-ieee --check --quiet", 0, NULL); /* runs it again */
    expect("bisect " VECTOR QUICK TEXT "--class-embeds " CLASS
           "--fail 'absmax(*) > 1e-6' --cache $D/vectors --save-bundle $D/vector",
           3, NULL);
    shell("SIGMASCOPE=$PWD/build/sigmascope sh $D/vector/replay.sh " VECTOR " > /dev/null");
    expect("generate " VECTOR " -o $D/vp --samples 1 --steps 1 --quiet " TEXT, 2, "--class-embeds");
    expect("generate " VECTOR " -o $D/vp --samples 1 --steps 1 --quiet " TEXT
           "--class-embeds " CLASS,
           0, NULL);
    expect("generate " VECTOR " -o $D/vg --samples 1 --steps 1 --quiet --guidance 2 " TEXT
           "--class-embeds " CLASS "--negative-embeds " VECTOR
           "/golden.safetensors#encoder_hidden_states",
           2, "--negative-class-embeds FILE#NAME with --class-embeds");
    expect("generate " VECTOR " -o $D/vg --samples 1 --steps 1 --quiet --guidance 2 " TEXT
           "--class-embeds " CLASS "--negative-class-embeds " CLASS "--negative-embeds " VECTOR
           "/golden.safetensors#encoder_hidden_states",
           0, NULL);
}

/* Each sample gets its row, and under guidance its negative one. */
static void test_rows_of_class_vectors(void **state)
{
    (void)state;
    const ss_condition_options opt = {
        .prompt_embeds = VECTOR "/golden.safetensors#encoder_hidden_states",
        .negative_embeds = VECTOR "/golden.safetensors#encoder_hidden_states",
        .class_embeds = VECTOR "/golden.safetensors#class_labels",
        .negative_class_embeds = VECTOR "/golden.safetensors#class_labels",
        .negative_class = -1,
        .guided = true};
    const int sample[] = {1, 0};
    ss_model *m;
    ss_conditions k;
    ss_array want = {0};
    ss_err e = {0};

    if (ss_model_open(VECTOR, NULL, &m, &e) != SS_OK ||
        ss_conditions_load(&opt, &(ss_network){.model = m}, &(ss_ctx_options){0}, 2, 2, 0, &k,
                           &e) != SS_OK ||
        ss_safetensors_load_f32(opt.class_embeds, &want, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const ss_condition c = ss_conditions_batch(&k, 2, sample, true);
    assert_int_equal(c.class_width, 6);
    for (int row = 0; row < 4; row++)
        assert_memory_equal(c.class_labels + 6 * row, want.values + (row % 2 ? 0 : 6), 6 * 4);
    assert_string_equal(k.text_form, "prompt embeddings, class embeddings");
    ss_array_release(&want);
    ss_conditions_release(&k);
    ss_model_close(m);
}

/* A copy of the weights in $D/NAME, as F32, with one tensor more. */
static void add_tensor(const char *name, const char *extra)
{
    char path[300];
    ss_safetensors *f;
    ss_err e = {0};

    snprintf(path, sizeof path, "%s/%s/" WEIGHTS ".safetensors", tmp_dir, name);
    if (ss_safetensors_open(path, &f, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const size_t n = ss_safetensors_count(f);
    ss_st_item *items = ss_calloc(n + 1, sizeof *items);
    assert_non_null(items);
    for (size_t i = 0; i <= n; i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i < n ? i : 0);
        const size_t count = t->bytes / ss_dtype_size(t->dtype);
        float *values = ss_alloc(count, sizeof *values);

        assert_non_null(values);
        ss_values_to_f32(t->dtype, t->data, count, values);
        items[i] = (ss_st_item){
            .name = i < n ? t->name : extra, .dtype = SS_F32, .rank = t->rank, .values = values};
        memcpy(items[i].dim, t->dim, sizeof t->dim[0] * (size_t)t->rank);
    }
    if (ss_safetensors_write(path, items, n + 1, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i <= n; i++)
        ss_free((void *)items[i].values);
    ss_free(items);
    ss_safetensors_close(f);
}

#define EXTRA                                                          \
    "class_embedding.linear_1.bias, class_embedding.linear_1.weight, " \
    "class_embedding.linear_2.bias, class_embedding.linear_2.weight"
#define IGNORE " --ignore-extra 'class_embedding.*' "

/* Tensors that the configuration does not ask for. */
static void test_extra_tensors(void **state)
{
    (void)state;
    ss_run *r;
    ss_err e = {0};

    copy_unet("class-timestep", "extra");
    shell("sed -i 's/\"class_embed_type\": \"timestep\"/\"class_embed_type\": null/' "
          "$D/extra/config.json");
    expect("inspect $D/extra", 1,
           "4 tensors are not in the config: " EXTRA
           "; --ignore-extra GLOB goes on without those that match");
    expect("inspect $D/extra --ignore-extra '*.bias'", 1, "class_embedding.linear_1.weight");
    expect("inspect $D/extra --ignore-extra 'a[b'", 2, "--ignore-extra: pattern 'a[b'");
    expect("inspect $D/extra" IGNORE, 0, "4 tensors: class_embedding.linear_1.bias");
    expect("probe $D/extra -o $D/extra.h5 --samples 1 --sigmas 1 --ignore-extra nothing" IGNORE, 0,
           "4 tensors that the configuration does not ask for are ignored: " EXTRA);
    assert_null(strstr(strstr(output, "are ignored") + 1, "are ignored")); /* said once */
    assert_int_equal(ss_run_open(in_tmp("extra.h5"), &r, &e), SS_OK);
    assert_string_equal(r->ignored_tensors, EXTRA);
    ss_run_close(r);
    expect("analyze $D/extra.h5", 0, "ignored tensors");
    expect("probe $D/extra -o $D/extra.h5 --resume --quiet --samples 1 --sigmas 1 --ignore-extra "
           "nothing" IGNORE,
           0, NULL);
    expect("analyze $D/extra.h5 --keep-fp32 e4m3-ieee --check --quiet", 0,
           NULL); /* runs it again */
    expect("bisect $D/extra --fail 'absmax(*) > 1e-6' --cache $D/extras --save-bundle "
           "$D/extra-b " QUICK IGNORE,
           3, NULL);
    shell("SIGMASCOPE=$PWD/build/sigmascope sh $D/extra-b/replay.sh $D/extra > /dev/null 2>&1");
    expect("generate $D/extra -o $D/eg --samples 1 --steps 1 --quiet" IGNORE, 0, NULL);
    /* a weight that is needed is used, whatever is ignored */
    expect("inspect $D/extra --ignore-extra '*'", 0, "4 tensors: class_embedding.linear_1.bias");
    /* the second name of Fourier features, which diffusers takes no notice of */
    copy_unet("time-fourier", "fourier");
    add_tensor("fourier", "time_proj.W");
    expect("inspect $D/fourier", 0, NULL);
    copy_unet("plain", "no-fourier");
    add_tensor("no-fourier", "time_proj.W");
    expect("inspect $D/no-fourier", 1, "not in the config: time_proj.W");
}

#define LCM UNETS "/lcm"
#define LCM_TEXT "--prompt-embeds " LCM "/golden.safetensors#encoder_hidden_states "

/* A network that was distilled for guidance is told its scale, or not. */
static void test_guidance_embedding(void **state)
{
    (void)state;
    const ss_condition_options opt = {.prompt_embeds =
                                          LCM "/golden.safetensors#encoder_hidden_states",
                                      .guidance_embed = "2.25",
                                      .negative_class = -1};
    const int sample[] = {1, 0};
    ss_model *m;
    ss_conditions k;
    ss_array want = {0};
    ss_err e = {0};

    expect("inspect " LCM, 0, "--guidance-embed W, or none");
    expect("probe " LCM " -o $D/l.h5 --samples 2 --sigmas 1 " LCM_TEXT, 0,
           "no --guidance-embed is given");
    expect("probe " LCM " -o $D/l.h5 --resume --guidance-embed 8.5" QUICK LCM_TEXT, 2,
           "--guidance-embed is 8.5, the run has none");
    expect("probe " LCM " -o $D/t.h5 --guidance-embed 8.5" QUICK LCM_TEXT, 0, NULL);
    expect("compare $D/l.h5 $D/t.h5", 0, "told guidance 8.5");
    expect("analyze $D/t.h5 --keep-fp32 e4m3-ieee --check --quiet", 0, NULL); /* runs it again */
    expect("probe " LCM " -o $D/x.h5 --guidance-embed much" QUICK LCM_TEXT, 2, "takes a number");
    expect("probe " UNETS "/plain -o $D/x.h5 --guidance-embed 7.5" QUICK, 2,
           "this model is not told a scale of guidance");
    expect("generate " LCM " -o $D/lg --samples 1 --steps 1 --quiet --guidance-embed 7.5 " LCM_TEXT,
           0, NULL);
    expect("bisect " LCM QUICK LCM_TEXT "--fail 'absmax(*) > 1e-6' --guidance-embed 8.5 "
           "--cache $D/lcm --save-bundle $D/lcm-b",
           3, NULL);
    shell("SIGMASCOPE=$PWD/build/sigmascope sh $D/lcm-b/replay.sh " LCM " > /dev/null 2>&1 && "
          "grep -q timestep_cond $D/lcm-b/input.safetensors");

    if (ss_model_open(LCM, NULL, &m, &e) != SS_OK ||
        ss_conditions_load(&opt, &(ss_network){.model = m}, &(ss_ctx_options){0}, 2, 2, 0, &k,
                           &e) != SS_OK ||
        ss_safetensors_load_f32(LCM "/golden.safetensors#timestep_cond", &want, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const ss_condition c = ss_conditions_batch(&k, 2, sample, false);
    assert_int_equal(c.timestep_cond_width, 9);
    for (int row = 0; row < 2; row++) /* the golden's second row is of 2.25 */
        assert_close("told", c.timestep_cond + 9 * row, want.values + 9, 9, 1e-6, 0);
    ss_array_release(&want);
    ss_conditions_release(&k);
    ss_model_close(m);
}

/* Cross-attention without a text. */
static void test_no_text(void **state)
{
    (void)state;
#define AUDIO UNETS "/no-text"
#define AUDIO_CLASS " --class-embeds " AUDIO "/golden.safetensors#class_labels "

    expect("inspect " AUDIO, 0, NULL);
    assert_null(strstr(output, "--prompt-embeds"));
    expect("probe " AUDIO " -o $D/audio.h5" QUICK AUDIO_CLASS, 0, NULL);
    expect("probe " AUDIO " -o $D/x.h5" QUICK AUDIO_CLASS LCM_TEXT, 2,
           "--prompt-embeds: this model takes no text");
    expect("generate " AUDIO " -o $D/ag --samples 1 --steps 1 --quiet" AUDIO_CLASS, 0, NULL);
    expect("inspect " UNETS "/no-text-one-width", 0, "[N,tokens,8], or none");
    expect("probe " UNETS "/no-text-one-width -o $D/one.h5 --samples 1 --sigmas 1", 0,
           "no --prompt-embeds are given: attention to the text looks at the picture itself");
    /* a width of its own for each level, and one of them is not that of its block */
    copy_unet("no-text", "misfit");
    shell("tr -d '\\n' < $D/misfit/config.json | sed 's/\"cross_attention_dim\": *\\[ *8/"
          "\"cross_attention_dim\": [12/' > $D/config && mv $D/config $D/misfit/config.json");
    expect("inspect $D/misfit", 1, "one text cannot have width 12 and width 16");
    expect("probe " UNETS "/sd15 -o $D/x.h5" QUICK, 2, "give it with --prompt-embeds");
}

/* Zeros and random numbers in place of a condition that is not at hand. */
static void test_stand_ins(void **state)
{
    (void)state;
    expect("probe " UNETS "/sd15 -o $D/random.h5 --samples 2 --sigmas 1 --prompt-embeds random", 0,
           "note: --prompt-embeds random: normal numbers [77,");
    expect("probe " UNETS "/sd15 -o $D/zeros.h5" QUICK "--prompt-embeds zeros", 0, NULL);
    expect("compare $D/random.h5 $D/zeros.h5", 0, "random");
    expect("probe " UNETS "/sd15 -o $D/random.h5 --resume" QUICK "--prompt-embeds random", 0, NULL);
    expect("probe " UNETS "/sd15 -o $D/random.h5 --resume" QUICK "--prompt-embeds zeros", 2,
           "--prompt-embeds is zeros, the run has random");
    expect("probe " UNETS "/sd15 -o $D/x.h5" QUICK "--prompt-embeds nothing", 2, "FILE#NAME");
    expect("generate " UNETS "/sd15 -o $D/rg --samples 1 --steps 1 --quiet --guidance 2 "
           "--prompt-embeds random",
           0, NULL);
    /* the pooled text and the sizes follow the text */
    expect("probe " UNETS "/sdxl -o $D/xl.h5 --samples 2 --sigmas 1 --prompt-embeds random", 0,
           "note: --text-embeds random: normal numbers [");
    assert_non_null(strstr(output, "no --time-ids are given"));
    expect("generate " UNETS "/sdxl -o $D/xg --samples 1 --steps 1 --quiet --guidance 2 "
           "--prompt-embeds random",
           0, NULL);
    expect("probe " UNETS "/video-svd -o $D/svd.h5 --size 16x16 --concat noise" QUICK
           "--prompt-embeds random",
           0, NULL);
    expect("probe " VECTOR " -o $D/cv.h5" QUICK "--prompt-embeds zeros --class-embeds random", 0,
           NULL);
    expect("probe " UNETS "/plain -o $D/w.h5" QUICK "--prompt-embeds random", 2, "takes no text");
    expect("probe " UNETS "/plain -o $D/w.h5" QUICK "--time-ids random", 2, "FILE#NAME");
}

/* Every sample has random numbers of its own; the seed decides which. */
static void test_rows_of_stand_ins(void **state)
{
    (void)state;
    const ss_condition_options opt = {
        .prompt_embeds = "random", .negative_class = -1, .guided = true};
    const int sample[] = {0, 1};
    float first[2];
    ss_model *m;
    ss_conditions k;
    ss_err e = {0};

    if (ss_model_open(UNETS "/sd15", NULL, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int seed = 0; seed < 2; seed++) {
        const ss_ctx_options device = {0};

        if (ss_conditions_load(&opt, &(ss_network){.model = m}, &device, 2, 2, (uint64_t)seed, &k,
                               &e) != SS_OK)
            fail_msg("%s", e.msg);
        const ss_condition c = ss_conditions_batch(&k, 2, sample, true);
        const int64_t n = c.tokens * c.width;
        double sum = 0;

        assert_int_equal(c.tokens, 77);
        for (int64_t i = 0; i < 2 * n; i++)
            sum += (double)c.encoder_hidden_states[i] * c.encoder_hidden_states[i];
        assert_true(fabs(sum / (double)(2 * n) - 1) < 0.1);
        assert_true(c.encoder_hidden_states[0] != c.encoder_hidden_states[n]);
        for (int64_t i = 2 * n; i < 4 * n; i++) /* the negative ones */
            assert_true(c.encoder_hidden_states[i] == 0);
        first[seed] = c.encoder_hidden_states[0];
        assert_string_equal(k.text_form, "prompt embeddings of random numbers, a stand-in");
        ss_conditions_release(&k);
    }
    assert_true(first[0] != first[1]);
    ss_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stand_ins),
        cmocka_unit_test(test_rows_of_stand_ins),
        cmocka_unit_test(test_order_of_checkpoints),
        cmocka_unit_test(test_unreadable_checkpoints),
        cmocka_unit_test(test_class_vectors),
        cmocka_unit_test(test_extra_tensors),
        cmocka_unit_test(test_guidance_embedding),
        cmocka_unit_test(test_no_text),
        cmocka_unit_test(test_rows_of_class_vectors),
        cmocka_unit_test(test_variant),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
