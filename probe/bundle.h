/* bundle.h - one finding as a folder that replays elsewhere
 *
 *   DIR/input.safetensors   x [N,C,H,W] or [N,C,F,H,W], what the network saw; timestep [N], what it
 * was told; and where there is one encoder_hidden_states [N,tokens,width], class_labels [N] or
 * [N,width], text_embeds, time_ids, timestep_cond DIR/expected.json       model, the variant of its
 * weights, their SHA-256, module, port, sigma (a number or "inf"), timestep, input, and of each
 * sample absmax, rms and how many values are not finite DIR/replay.sh           the same numbers by
 * `sigmascope probe`, from anywhere DIR/replay.py           the same by PyTorch and diffusers,
 * through a forward hook; not of a network with remedies (models/net/remedies.h), which diffusers
 * ignores
 *
 * N is 1, or for all samples of the run how many it has. The scripts name the model by its full
 * path.
 */
#ifndef SS_PROBE_BUNDLE_H
#define SS_PROBE_BUNDLE_H

#include "runfile/run_reader.h"

/* Indices into the run's axes; sample -1: all of them. */
typedef struct {
    int input, sigma, sample;
} ss_bundle_place;

/* Writes the bundle of a module's output (port) at one noise level and input of a run that
 * `sigmascope probe` made; indices into the run's axes. The folder appears whole or not at all;
 * one that is there is SS_IO, unless replace is set and it is a bundle. Of an inner value, which no
 * hook sees, the bundle is of the module around it. SS_USAGE for a run without
 * plan, SS_FORMAT when the model is not the one of the run any more. */
ss_code ss_bundle_write(ss_run *r, const char *dir, bool replace, int module, int port,
                        ss_bundle_place place, ss_err *e);

#endif
