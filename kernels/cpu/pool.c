/* pool.c - see pool.h */
#include "kernels/cpu/pool.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

/* The request rounded up to its size class; 0 when that overflows. */
static size_t class_size(size_t bytes)
{
    size_t step = 64;

    if (bytes > SIZE_MAX / 4)
        return 0;
    while (step * 16 <= bytes)
        step *= 2;
    return (bytes + step - 1) / step * step + (bytes ? 0 : step);
}

static void forget(ss_pool *pool, size_t i)
{
    pool->n_cached--;
    memmove(pool->cached + i, pool->cached + i + 1, (pool->n_cached - i) * sizeof *pool->cached);
}

static void drop_oldest(ss_pool *pool)
{
    pool->held -= pool->cached[0].size;
    ss_free(pool->cached[0].p);
    forget(pool, 0);
}

void *ss_pool_alloc(ss_pool *pool, size_t bytes)
{
    const size_t size = class_size(bytes);

    if (!size)
        return NULL;
    for (size_t i = pool->n_cached; i-- > 0;) {
        if (pool->cached[i].size == size) {
            void *p = pool->cached[i].p;

            forget(pool, i);
            pool->live += size;
            if (pool->live > pool->peak)
                pool->peak = pool->live;
            return p;
        }
    }

    const size_t peak = pool->live + size > pool->peak ? pool->live + size : pool->peak;

    while (pool->n_cached && pool->held + size > peak + peak / 4)
        drop_oldest(pool);
    void *p = ss_alloc_aligned(size);
    if (!p)
        return NULL;
    pool->live += size;
    pool->held += size;
    pool->peak = peak;
    return p;
}

void ss_pool_free(ss_pool *pool, void *p, size_t bytes)
{
    const size_t size = class_size(bytes);

    if (!p)
        return;
    pool->live -= size;

    ss_pool_block *grown =
        ss_grow(pool->cached, &pool->cap_cached, pool->n_cached + 1, sizeof *pool->cached);
    if (!grown) { /* no room to remember it */
        pool->held -= size;
        ss_free(p);
        return;
    }
    pool->cached = grown;
    pool->cached[pool->n_cached++] = (ss_pool_block){p, size};
}

void ss_pool_release(ss_pool *pool)
{
    while (pool->n_cached)
        drop_oldest(pool);
    ss_free(pool->cached);
    *pool = (ss_pool){0};
}
