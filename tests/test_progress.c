/* test_progress.c - the progress of every command ends at N/N */
#include "tests/ss_command.h"

/* Finds "WHAT: N/N in" in the output, and lines without \r. */
static void expect_whole(const char *args, const char *what)
{
    char begin[64];
    long long done = -1, total = -2;

    if (run(args) != 0)
        fail_msg("%s: %s", args, output);
    snprintf(begin, sizeof begin, "\n%s: ", what);
    const char *at = strstr(output, begin);
    if (!at)
        skip_because("the work was done within a second");
    if (sscanf(at + strlen(begin), "%lld/%lld in", &done, &total) != 2 || done != total)
        fail_msg("%s: %lld/%lld: %s", args, done, total, output);
    assert_null(strchr(output, '\r')); /* a file gets whole lines */
}

#define ALWAYS " --threads 1 --progress always"
#define LONG " --class 3 --samples 96 --sigmas 0.02:80:10"

static void test_probe(void **state)
{
    (void)state;
    expect_whole("probe $M -o $D/whole.h5" LONG ALWAYS, "probe");
    const char *first = strstr(output, "\nprobe ");
    if (!first)
        first = strstr(output, "probe ");
    assert_true(first && !strstr(first, ", ? left")); /* the time left is known at once */
    run("probe $M -o $D/cut.h5 --quiet --threads 1" LONG " & p=$!; sleep 1; kill -INT $p; wait $p");
    expect_whole("probe $M -o $D/cut.h5 --resume" LONG ALWAYS, "probe");
}

static void test_generate(void **state)
{
    (void)state;
    expect_whole("generate $M $M -o $D/made --class 3 --samples 16 --steps 50" ALWAYS, "generate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_generate),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
