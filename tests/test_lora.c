/* test_lora.c - LoRA and its kin, merged as PEFT and diffusers merge them
 *
 * Golden files: tests/golden/loras, by make_loras.py.
 */
#include "base/mem.h"
#include "models/file/lora_names.h"
#include "models/file/safetensors.h"
#include "models/file/safetensors_write.h"
#include "models/model.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#define L "tests/golden/loras/"
#define TEXT "--prompt-embeds $D/text.safetensors#x "
#define QUICK " --samples 1 --sigmas 1 --quiet "

static ss_model *open_with(const char *model, const char *const *loras, int n)
{
    const ss_model_options opt = {.loras = loras, .n_loras = n};
    ss_model *m = NULL;
    ss_err e = {0};

    if (ss_model_open(model, &opt, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

static void fails(const char *lora, ss_code code, const char *text)
{
    const ss_model_options opt = {.loras = &lora, .n_loras = 1};
    ss_model *m = NULL;
    ss_err e = {0};

    assert_int_equal(ss_model_open(L "unet", &opt, &m, &e), code);
    if (!strstr(e.msg, text))
        fail_msg("%s lacks %s", e.msg, text);
}

/* Compares every weight with want.safetensors' CASE:NAME, or with the network without LoRA. */
static double worst_of(const char *model, const char *spec, const char *name, int changed)
{
    ss_model *m = open_with(model, &spec, 1), *plain = open_with(model, NULL, 0);
    int n;
    ss_weight *const *w = ss_model_weights(m, &n), *const *v = ss_model_weights(plain, &n);
    ss_safetensors *want;
    double worst = 0;
    ss_err e = {0};

    assert_int_equal(ss_safetensors_open(L "want.safetensors", &want, &e), SS_OK);
    for (int i = 0; i < n; i++) {
        char key[256];

        snprintf(key, sizeof key, "%s:%s", name, w[i]->name);
        const ss_stored_tensor *t = ss_safetensors_find(want, key);
        const size_t count = (size_t)ss_shape_numel(w[i]->shape);
        float *a = ss_alloc(count, sizeof *a), *b = ss_alloc(count, sizeof *b);
        const void *data = ss_weight_data(w[i], &e);

        assert_non_null(data);
        assert_int_equal(w[i]->dtype, v[i]->dtype);
        ss_values_to_f32(w[i]->dtype, data, count, a);
        ss_values_to_f32(v[i]->dtype, t ? t->data : ss_weight_data(v[i], &e), count, b);
        changed -= t != NULL;
        for (size_t k = 0; k < count; k++)
            worst = fmax(worst, fabs((double)a[k] - (double)b[k]));
        ss_free(a);
        ss_free(b);
    }
    assert_int_equal(changed, 0);
    ss_safetensors_close(want);
    ss_model_close(m);
    ss_model_close(plain);
    return worst;
}

static void test_goldens(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *name, *model;
        int changed;
        double worst; /* f32: 1e-6 of weights about 1; f16: the bits of diffusers */
    } cases[] = {
        {L "peft", "peft", L "unet", 7, 1e-6},
        {L "peft/adapter_model.safetensors", "peft", L "unet", 7, 1e-6},
        {L "peft-dora", "peft-dora", L "unet", 7, 1e-6},
        {L "peft-loha", "peft-loha", L "unet", 5, 1e-6},
        {L "peft-lokr", "peft-lokr", L "unet", 5, 1e-6},
        {L "diffusers.safetensors", "diffusers", L "unet", 7, 1e-6},
        {L "diffusers.safetensors:0.5", "diffusers-half", L "unet", 7, 1e-6},
        {L "diffusers.safetensors", "diffusers-f16", L "unet-f16", 7, 0},
        {L "kohya.safetensors", "kohya", L "unet", 11, 1e-6},
        {L "kohya-ldm.safetensors", "kohya-ldm", L "unet", 11, 1e-6},
        {L "mid.safetensors", "mid", L "unet", 1, 1e-6},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        const double worst =
            worst_of(cases[i].model, cases[i].spec, cases[i].name, cases[i].changed);

        print_message("%-44s %.1e\n", cases[i].spec, worst);
        if (!(worst <= cases[i].worst))
            fail_msg("%s: off by %g", cases[i].spec, worst);
    }
}

/* Writes $D/NAME with zeros under these names, each of shape [rows,columns]. */
static const char *write_zeros(const char *name, const char *const *keys, size_t n, int64_t rows,
                               int64_t columns)
{
    static const float zeros[4096];
    ss_st_item items[4];
    ss_err e = {0};

    for (size_t i = 0; i < n; i++)
        items[i] = (ss_st_item){
            .name = keys[i], .dtype = SS_F32, .rank = 2, .dim = {rows, columns}, .values = zeros};
    if (ss_safetensors_write(in_tmp(name), items, n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return in_tmp(name);
}

#define Q "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q."

static void test_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const pair[] = {Q "lora_down.weight", Q "lora_up.weight"};
    static const char *const unknown[] = {"lora_unet_mid_block_none.lora_down.weight",
                                          "lora_unet_mid_block_none.lora_up.weight"};
    static const char *const oft[] = {Q "oft_blocks"}, *const odd[] = {"something"};
    static const char *const twice[] = {Q "lora_down.weight", Q "lora_up.weight",
                                        "unet.mid_block.attentions.0.transformer_blocks.0.attn1."
                                        "to_q.lora_A.weight"};

    fails(write_zeros("unknown.safetensors", unknown, 2, 8, 8), SS_SHAPE,
          "1 layer is not in the network: mid_block_none");
    fails(write_zeros("shape.safetensors", pair, 2, 7, 8), SS_SHAPE,
          "lora_up.weight is [7,8], which does not fit the layer's weight of [8,8]");
    fails(write_zeros("half.safetensors", pair, 1, 8, 8), SS_FORMAT,
          "parts of the layer mid_block.attentions.0.transformer_blocks.0.attn1.to_q are missing");
    fails(write_zeros("oft.safetensors", oft, 1, 8, 8), SS_UNSUPPORTED, "(OFT) cannot be merged");
    fails(write_zeros("odd.safetensors", odd, 1, 8, 8), SS_UNSUPPORTED, "something is no part");
    fails(write_zeros("twice.safetensors", twice, 3, 8, 8), SS_FORMAT, "the same part of a layer");
    fails("/nowhere/a.safetensors", SS_IO, "--lora: /nowhere/a.safetensors is not there");
    fails(L "kohya.safetensors:much", SS_USAGE, "FILE:SCALE");
    fails(L, SS_IO, "a folder without adapter_model.safetensors");
    expect("inspect " L "unet --lora $D/none", 1, "is not there");
}

/* Layers of a text encoder go into it, in the names of transformers 4 and 5. */
static void test_text_encoder(void **state)
{
    (void)state;
    static const char *const names[] = {"text_model.encoder.layers.0.self_attn.q_proj.weight",
                                        "encoder.layers.0.self_attn.q_proj.weight",
                                        "encoder.layers.1.self_attn.q_proj.weight"};

    for (size_t i = 0; i < N_OF(names); i++) {
        ss_checkpoint *k = NULL;
        ss_lora_layers layers = {0};
        ss_err e = {0};

        write_zeros("text-model.safetensors", &names[i], 1, 6, 6);
        assert_int_equal(ss_checkpoint_open(in_tmp("text-model.safetensors"), NULL, &k, &e), SS_OK);
        const ss_lora_target target = {names[i], ss_checkpoint_at(k, 0)};
        const ss_code rc =
            ss_lora_merge(k, L "kohya.safetensors", "text_encoder", &target, 1, &layers, &e);
        assert_int_equal(rc, i < 2 ? SS_OK : SS_SHAPE);
        assert_int_equal(layers.n, i < 2);
        if (i < 2)
            assert_non_null(strstr(ss_checkpoint_note(k, 1), "other components: 11 (denoiser)"));
        else
            assert_non_null(strstr(e.msg, "1 layer is not in the network: text_model_encoder"));
        ss_lora_layers_release(&layers);
        ss_checkpoint_close(k);
    }
}

/* Two files, one after the other: the second is merged into what the first made. */
static void test_two_files(void **state)
{
    (void)state;
    static const char *const both[] = {L "mid.safetensors:2", L "mid.safetensors:-2"};
    ss_model *m = open_with(L "unet", both, 2), *plain = open_with(L "unet", NULL, 0);
    int n;
    ss_weight *const *w = ss_model_weights(m, &n), *const *v = ss_model_weights(plain, &n);
    ss_err e = {0};

    for (int i = 0; i < n; i++)
        assert_close(w[i]->name, ss_weight_data(w[i], &e), ss_weight_data(v[i], &e),
                     (int)ss_shape_numel(w[i]->shape), 1e-6, 0);
    assert_int_equal(ss_model_lora_layers(m)->n, 2);
    assert_ptr_equal(ss_model_lora_layers(m)->list[1].before,
                     ss_model_lora_layers(m)->list[0].after);
    assert_string_equal(ss_model_about(m)->weight_notes,
                        "LoRA " L "mid.safetensors merged into layers: 1, times 2; LoRA " L
                        "mid.safetensors merged into layers: 1, times -2");
    ss_model_close(m);
    ss_model_close(plain);
}

/* The file is part of what the model is: its hash, the plan, what is run again. */
static void test_commands(void **state)
{
    (void)state;
    static float text[4 * 6];
    const ss_st_item item = {
        .name = "x", .dtype = SS_F32, .rank = 3, .dim = {1, 4, 6}, .values = text};
    ss_err e = {0};
    ss_run *a, *b;
    char line[1024];

    for (int i = 0; i < 24; i++)
        text[i] = (float)(i % 5) - 2;
    assert_int_equal(ss_safetensors_write(in_tmp("text.safetensors"), &item, 1, NULL, 0, &e),
                     SS_OK);
    expect("inspect " L "unet --lora " L "kohya.safetensors:0.5", 0, "11 layers; change is |dW|");
    expect("inspect " L "unet --json --lora " L "kohya.safetensors:0.5", 0,
           "kohya.safetensors: layers of other components: 1 (text_encoder)");
    expect("inspect " L "unet --json --lora " L "peft-dora", 0, "\"kind\": \"DoRA\"");
    expect("probe " L "unet -o $D/a.h5" QUICK TEXT, 0, NULL);
    expect("probe " L "unet -o $D/b.h5" QUICK TEXT "--lora " L "kohya.safetensors", 0, NULL);
    assert_int_equal(ss_run_open(in_tmp("a.h5"), &a, &e), SS_OK);
    assert_int_equal(ss_run_open(in_tmp("b.h5"), &b, &e), SS_OK);
    assert_string_not_equal(a->model_sha256, b->model_sha256);
    assert_non_null(strstr(b->weight_notes, "merged into layers: 11, times 1"));
    ss_run_close(a);
    ss_run_close(b);
    expect("probe " L "unet -o $D/b.h5 --resume" QUICK TEXT "--lora " L "kohya.safetensors", 0,
           NULL);
    expect("probe " L "unet -o $D/b.h5 --resume" QUICK TEXT "--lora " L "kohya.safetensors:0.5", 2,
           "cannot be resumed");
    expect("analyze $D/b.h5 --keep-fp32 e4m3-ieee --check --quiet", 0, NULL); /* runs it again */
    expect("bisect " L "unet --fail 'absmax(*) > 1e-6' --cache $D/cache --save-bundle $D/bundle "
           "--lora " L "kohya.safetensors:0.25 " QUICK TEXT,
           3, NULL);
    snprintf(line, sizeof line,
             "SIGMASCOPE=$PWD/build/sigmascope; export SIGMASCOPE; sh %s/bundle/replay.sh " L
             "unet " L "kohya.safetensors >%s/replayed 2>&1 && ! grep warning %s/replayed && ! sh "
             "%s/bundle/replay.sh " L "unet >%s/replayed 2>&1 && "
             "grep -q 'usage: sh replay.sh CHECKPOINT kohya.safetensors' %s/replayed",
             tmp_dir, tmp_dir, tmp_dir, tmp_dir, tmp_dir, tmp_dir);
    assert_int_equal(system(line), 0);
    expect("generate " L "unet -o $D/g --samples 1 --steps 1 --quiet --lora " L "peft " TEXT, 0,
           NULL);
}

/* Layers' names, as each writer has them. */
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *key, *component, *layer;
        ss_lora_part part;
    } names[] = {
        {"lora_unet_mid_block_resnets_0_conv1.alpha", "denoiser", "mid_block_resnets_0_conv1",
         SS_LORA_ALPHA},
        {"lora_unet_input_blocks_4_1_proj_in.lora_down.weight", "denoiser",
         "down_blocks_1_attentions_0_proj_in", SS_LORA_DOWN},
        {"lora_unet_input_blocks_3_0_op.lora_down.weight", "denoiser",
         "down_blocks_0_downsamplers_0_conv", SS_LORA_DOWN},
        {"lora_unet_output_blocks_5_2_conv.lora_up.weight", "denoiser",
         "up_blocks_1_upsamplers_0_conv", SS_LORA_UP},
        {"lora_unet_middle_block_2_in_layers_2.lora_mid.weight", "denoiser",
         "mid_block_resnets_1_conv1", SS_LORA_MID},
        {"lora_unet_middle_block_1_proj_out.hada_w1_a", "denoiser",
         "mid_block_attentions_0_proj_out", SS_LOHA_1A},
        {"lora_unet_input_blocks_0_0.lora_up.weight", "denoiser", "conv_in", SS_LORA_UP},
        {"lora_unet_label_emb_0_2.lokr_w2_b", "denoiser", "add_embedding_linear_2", SS_LOKR_2B},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
         "denoiser", "mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0", SS_LORA_UP},
        {"text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight", "text_encoder",
         "text_model_encoder_layers_0_self_attn_q_proj", SS_LORA_DOWN},
        {"text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_linear_layer.up.weight",
         "text_encoder", "text_model_encoder_layers_0_mlp_fc1", SS_LORA_UP},
        {"lora_te2_text_projection.dora_scale", "text_encoder_2", "text_projection",
         SS_LORA_MAGNITUDE},
        {"base_model.model.conv_in.lora_magnitude_vector", "", "conv_in", SS_LORA_MAGNITUDE},
        {"base_model.model.unet.conv_in.lora_B.weight", "denoiser", "conv_in", SS_LORA_UP},
        {"diffusion_model.output_blocks.0.0.emb_layers.1.lora_up.weight", "denoiser",
         "up_blocks_0_resnets_0_time_emb_proj", SS_LORA_UP},
    };

    for (size_t i = 0; i < N_OF(names); i++) {
        ss_lora_name n = {0};
        ss_err e = {0};

        assert_int_equal(ss_lora_name_read(names[i].key, 3, &n, &e), SS_OK);
        assert_string_equal(n.component, names[i].component);
        assert_string_equal(n.layer, names[i].layer);
        assert_int_equal(n.part, names[i].part);
        ss_lora_name_release(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),   cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_two_files), cmocka_unit_test(test_commands),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_text_encoder),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
