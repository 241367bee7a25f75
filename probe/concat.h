/* concat.h - channels that a network sees besides those of the picture that it denoises
 *
 * Inpainting (a mask and a picture), instruct-pix2pix, Marigold, depth and super-resolution stages
 * take more channels than the picture has. These follow the picture's and are not noised:
 *
 *   x [H][W][picture + C], or [F][H][W][picture + C]
 */
#ifndef SS_PROBE_CONCAT_H
#define SS_PROBE_CONCAT_H

#include "models/file/safetensors.h"
#include "probe/network.h"

/* In place of FILE#NAME: normal numbers, the same at every noise level. */
#define SS_CONCAT_NOISE "noise"

typedef struct {
    ss_array values; /* [N][C][H][W] or [N][C][F][H][W], N = 1 for all samples; rank 0: none */
    ss_sample_size picture; /* the network's size without these channels */
    char *references; /* of a network that takes reference frames: those that all samples have,
                         "0,7", whose mask is more than 0.5 on average; else NULL */
} ss_concat_channels;

/* Loads the channels. from: FILE#NAME of a tensor of the shape of `values`, SS_CONCAT_NOISE,
 * SS_STAND_IN_ZEROS (stand_in.h), or NULL, which is SS_USAGE if the network needs such channels,
 * unless they are reference frames: then there are none, zeros. */
ss_code ss_concat_open(const char *from, const ss_network *net, int samples, uint64_t seed,
                       ss_concat_channels *k, ss_err *e);
void ss_concat_release(ss_concat_channels *k); /* {0} is fine */

/* out = picture, with the sample's other channels added to every pixel. */
void ss_concat_put(const ss_concat_channels *k, int sample, const float *picture, float *out);

#endif
