/* classifier.h - a small network that finds the class of a picture, and features of it
 *
 *   x [N][H][W][c]
 *   three times  Conv2d 3x3, stride 2 -> GroupNorm -> SiLU       16, 32, 64 channels
 *   mean over positions                                          [N][64], the features
 *   Linear                                                       [N][classes], logits
 *
 * A gray picture of 16 x 16 takes 160 thousand multiply-adds. Adam trains it on the cross entropy,
 *
 *   L = -log p[label],  p = softmax(logits),  dL/dlogits = p - [label]
 *
 * the same bits for the same seed on any number of threads. Pictures are bytes, as `generate`
 * writes them, 0 black and 255 white; the network sees v / 127.5 - 1.
 *
 *   rc = ss_classifier_new(&opt, &k, &err);
 *   rc = ss_classifier_train(k, pictures, labels, n, steps, &err);    // or ss_classifier_load
 *   rc = ss_classifier_look(k, pictures, n, features, taken, confidence, &err);
 *   ss_classifier_free(k);
 */
#ifndef SS_TRAIN_CLASSIFIER_H
#define SS_TRAIN_CLASSIFIER_H

#include "base/err.h"

#include <stdint.h>

enum { SS_CLASSIFIER_FEATURES = 64, SS_CLASSIFIER_MAX_CLASSES = 1000 };

typedef struct {
    int h, w, c; /* of pictures, c 1 or 3, sides 2 and more */
    int classes; /* 2 to SS_CLASSIFIER_MAX_CLASSES */
    uint64_t seed;
    int threads;        /* 0: all */
    const char *device; /* NULL: the CPU */
} ss_classifier_options;

typedef struct ss_classifier ss_classifier;

/* An untrained one. */
ss_code ss_classifier_new(const ss_classifier_options *opt, ss_classifier **k, ss_err *e);
void ss_classifier_free(ss_classifier *k); /* NULL is fine */

/* Trains it for `steps` steps of 128 pictures, drawn with replacement from pictures [n][h][w][c]
 * and their labels [n], 0 to classes - 1. */
ss_code ss_classifier_train(ss_classifier *k, const uint8_t *pictures, const int *labels, int64_t n,
                            int steps, ss_err *e);

/* Looks at pictures [n][h][w][c]: features [n][SS_CLASSIFIER_FEATURES], the most likely class
 * taken [n], and its probability confidence [n]. No picture's numbers depend on another's. */
ss_code ss_classifier_look(ss_classifier *k, const uint8_t *pictures, int64_t n, float *features,
                           int *taken, float *confidence, ss_err *e);

/* Its weights as a safetensors file, written whole or not at all; `data` is a fingerprint of what
 * it was trained on. load: a file with another fingerprint or of another network is SS_FORMAT, and
 * changes nothing. */
ss_code ss_classifier_save(const ss_classifier *k, const char *path, const char *data, ss_err *e);
ss_code ss_classifier_load(ss_classifier *k, const char *path, const char *data, ss_err *e);

#endif
