/* tokens.h - outlier tokens: few positions of a map or sequence that are much larger than the
 * others
 *
 * Of a dumped activation of one sample, [position][channel], with n_p = sqrt(sum_c x_pc^2):
 * position p is an outlier when n_p is at least SS_TOKEN_OUTLIER times the median of n over the
 * positions. A map whose median is 0, or with a value that is not finite, is left out.
 *
 * Each frame of a video is a map of its own.
 *
 * Transformers that have nothing to do at a position use it as a register: its norm is some ten
 * times that of the others, its own content is lost, and it is nearly all in a few channels
 * ("massive activations"). So the table also has whether it is always the same position, and how
 * much of the squared norm the largest channel has. An outlier of this kind brings a small format
 * to its limit though the rest of the map is usual.
 *
 * Darcet, Oquab, Mairal, Bojanowski 2024, "Vision Transformers Need Registers", arXiv 2309.16588;
 * Sun, Chen, Kolter, Liu 2024, "Massive Activations in Large Language Models", arXiv 2402.17762.
 */
#ifndef SS_ANALYZE_TOKENS_H
#define SS_ANALYZE_TOKENS_H

#include "analyze/one/sites.h"
#include "base/table.h"

enum {
    SS_TOKEN_OUTLIER = 5,
    SS_TOKEN_MIN = 8 /* fewest positions, and channels, of which a median means something */
};

typedef struct {
    int module;
    int h, w;                    /* of a map; 0 in a sequence of tokens */
    int frames;                  /* 0: not of videos */
    int64_t positions, channels; /* of a map */
    double ratio;                /* the largest n / median */
    double norm;                 /* that n */
    int64_t position;            /* its position */
    int sigma, input, sample, frame;
    int64_t channel; /* the largest channel of that position */
    double of_norm;  /* the share of n^2 that this channel has */
    int n_maps;      /* maps that could be measured, of all noise levels, inputs, samples, frames */
    int n_with;      /* maps with an outlier */
    int n_same;      /* maps with an outlier whose largest is at `position` */
    int64_t most;    /* outliers in one map, the largest number */
} ss_token_row;

typedef struct {
    ss_token_row *rows; /* modules with outliers; largest ratio first */
    int n;
    int n_modules; /* modules that could be measured */
} ss_tokens;

/* n_modules is 0 where the run has no activations of several positions (probe --dump). */
ss_code ss_tokens_find(ss_run *r, const ss_sites *sites, ss_tokens *t, ss_err *e);
void ss_tokens_release(ss_tokens *t); /* {0} is fine */

/* "3" of a sequence, "1,2" of a map: row and column, "5:1,2" of a video: frame before them;
 * returns out. */
char *ss_token_position(const ss_token_row *row, char *out, size_t n);

ss_code ss_tokens_table(const ss_run *r, const ss_tokens *k, int top, ss_table *t, ss_err *e);

#endif
