/* test_text_config.c - configurations and checkpoints of text encoders: what is refused, and what
 * is passed over */
#include "base/file.h"
#include "base/json.h"
#include "kernels/context.h"
#include "models/families.h"
#include "models/file/safetensors_write.h"
#include "tests/ss_tmp.h"
#include "tests/text_case.h"

#include <sys/stat.h>

/* ---- config.json ---- */

/* Reads the config.json of a case with one key set to a value. */
static ss_code read_with(const char *name, const char *key, json_t *value, ss_err *e)
{
    char path[512];
    const ss_family *family;
    void *config = NULL;
    ss_json j;

    snprintf(path, sizeof path, TEXTS "/%s/config.json", name);
    assert_int_equal(ss_json_load(&j, path, e), SS_OK);
    if (key)
        json_object_set_new(j.root, key, value);
    const ss_code rc = ss_family_read(&j, &family, &config, e);
    ss_json_release(&j);
    ss_free(config);
    return rc;
}

static void test_refused_options(void **state)
{
    (void)state;
    static const struct {
        const char *name, *key, *value, *why;
    } cases[] = {
        {"clip-l", "hidden_act", "\"tanh\"", "\"hidden_act\" is \"tanh\"; activations: quick_gelu"},
        {"clip-l", "num_attention_heads", "3", "hidden_size is 16: not a multiple"},
        {"clip-l", "num_hidden_layers", "0", "expected 1 to 512"},
        {"clip-l", "vocab_size", "1e300", "vocab_size"},
        {"clip-l", "layer_norm_eps", "-1", "expected 0 to 1"},
        {"clip-l", "eos_token_id", "[2, 3]", "eos_token_id"},
        {"clip-l", "pruned_heads", "{\"0\": [1]}", "heads cannot be left out"},
        {"clip-l", "is_decoder", "true", "only false is supported"},
        {"clip-l", "quantization_config", "{}", "quantized weights"},
        {"clip-l", "rope_theta", "10000", "CLIPTextModel has no such option"},
        {"clip-projection", "projection_dim", "0", "expected 1 to"},
        {"clip-model", "text_config", "7", "expected an object"},
        {"clip-model", "text_config", "{\"rope_theta\": 1}", "CLIPTextConfig has no such option"},
        {"clip-model", "text_config_dict", "{\"hidden_act\": \"tanh\"}",
         "text_config_dict: \"hidden_act\" is \"tanh\""},
        {"t5-relu", "feed_forward_proj", "\"gated-tanh\"", "activations: quick_gelu"},
        {"t5-relu", "dense_act_fn", "\"tanh\"", "\"dense_act_fn\" is \"tanh\""},
        {"t5-relu", "relative_attention_num_buckets", "3", "expected 4 to"},
        {"t5-relu", "relative_attention_max_distance", "2", "more than a quarter of 8 buckets"},
        {"t5-relu", "is_decoder", "true", "only false is supported"},
        {"t5-relu", "add_cross_attention", "true", "only false is supported"},
        {"t5-relu", "d_kv", "131072", "wider than"},
        {"t5-relu", "hidden_size", "16", "T5EncoderModel has no such option"},
        {"umt5", "d_model", "0", "expected 1 to"},
        {"umt5", "num_layers", "-3", "expected 1 to 512"},
        {"umt5", "alibi", "true", "UMT5EncoderModel has no such option"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        ss_err e = {0};

        assert_non_null(value);
        assert_int_not_equal(read_with(cases[i].name, cases[i].key, value, &e), SS_OK);
        if (!strstr(e.msg, cases[i].why))
            fail_msg("%s, %s: %s", cases[i].key, cases[i].value, e.msg);
    }
}

/* Keys of generation, labels and trainings, and those of other versions that are null. */
static void test_known_keys(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"clip-l", "max_length", "20"},
                                           {"clip-l", "id2label", "{\"0\": \"LABEL_0\"}"},
                                           {"clip-l", "pruned_heads", "{}"},
                                           {"clip-l", "torch_dtype", "\"float16\""},
                                           {"clip-l", "rope_theta", "null"},
                                           {"clip-l", "_attn_implementation", "\"sdpa\""},
                                           {"t5-relu", "task_specific_params", "{}"},
                                           {"t5-relu", "output_past", "true"},
                                           {"umt5", "tokenizer_class", "\"T5Tokenizer\""}};

    for (size_t i = 0; i < N_OF(cases); i++) {
        json_t *value = json_loads(cases[i][2], JSON_DECODE_ANY, NULL);
        ss_err e = {0};

        if (read_with(cases[i][0], cases[i][1], value, &e) != SS_OK)
            fail_msg("%s", e.msg);
    }
}

/* ---- checkpoints ---- */

static ss_model *open_model(const char *folder, ss_err *e)
{
    char path[600];
    ss_model *m = NULL;

    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return ss_model_open(path, NULL, &m, e) == SS_OK ? m : NULL;
}

static void test_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *ignored;
        int n;
    } cases[] = {
        {TEXTS "/clip-l", "*embeddings.position_ids (1)", 1},
        {TEXTS "/clip-plain-names", "", 0},
        {TEXTS "/t5-conditional", "decoder.* (31), lm_head.weight (1), shared.weight (1)", 33},
        {TEXTS "/t5-relu", "", 0},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_err e = {0};
        ss_model *m = open_model(cases[i].dir, &e);

        if (!m)
            fail_msg("%s", e.msg);
        assert_string_equal(ss_model_about(m)->ignored, cases[i].ignored);
        assert_int_equal(ss_model_about(m)->n_ignored, cases[i].n);
        assert_int_equal(ss_model_about(m)->role, SS_TEXT);
        ss_model_close(m);
    }
}

/* Writes a copy of a case's checkpoint with one tensor renamed, or left out where to is NULL. */
static const char *copy_with(const char *name, const char *from, const char *to)
{
    static ss_st_item items[256];
    const char *folder = in_tmp("copy");
    char path[600], config[600];
    ss_safetensors *f;
    size_t n = 0;
    ss_map map;
    ss_err e = {0};

    mkdir(folder, 0700);
    snprintf(config, sizeof config, TEXTS "/%s/config.json", name);
    assert_int_equal(ss_map_open(config, &map, NULL), SS_OK);
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_file(path, map.data, map.size);
    ss_map_close(&map);
    snprintf(path, sizeof path, TEXTS "/%s/model.safetensors", name);
    assert_int_equal(ss_safetensors_open(path, &f, &e), SS_OK);
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        const bool hit = strcmp(t->name, from) == 0;

        assert_true(n < N_OF(items));
        if ((hit && !to) || strstr(t->name, "position_ids"))
            continue;
        items[n] = (ss_st_item){.name = hit ? to : t->name, .dtype = t->dtype, .rank = t->rank};
        const size_t numel = t->bytes / ss_dtype_size(t->dtype);
        float *values = ss_alloc(numel, sizeof *values);
        assert_non_null(values);
        ss_values_to_f32(t->dtype, t->data, numel, values);
        items[n].values = values;
        memcpy(items[n].dim, t->dim, sizeof items[n].dim);
        n++;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (ss_safetensors_write(path, items, n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        ss_free((void *)items[i].values);
    ss_safetensors_close(f);
    return folder;
}

static void test_refused_checkpoints(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"clip-mask", "text_model.encoder.layers.1.mlp.fc2.bias", NULL,
         "missing that the config wants: text_model.encoder.layers.1.mlp.fc2.bias"},
        {"clip-projection", "text_projection.weight", "text_projection.gain",
         "not in the config: text_projection.gain"},
        {"t5-relu", "shared.weight", "shared.table", "encoder.embed_tokens.weight"},
        {"umt5", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", NULL,
         "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_err e = {0};

        assert_null(open_model(copy_with(cases[i][0], cases[i][1], cases[i][2]), &e));
        if (!strstr(e.msg, cases[i][3]))
            fail_msg("%s", e.msg);
    }
}

/* ---- prompts ---- */

static void test_refused_prompts(void **state)
{
    (void)state;
    static const int64_t ids[78] = {1, 2, 3}, outside[] = {1, 60};
    static const float none[] = {0, 0}, late[] = {0, 1};
    static const struct {
        const char *name;
        ss_text_tokens tokens;
        const char *why;
    } cases[] = {
        {"clip-l", {ids, NULL, 1, 78}, "a prompt has 78 tokens, the text encoder takes 77"},
        {"clip-l", {ids, NULL, 1, 0}, "at least one token"},
        {"clip-l", {ids, none, 1, 2}, "hides all of its tokens"},
        {"clip-l", {ids, late, 1, 2}, "hides its first token"},
        {"t5-relu", {ids, none, 1, 2}, "mask of prompt 1 hides all"},
        {"t5-relu", {outside, NULL, 1, 2}, "index 60 is outside of the 60 rows"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        char dir[512];
        ss_text_states y;
        ss_ctx *c;
        ss_err e = {0};

        snprintf(dir, sizeof dir, TEXTS "/%s", cases[i].name);
        assert_int_equal(
            ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e), SS_OK);
        ss_model *m = open_text(dir, c);
        assert_false(ss_model_embed(c, m, &cases[i].tokens, &y));
        assert_int_equal(ss_ctx_check(c, &e), SS_USAGE);
        if (!strstr(e.msg, cases[i].why))
            fail_msg("%s", e.msg);
        ss_text_states_release(&y);
        ss_model_close(m);
        ss_ctx_clear(c);
        assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
        ss_ctx_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_options), cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_left_out),        cmocka_unit_test(test_refused_checkpoints),
        cmocka_unit_test(test_refused_prompts),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
