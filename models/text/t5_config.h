/* t5_config.h - config.json of T5's and UMT5's encoders, checked and brought into one form
 *
 * Defaults are those of transformers' T5Config and UMT5Config. A key that is not read here is
 * refused by name, so is every value that is not supported.
 */
#ifndef SS_MODELS_T5_CONFIG_H
#define SS_MODELS_T5_CONFIG_H

#include "models/text/text_keys.h"

typedef struct {
    const char *class_name;
    bool own_bias; /* UMT5: each layer has a bias of its own; T5: all have that of the first */
    int vocabulary;
    int width, inner, layers; /* d_model, d_ff, num_layers */
    int heads, head;          /* their product need not be the width */
    int buckets, most_distance;
    bool gated; /* act(wi_0 x) wi_1 x, else act(wi x) */
    ss_act act;
    float eps;
} ss_t5_config;

/* Reads j, of T5 or UMT5. The first complaint is the error. */
ss_code ss_t5_config_read(ss_json *j, const char *class_name, bool umt5, ss_t5_config *c,
                          ss_err *e);

#endif
