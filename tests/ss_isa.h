/* ss_isa.h - one test for each set of instructions that the kernels are compiled for
 *
 *   static void test_sums(void **state)
 *   {
 *       use_isa(*state);                    // a skip where this processor lacks them
 *       ...
 *   }
 *   ISA_TESTS(test_sums), in the list of tests
 */
#ifndef SS_TEST_ISA_H
#define SS_TEST_ISA_H

#include "kernels/context.h"
#include "tests/ss_test.h"

#include <stdio.h>

/* Makes contexts opened from now on use the set, or skips the test. A lower set than the
 * processor's may always be asked for; of a higher one it silently uses what it has. On another
 * device than the CPU only the test of "base" runs, as the sets do not matter there. */
static inline void use_isa(const char *name)
{
    ss_ctx *c;
    ss_err e = {0};
    const bool base = strcmp(name, "base") == 0;
    char text[32];

    const char *device = test_device();

    if (device && strcmp(device, "cpu")) {
        if (!base)
            skip_because("the device %s has no such instructions", device);
        return;
    }
    setenv("SIGMASCOPE_ISA", name, 1);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = device, .threads = 1}, &c, &e), SS_OK);
    snprintf(text, sizeof text, ", x86-64%s%s", base ? "" : "-", base ? "" : name);
    const char *at = strstr(ss_ctx_device_text(c), text);
    const bool there = at && strchr(", ", at[strlen(text)]);
    ss_ctx_free(c);
    if (!there)
        skip_because("this processor lacks the instructions of %s", text + 2);
}

/* Teardown: back to the best set. */
static inline int use_best_isa(void **state)
{
    (void)state;
    return unsetenv("SIGMASCOPE_ISA");
}

/* clang-format off */
#define ISA_TEST(f, isa) {#f "(" isa ")", f, NULL, use_best_isa, (void *)isa}
#define ISA_TESTS(f) ISA_TEST(f, "base"), ISA_TEST(f, "v3"), ISA_TEST(f, "v4")
/* clang-format on */

#endif
