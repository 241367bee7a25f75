/* judge.h - judges samples by the pictures that a configuration trains on
 *
 *   a sixth of the labelled pictures, at most 10000, is held out, for every seed the same ones
 *   a classifier (classifier.h) is trained on the others, or read from a file
 *   its features of the pictures held out are the reference of a Fréchet distance
 *
 * They are held out because a network has other features of pictures that it was trained on. All
 * pictures are rounded to the bytes that `generate` would write of them, as samples are.
 */
#ifndef SS_TRAIN_JUDGE_H
#define SS_TRAIN_JUDGE_H

#include "train/classifier.h"
#include "train/config.h"

typedef struct {
    const char *classifier; /* read if it is there, else written; NULL: kept nowhere */
    uint64_t seed;          /* of the classifier's weights and batches */
    int threads;
    const char *device;
    int64_t most; /* pictures that are used; 0: 65536 */
    int steps; /* of the classifier's training; 0: four times through the pictures, at least 300 */
} ss_judge_options;

/* Pictures, and what the classifier says of them. */
typedef struct {
    int64_t n;
    uint8_t *pictures; /* [n][h][w][c], owned like all others */
    int *label;        /* [n] */
    float *features;   /* [n][SS_CLASSIFIER_FEATURES] */
    int *taken;        /* [n] */
    float *confidence; /* [n] */
} ss_looks;

typedef struct {
    int h, w, c, classes;
    int64_t null_class; /* the label that asks for no class; -1: there is none */
    ss_classifier *classifier;
    ss_looks held;  /* pictures that the classifier was not trained on */
    int64_t n_used; /* pictures it was trained on */
    bool loaded;    /* from a file */
    char data[65];  /* fingerprint of the pictures, labels and sizes */
} ss_judge;

/* Reads the data of t, makes or reads the classifier, and lets it look at the pictures held out.
 * SS_USAGE for data without labels, of one class, or of less than 60 pictures. */
ss_code ss_judge_new(const ss_train_config *t, const ss_judge_options *opt, ss_judge **j,
                     ss_err *e);
void ss_judge_free(ss_judge *j); /* NULL is fine */

/* The number of bytes of a picture; and whether all have the same value, so that it shows nothing.
 */
size_t ss_judge_picture(const ss_judge *j);
bool ss_judge_flat(const ss_judge *j, const uint8_t *picture);

/* Makes room for n pictures; lets the classifier look at those in l->pictures. */
ss_code ss_looks_new(const ss_judge *j, int64_t n, ss_looks *l, ss_err *e);
ss_code ss_looks_take(ss_judge *j, ss_looks *l, ss_err *e);
void ss_looks_release(ss_looks *l); /* {0} is fine */

#endif
