/* clip_config.h - config.json of CLIP's text encoders, checked and brought into one form
 *
 * Defaults are those of transformers' CLIPTextConfig. A key that is not read here is refused by
 * name, so is every value that is not supported.
 */
#ifndef SS_MODELS_CLIP_CONFIG_H
#define SS_MODELS_CLIP_CONFIG_H

#include "models/text/text_keys.h"

/* The classes: the encoder; the encoder and a projection of its pooled state; both beside an
 * encoder of pictures, whose weights are not used. */
typedef enum { SS_CLIP_TEXT, SS_CLIP_PROJECTION, SS_CLIP_BOTH } ss_clip_class;

/* The id of the end token that configurations had before transformers 4.31. It is not that of any
 * vocabulary: the largest id of a prompt stands for the end. */
enum { SS_CLIP_OLD_END = 2 };

typedef struct {
    ss_clip_class kind;
    const char *class_name;
    int vocabulary, positions; /* rows of the two tables */
    int width, inner, layers, heads;
    int projection; /* width; 0: no projection */
    ss_act act;
    float eps;
    int64_t end; /* id of the end token, whose state is the pooled one */
} ss_clip_config;

/* Reads j. The first complaint is the error. */
ss_code ss_clip_config_read(ss_json *j, ss_clip_class kind, ss_clip_config *c, ss_err *e);

/* Name of a class. */
const char *ss_clip_class_name(ss_clip_class kind);

#endif
