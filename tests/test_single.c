/* test_single.c - components of single files: names, values, configurations
 *
 * tests/golden/single.json.gz (make_single.py) has what diffusers makes of each file.
 */
#include "base/mem.h"
#include "models/file/checkpoint_edit.h"
#include "models/file/single.h"
#include "models/file/single_names.h"
#include "models/model.h"
#include "models/pipeline.h"
#include "models/sampling/noising.h"
#include "models/sampling/sampler_config.h"
#include "tests/single_file.h"

#include <stdio.h>

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

/* A case's file, written and opened; edit changes the names and shapes first. */
static ss_checkpoint *open_case(const char *name, void edit(json_t *))
{
    json_t *file = json_deep_copy(json_object_get(json_object_get(cases, name), "file"));
    const char *path = in_tmp("single.safetensors");
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    assert_non_null(file);
    if (edit)
        edit(file);
    write_single_file(path, file, strncmp(name, "small", 5) == 0);
    json_decref(file);
    if (ss_checkpoint_open(path, NULL, &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return k;
}

static ss_single take(ss_checkpoint *k, const char *component, bool ema)
{
    const ss_single_options o = {.component = component, .ema = ema};
    ss_single s;
    ss_err e = {0};

    if (ss_single_take(k, &o, &s, &e) != SS_OK)
        fail_msg("%s: %s", component ? component : "(any)", e.msg);
    return s;
}

/* Options of diffusers' classes that a published file may say or not. */
static const char defaults[] =
    "{\"class_embed_type\": null, \"class_embeddings_concat\": false, \"conv_in_kernel\": 3,"
    " \"conv_out_kernel\": 3, \"cross_attention_norm\": null, \"dual_cross_attention\": false,"
    " \"encoder_hid_dim\": null, \"encoder_hid_dim_type\": null, \"num_class_embeds\": null,"
    " \"mid_block_only_cross_attention\": null, \"num_attention_heads\": null,"
    " \"mid_block_type\": \"UNetMidBlock2DCrossAttn\", \"only_cross_attention\": false,"
    " \"resnet_out_scale_factor\": 1.0, \"resnet_skip_time_act\": false,"
    " \"resnet_time_scale_shift\": \"default\", \"time_cond_proj_dim\": null,"
    " \"time_embedding_act_fn\": null, \"time_embedding_dim\": null,"
    " \"time_embedding_type\": \"positional\", \"timestep_post_act\": null,"
    " \"addition_embed_type\": null, \"addition_embed_type_num_heads\": 64,"
    " \"addition_time_embed_dim\": null, \"projection_class_embeddings_input_dim\": null,"
    " \"use_linear_projection\": false, \"transformer_layers_per_block\": 1,"
    " \"shift_factor\": null, \"use_quant_conv\": true, \"use_post_quant_conv\": true,"
    " \"mid_block_add_attention\": true}";

/* With what is not said filled in. upcast_attention false and null are the same. */
static json_t *filled(json_t *config)
{
    json_t *all = json_loads(defaults, 0, NULL);

    assert_non_null(all);
    json_object_update(all, config);
    if (!json_is_true(json_object_get(all, "upcast_attention")))
        json_object_del(all, "upcast_attention");
    return all;
}

static void check_config(const char *what, json_t *got, json_t *want)
{
    json_t *a = filled(got), *b = filled(want), *value;
    const char *key;

    json_object_foreach(b, key, value)
    {
        if (!json_equal(json_object_get(a, key), value))
            fail_msg("%s: %s is %s, want %s", what, key,
                     json_dumps(json_object_get(a, key), JSON_ENCODE_ANY),
                     json_dumps(value, JSON_ENCODE_ANY));
    }
    json_object_foreach(a, key, value)
    {
        if (!json_object_get(b, key))
            fail_msg("%s: %s is set, and should not be", what, key);
    }
    json_decref(a);
    json_decref(b);
}

static void test_every_case(void **state)
{
    (void)state;
    const char *name, *component;
    json_t *one, *want;

    json_object_foreach(cases, name, one)
    {
        json_t *components = json_object_get(one, "components");
        ss_single_component list[SS_SINGLE_MAX];

        json_object_foreach(components, component, want)
        {
            ss_checkpoint *k = open_case(name, NULL);
            json_t *config = json_object_get(want, "config");
            char what[128];

            snprintf(what, sizeof what, "%s, %s", name, component);
            assert_true(ss_single_is_translated(k));
            assert_int_equal(ss_single_detect(k, list), json_object_size(components));
            ss_single s = take(k, component, false);
            assert_string_equal(s.name, component);
            check_config(what, s.config, config);
            check_tensors(what, k, json_object_get(want, "tensors"));
            for (int i = 0; i < (int)json_object_size(components); i++) {
                const char *class = json_string_value(json_object_get(config, "_class_name"));

                if (!class)
                    class = json_string_value(
                        json_array_get(json_object_get(config, "architectures"), 0));
                if (strcmp(list[i].name, component) == 0)
                    assert_string_equal(list[i].class, class);
            }
            ss_single_release(&s);
            ss_checkpoint_close(k);
        }
    }
}

static const ss_single_inferred *row(const ss_single *s, const char *key)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        if (strcmp(s->rows[i].key, key) == 0)
            return &s->rows[i];
    }
    fail_msg("no reason for %s", key);
    return NULL;
}

static bool noted(const ss_checkpoint *k, const char *text)
{
    for (int i = 0; ss_checkpoint_note(k, i); i++) {
        if (strstr(ss_checkpoint_note(k, i), text))
            return true;
    }
    return false;
}

static void test_reasons_and_notes(void **state)
{
    (void)state;
    ss_checkpoint *k = open_case("small-1", NULL);
    ss_single s = take(k, NULL, false);

    assert_string_equal(s.name, "unet");
    assert_true(s.has_vae);
    assert_string_equal(row(&s, "in_channels")->value, "4");
    assert_string_equal(row(&s, "in_channels")->from, "conv_in.weight [32,4,3,3]");
    assert_non_null(strstr(row(&s, "attention_head_dim")->from, "convention"));
    assert_true(noted(k, "single file with unet, vae and text_encoder: 208 tensors are those of "
                         "unet, model.diffusion_model."));
    assert_true(noted(k, "2 tensors of no component: alphas_cumprod, sqrt_alphas_cumprod"));
    assert_true(noted(k, "(model_ema.) are not used; --ema takes them"));
    ss_single_release(&s);
    ss_checkpoint_close(k);
}

static void test_averaged_weights(void **state)
{
    (void)state;
    ss_checkpoint *k = open_case("small-1", NULL);
    const ss_stored_tensor *ema =
        ss_checkpoint_find(k, "model_ema.diffusion_modelmiddle_block1proj_inweight");
    assert_non_null(ema);
    ss_single s = take(k, "unet", true);

    assert_ptr_equal(ss_checkpoint_find(k, "mid_block.attentions.0.proj_in.weight")->data,
                     ema->data);
    assert_int_equal(ss_checkpoint_count(k), 208);
    assert_true(noted(k, "averaged weights (model_ema.) are taken"));
    ss_single_release(&s);
    ss_checkpoint_close(k);
}

/* Nothing of a component lies outside the mapped file: parts of tensors are mapped bytes, too. */
static void test_parts_are_not_copied(void **state)
{
    (void)state;
    ss_checkpoint *k = open_case("small-xl", NULL);
    const ss_stored_tensor *all = ss_checkpoint_find(
        k, "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight");
    assert_non_null(all);
    ss_single s = take(k, "text_encoder_2", false);
    const ss_stored_tensor *v =
        ss_checkpoint_find(k, "text_model.encoder.layers.1.self_attn.v_proj.weight");

    assert_ptr_equal(v->data, (const char *)all->data + 2 * (all->bytes / 3));
    assert_null(ss_checkpoint_find(k, "text_projection.weight")->data);
    ss_single_release(&s);
    ss_checkpoint_close(k);
}

/* ---- the schedule ---- */

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void add_v_pred(json_t *file)
{
    json_object_set_new(file, "v_pred", json_pack("[]"));
    json_object_set_new(file, "ztsnr", json_pack("[]"));
}

static void add_edm(json_t *file)
{
    json_object_set_new(file, "edm_mean", json_pack("[i]", 4));
}

static void test_predictions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *scheduler, *prediction; /* NULL: it is asked for */
        void (*edit)(json_t *);
        bool zero;
    } rows[] = {
        {"small-1", "PNDMScheduler", "epsilon", NULL, false},
        {"small-2", "DDIMScheduler", NULL, NULL, false},
        {"small-2", "DDIMScheduler", "v_prediction", add_v_pred, true},
        {"small-xl", "EulerDiscreteScheduler", "epsilon", NULL, false},
        {"small-xl", "EulerDiscreteScheduler", "v_prediction", add_v_pred, true},
        {"small-xl", "EulerDiscreteScheduler", NULL, add_edm, false},
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        ss_checkpoint *k = open_case(rows[i].name, rows[i].edit);
        ss_single s = take(k, "unet", false);
        const char *got = string_of(s.scheduler, "prediction_type");

        assert_string_equal(string_of(s.scheduler, "_class_name"), rows[i].scheduler);
        assert_int_equal(rows[i].zero,
                         json_is_true(json_object_get(s.scheduler, "rescale_betas_zero_snr")));
        assert_int_equal(!rows[i].prediction, s.ask_prediction[0] != '\0');
        if (rows[i].prediction)
            assert_string_equal(got, rows[i].prediction);
        else
            assert_null(got);
        ss_single_release(&s);
        ss_checkpoint_close(k);
    }
}

/* Takes the UNet of a file that has Stable Diffusion's betas, times a factor. */
static ss_single with_betas(float factor, ss_checkpoint **k)
{
    const char *path = in_tmp("betas.safetensors");
    const double a = sqrt(0.00085), b = sqrt(0.012);
    float betas[1000];
    ss_err e = {0};

    for (int t = 0; t < 1000; t++)
        betas[t] = factor * (float)pow(a + (b - a) * t / 999, 2);
    write_single_file(path, json_object_get(json_object_get(cases, "small-1"), "file"), false);
    assert_int_equal(ss_checkpoint_open(path, NULL, k, &e), SS_OK);
    const size_t n = ss_checkpoint_count(*k);
    const ss_stored_tensor **list = ss_calloc(n + 1, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < n; i++)
        list[i] = ss_checkpoint_at(*k, i);
    ss_stored_tensor *t =
        ss_checkpoint_derive(*k, ss_checkpoint_find(*k, "alphas_cumprod"), "betas", &e);
    t->dtype = SS_F32;
    t->bytes = sizeof betas;
    t->data = memcpy(ss_checkpoint_alloc(*k, sizeof betas, &e), betas, sizeof betas);
    list[n] = t;
    assert_int_equal(ss_checkpoint_replace(*k, list, n + 1, &e), SS_OK);
    ss_free(list);
    return take(*k, "unet", false);
}

static void test_betas_of_the_file(void **state)
{
    (void)state;
    ss_checkpoint *k;
    ss_single s = with_betas(1, &k);

    assert_string_equal(row(&s, "beta_schedule")->from, "betas [1000] in the file agree");
    assert_null(json_object_get(s.scheduler, "trained_betas"));
    ss_single_release(&s);
    ss_checkpoint_close(k);

    s = with_betas(0.5f, &k);
    assert_int_equal(json_array_size(json_object_get(s.scheduler, "trained_betas")), 1000);
    ss_single_release(&s);
    ss_checkpoint_close(k);

    s = with_betas(NAN, &k);
    assert_null(json_object_get(s.scheduler, "trained_betas"));
    assert_non_null(strstr(row(&s, "beta_schedule")->from, "are no betas"));
    ss_single_release(&s);
    ss_checkpoint_close(k);
}

/* ---- files that cannot be taken apart ---- */

static void set_shape(json_t *file, const char *name, json_t *shape)
{
    assert_non_null(json_object_get(file, name));
    json_object_set_new(file, name, shape);
}

static void no_unet(json_t *file)
{
    const char *name;
    json_t *shape;
    void *next;

    json_object_foreach_safe(file, next, name, shape)
    {
        if (strncmp(name, "model", 5) == 0)
            json_object_del(file, name);
    }
}

static void transformer_of_another_kind(json_t *file)
{
    json_object_clear(file);
    json_object_set_new(file, "model.diffusion_model.double_blocks.0.img_attn.qkv.weight",
                        json_pack("[i, i]", 6, 2));
}

static void no_conv_in(json_t *file)
{
    set_shape(file, "model.diffusion_model.input_blocks.0.0.weight", json_pack("[i]", 32));
}

static void odd_thirds(json_t *file)
{
    set_shape(file, "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight",
              json_pack("[i, i]", 20, 128));
}

static void kernel_in_attention(json_t *file)
{
    set_shape(file, "decoder.mid.attn_1.q.weight", json_pack("[i, i, i, i]", 64, 64, 3, 1));
}

static void no_matrix(json_t *file)
{
    set_shape(file, "conditioner.embedders.1.model.text_projection",
              json_pack("[i, i, i]", 12, 2, 8));
}

static void odd_width(json_t *file)
{
    set_shape(file, "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
              json_pack("[i, i, i, i]", 36, 64, 3, 3));
}

static void other_average(json_t *file)
{
    set_shape(file, "model_ema.diffusion_modelout2weight", json_pack("[i]", 5));
}

static void no_average(json_t *file)
{
    json_object_del(file, "model_ema.diffusion_modelout2weight");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *component;
        bool ema;
        void (*edit)(json_t *);
        ss_code code;
        const char *message;
    } rows[] = {
        {"small-1", "text_encoder_2", false, NULL, SS_USAGE,
         "no such component is in it; there are unet, vae and text_encoder"},
        {"small-1", NULL, false, no_unet, SS_USAGE,
         "no denoiser is in it; there are vae and text_encoder"},
        {"small-1", "unet", false, transformer_of_another_kind, SS_UNSUPPORTED,
         "they begin with model.diffusion_model.double_blocks.0.img_attn.qkv.weight"},
        {"small-1", "unet", false, no_conv_in, SS_SHAPE, "tensor conv_in.weight is [32]"},
        {"small-2", "text_encoder", false, odd_thirds, SS_SHAPE,
         "in_proj_weight is [20,128], expected as many rows for each of its parts"},
        {"small-vae", NULL, false, kernel_in_attention, SS_SHAPE,
         "is [64,64,3,1], expected a convolution of 1x1"},
        {"small-xl", "text_encoder_2", false, no_matrix, SS_SHAPE, "expected a matrix"},
        {"small-2", "unet", false, odd_width, SS_UNSUPPORTED,
         "down_blocks.0 is 36 wide, which is no multiple of 64; name a config.json by --config"},
        {"small-1", "unet", true, other_average, SS_FORMAT, "are of another shape"},
        {"small-1", "unet", true, no_average, SS_FORMAT, "are missing"},
        {"small-2", "unet", true, NULL, SS_FORMAT, "are missing"},
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        ss_checkpoint *k = open_case(rows[i].name, rows[i].edit);
        const ss_single_options o = {.component = rows[i].component, .ema = rows[i].ema};
        ss_single s;
        ss_err e = {0};

        assert_int_equal(ss_single_take(k, &o, &s, &e), rows[i].code);
        if (!strstr(e.msg, rows[i].message))
            fail_msg("row %zu: %s", i, e.msg);
        ss_checkpoint_close(k);
    }
}

/* Each allocation fails once. */
static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned long at = 1, failures = 1; failures; at += 1 + at / 20) {
        ss_checkpoint *k = open_case("small-refiner", NULL);
        const ss_single_options o = {.component = at % 2 ? "unet" : "text_encoder_2"};
        ss_single s = {0};
        ss_err e = {0};

        ss_mem_fail_at(at);
        const ss_code rc = ss_single_take(k, &o, &s, &e);
        failures = rc != SS_OK;
        ss_mem_fail_at(0);
        if (failures && (rc != SS_NOMEM || e.code != SS_NOMEM))
            fail_msg("allocation %lu: %d, %s", at, rc, e.msg);
        ss_single_release(&s);
        ss_checkpoint_close(k);
    }
}

/* ---- as models ---- */

static const char *write_case(const char *name, const char *path)
{
    write_single_file(path, json_object_get(json_object_get(cases, name), "file"), true);
    return path;
}

static ss_model *open_model(const char *path, const ss_model_options *opt)
{
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(path, opt, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

/* Loading is strict: each tensor of the component is one of the network's, and none is missing. */
static void test_a_file_is_a_model(void **state)
{
    (void)state;
    static const char *const names[] = {"small-1", "small-1-inpainting", "small-2", "small-xl",
                                        "small-refiner"};
    size_t n;

    for (size_t i = 0; i < N_OF(names); i++) {
        ss_model *m = open_model(write_case(names[i], in_tmp("model.safetensors")), NULL);
        const ss_model_info *about = ss_model_about(m);
        char hex[65];
        ss_err e = {0};

        assert_string_equal(about->family, "UNet2DConditionModel");
        assert_string_equal(about->component, "unet");
        assert_null(about->config);
        assert_true(about->has_vae);
        assert_non_null(strstr(about->weight_notes, "under diffusers' names"));
        assert_non_null(ss_model_inferred(m, &n));
        assert_int_equal(ss_model_sha256(m, hex, &e), SS_OK);
        assert_int_equal(strlen(hex), 64);
        if (strstr(names[i], "inpainting"))
            assert_int_equal(about->net.needs.concat_channels, 5);
        ss_model_close(m);
    }
}

/* A config.json that is named is obeyed; one that lies beside a single file is of something else.
 */
static void test_other_configs(void **state)
{
    (void)state;
    const char *path = write_case("small-1", in_tmp("beside.safetensors"));
    json_t *config = json_deep_copy(json_object_get(
        json_object_get(json_object_get(json_object_get(cases, "small-1"), "components"), "unet"),
        "config"));
    const ss_model_options named = {.places = {.config = in_tmp("config.json")}};
    size_t n;

    json_object_set_new(config, "attention_head_dim", json_integer(4));
    assert_int_equal(json_dump_file(config, in_tmp("config.json"), 0), 0);
    json_decref(config);
    ss_model *m = open_model(path, &named);
    assert_int_equal(json_integer_value(json_object_get(ss_model_config(m), "attention_head_dim")),
                     4);
    ss_model_inferred(m, &n);
    assert_int_equal(n, 0);
    ss_model_close(m);

    m = open_model(path, NULL);
    assert_int_equal(json_integer_value(json_object_get(ss_model_config(m), "attention_head_dim")),
                     8);
    assert_null(ss_model_about(m)->config);
    ss_model_close(m);
    assert_int_equal(remove(in_tmp("config.json")), 0);
}

/* A file with one network in diffusers' own names, and no config.json. */
static void test_own_names(void **state)
{
    (void)state;
    json_t *parts = json_object_get(json_object_get(cases, "small-xl"), "components");
    json_t *tensors = json_object_get(json_object_get(parts, "unet"), "tensors"), *tensor;
    json_t *file = json_object();
    const char *name;

    json_object_foreach(tensors, name, tensor)
        json_object_set(file, name, json_array_get(tensor, 0));
    write_single_file(in_tmp("own.safetensors"), file, false);
    json_decref(file);
    ss_model *m = open_model(in_tmp("own.safetensors"), NULL);
    json_t *config = json_deep_copy(ss_model_config(m));
    check_config("own names", config, json_object_get(json_object_get(parts, "unet"), "config"));
    assert_false(ss_model_about(m)->has_vae);
    assert_null(ss_model_about(m)->inferred_scheduler);
    json_decref(config);
    ss_model_close(m);
}

static void test_a_file_is_a_pipeline(void **state)
{
    (void)state;
    ss_pipeline p;
    ss_err e = {0};

    assert_int_equal(
        ss_pipeline_find(write_case("small-xl", in_tmp("pipeline.safetensors")), &p, &e), SS_OK);
    assert_int_equal(p.n, 4);
    assert_string_equal(p.list[1].name, "text_encoder_2");
    assert_string_equal(p.list[1].class_name, "CLIPTextModelWithProjection");
    assert_string_equal(p.list[3].name, "vae");
    ss_pipeline_release(&p);
}

static void test_inferred_schedules(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prediction, *text;
        ss_code code;
    } rows[] = {
        {"small-1", NULL, "assumed PNDMScheduler: scaled_linear betas 0.00085 to 0.012", SS_OK},
        {"small-2", NULL, "because the file does not say what the network predicts", SS_USAGE},
        {"small-2", "v_prediction", "predicts v_prediction, by convention; give --scheduler",
         SS_OK},
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        ss_model *m = open_model(write_case(rows[i].name, in_tmp("model.safetensors")), NULL);
        const ss_noising_options o = {
            .inferred = ss_model_about(m)->inferred_scheduler,
            .ask_prediction = ss_model_about(m)->ask_prediction,
            .prediction = rows[i].prediction,
        };
        ss_noising *k;
        ss_err e = {0};

        assert_int_equal(ss_noising_open(&o, &k, &e), SS_OK);
        assert_true(ss_noising_assumed(k));
        assert_non_null(strstr(ss_noising_text(k), rows[i].text));
        assert_int_equal(ss_noising_check(k, &e), rows[i].code);
        ss_json j = {0};
        ss_sampler_options sampler;
        json_t *copy = json_deep_copy(o.inferred);
        assert_int_equal(ss_json_wrap(&j, "the schedule", copy, &e), SS_OK);
        assert_int_equal(ss_sampler_options_read(&j, NULL, &sampler, &e), SS_OK);
        assert_int_equal(sampler.kind, SS_SAMPLER_DDIM);
        assert_int_equal(sampler.steps_offset, 1);
        assert_false(sampler.alpha_to_one || sampler.clip);
        ss_json_release(&j);
        json_decref(copy);
        ss_noising_free(k);
        ss_model_close(m);
    }
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    static const ss_name_sizes sizes = {.per_block = 3, .last = 3, .label = "add_embedding"};
    static const struct {
        const ss_name_rule *rules;
        const char *from, *to; /* NULL: unknown */
    } rows[] = {
        {ss_ldm_unet_rules, "input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"},
        {ss_ldm_unet_rules, "input_blocks.4.0.out_layers.3.bias",
         "down_blocks.1.resnets.0.conv2.bias"},
        {ss_ldm_unet_rules, "output_blocks.11.1.norm.bias", "up_blocks.3.attentions.2.norm.bias"},
        {ss_ldm_unet_rules, "label_emb.0.2.bias", "add_embedding.linear_2.bias"},
        {ss_ldm_unet_rules, "input_blocks.04.0.op.bias", NULL},
        {ss_ldm_unet_rules, "input_blocks.0.0.", NULL},
        {ss_ldm_unet_rules, "input_blocks.99999.0.op.bias", NULL},
        {ss_ldm_unet_rules, "input_blocks.4.0.in_layers.7.bias", NULL},
        {ss_ldm_unet_rules, "input_blocks..0.op.bias", NULL},
        {ss_ldm_vae_rules, "decoder.up.1.block.2.nin_shortcut.bias",
         "decoder.up_blocks.2.resnets.2.conv_shortcut.bias"},
        {ss_ldm_vae_rules, "decoder.up.4.block.2.norm1.bias", NULL},
        {ss_ldm_clip_rules, "final_layer_norm.bias", "text_model.final_layer_norm.bias"},
        {ss_ldm_open_clip_rules, "transformer.resblocks.7.attn.in_proj_bias",
         "text_model.encoder.layers.7.self_attn.@.bias"},
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        char out[SS_NAME_MAX];
        ss_values_change change;
        const ss_name_fate fate =
            ss_name_translate(rows[i].rules, rows[i].from, &sizes, out, &change);

        assert_int_equal(fate, rows[i].to ? SS_NAME_TRANSLATED : SS_NAME_UNKNOWN);
        if (rows[i].to)
            assert_string_equal(out, rows[i].to);
    }
    char longest[2 * SS_NAME_MAX] = "out.0.", out[SS_NAME_MAX];
    ss_values_change change;
    memset(longest + 6, 'x', sizeof longest - 7);
    assert_int_equal(ss_name_translate(ss_ldm_unet_rules, longest, &sizes, out, &change),
                     SS_NAME_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case),         cmocka_unit_test(test_reasons_and_notes),
        cmocka_unit_test(test_averaged_weights),   cmocka_unit_test(test_parts_are_not_copied),
        cmocka_unit_test(test_predictions),        cmocka_unit_test(test_betas_of_the_file),
        cmocka_unit_test(test_refusals),           cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_a_file_is_a_model),  cmocka_unit_test(test_other_configs),
        cmocka_unit_test(test_own_names),          cmocka_unit_test(test_a_file_is_a_pipeline),
        cmocka_unit_test(test_inferred_schedules), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
