/* conv_cases.h - convolutions that fill no vector: channels, strides, uneven padding, cut borders
 */
#ifndef SS_CONV_CASES_H
#define SS_CONV_CASES_H

#include "kernels/ops.h"

typedef struct {
    int64_t n, h, w, in, out, kh, kw;
    ss_conv2d_opt opt;
} conv_case;

static const conv_case cases[] = {
    {2, 7, 9, 8, 16, 3, 3, {1, 1, 1, 1, 1}},    {1, 13, 11, 131, 24, 3, 3, {1, 1, 1, 1, 1}},
    {3, 8, 8, 17, 9, 3, 3, {1, 1, 1, 1, 1}},    {2, 9, 12, 16, 40, 3, 3, {2, 1, 1, 1, 1}},
    {1, 10, 7, 12, 33, 5, 5, {1, 2, 2, 2, 2}},  {1, 6, 15, 24, 56, 1, 3, {1, 0, 2, 0, 0}},
    {2, 5, 6, 10, 8, 3, 2, {1, 2, 0, 0, 1}},    {1, 16, 16, 64, 64, 3, 3, {1, 1, 1, 1, 1}},
    {2, 9, 9, 20, 12, 3, 3, {1, -1, -2, 0, 1}}, {1, 2, 3, 9, 130, 3, 3, {1, 1, 1, 1, 1}},
    {1, 1, 97, 8, 8, 1, 2, {1, 0, 1, 0, 0}},    {2, 11, 10, 15, 21, 3, 3, {3, 2, 1, 0, 2}},
    {2, 9, 9, 33, 20, 3, 3, {1, -1, -2, 0, 1}}, {3, 7, 5, 40, 33, 3, 3, {1, 2, 0, 1, 2}},
    {1, 33, 7, 24, 16, 3, 3, {1, 1, 1, 1, 1}},  {1, 9, 50, 140, 35, 1, 1, {1, 0, 0, 0, 0}},
    {2, 1, 1, 33, 64, 1, 1, {1, 0, 0, 0, 0}},   {1, 21, 20, 300, 24, 1, 1, {1, 0, 0, 0, 0}},
    {5, 3, 33, 150, 90, 3, 3, {1, 0, 1, 0, 1}},
};

/* Each with these numbers of channels in and out, in the place of 0. */
static const int64_t odd_channels[] = {1, 3, 7, 8, 33};
static const conv_case odd_ways[] = {
    {1, 9, 50, 0, 0, 1, 1, {1, 0, 0, 0, 0}}, /* pixels enough to be cut into blocks */
    {1, 1, 37, 0, 0, 1, 1, {1, 0, 0, 0, 0}}, {2, 19, 30, 0, 0, 1, 1, {2, 0, 0, 0, 0}},
    {1, 9, 50, 0, 0, 3, 3, {1, 1, 1, 1, 1}}, {1, 7, 6, 0, 0, 3, 3, {2, 0, 0, 1, 1}},
};
enum {
    N_ODD_CHANNELS = sizeof odd_channels / sizeof *odd_channels,
    N_ODD = N_ODD_CHANNELS * N_ODD_CHANNELS * sizeof odd_ways / sizeof *odd_ways
};

static inline conv_case odd_case(size_t i)
{
    conv_case c = odd_ways[i / N_ODD_CHANNELS / N_ODD_CHANNELS];

    c.in = odd_channels[i / N_ODD_CHANNELS % N_ODD_CHANNELS];
    c.out = odd_channels[i % N_ODD_CHANNELS];
    return c;
}

#endif
