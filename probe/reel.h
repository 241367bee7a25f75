/* reel.h - the video that a trajectory makes: its windows, what they begin from and what is given
 *
 *   plain         a video of `length` frames from noise, in windows where it is longer than what
 * the network takes
 *
 *   extrapolate   the frames of `init`, and more after them: of each window the first `keep` frames
 *                 are given, those that the window before it made
 *
 *   interpolate   the frames of `init` with `interpolate` new ones between neighbours: a window's
 *                 first and last frame are given
 *
 *   upscale       the frames of `upscale_from`, larger: all are given
 *
 * A frame is given as channels beside those of the noised picture: the clean frame, and a mask that
 * is 1 where there is one; zeros elsewhere (condition.h, reference_channels). A network that takes
 * as many other channels as its picture has, and no mask, can upscale only.
 *
 *   before |<------------- windows.length ------------->|
 *   |......|window 0 .......|
 *                  |window 1 .......|
 *   |<------------- video.frames -------------->|         the rest of the last window is cut off
 */
#ifndef SS_PROBE_REEL_H
#define SS_PROBE_REEL_H

#include "kernels/context.h"
#include "probe/network.h"
#include "probe/windows.h"

#include <stdbool.h>

typedef enum {
    SS_REEL_PLAIN,
    SS_REEL_EXTRAPOLATE,
    SS_REEL_INTERPOLATE,
    SS_REEL_UPSCALE,
    SS_N_FILM_MODES
} ss_reel_mode;

typedef struct {
    const char *init;         /* frames (frames.h) to extrapolate or interpolate, or NULL */
    const char *upscale_from; /* frames, or NULL */
    int length;               /* frames of the video; 0: follows from the others */
    int overlap;              /* frames that windows share; -1: by mode */
    const char *join;         /* a name of SS_JOINS; NULL: by mode */
    const char *noise;        /* a name of SS_FRAME_NOISES; NULL: by mode */
    int keep;        /* frames of init that the first new window is given; 0: no extrapolation */
    int interpolate; /* new frames between neighbours; 0: no interpolation */
} ss_reel_options;

typedef struct {
    ss_reel_mode mode;
    ss_windows windows;
    ss_join join;
    ss_frame_noise noise;
    ss_sample_size window; /* of a sample of the network, without channels of given frames */
    ss_sample_size video;  /* of a sample of the trajectory */
    int before;            /* frames before the first window */
    float *start;          /* [samples][before][H][W][C] */
    bool masked;           /* the network takes a mask after a given frame */
    bool *is_given;        /* [windows.length]; NULL: nothing is given */
    float *given;          /* [samples][windows.length][H][W][C], 0 where nothing is */
    float *share;          /* [windows.n][windows.size] */
    int *source;           /* [windows.length] */
} ss_reel;

/* The mode that options ask for; SS_USAGE for two of them. */
ss_code ss_reel_mode_of(const ss_reel_options *o, ss_reel_mode *mode, ss_err *e);

/* Sets the frames that the network sees at once, where the mode decides them: interpolate + 2. */
ss_code ss_reel_window(const ss_reel_options *o, int *frames, ss_err *e);

/* Lays out the video and loads what is given. window: of a sample of the network, without channels
 * beside its picture. */
ss_code ss_reel_open(const ss_reel_options *o, const ss_network *net, const ss_ctx_options *device,
                     ss_sample_size window, int samples, uint64_t seed, ss_reel *f, ss_err *e);
void ss_reel_release(ss_reel *f); /* {0} is fine */

/* Values of a frame. */
int64_t ss_reel_frame_values(const ss_reel *f);

/* True where frame i of window k is given to the network, and what is: valid while the reel is. */
bool ss_reel_gives(const ss_reel *f, int k, int i);

/* Writes what the network sees of window k of a sample: [F][H][W][C] of the noised picture, and the
 * given frames beside it. */
void ss_reel_put(const ss_reel *f, int sample, int k, const float *picture, float *out);

#endif
