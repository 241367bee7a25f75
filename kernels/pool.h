/* pool.h - a device's activation memory, kept for the next tensor; private to kernels/
 *
 * Fresh memory costs more than most kernels: on a CPU each page is cleared at its first touch, on
 * a GPU the driver waits. So freed blocks are kept and given out again: the smallest that a request
 * fits, if it is at most twice as large, and of those the latest freed. Sizes are rounded up to
 * eight classes an octave.
 *
 * Invariant: all blocks, lent and cached, never exceed the most that was ever asked for at once by
 * more than half; before fresh memory would break that, the blocks that were freed longest ago
 * go back. The half is for phases of a step that need other sizes than those alive at its peak.
 * Where there is no fresh memory, kept blocks go back until there is.
 */
#ifndef SS_KERNELS_POOL_H
#define SS_KERNELS_POOL_H

#include <stdbool.h>
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

    /* Where blocks come from, at a multiple of 64, and go; get gives NULL when there is no more. */
    void *(*get)(void *self, size_t bytes);
    void (*give_back)(void *self, void *p);
    void *self;
    bool exact; /* blocks are as large as asked for and go back at once: tools see every fault */
} ss_pool;      /* empty, but for the functions */

/* At least `bytes` of uninitialised memory at a multiple of 64; NULL when out of memory. */
void *ss_pool_alloc(ss_pool *pool, size_t bytes) __attribute__((warn_unused_result));
void ss_pool_free(ss_pool *pool, void *p); /* NULL is fine */
void ss_pool_release(ss_pool *pool);       /* every block must have been freed */

#endif
