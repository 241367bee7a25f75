/* input.h - inputs that a probe feeds to the network, as `--inputs SPEC` names them
 *
 *   images:PATH          a PNG file, or the PNG files of a folder in the order of their names; for
 *                        videos also a folder of folders, each with the frames of one video
 *   idx:FILE[.gz]        pictures of an IDX file, such as MNIST, [N][H][W]; for
 *                        videos also [N][F][H][W]
 *   moving:FILE[.gz]     videos of the pictures of an IDX file, each moving over the canvas by
 *                        whole pixels and coming in again on the other side: see probe/moving.h
 *   tensor:FILE#NAME     [N][C][H][W] of a safetensors file, in the network's own units, or videos
 *                        [N][C][F][H][W]
 *   constant:V           V everywhere
 *   grating:CYCLES,ANGLE cos(2 pi CYCLES (x cos ANGLE + y sin ANGLE) / min(H, W)) at pixel x, y
 *                        counted from the top left; ANGLE in degrees, 90 is down the picture
 *   checker:PX           squares of PX pixels, 1 and -1, beginning with 1
 *   noise:COLOR          white, pink or blue noise of unit variance, see fft/noise.h
 *   raw:FILE#NAME        as tensor:, fed to the network unchanged
 *   latents:RUN.h5       what a denoiser's run made of its inputs, /outputs/denoised at its lowest
 *                        noise level: for the VAE that decodes them
 *   lowpass:CUTOFF:SPEC  any of these, filtered: see fft/filter.h; filters can be nested
 *   highpass:CUTOFF:SPEC
 *
 * What the network sees at noise level sigma depends on the kind, and is then filtered:
 *
 *   SS_INPUT_CLEAN   x0 + sigma n   x0 is the sample, n white noise. x0 is known, so there is
 *                                   a denoising loss. Images, IDX, tensors, but also the
 *                                   synthetic pictures, which are noised like any picture
 *   SS_INPUT_NOISE   sigma n        n is the sample: noise of another colour, as large as a
 *                                   real input is at a high noise level. There is no x0
 *   SS_INPUT_RAW     x              the sample itself, whatever the noise level
 *
 * all of it in EDM's convention; a variance-preserving model scales the first two.
 *
 *   ss_input *in;
 *   rc = ss_input_parse("lowpass:8:images:photos/", &in, &err);
 *   rc = ss_input_open(in, (ss_sample_size){.height = 64, .width = 64, .channels = 3}, 16, &err);
 *   for (int i = 0; i < 16; i++) {
 *       ss_input_sample(in, i, rng, x, &err);
 *       ...                                    // noise x as its kind says
 *       ss_input_filter(in, x, &err);
 *   }
 *   ss_input_free(in);
 */
#ifndef SS_PROBE_INPUT_H
#define SS_PROBE_INPUT_H

#include "base/err.h"
#include "base/rng.h"
#include "base/sample_size.h"

#include <stdbool.h>

typedef enum { SS_INPUT_CLEAN, SS_INPUT_NOISE, SS_INPUT_RAW } ss_input_kind;

typedef struct ss_input ss_input;

enum { SS_INPUT_MAX_FILTERS = 16 };
#define SS_INPUT_LATENTS "latents"

/* Parses a spec; no file is touched. SS_USAGE, with what is allowed, for one that is malformed. */
ss_code ss_input_parse(const char *spec, ss_input **in, ss_err *e);
void ss_input_free(ss_input *in); /* NULL is fine */

const char *ss_input_label(const ss_input *in); /* the spec as given; borrowed */
ss_input_kind ss_input_kind_of(const ss_input *in);
/* True for pictures, of files or made by a formula; false for tensors and noise, which may be
 * latents. */
bool ss_input_makes_pictures(const ss_input *in);
/* True for pictures that are read from files of pictures. */
bool ss_input_reads_pictures(const ss_input *in);
/* Replaces the pictures that were loaded by others of `size`, made of each by fn. */
typedef ss_code ss_input_change(void *self, const float *from, float *to, ss_err *e);
ss_code ss_input_replace(ss_input *in, ss_sample_size size, ss_input_change *fn, void *self,
                         ss_err *e);
bool ss_input_is_filtered(const ss_input *in);

/* Loads `samples` pictures, or videos, for a network that takes samples of this size.
 *
 * Pictures go from bytes to v / 127.5 - 1, and from gray to RGB by repetition or from RGB to
 * gray by the luma of ITU-R BT.601, as PIL does. A network with other than 1 or 3 channels
 * works on latents, which pictures cannot be: SS_USAGE, with the advice to use tensor:. Pictures of
 * another size are brought to the network's, and a note says how:
 *
 *   images   cut to the middle, in the network's aspect, and averaged over areas (or
 *            interpolated linearly, if they are too small)
 *   idx      put in the middle of a field of -1, the background, if they fit; else
 *            as images are
 *
 * Tensors must have the network's shape. Sample i is picture i. One PNG file, or a tensor with
 * N = 1, serves every sample; a folder or a file with fewer pictures than samples is SS_USAGE.
 *
 * For videos, a picture (also one made by a formula) becomes a video that stands still: it is
 * repeated in every frame. Of videos in folders and IDX files the first frames are taken; fewer
 * than the network's are SS_USAGE. The frames of noise are independent of each other.
 * Opening again replaces what was loaded. */
ss_code ss_input_open(ss_input *in, ss_sample_size size, int samples, ss_err *e);

/* The name of the file from which a sample's picture was read, without its folder; "" if it has
 * none. Borrowed. Call it after ss_input_open. */
const char *ss_input_sample_name(const ss_input *in, int sample);

/* SHA-256 of the pictures or tensors that were loaded from files, as the network gets them, and of
 * the pictures' names; "" for an input that reads no file. It is the same for the same pictures in
 * another folder, or with another compression. */
ss_code ss_input_sha256(const ss_input *in, char hex[65], ss_err *e);

/* x = sample number `sample`. Only SS_INPUT_NOISE draws from rng: the same stream gives the same
 * noise, and noise:white is the normal numbers 0, 1, 2... of the stream. */
ss_code ss_input_sample(const ss_input *in, int sample, ss_rng rng, float *x, ss_err *e);

/* Applies the spec's filters to each frame of x; without filters x stays as it is, bit for bit. */
ss_code ss_input_filter(const ss_input *in, float *x, ss_err *e);

#endif
