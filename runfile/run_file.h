/* run_file.h - the run file: its layout, and how one is written (run_reader.h reads)
 *
 * A run file is HDF5 with the oldest superblock, so every reader of HDF5 opens it. All axes
 * are dimension scales in /axes; each is attached to the dimensions it labels and
 * hard-linked into the groups that use it, where netCDF readers look for coordinates:
 * xarray.open_dataset(f, engine="h5netcdf", group="stats") is labelled.
 *
 *   /                  attributes, text unless said: format "sigmascope-run", version
 *                      "MAJOR.MINOR", tool, command, model_path, family, model_sha256,
 *                      device, precision, condition, prediction_type, schedule (what the
 *                      network was trained with; "assumed ..." if no file says it), created,
 *                      plan (JSON of all that determines the data: plan_list.h), ignored_tensors
 *                      (names of those in the checkpoint that the network does not use),
 *                      component (folder of the network in its pipeline, "vae"; "" if it is alone)
 *                      and role ("denoiser", "vae", "text"), both since 1.4,
 *                      weight_notes (what was done to the others, as prefixes removed),
 *                      of networks for videos, since 1.5, trained_frames (i32: how many it was
 *                      trained on) and reference_frames ("0,7": those that were given; "" if none),
 *                      threads (i32), seed (u64), complete (i32: 0 or 1); of a run over noise
 *                      levels, since 1.6, part (4 x i64, see run_part.h: which part of how many,
 * and the samples that it has, from the first up to before the last; of a whole run 0, 1, 0 and how
 * many there are) /axes/module       [module] text, paths in the order in which modules are
 * entered; the whole model, whose path is "", is called "(model)" /axes/module_kind  [module] text,
 * PyTorch class /axes/module_block [module] u8, 1 if the output is a block output /axes/port [port]
 * text: input output residual skip /axes/input        [input] text, as given on the command line
 *   /axes/sigma        [sigma] f64, a value may repeat if the timesteps differ
 *   /axes/timestep     [sigma] f32
 *   /axes/done         [sigma] u8, 1 once everything of that noise level is in the file; since 1.6,
 *                      in a part of a run, 2 once all that this part has of it is
 *   /axes/picture      [picture] text, the source of sample n of input i, at i * samples + n: the
 *                      name of a PNG file, or "". Left out if there is no name at all
 *   /axes/sample       [sample] i32; also head, exponent (-127..128), layer and parameter
 *                      (text), radius (f64), and plain counts that label pictures: height,
 *                      width, channel, frame, token, or NAME_LENGTH if lengths differ
 *   /stats/NAME        [module, port, input, sigma, sample] f32, min max absmax mean std rms
 *                      l2 as base/stats.h defines them; NaN if the module did not run
 *   /stats/nonfinite   the same shape, u64, how many values were inf or NaN
 *   /hist/exponent     [module, port, input, sigma, exponent] u64, counts over all samples.
 *                      Exponent -127 is zero and subnormal numbers, 128 inf and NaN. The
 *                      axis has the name of the data set, so it is linked at the root.
 *                      Not with probe --no-histogram
 *   /attention/NAME    [layer, head, input, sigma, sample] f32, entropy entropy_min max_logit
 *                      sink; NaN beyond the heads of a layer, and if a head's logits are not
 *                      finite. /attention/keys, /attention/heads [layer] i64
 *   /attention/frame_mass      [layer, head, input, sigma, sample, distance] f32, since 1.5: of
 *                      layers whose keys are the tokens of a video's frames, the share of all
 *                      attention at a distance of 0, 1, 2... frames; NaN for others
 *   /attention/key_frame_mass  [layer, head, input, sigma, sample, frame] f32, on each frame
 *                      (base/stats.h has both). /attention/frames [layer] i64, how many; 0: keys
 *                      are no frames. Without such layers none of the three
 *   /weights/NAME      [parameter] f32, absmax rms, of the finite values; NaN if there are none.
 *                      /weights/nonfinite [parameter] u64, how many values are inf or NaN
 *   /structure/NAME    [line] text, what lets the network's activations grow, one row for each kind
 *                      and place (names: base/structure.h, meaning: models/structure.h); since
 *                      1.3. In a training run, as it was when the file was made
 *   /inputs/x          [input, sigma, sample, height, width, channel] f32, what the network saw; of
 *                      videos [input, sigma, sample, frame, height, width, channel]
 *   /inputs/psd        [input, sigma, sample, radius] f32, of videos the mean over frames
 *   /channels/PATH/NAME [port, input, sigma, channel] f32, absmax (largest over samples) and
 *                      rms (over all samples); NaN beyond the channels of a port
 *   /outputs/denoised  as /inputs/x
 *   /outputs/loss      [input, sigma, sample] f32, NaN if the clean picture is not known, inf if
 *                      the loss itself is inf or NaN
 *   /activations/PATH  [input, sigma, sample, ...] f32 or f16
 *
 * A sample's statistics, histogram and loss are over all of its frames together.
 *
 * Of a VAE, /inputs/x is what the decoder saw and /outputs/denoised the picture that it made. Of a
 * text encoder, inputs are prompts and samples are tokens, whose texts are in /axes/picture; its
 * only sigma is 0. What belongs to a whole prompt (attention, a pooled state) is at the first
 * token.
 *
 * A training run has the axis `step` (i64) in place of `sigma` in all of the above. It has one
 * input, and the samples are those of the step; NaN beyond them where another stage has more.
 *
 *   /training/NAME     [step] f32: loss, penalty (NaN in steps without), norm of the gradients,
 *                      rate, scale of the loss, skipped (0 or 1), skips (all so far, also those
 *                      between measured steps; since 1.2)
 *   /training/sigma, sample_loss   [step, sample] f32, the noise level and the loss of each sample
 *   /training/loss_by_sigma  [bin, step] f32, running mean by noise level; the axis `bin` is sigma
 *   /updates/NAME      [parameter, step] f32, what the step did to each: gradient_rms, update_rms,
 *                      weight_rms, staleness = RMS(g / sqrt(v^)) of Adam (Wortsman et al. 2023);
 *                      NaN of a parameter that is not trained
 *
 * The file of a recorder in a live training (python/), since 1.6, is a training run whose attribute
 * `samples` is "bins" (text; else absent or ""): entries of the axis `sample` are bins of noise
 * level, into which the samples of a step fall, of all its micro-batches and processes. The axis
 * `bin` has as many entries, the geometric middle of each. What differs:
 *
 *   /stats/NAME, nonfinite     over all values of all samples in the bin; NaN and 0 if there is
 * none /training/sigma, sample_loss   [step, sample] geometric mean of the noise levels, mean of
 * the losses; NaN: no sample, or not known. Where no noise level is known there is one bin
 *   /training/samples          [step, sample] f32, how many samples were in the bin
 *   /training/bin_edges        [bins - 1] f64, the noise levels between the bins
 *   /training/NAME, sample_loss, /updates/NAME   NaN if it is not known, inf if a loss is inf or
 * NaN /attention, /structure, plan   left out, and /hist if it is not wanted
 *
 * It has room for more steps than are done. A column is written in place and then marked in
 * /axes/done; /axes/step has rising numbers of steps to come in the others, which readers leave
 * out. When the room is used up, a file with twice the room is renamed over it. `done` may have
 * holes, where a training that was gone on with dropped columns, and counts even if `complete`
 * is 1.
 *
 * What is not known is left out: without attention layers there is no group /attention. Labels show
 * control characters, and bytes that are not UTF-8, as \xNN. PATH in the name of a group or data
 * set is the label of the module, with '/' and '%' written %2F and %25.
 *
 * A killed writer leaves a whole file. Every shape is known before the first noise level, so HDF5
 * makes a skeleton with all groups, axes and data sets beside the target, which is closed and
 * renamed into place. Data sets are contiguous and allocated at once, also /activations, where a
 * sample is one contiguous piece. From then on a thread writes bytes at known offsets, and HDF5
 * metadata stays as it is until `complete` is set. A noise level is written, flushed to disk, and
 * only then marked in /axes/done. A noise level that was not reached is NaN; it is zero, as a hole
 * in the file, in counts, in activations, and in data sets over SS_RUN_FILL_MAX bytes.
 *
 *   ss_run_create(path, &spec, replace, &w, &err);
 *   for (int s = 0; s < spec.n_sigmas; s++) {
 *       if (ss_run_is_done(w, s))
 *           continue;
 *       ss_run_column_new(w, s, &col, &err);
 *       ss_run_put_stats(col, module, port, input, sample, &stats); // and so on
 *       ss_run_submit(w, col, &err);
 *   }
 *   ss_run_finish(w, &err);
 *
 * Only one thread may call these functions; the writer has a thread of its own for writing. A file
 * must not be open in a reader of the same process when its writer finishes.
 */
#ifndef SS_RUN_FILE_H
#define SS_RUN_FILE_H

#include "base/shape.h"
#include "base/site.h"
#include "base/stats.h"
#include "base/str.h"
#include "base/structure.h"
#include "base/torch_code.h"
#include "runfile/run_part.h"

#include <stdbool.h>
#include <stdint.h>

#define SS_RUN_FORMAT "sigmascope-run"
#define SS_RUN_DENOISER "denoiser" /* role of a run whose file names none */
#define SS_RUN_TEXT "text"
#define SS_RUN_BINS "bins" /* what samples are, in the file of a recorder */
#define SS_RUN_VAE "vae"
#define SS_RUN_ROOT SS_ROOT /* label of the module with the path "" */

enum {
    SS_RUN_MAJOR = 1, /* a reader refuses a larger one */
    SS_RUN_MINOR = 6, /* grows with each addition: 2 has pictures, heads, weights/nonfinite, and
                       * plans of plan_list.h; 3 has the structure, 4 component and role, 5
                       * attention by frame, 6 parts of a run and bins of noise level */
    SS_RUN_FILL_MAX = 64 << 20,
    SS_RUN_QUEUE_BYTES = 512 << 20, /* of activations waiting to be written */
    SS_RUN_MAX_FRAMES = 4096,
    SS_RUN_MAX_SETS = 4000 /* HDF5 keeps an axis's users in 64 KiB */
};

typedef struct {
    const char *path, *kind; /* kind may be NULL */
    bool block;
} ss_run_module;

typedef struct {
    const char *path;
    int heads;
    int64_t keys;
} ss_run_layer;

typedef struct {
    const char *name;
    float absmax, rms;  /* of the finite values, NaN if there are none */
    uint64_t nonfinite; /* how many are inf or NaN */
} ss_run_parameter;

typedef struct {
    const char *path;
    int64_t channels; /* the largest over its ports */
} ss_run_channels;

typedef struct {
    const char *path;
    ss_shape shape; /* of one sample */
    bool half;      /* stored as f16: rounded to nearest even, overflow to inf */
} ss_run_dump;

#define SS_RUN_TRAINING(X) X(loss) X(penalty) X(norm) X(rate) X(scale) X(skipped) X(skips)
#define SS_RUN_UPDATES(X) X(gradient_rms) X(update_rms) X(weight_rms) X(staleness)

/* Effect of one step of a training: as a whole, and on one parameter. */
#define X(name) float name;
typedef struct {
    SS_RUN_TRAINING(X)
} ss_run_step;
typedef struct {
    SS_RUN_UPDATES(X)
} ss_run_update;
#undef X

/* Contents of a run. Everything is borrowed for the call only. A text may be NULL, which means
 * "". Lists may be empty, except those of inputs, sigmas and samples. */
typedef struct {
    const char *tool, *command, *model_path, *family, *model_sha256, *device, *precision;
    const char *condition, *prediction_type, *schedule, *created, *ignored_tensors;
    const char *weight_notes; /* NULL: none */
    const char *component;    /* folder of the network in its pipeline */
    const char *role;         /* NULL: "denoiser" */
    const char *plan;         /* JSON; a run is resumed only with an equal plan (plan_text.h) */
    int threads;
    uint64_t seed;
    ss_run_part part; /* {0}: the whole run */

    const ss_run_module
        *modules; /* in the order in which they are entered, containers before children */
    int n_modules;
    const char *const *inputs; /* distinct */
    int n_inputs;
    const char *const *pictures; /* [n_inputs][n_samples] names of files, or NULL */
    const double *sigmas;
    const float *timesteps; /* NULL: the network has none */
    int n_sigmas;
    const int64_t *steps; /* [n_sigmas] of a training run, rising, in place of sigmas */
    const double *bins;   /* [n_bins] of a training run: sigmas of the bins of its loss */
    int n_bins;
    int n_samples;
    const ss_run_layer *layers;
    int n_layers;
    const int64_t *layer_frames;  /* [n_layers] frames that keys are tokens of, 0: they are not;
                                     NULL: none are */
    int trained_frames;           /* of a network for videos, else 0 */
    const char *reference_frames; /* "0,7", or NULL */
    const ss_run_parameter *parameters;
    int n_parameters;

    const ss_structure_row *structure;
    int n_structure;

    ss_shape x;          /* of one sample of the input, rank 0: not stored */
    ss_shape denoised;   /* of one sample of the output, rank 0: not stored */
    bool loss;           /* the clean input is known for some inputs */
    int n_radii;         /* 0: no spectra */
    const double *radii; /* labels, NULL: 0, 1, 2 ... */
    bool histogram;      /* of exponents */
    const ss_run_channels *channels;
    int n_channels;
    const ss_run_dump *dumps;
    int n_dumps;
} ss_run_spec;

typedef struct ss_run_writer ss_run_writer;
typedef struct ss_run_column ss_run_column;

/* Makes the skeleton. A target that exists is SS_IO without `replace`; one that another process is
 * writing is always refused. On success the caller ends with finish or abandon. */
ss_code ss_run_create(const char *path, const ss_run_spec *spec, bool replace, ss_run_writer **w,
                      ss_err *e);

/* Goes on with a run that was cut off, or creates the file if there is none. A file of another plan
 * is SS_USAGE, as is another part; the message has the first difference. */
ss_code ss_run_resume(const char *path, const ss_run_spec *spec, ss_run_writer **w, ss_err *e);

/* Changes the steps of a training's run file from those of `was` to those of `now`. The specs may
 * differ in their steps, their plans, and attributes that determine no number. Columns of steps
 * that both have stay as they are, and so do the sizes of the weights, which are from the beginning
 * of the training; `complete` is 0. The bytes are those of a file that was made with `now`. No
 * writer may have the file open; a process that is killed leaves the old file or the new one. */
ss_code ss_run_change_steps(const char *path, const ss_run_spec *was, const ss_run_spec *now,
                            ss_err *e);

/* True if noise level s, or this part's share of it, was in the file when it was opened. */
bool ss_run_is_done(const ss_run_writer *w, int s);

/* Allocates a noise level, all NaN and 0, without its activations. */
ss_code ss_run_column_new(ss_run_writer *w, int s, ss_run_column **col, ss_err *e);
void ss_run_column_free(ss_run_column *col); /* only if it is not submitted; NULL is fine */

/* Setters. Indices are those of the spec's lists. Exponent counts and channel statistics are summed
 * over samples: put each sample once. */
void ss_run_put_stats(ss_run_column *col, int module, ss_port port, int input, int sample,
                      const ss_stats *s);
void ss_run_put_attention(ss_run_column *col, int layer, int head, int input, int sample,
                          const ss_attention_stats *s);
void ss_run_put_x(ss_run_column *col, int input, int sample, const float *x);
void ss_run_put_psd(ss_run_column *col, int input, int sample, const double *psd);
void ss_run_put_denoised(ss_run_column *col, int input, int sample, const float *x);
void ss_run_put_loss(ss_run_column *col, int input, int sample, double loss);
void ss_run_put_channels(ss_run_column *col, int channels, ss_port port, int input, int64_t n,
                         const float *absmax, const float *rms);

/* Setters of a training run. */
void ss_run_put_step(ss_run_column *col, const ss_run_step *s);
void ss_run_put_level(ss_run_column *col, int sample, double sigma, double loss);
void ss_run_put_bin(ss_run_column *col, int bin, double loss);
void ss_run_put_update(ss_run_column *col, int64_t parameter, const ss_run_update *u);

/* Function that writes all values of one sample to `to`. */
typedef ss_code ss_run_fill(void *self, float *to, ss_err *e);

/* Hands one sample of an activation to the writing thread; waits while more than SS_RUN_QUEUE_BYTES
 * are queued. fill is called before this returns. A failed write is reported here or by submit. */
ss_code ss_run_put_activation(ss_run_column *col, int dump, int input, int sample,
                              ss_run_fill *fill, void *self, ss_err *e);

/* Hands the column to the writing thread, which owns it, also on failure; waits while two are
 * queued. An error is that of an earlier write: "RUN.h5: No space left on device; 3 of 16 noise
 * levels are saved; free space and go on with --resume". */
ss_code ss_run_submit(ss_run_writer *w, ss_run_column *col, ss_err *e);

/* Waits until everything that was submitted is in the file, flushed. */
ss_code ss_run_sync(ss_run_writer *w, ss_err *e);

/* Waits for all writes, sets `complete` unless the file is a part of a run, and frees w, also on
 * failure. */
ss_code ss_run_finish(ss_run_writer *w, ss_err *e);

/* Writes what was submitted and frees w; the file stays and can be resumed. NULL is fine. */
void ss_run_abandon(ss_run_writer *w);

#endif
