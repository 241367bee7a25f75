/* animatediff.h - AnimateDiffTransformer3D: attention over the frames of a video, position by
 * position, that knows their order by sinusoids (Guo et al. 2023, arXiv 2307.04725)
 */
#ifndef SS_MODELS_ANIMATEDIFF_H
#define SS_MODELS_ANIMATEDIFF_H

#include "models/net/motion.h"
#include "models/unet/unet_blocks.h"

/* The options of one level's motion modules (ss_motion_spec.options). */
typedef struct {
    int depth[SS_MAX_LAYERS]; /* transformer blocks in the motion module after each layer */
    int max_frames;           /* rows of the table of positions */
    bool per_frame; /* the group norm has moments of each frame, as AnimateDiff has; else of all
                       frames together, as diffusers */
} ss_animatediff_options;

extern const ss_motion_kind ss_animatediff_kind;

#endif
