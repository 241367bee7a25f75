/* samples.h - the samples that a folder of `generate` holds, read back
 *
 * generate.json (generate.h) says of each model which pictures are its, what each was asked to be,
 * how many of its values were not finite, and how large they were before they were cut to the
 * range of a picture.
 *
 *   rc = ss_samples_open("samples/", &s, &err);
 *   rc = ss_samples_picture(s, m, i, h, w, c, bytes, &err);
 *   ss_samples_close(s);
 */
#ifndef SS_PROBE_SAMPLES_H
#define SS_PROBE_SAMPLES_H

#include "base/err.h"

#include <stdint.h>

enum { SS_SAMPLES_MAX = 1 << 16, SS_SAMPLES_NO_CLASS = -1 };

typedef struct {
    const char *name;     /* of its folder, "01-step-06000" */
    int64_t *nonfinite;   /* [n] values of each sample that are inf or NaN */
    double *absmax;       /* [n] */
    const char **picture; /* [n] relative to the folder; borrowed */
} ss_samples_model;

typedef struct {
    char *path; /* the folder */
    int n;      /* samples of each model */
    int *asked; /* [n] class, or SS_SAMPLES_NO_CLASS */
    int n_models;
    ss_samples_model *models;
    void *json; /* what the texts lie in, owned */
} ss_samples;

/* SS_FORMAT, with the file and the key, for a folder that is not as generate.h describes it. */
ss_code ss_samples_open(const char *folder, ss_samples **s, ss_err *e);
void ss_samples_close(ss_samples *s); /* NULL is fine */

/* bytes [h][w][c] = picture i of model m: 0 for -1 and less, 255 for 1 and more. SS_SHAPE for one
 * of another size. Of a sample that is not finite there are no bytes: SS_USAGE. */
ss_code ss_samples_picture(const ss_samples *s, int m, int i, int h, int w, int c, uint8_t *bytes,
                           ss_err *e);

#endif
