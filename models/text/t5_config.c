/* t5_config.c - see t5_config.h */
#include "models/text/t5_config.h"

#include "models/net/config_keys.h"

#include <string.h>

/* Reads "relu" or "gated-gelu". transformers keeps what it makes of that in two more keys, which
 * win where they are there. */
static void read_feed_forward(ss_json *j, ss_t5_config *c, const char *fallback)
{
    const char *text = ss_json_string(j, "feed_forward_proj", fallback);
    const bool gated = strncmp(text, "gated-", 6) == 0;
    const char *name = gated ? text + 6 : text;

    /* "gated-gelu" is the approximation by tanh, "gelu" is not */
    if (gated && strcmp(name, "gelu") == 0)
        name = "gelu_new";
    c->act = ss_text_act_named(j, "feed_forward_proj", name);
    c->gated = ss_json_bool(j, "is_gated_act", gated);
    c->act = ss_text_act(j, "dense_act_fn", c->act);
}

/* Reads keys of the decoder, of trainings, and of versions that nothing computes with. */
static void read_unrelated(ss_json *j)
{
    static const char *const keys[] = {
        "num_decoder_layers",    "dropout_rate",       "classifier_dropout", "n_positions",
        "scale_decoder_outputs", "scalable_attention", "eos_token_id"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ss_json_get(j, keys[i]);
    ss_text_common_keys(j);
}

/* Half of the buckets are for each direction, half of these for exact distances; the distances of
 * the others grow up to the largest. */
static void read_buckets(ss_json *j, ss_t5_config *c)
{
    c->buckets = ss_config_int(j, "relative_attention_num_buckets", 32, 4, 1 << 16);
    c->most_distance = ss_config_int(j, "relative_attention_max_distance", 128, 2, 1 << 24);
    if (c->most_distance <= c->buckets / 4)
        ss_json_complain(j, SS_FORMAT, "relative_attention_max_distance",
                         "expected more than a quarter of %d buckets", c->buckets);
}

ss_code ss_t5_config_read(ss_json *j, const char *class_name, bool umt5, ss_t5_config *c, ss_err *e)
{
    *c = (ss_t5_config){.class_name = class_name, .own_bias = umt5};
    ss_config_begin(j);
    c->vocabulary =
        ss_config_int(j, "vocab_size", umt5 ? 250112 : 32128, 1, SS_TEXT_MAX_VOCABULARY);
    c->width = ss_config_int(j, "d_model", 512, 1, SS_TEXT_MAX_WIDTH);
    c->inner = ss_config_int(j, "d_ff", umt5 ? 1024 : 2048, 1, SS_TEXT_MAX_WIDTH);
    c->layers = ss_config_int(j, "num_layers", umt5 ? 8 : 6, 1, SS_TEXT_MAX_LAYERS);
    c->heads = ss_config_int(j, "num_heads", umt5 ? 6 : 8, 1, SS_TEXT_MAX_WIDTH);
    c->head = ss_config_int(j, "d_kv", 64, 1, SS_TEXT_MAX_WIDTH);
    c->eps = (float)ss_config_double(j, "layer_norm_epsilon", 1e-6, 0, 1);
    if ((int64_t)c->heads * c->head > SS_TEXT_MAX_WIDTH)
        ss_json_complain(j, SS_FORMAT, "num_heads", "with d_kv %d they are wider than %d", c->head,
                         SS_TEXT_MAX_WIDTH);
    read_buckets(j, c);
    read_feed_forward(j, c, umt5 ? "gated-gelu" : "relu");
    read_unrelated(j);
    return ss_config_end(j, class_name, e);
}
