/* test_io_failure.c - every write, flush, close and rename fails once; disks fill up for real
 *
 * Calls that the project itself makes are wrapped by the linker (-Wl,--wrap, see the Makefile): the
 * k-th one fails with ENOSPC or EIO, for k = 1, 2, 3... until the job is through. The C library's
 * own writes, those of HDF5 too, cannot be reached so: they meet a limit on the size of files
 * (EFBIG), and a small file system (ENOSPC). Whatever fails, the job must say SS_IO with file and
 * cause, and leave what was under the target's name before, or nothing, and no temporary file.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "models/file/checkpoint_write.h"
#include "tests/run_synth.h"
#include "tests/ss_tmp.h"
#include "train/config.h"
#include "train/trainer_checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int countdown, why; /* 0: nothing fails */
static bool fired;

static bool fails(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    fired = true;
    errno = why;
    return true;
}

/* The steps of a job, in order: w writes, d marks as done, s and f wait for the disk (fdatasync,
 * fsync), r gives a name. */
static char order[1 << 16];
static size_t n_order;

static void note(char what)
{
    if (n_order + 1 < sizeof order)
        order[n_order++] = what;
}

static void note_write(const void *p, size_t n)
{
    note(n == 1 && *(const uint8_t *)p == 1 ? 'd' : 'w');
}

/* A call that is wrapped: the real one where it must be done even so, as close must. */
#define WRAP_NOTED(type, name, params, args, watch, before, failure) \
    type __real_##name params;                                       \
    type __wrap_##name params;                                       \
    type __wrap_##name params                                        \
    {                                                                \
        watch;                                                       \
        if (!fails())                                                \
            return __real_##name args;                               \
        before;                                                      \
        errno = why;                                                 \
        return failure;                                              \
    }
#define WRAP(type, name, params, args, before, failure) \
    WRAP_NOTED(type, name, params, args, (void)0, before, failure)
WRAP_NOTED(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at),
           note_write(p, n), (void)0, -1)
WRAP_NOTED(int, fsync, (int fd), (fd), note('f'), (void)0, -1)
WRAP_NOTED(int, fdatasync, (int fd), (fd), note('s'), (void)0, -1)
WRAP(int, fflush, (FILE * f), (f), (void)0, EOF)
WRAP(int, fclose, (FILE * f), (f), __real_fclose(f), EOF)
WRAP(int, close, (int fd), (fd), __real_close(fd), -1)
WRAP_NOTED(int, rename, (const char *a, const char *b), (a, b), note('r'), (void)0, -1)
WRAP_NOTED(int, renameat2, (int c, const char *a, int d, const char *b, unsigned f),
           (c, a, d, b, f), note(f == RENAME_NOREPLACE ? 'r' : 'x'), (void)0, -1)
WRAP(int, mkdir, (const char *p, mode_t m), (p, m), (void)0, -1)

typedef struct {
    const char *target;                            /* name in the folder of the test */
    ss_code (*run)(const char *target, ss_err *e); /* replaces what is there */
    /* goes on with what a failure left; NULL: nothing is left then */
    ss_code (*resume)(const char *target, ss_err *e);
} job;

static char work[80]; /* where targets are */

static const char *in_work(const char *name)
{
    static char path[200];

    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static void check_message(const job *j, const ss_err *e)
{
    static const int causes[] = {ENOSPC, EIO, EFBIG};
    bool named = false;

    for (size_t i = 0; i < N_OF(causes); i++)
        named |= strstr(e->msg, strerror(causes[i])) != NULL;
    if (!named || !strstr(e->msg, j->target))
        fail_msg("names not both %s and the cause: %s", j->target, e->msg);
}

/* No file but the target is there; a target is one that an earlier run finished, or the job can
 * go on with it. */
static void check_left(const job *j, bool had_target)
{
    DIR *d = opendir(work);
    bool there = false;

    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        if (f->d_name[0] == '.')
            continue;
        if (strcmp(f->d_name, j->target) != 0)
            fail_msg("left behind: %s", f->d_name);
        there = true;
    }
    closedir(d);
    if (!j->resume)
        assert_int_equal(there, had_target);
}

static uint64_t fingerprint(const char *path)
{
    uint64_t h = 1469598103934665603u;
    DIR *d = opendir(path);
    char *bytes = NULL, *inside;
    size_t n;

    if (d) { /* the files of a folder, in any order */
        h = 0;
        for (struct dirent *f; (f = readdir(d)) != NULL;) {
            if (f->d_name[0] == '.')
                continue;
            inside = ss_path_join(path, f->d_name);
            h += fingerprint(inside);
            ss_free(inside);
        }
        closedir(d);
        return h;
    }
    if (ss_file_read(path, SIZE_MAX, &bytes, &n, NULL) != SS_OK)
        return 0;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)bytes[i]) * 1099511628211u;
    ss_free(bytes);
    return h;
}

static void clear(const job *j)
{
    nftw(in_work(j->target), remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Checks what holds after any failure; `want` is the fingerprint of the whole result. */
static void check_failure(const job *j, const ss_err *e, ss_code rc, uint64_t want)
{
    ss_err again = {0};

    if (rc != SS_OK) {
        if (rc != SS_IO)
            fail_msg("code %d: %s", rc, e->msg);
        check_message(j, e);
        check_left(j, false);
    }
    if (rc != SS_OK && j->resume && j->resume(in_work(j->target), &again) != SS_OK)
        fail_msg("after \"%s\" it cannot be resumed: %s", e->msg, again.msg);
    if ((rc == SS_OK || j->resume) && fingerprint(in_work(j->target)) != want)
        fail_msg("after \"%s\" the result is not what it should be", e->msg);
}

/* Each of the first 40 calls fails, then every tenth part further on: the rest is a run's many
 * small writes. */
static void fail_calls(const job *j)
{
    ss_err e = {0};
    int n = 0, reported = 0;

    if (j->run(in_work(j->target), &e) != SS_OK)
        fail_msg("%s", e.msg);
    const uint64_t want = fingerprint(in_work(j->target));

    for (int k = 1;; k += k < 40 ? 1 : k / 10) {
        clear(j);
        e = (ss_err){0};
        why = k % 2 ? ENOSPC : EIO;
        fired = false;
        countdown = k;
        const ss_code rc = j->run(in_work(j->target), &e);
        countdown = 0;
        if (!fired)
            break;
        check_failure(j, &e, rc, want);
        n++;
        reported += rc != SS_OK;
    }
    print_message("%s: %d calls failed, %d times the job\n", j->target, n, reported);
    assert_true(reported > 0);
    clear(j);
}

/* No file may be longer than this; the signal that comes with it is ignored. */
static void limit_files(rlim_t bytes)
{
    struct rlimit r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void fail_sizes(const job *j, int64_t largest)
{
    ss_err e = {0};
    int reported = 0;

    clear(j);
    if (j->run(in_work(j->target), &e) != SS_OK)
        fail_msg("%s", e.msg);
    const uint64_t want = fingerprint(in_work(j->target));
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 25; i++) {
        clear(j);
        e = (ss_err){0};
        limit_files((rlim_t)(largest * i / 24 + i % 3));
        const ss_code rc = j->run(in_work(j->target), &e);
        limit_files(RLIM_INFINITY);
        check_failure(j, &e, rc, want);
        reported += rc != SS_OK;
    }
    assert_true(reported > 0);
    clear(j);
}

/* ---- jobs ---- */

static const float values[3 * 700];

static ss_code write_tensors(const char *target, ss_err *e)
{
    const ss_st_item items[] = {
        {.name = "a", .dtype = SS_F32, .rank = 2, .dim = {3, 700}, .values = values},
        {.name = "b", .dtype = SS_F16, .rank = 1, .dim = {700}, .values = values}};

    return ss_safetensors_write(target, items, 2, NULL, 0, e);
}

static ss_code write_picture(const char *target, ss_err *e)
{
    static uint8_t data[48 * 64 * 3];
    const ss_image im = {.w = 64, .h = 48, .c = 3, .data = data};

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i * 31 + i * 7 + i / 97);
    return ss_image_write_png(target, &im, e);
}

static ss_code write_checkpoint(const char *target, ss_err *e)
{
    const ss_st_item item = {
        .name = "a", .dtype = SS_F32, .rank = 2, .dim = {3, 700}, .values = values};
    json_t *config = json_pack("{s:s}", "_class_name", "UNet2DModel");
    const ss_checkpoint_parts parts = {config, config, &item, 1};
    const ss_code rc = ss_checkpoint_write(target, &parts, true, e);

    json_decref(config);
    return rc;
}

static ss_code write_run(const char *target, ss_err *e)
{
    const ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const ss_code rc = ss_run_create(target, &spec, true, &w, e);

    return rc == SS_OK ? syn_complete(w, e) : rc;
}

static ss_code resume_run(const char *target, ss_err *e)
{
    const ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const ss_code rc = ss_run_resume(target, &spec, &w, e);

    return rc == SS_OK ? syn_complete(w, e) : rc;
}

static ss_train_config *training;
static ss_trainer *trainer;

static ss_code save_training(const char *target, ss_err *e)
{
    return ss_trainer_save(trainer, target, false, e);
}

static const job jobs[] = {
    {.target = "a.safetensors", .run = write_tensors},
    {.target = "a.png", .run = write_picture},
    {.target = "model", .run = write_checkpoint},
    {.target = "step-000001", .run = save_training},
    {.target = "run.h5", .run = write_run, .resume = resume_run},
};

static void test_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(jobs); i++)
        fail_calls(&jobs[i]);
}

/* A noise level is marked as done when what was written of it is on the disk. */
static void test_done_after_disk(void **state)
{
    (void)state;
    int done = 0;
    ss_err e = {0};

    n_order = 0;
    assert_int_equal(write_run(in_work("run.h5"), &e), SS_OK);
    assert_true(n_order + 1 < sizeof order);
    for (size_t i = 0; i < n_order; i++) {
        if (order[i] != 'd')
            continue;
        done++;
        if (i < 2 || order[i - 1] != 's' || order[i - 2] != 'w')
            fail_msg("call %zu of %s", i, order);
    }
    assert_int_equal(done, SYN_SIGMAS);
    remove(in_work("run.h5"));
}

/* A file gets its name when it is on the disk, so that after a failure of power there is the old
 * one or the whole new one; and a run is complete when its mark is there. */
static void test_name_after_disk(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(jobs); i++) {
        const job *j = &jobs[i];
        int named = 0;
        ss_err e = {0};

        memset(order, 0, sizeof order);
        n_order = 0;
        assert_int_equal(j->run(in_work(j->target), &e), SS_OK);
        assert_true(n_order + 1 < sizeof order);
        if (j->resume && order[n_order - 1] != 'f')
            fail_msg("%s: the mark is not on the disk: %s", j->target, order);
        if (!strchr(j->target, '.')) /* a folder: the last name is its own */
            *strrchr(order, 'r') = '\0';
        for (const char *r = order; (r = strchr(r, 'r')) != NULL; r++, named++)
            if (r == order || r[-1] != 'f')
                fail_msg("%s: call %td of %s", j->target, r - order, order);
        assert_true(named > 0);
        clear(j);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(jobs); i++)
        fail_sizes(&jobs[i], jobs[i].resume ? 60000 : 9000);
}

/* Checks that the old file stays as it was, to the byte. */
static void test_old_result_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(jobs) - 1; i++) {
        const job *j = &jobs[i];
        ss_err e = {0};

        assert_int_equal(j->run(in_work(j->target), &e), SS_OK);
        const uint64_t want = fingerprint(in_work(j->target));
        for (int k = 1;; k++) {
            fired = false;
            why = ENOSPC;
            countdown = k;
            const ss_code rc = j->run(in_work(j->target), &e);
            countdown = 0;
            if (!fired)
                break;
            assert_int_equal(fingerprint(in_work(j->target)), want);
            if (rc != SS_OK)
                check_left(j, true);
        }
        clear(j);
    }
}

/* A file system with room for less and less, 50 times for each job. */
static void test_full_disk(void **state)
{
    (void)state;
    char outside[sizeof work], filler[200];

    mkdir(in_tmp("small"), 0755);
    if (mount("tmpfs", in_tmp("small"), "tmpfs", 0, "size=512k") != 0)
        skip_because("cannot mount a small file system: %s", strerror(errno));
    strcpy(outside, work);
    snprintf(work, sizeof work, "%s/small/x", tmp_dir);
    snprintf(filler, sizeof filler, "%s/small/filler", tmp_dir);
    mkdir(work, 0755);
    for (size_t i = 0; i < N_OF(jobs); i++) {
        const job *j = &jobs[i];
        ss_err e = {0};
        int reported = 0;

        assert_int_equal(j->run(in_work(j->target), &e), SS_OK);
        const uint64_t want = fingerprint(in_work(j->target));

        for (int k = 0; k < 50; k++) {
            FILE *f = fopen(filler, "wb");

            clear(j);
            assert_non_null(f); /* as much as fits, then a piece is given back */
            while (fputc(0, f) != EOF)
                ;
            __real_fclose(f);
            struct stat st;
            assert_int_equal(stat(filler, &st), 0);
            assert_int_equal(truncate(filler, st.st_size - 4096 * (k % 25 + (k < 25 ? 0 : 1))), 0);
            const ss_code rc = j->run(in_work(j->target), &e);
            remove(filler);
            check_failure(j, &e, rc, want);
            reported += rc != SS_OK;
        }
        assert_true(reported > 0);
        clear(j);
    }
    strcpy(work, outside);
    assert_int_equal(umount(in_tmp("small")), 0);
}

static const char config[] =
    "{\"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
    " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"
    " \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2, "
    "\"attention_head_dim\": 4},"
    " \"data\": {\"kind\": \"shapes\"}, \"batch\": 2}";

static int set_up(void **state)
{
    ss_trainer_did did;
    ss_err e = {0};

    if (make_tmp(state) != 0)
        return -1;
    snprintf(work, sizeof work, "%s/work", tmp_dir);
    mkdir(work, 0755);
    write_file(in_tmp("train.json"), config, sizeof config - 1);
    if (ss_train_config_read(in_tmp("train.json"), NULL, 0, &training, &e) != SS_OK ||
        ss_trainer_new(&training->trainer, &trainer, &e) != SS_OK ||
        ss_trainer_step(trainer, &did, &e) != SS_OK) {
        print_error("%s\n", e.msg);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    ss_trainer_free(trainer);
    ss_train_config_free(training);
    umount(in_tmp("small")); /* still there after a failure */
    return remove_tmp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_done_after_disk),
        cmocka_unit_test(test_name_after_disk),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_old_result_stays),
        cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
