/* config_values.h - values in a config.json, within their ranges
 *
 * Each reads one key; a value that is not allowed is the file's complaint (base/json.h), and the
 * fallback is returned.
 */
#ifndef SS_MODELS_CONFIG_VALUES_H
#define SS_MODELS_CONFIG_VALUES_H

#include "base/json.h"
#include "kernels/ops.h"

enum { SS_MAX_CHANNELS = 1 << 16, SS_MAX_SIDE = 1 << 20 };

/* An integer from lo to hi; a fallback outside of it stands for a key that is not there. */
int ss_config_int(ss_json *j, const char *key, int fallback, int lo, int hi);
/* A width, 1 to SS_MAX_CHANNELS; 0 where the key is absent or null. */
int ss_config_width(ss_json *j, const char *key);
/* "sample_size", one number or [height, width]; 0 and 0 where the key is absent or null. */
void ss_config_sample_size(ss_json *j, int *height, int *width);
double ss_config_double(ss_json *j, const char *key, double fallback, double lo, double hi);
/* One of diffusers' activations; none where the key is absent or null. */
ss_act ss_config_act(ss_json *j, const char *key, ss_act none);
/* True where the key is there and null, for keys where that differs from absent. */
bool ss_config_is_null(ss_json *j, const char *key);
/* Refuse an option unless it has the one value that is supported. */
void ss_config_expect_bool(ss_json *j, const char *key, bool only);
void ss_config_expect_null(ss_json *j, const char *key, const char *why);

/* Reads the object at a key, where there is one, by `read`, which fills *into. What it complains of
 * becomes j's complaint, which messages call "NAME: KEY". */
void ss_config_object(ss_json *j, const char *key, void (*read)(ss_json *inner, void *into),
                      void *into);

/* ---- one value for all levels, or a list of one for each ---- */

/* Returns the value of a level, borrowed; NULL after a complaint about a list of another length. */
const json_t *ss_config_item(ss_json *j, const char *key, const json_t *v, int level, int n);
/* Read n of them. */
void ss_config_ints(ss_json *j, const char *key, int n, int fallback, int lo, int hi, int *out);
void ss_config_bools(ss_json *j, const char *key, int n, bool *out);

#endif
