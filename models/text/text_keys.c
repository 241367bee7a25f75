/* text_keys.c - see text_keys.h */
#include "models/text/text_keys.h"

#include <string.h>

/* Keys of PretrainedConfig, of generation and of tokenizers, of versions 4 and 5. */
static void read_unrelated(ss_json *j)
{
    static const char *const keys[] = {
        "return_dict",
        "output_hidden_states",
        "output_attentions",
        "output_past",
        "torchscript",
        "use_bfloat16",
        "tf_legacy_loss",
        "use_cache",
        "tie_word_embeddings",
        "tie_encoder_decoder",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
        "cross_attention_hidden_size",
        "max_length",
        "min_length",
        "do_sample",
        "early_stopping",
        "num_beams",
        "num_beam_groups",
        "diversity_penalty",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "repetition_penalty",
        "length_penalty",
        "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size",
        "bad_words_ids",
        "num_return_sequences",
        "output_scores",
        "return_dict_in_generate",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "remove_invalid_values",
        "exponential_decay_length_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
        "finetuning_task",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "task_specific_params",
        "tokenizer_class",
        "prefix",
        "pad_token_id",
        "bos_token_id",
        "sep_token_id",
        "decoder_start_token_id",
        "initializer_range",
        "initializer_factor",
        "attn_implementation",
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ss_json_get(j, keys[i]);
}

void ss_text_common_keys(ss_json *j)
{
    const json_t *pruned = ss_json_get(j, "pruned_heads");

    read_unrelated(j);
    ss_config_expect_bool(j, "is_decoder", false);
    ss_config_expect_bool(j, "add_cross_attention", false);
    if (pruned && json_object_size(pruned) + json_array_size(pruned) > 0)
        ss_json_complain(j, SS_UNSUPPORTED, "pruned_heads", "heads cannot be left out");
}

static const struct {
    const char *name;
    ss_act act;
} acts[] = {
    {"quick_gelu", SS_ACT_QUICK_GELU},
    {"gelu", SS_ACT_GELU},
    {"gelu_new", SS_ACT_GELU_NEW},
    {"gelu_pytorch_tanh", SS_ACT_GELU_TANH},
    {"gelu_fast", SS_ACT_GELU_TANH},
    {"relu", SS_ACT_RELU},
    {"silu", SS_ACT_SILU},
    {"swish", SS_ACT_SILU},
    {"mish", SS_ACT_MISH},
};

ss_act ss_text_act_named(ss_json *j, const char *key, const char *name)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(acts[i].name, name) == 0)
            return acts[i].act;
    }
    ss_json_complain(j, SS_UNSUPPORTED, key,
                     "activations: quick_gelu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, "
                     "silu, swish, mish");
    return SS_ACT_RELU;
}

ss_act ss_text_act(ss_json *j, const char *key, ss_act fallback)
{
    const char *name = ss_json_string(j, key, NULL);

    return name ? ss_text_act_named(j, key, name) : fallback;
}
