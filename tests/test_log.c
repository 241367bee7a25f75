/* test_log.c - what reaches stderr, and what does not */
#include "base/log.h"
#include "tests/ss_tmp.h"

static int saved;

/* From here on stderr goes to a file... */
static void divert(void)
{
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    assert_non_null(freopen(in_tmp("stderr"), "wb", stderr));
}

/* ...and from here on it does not; what was said is compared. */
static void assert_said(const char *want)
{
    char got[4096];

    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    FILE *f = fopen(in_tmp("stderr"), "rb");
    size_t n = fread(got, 1, sizeof got - 1, f);

    fclose(f);
    got[n] = '\0';
    assert_string_equal(got, want);
}

static void test_quiet_drops_notes_but_no_warnings(void **state)
{
    (void)state;
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_AUTO);
    divert();
    ss_note("a is %d", 1);
    ss_warn("b");
    assert_said("note: a is 1\nwarning: b\n");

    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_AUTO);
    divert();
    ss_note("a");
    ss_warn("b");
    assert_said("warning: b\n");
}

/* A note that is true of every checkpoint is said of the first. */
static void test_said_once(void **state)
{
    (void)state;
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_AUTO);
    divert();
    for (int i = 0; i < 6; i++)
        ss_note_once("schedule %d", i % 2);
    assert_said("note: schedule 0\nnote: schedule 1\n");
}

/* Work that began `age` seconds ago and has done 100 of 400 steps. */
static void work(double age)
{
    ss_progress p;

    ss_progress_begin(&p, "probe", 400);
    p.start -= age;
    p.last -= age;
    ss_progress_step(&p, 100, "sigma 0.5\x1b");
    ss_progress_step(&p, 200, "too soon for a second line");
    ss_progress_end(&p);
}

static void test_progress_line(void **state)
{
    (void)state;
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_ALWAYS);
    divert();
    work(0.5);
    work(50);
    assert_said("probe 100/400, 2/s, 2:30 left  sigma 0.5\\x1b\nprobe: 200/400 in 50 s\n");
}

/* Units that were there before tell nothing about the speed; parts of one that runs do. */
static void test_progress_of_parts(void **state)
{
    ss_progress p;

    (void)state;
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_ALWAYS);
    divert();
    ss_progress_begin(&p, "probe", 40);
    ss_progress_skip(&p, 20);
    p.start -= 10;
    p.last -= 10;
    ss_progress_within(&p, 4, 0.5, "sigma 2"); /* 2 of 20 in 10 s */
    ss_progress_step(&p, 40, "");
    ss_progress_end(&p);
    assert_said("probe 20/40, 0.2/s, 1:30 left  sigma 2\nprobe: 40/40 in 10 s\n");
}

static void test_progress_stays_away(void **state)
{
    (void)state;
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_AUTO); /* stderr is no terminal */
    divert();
    work(50);
    ss_log_setup(SS_LOG_NORMAL, SS_PROGRESS_NEVER);
    work(50);
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_ALWAYS);
    work(50);
    assert_said("");
}

static void test_the_clock_runs(void **state)
{
    (void)state;
    double before = ss_now();

    usleep(2000);
    assert_true(ss_now() - before >= 0.002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_drops_notes_but_no_warnings),
        cmocka_unit_test(test_said_once),
        cmocka_unit_test(test_progress_line),
        cmocka_unit_test(test_progress_of_parts),
        cmocka_unit_test(test_progress_stays_away),
        cmocka_unit_test(test_the_clock_runs),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
