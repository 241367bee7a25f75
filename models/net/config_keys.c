/* config_keys.c - see config_keys.h */
#include "models/net/config_keys.h"

/* Reads the keys that say how the file came about and nothing of the network: those of diffusers'
 * EMAModel and training scripts, and of save_pretrained in diffusers and transformers. */
static void read_bookkeeping(ss_json *j)
{
    static const char *const keys[] = {
        "decay",
        "min_decay",
        "optimization_step",
        "update_after_step",
        "use_ema_warmup",
        "inv_gamma",
        "power",
        "foreach",
        "collected_params",
        "cur_decay_value",
        "max_value",
        "min_value",
        "torch_dtype",
        "dtype",
        "transformers_version",
        "diffusers_version",
        "architectures",
        "auto_map",
        "model_type",
        "gradient_checkpointing",
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ss_json_get(j, keys[i]);
    if (ss_json_has(j, "quantization_config"))
        ss_json_complain(j, SS_UNSUPPORTED, "quantization_config",
                         "quantized weights are not supported");
}

void ss_config_begin(ss_json *j)
{
    const json_t *names = json_object_get(j->root, "_use_default_values"), *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        const char *key = json_string_value(name);

        if (key && key[0] != '_')
            json_object_del(j->root, key);
    }
}

/* Returns a key that was not read, or NULL. One that is null is an option of another version that
 * is not set. */
static const char *unknown_key(const ss_json *j)
{
    const char *key;
    json_t *value;

    json_object_foreach(j->root, key, value)
    {
        if (key[0] != '_' && !json_is_null(value) && !json_object_get(j->seen, key))
            return key;
    }
    return NULL;
}

ss_code ss_config_end(ss_json *j, const char *class_name, ss_err *e)
{
    read_bookkeeping(j);
    const char *unknown = unknown_key(j);
    if (unknown)
        ss_json_complain(j, SS_UNSUPPORTED, unknown,
                         "%s has no such option that is known here; if it is a note of the "
                         "training and changes nothing that is computed, remove it",
                         class_name);
    return ss_json_done(j, e);
}
