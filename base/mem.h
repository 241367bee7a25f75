/* mem.h - all memory comes from here
 *
 * Every allocation multiplies count by size with an overflow check, and a test
 * can make the k-th call fail (ss_mem_fail_at), so that each error path runs.
 */
#ifndef SS_BASE_MEM_H
#define SS_BASE_MEM_H

#include <stddef.h>

/* Uninitialised room for n objects of the size given; NULL when out of memory or
 * when n * size overflows. n * size == 0 gives a unique pointer. Free with ss_free. */
void *ss_alloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));

/* Like ss_alloc, zeroed. */
void *ss_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));

/* Room at a multiple of 64 bytes, for vector loads; from 4 MiB on in huge pages where the system
 * has them, as matrices read across their rows miss the translation buffer elsewhere. Free with
 * ss_free. */
void *ss_alloc_aligned(size_t bytes) __attribute__((malloc, warn_unused_result));

/* Resizes p (NULL is fine); on failure p stays valid and NULL is returned. */
void *ss_realloc(void *p, size_t n, size_t size) __attribute__((warn_unused_result));

/* A copy of s, or NULL. Free with ss_free. */
char *ss_strdup(const char *s) __attribute__((malloc, warn_unused_result));

void ss_free(void *p); /* NULL is fine */

/* Grows an array so that it holds at least need items: *cap doubles. Returns the
 * array, maybe moved, or NULL (the old one stays valid). */
void *ss_grow(void *p, size_t *cap, size_t need, size_t size) __attribute__((warn_unused_result));

/* For tests: the k-th allocation from now (1 is the next) fails, once; 0 turns it off. */
void ss_mem_fail_at(unsigned long k);

/* For tests: how many allocations have been asked for so far. */
unsigned long ss_mem_calls(void);

#endif
