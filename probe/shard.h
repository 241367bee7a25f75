/* shard.h - divides a probe among processes
 *
 * What is divided are forward passes: a batch of samples at one noise level is computed by one
 * process, with the samples that it has in an undivided run, since the sums in a network may
 * depend on how many samples go through it together. So every number keeps its bits. Passes stand
 * in the order of the run file, by noise level and then by input, and each part has a stretch of
 * them with about as many samples as the others:
 *
 *   the pass of samples a to b, of T in all, is of part floor(N (a + b) / 2T)
 *
 * A part may have none. With statistics of channels a stretch ends only where an input does: they
 * are sums over all samples of an input, and floating-point sums depend on their order.
 */
#ifndef SS_PROBE_SHARD_H
#define SS_PROBE_SHARD_H

#include "base/err.h"
#include "runfile/run_part.h"

typedef struct {
    int index, count; /* part `index`, from 0, of `count`; count 0: the run is not divided */
} ss_shard;

enum { SS_MAX_SHARDS = 1 << 20 };

/* Describes the work to divide. */
typedef struct {
    int levels, inputs, samples; /* samples: of each input at each noise level */
    int batch;                   /* samples of a forward pass */
    bool whole_inputs;           /* all passes of an input at a noise level stay together */
} ss_shard_work;

/* The samples of a part. */
ss_run_part ss_shard_part(ss_shard s, const ss_shard_work *w);

/* The name of a part's file: RUN.3-of-7.h5 for RUN.h5; ss_free. NULL: no memory. */
char *ss_shard_path(const char *whole, ss_shard s);

/* Finds what a part's name is made of: RUN.h5 of RUN.3-of-7.h5, which the caller frees with
 * ss_free, and 3 of 7. *whole = NULL: the name is not of that form. */
ss_code ss_shard_parse_path(const char *path, char **whole, ss_shard *s, ss_err *e);

/* Parses "3/7". */
bool ss_shard_parse(const char *text, ss_shard *s);

#endif
