// test_emulator.cpp - the emulator of CUDA kernels (tests/cuda/emulator.h): barriers, shuffles,
// votes, orders, shared memory, and that what a GPU would do wrong in silence ends with its place
#include "tests/cuda/emulator.cuh"
#include "tests/cuda/emulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
// clang-format off: cmocka.h needs what is above it
extern "C" {
#include <cmocka.h>
}
// clang-format on

#define FULL_WARP 0xffffffffu
enum { N = 128, BLOCKS = 6, ORDERS = 5 };

struct arguments {
    float *x, *y;
    int *n;
    int which;
};
#define TEST_KERNEL(name)               \
    typedef arguments ss_kernel_##name; \
    KERNEL(name)

static void with_order(int seed)
{
    char text[16];
    snprintf(text, sizeof text, "%d", seed);
    setenv("SIGMASCOPE_CUDA_SEED", text, 1);
}
#define RUN(name, args, ...)                                                       \
    do {                                                                           \
        const unsigned grid_[3] = {__VA_ARGS__};                                   \
        const arguments args_ = args;                                              \
        ss_emulator_run("sigmascope_" #name, sigmascope_##name, &args_, grid_, N); \
    } while (0)

// ---- what works ----

// Reverses the values of a block through shared memory, three times, so that barriers follow.
TEST_KERNEL(reverse)
{
    SHARED(float, tile, N);
    const unsigned t = threadIdx.x, first = blockIdx.x * blockDim.x;
    float v = a.x[first + t];
    for (int k = 0; k < 3; k++) {
        tile[t] = v;
        __syncthreads();
        v = tile[N - 1 - t];
        __syncthreads();
    }
    a.y[first + t] = v;
}

static void test_barriers(void **)
{
    for (int order = 0; order < ORDERS; order++) {
        std::vector<float> x(N * BLOCKS), y(N * BLOCKS, -1);
        for (int i = 0; i < N * BLOCKS; i++)
            x[i] = (float)i;
        with_order(order);
        RUN(reverse, (arguments{x.data(), y.data(), NULL, 0}), BLOCKS, 1, 1);
        for (int i = 0; i < N * BLOCKS; i++)
            assert_true(y[i] == (float)(i / N * N + N - 1 - i % N));
    }
}

// The indices of a grid of three dimensions, each block and thread once.
TEST_KERNEL(indices)
{
    const unsigned b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    atomicAdd(&a.n[b * blockDim.x + threadIdx.x], 1);
}

static void test_indices_without_switches(void **)
{
    for (int order = 0; order < ORDERS; order++) {
        std::vector<int> n(N * 2 * 3 * 5);
        const long before = ss_emulator_switches();
        with_order(order);
        RUN(indices, (arguments{NULL, NULL, n.data(), 0}), 2, 3, 5);
        for (int k : n)
            assert_int_equal(k, 1);
#if !defined(__SANITIZE_THREAD__) // for which each thread has a stack of its own
        assert_true(ss_emulator_switches() - before <= 2 * 2 * 3 * 5); // in and out of a block
#else
        (void)before;
#endif
    }
}

TEST_KERNEL(shuffles)
{
    const unsigned lane = threadIdx.x % 32, w = threadIdx.x / 32;
    const int v = (int)(100 * w + lane);
    int *to = a.n + threadIdx.x * 8;
    to[0] = __shfl_sync(FULL_WARP, v, 7);
    to[1] = __shfl_xor_sync(FULL_WARP, v, 5);
    to[2] = __shfl_down_sync(FULL_WARP, v, 3);
    to[3] = __shfl_up_sync(FULL_WARP, v, 3);
    to[4] = (int)__ballot_sync(FULL_WARP, lane % 3 == w % 3);
    to[5] = __any_sync(FULL_WARP, lane == 31) * 2 + __any_sync(FULL_WARP, lane == 32);
    to[6] = __all_sync(FULL_WARP, lane < 32) * 2 + __all_sync(FULL_WARP, lane < 31);
    to[7] = (int)(__shfl_xor_sync(FULL_WARP, (double)v, 1) * 2);
}

static void test_shuffles_and_votes(void **)
{
    for (int order = 0; order < ORDERS; order++) {
        std::vector<int> n(N * 8);
        with_order(order);
        RUN(shuffles, (arguments{NULL, NULL, n.data(), 0}), 1, 1, 1);
        for (int t = 0; t < N; t++) {
            const int *got = &n[t * 8], lane = t % 32, w = t / 32, v = 100 * w;
            unsigned ballot = 0;
            for (int k = 0; k < 32; k++)
                ballot |= (unsigned)(k % 3 == w % 3) << k;
            assert_int_equal(got[0], v + 7);
            assert_int_equal(got[1], v + (lane ^ 5));
            assert_int_equal(got[2], v + (lane + 3 < 32 ? lane + 3 : lane));
            assert_int_equal(got[3], v + (lane >= 3 ? lane - 3 : lane));
            assert_int_equal((unsigned)got[4], ballot);
            assert_int_equal(got[5], 2);
            assert_int_equal(got[6], 2);
            assert_int_equal(got[7], 2 * (v + (lane ^ 1)));
        }
    }
}

// A sum as kernels have it: within warps by shuffles, then over warps in order.
TEST_KERNEL(sum)
{
    SHARED(float, part, N / 32);
    float v = a.x[threadIdx.x];
    for (int k = 16; k; k /= 2)
        v += __shfl_xor_sync(FULL_WARP, v, k);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x)
        return;
    float total = 0;
    for (int w = 0; w < N / 32; w++)
        total += part[w];
    a.y[0] = total;
}

static void test_bits_do_not_depend_on_the_order(void **)
{
    std::vector<float> x(N);
    float first = 0;
    srand(1);
    for (float &v : x)
        v = (float)rand() / 1e6f;
    for (int order = 0; order < 2 * ORDERS; order++) {
        float y = -1;
        with_order(order);
        RUN(sum, (arguments{x.data(), &y, NULL, 0}), 1, 1, 1);
        first = order ? first : y;
        assert_memory_equal(&y, &first, sizeof y);
    }
}

// Integer atomics, and what they leave.
TEST_KERNEL(atomics)
{
    atomicAdd(&a.n[0], 2);
    atomicMax(&a.n[1], (int)threadIdx.x);
    atomicMin(&a.n[2], -(int)threadIdx.x);
    atomicOr(&a.n[3], 1 << threadIdx.x % 8);
    if (atomicCAS(&a.n[4], 0, 7) == 0)
        atomicAdd(&a.n[5], 1);
}

static void test_atomics(void **)
{
    int n[6] = {0};
    with_order(3);
    RUN(atomics, (arguments{NULL, NULL, n, 0}), 2, 1, 1);
    assert_int_equal(n[0], 4 * N);
    assert_int_equal(n[1], N - 1);
    assert_int_equal(n[2], 1 - N);
    assert_int_equal(n[3], 255);
    assert_int_equal(n[4], 7);
    assert_int_equal(n[5], 1);
}

// Runs the kernel in a process of its own, which must end with all of the texts.
static void must_fail(void (*kernel)(const void *), int which, unsigned threads, unsigned blocks,
                      const char *const *texts)
{
    char said[2000] = "";
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (!child) {
        const unsigned grid[3] = {blocks, 1, 1};
        static float space[N * 8];
        const arguments args = {space, space, (int *)space, which};
        dup2(ends[1], STDERR_FILENO);
        for (int s : {SIGABRT, SIGSEGV})
            signal(s, SIG_DFL); // cmocka's would go on with the next test
        ss_emulator_run("sigmascope_bad", kernel, &args, grid, threads);
        exit(0); // with TSan's status, if it has reported
    }
    close(ends[1]);
    for (size_t n = 0; n < sizeof said - 1;) {
        const ssize_t got = read(ends[0], said + n, sizeof said - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(ends[0]);
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0)
        fail_msg("case %d was not noticed", which);
    for (; *texts; texts++)
        if (!strstr(said, *texts))
            fail_msg("case %d: '%s' is not in: %s", which, *texts, said);
}

// ---- what goes wrong must be seen ----

// Without the barrier that it needs: the value of the other end of the block.
TEST_KERNEL(no_barrier)
{
    SHARED(float, tile, N);
    tile[threadIdx.x] = a.x[threadIdx.x];
    a.y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}

// With a shuffle, which orders no memory, where a barrier is needed.
TEST_KERNEL(shuffle_for_barrier)
{
    SHARED(float, tile, N);
    tile[threadIdx.x] = a.x[threadIdx.x];
    const float v = __shfl_xor_sync(FULL_WARP, a.x[threadIdx.x], 1);
    a.y[threadIdx.x] = v + tile[threadIdx.x ^ 1];
}

// One block counts on another's values, of the same launch.
TEST_KERNEL(blocks)
{
    if (threadIdx.x == 0)
        a.y[blockIdx.x] = blockIdx.x ? a.y[blockIdx.x - 1] + 1 : 1;
}

#if defined(__SANITIZE_THREAD__)
static void test_races_are_named(void **)
{
    const char *const texts[] = {"ThreadSanitizer: data race", "test_emulator.cpp", NULL};
    with_order(0); // TSan does not depend on it
    must_fail(sigmascope_no_barrier, 0, N, 1, texts);
    must_fail(sigmascope_shuffle_for_barrier, 0, N, 1, texts);
    must_fail(sigmascope_blocks, 0, N, BLOCKS, texts);
}
#else
static void test_missing_barrier_shows_nan(void **)
{
    for (int order = 0; order < ORDERS; order++) {
        std::vector<float> x(N, 1.0f), y(N);
        int bad = 0;
        with_order(order);
        RUN(no_barrier, (arguments{x.data(), y.data(), NULL, 0}), 1, 1, 1);
        for (float v : y)
            bad += isnan(v);
        assert_true(bad > 0); // unwritten shared memory, in each order
    }
}

static void test_orders_of_blocks_differ(void **)
{
    int wrong = 0;
    for (int order = 0; order < ORDERS; order++) {
        float y[BLOCKS] = {0};
        with_order(order);
        RUN(blocks, (arguments{NULL, y, NULL, 0}), BLOCKS, 1, 1);
        wrong += y[BLOCKS - 1] != BLOCKS;
    }
    assert_int_equal(wrong, ORDERS - 1); // ascending is the one in which it works
}
#endif

enum {
    HALF_BARRIER,
    HALF_SHUFFLE,
    TWO_PLACES,
    EARLY_RETURN,
    PARTIAL_MASK,
    BLOCK_PARTS,
    TOO_MUCH,
    MISALIGNED,
    OUTSIDE
};
enum { BAD_LINE = __LINE__ }; // the cases follow, at known distances
TEST_KERNEL(bad)
{
    const unsigned lane = threadIdx.x % 32;
    switch (a.which) {
    case HALF_BARRIER: // of a warp
        if (lane < 16)
            __syncthreads(); // BAD_LINE + 7
        break;
    case HALF_SHUFFLE:
        if (lane < 16)
            a.n[threadIdx.x] = __shfl_xor_sync(FULL_WARP, 1, 1); // BAD_LINE + 11
        break;
    case TWO_PLACES:
        if (lane % 2)
            __syncwarp(); // BAD_LINE + 15
        else
            __syncwarp(); // BAD_LINE + 17
        break;
    case EARLY_RETURN:
        if (threadIdx.x >= 40)
            return;
        __syncthreads(); // BAD_LINE + 22
        break;
    case PARTIAL_MASK:
        a.n[threadIdx.x] = __shfl_xor_sync(0xffffu, 1, 1); // BAD_LINE + 25
        break;
    case BLOCK_PARTS:
        if (threadIdx.x < 32)
            __syncthreads(); // BAD_LINE + 29
        else
            __syncthreads(); // BAD_LINE + 31
        break;
    case TOO_MUCH: {
        SHARED(float, one, 8000);
        SHARED(float, two, 8000); // BAD_LINE + 35
        one[lane] = two[lane] = 0;
        break;
    }
    case MISALIGNED:
        a.y[lane] = ((const float4 *)(a.x + 1))->w; // BAD_LINE + 40
        break;
    case OUTSIDE: {
        SHARED(float, few, 16);
        few[lane] = 0; // BAD_LINE + 44
        break;
    }
    }
}

static void test_failures_name_the_line(void **)
{
    static const struct {
        int which, line, line2;
        const char *text;
    } cases[] = {
        {HALF_BARRIER, 7, 0, "the threads of a warp part"},
        {HALF_SHUFFLE, 11, 0, "the kernel's end (return)"},
        {TWO_PLACES, 15, 17, "the threads of a warp part"},
        {EARLY_RETURN, 22, 0, "__syncthreads"},
        {PARTIAL_MASK, 25, 0, "a partial mask, 0x0000ffff"},
        {BLOCK_PARTS, 29, 31, "the threads of a block part"},
        {TOO_MUCH, 35, 0, "64000 bytes of shared memory in 2 arrays"},
        {MISALIGNED, 40, 0, "misaligned address"},
        {OUTSIDE, 44, 0, "out of bounds for type 'float [16]'"},
    };
    for (int order = 0; order < ORDERS; order++) {
        with_order(order);
        for (const auto &c : cases) {
            char line[2][80] = {"", ""};
            if (c.line)
                snprintf(line[0], sizeof line[0], "test_emulator.cpp:%d", BAD_LINE + c.line);
            if (c.line2)
                snprintf(line[1], sizeof line[1], "test_emulator.cpp:%d", BAD_LINE + c.line2);
            const bool compiler = c.which >= MISALIGNED; // whose report it is
            const char *const texts[] = {c.text,
                                         line[0],
                                         line[1],
                                         compiler ? "runtime error" : "emulated device: ",
                                         compiler ? "" : "sigmascope_bad, block (0, 0, 0), thread",
                                         NULL};
            must_fail(sigmascope_bad, c.which, N, 1, texts);
        }
    }
    const char *const texts[] = {"a block of 33 threads", NULL};
    must_fail(sigmascope_bad, OUTSIDE + 1, 33, 1, texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_indices_without_switches),
        cmocka_unit_test(test_shuffles_and_votes),
        cmocka_unit_test(test_bits_do_not_depend_on_the_order),
        cmocka_unit_test(test_atomics),
#if defined(__SANITIZE_THREAD__)
        cmocka_unit_test(test_races_are_named),
#else
        cmocka_unit_test(test_missing_barrier_shows_nan),
        cmocka_unit_test(test_orders_of_blocks_differ),
#endif
        cmocka_unit_test(test_failures_name_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
