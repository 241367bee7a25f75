/* machine.c - what the machine can do: multiply-adds a second, bytes a second
 *
 * The peaks, of f32 and of bf16: each thread runs chains of fused multiply-adds in registers,
 * enough of them to hide the latency, in the widest vectors there are. The memory's rate: all
 * threads copy arrays much larger than the caches; bytes read and bytes written count. Both are the
 * best of several tries: they are limits.
 */
#include "base/mem.h"
#include "tests/bench/bench.h"

#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHAINS = 12, TRIES = 7 };

#define CHAIN_LOOP(vector, set1, fmadd, sum)                                                  \
    vector a[CHAINS], k = set1(0.999f), one = set1(0.001f);                                   \
    for (int i = 0; i < CHAINS; i++)                                                          \
        a[i] = set1((float)i);                                                                \
    for (int64_t r = 0; r < rounds; r++) {                                                    \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) a[i] = fmadd(a[i], k, one); \
    }                                                                                         \
    for (int i = 1; i < CHAINS; i++)                                                          \
        a[0] = sum(a[0], a[i]);

__attribute__((target("avx512f"))) static float chains_512(int64_t rounds)
{
    CHAIN_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps)
    return _mm512_cvtss_f32(a[0]);
}

__attribute__((target("avx2,fma"))) static float chains_256(int64_t rounds)
{
    CHAIN_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps)
    return _mm256_cvtss_f32(a[0]);
}

static inline __m128 multiply_add(__m128 a, __m128 b, __m128 c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}

static float chains_128(int64_t rounds)
{
    CHAIN_LOOP(__m128, _mm_set1_ps, multiply_add, _mm_add_ps)
    return _mm_cvtss_f32(a[0]);
}

/* Pairs of bf16, each lane multiplies and adds two. The sums come first, as in dpbf16. */
static inline __attribute__((target("avx512bf16"))) __m512 add_pairs(__m512 sum, __m512 a, __m512 b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

__attribute__((target("avx512bf16"))) static float chains_bf16(int64_t rounds)
{
    CHAIN_LOOP(__m512, _mm512_set1_ps, add_pairs, _mm512_add_ps)
    return _mm512_cvtss_f32(a[0]);
}

/* lanes: products of one step of a chain */
static double rate_of(float (*chains)(int64_t), int64_t lanes, int threads)
{
    const int64_t rounds = 4000000;
    volatile float keep = 0; /* the results are used: the loops may not go */
    double best = 0;

    for (int t = 0; t < TRIES; t++) {
        const double start = bench_now();
#pragma omp parallel num_threads(threads)
        {
            const float x = chains(rounds);
#pragma omp critical
            keep += x;
        }
        const double rate =
            2.0 * CHAINS * (double)(rounds * lanes * threads) / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

double bench_peak(int threads)
{
    if (__builtin_cpu_supports("avx512f"))
        return rate_of(chains_512, 16, threads);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return rate_of(chains_256, 8, threads);
    return rate_of(chains_128, 4, threads);
}

static bool has_amx_bf16(void)
{
    unsigned r[4];

    return __get_cpuid_count(7, 0, &r[0], &r[1], &r[2], &r[3]) && (r[3] >> 22 & 1);
}

double bench_peak_bf16(int threads)
{
    return __builtin_cpu_supports("avx512bf16") && !has_amx_bf16()
               ? rate_of(chains_bf16, 32, threads)
               : NAN;
}

static double copy_rate(int threads)
{
    const size_t bytes = (size_t)256 << 20, each = bytes / (size_t)threads;
    char *from = ss_alloc_aligned(bytes), *to = ss_alloc_aligned(bytes);
    double best = 0;

    if (!from || !to)
        bench_die("no memory to measure it");
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    for (int t = 0; t < TRIES; t++) {
        const double start = bench_now();
#pragma omp parallel num_threads(threads)
        {
            const size_t at = each * (size_t)omp_get_thread_num();

            memcpy(to + at, from + at, each);
        }
        const double rate = 2.0 * (double)bytes / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    ss_free(from);
    ss_free(to);
    return best;
}

void bench_measure_machine(bench *b)
{
    b->peak = bench_peak(b->threads);
    b->bandwidth = copy_rate(b->threads);
}
