/* pool.h - activation memory that stays warm
 *
 * Fresh memory costs more than most kernels: the kernel clears each page at its first
 * touch. So freed blocks are kept and given out again: the smallest that a request fits, if it is
 * at most twice as large, and of those the latest freed. Sizes are rounded up to eight classes an
 * octave.
 *
 * Invariant: all blocks, lent and cached, never exceed the most that was ever asked for at once by
 * more than half; before fresh memory would break that, the blocks that were freed longest ago
 * go back. The half is for phases of a step that need other sizes than those alive at its peak.
 */
#ifndef SS_KERNELS_CPU_POOL_H
#define SS_KERNELS_CPU_POOL_H

#include <stddef.h>

typedef struct {
    void *p;
    size_t size;
    size_t asked; /* what it is lent for */
} ss_pool_block;

typedef struct {
    ss_pool_block *blocks;
    size_t n, cap;
} ss_pool_list;

typedef struct {
    ss_pool_list lent, cached; /* in the order in which they came */
    size_t asked, held, peak;  /* bytes: asked for now, of all blocks, most ever asked for */
} ss_pool;                     /* {0} is an empty pool */

/* At least `bytes` of uninitialised memory at a multiple of 64; NULL when out of memory. */
void *ss_pool_alloc(ss_pool *pool, size_t bytes) __attribute__((warn_unused_result));
void ss_pool_free(ss_pool *pool, void *p); /* NULL is fine */
void ss_pool_release(ss_pool *pool);       /* every block must have been freed */

#endif
