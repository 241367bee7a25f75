/* test_file.c - mapping, reading, writing whole or not at all, SHA-256 */
#include "base/file.h"
#include "base/mem.h"
#include "tests/ss_tmp.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void test_map(void **state)
{
    (void)state;
    ss_map m;
    ss_err e = {0};

    write_file(in_tmp("map"), "abc", 3);
    assert_int_equal(ss_map_open(in_tmp("map"), &m, &e), SS_OK);
    assert_int_equal(m.size, 3);
    assert_memory_equal(m.data, "abc", 3);
    ss_map_close(&m);
    assert_null(m.data);
    ss_map_close(&m);

    write_file(in_tmp("empty"), "", 0);
    assert_int_equal(ss_map_open(in_tmp("empty"), &m, &e), SS_OK);
    assert_true(m.size == 0 && m.data == NULL);
    ss_map_close(&m);

    assert_int_equal(ss_map_open(in_tmp("none"), &m, &e), SS_IO);
    assert_non_null(strstr(e.msg, "/none: No such file or directory"));
    assert_int_equal(ss_map_open(tmp_dir, &m, &e), SS_IO);
    assert_non_null(strstr(e.msg, "is a folder, expected a file"));
}

static void test_read(void **state)
{
    (void)state;
    char big[40000], *text;
    size_t len;
    ss_err e = {0};

    memset(big, 'q', sizeof big);
    write_file(in_tmp("big"), big, sizeof big);
    assert_int_equal(ss_file_read(in_tmp("big"), sizeof big, &text, &len, &e), SS_OK);
    assert_int_equal(len, sizeof big);
    assert_memory_equal(text, big, sizeof big);
    assert_int_equal(text[len], '\0');
    ss_free(text);

    assert_int_equal(ss_file_read(in_tmp("big"), sizeof big - 1, &text, &len, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "longer than the 39999 bytes"));
    assert_int_equal(ss_file_read(tmp_dir, 10, &text, &len, &e), SS_IO);
    assert_int_equal(ss_file_read("/proc/self/status", 1 << 16, &text, &len, &e), SS_OK);
    assert_true(len > 0); /* although its size is said to be 0 */
    ss_free(text);
    ss_mem_fail_at(1);
    assert_int_equal(ss_file_read(in_tmp("big"), sizeof big, &text, &len, &e), SS_NOMEM);
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};

    for (size_t i = 0; i < N_OF(cases); i++) {
        char *p = ss_path_join(cases[i][0], cases[i][1]);

        assert_string_equal(p, cases[i][2]);
        ss_free(p);
    }
    assert_true(ss_is_dir(tmp_dir));
    assert_true(ss_file_exists(tmp_dir));
    write_file(in_tmp("file"), "", 0);
    assert_false(ss_is_dir(in_tmp("file")));
    assert_false(ss_file_exists(in_tmp("none")));
}

static void test_outfile_appears_whole(void **state)
{
    (void)state;
    ss_outfile o;
    ss_err e = {0};
    char *text;
    int before;

    write_file(in_tmp("out"), "old", 3);
    before = count_files(tmp_dir);
    assert_int_equal(ss_outfile_open(&o, in_tmp("out"), &e), SS_OK);
    fputs("new and longer", o.f);
    assert_int_equal(ss_file_read(in_tmp("out"), 100, &text, NULL, &e), SS_OK);
    assert_string_equal(text, "old"); /* until the commit */
    ss_free(text);
    assert_int_equal(ss_outfile_commit(&o, &e), SS_OK);
    assert_int_equal(ss_file_read(in_tmp("out"), 100, &text, NULL, &e), SS_OK);
    assert_string_equal(text, "new and longer");
    ss_free(text);
    assert_int_equal(count_files(tmp_dir), before);
}

static void test_outfile_leaves_nothing_behind(void **state)
{
    (void)state;
    ss_outfile o;
    ss_err e = {0};
    int before = count_files(tmp_dir);

    assert_int_equal(ss_outfile_open(&o, in_tmp("gone"), &e), SS_OK);
    fputs("x", o.f);
    ss_outfile_discard(&o);
    assert_int_equal(count_files(tmp_dir), before);
    ss_outfile_discard(&o);

    assert_int_equal(ss_outfile_open(&o, in_tmp("no/such/folder"), &e), SS_IO);
    assert_int_equal(ss_outfile_open(&o, tmp_dir, &e), SS_IO);
    assert_non_null(strstr(e.msg, "is a folder"));
    assert_int_equal(ss_outfile_open(&o, "/dev/null", &e), SS_IO);
    for (unsigned long k = 1; k <= 2; k++) {
        ss_mem_fail_at(k);
        assert_int_equal(ss_outfile_open(&o, in_tmp("gone"), &e), SS_NOMEM);
    }
    assert_int_equal(count_files(tmp_dir), before);
}

/* A full disk, played by the limit on file size, that may have room again at the commit. */
static void write_beyond_limit(size_t n, bool room_at_commit)
{
    ss_outfile o;
    ss_err e = {0};
    struct rlimit old, tight;
    int before = count_files(tmp_dir);

    assert_int_equal(ss_outfile_open(&o, in_tmp("full"), &e), SS_OK);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 10;
    setrlimit(RLIMIT_FSIZE, &tight);
    for (size_t i = 0; i < n; i++)
        fputc('x', o.f);
    if (room_at_commit)
        setrlimit(RLIMIT_FSIZE, &old);
    ss_code rc = ss_outfile_commit(&o, &e);

    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, SS_IO);
    assert_non_null(strstr(e.msg, "/full: "));
    assert_int_equal(count_files(tmp_dir), before);
}

static void test_a_full_disk_is_an_error(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    write_beyond_limit(100, false);  /* still buffered: seen by the flush */
    write_beyond_limit(50000, true); /* seen while writing, and not forgotten */
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[65];
    ss_err e = {0};

    /* FIPS 180-2, appendix B.1, and the empty message. */
    write_file(in_tmp("abc"), "abc", 3);
    assert_int_equal(ss_sha256_file(in_tmp("abc"), hex, &e), SS_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    write_file(in_tmp("abc"), "", 0);
    assert_int_equal(ss_sha256_file(in_tmp("abc"), hex, &e), SS_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(ss_sha256_file(in_tmp("none"), hex, &e), SS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_outfile_appears_whole),
        cmocka_unit_test(test_outfile_leaves_nothing_behind),
        cmocka_unit_test(test_a_full_disk_is_an_error),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
