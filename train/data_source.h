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
    /* Draws one sample x [h][w][c], or [frames][h][w][c], and its label by the numbers of r from
     * SS_DATA_OWN on. */
    void (*draw)(const ss_data *d, ss_rng r, float *x, int64_t *label);
    /* Reads picture i < d->n and its label; r decides what else there is to draw of a video. NULL
     * for pictures that are made as they are needed. */
    void (*read)(const ss_data *d, int64_t i, ss_rng r, float *x, int64_t *label);
    bool pictures; /* both fill the first frame alone */
} ss_data_source;

/* Numbers of a sample's stream, by what they decide. */
enum { SS_DATA_FLIP, SS_DATA_DROP, SS_DATA_STATIC, SS_DATA_STATIC_FRAME, SS_DATA_OWN };

struct ss_data {
    ss_data_options opt;       /* path, labels, names and static_prefix are not kept */
    const char *path, *labels; /* borrowed; only while it is opened */
    const ss_data_source *source;
    int64_t n, classes;
    ss_idx pictures, marks; /* idx, moving */
    float *items;           /* moving: [n][h / pool][w / pool], averaged down */
    ss_moving_box box;      /* moving */
    int64_t kinds;          /* moving: classes of items */
    float *x;               /* folder: [frames of all][h][w][c], one after another */
    int64_t *first;         /* folder: [n + 1] frame that entry i begins with */
    int64_t *label;         /* folder: [n] */
    char **caption;         /* texts: [n_captions] */
    int64_t n_captions;     /* 0: captions are no texts */
    int64_t n_plain;        /* of them those of videos that move; the others are static */
};

extern const ss_data_source ss_data_source_idx, ss_data_source_folder, ss_data_source_shapes,
    ss_data_source_moving, ss_data_source_scenes;

/* Reads pictures and labels of idx files, and refuses pictures larger than a sample's. */
ss_code ss_data_open_idx(ss_data *d, ss_err *e);

/* Appends the frames of one entry of captions.jsonl, `where` in messages, to d->x; *n
 * counts them, *room is the memory for them. file is a PNG file, or a folder of them; strip: frames
 * side by side in it, 0: it is a picture. SS_USAGE, with its name, for one that is too short. */
ss_code ss_data_read_frames(ss_data *d, const char *where, const char *file, int strip, size_t *n,
                            size_t *room, ss_err *e);

/* Makes the captions of items that move, one for each label (moving_captions.c). */
ss_code ss_data_name_moving(ss_data *d, ss_err *e);
/* The label of a sample with an item of class_a on path a and, unless b is NULL, another. */
int64_t ss_data_moving_label(const ss_data *d, const ss_moving_path *a, int64_t class_a,
                             const ss_moving_path *b, int64_t class_b);

/* Frames of a sample, 1 of a picture; and values of one. */
int ss_data_frames(const ss_data *d);
size_t ss_data_frame_values(const ss_data *d);

/* Draws a whole number of 0 .. n-1 by number i of r, uniform to 2^-32. */
int64_t ss_data_pick(ss_rng r, uint64_t i, int64_t n);

#endif
