/* test_signals.c - SIGINT, SIGTERM and SIGPIPE: exit statuses, and what is left behind */
#include "tests/ss_command.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static int count_entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Runs "PROGRAM args" and sends it signals, the first after `delay` seconds or as soon as the file
 * or folder that `sign` (a glob of the shell) matches is there; the exit status. */
static int end(const char *args, const char *sign, double delay, const char *signals)
{
    char line[2048];

    snprintf(line, sizeof line,
             "%s & p=$!; sleep %g; for i in $(seq 300); do "
             "[ -z '%s' ] && break; ls %s >/dev/null 2>&1 && break; sleep 0.02; done; "
             "for s in %s; do kill -$s $p; sleep 0.05; done; wait $p",
             args, delay, sign, *sign ? sign : ".", signals);
    return run(line);
}

/* Writing a report takes gnuplot's time: long enough to be interrupted. */
static void test_outputs_are_whole_or_absent(void **state)
{
    (void)state;
    expect("probe $M -o $D/run.h5 --quiet --threads 1 --class 3 --samples 1 --sigmas 0.5,80", 0,
           NULL);
    static const struct {
        const char *args, *sign, *signal;
        int status;
    } cases[] = {
        {"report $D/run.h5 -o $D/report", "$D/report.tmp-*", "INT", 130},
        {"report $D/run.h5 -o $D/report", "$D/report.tmp-*", "TERM", 143},
        {"report $D/run.h5 -o $D/report", "$D/report.tmp-*", "HUP", 129},
    };
    const int before = count_entries(tmp_dir);

    for (size_t i = 0; i < N_OF(cases); i++) {
        const int status = end(cases[i].args, cases[i].sign, 0, cases[i].signal);

        if (status != cases[i].status)
            fail_msg("%s: %d, want %d: %s", cases[i].args, status, cases[i].status, output);
        assert_string_equal(output, "sigmascope report: interrupted\n");
        assert_int_equal(count_entries(tmp_dir), before);
    }
}

/* Work that can end where nothing is lost does so at the first signal, and at once at the second.
 */
static void test_resumable(void **state)
{
    (void)state;
#define LONG " --quiet --threads 1 --class 3 --samples 8 --sigmas 0.02:80:64"
    int status = end("probe $M -o $D/cut.h5" LONG, "$D/cut.h5", 0.1, "TERM");
    if (status == 0)
        skip_because("the run ended before it could be interrupted");
    assert_int_equal(status, 143);
    assert_string_equal(output, "sigmascope probe: interrupted; finished noise levels are saved, "
                                "--resume goes on\n");
    expect("probe $M -o $D/cut.h5 --resume" LONG, 0, NULL);
}

static void test_second_signal(void **state)
{
    (void)state;
    const int before = count_entries(tmp_dir);
    const int status = end("generate $M -o $D/made --threads 1 --class 3 --samples 512 --batch 512 "
                           "--steps 50",
                           "$D/made.tmp-*", 0, "INT INT");

    assert_int_equal(status, 130);
    assert_non_null(strstr(output, "note: stopping where nothing is lost; a second signal"));
    assert_non_null(strstr(output, "sigmascope generate: interrupted"));
    assert_int_equal(count_entries(tmp_dir), before);
}

/* A reader that has gone ends the program without a word, after its files are finished. */
static void test_unread_output(void **state)
{
    (void)state;
    expect("probe $M -o $D/unread.h5 --quiet --threads 1 --class 3 --samples 1 --sigmas 0.5,80 | "
           "true",
           0, NULL);
    assert_string_equal(output, "");
    static const char *const commands[] = {
        "analyze $D/unread.h5",  "analyze $D/unread.h5 --json",         "attn $D/unread.h5",
        "spectrum $D/unread.h5", "convert $M $D/converted.safetensors", "help bisect"};

    for (size_t i = 0; i < N_OF(commands); i++) {
        char line[256];

        snprintf(line, sizeof line,
                 "--version >/dev/null; { sleep 0.2; ${SIGMASCOPE:-build/sigmascope} %s; "
                 "echo $? >$D/status; } | true; cat $D/status",
                 commands[i]);
        assert_int_equal(run(line), 0);
        if (strcmp(output, "141\n") != 0) /* 128 + SIGPIPE */
            fail_msg("%s: %s", commands[i], output);
    }
    assert_int_equal(access(in_tmp("converted.safetensors"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_are_whole_or_absent),
        cmocka_unit_test(test_resumable),
        cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_unread_output),
    };
    signal(SIGHUP, SIG_DFL); /* nohup ignores it, and so would what the tests start */
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
