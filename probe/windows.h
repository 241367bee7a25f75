/* windows.h - the windows of frames in which a network makes a video longer than it takes
 *
 *   frames    0 1 2 3 4 5 6 7 8 9       10 frames, windows of 4 that overlap by 1
 *   window 0  x x x x
 *   window 1        x x x x
 *   window 2              x x x x       the last one is moved back where it would stand out
 *
 * What a video's frame gets where windows overlap is their join:
 *
 *   separate   each window is a trajectory of its own; of its frames, those of an earlier window
 *              are thrown away at the end
 *   states     the states x_t of the earlier window are shared: the later window sees them at every
 *              step, and its own answer for them is thrown away
 *   flat       one state for each frame; the answers of all windows are averaged at every step
 *   pyramid    the same, weighted by how far a frame is from the ends of its window: 1 2 2 1
 *   sequence   each window begins when the earlier one is finished, whose last frames it is given
 *              (networks with reference frames)
 *
 * Windows, weights and noise of flat and pyramid are FreeNoise's (Qiu et al. 2024) as diffusers has
 * them (FreeNoiseTransformerBlock, _prepare_latents_free_noise), which averages within temporal
 * attention; here the answers of the network are averaged (Bar-Tal et al. 2023).
 */
#ifndef SS_PROBE_WINDOWS_H
#define SS_PROBE_WINDOWS_H

#include "base/err.h"

#include <stdint.h>

#define SS_JOINS(X)         \
    X(SEPARATE, "separate") \
    X(STATES, "states")     \
    X(FLAT, "flat")         \
    X(PYRAMID, "pyramid")   \
    X(SEQUENCE, "sequence")
#define X(name, text) SS_JOIN_##name,
typedef enum { SS_JOINS(X) SS_N_JOINS } ss_join;
#undef X

/* The noise that frames begin from: each frame has its own; frames after the first window have that
 * of frames one window before, each block of a stride shuffled (FreeNoise); or every window begins
 * from that of the first. */
#define SS_FRAME_NOISES(X) X(FRESH, "fresh") X(SHUFFLED, "shuffled") X(REPEATED, "repeated")
#define X(name, text) SS_NOISE_##name,
typedef enum { SS_FRAME_NOISES(X) SS_N_FRAME_NOISES } ss_frame_noise;
#undef X

typedef struct {
    int length; /* frames of the video */
    int size;   /* frames of a window */
    int stride; /* frames from one window's begin to the next one's */
    int n;
    int *from; /* [n] first frame of each, ascending */
} ss_windows;

/* Finds a join, or a noise, by its name; SS_USAGE, with the list, for others. */
ss_code ss_join_parse(const char *name, ss_join *join, ss_err *e);
ss_code ss_frame_noise_parse(const char *name, ss_frame_noise *noise, ss_err *e);

/* Lays windows of `size` frames, neighbours of which share `overlap`, over `length` frames.
 * SS_USAGE unless size <= length and 0 <= overlap < size. */
ss_code ss_windows_make(int length, int size, int overlap, ss_windows *w, ss_err *e);
void ss_windows_release(ss_windows *w); /* {0} is fine */

/* The first frame of window k, counted within it, that no earlier window has. */
int ss_window_first_new(const ss_windows *w, int k);

/* share [n][size] = the part that each window has in each of its frames; those of all windows sum
 * to 1 at each frame. Of separate and sequence: 1 of the first window that has the frame. */
void ss_windows_share(const ss_windows *w, ss_join join, float *share);

/* source [length] = the frame whose noise each frame begins from (fresh: its own). */
ss_code ss_windows_noise(const ss_windows *w, ss_frame_noise noise, uint64_t seed, int *source,
                         ss_err *e);

#endif
