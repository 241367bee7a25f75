/* test_events.c - TensorBoard event files: known bytes, checksums, and what stops writing
 *
 * The golden bytes are what TensorFlow's own writer (tensorboard 2.21.0, EventFileWriter's
 * RecordWriter on an Event protobuf) makes of the same event.
 */
#include "base/file.h"
#include "base/mem.h"
#include "tests/ss_tmp.h"
#include "train/events.h"

#include <sys/stat.h>

static char *read_events(const char *folder, size_t *len)
{
    struct dirent **names;
    char path[600], *text;
    ss_err e;
    int n = scandir(folder, &names, NULL, alphasort);

    assert_int_equal(n, 3); /* ., .. and the file */
    snprintf(path, sizeof path, "%s/%s", folder, names[2]->d_name);
    assert_non_null(strstr(path, "events.out.tfevents."));
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    if (ss_file_read(path, 1 << 20, &text, len, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static uint32_t u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t unmasked(uint32_t m)
{
    m -= 0xa282ead8u;
    return m >> 17 | m << 15;
}

static void test_checksum(void **state)
{
    (void)state;
    char zeros[32] = {0}, ones[32];

    memset(ones, 0xff, sizeof ones);
    assert_int_equal(ss_crc32c("123456789", 9), 0xe3069283u);
    assert_int_equal(ss_crc32c(zeros, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    assert_int_equal(ss_crc32c(ones, 32), 0x62a8ab43u);
    assert_int_equal(ss_crc32c("", 0), 0);
}

static void test_known_bytes(void **state)
{
    (void)state;
    static const unsigned char golden[] = {
#include "tests/golden/events.inc"
    };
    const char *folder = in_tmp("known");
    ss_events *ev;
    ss_err e;
    size_t n;

    assert_int_equal(ss_events_open(folder, 1.5, &ev, &e), SS_OK);
    assert_int_equal(ss_events_scalar(ev, 2.5, 300, "loss", 0.125, &e), SS_OK);
    assert_int_equal(ss_events_close(ev, &e), SS_OK);
    char *bytes = read_events(folder, &n);
    assert_int_equal(n, sizeof golden);
    assert_memory_equal(bytes, golden, n);
    ss_free(bytes);
}

/* Every record's length and checksums fit, whatever is in it. */
static void test_records(void **state)
{
    (void)state;
    const char *folder = in_tmp("records");
    ss_events *ev;
    ss_err e;
    size_t n, at = 0;
    int records = 0;

    assert_int_equal(ss_events_open(folder, 1.7e9, &ev, &e), SS_OK);
    for (int i = 0; i < 300; i++) {
        char tag[400];

        memset(tag, 'a' + i % 26, sizeof tag);
        tag[i] = '\0';
        assert_int_equal(
            ss_events_scalar(ev, 1.7e9 + i, (int64_t)i << (i % 40), tag, i ? 1.0 / i : NAN, &e),
            SS_OK);
    }
    assert_int_equal(ss_events_flush(ev, &e), SS_OK);
    assert_int_equal(ss_events_close(ev, &e), SS_OK);
    char *bytes = read_events(folder, &n);
    while (at < n) {
        const uint32_t len = u32(bytes + at);

        assert_true(at + 16 + len <= n);
        assert_int_equal(u32(bytes + at + 4), 0);
        assert_int_equal(unmasked(u32(bytes + at + 8)), ss_crc32c(bytes + at, 8));
        assert_int_equal(unmasked(u32(bytes + at + 12 + len)), ss_crc32c(bytes + at + 12, len));
        at += 16 + len;
        records++;
    }
    assert_int_equal(records, 301);
    ss_free(bytes);
}

static void test_errors(void **state)
{
    (void)state;
    ss_events *ev;
    ss_err e = {0};
    char file[300];

    assert_int_equal(ss_events_open("/no/such/folder", 1, &ev, &e), SS_IO);
    assert_non_null(strstr(e.msg, "/no/such/folder"));
    snprintf(file, sizeof file, "%s", in_tmp("file"));
    write_file(file, "x", 1);
    assert_int_equal(ss_events_open(file, 1, &ev, &e), SS_IO);
    for (unsigned long k = 1; k < 12; k++) { /* no memory, wherever it is asked for */
        ss_mem_fail_at(k);
        if (ss_events_open(in_tmp("memory"), 1, &ev, &e) == SS_OK) {
            ss_code rc = ss_events_scalar(ev, 1, 1, "x", 1, &e);

            assert_true(rc == SS_OK || rc == SS_NOMEM);
            ss_events_close(ev, &e);
        } else {
            assert_int_equal(e.code, SS_NOMEM);
        }
        ss_mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
