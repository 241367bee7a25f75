/* run_mechanism.h - run files of trainings that diverge, with the numbers of real ones
 *
 * Each table was made by tests/golden/make_mechanism.py from the statistics.h5 of a training of
 * train/configs/fast-16.unet.json. A file has one module of each kind that decides a mechanism,
 * eight samples at eight noise levels, and ten parameters.
 */
#ifndef SS_TESTS_RUN_MECHANISM_H
#define SS_TESTS_RUN_MECHANISM_H

#include "runfile/run_file.h"

#include <math.h>

typedef struct {
    int64_t step;
    double stream, encoder, others; /* largest |x|; the stream's is the decoder's */
    double logit, product, input; /* of the leading layer: largest, RMS(q) RMS(k), of their input */
    double entropy;               /* least of a head, normalised */
    double loss, rate, staleness, share, update, weights; /* NAN in a step that was skipped */
} mech_row;

/* The slow regime: every layer has a norm (fast-16, attn_norm_num_groups 8, e4m3-ieee, seed 0).
 * up_blocks.0.attentions.1 */
static const mech_row mech_stream[] = {
    {1, 2.5, 2.5, 6.03, 1.03, 0.34, 0.998, 0.995, 0.955, 5e-05, 1, 0, 0.000847, 1},
    {50, 28.5, 6.5, 9.87, 2.94, 0.582, 0.982, 0.926, 0.291, 0.0025, 2.38, 0.0108, 0.00774, 1.01},
    {200, 36, 7.54, 27.5, 37, 1.63, 0.906, 0.561, 0.181, 0.005, 2.39, 0.00541, 0.00905, 1.03},
    {350, 40, 10, 32.7, 46.8, 1.75, 0.818, 0.486, 0.179, 0.005, 2.24, 0, 0.00815, 1.06},
    {500, 40.3, 11, 40, 66.8, 2.38, 0.761, 0.333, 0.166, 0.005, 2.25, 0, 0.00814, 1.1},
    {650, 56, 15.1, 39.9, 92.1, 2.99, 0.701, 0.271, 0.196, 0.005, 1.34, 0, 0.00737, 1.16},
    {800, 81.2, 14, 47.9, 72.5, 2.95, 0.643, 0.26, 0.127, 0.005, 1.78, 0, 0.00645, 1.22},
    {950, 96, 22.6, 47.4, 86.3, 3.15, 0.595, 0.304, 0.139, 0.005, 1.73, 0, 0.00697, 1.27},
    {1100, 113, 20, 48.4, 66.7, 2.62, 0.501, 0.278, 0.132, 0.005, 1.56, 0, 0.00671, 1.31},
    {1250, 160, 23, 49.4, 64.2, 2.58, 0.464, 0.343, 0.155, 0.005, 1.44, 0, 0.00534, 1.35},
    {1400, 160, 20, 56.1, 92.4, 2.33, 0.422, 0.295, 0.142, 0.005, 2.01, 0, 0.00582, 1.37},
    {1550, 89.8, 32.6, 55.6, 129, 2.63, 0.391, 0.42, 0.173, 0.005, 2.5, 0.00541, 0.00546, 1.42},
    {1700, 224, 22.7, 62.1, 152, 3.92, 0.382, 0.255, 0.155, 0.005, 1.82, 0, 0.00613, 1.46},
    {1850, 246, 28, 70.6, 88.8, 2.96, 0.33, 0.313, 0.132, 0.005, 1.76, 0, 0.00532, 1.5},
    {1950, 282, 30.8, 64.3, 64.7, 2.47, 0.313, 0.365, NAN, 0.005, NAN, 0, NAN, NAN},
};

/* Logits run away: no norm before the middle attention (the same without that key, batch 8).
 * mid_block.attentions.0 */
static const mech_row mech_logits[] = {
    {1, 2.25, 2.25, 5.09, 0.0386, 0.0143, 0.0213, 1, 0.952, 5e-05, 1, 0, 0.000847, 1},
    {10, 3.5, 2.75, 5.09, 0.291, 0.113, 0.311, 1, 0.581, 0.0005, 2.98, 0.0328, 0.00347, 1},
    {30, 8.12, 3.5, 7.2, 1.23, 0.706, 1.68, 0.977, 0.671, 0.0015, 2.85, 0.0273, 0.00526, 1},
    {50, 22.2, 11, 11.7, 8.99, 3.92, 10.6, 0.787, 0.419, 0.0025, 4.47, 0.142, 0.0103, 1.01},
    {70, 22, 9, 13.5, 3.59, 2.16, 4.61, 0.822, 0.35, 0.0035, 1.87, 0, 0.0127, 1.02},
    {90, 24, 7, 21.4, 9.32, 2.04, 2.73, 0.76, 0.273, 0.0045, 1.49, 0, 0.0128, 1.04},
    {110, 22, 9, 19.9, 30.3, 9.85, 9.15, 0.419, 0.201, 0.005, 3.02, 0.0273, 0.0148, 1.06},
    {130, 40, 8, 28.8, 47.9, 16.2, 8, 0.276, 0.21, 0.005, 1.73, 0, 0.0106, 1.09},
    {150, 36.2, 6.5, 31.2, 28.8, 11.1, 3.4, 0.465, 0.225, 0.005, 1.73, 0, 0.00949, 1.08},
    {170, 30.9, 5.5, 31.2, 30, 8.34, 2.73, 0.359, 0.193, 0.005, 2.88, 0.0109, 0.00773, 1.09},
    {190, 36, 8, 29.6, 135, 20.3, 4.88, 0.235, 0.219, 0.005, 2.37, 0.00546, 0.00857, 1.09},
    {210, 36.3, 6.5, 29.6, 135, 15.5, 5.3, 0.148, 0.192, 0.005, 1.57, 0, 0.00744, 1.1},
    {230, 33, 9, 30.2, 92.6, 45.2, 6.97, 0.209, 0.17, 0.005, 1.3, 0, 0.0073, 1.11},
    {250, 52, 11, 26.8, 111, 24.8, 9.19, 0.0901, 0.173, 0.005, 2.56, 0.0219, 0.00961, 1.12},
    {270, 44, 14, 38.1, 655, 166, 14.5, 4.96e-13, 0.144, 0.005, 0.919, 0, 0.00771, 1.13},
    {290, 26, 7, 27.7, 280, 61.3, 8.56, 0.0584, 0.176, 0.005, 3.79, 0.0328, 0.00895, 1.13},
    {310, 80, 80, 280, 3.26e+04, 9.08e+03, 768, 0.000307, 0.192, 0.005, 4.16, 0.0437, 0.00978,
     1.15},
    {330, 254, 192, 635, 2.08e+05, 5.27e+04, 3.58e+03, 2.55e-05, NAN, 0.005, NAN, 0, NAN, NAN},
};

/* The same in fp32 (batch 32, seed 0): the stream breaks at step 600, and the training goes on with
 * what is left of the network. mid_block.attentions.0 */
static const mech_row mech_wreck[] = {
    {1, 2.52, 2.52, 5.9, 0.0387, 0.0142, 0.0215, 1, 0.956, 5e-05, 1, 0, 0.000847, 1},
    {50, 24.7, 6.5, 9.94, 21.1, 6.92, 6.04, 0.736, 0.291, 0.0025, 2.29, 0, 0.00866, 1.01},
    {100, 28.6, 6.97, 18.5, 58.5, 20.7, 9.11, 0.643, 0.235, 0.005, 2.91, 0.00546, 0.0105, 1.03},
    {150, 28.9, 8.62, 18.4, 62.9, 18.4, 7.35, 0.571, 0.194, 0.005, 1.62, 0, 0.00756, 1.04},
    {200, 37.2, 9.29, 21.1, 115, 14.6, 3.74, 0.323, 0.181, 0.005, 2.56, 0.0109, 0.00958, 1.05},
    {250, 34.1, 6.75, 22, 299, 27.6, 4.43, 0.146, 0.161, 0.005, 1.43, 0, 0.00834, 1.06},
    {300, 36.6, 11.1, 45.5, 1.61e+03, 81.9, 8.73, 0.0694, 0.156, 0.005, 2.14, 0, 0.00814, 1.08},
    {350, 32.2, 11.7, 59.7, 1.79e+03, 301, 26, 0.0318, 0.177, 0.005, 3.37, 0.0273, 0.00981, 1.1},
    {400, 57.4, 24.3, 199, 5.07e+04, 3.81e+03, 126, 0.00128, 0.202, 0.005, 2.1, 0, 0.00911, 1.16},
    {450, 65.1, 47.4, 303, 6.75e+04, 7.67e+03, 231, 7.36e-05, 0.152, 0.005, 3.87, 0.071, 0.00858,
     1.19},
    {500, 92.4, 92.4, 448, 2.34e+05, 2.42e+04, 727, 5.86e-08, 0.167, 0.005, 1.52, 0, 0.00863, 1.24},
    {550, 201, 187, 949, 1.1e+06, 1.05e+05, 2.72e+03, 9.28e-15, 0.168, 0.005, 3.83, 0.0984, 0.0094,
     1.27},
    {600, 4.06e+03, 304, 2.27e+03, 3.26e+06, 2.34e+05, 7.93e+03, 0, 0.438, 0.005, 9.57, 0.59,
     0.0281, 1.46},
    {650, 3.48e+06, 3.76e+03, 2.47e+04, 3.16e+08, 3.41e+07, 1.33e+06, 0, 0.744, 0.005, 2.65,
     0.00546, 0.00151, 1.72},
    {700, 2.43e+07, 1.09e+04, 7.45e+04, 4.74e+09, 2e+08, 6.08e+06, 0, 0.636, 0.005, 1.32, 0,
     0.00146, 1.74},
    {750, 2.94e+07, 1.41e+04, 1.02e+05, 8.48e+09, 2.59e+08, 8.3e+06, 0, 0.611, 0.005, 0.698, 0,
     0.000313, 1.74},
    {800, 2.7e+07, 1.41e+04, 9.59e+04, 5.8e+09, 3.63e+08, 1.48e+07, 0, 0.557, 0.005, 0.804, 0,
     0.00018, 1.74},
    {850, 2.54e+07, 1.25e+04, 8.33e+04, 4.8e+09, 1.88e+08, 8.31e+06, 0, 0.603, 0.005, 1.59, 0,
     0.000253, 1.74},
    {900, 2.19e+07, 1.32e+04, 8.58e+04, 4.84e+09, 2.58e+08, 9.67e+06, 0, 0.595, 0.005, 1.29, 0,
     0.000159, 1.75},
    {950, 2.84e+07, 2.23e+04, 1.5e+05, 1.77e+10, 9.53e+08, 2.05e+07, 0, 0.666, 0.005, 1.13, 0,
     0.000246, 1.76},
    {1000, 4.08e+07, 1.83e+04, 1.24e+05, 1.21e+10, 1.24e+09, 2.78e+07, 0, 0.58, 0.005, 1.17, 0,
     0.000204, 1.76},
};

/* The slow regime again, batch 8: logits that outran the stream, collapsed, and then stayed.
 * down_blocks.2.attentions.0 */
static const mech_row mech_plateau[] = {
    {1, 2.25, 2.25, 5.09, 0.874, 0.3, 0.999, 0.998, 0.952, 5e-05, 1, 0, 0.000847, 1},
    {50, 21, 11, 10.7, 1.14, 0.715, 0.999, 0.847, 0.431, 0.0025, 3.01, 0.0432, 0.00867, 1.01},
    {200, 36, 7.5, 26.1, 6.61, 0.954, 0.967, 0.828, 0.153, 0.005, 1.02, 0, 0.00577, 1.1},
    {350, 37.1, 9.05, 27.8, 20.1, 2.31, 0.873, 0.593, 0.177, 0.005, 2.84, 0.00541, 0.00618, 1.09},
    {500, 30, 9, 31.7, 15.1, 1.74, 0.849, 0.574, 0.198, 0.005, 1.42, 0, 0.0064, 1.11},
    {650, 45.6, 10.4, 36.5, 22.6, 2.69, 0.84, 0.519, 0.284, 0.005, 1.95, 0, 0.00688, 1.16},
    {800, 45.3, 12.4, 39.5, 43.5, 3.12, 0.846, 0.404, 0.146, 0.005, 2.93, 0.0108, 0.00677, 1.19},
    {950, 80, 14, 38.5, 126, 6.15, 0.816, 0.134, 0.16, 0.005, 2.93, 0.00541, 0.00606, 1.25},
    {1100, 88, 18, 49.5, 544, 22.9, 0.802, 0.0521, 0.143, 0.005, 1.25, 0, 0.00592, 1.3},
    {1250, 128, 45.7, 46.3, 443, 18.7, 0.747, 0.0561, 0.182, 0.005, 1.47, 0, 0.00537, 1.34},
    {1400, 113, 24, 48, 462, 17, 0.758, 0.0603, 0.158, 0.005, 1.98, 0, 0.0048, 1.39},
    {1550, 208, 72, 45.7, 633, 22.9, 0.655, 0.0238, 0.228, 0.005, 2.77, 0.0162, 0.00567, 1.45},
    {1700, 176, 30, 67, 541, 26.4, 0.749, 0.0199, 0.252, 0.005, 1.82, 0, 0.00466, 1.49},
    {1850, 144, 48, 61.5, 686, 22.9, 0.681, 0.0412, 0.167, 0.005, 2.14, 0, 0.00503, 1.55},
    {1950, 345, 144, 75.2, 693, 30.8, 0.698, 0.0462, NAN, 0.005, NAN, 0, NAN, NAN},
};

/* Rare batches: a class at every 100th step only, times -4, beta2 0.999, fp32.
 * mid_block.attentions.0 */
static const mech_row mech_spike[] = {
    {1, 2.31, 2.31, 5.19, 0.977, 0.397, 0.999, 0.993, 0.953, 3e-05, 1, 0, 0.000508, 1},
    {50, 8.41, 3.79, 8.66, 1.33, 0.466, 1, 0.97, 0.481, 0.0015, 1.73, 0, 0.00432, 1},
    {100, 12.4, 8.55, 15.7, 4.59, 0.673, 0.987, 0.812, 5.88, 0.003, 8.37, 0.816, 0.0166, 1.01},
    {150, 18.8, 6.01, 19.8, 3.28, 0.858, 0.959, 0.922, 0.245, 0.003, 1.92, 0, 0.00736, 1.04},
    {200, 16.2, 13.8, 19.1, 4.74, 0.925, 0.937, 0.719, 8.31, 0.003, 9.07, 0.762, 0.0158, 1.04},
    {250, 35.1, 9.96, 26.2, 5.24, 1.49, 0.946, 0.81, 0.182, 0.003, 1.13, 0, 0.00564, 1.07},
    {300, 18.9, 12.9, 15.3, 30.4, 2.12, 0.927, 0.253, 4.44, 0.003, 7.3, 0.822, 0.0161, 1.07},
    {350, 36.9, 7.33, 25.3, 9.92, 0.89, 0.899, 0.787, 0.202, 0.003, 1.73, 0, 0.00501, 1.11},
    {400, 24.5, 15, 22.1, 9.29, 0.956, 0.901, 0.668, 3.91, 0.003, 7.85, 0.676, 0.0129, 1.11},
    {450, 24.8, 6.41, 27, 7.56, 1.64, 0.903, 0.83, 0.204, 0.003, 2.86, 0.0108, 0.00437, 1.11},
    {500, 26.9, 14.5, 20.7, 8.45, 1.04, 0.885, 0.783, 2.09, 0.003, 6.05, 0.357, 0.00789, 1.11},
    {550, 22, 7.41, 26.8, 32, 2.04, 0.861, 0.676, 0.217, 0.003, 1.42, 0, 0.00355, 1.12},
    {600, 53.1, 15.5, 21.9, 18.8, 1.75, 0.858, 0.634, 2.5, 0.003, 13.4, 0.859, 0.0151, 1.11},
};

/* Ten times the rate of the first, 0.05, in its warm-up. up_blocks.0.attentions.1 */
static const mech_row mech_rate[] = {
    {1, 2.25, 2.25, 5.09, 0.961, 0.332, 0.998, 0.994, 0.952, 0.0005, 1, 0, 0.00847, 1},
    {10, 11.4, 4.11, 6.56, 1.4, 0.399, 0.994, 0.993, 0.399, 0.005, 1.74, 0, 0.0242, 1},
    {20, 66.4, 24, 18.1, 2.26, 0.999, 0.967, 0.845, 0.535, 0.01, 2.52, 0.0216, 0.0373, 1.03},
    {30, 554, 88, 23.2, 8.44, 1.26, 0.988, 0.691, NAN, 0.014, NAN, 0, NAN, NAN},
};

/* Lion at 0.002 without decay, fp32. mid_block.attentions.0 */
static const mech_row mech_weights[] = {
    {1, 2.31, 2.31, 5.19, 0.928, 0.397, 0.999, 0.994, 0.953, 2e-05, NAN, 0, 0.000339, 1},
    {20, 3.63, 2.32, 5.29, 0.936, 0.347, 1, 0.995, 0.551, 0.0004, NAN, 0, 0.00556, 1},
    {100, 53.3, 8.78, 31.9, 1.11, 0.669, 0.979, 0.966, 0.378, 0.002, NAN, 0, 0.0266, 1.03},
    {180, 357, 35.8, 84.9, 11.3, 1.74, 0.943, 0.728, 0.296, 0.002, NAN, 0, 0.0187, 1.13},
    {260, 2.54e+03, 58.6, 211, 13.8, 3.47, 0.904, 0.504, 0.239, 0.002, NAN, 0, 0.0103, 1.25},
    {340, 5.66e+03, 232, 594, 13.7, 3.64, 0.941, 0.382, 0.309, 0.002, NAN, 0, 0.00661, 1.38},
    {420, 6.59e+03, 105, 1.08e+03, 24.1, 5.75, 0.857, 0.165, 0.299, 0.002, NAN, 0, 0.00496, 1.51},
    {500, 4.9e+03, 182, 1.6e+03, 22.3, 7.62, 0.895, 0.219, 0.231, 0.002, NAN, 0, 0.00396, 1.66},
    {580, 2.11e+04, 204, 3.55e+03, 48.1, 7.93, 0.805, 0.129, 0.19, 0.002, NAN, 0, 0.00325, 1.83},
    {660, 4.46e+04, 274, 3.91e+03, 67.1, 9.17, 0.789, 0.148, 0.164, 0.002, NAN, 0, 0.00304, 1.98},
    {740, 1.65e+05, 1.08e+03, 6.65e+03, 46, 12.3, 0.717, 0.0298, 0.101, 0.002, NAN, 0, 0.00272,
     2.15},
    {820, 3.31e+05, 696, 1.16e+04, 199, 22.5, 0.697, 0.018, 0.197, 0.002, NAN, 0, 0.00255, 2.35},
    {900, 1.63e+05, 339, 1.1e+04, 246, 24.5, 0.702, 0.06, 0.202, 0.002, NAN, 0, 0.00237, 2.57},
    {980, 2.17e+05, 395, 1.59e+04, 230, 30.9, 0.691, 0.0165, 0.171, 0.002, NAN, 0, 0.00216, 2.81},
    {1060, 2.96e+05, 512, 2.79e+04, 946, 35, 0.703, 0.00445, 0.176, 0.002, NAN, 0, 0.00203, 3.06},
    {1140, 5.04e+05, 573, 4.32e+04, 737, 30.6, 0.704, 0.00774, 0.26, 0.002, NAN, 0, 0.00198, 3.36},
};

/* 64 pictures of little contrast, one of them of full contrast, fp32. down_blocks.2.attentions.0 */
static const mech_row mech_data[] = {
    {1, 2.29, 2.29, 4.87, 0.789, 0.301, 0.999, 0.997, 0.514, 3e-05, 1, 0, 0.000508, 1},
    {2, 2.68, 2.68, 5.68, 0.833, 0.304, 0.999, 0.998, 0.563, 6e-05, 1.41, 0, 0.000497, 1},
    {20, 2.3, 2.3, 5.02, 1.53, 0.369, 1.01, 0.989, 0.2, 0.0006, 2.61, 0.0435, 0.00288, 1},
    {38, 2.3, 2.3, 5.99, 2, 0.399, 1.01, 0.978, 0.079, 0.00114, 2.32, 0.00543, 0.00568, 1},
    {56, 1.99, 1.99, 5.8, 0.687, 0.396, 1, 0.982, 0.061, 0.00168, 2.27, 0, 0.00576, 1},
    {74, 4.53, 2.44, 9.1, 0.726, 0.324, 0.989, 0.99, 0.0242, 0.00222, 1.39, 0, 0.0047, 1.01},
    {92, 7.91, 3.03, 7.03, 1.06, 0.299, 0.991, 0.997, 0.129, 0.00276, 2.3, 0, 0.00737, 1.01},
    {110, 5.51, 5.51, 13.8, 0.949, 0.355, 1, 0.992, 0.0232, 0.003, 2.72, 0.0109, 0.008, 1.01},
    {128, 17, 6.03, 13.7, 1, 0.44, 0.995, 0.943, 0.052, 0.003, 5.9, 0.522, 0.0201, 1.02},
    {146, 9.86, 7.83, 14.5, 7.88, 0.879, 0.977, 0.89, 0.0772, 0.003, 4.76, 0.0978, 0.00952, 1.05},
    {164, 15.3, 9.45, 14.3, 3.12, 0.67, 0.996, 0.973, 0.0141, 0.003, 0.909, 0, 0.00544, 1.06},
    {182, 14.9, 4.99, 16.8, 3.79, 0.938, 0.996, 0.974, 0.0125, 0.003, 1.5, 0, 0.00292, 1.06},
    {200, 12.8, 4.24, 15.8, 4.77, 0.9, 0.973, 0.93, 0.0112, 0.003, 0.867, 0, 0.00367, 1.06},
};

enum { MECH_SAMPLES = 8, MECH_PARAMETERS = 10, MECH_KEYS = 16 };
static const double mech_sigmas[MECH_SAMPLES] = {0.3, 80, 0.02, 10, 1, 0.1, 3, 30};
/* Those of attention come last, so that they can be left out. */
enum { MECH_DECODER = 4 };
static const ss_run_module mech_modules[] = {
    {"", "UNet2DModel", false},
    {"conv_in", "Conv2d", true},
    {"down_blocks.0.resnets.0", "ResnetBlock2D", true},
    {"down_blocks.0.resnets.0.conv1", "Conv2d", false},
    {"up_blocks.0.upsamplers.0", "Upsample2D", true},
    {"mid_block.attentions.0", "Attention", true},
    {"mid_block.attentions.0.to_q", "Linear", false},
    {"mid_block.attentions.0.to_k", "Linear", false},
};
enum { MECH_MODULES = sizeof mech_modules / sizeof *mech_modules };

/* Differences from the table. */
typedef struct {
    const mech_row *rows;
    int n;
    double scale;      /* of all activations, logits too; 0 is 1 */
    int every, first;  /* every `every`-th row from `first` on, but always the last; 0 is 1 */
    int bad;           /* index of the row from which on the decoder has inf, n: none */
    bool no_attention; /* was recorded */
    bool no_modules;   /* nor are there modules of attention */
    int outlier;       /* index of the row whose sample 2 is no picture like the others; 0: none */
    bool whole_batch;  /*   all samples are */
    const char *plan;
    bool probe; /* a probe of the one row `first`, over the noise levels */
    bool bad_weights;
} mech_spec;

#define MECH_TABLE(table) \
    .rows = table, .n = sizeof table / sizeof *table, .bad = sizeof table / sizeof *table

static inline int mech_list(const mech_spec *s, int *list)
{
    const int every = s->every ? s->every : 1;
    int n = 0;

    for (int i = s->first; i < s->n; i++) {
        if ((i - s->first) % every == 0 || i == s->n - 1)
            list[n++] = i;
        if (s->probe)
            break;
    }
    return n;
}

static inline double mech_outlier(const mech_spec *s, int row, int sample)
{
    return s->outlier > 0 && row == s->outlier && (sample == 2 || s->whole_batch) ? 7.15 : 1;
}

/* The largest |x|: most at the highest noise level, a third of it at the lowest. */
static inline double mech_absmax(const mech_spec *s, int row, int module, int level, int sample)
{
    const mech_row *r = &s->rows[row];
    const double sigma = mech_sigmas[level], scale = s->scale > 0 ? s->scale : 1;
    const double part = 1 - 0.667 * log(80 / sigma) / log(80 / 0.02);
    const double all[] = {1, 1, r->encoder, r->others, r->stream, r->encoder, 1, 1};

    return all[module] * scale * part * mech_outlier(s, row, sample);
}

/* level: index of the noise level. */
static inline void mech_put_stats(const mech_spec *s, int row, int level, int sample,
                                  ss_run_column *col)
{
    const mech_row *r = &s->rows[row];
    const double scale = s->scale > 0 ? s->scale : 1;

    for (int m = 1; m < (s->no_modules ? MECH_DECODER + 1 : MECH_MODULES); m++) {
        const float y = (float)mech_absmax(s, row, m, level, sample);
        const bool projection = m == 6 || m == 7;
        const bool bad = row >= s->bad && m == MECH_DECODER && level == 1;
        const ss_stats out = {.count = 100,
                              .absmax = y,
                              .max = y,
                              .rms = projection ? (float)(sqrt(r->product) * scale) : y / 4,
                              .nonfinite = bad ? 7 : 0};
        const double picture = mech_outlier(s, row, sample) > 1 ? 4.54 : 1;
        const ss_stats in = {.count = 100,
                             .absmax = (float)(m == 1 ? 3 * picture : 2),
                             .rms = projection ? (float)(sqrt(r->input) * scale) : 1};

        ss_run_put_stats(col, m, SS_PORT_OUTPUT, 0, sample, &out);
        ss_run_put_stats(col, m, SS_PORT_INPUT, 0, sample, &in);
    }
    if (!s->no_attention) {
        const ss_attention_stats a = {.entropy = (float)(r->entropy * log(MECH_KEYS)),
                                      .entropy_min = (float)(r->entropy * log(MECH_KEYS)),
                                      .max_logit = (float)(r->logit * scale * scale),
                                      .sink = 0.2f};

        ss_run_put_attention(col, 0, 0, 0, sample, &a);
    }
}

static inline void mech_put_updates(const mech_spec *s, int row, ss_run_column *col)
{
    const mech_row *r = &s->rows[row];
    const ss_run_step did = {.loss = (float)r->loss,
                             .penalty = NAN,
                             .norm = 1,
                             .rate = (float)r->rate,
                             .scale = 1,
                             .skipped = isnan(r->loss)};

    ss_run_put_step(col, &did);
    for (int n = 0; n < MECH_SAMPLES; n++)
        ss_run_put_level(col, n, mech_sigmas[n], r->loss * mech_outlier(s, row, n));
    for (int p = 0; p < MECH_PARAMETERS && !isnan(r->loss); p++) {
        const bool stale = p < r->share * MECH_PARAMETERS || (p == 0 && r->staleness > 2.3);
        const ss_run_update u = {.gradient_rms = 1,
                                 .update_rms = (float)(r->update * r->weights * 0.1),
                                 .weight_rms = (float)(r->weights * 0.1),
                                 .staleness =
                                     stale ? (float)r->staleness : (float)fmin(r->staleness, 1.5)};

        ss_run_put_update(col, p, &u);
    }
}

static inline ss_code mech_put(const mech_spec *s, const int *list, int column, ss_run_writer *w,
                               ss_err *e)
{
    ss_run_column *col;
    ss_code rc = ss_run_column_new(w, column, &col, e);

    if (rc != SS_OK)
        return rc;
    for (int n = 0; n < MECH_SAMPLES; n++)
        mech_put_stats(s, s->probe ? s->first : list[column], s->probe ? column : n, n, col);
    if (!s->probe)
        mech_put_updates(s, list[column], col);
    return ss_run_submit(w, col, e);
}

static inline ss_code mech_write(const char *path, const mech_spec *s, ss_err *e)
{
    static const char *const input[] = {"training"};
    static const char *const names[MECH_PARAMETERS] = {
        "a.weight", "b.weight", "c.weight", "d.weight", "e.weight",
        "f.weight", "g.weight", "h.weight", "i.weight", "j.weight"};
    const ss_run_layer layer = {"mid_block.attentions.0", 1, MECH_KEYS};
    ss_run_parameter parameters[MECH_PARAMETERS];
    double sorted[MECH_SAMPLES];
    int list[64], n = mech_list(s, list);
    int64_t steps[64];
    ss_run_writer *w;

    for (int i = 0; i < n; i++)
        steps[i] = s->rows[list[i]].step;
    for (int p = 0; p < MECH_PARAMETERS; p++) {
        const double rms = s->probe ? s->rows[s->first].weights * 0.1 : 0.1;

        parameters[p] =
            (ss_run_parameter){names[p], (float)(3 * rms), (float)rms, s->bad_weights ? 1 : 0};
    }
    for (int i = 0; i < MECH_SAMPLES; i++)
        sorted[i] = mech_sigmas[i];
    const ss_run_spec spec = {
        .histogram = true,
        .tool = "sigmascope test",
        .family = "UNet2DModel",
        .model_path = "model.json",
        .precision = "fp32",
        .plan = s->plan ? s->plan : "{}",
        .modules = mech_modules,
        .n_modules = s->no_modules ? MECH_DECODER + 1 : MECH_MODULES,
        .inputs = input,
        .n_inputs = 1,
        .steps = s->probe ? NULL : steps,
        .sigmas = s->probe ? sorted : NULL,
        .n_sigmas = s->probe ? MECH_SAMPLES : n,
        .n_samples = MECH_SAMPLES,
        .layers = &layer,
        .n_layers = s->no_attention ? 0 : 1,
        .parameters = parameters,
        .n_parameters = MECH_PARAMETERS,
    };
    ss_code rc = ss_run_create(path, &spec, true, &w, e);

    if (rc != SS_OK)
        return rc;
    for (int c = 0; c < spec.n_sigmas && rc == SS_OK; c++)
        rc = mech_put(s, list, c, w, e);
    if (rc == SS_OK)
        return ss_run_finish(w, e);
    ss_run_abandon(w);
    return rc;
}

#endif
