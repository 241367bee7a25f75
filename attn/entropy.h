/* entropy.h - what the entropy of attention means
 *
 * Of one query with probabilities p_j over N keys, p = softmax(l), l the logits:
 *
 *   H = -sum_j p_j ln p_j      nats, from 0 (one key gets everything) to ln N (all get 1/N)
 *
 * so H / ln N is comparable between layers of different resolution. exp(H) is the number of
 * keys that a query effectively looks at.
 *
 * H does not change when a constant is added to all logits of a query: it bounds their spread
 * (largest minus smallest) from below, and says nothing of their size. Logits of 700 with an
 * entropy that a spread of 5 explains are large for another reason (logits.h).
 */
#ifndef SS_ATTN_ENTROPY_H
#define SS_ATTN_ENTROPY_H

#include <stdbool.h>

/* Below this normalised entropy a head counts as collapsed. Zhai et al. 2023 ("Stabilizing
 * Transformer Training by Preventing Attention Entropy Collapse") call "pathologically low"
 * entropy a collapse and give no number; their diverging runs go to nearly 0 and their stable
 * ones stay over a half. A tenth of ln N is 1.3 effective keys of 16, 2.3 of 4096. */
#define SS_COLLAPSED_BELOW 0.1

/* A head has a sink when one key receives at least this share of all attention, averaged over
 * queries, and at least so many times 1/N. 0.3 is the threshold of Gu et al. 2025 ("When
 * Attention Sink Emerges in Language Models") for the effect of Xiao et al. 2023 ("Efficient
 * Streaming Language Models with Attention Sinks"); the second decides only below 10 keys, where
 * 0.3 is hardly more than an even share. */
#define SS_SINK_FROM 0.3
#define SS_SINK_TIMES 3.0

/* H / ln N, 1 is uniform; NaN when H or N is NaN, or N < 2: one key leaves no choice. */
double ss_entropy_normalised(double entropy, double keys);

/* False for NaN. */
bool ss_entropy_collapsed(double normalised);

/* mass: the share of all attention that the heaviest key receives. False for NaN. Up to
 * SS_SINK_TIMES keys there is no such thing. */
bool ss_attention_sink(double mass, double keys);

/* The smallest entropy [nats] that N logits with this spread can have. Entropy is concave, so
 * its least is at a corner of what the spread allows: m keys at the top, N - m at the bottom,
 *
 *   H_m = ln Z + spread (N - m) b / Z,   b = exp(-spread),  Z = m + (N - m) b
 *
 * dH/dm < 0 where Z < N spread / (exp(spread) - 1), > 0 beyond, so one of the two whole numbers
 * around that m is it, and m = 1 for large spreads. Falls from ln N at 0 towards 0. (Zhai et al.
 * 2023, theorem 3.1, bound the same by the norm of a query's logits.) NaN where N < 2 or NaN. */
double ss_entropy_least(double spread, double keys);

/* The inverse: the smallest spread with which N logits can have an entropy as low as this. 0 for
 * ln N and more, NaN where N < 2 or anything is NaN; an entropy of 0, which f32 rounds to, gives
 * the spread at which the bound is below 1e-12 nats. */
double ss_entropy_spread(double entropy, double keys);

#endif
