/* unet_config.h - config.json of a UNet, checked and brought into one form
 *
 * Both classes are described by the same structure: one ss_block_spec for each level with every
 * option resolved, and the embeddings. A key that
 * is not read here is refused by name, so is every value that is not supported.
 */
#ifndef SS_MODELS_UNET_CONFIG_H
#define SS_MODELS_UNET_CONFIG_H

#include "base/json.h"
#include "models/net/embeddings.h"
#include "models/net/motion_layer.h"
#include "models/net/remedies.h"
#include "models/unet/unet_blocks.h"

/* Classes of diffusers: plain networks, and conditional ones. */
#define SS_UNET_PLAIN "UNet2DModel"
#define SS_UNET_CONDITIONAL "UNet2DConditionModel"

enum { SS_MAX_LEVELS = 16 };

typedef enum { SS_TIME_POSITIONAL, SS_TIME_FOURIER, SS_TIME_LEARNED } ss_time_kind;

/* Where class labels go: nowhere; a table of vectors; the sinusoids of a number; they are the
 * vector; through two linear layers; through one. */
typedef enum {
    SS_CLASS_NONE,
    SS_CLASS_TABLE,
    SS_CLASS_TIMESTEP,
    SS_CLASS_IDENTITY,
    SS_CLASS_PROJECTION,
    SS_CLASS_SIMPLE
} ss_class_kind;

/* Conditions that are added to the time embedding: none; the pooled text; a given vector of the
 * text and sinusoids of given numbers (picture sizes, SDXL); such sinusoids alone (frame rate, how
 * much motion, noise on the picture, SVD). */
typedef enum { SS_ADD_NONE, SS_ADD_TEXT, SS_ADD_TEXT_TIME, SS_ADD_TIME } ss_addition_kind;

typedef struct {
    const char *class_name;
    bool conditional;
    int frames; /* 0: it takes pictures; else videos, of so many unless one says otherwise */
    int in_channels, out_channels;
    int sample_h, sample_w; /* 0: the config does not say */
    bool center_input;      /* the network computes with 2x - 1 */
    int conv_in_kernel, conv_out_kernel;
    float eps;
    ss_act act;
    int groups_out; /* groups of conv_norm_out */
    ss_act act_out;

    ss_time_kind time;
    int n_timesteps;      /* learned: rows of the table */
    ss_sinusoid sinusoid; /* embeds timesteps, and class labels */
    bool fourier_log;
    int time_in, time_dim; /* widths before and after the time embedding */
    int time_cond;         /* width of the guidance beside the timestep, 0: none */
    ss_act time_act, time_post, act_embedding;
    bool divide_by_time; /* the output is divided by the timestep, which is sigma */

    ss_class_kind class_kind;
    int n_classes;     /* table */
    int class_in;      /* projections: width of a label */
    bool class_concat; /* beside the time embedding, not added to it */
    ss_act class_act;

    ss_addition_kind addition;
    int addition_heads; /* text */
    ss_sinusoid addition_sinusoid;
    int addition_in; /* text_time, time: width of the vector and all sinusoids together */

    int text_in;        /* width of the text; 0: the network takes none */
    bool text_optional; /* attention then looks at the picture, as wide everywhere */
    int text_to;        /* width that it is projected to first; 0: it is not */

    int n_levels;
    ss_block_spec down[SS_MAX_LEVELS], up[SS_MAX_LEVELS], mid;
    bool has_mid;
    ss_motion_spec motion_in; /* of videos: after conv_in */

    ss_remedies remedies;
    ss_motion_options motion; /* of networks with "motion"; the levels' specs borrow it */
} ss_unet_config;

/* Reads j of a plain or a conditional network. The first complaint is the error. *u points into
 * itself: it is not copied. */
ss_code ss_unet_config_read(ss_json *j, bool conditional, ss_unet_config *u, ss_err *e);

#endif
