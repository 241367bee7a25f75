/* test_config.c - config.json of UNets: published ones, refused options, hostile values
 *
 * Networks are built over an empty checkpoint: their parameters are then all missing, but
 * named and shaped, which is enough to count them. The counts are those of the published
 * models, and of diffusers' own classes for these configs.
 */
#include "base/file.h"
#include "base/mem.h"
#include "models/families.h"
#include "models/model.h"
#include "models/unet/unet_config.h"
#include "tests/ss_tmp.h"

#define PLAIN "{\"_class_name\": \"UNet2DModel\""
#define CONDITIONAL "{\"_class_name\": \"UNet2DConditionModel\""
#define THREE_D "{\"_class_name\": \"UNet3DConditionModel\""
#define SVD "{\"_class_name\": \"UNetSpatioTemporalConditionModel\""

static ss_checkpoint *empty_checkpoint(void)
{
    static const char file[] = "\2\0\0\0\0\0\0\0{}";
    ss_checkpoint *k;

    write_file(in_tmp("empty.safetensors"), file, sizeof file - 1);
    assert_int_equal(ss_checkpoint_open(tmp_dir, NULL, &k, NULL), SS_OK);
    return k;
}

typedef struct {
    int64_t values;
    int tensors, modules;
} size;

/* Reads and builds; the code of the config's error, or of the network's, missing tensors aside. */
static ss_code build(const ss_checkpoint *k, const char *json, size *z, ss_err *e)
{
    const ss_family *family = NULL;
    void *config = NULL;
    ss_json j;
    ss_net *n = NULL;

    ss_code rc = ss_json_parse(&j, "config.json", json, strlen(json), e);
    if (rc == SS_OK)
        rc = ss_family_read(&j, &family, &config, e);
    if (rc == SS_OK) {
        n = ss_net_new(k, "config.json", e);
        assert_non_null(n);
        family->build(n, config);
        ss_weight *const *w = ss_net_weights(n, &z->tensors);
        z->values = 0;
        for (int i = 0; i < z->tensors; i++)
            z->values += ss_shape_numel(w[i]->shape);
        int all;
        const ss_module *const *modules = ss_net_modules(n, &all);
        z->modules = 0;
        for (int i = 0; i < all; i++)
            z->modules += !modules[i]->inner; /* PyTorch has no module for an inner value */
        rc = ss_net_finish(n, e);
        rc = rc == SS_SHAPE ? SS_OK : rc; /* every tensor is missing, of course */
    }
    ss_net_free(n);
    ss_json_release(&j);
    ss_free(config);
    return rc;
}

static const struct {
    const char *name;
    int64_t values;
    int tensors, modules;
    const char *json;
} published[] = {
    {"ddpm-butterflies-128", 113673219, 450, 288,
     PLAIN ", \"block_out_channels\": [128, 128, 256, 256, 512, 512], \"sample_size\": 128,"
           "\"attention_head_dim\": 8, \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\","
           "\"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"],"
           "\"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\","
           "\"UpBlock2D\", \"UpBlock2D\"], \"add_attention\": true}"},
    {"ddpm-cifar10-32", 35746307, 328, 209,
     PLAIN ", \"block_out_channels\": [128, 256, 256, 256], \"attention_head_dim\": null,"
           "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\","
           "\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\","
           "\"AttnUpBlock2D\", \"UpBlock2D\"], \"downsample_padding\": 0, \"freq_shift\": 1,"
           "\"flip_sin_to_cos\": false, \"norm_eps\": 1e-06}"},
    {"stable-diffusion-1.5", 859520964, 686, 526,
     CONDITIONAL ", \"cross_attention_dim\": 768, \"attention_head_dim\": 8}"},
    {"stable-diffusion-2.1-base", 865910724, 686, 526,
     CONDITIONAL ", \"cross_attention_dim\": 1024, \"attention_head_dim\": [5, 10, 20, 20],"
                 "\"use_linear_projection\": true, \"dual_cross_attention\": false}"},
    {"stable-diffusion-xl-base-1.0", 2567463684, 1680, 1442,
     CONDITIONAL ", \"addition_embed_type\": \"text_time\", \"addition_time_embed_dim\": 256,"
                 "\"attention_head_dim\": [5, 10, 20], \"block_out_channels\": [320, 640, 1280],"
                 "\"cross_attention_dim\": 2048, \"down_block_types\": [\"DownBlock2D\","
                 "\"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\"], \"up_block_types\":"
                 "[\"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\", \"UpBlock2D\"],"
                 "\"projection_class_embeddings_input_dim\": 2816,"
                 "\"transformer_layers_per_block\": [1, 2, 10], \"use_linear_projection\": true}"},
    {"deepfloyd-if-i-xl", 4304695110, 775, 461,
     CONDITIONAL ", \"act_fn\": \"gelu\", \"addition_embed_type\": \"text\", \"in_channels\": 3,"
                 "\"out_channels\": 6, \"attention_head_dim\": 64, \"layers_per_block\": 3,"
                 "\"block_out_channels\": [704, 1408, 2112, 2816], \"cross_attention_dim\": 2816,"
                 "\"cross_attention_norm\": \"group_norm\", \"encoder_hid_dim\": 4096,"
                 "\"encoder_hid_dim_type\": \"text_proj\", \"resnet_time_scale_shift\":"
                 "\"scale_shift\", \"mid_block_type\": \"UNetMidBlock2DSimpleCrossAttn\","
                 "\"down_block_types\": [\"ResnetDownsampleBlock2D\","
                 "\"SimpleCrossAttnDownBlock2D\", \"SimpleCrossAttnDownBlock2D\","
                 "\"SimpleCrossAttnDownBlock2D\"], \"up_block_types\":"
                 "[\"SimpleCrossAttnUpBlock2D\", \"SimpleCrossAttnUpBlock2D\","
                 "\"SimpleCrossAttnUpBlock2D\", \"ResnetUpsampleBlock2D\"]}"},
    {"deepfloyd-if-ii-l", 1187608070, 939, 561,
     CONDITIONAL ", \"act_fn\": \"gelu\", \"addition_embed_type\": \"text\", \"in_channels\": 6,"
                 "\"out_channels\": 6, \"attention_head_dim\": 64,"
                 "\"layers_per_block\": [2, 2, 3, 5, 5], \"class_embed_type\": \"timestep\","
                 "\"block_out_channels\": [160, 320, 640, 960, 1280],"
                 "\"cross_attention_dim\": 1280, \"mid_block_scale_factor\": 1.4142271248762552,"
                 "\"resnet_out_scale_factor\": 1.4142271248762552, \"resnet_skip_time_act\": true,"
                 "\"cross_attention_norm\": \"group_norm\", \"encoder_hid_dim\": 4096,"
                 "\"encoder_hid_dim_type\": \"text_proj\", \"resnet_time_scale_shift\":"
                 "\"scale_shift\", \"mid_block_type\": \"UNetMidBlock2DSimpleCrossAttn\","
                 "\"down_block_types\": [\"ResnetDownsampleBlock2D\","
                 "\"ResnetDownsampleBlock2D\", \"ResnetDownsampleBlock2D\","
                 "\"SimpleCrossAttnDownBlock2D\", \"SimpleCrossAttnDownBlock2D\"],"
                 "\"up_block_types\": [\"SimpleCrossAttnUpBlock2D\","
                 "\"SimpleCrossAttnUpBlock2D\", \"ResnetUpsampleBlock2D\","
                 "\"ResnetUpsampleBlock2D\", \"ResnetUpsampleBlock2D\"]}"},
    /* these two are the defaults of their classes */
    {"text-to-video-ms-1.7b", 1411233860, 1480, 1186, THREE_D ", \"sample_size\": 32}"},
    {"stable-video-diffusion", 1524623082, 1428, 1137,
     SVD ", \"sample_size\": 96, \"num_frames\": 14}"},
};

static void test_published(void **state)
{
    (void)state;
    ss_checkpoint *k = empty_checkpoint();

    for (size_t i = 0; i < N_OF(published); i++) {
        size z;
        ss_err e = {0};

        if (build(k, published[i].json, &z, &e) != SS_OK)
            fail_msg("%s: %s", published[i].name, e.msg);
        print_message("%-28s %10lld values, %4d tensors, %4d modules\n", published[i].name,
                      (long long)z.values, z.tensors, z.modules);
        assert_int_equal(z.values, published[i].values);
        assert_int_equal(z.tensors, published[i].tensors);
        assert_int_equal(z.modules, published[i].modules);
    }
    ss_checkpoint_close(k);
}

/* Options that change the computation and are not supported: each by its name and value. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *family, *option, *want;
    } cases[] = {
        {PLAIN, "\"act_fn\": \"tanh\"", "\"act_fn\" is \"tanh\"; supported: silu"},
        {PLAIN, "\"mid_block_type\": \"UNetMidBlock3D\"", "\"mid_block_type\" is"},
        {PLAIN, "\"time_embedding_type\": \"learned\"", "\"num_train_timesteps\" is missing"},
        {PLAIN, "\"time_embedding_type\": \"rotary\"", "\"time_embedding_type\" is \"rotary\""},
        {PLAIN, "\"resnet_time_scale_shift\": \"spatial\"", "\"resnet_time_scale_shift\""},
        {PLAIN, "\"class_embed_type\": \"projection\"", "\"class_embed_type\""},
        {PLAIN, "\"downsample_type\": \"fir\"", "\"downsample_type\" is \"fir\""},
        {PLAIN, "\"norm_num_groups\": null", "\"norm_num_groups\" is null"},
        {PLAIN, "\"norm_num_groups\": 31", "224 channels do not divide into 31 groups"},
        {PLAIN, "\"attention_head_dim\": 1000", "heads of width 1000 are not possible"},
        {PLAIN, "\"block_out_channels\": []", "\"block_out_channels\" is []"},
        {PLAIN, "\"block_out_channels\": [32]", "expected 1 names"},
        {PLAIN,
         "\"down_block_types\": [\"KDownBlock2D\",\"DownBlock2D\",\"DownBlock2D\","
         "\"DownBlock2D\"]",
         "block 0 is not supported in UNet2DModel"},
        {PLAIN,
         "\"down_block_types\": [\"CrossAttnDownBlock2D\",\"DownBlock2D\","
         "\"DownBlock2D\",\"DownBlock2D\"]",
         "block 0 is not supported in UNet2DModel"},
        {PLAIN, "\"center_input\": true", "\"center_input\" is true; UNet2DModel has no such"},
        {PLAIN, "\"norm_eps\": Infinity", "\"norm_eps\" is \"Infinity\"; expected a finite"},
        {PLAIN, "\"in_channels\": NaN", "\"in_channels\" is \"NaN\"; expected an integer"},
        {PLAIN, "\"quantization_config\": {\"quant_method\": \"bitsandbytes\"}",
         "quantized weights are not supported"},
        {PLAIN, "\"cross_attention_dim\": 8", "\"cross_attention_dim\" is 8; UNet2DModel has no"},
        {CONDITIONAL, "\"dual_cross_attention\": true", "\"dual_cross_attention\" is true"},
        {CONDITIONAL, "\"num_attention_heads\": 8", "\"num_attention_heads\" is 8"},
        {CONDITIONAL, "\"time_cond_proj_dim\": 0", "\"time_cond_proj_dim\" is 0"},
        {CONDITIONAL, "\"attention_type\": \"gated\"", "\"attention_type\" is \"gated\""},
        {CONDITIONAL, "\"addition_embed_type\": \"image\"", "\"addition_embed_type\" is"},
        {CONDITIONAL, "\"addition_embed_type\": \"text_time\"", "text_time needs it"},
        {CONDITIONAL, "\"encoder_hid_dim_type\": \"image_proj\"", "\"encoder_hid_dim_type\" is"},
        {CONDITIONAL, "\"encoder_hid_dim_type\": \"text_proj\"", "\"encoder_hid_dim\" is missing"},
        {CONDITIONAL, "\"class_embed_type\": \"simple_projection\"", "class_embed_type needs it"},
        {CONDITIONAL, "\"class_embeddings_concat\": true", "\"class_embeddings_concat\" is true"},
        {CONDITIONAL, "\"mid_block_type\": \"UNetMidBlock2DMotion\"", "\"mid_block_type\""},
        {CONDITIONAL, "\"cross_attention_norm\": \"rms_norm\"", "\"cross_attention_norm\""},
        {CONDITIONAL, "\"cross_attention_dim\": [8, 16]", "expected one value, or 4"},
        {CONDITIONAL, "\"cross_attention_dim\": [8, 16, 8, 8]", "one text cannot have width"},
        {CONDITIONAL, "\"transformer_layers_per_block\": [[1,1],1,1,1]",
         "\"reverse_transformer_layers_per_block\" is missing; a list of lists needs it"},
        {CONDITIONAL, "\"transformer_layers_per_block\": -1", "expected numbers of 0 to"},
        {CONDITIONAL, "\"time_embedding_type\": \"learned\"", "\"time_embedding_type\""},
        {CONDITIONAL,
         "\"down_block_types\": [\"SkipDownBlock2D\",\"DownBlock2D\","
         "\"DownBlock2D\",\"DownBlock2D\"]",
         "block 0 is not supported in UNet2DConditionModel"},
        {"{\"_class_name\": \"Kandinsky3UNet\"", "\"x\": 1",
         "class Kandinsky3UNet are not supported; UNet2DModel"},
        {THREE_D, "\"num_attention_heads\": 8", "\"num_attention_heads\" is 8"},
        {THREE_D, "\"norm_num_groups\": null", "\"norm_num_groups\" is null"},
        {THREE_D, "\"attention_head_dim\": [64]", "\"attention_head_dim\" is [64]"},
        {THREE_D, "\"attention_head_dim\": 400", "320 channels has no head of width 400"},
        {THREE_D, "\"layers_per_block\": [1, 2, 1, 1]", "\"layers_per_block\" is"},
        {THREE_D, "\"upcast_attention\": true", "UNet3DConditionModel has no such option"},
        {THREE_D,
         "\"down_block_types\": [\"UpBlock3D\",\"DownBlock3D\",\"DownBlock3D\",\"DownBlock3D\"]",
         "block 0 is not supported in UNet3DConditionModel"},
        {THREE_D, "\"remedies\": {\"magnitude_preserving\": true}", "is of UNet2DModel"},
        {SVD, "\"num_attention_heads\": 7", "320 channels do not divide into 7 heads"},
        {SVD, "\"num_attention_heads\": [5, 10]", "expected one value, or 4"},
        {SVD, "\"cross_attention_dim\": [8, 16, 8, 8]",
         "one text cannot have width 8 and width 16"},
        {SVD, "\"addition_time_embed_dim\": 100", "expected a multiple of addition_time_embed_dim"},
        {SVD, "\"transformer_layers_per_block\": [[1],1,1,1]", "expected numbers of 0 to"},
        {SVD, "\"num_frames\": 0", "\"num_frames\" is 0"},
        {SVD, "\"norm_eps\": 1e-5", "UNetSpatioTemporalConditionModel has no such option"},
    };
    ss_checkpoint *k = empty_checkpoint();

    for (size_t i = 0; i < N_OF(cases); i++) {
        char json[512];
        size z;
        ss_err e = {0};

        snprintf(json, sizeof json, "%s, %s}", cases[i].family, cases[i].option);
        if (build(k, json, &z, &e) == SS_OK)
            fail_msg("%s was taken", json);
        if (!strstr(e.msg, cases[i].want) || !strstr(e.msg, "config.json"))
            fail_msg("%s gives '%s', not '...%s...'", json, e.msg, cases[i].want);
    }
    ss_checkpoint_close(k);
}

/* Keys that training scripts add beside the architecture change nothing in the network. */
static void test_bookkeeping(void **state)
{
    (void)state;
    static const char *const notes[] = {
        /* EMAModel.save_pretrained */
        "\"decay\": 0.9999, \"min_decay\": 0.0, \"optimization_step\": 500, \"update_after_step\": "
        "0,"
        "\"use_ema_warmup\": false, \"inv_gamma\": 1.0, \"power\": 0.6666666666666666",
        "\"torch_dtype\": \"float16\", \"dtype\": \"float32\", \"decay\": NaN",
        "\"transformers_version\": \"4.44.0\", \"architectures\": [\"UNet\"], \"auto_map\": {},"
        "\"_name_or_path\": \"a\\udcff\", \"_diffusers_version\": \"0.30.0\","
        "\"quantization_config\": null, \"time_cond_proj_dim\": null",
        /* keys that were the defaults of the version that wrote them mean today's */
        "\"_use_default_values\": [\"act_fn\", \"_class_name\", 3], \"act_fn\": \"tanh\"",
    };
    static const char *const families[] = {PLAIN, CONDITIONAL};
    ss_checkpoint *k = empty_checkpoint();
    size plain[2];

    for (size_t f = 0; f < N_OF(families); f++) {
        for (size_t i = 0; i <= N_OF(notes); i++) {
            char json[1024];
            size z;
            ss_err e = {0};

            snprintf(json, sizeof json, "%s, %s}", families[f],
                     i ? notes[i - 1] : "\"norm_eps\": 1e-5");
            if (build(k, json, &z, &e) != SS_OK)
                fail_msg("%s: %s", json, e.msg);
            if (i == 0)
                plain[f] = z;
            assert_true(z.values == plain[f].values && z.tensors == plain[f].tensors);
        }
    }
    ss_checkpoint_close(k);
}

/* The decoder reads a list of attention_head_dim backwards where it counts the heads of a
 * transformer, but in the encoder's order where it is the width of a head: so does the
 * reference, whose up_blocks.0 has 8 / 2 = 4 heads here. */
static void test_head_lists(void **state)
{
    (void)state;
    static const char json[] =
        CONDITIONAL ", \"block_out_channels\": [4, 8], \"attention_head_dim\": [2, 4],"
                    "\"norm_num_groups\": 2, \"cross_attention_dim\": 32, \"down_block_types\":"
                    "[\"SimpleCrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\"],"
                    "\"up_block_types\": [\"AttnUpBlock2D\", \"CrossAttnUpBlock2D\"]}";
    ss_unet_config *u = ss_calloc(1, sizeof *u);
    ss_json j;
    ss_err e = {0};

    assert_non_null(u);
    assert_int_equal(ss_json_parse(&j, "config.json", json, strlen(json), &e), SS_OK);
    if (ss_unet_config_read(&j, true, u, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(u->down[0].heads == 2 && u->down[0].head == 2); /* width 2 of 4 channels */
    assert_true(u->down[1].heads == 4 && u->down[1].head == 2); /* 4 heads of 8 channels */
    assert_true(u->mid.heads == 4 && u->mid.head == 2);
    assert_true(u->up[0].heads == 4 && u->up[0].head == 2); /* width 2 of 8 channels */
    assert_true(u->up[1].heads == 2 && u->up[1].head == 2); /* 2 heads of 4 channels */
    ss_json_release(&j);
    ss_free(u);
}

/* Every key with values that nobody should write: an error or not, but never more. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const keys[] = {"sample_size",
                                       "in_channels",
                                       "out_channels",
                                       "center_input_sample",
                                       "time_embedding_type",
                                       "time_embedding_dim",
                                       "freq_shift",
                                       "flip_sin_to_cos",
                                       "down_block_types",
                                       "mid_block_type",
                                       "up_block_types",
                                       "block_out_channels",
                                       "layers_per_block",
                                       "mid_block_scale_factor",
                                       "downsample_padding",
                                       "downsample_type",
                                       "upsample_type",
                                       "dropout",
                                       "act_fn",
                                       "attention_head_dim",
                                       "norm_num_groups",
                                       "attn_norm_num_groups",
                                       "norm_eps",
                                       "resnet_time_scale_shift",
                                       "add_attention",
                                       "class_embed_type",
                                       "num_class_embeds",
                                       "num_train_timesteps",
                                       "only_cross_attention",
                                       "cross_attention_dim",
                                       "transformer_layers_per_block",
                                       "reverse_transformer_layers_per_block",
                                       "encoder_hid_dim",
                                       "encoder_hid_dim_type",
                                       "num_attention_heads",
                                       "dual_cross_attention",
                                       "use_linear_projection",
                                       "addition_embed_type",
                                       "addition_time_embed_dim",
                                       "upcast_attention",
                                       "resnet_skip_time_act",
                                       "resnet_out_scale_factor",
                                       "time_embedding_act_fn",
                                       "timestep_post_act",
                                       "time_cond_proj_dim",
                                       "conv_in_kernel",
                                       "conv_out_kernel",
                                       "projection_class_embeddings_input_dim",
                                       "attention_type",
                                       "class_embeddings_concat",
                                       "mid_block_only_cross_attention",
                                       "cross_attention_norm",
                                       "addition_embed_type_num_heads",
                                       "num_frames"};
    static const char *const values[] = {"null",
                                         "true",
                                         "0",
                                         "-1",
                                         "1",
                                         "63",
                                         "65536",
                                         "4611686018427387904",
                                         "1e308",
                                         "-Infinity",
                                         "NaN",
                                         "\"\"",
                                         "\"x\"",
                                         "[]",
                                         "{}",
                                         "[null]",
                                         "[0,0,0,0]",
                                         "[1,1,1,1]",
                                         "[65536,65536,65536,65536]",
                                         "[[],[],[],[]]",
                                         "[[256],[256],[256],[256]]",
                                         "[\"\",\"\",\"\",\"\"]",
                                         "[-1,1,1,1]",
                                         "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                                         "[true,false,true,false]"};
    static const char *const families[] = {PLAIN, CONDITIONAL, THREE_D, SVD};
    ss_checkpoint *k = empty_checkpoint();

    for (size_t f = 0; f < N_OF(families); f++) {
        for (size_t i = 0; i < N_OF(keys); i++) {
            for (size_t v = 0; v < N_OF(values); v++) {
                char json[512];
                size z;
                ss_err e = {0};

                snprintf(json, sizeof json, "%s, \"%s\": %s}", families[f], keys[i], values[v]);
                if (build(k, json, &z, &e) != SS_OK)
                    assert_true(strlen(e.msg) > 10);
            }
        }
    }
    ss_checkpoint_close(k);
}

/* Sizes that are allowed one by one but not together end in an error, soon. */
static void test_too_large(void **state)
{
    (void)state;
    static const char json[] =
        CONDITIONAL ", \"transformer_layers_per_block\": 256, \"layers_per_block\": 63}";
    ss_checkpoint *k = empty_checkpoint();
    size z;
    ss_err e = {0};

    assert_int_equal(build(k, json, &z, &e), SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "more than 65536 modules"));
    ss_checkpoint_close(k);
}

/* Every allocation of opening may fail. */
static void test_out_of_memory(void **state)
{
    (void)state;

    for (unsigned long k = 1;; k += k < 300 ? 1 : 97) {
        ss_model *m = NULL;
        ss_err e = {0};

        ss_mem_fail_at(k);
        const ss_code rc = ss_model_open("tests/golden/unets/sharded", NULL, &m, &e);
        ss_mem_fail_at(0);
        if (rc == SS_OK) {
            ss_model_close(m);
            assert_true(k > 300);
            break;
        }
        if (rc != SS_NOMEM)
            fail_msg("allocation %lu fails: code %d, '%s'", k, rc, e.msg);
    }
}

/* The demo's kind of model: classes through a table of texts. */
static void test_class_table(void **state)
{
    (void)state;
    static const char header[] = "{\"class_embeddings\":{\"dtype\":\"F32\",\"shape\":[3,2,8],"
                                 "\"data_offsets\":[0,192]}}";
    static const char *const files[] = {"config.json", "diffusion_pytorch_model.safetensors"};
    ss_model *m;
    ss_err e = {0};
    float row[16];
    uint64_t n = strlen(header);

    for (size_t i = 0; i < N_OF(files); i++) {
        char from[128];
        char *text;
        size_t len;

        snprintf(from, sizeof from, "tests/golden/unets/fashion/%s", files[i]);
        assert_int_equal(ss_file_read(from, 1 << 24, &text, &len, &e), SS_OK);
        write_file(in_tmp(files[i]), text, len);
        ss_free(text);
    }
    FILE *f = fopen(in_tmp("class_embeddings.safetensors"), "wb");
    assert_non_null(f);
    fwrite(&n, 8, 1, f);
    fwrite(header, 1, n, f);
    for (int i = 0; i < 48; i++)
        fwrite(&(float){(float)i}, 4, 1, f);
    assert_int_equal(fclose(f), 0);

    if (ss_model_open(tmp_dir, NULL, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const ss_condition_needs *need = &ss_model_about(m)->net.needs;
    assert_int_equal(need->table_classes, 3);
    assert_int_equal(need->table_tokens, 2);
    assert_int_equal(need->text_width, 8);
    assert_int_equal(ss_model_class_embedding(m, 1, row, &e), SS_OK);
    assert_true(row[0] == 16 && row[15] == 31);
    assert_int_equal(ss_model_class_embedding(m, -1, row, &e), SS_OK);
    assert_true(row[0] == 32);
    assert_int_equal(ss_model_class_embedding(m, 3, row, &e), SS_USAGE);
    ss_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bookkeeping),   cmocka_unit_test(test_head_lists),
        cmocka_unit_test(test_hostile),       cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_class_table),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
