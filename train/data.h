/* data.h - training pictures or videos and their labels, behind one interface
 *
 *   idx      a file of gray pictures and one of labels, as MNIST and Fashion-MNIST come,
 *            averaged down by whole pixels and centred on a background of -1
 *   folder   PNG files listed with their captions in FOLDER/captions.jsonl; for videos folders of
 *            PNG files, or strips of frames
 *   shapes   squares, discs and triangles, drawn as they are needed, never the same twice
 *   scenes   balls and boxes in a room, whose depth is known: a channel more than the picture's has
 *            it (data_scenes.c)
 *   moving   the pictures of idx files, one or two of them moving over the canvas
 *            (probe/moving.h)
 *
 * A sample is a picture [h][w][c], or with `frames` a video [frames][h][w][c]. A share of videos
 * can be made static: one of their frames, repeated, with a caption or a class that says so. A
 * network trained so can be led away from videos that stand still.
 *
 * Sample i of step s depends on (seed, s, i) alone, through the counter-based numbers of
 * base/rng.h: a resumed run draws what an uninterrupted one would have drawn, and nothing
 * has to be saved. Pictures of files are drawn uniformly with replacement.
 *
 *   ss_data_options opt = ss_data_defaults();
 *   opt.kind = SS_DATA_IDX;
 *   opt.path = "train-images-idx3-ubyte.gz";
 *   rc = ss_data_open(&opt, &d, &err);
 *   ss_data_batch(d, step, 32, x, label);
 *   ss_data_close(d);
 */
#ifndef SS_TRAIN_DATA_H
#define SS_TRAIN_DATA_H

#include "base/err.h"
#include "probe/moving.h"

#include <stdbool.h>
#include <stdint.h>

#define SS_DATA_KINDS(X) \
    X(IDX, "idx")        \
    X(FOLDER, "folder")  \
    X(SHAPES, "shapes")  \
    X(MOVING, "moving")  \
    X(SCENES, "scenes")
#define X(name, text) SS_DATA_##name,
typedef enum { SS_DATA_KINDS(X) SS_N_DATA_KINDS } ss_data_kind;
#undef X

typedef struct {
    ss_data_kind kind;
    const char *path;   /* idx, moving: the pictures; folder: the folder; others: not used */
    const char *labels; /* idx, moving: the labels, or NULL for none */
    int frames;         /* of a sample; 0: samples are pictures */
    int h, w, c;        /* size of the network's input; c is 1 or 3, of scenes with their
                           depth 2 or 4 */
    int pool;           /* idx, moving: a value is the mean over pool x pool pixels */
    bool flip;          /* mirrors every second picture, left to right, at random */
    double dropout;     /* chance, 0 to 1, that a sample gets the null class for its label */
    int64_t null_class; /* the label that stands for no condition; -1: there is none */
    /* A rare class makes batches that Adam's second moment does not expect: every rare_every-th
     * step has its pictures only, times rare_scale, and no other step has any. */
    int64_t rare; /* -1: there is none */
    int64_t rare_every;
    double rare_scale;
    /* folder, videos: of so many frames one is taken; 1: all. A video begins anywhere in its file
     * where there is room for all its frames. */
    int stride;
    bool stills; /* folder, videos: a picture is a video of one frame, repeated */
    ss_moving_options moving;
    double second;            /* moving: chance that there are two items; both begin anywhere, move
                                 and keep their size, and the first gives the class */
    bool texts;               /* moving: labels are numbers of captions, not classes */
    const char *const *names; /* moving, texts: [n_names] of the classes; NULL: Fashion-MNIST's */
    int n_names;
    double static_share;       /* chance that a video is made static */
    const char *static_prefix; /* of its caption, where captions are texts */
    int64_t static_class;      /* its label, where labels are classes; -1: there is none */
    uint64_t seed;
} ss_data_options;

/* 16 x 16 x 1 shapes, no pooling, flips, dropout or rare class, seed 0; a rare class at every 100th
 * step, times -4; stride 1, items as ss_moving_defaults has them, one at a time; no static videos,
 * whose prefix is "static video, no movement. ". */
ss_data_options ss_data_defaults(void);

typedef struct ss_data ss_data;

/* Reads the pictures into memory. Errors name the file and what is wrong in it. SS_USAGE: options
 * do not go together (dropout without a null class, pictures larger than h x w, static videos that
 * no label tells). */
ss_code ss_data_open(const ss_data_options *opt, ss_data **d, ss_err *e);
void ss_data_close(ss_data *d); /* NULL is fine */

int64_t ss_data_size(const ss_data *d);    /* pictures or videos to draw from (moving: items); 0 if
                                              they never end */
int64_t ss_data_classes(const ss_data *d); /* largest label + 1, without the null class and that of
                                              static videos; 0 if there are no labels */
/* The text of the caption with this number; NULL if captions are no texts. */
const char *ss_data_caption(const ss_data *d, int64_t label);

/* Samples 0 .. n-1 of a step. x [n][h][w][c] or [n][frames][h][w][c] in [-1,1]; label [n] may be
 * NULL; without labels all are the null class. May be called from any thread. */
void ss_data_batch(const ss_data *d, int64_t step, int n, float *x, int64_t *label);

/* Picture or video i as training may show it, i from 0 to ss_data_size - 1; any i if pictures never
 * end. With `flip`, i decides whether it is mirrored, and where a video begins or how an item
 * moves; dropout, static videos and the rare class change nothing. x of one sample; *label is the
 * null class if there are no labels. */
void ss_data_picture(const ss_data *d, int64_t i, float *x, int64_t *label);

#endif
