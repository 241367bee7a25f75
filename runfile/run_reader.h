/* run_reader.h - reads run files, our own and those made by other programs
 *
 *   ss_run *r;
 *   ss_run_open("RUN.h5", &r, &err);
 *   const float *absmax;
 *   ss_run_stat(r, "absmax", &absmax, &err);        // NULL if the file has none
 *   float x = absmax[ss_run_at(r, module, port, input, sigma, sample)];
 *   ss_run_close(r);
 *
 * A file needs /axes/module, /axes/sigma and any of the data sets (layout: run_file.h); the rest
 * may be missing. An absent axis counts as one entry, and data sets then lack that dimension.
 * Numbers may have any type, texts fixed or variable length. What is there is checked: ranks and
 * sizes must agree with the axes, before anything is allocated. No file can end the process.
 *
 * Noise levels that are not done read as NaN, or 0 in counts, whatever the file holds there. HDF5
 * is not thread-safe: only one thread at a time may use any reader.
 *
 * A file that a recorder is writing may be opened at any moment. The reader sees the steps that
 * were done then, and keeps them to the end, also if the file is replaced by a larger one
 * meanwhile. A recorder's file without a done step is SS_FORMAT.
 */
#ifndef SS_RUN_READER_H
#define SS_RUN_READER_H

#include "base/err.h"
#include "base/shape.h"
#include "base/site.h"
#include "base/stats.h"
#include "base/structure.h"
#include "base/torch_code.h"
#include "runfile/run_part.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SS_RUN_MAX_VALUES = 1 << 28 }; /* of one data set, or part of one, in memory */

typedef struct ss_run {
    char *path;
    /* attributes; "" if the file has none, never NULL */
    char *tool, *command, *model_path, *family, *model_sha256, *device, *precision, *condition,
        *prediction_type, *schedule, *created, *plan, *ignored_tensors, *weight_notes, *component,
        *role; /* role "" stands for SS_RUN_DENOISER */
    uint64_t seed;
    bool has_seed; /* false: the file has none, and seed is 0 */
    int threads;   /* 0: not in the file */
    int minor;     /* of the layout version, 0 if the file has none */
    bool complete;
    ss_run_part part; /* of several (run_part.h), or 0 of 1; without samples if the file has none */
    /* The PyTorch code for which analyses judge a format, since code decides which values are
     * stored in it (ss_site_is_stored). From the run, or half and sdpa; a command may set another.
     */
    ss_round_scope as;
    ss_attention_code attention;
    bool as_given; /* by a command: lists of what stays in fp32 are then for it, not for autocast */

    /* axes; an absent one has one entry, "output" for the port, "" for the input */
    int n_modules, n_ports, n_inputs, n_sigmas, n_samples;
    bool binned; /* of a training as a recorder wrote it: samples are bins of noise level, and all
                    columns are done; those that are not are left out */
    char **modules, **ports, **inputs;
    char **pictures;       /* [input][sample] names of files, or ""; NULL: no name is known */
    char **kinds;          /* [module], NULL: unknown */
    float *module_weights; /* cache of ss_run_module_weights, or NULL */
    int *folds;            /* cache of analyze/one/fold.h, or NULL */
    int n_real;            /* how many of n_modules are modules, not inner values */
    ss_inner *inner;       /* [module] which inner value; SS_INNER_NONE for modules */
    uint8_t *blocks;       /* [module], NULL: unknown */
    double *sigmas;        /* NULL in a training run */
    int64_t *steps;        /* of a training run, in place of sigmas; else NULL */
    const float *levels;   /* [step][sample] /training/sigma of a training run, or NULL */
    const float *counts;   /* [step][bin] /training/samples, or NULL */
    float *timesteps;      /* [sigma], NULL: none */
    uint8_t *done;         /* [sigma] */
    int n_done;
    int n_layers, n_heads;  /* 0: no attention */
    int n_frames;           /* of attention over frames, the most of a layer; 0: there is none */
    int trained_frames;     /* of a network for videos, where the file says it; else 0 */
    char *reference_frames; /* "0,7", or "" */
    char **layers;
    int64_t n_parameters; /* 0: none */
    char **parameters;
    int n_radii; /* 0: no spectra */
    double *radii;
    ss_structure_row *structure; /* what lets activations grow, see base/structure.h */
    int n_structure;             /* 0: not in the file */
    int n_bins;                  /* of the loss by noise level of a training run, or 0 */
    double *bins;
    double *edges; /* [n_bins - 1] rising, between the bins of a recorder; NULL: not in the file */

    struct ss_run_cache *cache; /* the open file, and data sets that were read */
} ss_run;

/* True for a file that begins like HDF5: a run file, or at least no checkpoint. */
bool ss_run_is_file(const char *path);

/* Opens a run over noise levels; one over training steps is SS_USAGE. */
ss_code ss_run_open(const char *path, ss_run **r, ss_err *e);
/* Opens a run of either kind; one over training steps has r->steps. */
ss_code ss_run_open_any(const char *path, ss_run **r, ss_err *e);
void ss_run_close(ss_run *r); /* NULL is fine */

/* Sets the PyTorch code for which analyses judge, by the names that --as and --attention take;
 * NULL: no change. An unknown name is SS_USAGE and names the option. */
ss_code ss_run_set_code(ss_run *r, const char *as, const char *attention, ss_err *e);

/* Whole data sets, read on the first call and borrowed until close; *x = NULL if the file has none.
 *   stat       [module][port][input][sigma][sample], names of base/stats.h
 *   nonfinite  the same, counts
 *   attention  [layer][head][input][sigma][sample], names of base/stats.h
 *   frame_mass [layer][head][input][sigma][sample][n_frames] by distance, or of_keys: on each frame
 *   weights    [parameter], "absmax" or "rms"; weights_nonfinite: counts
 *   loss       [input][sigma][sample]
 *   psd        [input][sigma][sample][radius]
 *   training   [step] loss penalty norm rate scale skipped skips; [step][sample] sigma sample_loss
 *              samples; [bin][step] loss_by_sigma
 *   updates    [parameter][step] gradient_rms update_rms weight_rms staleness */
ss_code ss_run_stat(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_nonfinite(ss_run *r, const uint64_t **x, ss_err *e);
ss_code ss_run_attention(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_attention_keys(ss_run *r, const float **keys, ss_err *e); /* [layer] */
/* [layer] how many heads each has; NULL in files before layout version 1.2 or of other programs. */
ss_code ss_run_attention_heads(ss_run *r, const float **heads, ss_err *e);
/* [layer] how many frames its keys are tokens of, 0: none; NULL where n_frames is 0. */
ss_code ss_run_attention_frames(ss_run *r, const float **frames, ss_err *e);
ss_code ss_run_frame_mass(ss_run *r, bool of_keys, const float **x, ss_err *e);
ss_code ss_run_weights(ss_run *r, const char *name, const float **x, ss_err *e);
/* [module] largest |x| of its own parameters, NaN if it has none; *x = NULL if the file has no
 * weights. */
ss_code ss_run_module_weights(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_weights_nonfinite(ss_run *r, const uint64_t **x, ss_err *e);
ss_code ss_run_loss(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_psd(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_training(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_updates(ss_run *r, const char *name, const float **x, ss_err *e);

/* Indices into the arrays of stat and nonfinite, and of attention. */
size_t ss_run_at(const ss_run *r, int module, int port, int input, int sigma, int sample);
size_t ss_run_attention_at(const ss_run *r, int layer, int head, int input, int sigma, int sample);

/* True for a run of a text encoder: its inputs are prompts, its samples tokens, and it has no noise
 * level. */
bool ss_run_is_text(const ss_run *r);
bool ss_run_is_vae(const ss_run *r);

/* Writes what a sample of column `sigma` is called: "sample 3", or "sample 3, cat.png" if its
 * picture has a name; of a text encoder "token 3 'cat'"; of bins "sigma about 11.8", their mean, or
 * "no sigma". Sample -1 is "-", and of a text encoder "the whole prompt". Returns out. */
char *ss_run_sample_name(const ss_run *r, int sigma, int input, int sample, char *out, size_t n);
/* Same for a column that is headed ss_run_sample_word: "3, cat.png", "3 'cat'", "11.8", "-",
 * "whole". */
char *ss_run_sample_label(const ss_run *r, int sigma, int input, int sample, char *out, size_t n);
const char *ss_run_sample_word(const ss_run *r); /* "sample" or "token", "sigma" of bins */

/* The noise level of a sample, or the mean one of a bin, at a step of a training. NaN: it is
 * not known, or nothing fell into the bin. */
double ss_run_level(const ss_run *r, int step, int sample);
/* How many samples of the training an entry of the axis `sample` is about: 1, or as many as fell
 * into the bin. 0: the bin is empty, and all its values are NaN. */
double ss_run_count(const ss_run *r, int step, int sample);
const char *ss_run_input_word(const ss_run *r); /* "input" or "prompt" */

/* Index of a port, or -1. */
int ss_run_port(const ss_run *r, const char *name);

/* Exponent counts of one module, [port][input][sigma][256], into the caller's array, so that a file
 * of any size is read in little memory. */
bool ss_run_has_hist(const ss_run *r);
ss_code ss_run_hist(ss_run *r, int module, uint64_t *counts, ss_err *e);

/* The dimensions of one sample in a data set, without those before them. */
typedef struct {
    int rank;
    int64_t dim[4];
    int64_t n; /* product of dim */
} ss_run_shape;

/* False if there is no such data set, or if its shape is wrong. */
bool ss_run_has_channels(ss_run *r, int module, int64_t *channels);
/* Reads x [port][input][sigma][channel]; name: absmax or rms. */
ss_code ss_run_channel_stats(ss_run *r, int module, const char *name, float *x, ss_err *e);

/* Data sets by their path in the file, [input, sigma, sample, ...]: "/inputs/x",
 * "/outputs/denoised", and activations. False if there is no such set, or if its shape is wrong. */
bool ss_run_has_pictures(ss_run *r, const char *set, ss_run_shape *shape);
/* Reads one sample, shape.n values. */
ss_code ss_run_picture(ss_run *r, const char *set, int input, int sigma, int sample, float *x,
                       ss_err *e);

/* The path of a module's activations, "/activations/PATH"; the caller frees it with ss_free. NULL:
 * no memory. */
char *ss_run_activation_set(const char *path);

#endif
