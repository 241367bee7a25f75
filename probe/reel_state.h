/* reel_state.h - the states of a trajectory's videos, and how windows move them
 *
 *   rc = ss_reel_state_new(reel, sampler, samples, seed, &s, &err);
 *   ss_reel_state_begin(s, NULL, 0);
 *   for (int i = 0; i < ss_sampler_count(sampler); i++) {
 *       ...                                              // for each sample and window k of it
 *       x = ss_reel_state_window(s, sample, k);          // ask the network what it means
 *       ss_reel_state_answer(s, i, sample, k, y, NULL);
 *       ss_reel_state_advance(s, i);                     // when all windows have answered
 *   }
 *   ss_reel_state_finish(s, 0, reel->windows.n);
 *   ss_reel_state_free(s);
 *
 * Windows that are separate, or a sequence, have states of their own; all others share one for each
 * frame, whose answers are averaged by the reel's shares.
 */
#ifndef SS_PROBE_REEL_STATE_H
#define SS_PROBE_REEL_STATE_H

#include "models/sampling/sampler.h"
#include "probe/reel.h"

typedef struct ss_reel_state ss_reel_state;

/* reel and sampler are borrowed while the state lives. */
ss_code ss_reel_state_new(ss_reel *reel, const ss_sampler *sampler, int samples, uint64_t seed,
                          ss_reel_state **s, ss_err *e);
void ss_reel_state_free(ss_reel_state *s); /* NULL is fine */

/* Begins from noise, or from clean videos init [samples][F][H][W][C], to which it is added; draw
 * chooses other numbers of the same seed. */
void ss_reel_state_begin(ss_reel_state *s, const float *init, uint32_t draw);

/* The state of window k, [F][H][W][C]. */
const float *ss_reel_state_window(const ss_reel_state *s, int sample, int k);

/* Takes the network's answer for a window at evaluation i, and its variance, if it has one. */
void ss_reel_state_answer(ss_reel_state *s, int i, int sample, int k, const float *answer,
                          const float *variance);
/* Moves the states that windows share from evaluation i to the next. */
void ss_reel_state_advance(ss_reel_state *s, int i);

/* Puts n finished windows from k on into the videos; of a sequence also into what the next window
 * is given. */
void ss_reel_state_finish(ss_reel_state *s, int k, int n);

/* [F][H][W][C] of a finished video, or [H][W][C]; borrowed. */
const float *ss_reel_state_video(const ss_reel_state *s, int sample);

#endif
