/* given.h - pictures of files as samples of a network: what sampling begins from, or is given */
#ifndef SS_PROBE_GIVEN_H
#define SS_PROBE_GIVEN_H

#include "kernels/context.h"
#include "probe/frames.h"
#include "probe/network.h"

/* x [samples][F][H][W][C] = the first frames of video i for sample i, in the network's units; size
 * is that of one sample. Videos begin again after the last; a video of one frame stands still, and
 * one of too few is SS_USAGE. Frames of another size are fitted (picture.h), with a note. A network
 * of latents gets what its pipeline's VAE encodes, and is SS_USAGE without one. */
ss_code ss_given_videos(const ss_frames *f, const ss_network *net, const ss_ctx_options *device,
                        ss_sample_size size, int samples, float *x, ss_err *e);

/* Returns in *x, which the caller frees with ss_free, the same of a path: for a network of videos
 * what ss_frames_read reads there, for one of pictures as `images:PATH` (input.h). */
ss_code ss_given_load(const char *path, const ss_network *net, const ss_ctx_options *device,
                      ss_sample_size size, int samples, float **x, ss_err *e);

#endif
