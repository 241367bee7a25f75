/* mechanism.h - which divergence is it? The mechanism by name, with its evidence in one table
 *
 * Trainings diverge by different mechanisms, and a remedy helps against one of them. Evidence comes
 * from points: the finished steps of a training's own run file, or the runs of several checkpoints
 * of one training, lowest step first. The first point at which anything is inf or NaN is the end;
 * growth is measured over the finite points before it, and before the stream broke. Each point
 * (mechanism_points.h) gives the largest |x| of the residual stream, the largest logit, entropy,
 * and RMS of q, k and of what they are computed from; in a training's own file also what the
 * updates did, and which sample has the largest |x|.
 *
 *   data      one sample is far larger than the others of its batch, and so is its picture
 *   rate      a step changes the weights too much, in most parameters at once
 *   spike     the gradient left what Adam's second moment knows (staleness), and a jump followed
 *   weights   RMS of the weights grows along with the activations and explains their growth
 *   logits    a layer's logits grow to the end, as the stream squared or faster, and a head's
 * entropy collapsed stream    the residual stream grows, and logits do not outrun it
 *
 * Each piece of evidence is a row: a measure, its value, a threshold, and whether that speaks for
 * the mechanism or against it, or is unknown. Some rows are required. The order above goes from
 * causes to effects: a bad sample makes large updates, and those make weights, logits and streams
 * grow. A stale step is no spike if logits had run away before it.
 *
 * The rule: the name is the first mechanism whose required rows all speak for it. It is not
 * identified if there is none; without statistics of attention, logits and stream cannot be
 * distinguished.
 *
 * Growth is measured in two ways, both by medians, since each step sees other pictures:
 *
 *   growth        median of the last third of the points over that of the first third
 *   late growth   of the last third of the points, at least SS_MECHANISM_LATE: e to the median
 *                 slope of ln y between any two of them (Theil 1950; Sen 1968), times the distance
 *                 of the first and the last
 *
 * Logits rise at the beginning of any training and then stay; those that run away rise to the end.
 *
 * The first step of a training's own file saw the network before any update and takes no part in a
 * growth. A single run has levels and no growth: it identifies no mechanism, but shows which ones
 * its values agree with.
 */
#ifndef SS_ANALYZE_MECHANISM_H
#define SS_ANALYZE_MECHANISM_H

#include "base/table.h"
#include "runfile/run_reader.h"

#define SS_MECHANISMS(X)                                    \
    X(DATA, "data", "data: a bad sample")                   \
    X(RATE, "rate", "updates spike: too large a rate")      \
    X(SPIKE, "spike", "updates spike: stale second moment") \
    X(WEIGHTS, "weights", "weights grow")                   \
    X(LOGITS, "logits", "logits run away")                  \
    X(STREAM, "stream", "residual stream grows")
#define X(name, key, text) SS_MECHANISM_##name,
typedef enum { SS_MECHANISMS(X) SS_N_MECHANISMS, SS_MECHANISM_NONE = SS_N_MECHANISMS } ss_mechanism;
#undef X
const char *ss_mechanism_text(ss_mechanism m); /* NONE: "not identified" */
const char *ss_mechanism_key(ss_mechanism m);  /* one word; NONE: "none" */

/* A growth from here on counts. The largest |x| of two batches of one network differs by up to 1.6,
 * medians of a third of the points by less; over a divergence it grows by 4 and more. */
#define SS_MECHANISM_GROWS 2.0
/* Logits that grow as this power of the stream, or faster, outrun it: q.k is a product of two, so a
 * layer that reads the bare stream through constant weights has the square. */
#define SS_MECHANISM_SQUARE 2.0
/* Logits that run away have a late growth of this and more. Measured: 74 and 325 in a layer that
 * reads the bare stream, 0.97 to 2.3 in networks whose layers all have a norm. */
#define SS_MECHANISM_RUNS 4.0
/* Logits that met this many of their four needs before a stale step had run away by then, and
 * caused it. Some collapsed heads or large logits alone do not. */
#define SS_MECHANISM_BEFORE 3
/* The least number of points of a training for a growth (of checkpoints, which all see the same
 * pictures, two are enough), and of the last third. */
enum { SS_MECHANISM_POINTS = 4, SS_MECHANISM_LATE = 3 };
/* RMS of the update over that of the weight, median over the parameters that are no biases. About
 * 1e-3 is usual; 0.01 to 0.015 was measured in trainings that diverge slowly, 0.037 to 0.06 with
 * ten times their rate. At 0.03, 33 steps change a weight by its own size. */
#define SS_MECHANISM_UPDATE 0.03
/* A jump is a loss or largest |x| from here on, over the largest of all steps before: the losses of
 * batches of one training differ by up to 2. */
#define SS_MECHANISM_JUMP 4.0
enum { SS_MECHANISM_SPIKE_STEPS = 8 }; /* a spike follows its stale step within these (updates.h) */
/* A stream breaks if it is this many times what it was at any measured step before; what follows is
 * no growth any more. From one measured step to the next, slow ones grew by up to 3. */
#define SS_MECHANISM_BREAKS 10.0
/* Weights have grown from here on, over the first point or the start of the training; median over
 * the parameters that are no biases. Trainings with weights of normal size had 1.4 to 2.1. */
#define SS_MECHANISM_WEIGHTS_GROW 2.5
/* Growth of the weights by W explains growth of the stream by up to W to this power: all weights of
 * a network times 1.5, 2 and 3 made its stream grow as their power 8.5, 9.6 and 11.4, since it
 * passes convolutions with no norm between them. */
#define SS_MECHANISM_WEIGHT_POWER 12.0

#define SS_SPEAKS(X) X(UNKNOWN, "unknown") X(FOR, "for") X(AGAINST, "against")
#define X(name, text) SS_SPEAKS_##name,
typedef enum { SS_SPEAKS(X) SS_N_SPEAKS } ss_speaks;
#undef X

enum { SS_EVIDENCE_WHERE = 160, SS_MAX_EVIDENCE = 32 };

typedef struct {
    ss_mechanism mechanism;
    const char *measure;
    double value, threshold; /* value NaN: not known */
    bool below;              /* speaks for it below the threshold; else at and above it */
    bool required;
    ss_speaks speaks;
    char where[SS_EVIDENCE_WHERE]; /* "mid_block.attentions.0, step 300", or "" */
} ss_evidence;

typedef struct {
    ss_mechanism name;
    bool agrees[SS_N_MECHANISMS]; /* no required row speaks against it, some row for it, and not all
                                     required rows are known */
    bool bad;                     /* there is an end: something is inf or NaN */
    double end;                   /* its step, NaN: not known or none */
    int n_points;                 /* finite points before it */
    bool grew;                    /* the stream or the logits grew, or there is an end */
    ss_evidence rows[SS_MAX_EVIDENCE];
    int n;
    char *sentence; /* what it is and why, or why it is not identified */
} ss_mechanism_finding;

/* Finds the mechanism in one run over training steps (steps NULL), or in n runs over noise levels
 * of one training. steps [n]: of their checkpoints; NULL: runs are in the order of training. */
ss_code ss_mechanism_find(ss_run *const *runs, const int64_t *steps, int n, ss_mechanism_finding *m,
                          ss_err *e);
void ss_mechanism_release(ss_mechanism_finding *m); /* {0} is fine */

/* True if there is anything to say: an end, a growth, a name. */
bool ss_mechanism_matters(const ss_mechanism_finding *m);

ss_code ss_mechanism_table(const ss_mechanism_finding *m, ss_table *t, ss_err *e);

#endif
