/* test_growing_files.c - files that are written where they are, while calls fail one after the
 * other
 *
 * test_io_failure.c has what appears whole. Here are run files, journals and events; and the calls
 * that HDF5 makes itself fail, too. For k = 1, 2, ... until there is no k-th call, once with a disk
 * that is full from there on and once with a single failure: the writer reports an error that names
 * the file and the cause, leaves no temporary and no descriptor, and going on gives the bytes of an
 * undisturbed run.
 */
#include "base/file.h"
#include "tests/run_synth.h"
#include "tests/ss_io_failure.h"
#include "train/events.h"
#include "train/journal.h"

/* A run file takes 1500 calls, and HDF5 keeps what it has of a file that it could not close: of the
 * calls beyond the first DENSE, each (SPARSE + 1)-th fails. */
enum { DENSE = 40, SPARSE = 96 };

typedef struct {
    const char *target; /* below tmp_dir */
    const char *named;  /* what an error names */
    ss_code (*write)(const char *path, ss_err *e);
} subject;

static void digest(const subject *s, char hex[65])
{
    strcpy(hex, "-");
    if (ss_file_exists(in_tmp(s->target)))
        assert_int_equal(ss_sha256_file(in_tmp(s->target), hex, NULL), SS_OK);
}

static int open_files(void)
{
    return count_files("/proc/self/fd");
}

static void assert_failed_well(const subject *s, unsigned long k, const ss_err *e, int why)
{
    if (!strstr(e->msg, s->named) || !strstr(e->msg, strerror(why)))
        fail_msg("%s, call %lu: the error is \"%s\", which lacks \"%s\" or \"%s\"", s->target, k,
                 e->msg, s->named, strerror(why));
}

static void clear(const subject *s)
{
    if (ss_file_exists(in_tmp(s->target)))
        assert_int_equal(nftw(in_tmp(s->target), remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* there: the target exists, whole, when it is written. */
static void fail_each_call(const subject *s, int why, bool lasting, bool there)
{
    char want[65], got[65];
    ss_err e = {0};
    unsigned long k = 0, failures = 0;
    bool happened = true;

    clear(s);
    if (s->write(in_tmp(s->target), &e) != SS_OK)
        fail_msg("%s: %s", s->target, e.msg);
    digest(s, want);
    const int files = count_files(tmp_dir), handles = open_files();

    while (happened) {
        if (!there)
            clear(s);
        e = (ss_err){0};
        k += 1 + (k >= DENSE) * SPARSE;
        io_fail_at(k, why, lasting);
        const ss_code rc = s->write(in_tmp(s->target), &e);
        happened = io_fail_end();
        failures += happened;
        if (rc != SS_OK)
            assert_true(happened);
        if (rc != SS_OK)
            assert_failed_well(s, k, &e, why);
        if (open_files() != handles)
            fail_msg("%s, call %lu: %d descriptors are left open", s->target, k,
                     open_files() - handles);
        /* what is temporary is gone, and only the target is there or not */
        if (count_files(tmp_dir) != files - !ss_file_exists(in_tmp(s->target)))
            fail_msg("%s, call %lu: a temporary file is left", s->target, k);
        if (rc != SS_OK && s->write(in_tmp(s->target), &e) != SS_OK)
            fail_msg("%s, again after call %lu: %s", s->target, k, e.msg);
        digest(s, got);
        if (strcmp(got, want) != 0)
            fail_msg("%s, after call %lu failed with %s: not the bytes of an undisturbed run",
                     s->target, k, rc == SS_OK ? "no error" : "an error and again");
    }
    assert_true(k > 2);
    print_message("%s: %lu calls failed with %s%s\n", s->target, failures, strerror(why),
                  lasting ? ", and all after" : "");
}

static void fail_each(const subject *s)
{
    for (int there = 0; there < 2; there++) {
        fail_each_call(s, ENOSPC, true, there);
        fail_each_call(s, EIO, false, there);
    }
}

/* A writer that meets a failure leaves what it has; writing again goes on with it. */
static ss_code write_run(const char *path, ss_err *e)
{
    const ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const ss_code rc = ss_run_resume(path, &spec, &w, e);

    return rc == SS_OK ? syn_complete(w, e) : rc;
}

static void test_run_file(void **state)
{
    (void)state;
    const subject s = {.target = "r.h5", .named = "/r.h5", .write = write_run};

    fail_each_call(&s, ENOSPC, true, false);
    fail_each_call(&s, EIO, false, false);
}

static ss_code write_replaced_run(const char *path, ss_err *e)
{
    const ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const ss_code rc = ss_run_create(path, &spec, true, &w, e);

    return rc == SS_OK ? syn_complete(w, e) : rc;
}

static void test_replaced_run_file(void **state)
{
    (void)state;
    const subject s = {.target = "r.h5", .named = "/r.h5", .write = write_replaced_run};

    fail_each_call(&s, ENOSPC, true, true);
}

/* Steps 1 to 300, synced at every hundredth, gone on with at the last that was. */
static int64_t synced;

static ss_code write_journal(const char *path, ss_err *e)
{
    ss_journal *j;
    ss_err later = {0};
    ss_code rc;

    if (!ss_file_exists(path) || synced == 300)
        synced = 0;
    if ((rc = ss_journal_open(path, synced, &j, e)) != SS_OK)
        return rc;
    for (int64_t i = synced + 1; i <= 300 && rc == SS_OK; i++) {
        rc = ss_journal_add(j, json_pack("{s:I, s:s}", "step", i, "text", "a line of some length"),
                            e);
        if (rc == SS_OK && i % 100 == 0)
            rc = ss_journal_sync(j, e);
        if (rc == SS_OK && i % 100 == 0)
            synced = i;
    }
    if (ss_journal_close(j, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    return rc;
}

static void test_journal(void **state)
{
    (void)state;
    fail_each(&(subject){.target = "log.jsonl", .named = "/log.jsonl", .write = write_journal});
}

/* A new file of events each time, with the wall time in its name. */
static ss_code write_events(const char *path, ss_err *e)
{
    ss_events *ev;
    ss_err later = {0};
    ss_code rc = ss_events_open(path, 7, &ev, e);

    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < 300 && rc == SS_OK; i++)
        rc = ss_events_scalar(ev, 7, i, "loss", 0.5, e);
    if (rc == SS_OK)
        rc = ss_events_flush(ev, e);
    if (ss_events_close(ev, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    return rc;
}

static void test_events(void **state)
{
    (void)state;
    ss_err e;
    unsigned long k = 0;
    bool happened = true;

    while (happened) {
        e = (ss_err){0};
        io_fail_at(++k, ENOSPC, true);
        const ss_code rc = write_events(in_tmp("board"), &e);
        happened = io_fail_end();
        assert_int_equal(rc, happened ? SS_IO : SS_OK);
        if (happened && (!strstr(e.msg, "/board/events.out") || !strstr(e.msg, strerror(ENOSPC))))
            fail_msg("call %lu: %s", k, e.msg);
    }
    assert_true(k > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_file),
        cmocka_unit_test(test_replaced_run_file),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
