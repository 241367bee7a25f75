/* unet_layout.h - the levels of a UNet, from the part of a config.json that lays them out
 *
 * A class fills an ss_unet_layout: first by ss_layout_read_channels, which says how many levels
 * there are, then by ss_layout_read_types and its own options. ss_layout_apply fills the blocks of
 * the configuration by it, their attention excepted.
 */
#ifndef SS_MODELS_UNET_LAYOUT_H
#define SS_MODELS_UNET_LAYOUT_H

#include "models/unet/unet_config.h"

enum { SS_DEFAULT_LEVELS = 4 }; /* where a config does not say */

typedef struct {
    int n;
    int channels[SS_MAX_LEVELS];
    int layers[SS_MAX_LEVELS];
    const ss_block_type *down[SS_MAX_LEVELS], *up[SS_MAX_LEVELS], *mid; /* mid may be NULL */
    int groups;                                                         /* 0: null */
    float mid_scale;
    bool skip_time_act;
    float out_scale;
    int downsample_padding;
} ss_unet_layout;

/* Reads block_out_channels; defaults [SS_DEFAULT_LEVELS]. */
void ss_layout_read_channels(ss_json *j, ss_unet_layout *l, const int *defaults);
/* Reads the names of l->n block types under key into out [n]; defaults [SS_DEFAULT_LEVELS]. A name
 * that find does not know, or that does not go with u's class, is SS_UNSUPPORTED. */
void ss_layout_read_types(ss_json *j, const ss_unet_config *u, const char *key,
                          const char *const *defaults, const ss_unet_layout *l,
                          const ss_block_type *(*find)(const char *), const ss_block_type **out);
/* Finds the block type of types [n] that is called `name` and has DIRECTION, "Down", "Up" or "Mid",
 * in its name; NULL where there is none. */
const ss_block_type *ss_layout_find_type(const ss_block_type *types, size_t n, const char *name,
                                         const char *direction);
/* Fills channels, layers and what all blocks share of u's levels and its middle. u has its width of
 * the time embedding, its epsilon and activation already. */
void ss_layout_apply(ss_unet_config *u, const ss_unet_layout *l, bool scale_shift);
/* Reads how many transformer blocks follow each of s's layers: item is one number, or a list of at
 * least as many. */
void ss_layout_read_depth(ss_json *j, const char *key, const json_t *item, ss_block_spec *s);

#endif
