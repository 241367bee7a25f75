/* pool.c - see pool.h */
#include "kernels/pool.h"

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

static bool reserve(ss_pool_list *l)
{
    ss_pool_block *grown = ss_grow(l->blocks, &l->cap, l->n + 1, sizeof *l->blocks);

    if (grown)
        l->blocks = grown;
    return grown;
}

static ss_pool_block take(ss_pool_list *l, size_t i)
{
    const ss_pool_block b = l->blocks[i];

    l->n--;
    memmove(l->blocks + i, l->blocks + i + 1, (l->n - i) * sizeof *l->blocks);
    return b;
}

static void give_back(ss_pool *pool, ss_pool_block b)
{
    pool->held -= b.size;
    pool->give_back(pool->self, b.p);
}

/* A cached block for `size` bytes, or one without memory. */
static ss_pool_block find(ss_pool *pool, size_t size)
{
    const ss_pool_list *l = &pool->cached;
    size_t best = l->n;

    for (size_t i = l->n; i-- > 0;) {
        const size_t have = l->blocks[i].size;

        if (have >= size && have <= 2 * size && (best == l->n || have < l->blocks[best].size))
            best = i;
    }
    return best < l->n ? take(&pool->cached, best) : (ss_pool_block){0};
}

static ss_pool_block fresh(ss_pool *pool, size_t size)
{
    while (pool->cached.n && pool->held + size > pool->peak + pool->peak / 2)
        give_back(pool, take(&pool->cached, 0));

    void *p = pool->get(pool->self, size);
    while (!p && pool->cached.n) { /* what is kept may be what is missing */
        give_back(pool, take(&pool->cached, 0));
        p = pool->get(pool->self, size);
    }
    if (p)
        pool->held += size;
    return (ss_pool_block){.p = p, .size = size};
}

void *ss_pool_alloc(ss_pool *pool, size_t bytes)
{
    const size_t size = pool->exact && bytes ? bytes : class_size(bytes);

    if (!size || !reserve(&pool->lent))
        return NULL;
    if (pool->asked + size > pool->peak)
        pool->peak = pool->asked + size;

    ss_pool_block b = find(pool, size);
    if (!b.p)
        b = fresh(pool, size);
    if (!b.p)
        return NULL;
    b.asked = size;
    pool->asked += size;
    pool->lent.blocks[pool->lent.n++] = b;
    return b.p;
}

void ss_pool_free(ss_pool *pool, void *p)
{
    size_t i = pool->lent.n;

    if (!p)
        return;
    while (pool->lent.blocks[--i].p != p)
        ;
    const ss_pool_block b = take(&pool->lent, i);
    pool->asked -= b.asked;
    if (!pool->exact && reserve(&pool->cached))
        pool->cached.blocks[pool->cached.n++] = b;
    else
        give_back(pool, b);
}

void ss_pool_release(ss_pool *pool)
{
    while (pool->cached.n)
        give_back(pool, take(&pool->cached, 0));
    ss_free(pool->cached.blocks);
    ss_free(pool->lent.blocks);
    pool->cached = pool->lent = (ss_pool_list){0};
}
