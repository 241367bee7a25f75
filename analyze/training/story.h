/* story.h - an experiment on divergence: training runs that differ in one thing each, over seeds
 *
 *   DIR/REGIME/ARM-SEED/           the output of `sigmascope train` (training_log.h)
 *   DIR/REGIME/ARM-SEED/probe.h5   a probe of a checkpoint, where a question needs one
 *   DIR/REGIME/ARM-SEED/score.json of the pictures of its last checkpoint
 *   DIR/REGIME/ARM-SEED/numbers.json  {"length": 1.02, ...}: numbers that were measured apart
 *
 * A regime is a network with a recipe, in which the same questions are asked; demo/story makes
 * "stream" and "logits", demo/story-video "video". A folder that holds the ARM-SEED folders itself
 * is one regime without a name. This reads the runs and gives numbers of each; story_judge.h puts
 * findings to the test with them.
 */
#ifndef SS_ANALYZE_STORY_H
#define SS_ANALYZE_STORY_H

#include "analyze/training/training_log.h"
#include "base/table.h"

/* Numbers of a run: name, whether it is compared by its logarithm, text. */
#define SS_STORY_NUMBERS(X)                                                                       \
    X(GROWTH, true, "growth of the largest |x|")      /* late over early window */                \
    X(LARGEST, true, "largest |x| over the format's") /* of block outputs; 1 and more: it         \
                                                         overflowed */                            \
    X(OVERFLOW, false, "share of the steps until the first overflow") /* 1: none */               \
    X(FIRST, true, "first overflow, step")                            /* all steps where none */  \
    X(WEIGHTS, true, "growth of weights, RMS of the median tensor")                               \
    X(DECODER, false, "share of overflows that the decoder made")                                 \
    X(HIGH_NOISE, false, "share of overflows at high noise")                                      \
    X(ENTROPY, false, "lowest entropy of a head") /* normalised */                                \
    X(LOGIT, true, "largest logit")                                                               \
    X(FROM_INPUT, false,                                                                          \
      "share of layers with large logits where inputs explain them, without "                     \
      "collapse")                                                                                 \
    X(BY_600, true, "largest |x| by step 600")                                                    \
    X(LOSS, true, "loss")                                                                         \
    X(FRECHET, true, "Frechet distance of samples")                                               \
    X(RECOGNISED, false, "share of samples recognised as their class")                            \
    X(SPIKES, false, "loss spikes")                                                               \
    X(STALENESS, true, "largest staleness")                                                       \
    X(PEAK, true, "largest |x|")                                                                  \
    X(COST, true, "processor time a step")                                                        \
    X(SPECTRUM, false, "share of noise levels at which fewer low frequencies go with larger |x|") \
    X(BLOBS, false, "share of decoder modules whose maps degenerate at the highest noise")        \
    X(SKIPPED, false, "share of steps that were skipped")                                         \
    X(IN_MOTION, false, "share of overflows that motion blocks made")                             \
    X(LENGTH, true, "loss at twice the trained length over that within it")                       \
    X(LENGTH_NTK, true, "the same ratio with positions by NTK")                                   \
    X(LENGTH_YARN, true, "the same ratio with positions by YaRN")                                 \
    X(BOILING_OVERLAP, true, "boiling with overlapping windows over that without overlap")        \
    X(BOILING_SHARED, true, "boiling with shared sampler states over that without overlap")       \
    X(BOILING_DECODER, true, "boiling of a decoder tuned in time over a picture decoder's")
#define X(name, ratio, text) SS_STORY_##name,
typedef enum { SS_STORY_NUMBERS(X) SS_N_STORY_NUMBERS } ss_story_number;
#undef X
const char *ss_story_number_text(ss_story_number n);
bool ss_story_number_is_ratio(ss_story_number n);

/* Regimes that have a title. */
#define SS_STORY_REGIMES(X)              \
    X("stream", "residual stream grows") \
    X("logits", "logits run away")       \
    X("video", "text to video")
const char *ss_story_regime_title(const char *name); /* the name itself if it has none */

typedef struct {
    ss_training_log log;
    double number[SS_N_STORY_NUMBERS]; /* NaN: not known */
} ss_story_run;

typedef struct {
    char name[64];      /* of its folder; "" if the story has no regimes */
    char title[80];     /* of its table of runs */
    ss_story_run *runs; /* [n] sorted by name */
    int n;
} ss_story_regime;

enum { SS_MAX_REGIMES = 4, SS_MAX_SEEDS = 16 };

typedef struct {
    char *folder;
    ss_story_regime regime[SS_MAX_REGIMES]; /* those of SS_STORY_REGIMES first, then by name */
    int n;
} ss_story;

/* Reads every folder of DIR that holds a training run, or every folder of such folders. SS_USAGE if
 * there is none. */
ss_code ss_story_read(const char *folder, ss_story *s, ss_err *e);
void ss_story_release(ss_story *s); /* {0} is fine */

/* The runs of one arm, lowest seed first; returns how many. */
int ss_story_arm(const ss_story_regime *r, const char *arm, const ss_story_run *runs[SS_MAX_SEEDS]);

/* A row for each run; the title is borrowed from r. */
ss_code ss_story_runs_table(const ss_story_regime *r, ss_table *t, ss_err *e);

#endif
