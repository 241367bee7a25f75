/* motion_config.h - time in a network of pictures
 *
 * A config.json of a UNet may have an object "motion" beside the keys of diffusers. The network
 * then takes videos, [N][F][H][W][C]: its own layers see each frame by itself, and motion blocks
 * between them see frames together. Without the object nothing changes.
 *
 *   "frames": F             frames of a video where none are asked for: those it is trained on; 8
 *   "layers": [...]         what a motion block does, in this order; ["conv"]:
 *       "conv"                x + conv1d(silu(conv2d(x))), conv2d 3x3 in each frame, conv1d over
 *                             the frames of a position
 *       "attention"           x + to_out(attention of each position's frames)
 *   "after": PLACE          where motion blocks are; "block":
 *       "resnet"              after each residual block
 *       "attention"           after each attention
 *       "block"               after each residual block, after its attention where it has one
 *   "norm": false           nothing in front of these layers; true: a GroupNorm of each frame;
 *                           "joint": one of all frames together. Groups and epsilon are the
 *                           network's
 *   "kernel": K             of conv1d, odd; 3
 *   "position": KIND        how attention knows the order of frames; "absolute":
 *       "absolute"            a learned vector for each frame, added to what q, k and v are made of
 *       "rotary"              q and k are turned by an angle that grows with the frame (rotary.h)
 *       "none"                it does not
 *   "max_frames": M         rows of the table of absolute positions; 32
 *   "heads": N              of an attention; those that the level's own attention has, or would
 *   "tokens": B             blocks of B x B positions over all frames attend together; 1. Where B
 *                           does not divide height or width, its largest divisor below B there
 *   "reference": false      true: the input has 2 C + 1 channels, the C of the noised picture
 *                           (in_channels), C of a reference frame, and a mask, 1 where there is one
 *   "freeze": false         true: a training leaves all other weights as they are
 *   "remedies": {...}       of motion blocks, in place of the network's (remedies.h)
 *
 * The last layer of each branch begins at zero: an untrained motion block changes nothing.
 */
#ifndef SS_MODELS_MOTION_CONFIG_H
#define SS_MODELS_MOTION_CONFIG_H

#include "models/net/remedies.h"

enum {
    SS_MOTION_FRAMES = 4096,
    SS_MOTION_LAYERS = 4 /* of one motion block, at most */
};

typedef enum { SS_MOTION_CONV, SS_MOTION_ATTENTION } ss_motion_layer_kind;
typedef enum { SS_AFTER_RESNET, SS_AFTER_ATTENTION, SS_AFTER_BLOCK } ss_motion_after;
typedef enum { SS_MOTION_BARE, SS_MOTION_NORM, SS_MOTION_JOINT_NORM } ss_motion_norm;
typedef enum { SS_POSITION_ABSOLUTE, SS_POSITION_ROTARY, SS_POSITION_NONE } ss_position_kind;

typedef struct {
    int frames; /* 0: there is no "motion" */
    int n_layers;
    ss_motion_layer_kind layers[SS_MOTION_LAYERS];
    ss_motion_after after;
    ss_motion_norm norm;
    int kernel;
    ss_position_kind position;
    int max_frames;
    int heads; /* 0: the level's */
    int tokens;
    bool reference, freeze;
    bool own_remedies; /* remedies is read; otherwise the network's count */
    ss_remedies remedies;
} ss_motion_config;

/* Reads j's "motion", where there is one. An error there becomes j's complaint, which names the key
 * in it, its value and what is allowed. */
void ss_motion_read(ss_json *j, ss_motion_config *m);

/* True if a motion block has this layer. */
bool ss_motion_has(const ss_motion_config *m, ss_motion_layer_kind kind);

/* Writes "8 frames, conv after each block, no norm" into out, "" where there is none, cut to n
 * bytes. */
const char *ss_motion_text(const ss_motion_config *m, char *out, size_t n);

/* True for the name of a parameter that belongs to a motion block, "mid_block.motion.0.conv...". */
bool ss_is_motion_weight(const char *name);

#endif
