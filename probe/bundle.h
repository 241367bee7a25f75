/* bundle.h - a folder with one finding, which can be replayed elsewhere
 *
 *   DIR/input.safetensors   x [N,C,H,W] or [N,C,F,H,W], what the network saw; timestep [N], what
 *                           it was told; the condition, if there is one: encoder_hidden_states
 *                           [N,tokens,width], class_labels [N] or [N,width], text_embeds,
 *                           time_ids, timestep_cond
 *   DIR/expected.json       last names of the checkpoint's path, the variant of its weights, their
 *                           SHA-256, module, port, sigma (a number or "inf"), timestep, input, and
 *                           for each sample absmax, rms and the number of values that are not
 *                           finite
 *   DIR/checkpoint.sha256   the files of the checkpoint, as sha256sum -c reads them
 *   DIR/replay.sh           the same numbers by `sigmascope probe`: sh replay.sh CHECKPOINT
 *   DIR/replay.py           the same by PyTorch and diffusers, through a forward hook: python
 *                           replay.py CHECKPOINT; not for a network that diffusers does not build
 *                           the same (LoRA, remedies)
 *   DIR/README.md           what was found, and how to replay it
 *   DIR/config.json, DIR/scheduler_config.json   where the run was given them
 *
 * N is 1, or the number of samples of the run. No file has a path of the machine that wrote it, so
 * that the folder can be sent and moved: the scripts take the checkpoint as an argument, and warn
 * if it is another.
 */
#ifndef SS_PROBE_BUNDLE_H
#define SS_PROBE_BUNDLE_H

#include "runfile/run_reader.h"

/* Indices into the run's axes; sample -1: all of them. */
typedef struct {
    int input, sigma, sample;
} ss_bundle_place;

/* Writes the bundle of a module's output (port) at one noise level and input of a run of
 * `sigmascope probe`; indices into the run's axes. For an inner value, which no PyTorch hook sees,
 * it is the bundle of the module around it. The folder appears whole or not at all. One that exists
 * is SS_IO, unless replace is set and it is a bundle. SS_USAGE for a run without plan, SS_FORMAT if
 * the model is not that of the run any more. found: a sentence for the README.md, or NULL. */
ss_code ss_bundle_write(ss_run *r, const char *dir, bool replace, int module, int port,
                        ss_bundle_place place, const char *found, ss_err *e);

#endif
