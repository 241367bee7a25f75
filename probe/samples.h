/* samples.h - reads the samples in a folder that `generate` wrote
 *
 * generate.json (generate.h) has, for each model, the pictures, the condition of each, how many of
 * its values were not finite, and how large they were before they were clipped to the range of a
 * picture.
 *
 *   rc = ss_samples_open("samples/", &s, &err);
 *   rc = ss_samples_picture(s, m, i, h, w, c, bytes, &err);
 *   ss_samples_close(s);
 */
#ifndef SS_PROBE_SAMPLES_H
#define SS_PROBE_SAMPLES_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { SS_SAMPLES_MAX = 1 << 16, SS_SAMPLES_NO_CLASS = -1 };

typedef struct {
    const char *name;     /* name of its folder, "01-step-06000" */
    int64_t *nonfinite;   /* [n] values of each sample that are inf or NaN */
    double *absmax;       /* [n] */
    const char **picture; /* [n] relative to the folder; borrowed */
    int frames;           /* of each sample, side by side in its picture; 0: they are no videos */
} ss_samples_model;

typedef struct {
    char *path; /* the folder */
    int n;      /* samples of each model */
    int *asked; /* [n] class, or SS_SAMPLES_NO_CLASS */
    int n_models;
    ss_samples_model *models;
    bool chain; /* models are the stages of a chain, each made from the one before */
    void *json; /* holds the texts; owned */
} ss_samples;

/* Opens a folder. SS_FORMAT, with the file and the key, if it is not as generate.h describes. */
ss_code ss_samples_open(const char *folder, ss_samples **s, ss_err *e);
void ss_samples_close(ss_samples *s); /* NULL is fine */

/* bytes [h][w][c] = picture i of model m: 0 for -1 and less, 255 for 1 and more. SS_SHAPE for a
 * picture of another size; SS_USAGE for a sample that is not finite. */
ss_code ss_samples_picture(const ss_samples *s, int m, int i, int h, int w, int c, uint8_t *bytes,
                           ss_err *e);

#endif
