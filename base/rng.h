/* rng.h - counter-based random numbers (Philox4x32-10)
 *
 *   value(i) depends only on (seed, stream, i): any thread, any device, any order
 *   of evaluation draws the same numbers, and nothing has to be saved to resume.
 *
 * Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as
 * 1, 2, 3", SC'11. Normals go through the inverse of the normal distribution
 * (Wichura 1988, algorithm AS 241, PPND16) in double, with our own logarithm made
 * of additions and multiplications, so that no libm version changes a bit.
 */
#ifndef SS_BASE_RNG_H
#define SS_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t seed;
    uint64_t stream; /* see ss_rng_stream */
} ss_rng;

/* Derives a stream from a name and two numbers, as in ("noise", input, sample). */
ss_rng ss_rng_stream(uint64_t seed, const char *name, uint64_t a, uint64_t b);

/* The four 32-bit words of block i. */
void ss_rng_block(ss_rng r, uint64_t i, uint32_t out[4]);

/* Word i of the stream. */
uint32_t ss_rng_u32(ss_rng r, uint64_t i);

/* Uniform in (0,1): (word + 1/2) / 2^32, never 0 nor 1. */
double ss_rng_uniform(ss_rng r, uint64_t i);

/* Standard normal number i. */
double ss_rng_normal(ss_rng r, uint64_t i);

/* x[k] = normal number first + k, k < n. */
void ss_rng_normals(ss_rng r, uint64_t first, float *x, size_t n);

#endif
