/* story.h - the eight findings of a production team, asked of a folder of training runs
 *
 * The team trained an Imagen-like pixel-space UNet (pre-norm blocks, no normalisation on the
 * residual stream or on skips) in fp16, and found what SS_FINDINGS lists. Here each is put to the
 * test by runs that differ in one thing each, over several seeds:
 *
 *   DIR/ARM-SEED/           the output of `sigmascope train` (training_log.h)
 *   DIR/ARM-SEED/probe.h5   a probe of its last good checkpoint, where a finding needs one
 *
 *   baseline            the recipe in a small format
 *   plain               likewise, a few steps at a learning rate at which nothing overflows
 *   penalty, penalty8   with the activation penalty at every step, every 8th
 *   clamp, residual, skip, learned, cosine, decay, edm2   with that remedy
 *   blind               in fp32, not told the noise level
 *   rare999, rare98     in fp32, with rare batches, Adam's beta2 0.999 and 0.98
 *
 * A finding holds when its rule, which stands beside its numbers, is met by every seed of at least
 * two; it does not hold at this scale when it is not met; and it cannot be decided where runs are
 * missing. Numbers are means over seeds, with the least and the greatest behind them.
 */
#ifndef SS_ANALYZE_STORY_H
#define SS_ANALYZE_STORY_H

#include "analyze/training_log.h"
#include "base/table.h"

#define SS_FINDINGS(X)                                                                             \
    X(GROWTH, "Activations grow during training until they overflow; weights stay of normal size") \
    X(DECODER, "The overflow happens mostly in the decoder, at the highest noise level")           \
    X(SPECTRUM, "Inputs without pronounced low frequencies give the large activations")            \
    X(BLOBS, "Activation maps there degenerate into blobs")                                        \
    X(ENTROPY, "Attention logits are large because their inputs are, not because the entropy "     \
               "collapsed; cosine attention only postpones the divergence")                        \
    X(REMEDIES,                                                                                    \
      "Clamping stabilises but costs quality; scaling residuals or skips is compensated "          \
      "by the model; weight decay costs quality")                                                  \
    X(PENALTY, "A penalty on the activations of each block stabilises training, at every step or " \
               "every 8th")                                                                        \
    X(ADAM, "Adam's second moment goes stale: beta2 0.999 gives spikes, 0.98 does not")
#define X(name, text) SS_FINDING_##name,
typedef enum { SS_FINDINGS(X) SS_N_FINDINGS } ss_finding_id;
#undef X

#define SS_STORY_VERDICTS(X)                \
    X(HOLDS, "holds")                       \
    X(FAILS, "does not hold at this scale") \
    X(UNDECIDED, "cannot be decided")
#define X(name, text) SS_STORY_##name,
typedef enum { SS_STORY_VERDICTS(X) } ss_story_verdict;
#undef X
const char *ss_story_verdict_text(ss_story_verdict v);

typedef struct {
    const char *claim;
    char *test;    /* how it was tested here, and the rule */
    char *numbers; /* what came out */
    ss_story_verdict verdict;
} ss_story_finding;

typedef struct {
    char *folder;
    ss_training_log *logs; /* [n] by name */
    int n;
    ss_story_finding findings[SS_N_FINDINGS];
} ss_story;

/* Reads every folder of DIR that holds a training run. None is SS_USAGE. */
ss_code ss_story_read(const char *folder, ss_story *s, ss_err *e);
void ss_story_release(ss_story *s); /* {0} is fine */

/* A row a finding; a row a run. */
ss_code ss_story_findings_table(const ss_story *s, ss_table *t, ss_err *e);
ss_code ss_story_runs_table(const ss_story *s, ss_table *t, ss_err *e);

#endif
