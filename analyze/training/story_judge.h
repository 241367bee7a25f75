/* story_judge.h - which findings hold in a story: the rules, and their verdicts
 *
 * A production team made most of the findings when it trained an Imagen-like pixel-space UNet
 * (pre-norm blocks, no normalisation on the residual stream or on skips) in fp16; some belong to
 * them. Each is a list of claims: that a number of an arm (story.h), or its ratio to the same seed
 * of another arm, is over a threshold or under it. All seeds and an interval decide a claim
 * (decision.h). A finding
 *
 *   holds           if each of its claims does
 *   does not hold   if one of them is decided the other way
 *   is undecided    else: seeds disagree or are too few; the numbers say how many would do
 *   was not asked   if an arm that it needs has no runs
 */
#ifndef SS_ANALYZE_STORY_JUDGE_H
#define SS_ANALYZE_STORY_JUDGE_H

#include "analyze/math/decision.h"
#include "analyze/training/story.h"

#define SS_FINDINGS(X)                                                                             \
    X(GROWTH, "Activations grow during training until they overflow; weights stay of normal size") \
    X(DECODER, "The overflow happens mostly in the decoder, at high noise")                        \
    X(SPECTRUM, "Inputs without pronounced low frequencies give the large activations")            \
    X(BLIND, "The same in a network that is not told the noise level")                             \
    X(BLOBS, "Activation maps degenerate into blobs at the highest noise")                         \
    X(ENTROPY,                                                                                     \
      "Attention logits are large because their inputs are, not because the entropy collapsed")    \
    X(COSINE, "Cosine attention does not prevent the overflow")                                    \
    X(POSTPONE, "Cosine attention postpones the overflow")                                         \
    X(CLAMP, "Clamping activations stabilises, but samples are defective")                         \
    X(SCALE, "Scaling residuals or skips by a constant is compensated by the model")               \
    X(LEARNED, "Learned scales of residuals and skips do not help either")                         \
    X(DECAY, "Weight decay of 1e-6 does not prevent the overflow, of 1e-1 it costs samples")       \
    X(PENALTY, "A penalty on activations at every step stabilises, without cost in samples")       \
    X(PENALTY8, "The same at every 8th step")                                                      \
    X(RESCUE, "The penalty also rescues a training that is near its overflow")                     \
    X(COST, "The penalty costs up to 25 % of the time at every step, up to 5 % at every 8th")      \
    X(ADAM, "Adam's second moment goes stale: beta2 0.999 gives a blow-up after rare batches, "    \
            "0.98 does not")                                                                       \
    X(BETA2, "Without rare batches, beta2 0.98 does not prevent the overflow")                     \
    X(LION, "Lion does not overflow, but samples are worse")                                       \
    X(BATCH, "Larger batches diverge after fewer steps")                                           \
    X(SIZE, "Larger networks diverge after fewer steps")                                           \
    X(RESOLUTION, "Growth is worse at higher resolution with an unchanged noise schedule")

/* The same of their text-to-video network: motion blocks between the layers of a network that was
 * trained on pictures, the pretrain, whose layers are frozen. */
#define SS_VIDEO_FINDINGS(X)                                                                       \
    X(MOTION, "With motion blocks in a frozen pretrain that is near its limit, training diverges") \
    X(PRETRAIN, "The pretrain's large activations are the cause, not the motion blocks")           \
    X(UNFROZEN, "A spatial part that is trained along does not prevent it")                        \
    X(MOTION_NORM, "A group norm in the motion blocks prevents it")                                \
    X(MOTION_COSINE, "Cosine attention over frames only postpones the overflow")                   \
    X(MOTION_PENALTY, "The penalty at every step stabilises, without cost in the loss")            \
    X(MOTION_PENALTY8, "The same at every 8th step")                                               \
    X(MOTION_CLAMP, "Clamping activations stabilises, at a cost in the loss")                      \
    X(MOTION_LEARNED, "Learned scales of residuals and skips do not prevent it")                   \
    X(MOTION_SIZE, "Growth is worse at higher resolution with an unchanged noise schedule, and a " \
                   "shifted one takes that back")                                                  \
    X(LENGTH, "Rotary positions, with NTK or YaRN, do not free attention over frames from the "    \
              "length that it was trained at")                                                     \
    X(MOTION_CONV, "Convolutions over space and time are better than attention over frames")       \
    X(WINDOWS, "Windows that overlap, also with shared sampler states, reduce boiling little")     \
    X(DECODER_IN_TIME, "A decoder tuned in time reduces boiling much")

#define X(name, text) SS_FINDING_##name,
typedef enum { SS_FINDINGS(X) SS_VIDEO_FINDINGS(X) SS_N_FINDINGS } ss_finding_id;
#undef X
const char *ss_finding_text(ss_finding_id id);

/* The findings that a story asks for, from <= id < to: those of videos if it has the regime
 * "video", else the others. */
typedef struct {
    int from, to;
} ss_finding_range;
ss_finding_range ss_story_findings(const ss_story *s);

#define SS_STORY_VERDICTS(X)                \
    X(HOLDS, "holds")                       \
    X(FAILS, "does not hold at this scale") \
    X(UNDECIDED, "undecided")               \
    X(UNASKED, "not asked")
#define X(name, text) SS_STORY_##name,
typedef enum { SS_STORY_VERDICTS(X) SS_N_STORY_VERDICTS } ss_story_verdict;
#undef X
const char *ss_story_verdict_text(ss_story_verdict v);

/* The claims of a finding: "baseline: growth of the largest |x| over 1.5; ...". ss_free; NULL: no
 * memory. */
char *ss_story_rule(ss_finding_id f);

typedef struct {
    ss_story_verdict verdict;
    char *numbers; /* a line for each claim; if it is undecided, how many seeds would decide it */
} ss_story_answer;

/* Answers to findings that the story does not ask for are empty. */
typedef struct {
    ss_story_answer answer[SS_MAX_REGIMES][SS_N_FINDINGS];
} ss_story_judgement;

ss_code ss_story_judge(const ss_story *s, ss_story_judgement *j, ss_err *e);
void ss_story_judgement_release(ss_story_judgement *j); /* {0} is fine */

/* A row for each finding: its text, the verdict and the numbers in each regime, the rule. */
ss_code ss_story_findings_table(const ss_story *s, const ss_story_judgement *j, ss_table *t,
                                ss_err *e);

#endif
