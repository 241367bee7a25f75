/* given.h - pictures of files as samples of a network: what sampling begins from, or is given */
#ifndef SS_PROBE_GIVEN_H
#define SS_PROBE_GIVEN_H

#include "kernels/context.h"
#include "probe/frames.h"
#include "probe/network.h"

/* Returns in *x, which the caller frees with ss_free, `samples` samples of `size` in the network's
 * units: video i of f, or the first one again after the last. Frames that f has no more of are
 * SS_USAGE; a video of one frame stands still. For a network of pictures the frames of f are its
 * samples, one after another. Frames of another size are fitted (picture.h), with a note.
 *
 * A network of latents gets what its pipeline's VAE encodes; SS_USAGE if there is none. */
ss_code ss_given_samples(const ss_frames *f, const ss_network *net, const ss_ctx_options *device,
                         ss_sample_size size, int samples, float **x, ss_err *e);

#endif
