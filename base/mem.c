/* mem.c - see mem.h */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_ulong calls;
static atomic_ulong fail_at; /* the value of `calls` that fails; 0: never */

/* True when the call must be refused; *bytes is the checked product. */
static int refuse(size_t n, size_t size, size_t *bytes)
{
    unsigned long call = atomic_fetch_add(&calls, 1) + 1;

    if (call == atomic_load(&fail_at))
        return 1;
    return __builtin_mul_overflow(n, size, bytes);
}

void *ss_alloc(size_t n, size_t size)
{
    size_t bytes;

    return refuse(n, size, &bytes) ? NULL : malloc(bytes ? bytes : 1);
}

void *ss_calloc(size_t n, size_t size)
{
    size_t bytes;

    return refuse(n, size, &bytes) ? NULL : calloc(1, bytes ? bytes : 1);
}

void *ss_alloc_aligned(size_t want)
{
    enum { LINE = 64, HUGE_PAGE = 2 << 20 };
    const int big = want >= 2 * HUGE_PAGE;
    size_t bytes;
    void *p;

    if (refuse(want, 1, &bytes) || bytes > PTRDIFF_MAX ||
        posix_memalign(&p, big ? HUGE_PAGE : LINE, bytes ? bytes : 1) != 0)
        return NULL;
    if (big)
        madvise(p, bytes, MADV_HUGEPAGE); /* an advice: it may be refused */
    return p;
}

void *ss_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;

    return refuse(n, size, &bytes) ? NULL : realloc(p, bytes ? bytes : 1);
}

char *ss_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = ss_alloc(n, 1);

    return copy ? memcpy(copy, s, n) : NULL;
}

void ss_free(void *p)
{
    free(p);
}

void *ss_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t n = *cap ? *cap : 8;

    if (need <= *cap && p)
        return p;
    while (n < need) {
        if (n > SIZE_MAX / 2)
            return NULL;
        n *= 2;
    }
    void *q = ss_realloc(p, n, size);
    if (q)
        *cap = n;
    return q;
}

void ss_mem_fail_at(unsigned long k)
{
    atomic_store(&fail_at, k ? atomic_load(&calls) + k : 0);
}

unsigned long ss_mem_calls(void)
{
    return atomic_load(&calls);
}
