/* run_reader.h - reading run files, ours and those made by somebody else's hooks
 *
 *   ss_run *r;
 *   ss_run_open("RUN.h5", &r, &err);
 *   const float *absmax;
 *   ss_run_stat(r, "absmax", &absmax, &err);        // NULL where the file has none
 *   float x = absmax[ss_run_at(r, module, port, input, sigma, sample)];
 *   ss_run_close(r);
 *
 * Liberal in what is there: a file needs /axes/module, /axes/sigma and any of the data sets
 * (layout: run_file.h). An absent axis counts as one entry, and data sets then lack that
 * dimension; numbers may have any type, texts fixed or variable length; attributes may be
 * missing. Strict in what it says: ranks and sizes must agree with the axes, and nothing is
 * allocated before it was checked. Nothing of a file can end the process.
 *
 * Noise levels that are not done read as NaN, or 0 in counts, whatever is in the file.
 * One thread at a time may use any reader, for HDF5 is not thread-safe.
 */
#ifndef SS_RUN_READER_H
#define SS_RUN_READER_H

#include "base/err.h"
#include "base/shape.h"
#include "base/site.h"
#include "base/structure.h"
#include "base/torch_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SS_RUN_MAX_VALUES = 1 << 28 }; /* of one data set, or part of one, in memory */

enum { SS_RUN_EXPONENTS = 256 }; /* bins of /hist/exponent: the biased exponents of f32 */

typedef struct ss_run {
    char *path;
    /* attributes; "" where the file has none, never NULL */
    char *tool, *command, *model_path, *family, *model_sha256, *device, *precision, *condition,
        *prediction_type, *schedule, *created, *plan, *ignored_tensors;
    uint64_t seed;
    bool has_seed; /* else the file tells none, and seed is 0 */
    int threads;   /* 0: the file does not tell */
    int minor;     /* of the layout version, 0 where the file has none */
    bool complete;
    /* The PyTorch code that analyses judge a format for: what it stores in it (ss_site_is_stored).
     * As the run says, else half and sdpa; a command may set another. */
    ss_round_scope as;
    ss_attention_code attention;
    bool as_given; /* by a command: then lists of what stays in fp32 are for it, not for autocast */

    /* axes; an absent one has one entry, "output" for the port, "" for the input */
    int n_modules, n_ports, n_inputs, n_sigmas, n_samples;
    char **modules, **ports, **inputs;
    char **pictures;       /* [input][sample] names of files, "" without; NULL: none is known */
    char **kinds;          /* [module], NULL: unknown */
    float *module_weights; /* what ss_run_module_weights made, or NULL */
    int n_real;            /* how many of n_modules are no inner values */
    ss_inner *inner;       /* [module] by their kinds; SS_INNER_NONE of modules */
    uint8_t *blocks;       /* [module], NULL: unknown */
    double *sigmas;        /* NULL in a training run, which has */
    int64_t *steps;        /*   these in their place, wherever a sigma is asked for; else NULL */
    float *timesteps;      /* [sigma], NULL: none */
    uint8_t *done;         /* [sigma] */
    int n_done;
    int n_layers, n_heads; /* 0: no attention */
    char **layers;
    int64_t n_parameters; /* 0: none */
    char **parameters;
    int n_radii; /* 0: no spectra */
    double *radii;
    ss_structure_row *structure; /* what of the network lets activations grow, as the file has it */
    int n_structure;             /* 0: the file tells nothing of that */
    int n_bins;                  /* 0: no loss by noise level, of a training run */
    double *bins;

    struct ss_run_cache *cache; /* what was read, and the open file */
} ss_run;

/* A run over noise levels; one over training steps is SS_USAGE. */
ss_code ss_run_open(const char *path, ss_run **r, ss_err *e);
/* Either: r->steps tells which. */
ss_code ss_run_open_any(const char *path, ss_run **r, ss_err *e);
void ss_run_close(ss_run *r); /* NULL is fine */

/* Sets the code that analyses judge for, by the names of --as and --attention; NULL: as it is.
 * SS_USAGE, with the option's name, for an unknown one. */
ss_code ss_run_set_code(ss_run *r, const char *as, const char *attention, ss_err *e);

/* Whole data sets, read on the first call and kept until close; *x = NULL where the file has
 * none. Borrowed.
 *   stat       [module][port][input][sigma][sample], names of base/stats.h
 *   nonfinite  the same, counts
 *   attention  [layer][head][input][sigma][sample], names of base/stats.h
 *   weights    [parameter], "absmax" or "rms"; weights_nonfinite: counts
 *   loss       [input][sigma][sample]
 *   psd        [input][sigma][sample][radius]
 *   training   [step] loss penalty norm rate scale skipped skips; [step][sample] sigma sample_loss;
 *              [bin][step] loss_by_sigma
 *   updates    [parameter][step] gradient_rms update_rms weight_rms staleness */
ss_code ss_run_stat(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_nonfinite(ss_run *r, const uint64_t **x, ss_err *e);
ss_code ss_run_attention(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_attention_keys(ss_run *r, const float **keys, ss_err *e); /* [layer] */
/* [layer] how many heads each has; NULL in files before layout version 1.2, and of other hooks. */
ss_code ss_run_attention_heads(ss_run *r, const float **heads, ss_err *e);
ss_code ss_run_weights(ss_run *r, const char *name, const float **x, ss_err *e);
/* [module] largest |x| of its own parameters, NaN: it has none; *x NULL: the file has no weights.
 */
ss_code ss_run_module_weights(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_weights_nonfinite(ss_run *r, const uint64_t **x, ss_err *e);
ss_code ss_run_loss(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_psd(ss_run *r, const float **x, ss_err *e);
ss_code ss_run_training(ss_run *r, const char *name, const float **x, ss_err *e);
ss_code ss_run_updates(ss_run *r, const char *name, const float **x, ss_err *e);

/* Index into the arrays of stat and nonfinite, and into those of attention. */
size_t ss_run_at(const ss_run *r, int module, int port, int input, int sigma, int sample);
size_t ss_run_attention_at(const ss_run *r, int layer, int head, int input, int sigma, int sample);

/* "sample 3", or where its picture has a name "sample 3, cat.png"; returns out. */
char *ss_run_sample_name(const ss_run *r, int input, int sample, char *out, size_t n);

/* Index of a port, or -1. */
int ss_run_port(const ss_run *r, const char *name);

/* Exponent counts of one module, [port][input][sigma][256], into the caller's array: a file
 * of any size is read in little memory. */
bool ss_run_has_hist(const ss_run *r);
ss_code ss_run_hist(ss_run *r, int module, uint64_t *counts, ss_err *e);

/* Data sets that not every module has, by their path in the file. shape: without the
 * dimensions that lead. */
typedef struct {
    int rank;
    int64_t dim[4];
    int64_t n; /* all dim multiplied */
} ss_run_shape;

/* False where there is none, or it is not as it should be. */
bool ss_run_has_channels(ss_run *r, int module, int64_t *channels);
/* [port][input][sigma][channel] of the caller; name: absmax or rms. */
ss_code ss_run_channel_stats(ss_run *r, int module, const char *name, float *x, ss_err *e);

/* Pictures: "/inputs/x", "/outputs/denoised" [input, sigma, sample, ...]. */
bool ss_run_has_pictures(ss_run *r, const char *set, ss_run_shape *shape);
/* One sample, shape.n values of the caller. */
ss_code ss_run_picture(ss_run *r, const char *set, int input, int sigma, int sample, float *x,
                       ss_err *e);

/* The name of a module's activations, "/activations/PATH"; ss_free. NULL: no memory. */
char *ss_run_activation_set(const char *path);

#endif
