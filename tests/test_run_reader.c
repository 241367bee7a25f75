/* test_run_reader.c - run files that are not as ours: other programs' files, later versions, cut
 * off, with flipped bits, no run files at all. Reading runs in child processes, so that a crash is
 * a failure with a name.
 */
#include "runfile/run_reader.h"
#include "tests/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <signal.h>
#include <sys/wait.h>

/* Writes what somebody's PyTorch hooks and h5py would: two axes, one statistic, nothing else. */
static void test_guest_file(void **state)
{
    (void)state;
    const hsize_t dims[] = {2, 3};
    const double sigma[] = {1, 2, 4}, absmax[] = {1, 10, 100, 2, 4, 8};
    const float *x;
    const uint64_t *none;
    ss_err e = {0};
    ss_run *r;

    hid_t f = H5Fcreate(at("guest.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t g = H5Gcreate2(f, "axes", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t t = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, dims, NULL);
    H5Tset_size(t, 8);
    H5Tset_strpad(t, H5T_STR_NULLPAD);
    hid_t d = H5Dcreate2(g, "module", t, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(d, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, "encoder\0decoder8");
    H5Dclose(d);
    H5LTmake_dataset_double(g, "sigma", 1, dims + 1, sigma);
    H5Gclose(g);
    g = H5Gcreate2(f, "stats", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5LTmake_dataset_double(g, "absmax", 2, dims, absmax);
    H5LTmake_dataset_double(g, "rms", 1, dims, absmax);
    H5Gclose(g);
    H5Sclose(space);
    H5Tclose(t);
    H5Fclose(f);

    if (ss_run_open(at("guest.h5"), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_string_equal(r->modules[0], "encoder");
    assert_string_equal(r->modules[1], "decoder8");
    assert_string_equal(r->ports[0], "output");
    assert_true(r->complete && r->n_done == 3 && r->n_samples == 1);
    assert_string_equal(r->family, "");
    assert_int_equal(ss_run_stat(r, "absmax", &x, &e), SS_OK);
    assert_true(x[ss_run_at(r, 1, 0, 0, 2, 0)] == 8);
    assert_int_equal(ss_run_nonfinite(r, &none, &e), SS_OK);
    assert_null(none);
    assert_false(ss_run_has_hist(r));
    assert_int_equal(ss_run_stat(r, "rms", &x, &e), SS_SHAPE);
    assert_non_null(strstr(e.msg, "/stats/rms is [2], its axes say [2,3]"));
    ss_run_close(r);
}

/* Numbers of a noise level that is not marked as done, as a run leaves that was killed while it
 * wrote them, are not there for any reader. */
static void test_unfinished_level(void **state)
{
    (void)state;
    enum { OPEN = 2 };
    const ss_run_spec spec = syn_spec();
    static const int zero = 0;
    static const hsize_t at_level[] = {OPEN}, one[] = {1};
    static float pixels[SYN_X];
    const float *x[6];
    const uint64_t *nonfinite;
    uint64_t hist[SS_N_PORTS * SYN_INPUTS * SYN_SIGMAS * SS_N_EXPONENTS];
    ss_run_writer *w;
    ss_run *r;
    ss_err e = {0};

    assert_int_equal(ss_run_create(at("open.h5"), &spec, true, &w, &e), SS_OK);
    assert_int_equal(syn_complete(w, &e), SS_OK);
    hid_t f = H5Fopen(at("open.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t done = H5Dopen2(f, "/axes/done", H5P_DEFAULT), space = H5Dget_space(done);
    hid_t memory = H5Screate_simple(1, one, NULL), complete = H5Aopen(f, "complete", H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, at_level, NULL, one, NULL);
    assert_true(H5Dwrite(done, H5T_NATIVE_INT, memory, space, H5P_DEFAULT, &zero) >= 0);
    assert_true(H5Awrite(complete, H5T_NATIVE_INT, &zero) >= 0);
    H5Aclose(complete);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(done);
    H5Fclose(f);

    if (ss_run_open(at("open.h5"), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(r->n_done, SYN_SIGMAS - 1);
    assert_int_equal(ss_run_stat(r, "absmax", &x[0], &e), SS_OK);
    assert_int_equal(ss_run_stat(r, "rms", &x[1], &e), SS_OK);
    assert_int_equal(ss_run_attention(r, "entropy", &x[2], &e), SS_OK);
    assert_int_equal(ss_run_loss(r, &x[3], &e), SS_OK);
    assert_int_equal(ss_run_psd(r, &x[4], &e), SS_OK);
    assert_int_equal(ss_run_nonfinite(r, &nonfinite, &e), SS_OK);
    assert_int_equal(ss_run_hist(r, 1, hist, &e), SS_OK);
    for (int s = 0; s < SYN_SIGMAS; s++) {
        const int64_t site = ss_run_at(r, 1, SS_PORT_OUTPUT, 1, s, 2);
        const int64_t sample = (SYN_SIGMAS + s) * SYN_SAMPLES + 2; /* of input 1 */
        uint64_t counts = 0;

        assert_int_equal(isnan(x[0][site]), s == OPEN);
        assert_int_equal(isnan(x[1][site]), s == OPEN);
        assert_int_equal(isnan(x[2][s * SYN_SAMPLES]), s == OPEN);
        assert_int_equal(isnan(x[3][sample]), s == OPEN);
        assert_int_equal(isnan(x[4][sample * 2]), s == OPEN);
        assert_int_equal(nonfinite[site], s == OPEN ? 0 : 1000 + s * 10 + 2);
        for (int k = 0; k < SS_N_EXPONENTS; k++)
            counts +=
                hist[((SS_PORT_OUTPUT * SYN_INPUTS + 1) * SYN_SIGMAS + s) * SS_N_EXPONENTS + k];
        assert_int_equal(counts > 0, s != OPEN);
        assert_int_equal(ss_run_picture(r, "/inputs/x", 1, s, 2, pixels, &e), SS_OK);
        assert_int_equal(isnan(pixels[5]), s == OPEN);
    }
    ss_run_close(r);
}

static void test_versions(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run *r;
    const struct {
        const char *attribute, *value, *message; /* NULL: opens */
    } cases[] = {
        {"version", "1.9", NULL},
        {"version", "2.0", "has layout version 2, this program reads up to 1"},
        {"version", "one", "is not MAJOR.MINOR"},
        {"format", "netcdf", "is not a run file, its format is \"netcdf\""},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        write_run(at("minor.h5"));
        hid_t f = H5Fopen(at("minor.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
        H5LTset_attribute_string(f, "/", cases[i].attribute, cases[i].value);
        H5Fclose(f);
        ss_code rc = ss_run_open(at("minor.h5"), &r, &e);
        if (!cases[i].message) {
            assert_int_equal(rc, SS_OK);
            ss_run_close(r);
        } else {
            assert_int_not_equal(rc, SS_OK);
            if (!strstr(e.msg, cases[i].message))
                fail_msg("%s", e.msg);
        }
    }
}

/* Reads what layout version 1.2 added; a file without it is older and reads, too. */
static void test_since_1_2(void **state)
{
    (void)state;
    static const char *const added[] = {"/weights/nonfinite", "/attention/heads", "/axes/picture"};
    char name[64];
    const float *heads;
    const uint64_t *bad;
    ss_err e = {0};
    ss_run *r;

    write_run(at("minor.h5"));
    assert_int_equal(ss_run_open(at("minor.h5"), &r, &e), SS_OK);
    assert_int_equal(ss_run_weights_nonfinite(r, &bad, &e), SS_OK);
    assert_true(bad[0] == 0 && bad[1] == 3);
    assert_int_equal(ss_run_attention_heads(r, &heads, &e), SS_OK);
    assert_true(heads[0] == 4 && heads[1] == 2);
    assert_string_equal(ss_run_sample_name(r, 0, 0, 2, name, sizeof name), "sample 2, c.png");
    assert_string_equal(ss_run_sample_name(r, 0, 1, 0, name, sizeof name), "sample 0");
    ss_run_close(r);

    hid_t f = H5Fopen(at("minor.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    for (size_t i = 0; i < N_OF(added); i++)
        H5Ldelete(f, added[i], H5P_DEFAULT);
    H5Fclose(f);
    assert_int_equal(ss_run_open(at("minor.h5"), &r, &e), SS_OK);
    assert_int_equal(ss_run_weights_nonfinite(r, &bad, &e), SS_OK);
    assert_null(bad);
    assert_int_equal(ss_run_attention_heads(r, &heads, &e), SS_OK);
    assert_null(heads);
    assert_string_equal(ss_run_sample_name(r, 0, 0, 2, name, sizeof name), "sample 2");
    ss_run_close(r);
}

/* Opens and reads all that a file has; whatever happens must be an answer. */
static void read_everything(const char *path)
{
    ss_err e = {0};
    ss_run *r;
    const float *x;
    const uint64_t *u;
    ss_run_shape shape;
    int64_t channels;

    if (ss_run_open(path, &r, &e) != SS_OK)
        return;
#define X(name) ss_run_stat(r, #name, &x, &e);
    SS_STATS(X)
#undef X
#define X(name) ss_run_attention(r, #name, &x, &e);
    SS_ATTENTION_STATS(X)
#undef X
    ss_run_nonfinite(r, &u, &e);
    ss_run_attention_keys(r, &x, &e);
    ss_run_attention_heads(r, &x, &e);
    ss_run_weights_nonfinite(r, &u, &e);
    ss_run_loss(r, &x, &e);
    ss_run_psd(r, &x, &e);
    ss_run_weights(r, "rms", &x, &e);
    uint64_t *counts = ss_calloc((size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas,
                                 SS_N_EXPONENTS * sizeof *counts);
    if (counts && ss_run_has_hist(r))
        ss_run_hist(r, r->n_modules - 1, counts, &e);
    ss_free(counts);
    ss_run_has_channels(r, r->n_modules - 1, &channels);
    if (ss_run_has_pictures(r, "/activations/mid_block", &shape)) {
        float *picture = ss_alloc((size_t)shape.n, sizeof *picture);

        if (picture)
            ss_run_picture(r, "/activations/mid_block", 0, 0, 0, picture, &e);
        ss_free(picture);
    }
    ss_run_close(r);
}

/* 0, or the signal that ended a child that reads the file. */
static int signal_of_reading(const char *path)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test */
        signal(SIGBUS, SIG_DFL);
        signal(SIGFPE, SIG_DFL);
        alarm(240);
        read_everything(path);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_bytes(const char *path, const char *data, size_t n)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    assert_true(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    close(fd);
}

static void test_truncated_files(void **state)
{
    (void)state;
    size_t n;
    write_run(at("a.h5"));
    char *data = slurp(at("a.h5"), &n);

    for (int i = 0; i < 60; i++) {
        write_bytes(at("hostile.h5"), data, n * (size_t)i / 60);
        int sig = signal_of_reading(at("hostile.h5"));
        if (sig)
            fail_msg("cut at %zu of %zu: signal %d", n * (size_t)i / 60, n, sig);
    }
    ss_free(data);
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    size_t n;
    int crashed = 0;
    write_run(at("a.h5"));
    char *data = slurp(at("a.h5"), &n);

    srand(2);
    for (int i = 0; i < 160; i++) {
        size_t where[4];
        char was[4];

        for (int k = 0; k < 4; k++) { /* mostly where HDF5 keeps its structures */
            where[k] = ((size_t)rand() << 16 ^ (size_t)rand()) % (i % 3 ? 40000 : n);
            was[k] = data[where[k]];
            data[where[k]] = (char)rand();
        }
        write_bytes(at("hostile.h5"), data, n);
        int sig = signal_of_reading(at("hostile.h5"));
        if (sig) {
            print_message("round %d: signal %d\n", i, sig);
            crashed++;
        }
        for (int k = 4; k-- > 0;)
            data[where[k]] = was[k];
    }
    ss_free(data);
    assert_int_equal(crashed, 0);
}

static void test_not_run_files(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run *r;

    write_bytes(at("wrong.h5"), "hello", 5);
    assert_int_equal(ss_run_open(at("wrong.h5"), &r, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "not a readable HDF5 file"));
    assert_int_equal(ss_run_open(at("absent.h5"), &r, &e), SS_IO);
    assert_non_null(strstr(e.msg, "absent.h5: No such file or directory"));
    assert_int_equal(ss_run_open(folder, &r, &e), SS_IO);
    hid_t f = H5Fcreate(at("wrong.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    assert_int_equal(ss_run_open(at("wrong.h5"), &r, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "it has no /axes/module"));
}

/* Each failing allocation ends in an error or is survived, never in a crash or a leak. */
static void test_no_memory(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    ss_run *r;
    bool reached_end = false;

    for (unsigned long k = 1; !reached_end; k += k < 60 ? 1 : 7) { /* the columns are alike */
        ss_mem_fail_at(k);
        unsigned long before = ss_mem_calls();
        ss_code rc = ss_run_create(at("b.h5"), &spec, true, &w, &e);
        if (rc == SS_OK)
            rc = syn_complete(w, &e);
        reached_end = ss_mem_calls() - before < k;
        ss_mem_fail_at(0);
        assert_true(rc == SS_OK || rc == SS_NOMEM);
        assert_true(rc == SS_OK || !reached_end);
    }
    reached_end = false;
    for (unsigned long k = 1; !reached_end; k += k < 60 ? 1 : 7) { /* the columns are alike */
        ss_mem_fail_at(k);
        unsigned long before = ss_mem_calls();
        ss_code rc = ss_run_open(at("b.h5"), &r, &e);
        reached_end = ss_mem_calls() - before < k;
        ss_mem_fail_at(0);
        assert_true(reached_end ? rc == SS_OK : rc != SS_OK);
        if (rc == SS_OK)
            ss_run_close(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_file),    cmocka_unit_test(test_unfinished_level),
        cmocka_unit_test(test_versions),      cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_flipped_bytes), cmocka_unit_test(test_not_run_files),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_since_1_2),
    };
    H5dont_atexit(); /* as the program does, see runfile/h5.c */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
