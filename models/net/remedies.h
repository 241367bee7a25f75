/* remedies.h - parts of a network that hold its activations down
 *
 * A config.json may have an object "remedies" beside the keys of diffusers; without it nothing
 * changes. The weights of such a network are trained with it, so it belongs to the checkpoint:
 *
 *   "clamp": L              the outputs of blocks (ss_module.block) are limited to [-L, L]
 *   "residual_scale": K     y = shortcut(x) + K branch(x) in residual blocks and in attention
 *                           blocks (the stream inside a transformer's blocks stays as it is);
 *                           K = 1/sqrt(2): Karras et al. 2020, "Analyzing and Improving..."
 *   "skip_scale": K         [x, K skip] goes into a decoder's residual block; K = 1/sqrt(2):
 *                           Saharia et al. 2022, "Photorealistic Text-to-Image..."
 *   "cosine_attention": S   logits S cos(q, k) in every attention (hooks.h); true: S is the
 *                           square root of a head's width
 *   "magnitude_preserving": true   EDM2's layers, see magnitude.h; without the two factors
 *
 * K may be "learned": a parameter of each place, [1], that begins at 1, named by the block:
 * `up_blocks.0.resnets.1.residual_scale`, `up_blocks.0.resnets.1.skip_scale`.
 */
#ifndef SS_MODELS_REMEDIES_H
#define SS_MODELS_REMEDIES_H

#include "base/json.h"

/* A factor: a number, or a parameter at each place; neither where there is no factor. */
typedef struct {
    bool learned;
    float value; /* 0: none */
} ss_factor_spec;

typedef struct {
    float clamp; /* 0: none */
    ss_factor_spec residual, skip;
    bool cosine;
    float cosine_scale; /* 0: the square root of a head's width */
    bool magnitude;     /* magnitude_preserving */
} ss_remedies;

/* Reads j's "remedies", where there is one. An error there becomes j's complaint, which names the
 * key in it, its value and what is allowed. */
void ss_remedies_read(ss_json *j, ss_remedies *r);

/* Writes "clamp 20, residual_scale learned" into out, "" where there are none, cut to n bytes. */
const char *ss_remedies_text(const ss_remedies *r, char *out, size_t n);

#endif
