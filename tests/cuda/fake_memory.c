/* fake_memory.c - memory of the emulated device (fake.h)
 *
 * A part of the address space of its own that nothing may touch. While work runs, live blocks are
 * opened as it meets them. A block ends, up to the alignment, where its last page does, and a page
 * without access comes next. Addresses are given out once, until all are spent: what is freed stays
 * out of reach.
 */
#include "tests/cuda/fake_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 256, PAGE = 4096, NAN_BYTE = 0xff };
#define SPACE ((size_t)256 << 30)

typedef struct {
    char *pages, *p;
    size_t page_bytes, bytes;
    bool open;
} block;

static struct {
    char *start, *next;
    block *blocks; /* by address */
    size_t n, cap, allocated;
} memory;

size_t ss_fake_total(void)
{
    const char *text = getenv("SIGMASCOPE_CUDA_MEMORY");

    return text && *text ? strtoull(text, NULL, 10) : (size_t)16 << 30;
}

size_t ss_fake_allocated(void)
{
    return memory.allocated;
}

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* The first block after the address. */
static size_t index_behind(const char *p)
{
    size_t low = 0, high = memory.n;

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (memory.blocks[mid].p <= p)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static const block *block_of(const void *p, size_t bytes)
{
    const size_t i = index_behind(p);
    const block *b = i ? &memory.blocks[i - 1] : NULL;

    return b && (const char *)p + bytes <= b->p + b->bytes ? b : NULL;
}

/* Fills what is beside the values of a block, or compares. */
static void beside(const block *b, size_t *before, size_t *behind)
{
    *before = (size_t)(b->p - b->pages);
    *behind = b->page_bytes - *before - b->bytes;
}

static void set_access(const block *b, int access)
{
    if (mprotect(b->pages, b->page_bytes, access))
        ss_fake_refuse("mprotect of %zu bytes fails", b->page_bytes);
}

/* Where so many bytes of the address space are free. */
static char *free_space(size_t bytes)
{
    if (memory.next + bytes <= memory.start + SPACE)
        return memory.next;
    char *from = memory.start;
    for (size_t i = 0; i < memory.n; i++) {
        if (from + bytes <= memory.blocks[i].pages)
            break;
        from = memory.blocks[i].pages + memory.blocks[i].page_bytes + PAGE;
    }
    return from + bytes <= memory.start + SPACE ? from : NULL;
}

static bool reserve(void)
{
    if (memory.start)
        return true;
    void *p = mmap(NULL, SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    madvise(p, SPACE, MADV_HUGEPAGE); /* fewer pages to protect */
    memory.start = memory.next = p;
    return true;
}

void *ss_fake_alloc(size_t bytes)
{
    block b = {.bytes = bytes, .page_bytes = up(up(bytes, ALIGN), PAGE)};

    if (memory.allocated + up(bytes, ALIGN) > ss_fake_total() || !reserve())
        return NULL;
    if (memory.n == memory.cap) {
        const size_t cap = memory.cap ? 2 * memory.cap : 256;
        block *grown = realloc(memory.blocks, cap * sizeof *grown);

        if (!grown)
            return NULL;
        memory.blocks = grown;
        memory.cap = cap;
    }
    b.pages = free_space(b.page_bytes + PAGE);
    if (!b.pages)
        return NULL;
    if (b.pages == memory.next)
        memory.next += b.page_bytes + PAGE;
    b.p = b.pages + b.page_bytes - up(bytes, ALIGN);
    set_access(&b, PROT_READ | PROT_WRITE);
    ASAN_UNPOISON_MEMORY_REGION(b.pages, b.page_bytes);
    memset(b.pages, NAN_BYTE, b.page_bytes);

    size_t before, behind;
    beside(&b, &before, &behind);
    ASAN_POISON_MEMORY_REGION(b.pages, before);
    ASAN_POISON_MEMORY_REGION(b.p + bytes, behind);
    set_access(&b, PROT_NONE);
    const size_t i = index_behind(b.p);
    memmove(memory.blocks + i + 1, memory.blocks + i, (memory.n - i) * sizeof b);
    memory.blocks[i] = b;
    memory.n++;
    memory.allocated += up(bytes, ALIGN);
    return b.p;
}

#if !defined(__SANITIZE_ADDRESS__)
static bool all_nan(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] != NAN_BYTE)
            return false;
    return true;
}

/* The memory must be open. */
static void check(const block *b, bool front)
{
    size_t before, behind;

    beside(b, &before, &behind);
    if (!all_nan(b->p + b->bytes, behind))
        ss_fake_refuse("something wrote past the end of a block of %zu bytes", b->bytes);
    if (front && !all_nan(b->pages, before))
        ss_fake_refuse("something wrote before the start of a block of %zu bytes", b->bytes);
}
#else
static void check(const block *b, bool front)
{
    (void)b, (void)front; /* ASan has reported it already */
}
#endif

void ss_fake_free(void *p)
{
    const block *b = block_of(p, 0);

    if (!b || b->p != p)
        ss_fake_refuse("cuMemFree: %p is no block of the device's memory, or was freed before", p);
    const size_t i = (size_t)(b - memory.blocks);

    set_access(b, PROT_READ | PROT_WRITE);
    check(b, true);
    ASAN_UNPOISON_MEMORY_REGION(b->pages, b->page_bytes);
    madvise(b->pages, b->page_bytes, MADV_DONTNEED);
    set_access(b, PROT_NONE);
    memory.allocated -= up(b->bytes, ALIGN);
    memmove(memory.blocks + i, memory.blocks + i + 1, (memory.n - i - 1) * sizeof *b);
    memory.n--;
}

bool ss_fake_open(const void *p)
{
    const size_t i = index_behind((const char *)p + ALIGN); /* the fault may be before its values */

    for (size_t k = i; k-- > 0 && k + 2 >= i;) {
        block *b = &memory.blocks[k];

        if (b->open || (const char *)p < b->pages || (const char *)p >= b->pages + b->page_bytes)
            continue;
        b->open = true;
        set_access(b, PROT_READ | PROT_WRITE);
        return true;
    }
    return false;
}

void ss_fake_close(void)
{
    for (size_t i = 0; i < memory.n; i++) {
        block *b = &memory.blocks[i];

        if (b->open) {
            check(b, false);
            set_access(b, PROT_NONE);
        }
        b->open = false;
    }
}

ss_fake_place ss_fake_find(const void *p)
{
    const char *at = p;

    if (!memory.start || at < memory.start || at >= memory.start + SPACE)
        return SS_FAKE_HOST;
    return block_of(p, 0) ? SS_FAKE_LIVE : SS_FAKE_DEAD;
}

void ss_fake_describe(const void *p, char *text, size_t size)
{
    const size_t i = index_behind(p);
    const block *b = i ? &memory.blocks[i - 1] : NULL;

    if (ss_fake_find(p) == SS_FAKE_HOST)
        snprintf(text, size, "%p is memory of the host", p);
    else if (b && (const char *)p < b->pages + b->page_bytes + PAGE)
        snprintf(text, size, "%p is %td bytes after the start of a block of %zu bytes", p,
                 (const char *)p - b->p, b->bytes);
    else
        snprintf(text, size, "%p is memory of the device that is not allocated, or freed", p);
}

void ss_fake_memory(const char *function, const char *what, const void *p, size_t bytes)
{
    char where[160];

    if (!bytes || block_of(p, bytes))
        return;
    ss_fake_describe(p, where, sizeof where);
    ss_fake_refuse("%s: %zu bytes of %s are not in one block of the device's memory: %s", function,
                   bytes, what, where);
}
