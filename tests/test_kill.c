/* test_kill.c - what is left of commands that end without warning, and of two at one target
 *
 * `make check-kill N=200` and `make check-full-disk N=50` run the same scripts for longer.
 */
#include "tests/ss_command.h"

/* Runs a script of tests/; what it printed is in output. */
static void script(const char *command)
{
    FILE *p = popen(command, "r");

    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    if (pclose(p) != 0)
        fail_msg("%s printed:\n%s", command, output);
}

static void test_killed(void **state)
{
    (void)state;
    script("tests/kill 3 2>&1");
    assert_non_null(strstr(output, "train: 3 kills, "));
    assert_non_null(strstr(output, "longer: 3 kills, "));
    assert_non_null(strstr(output, "probe: 3 kills, "));
}

static void test_full_disk(void **state)
{
    (void)state;
    script("tests/full-disk 2 2>&1");
    if (strstr(output, "SKIP"))
        skip_because("%s", output);
    assert_non_null(strstr(output, "probe: 2 disks"));
}

#define SLOW " --quiet --threads 1 --class 3 --samples 8 --sigmas 0.02:80:400"

/* While one process writes a run file, nobody else does; when it is killed, the next goes on. */
static void test_two_at_one_target(void **state)
{
    (void)state;
    int status = run("probe $M -o $D/x.h5" SLOW " & p=$!; "
                     "while kill -0 $p && ! [ -e $D/x.h5 ]; do sleep 0.02; done; "
                     "for how in --resume --force; do "
                     "  ${SIGMASCOPE:-build/sigmascope} probe $M -o $D/x.h5 $how" SLOW "; "
                     "  echo \"$how: status $?\"; "
                     "done; kill -9 $p; wait $p");

    assert_int_equal(status, 128 + 9);
    assert_non_null(strstr(output, "x.h5: another process is writing it\n--resume: status 1"));
    assert_non_null(strstr(output, "x.h5: another process is writing it\n--force: status 1"));
    expect("probe $M -o $D/x.h5 --force --quiet --class 3 --samples 1 --sigmas 1", 0, NULL);
    assert_int_equal(count_files(tmp_dir), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_two_at_one_target),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
