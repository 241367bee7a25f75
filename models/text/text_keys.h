/* text_keys.h - what the config.json files of transformers' text encoders have in common */
#ifndef SS_MODELS_TEXT_KEYS_H
#define SS_MODELS_TEXT_KEYS_H

#include "models/net/config_values.h"

/* Largest sizes that are believed. */
enum {
    SS_TEXT_MAX_VOCABULARY = 1 << 24,
    SS_TEXT_MAX_WIDTH = 1 << 17,
    SS_TEXT_MAX_LAYERS = 512,
    SS_TEXT_MAX_TOKENS = 1 << 20
};

/* Reads the keys that every configuration of transformers may have: those of generating text, of
 * labels and of outputs change nothing that an encoder computes; one that would is refused. */
void ss_text_common_keys(ss_json *j);

/* Reads an activation by its name in transformers. */
ss_act ss_text_act(ss_json *j, const char *key, ss_act fallback);
/* Likewise, of a name that is a part of the key's text. */
ss_act ss_text_act_named(ss_json *j, const char *key, const char *name);

#endif
