/* unet_blocks.h - the levels of a UNet: encoder, middle and decoder blocks
 *
 * Encoder blocks push what they compute on a stack of skips, decoder blocks pop one for each
 * residual block and concatenate it to their input. Nothing normalises the skips on their way,
 * so hooks see them, too (the port `skip`).
 *
 * All block types of diffusers are combinations of the same three choices, so one structure
 * and one table serve them all.
 */
#ifndef SS_MODELS_UNET_BLOCKS_H
#define SS_MODELS_UNET_BLOCKS_H

#include "models/net/attention.h"
#include "models/net/motion.h"
#include "models/net/resnet.h"

enum {
    SS_MAX_LAYERS = 64, /* residual blocks of one level */
    SS_UNET_GROUPS = 32 /* of a norm, where a config does not say */
};

/* A quarter of the channels, at most SS_UNET_GROUPS: the groups of networks without a number of
 * them. */
int ss_unet_quarter_groups(int channels);

typedef enum {
    SS_ATTEND_NONE,
    SS_ATTEND_SELF,        /* attention.h, self */
    SS_ATTEND_TRANSFORMER, /* transformer.h */
    SS_ATTEND_ADDED        /* attention.h, added */
} ss_attend;

typedef struct {
    const char *name; /* PyTorch class, "CrossAttnDownBlock2D" */
    ss_attend attend;
    ss_resampling resampling;
    bool time_options; /* obeys resnet_skip_time_act and resnet_out_scale_factor */
} ss_block_type;

/* Finds a block type; NULL where there is none of that name. A "UNetRes" in front, of the oldest
 * configs, is dropped. */
const ss_block_type *ss_down_block_type(const char *name);
const ss_block_type *ss_up_block_type(const char *name);
const ss_block_type *ss_mid_block_type(const char *name);

/* The options of one level. */
typedef struct {
    const ss_block_type *type;
    ss_resampling resampling; /* the type's, unless a config overrides it */
    int in, out;              /* channels */
    int skip;                 /* decoder: channels of the last skip popped; the others have out */
    int layers;               /* residual blocks; a middle block has one attention fewer */
    bool resamples;           /* it changes the resolution at its end */
    int downsample_padding;

    int temb, groups; /* groups 0: a quarter of the channels, at most 32 */
    float eps;
    ss_act act;
    bool scale_shift, skip_time_act;
    float out_scale;

    bool attends; /* false: the type's attentions are left out (add_attention) */
    int heads, head, attention_groups;
    int context;
    bool only_cross, linear_projection, upcast_attention;
    ss_norm_cross norm_cross;
    bool mixed; /* its layers see frames alone and together (video_resnet.h, video_transformer.h) */
    int depth[SS_MAX_LAYERS]; /* transformer blocks after each residual block */

    /* In networks for videos: layers after each residual block, before its attention, and after
     * each attention, or the residual block where there is none. */
    ss_motion_spec after_resnet, after_attention;
} ss_block_spec;

/* Shared by all blocks of a forward pass; borrowed. */
typedef struct {
    const ss_tensor *temb;    /* [N][temb] */
    const ss_tensor *context; /* [N][S][width], or NULL */
    const ss_tensor *mask;    /* [N][S], added to logits, or NULL */
} ss_steering;

/* Feature maps on their way from encoder to decoder; owns them. */
typedef struct {
    ss_tensor **items;
    int n, cap;
} ss_skips;

void ss_skips_push(ss_ctx *c, ss_skips *s, const ss_tensor *x); /* keeps a reference */
void ss_skips_release(ss_skips *s);

typedef struct ss_unet_level ss_unet_level;

/* Make the levels "down_blocks.INDEX", "up_blocks.INDEX", "mid_block". */
ss_unet_level *ss_down_block_new(ss_net *n, const ss_module *parent, int index,
                                 const ss_block_spec *s);
ss_unet_level *ss_up_block_new(ss_net *n, const ss_module *parent, int index,
                               const ss_block_spec *s);
ss_unet_level *ss_mid_block_new(ss_net *n, const ss_module *parent, const ss_block_spec *s);

/* Run a level over pictures [N][H][W][C] or videos [N][F][H][W][C]: each takes x and returns the
 * value that goes on. *image is the small picture that
 * runs beside the network in NCSN++, or NULL; it is taken and replaced. */
ss_tensor *ss_down_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x,
                             const ss_steering *with, ss_skips *skips, ss_tensor **image);
ss_tensor *ss_up_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x, const ss_steering *with,
                           ss_skips *skips, ss_tensor **image);
ss_tensor *ss_mid_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x,
                            const ss_steering *with);

#endif
