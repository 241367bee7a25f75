/* concat.h - the channels that a network sees beside the picture that it denoises
 *
 * Inpainting (a mask and a picture), instruct-pix2pix, Marigold, depth and super-resolution stages
 * take more channels than the picture has. They lie behind the picture's and are not noised:
 *
 *   x [H][W][picture + C]
 */
#ifndef SS_PROBE_CONCAT_H
#define SS_PROBE_CONCAT_H

#include "models/file/safetensors.h"
#include "probe/network.h"

/* Instead of FILE#NAME: normal numbers, the same at every noise level. */
#define SS_CONCAT_NOISE "noise"

typedef struct {
    ss_array values; /* [N][C][H][W], N of 1 serves every sample; rank 0: no such channels */
    int picture;     /* the network's other channels */
} ss_concat_channels;

/* from: FILE#NAME of a tensor [N,C,H,W], SS_CONCAT_NOISE, or NULL: then it is SS_USAGE that the
 * network needs some. */
ss_code ss_concat_open(const char *from, const ss_network *net, int samples, uint64_t seed,
                       ss_concat_channels *k, ss_err *e);
void ss_concat_release(ss_concat_channels *k); /* {0} is fine */

/* out [H][W][picture + C] = picture [H][W][picture], and the channels of the sample behind it. */
void ss_concat_put(const ss_concat_channels *k, int sample, const float *picture, int64_t pixels,
                   float *out);

#endif
