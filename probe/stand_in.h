/* stand_in.h - numbers in place of a condition that is not at hand
 *
 * An option that names a tensor, as --prompt-embeds FILE#NAME, also takes a word:
 *
 *   zeros    one row of zeros for all samples
 *   random   standard normal numbers, other ones for each sample
 *
 * A network that is told such a thing shows whether its weights and formats hold; what it does for
 * real texts may differ, so notes and run files name it as a stand-in.
 */
#ifndef SS_PROBE_STAND_IN_H
#define SS_PROBE_STAND_IN_H

#include "models/file/safetensors.h"
#include "models/net/condition.h"

#include <stdbool.h>
#include <stdint.h>

#define SS_STAND_IN_ZEROS "zeros"
#define SS_STAND_IN_RANDOM "random"

/* Number of tokens of a text: what the pipelines of Stable Diffusion and DeepFloyd IF pad to. */
enum { SS_STAND_IN_TOKENS = 77 };

/* True if `from` is one of the words; NULL is none. */
bool ss_stand_in_is(const char *from);

/* Makes the rows that `from`, one of the words, stands for, [1 or samples][dim...]: *shape has the
 * rank and the dimensions after the first. option, without dashes, names the stream of random
 * numbers and begins the note. The caller releases *a. */
ss_code ss_stand_in_make(const char *option, const char *from, const ss_array *shape, int samples,
                         uint64_t seed, ss_array *a, ss_err *e);

/* Returns the shape of a text's states [][tokens][width], and of the pooled text [][width], for a
 * network with these needs; rank 0 where it takes none. */
ss_array ss_stand_in_text(const ss_condition_needs *needs);
ss_array ss_stand_in_pooled(const ss_condition_needs *needs);

#endif
