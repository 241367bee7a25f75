/* input_source.h - sources of inputs, and an input as they see it; private to input*.c
 *
 * Each kind of source is one ss_input_source. All but noise load their pictures into in->pictures
 * when the input is opened; noise is drawn sample by sample. Messages of a source need not name the
 * spec: input.c adds it.
 */
#ifndef SS_PROBE_INPUT_SOURCE_H
#define SS_PROBE_INPUT_SOURCE_H

#include "fft/filter.h"
#include "fft/noise.h"
#include "probe/input.h"

typedef struct {
    ss_filter_kind kind;
    double cutoff;
} ss_input_filter_step;

typedef struct ss_input_source {
    const char *name; /* "grating" */
    const char *form; /* what follows the colon: "CYCLES,ANGLE" */
    ss_input_kind kind;
    bool pictures; /* it makes pictures, which a latent model's encoder has to see */
    ss_code (*parse)(ss_input *in, const char *arg, ss_err *e);
    ss_code (*load)(ss_input *in, ss_err *e); /* NULL: nothing to load */
} ss_input_source;

struct ss_input {
    char *label;
    const ss_input_source *source;
    ss_input_filter_step filter[SS_INPUT_MAX_FILTERS]; /* in the order they are applied */
    int n_filters;
    /* the source's arguments */
    char *path;
    double number[2];
    ss_noise_color color;
    /* set by ss_input_open */
    ss_sample_size size;
    int samples;
    int n_pictures;  /* 1 serves every sample */
    float *pictures; /* [n_pictures] samples */
    char **names;    /* [n_pictures] of their files, or NULL */
    int n_names;
};

extern const ss_input_source ss_source_images, ss_source_idx, ss_source_tensor, ss_source_raw;
extern const ss_input_source ss_source_constant, ss_source_grating, ss_source_checker;
extern const ss_input_source ss_source_noise, ss_source_latents, ss_source_moving;

/* Keeps arg as in->path; SS_USAGE if it is empty. */
ss_code ss_input_parse_path(ss_input *in, const char *arg, ss_err *e);

/* Parses a number that ends before the character `end`; returns the text after that, or NULL. */
const char *ss_input_parse_number(const char *text, char end, double *value);

/* Makes room for n pictures, or videos, uninitialised. */
ss_code ss_input_allocate(ss_input *in, int n, ss_err *e);

/* Keeps the last part of the path of picture i; call it after ss_input_allocate. */
ss_code ss_input_name(ss_input *in, int i, const char *path, ss_err *e);

/* Picture i of in->pictures. */
float *ss_input_picture(const ss_input *in, int i);
/* Frame f of picture i; frame 0 is the picture itself, if there are no frames. */
float *ss_input_frame(const ss_input *in, int i, int f);
/* Copies frame 0 of picture i to its other frames. */
void ss_input_hold(ss_input *in, int i);

#endif
