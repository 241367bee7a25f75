/* simd.h - loops over doubles that use the CPU's wider vectors where it has them
 *
 * A function marked SS_SIMD is compiled for AVX2 as well; which one runs is decided when the
 * program starts. Sums of lanes are written out, so both give the same bits.
 */
#ifndef SS_BASE_SIMD_H
#define SS_BASE_SIMD_H

#ifdef __SANITIZE_THREAD__ /* which cannot watch what runs before it is set up */
#define SS_SIMD
#else
#define SS_SIMD __attribute__((target_clones("avx2", "default")))
#endif

/* Four doubles; the operators work on them lane by lane. */
typedef double ss_double4 __attribute__((vector_size(32), aligned(8)));

#endif
