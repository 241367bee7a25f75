/* pool.h - activation memory that stays warm
 *
 * Fresh memory costs more than most kernels: the kernel clears each page at its first
 * touch. So freed blocks are kept and given out again to requests of the same size class
 * (eight classes an octave, at most 1/8 waste), latest freed first.
 *
 * Invariant: live + cached bytes never exceed the most that was ever live at once by more than a
 * quarter; before fresh memory would break that, the blocks that were freed longest ago go back.
 * The quarter is for phases of a step that need other sizes than those alive at its peak.
 */
#ifndef SS_KERNELS_CPU_POOL_H
#define SS_KERNELS_CPU_POOL_H

#include <stddef.h>

typedef struct {
    void *p;
    size_t size;
} ss_pool_block;

typedef struct {
    ss_pool_block *cached; /* in the order they were freed */
    size_t n_cached, cap_cached;
    size_t live, held, peak; /* bytes; held = live + cached, peak = most live so far */
} ss_pool;                   /* {0} is an empty pool */

/* At least `bytes` of uninitialised memory at a multiple of 64; NULL when out of memory. */
void *ss_pool_alloc(ss_pool *pool, size_t bytes) __attribute__((warn_unused_result));
/* bytes as in the request; NULL is fine. */
void ss_pool_free(ss_pool *pool, void *p, size_t bytes);
void ss_pool_release(ss_pool *pool); /* every block must have been freed */

#endif
