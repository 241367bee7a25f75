/* test_program.c - probe, analyze and report as a user runs them on the device, beside the CPU */
#include "base/mem.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#include <ctype.h>

static ss_run *open_run(const char *name)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void compare(const char *what, const float *got, const float *want, size_t n)
{
    double largest = 0;

    for (size_t i = 0; i < n; i++)
        if (fabs((double)want[i]) > largest && !isinf(want[i]))
            largest = fabs((double)want[i]);
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - want[i]);

        if (isnan(got[i]) != isnan(want[i]) || d > 2e-4 * fabs((double)want[i]) + 1e-5 * largest)
            fail_msg("%s[%zu] is %.9g, on the CPU %.9g", what, i, got[i], want[i]);
    }
}

static void test_probe(void **state)
{
    (void)state;
    static const char *const stats[] = {"absmax", "rms", "std", "min", "max", "mean"};
    const float *got, *want;
    ss_err e = {0};

    expect("probe $M -o $D/device.h5 --class 1 --quiet --sigmas 0.1,10 --samples 2", 0, NULL);
    expect("probe $M -o $D/cpu.h5 --class 1 --quiet --sigmas 0.1,10 --samples 2 --device cpu", 0,
           NULL);
    ss_run *a = open_run("device.h5"), *b = open_run("cpu.h5");
    const size_t n = (size_t)b->n_modules * (size_t)b->n_ports * (size_t)b->n_sigmas *
                     (size_t)b->n_samples * (size_t)b->n_inputs;

    assert_non_null(strstr(a->device, "cuda"));
    assert_int_equal(a->n_modules, b->n_modules);
    for (size_t i = 0; i < N_OF(stats); i++) {
        assert_int_equal(ss_run_stat(a, stats[i], &got, &e), SS_OK);
        assert_int_equal(ss_run_stat(b, stats[i], &want, &e), SS_OK);
        compare(stats[i], got, want, n);
    }
    ss_run_close(a);
    ss_run_close(b);
}

/* The words that a command prints, without its numbers. */
static char *words(const char *command)
{
    size_t n = 0;

    expect(command, 0, NULL);
    char *text = ss_alloc(strlen(output) + 1, 1);

    for (const char *c = output; *c; c++)
        if (!isdigit((unsigned char)*c) && !strchr(".+-e \n", *c))
            text[n++] = *c;
    text[n] = '\0';
    return text;
}

static void test_analyze_and_report(void **state)
{
    (void)state;
    char *got = words("analyze $D/device.h5 | grep -v '^device\\|^file'"),
         *want = words("analyze $D/cpu.h5 | grep -v '^device\\|^file'");

    assert_string_equal(got, want);
    ss_free(got);
    ss_free(want);
    expect("report $D/device.h5 -o $D/page-device --quiet", 0, NULL);
    assert_int_equal(access(in_tmp("page-device/index.html"), R_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_analyze_and_report),
    };

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
