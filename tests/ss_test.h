/* ss_test.h - what every test program shares: cmocka and comparison of arrays */
#ifndef SS_TEST_H
#define SS_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* clang-format off: cmocka.h needs what is above it */
#include <cmocka.h>
/* clang-format on */

/* TESTS=PATTERN in the environment runs only the tests of a program whose names match. */
#undef cmocka_run_group_tests
#define cmocka_run_group_tests(tests, setup, teardown) \
    (cmocka_set_test_filter(getenv("TESTS")),          \
     _cmocka_run_group_tests(#tests, tests, N_OF(tests), setup, teardown))

#define N_OF(a) (sizeof(a) / sizeof *(a))

/* Ends the test as skipped, which tests/run-all counts, with the reason as printf has it. Before
 * anything is allocated: it does not return. */
#define skip_because(...)           \
    do {                            \
        print_message("skip: ");    \
        print_message(__VA_ARGS__); \
        print_message("\n");        \
        skip();                     \
    } while (0)

/* The device that tests of the engine run on: SIGMASCOPE_DEVICE, or NULL, the CPU. cuda-emulated is
 * the device cuda with the libraries of tests/cuda, which lie beside the folder of the test. */
static inline const char *test_device(void)
{
    const char *device = getenv("SIGMASCOPE_DEVICE");
    char path[4096];

    if (!device || strcmp(device, "cuda-emulated"))
        return device && *device ? device : NULL;
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    path[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');

        if (slash)
            *slash = '\0';
    }
    strncat(path, "/cuda-emulated", sizeof path - strlen(path) - 1);
    setenv("SIGMASCOPE_CUDA_LIBRARIES", path, 0); /* what the caller set stays */
    return "cuda";
}

/* Fails at the worst element and prints it. */
static inline void assert_close(const char *what, const float *got, const float *want, int64_t n,
                                double atol, double rtol)
{
    int64_t worst = -1;
    double excess = 0;

    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]) - (atol + rtol * fabs((double)want[i]));

        if (isnan(d) && !(isnan(got[i]) && isnan(want[i])) && got[i] != want[i])
            d = INFINITY; /* else d > excess is false and a NaN would pass */
        if (d > excess) {
            worst = i;
            excess = d;
        }
    }
    if (worst >= 0)
        fail_msg("%s[%lld] = %.9g, want %.9g", what, (long long)worst, got[worst], want[worst]);
}

/* |got - want| / |want| over all elements; NaN anywhere gives infinity. */
static inline double relative_l2(const float *got, const float *want, int64_t n)
{
    double num = 0, den = 0;

    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];

        num += d * d;
        den += (double)want[i] * want[i];
    }
    if (isnan(num))
        return INFINITY;
    return den > 0 ? sqrt(num / den) : sqrt(num);
}

#endif
