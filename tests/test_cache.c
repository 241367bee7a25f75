/* test_cache.c - sizes as people write them; kept files, their locks, and which go first
 *
 * Locks are those of other processes, so each test of them has real ones.
 */
#include "base/bytes.h"
#include "base/cache.h"
#include "probe/prompt_cache.h"
#include "tests/ss_command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"17", 17},
                {"17b", 17},
                {"500M", 500000000},
                {"500mb", 500000000},
                {"1.5G", 1500000000},
                {".5k", 500},
                {"2.", 2},
                {"10GiB", 10737418240},
                {"1Ki", 1024},
                {"0.0000001K", 0},
                {"3t", 3000000000000},
                {"18446744073709551615", UINT64_MAX},
                {"18014398509481983Ki", 18446744073709550592U}};
    static const char *const bad[] = {"",    " 1",   "G",     "-1", "1e9",  "1 G",   "nan",
                                      "inf", "1.2.", "0x10G", "1x", "1KiX", "500MM", "."};
    static const char *const large[] = {"18446744073709551616", "18446744073710T",
                                        "18014398509481984Ki", "99999999999999999999999999G",
                                        "18446744.5T"};
    ss_err e = {0};
    uint64_t n;

    for (size_t i = 0; i < N_OF(good); i++) {
        n = 7;
        assert_int_equal(ss_bytes_parse(good[i].text, &n, &e), SS_OK);
        assert_true(n == good[i].bytes);
    }
    for (size_t i = 0; i < N_OF(bad); i++) {
        n = 7;
        assert_int_equal(ss_bytes_parse(bad[i], &n, &e), SS_USAGE);
        assert_non_null(strstr(e.msg, "expected 500M, 1.5G or 10G"));
        assert_true(n == 7);
    }
    for (size_t i = 0; i < N_OF(large); i++) {
        assert_int_equal(ss_bytes_parse(large[i], &n, &e), SS_USAGE);
        assert_non_null(strstr(e.msg, "more than 64 bits hold"));
    }
}

static void test_bytes_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},      {999, "999 bytes"},      {1000, "1.0 kB"},
                 {41234567, "41 MB"}, {999600000, "1.0 GB"},   {9940000, "9.9 MB"},
                 {9960000, "10 MB"},  {10000000000U, "10 GB"}, {UINT64_MAX, "18 EB"}};
    char text[24];

    for (size_t i = 0; i < N_OF(cases); i++)
        assert_string_equal(ss_bytes_text(cases[i].bytes, text, sizeof text), cases[i].text);
}

static bool ends_in_run(const char *name)
{
    const size_t n = strlen(name);

    return n > 4 && strcmp(name + n - 4, ".run") == 0;
}

static void open_cache(ss_cache *c)
{
    ss_err e = {0};

    if (ss_cache_open(c, in_tmp("kept"), ends_in_run, true, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* A file of 10 bytes, last used so many seconds ago. */
static void make(const char *name, int ago)
{
    const struct timespec times[2] = {{.tv_sec = 1000000 - ago}, {.tv_sec = 1000000 - ago}};
    char path[600];

    snprintf(path, sizeof path, "%s/kept/%s", tmp_dir, name);
    write_file(path, "0123456789", 10);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *name)
{
    char path[600];

    snprintf(path, sizeof path, "%s/kept/%s", tmp_dir, name);
    return access(path, F_OK) == 0;
}

static void test_oldest_first(void **state)
{
    (void)state;
    ss_cache c;
    ss_err e = {0};

    open_cache(&c);
    make("b.run", 30);
    make("a.run", 20);
    make("c.run", 10);
    make("letter.txt", 99);
    assert_int_equal(symlink("letter.txt", in_tmp("kept/link.run")), 0); /* not a file of ours */
    ss_cache_size s = ss_cache_trim(&c, 30);
    assert_true(s.files == 3 && s.bytes == 30 && s.removed == 0);
    s = ss_cache_trim(&c, 29);
    assert_true(s.files == 2 && s.bytes == 20 && s.removed == 1 && !is_there("b.run"));

    assert_int_equal(ss_cache_keep(&c, "a.run", &e), SS_OK); /* used now: c.run is older */
    s = ss_cache_trim(&c, 0);
    assert_true(s.files == 1 && is_there("a.run") && !is_there("c.run"));
    ss_cache_forget(&c);
    s = ss_cache_trim(&c, 0);
    assert_true(s.files == 0 && s.bytes == 0 && s.removed == 1);
    assert_true(is_there("letter.txt") && is_there("link.run"));
    unlink(in_tmp("kept/link.run"));
    ss_cache_close(&c);
    ss_cache_close(&c); /* {0} is fine */
    assert_int_equal(ss_cache_open(&c, in_tmp("none/kept"), ends_in_run, true, &e), SS_IO);
}

/* A process that holds a file until it is killed. */
static pid_t hold(const char *name, ss_cache_use use)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        ss_cache c;
        pid_t holder;

        open_cache(&c);
        if (!ss_cache_try(&c, name, use, &holder) || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_locks(void **state)
{
    (void)state;
    ss_cache c;
    pid_t holder;

    open_cache(&c);
    make("a.run", 30);
    make("b.run", 20);
    const pid_t reader = hold("a.run", SS_CACHE_READ), maker = hold("b.run", SS_CACHE_MAKE);
    assert_true(ss_cache_try(&c, "a.run", SS_CACHE_READ, &holder));
    ss_cache_let_go(&c, "a.run");
    assert_false(ss_cache_try(&c, "a.run", SS_CACHE_MAKE, &holder));
    assert_int_equal(holder, reader);
    assert_false(ss_cache_try(&c, "b.run", SS_CACHE_READ, &holder));
    assert_int_equal(holder, maker);
    assert_int_equal(ss_cache_trim(&c, 0).files, 2); /* both are in use */
    end(maker);                                      /* and with it its lock */
    assert_true(ss_cache_try(&c, "b.run", SS_CACHE_MAKE, &holder));
    ss_cache_let_go(&c, "b.run");
    assert_int_equal(ss_cache_trim(&c, 0).files, 1);
    assert_true(is_there("a.run"));
    end(reader);
    assert_int_equal(ss_cache_trim(&c, 0).files, 0);
    ss_cache_close(&c);
}

#define TWO \
    " --threads 1 --class 3 --samples 8 --sigmas 0.02:80:100 --cache $D/c --fail 'nonfinite()'"
#define STARTED "while kill -0 $p && ! [ -e $D/c/*.h5 ]; do sleep 0.02; done; "
#define SECOND "${SIGMASCOPE:-build/sigmascope} bisect $M" TWO

/* The second of two bisects waits while the first makes the run that both need, goes on with it
 * when the first is killed, and ends when it is interrupted itself; another checkpoint waits for
 * nobody. */
static void test_two_bisects(void **state)
{
    (void)state;
    char waits[80];
    int pid;

    if (test_device())
        skip_because("one device");
    assert_int_equal(run("bisect $M" TWO " & p=$!; " STARTED SECOND " & q=$!; sleep 0.5; "
                         "kill -INT $q; wait $q; echo second: $?; "
                         "(sleep 0.5; kill -9 $p) & " SECOND "; echo third: $? of $p"),
                     0);
    assert_non_null(strstr(output, "third: 0 of "));
    assert_int_equal(sscanf(strstr(output, "third: 0 of "), "third: 0 of %d", &pid), 1);
    snprintf(waits, sizeof waits, "waiting for another bisect (process %d) to finish with", pid);
    assert_non_null(strstr(output, waits));
    assert_non_null(strstr(output, "interrupted while waiting for another bisect (process"));
    assert_non_null(strstr(output, "second: 130\n"));
    assert_non_null(strstr(output, "kept 1 run, "));

    expect("bisect $M" TWO, 0, "0 probed, 1 kept runs");
    assert_null(strstr(output, "waiting"));
}

/* Two at a time, of the same checkpoint: one makes the run, the other takes it. */
static void test_second_takes_it(void **state)
{
    (void)state;
    if (test_device())
        skip_because("one device");
    assert_int_equal(run("bisect $M --samples 8 --seed 3" TWO " & p=$!; sleep 0.3; " SECOND
                         " --samples 8 --seed 3; wait $p"),
                     0);
    assert_non_null(strstr(output, "1 probed, 0 kept runs"));
    assert_non_null(strstr(output, "0 probed, 1 kept runs"));
}

static void test_limit(void **state)
{
    (void)state;
#define ONE "bisect $M --class 3 --samples 1 --sigmas 1 --fail 'nonfinite()' --cache $D/l "
    expect(ONE, 0, "note: kept 1 run, ");
    assert_non_null(strstr(output, " (limit 10 GB; --cache-limit)"));
    assert_int_equal(count_files(in_tmp("l")), 2); /* with the file of locks */
    expect(ONE "--seed 1 --cache-limit 1k", 0, "(limit 1.0 kB; --cache-limit; 1 older removed)");
    assert_int_equal(count_files(in_tmp("l")), 2); /* its own stays */
    expect(ONE "--seed 1 --cache-limit 1GiB", 0, "0 probed, 1 kept runs");
    expect(ONE "--cache-limit 0", 0, "kept 0 runs, 0 bytes, in");
    assert_int_equal(count_files(in_tmp("l")), 1);
    expect(ONE "--cache-limit 1e9", 2, "--cache-limit: '1e9' is no number of bytes");
    expect(ONE "--cache-limit 99999999T", 2, "more than 64 bits hold");
}

/* Encoded prompts go by the same rule, and one that was just written stays. */
static void test_prompts(void **state)
{
    (void)state;
    static float values[6] = {1, 2, 3, 4, 5, 6};
    const ss_array states = {.rank = 3, .dim = {1, 2, 3}, .values = values};
    const ss_encoded_prompts p = {.last = states, .penultimate = states};
    ss_encoded_prompts read;
    char key[2][65] = {{0}, {0}};

    setenv("SIGMASCOPE_CACHE", in_tmp("prompts"), 1);
    setenv("SIGMASCOPE_CACHE_LIMIT", "1k", 1);
    for (int k = 0; k < 2; k++) {
        memset(key[k], 'a' + k, 64);
        ss_prompt_cache_write(key[k], &p);
        assert_true(ss_prompt_cache_read(key[k], 1, &read));
        ss_encoded_prompts_release(&read);
    }
    assert_int_equal(count_files(in_tmp("prompts")), 2);
    setenv("SIGMASCOPE_CACHE_LIMIT", "100", 1);
    ss_prompt_cache_write(key[0], &p);
    assert_true(ss_prompt_cache_read(key[0], 1, &read));
    ss_encoded_prompts_release(&read);
    assert_false(ss_prompt_cache_read(key[1], 1, &read));
    assert_int_equal(count_files(in_tmp("prompts")), 1);
    setenv("SIGMASCOPE_CACHE_LIMIT", "0", 1);
    ss_prompt_cache_write(key[1], &p);
    assert_int_equal(count_files(in_tmp("prompts")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),        cmocka_unit_test(test_bytes_text),
        cmocka_unit_test(test_oldest_first), cmocka_unit_test(test_locks),
        cmocka_unit_test(test_two_bisects),  cmocka_unit_test(test_second_takes_it),
        cmocka_unit_test(test_limit),        cmocka_unit_test(test_prompts),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
