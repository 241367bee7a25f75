/* data_source.h - the inside of a data set, and the functions of each kind of data
 *
 * Messages name the file that they are about.
 */
#ifndef SS_TRAIN_DATA_SOURCE_H
#define SS_TRAIN_DATA_SOURCE_H

#include "base/rng.h"
#include "probe/idx.h"
#include "train/data.h"

typedef struct {
    ss_code (*open)(ss_data *d, ss_err *e);
    /* Draws one sample x [h][w][c] and its label by the numbers of r from SS_DATA_OWN on. */
    void (*draw)(const ss_data *d, ss_rng r, float *x, int64_t *label);
    /* Reads picture i < d->n and its label; NULL for pictures that are made as they are needed. */
    void (*read)(const ss_data *d, int64_t i, float *x, int64_t *label);
} ss_data_source;

/* Numbers of a sample's stream, by what they decide. */
enum { SS_DATA_FLIP, SS_DATA_DROP, SS_DATA_OWN = 4 };

struct ss_data {
    ss_data_options opt;       /* path and labels are not kept */
    const char *path, *labels; /* borrowed; only while it is opened */
    const ss_data_source *source;
    int64_t n, classes;
    ss_idx pictures, marks; /* idx */
    float *x;               /* folder: [n][h][w][c] */
    int64_t *label;         /* folder: [n] */
    char **caption;         /* folder, texts: [n] */
};

extern const ss_data_source ss_data_source_idx, ss_data_source_folder, ss_data_source_shapes;

/* Draws a whole number of 0 .. n-1 by number i of r, uniform to 2^-32. */
int64_t ss_data_pick(ss_rng r, uint64_t i, int64_t n);

#endif
