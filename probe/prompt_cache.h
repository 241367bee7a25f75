/* prompt_cache.h - encoded prompts that are kept from one command to the next
 *
 * A text encoder of billions of parameters takes minutes for a prompt, and every checkpoint of a
 * training is asked with the same ones. Encoded prompts are kept in
 * $XDG_CACHE_HOME/sigmascope/prompts (or ~/.cache/...), a file for each encoder and list of
 * prompts, named by all that determines them: the encoder's weights and config, the tokens, the
 * device, the program's version. Files may be removed at any time; SIGMASCOPE_CACHE=none keeps
 * nothing, another value is the folder to use. When they are more than 2 GB together, or
 * SIGMASCOPE_CACHE_LIMIT ("500M"), those whose use is longest ago are removed.
 */
#ifndef SS_PROBE_PROMPT_CACHE_H
#define SS_PROBE_PROMPT_CACHE_H

#include "models/file/safetensors.h"
#include "probe/prompts.h"

#define SS_PROMPT_CACHE_LIMIT 2000000000U /* bytes */

/* States of one encoder: rank 0 where it has none. */
typedef struct {
    ss_array last, penultimate; /* [n][tokens][width] */
    ss_array projected;         /* [n][width] */
} ss_encoded_prompts;

void ss_encoded_prompts_release(ss_encoded_prompts *p); /* {0} is fine */

/* Reads every file of the encoder, to name it. */
ss_code ss_prompt_cache_key(const ss_model *encoder, const ss_prompts *p, const char *device,
                            char key[65], ss_err *e);
/* True if the states of n prompts are kept; *out is then the caller's to release. A damaged file is
 * one that is not there. */
bool ss_prompt_cache_read(const char *key, int n, ss_encoded_prompts *out);
/* Keeps the states; a note says if that fails, which harms nothing. */
void ss_prompt_cache_write(const char *key, const ss_encoded_prompts *p);

#endif
