/* test_apart.c - work in a process of its own: answers, errors, crashes, and a file that shrinks;
 * and commands with a time limit
 */
#include "base/apart.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shell.h"
#include "tests/ss_tmp.h"

#include <signal.h>
#include <string.h>

static ss_code answer_it(void *self, ss_str *answer, ss_err *e)
{
    (void)e;
    for (int i = 0; i < 5000; i++)
        ss_str_add(answer, self);
    return SS_OK;
}

static ss_code fail_it(void *self, ss_str *answer, ss_err *e)
{
    (void)answer;
    return ss_fail(e, SS_SHAPE, "%s has no shape", (const char *)self);
}

static ss_code crash(void *self, ss_str *answer, ss_err *e)
{
    (void)self, (void)answer, (void)e;
    raise(SIGSEGV);
    return SS_OK;
}

/* Maps a file that is cut off before it is read. */
static ss_code read_shrunk(void *self, ss_str *answer, ss_err *e)
{
    ss_map map;
    ss_code rc = ss_map_open(self, &map, e);

    if (rc == SS_OK && truncate(self, 0) == 0)
        ss_str_addf(answer, "%d", map.data[map.size - 1]);
    return rc;
}

static ss_code sleep_long(void *self, ss_str *answer, ss_err *e)
{
    (void)self, (void)answer, (void)e;
    sleep(60);
    return SS_OK;
}

static int stop_now(void)
{
    return SIGINT;
}

static void test_apart(void **state)
{
    static char file[600];
    static const char bytes[9000];
    char *answer;
    ss_err e = {0};

    (void)state;
    assert_int_equal(ss_apart(answer_it, "abc", NULL, &answer, &e), SS_OK);
    assert_int_equal(strlen(answer), 15000);
    ss_free(answer);
    assert_int_equal(ss_apart(fail_it, "it", NULL, &answer, &e), SS_SHAPE);
    assert_string_equal(e.msg, "it has no shape");
    assert_null(answer);
    assert_int_equal(ss_apart(crash, NULL, NULL, &answer, &e), SS_IO);
    assert_non_null(strstr(e.msg, "ended by signal 11"));
    snprintf(file, sizeof file, "%s", in_tmp("shrinks"));
    write_file(file, bytes, sizeof bytes);
    assert_int_equal(ss_apart(read_shrunk, file, NULL, &answer, &e), SS_IO);
    assert_non_null(strstr(e.msg, "a file became shorter meanwhile"));
    const double begin = ss_now();
    assert_int_equal(ss_apart(sleep_long, NULL, stop_now, &answer, &e), SS_INTERRUPTED);
    assert_true(ss_now() - begin < 30);
}

static void test_shell(void **state)
{
    const char *const env[] = {"SIGMASCOPE_ALARM=a 'b' $c", "HOME=/nowhere", NULL};
    char command[700];
    ss_shell_end end;
    ss_err e = {0};

    (void)state;
    snprintf(command, sizeof command,
             "test \"$SIGMASCOPE_ALARM\" = \"a 'b' \\$c\" && test $HOME = /nowhere && test -n "
             "\"$PATH\" && ! read x && exit 9");
    assert_int_equal(ss_shell(command, env, 30, NULL, &end, &e), SS_OK);
    assert_int_equal(end.status, 9);
    assert_false(end.timed_out);
    assert_int_equal(ss_shell("kill -9 $$", env, 30, NULL, &end, &e), SS_OK);
    assert_int_equal(end.status, -9);

    /* what it started ends with it, also what does not listen */
    snprintf(command, sizeof command,
             "trap '' TERM; (trap '' TERM; sleep 2; echo late > %s/late) & "
             "sleep 50",
             tmp_dir);
    const double begin = ss_now();
    assert_int_equal(ss_shell(command, env, 0.2, NULL, &end, &e), SS_OK);
    assert_true(end.timed_out);
    assert_true(ss_now() - begin < 20);
    sleep(3);
    assert_int_not_equal(access(in_tmp("late"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_shell),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
