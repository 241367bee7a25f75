/* features.h - a few numbers of a video from a network whose weights are random, and never trained
 *
 *   brightness / 127.5 - 1, halved until its shorter side is 64 or less    [F][h][w]
 *   convolution 3 x 3 x 3 to 8 channels, relu, means of 2 x 2 pixels       [F][h/2][w/2][8]
 *   convolution 3 x 3 x 3 to 16 channels, relu                             [F][h/2][w/2][16]
 *   mean and standard deviation of each channel                            [32]
 *
 * Borders are 0. Weights are normal, of variance 2 / inputs, the same in every run. A Fréchet
 * distance of such features (frechet.h) sees what differs in brightness, texture and change over
 * time; it knows no things, and is not FVD, whose features come from a trained I3D.
 *
 * Source: for random features Naeem et al. 2020, "Reliable fidelity and diversity metrics".
 */
#ifndef SS_ANALYZE_VIDEO_FEATURES_H
#define SS_ANALYZE_VIDEO_FEATURES_H

#include "base/err.h"
#include "base/video.h"

enum { SS_VIDEO_FEATURES = 32 };

ss_code ss_video_features_find(const ss_video *v, float x[SS_VIDEO_FEATURES], ss_err *e);

#endif
