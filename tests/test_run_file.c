/* test_run_file.c - run files as they are written: layout as an outsider sees it, kill, resume,
 * full disk */
#include "runfile/run_reader.h"
#include "tests/run_folder.h"
#include "tests/run_training.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <signal.h>
#include <sys/wait.h>

static void assert_same_bytes(const char *a, const char *b)
{
    size_t na, nb;
    char *x = slurp(a, &na), *y = slurp(b, &nb);

    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    ss_free(x);
    ss_free(y);
}

/* Reads through HDF5 alone: every set has its shape, its labelled scales, and its values. */
static void check_scales(hid_t file, const char *name, int rank, const char *const *axes)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    char label[64];

    assert_true(set >= 0);
    for (int i = 0; i < rank; i++) {
        char scale[64];

        snprintf(scale, sizeof scale, "/axes/%s", axes[i]);
        hid_t s = H5Dopen2(file, scale, H5P_DEFAULT);
        assert_int_equal(H5DSis_attached(set, s, (unsigned)i), 1);
        assert_true(H5DSget_label(set, (unsigned)i, label, sizeof label) > 0);
        assert_string_equal(label, axes[i]);
        H5Dclose(s);
    }
    H5Dclose(set);
}

static void test_layout_for_outsiders(void **state)
{
    (void)state;
    static float x[SYN_MODULES][SS_N_PORTS][SYN_INPUTS][SYN_SIGMAS][SYN_SAMPLES];
    static uint64_t hist[SYN_MODULES][SS_N_PORTS][SYN_INPUTS][SYN_SIGMAS][SS_N_EXPONENTS];
    static float act[SYN_INPUTS][SYN_SIGMAS][SYN_SAMPLES][48];
    float rms[SS_N_PORTS][SYN_INPUTS][SYN_SIGMAS][5];
    int complete = 0;

    write_run(at("a.h5"));
    hid_t f = H5Fopen(at("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(f >= 0);
    assert_true(H5LTget_attribute_int(f, "/", "complete", &complete) >= 0);
    assert_int_equal(complete, 1);

    check_scales(f, "/stats/std", 5,
                 (const char *const[]){"module", "port", "input", "sigma", "sample"});
    check_scales(f, "/hist/exponent", 5,
                 (const char *const[]){"module", "port", "input", "sigma", "exponent"});
    check_scales(f, "/attention/sink", 5,
                 (const char *const[]){"layer", "head", "input", "sigma", "sample"});
    check_scales(
        f, "/activations/mid_block", 6,
        (const char *const[]){"input", "sigma", "sample", "height_2", "width_3", "channel_8"});
    check_scales(f, "/channels/up_blocks.0%2Fodd%25\\x0a/rms", 4,
                 (const char *const[]){"port", "input", "sigma", "channel_7"});

    assert_true(H5LTread_dataset_float(f, "/stats/std", &x[0][0][0][0][0]) >= 0);
    assert_true(H5LTread_dataset(f, "/hist/exponent", H5T_NATIVE_UINT64, hist) >= 0);
    for (int m = 0; m < SYN_MODULES; m++)
        for (int p = 0; p < SS_N_PORTS; p++)
            for (int i = 0; i < SYN_INPUTS; i++)
                for (int s = 0; s < SYN_SIGMAS; s++) {
                    for (int n = 0; n < SYN_SAMPLES; n++) {
                        if (syn_seen(m, p))
                            assert_true(x[m][p][i][s][n] == syn_stats(m, p, i, s, n).std);
                        else
                            assert_true(isnan(x[m][p][i][s][n]));
                    }
                    assert_int_equal(hist[m][p][i][s][127 + s],
                                     syn_seen(m, p) ? SYN_SAMPLES * (100 + m) : 0);
                }

    assert_true(H5LTread_dataset_float(f, "/activations/mid_block", &act[0][0][0][0]) >= 0);
    for (int i = 0; i < SYN_INPUTS; i++)
        for (int s = 0; s < SYN_SIGMAS; s++)
            for (int n = 0; n < SYN_SAMPLES; n++)
                for (int k = 0; k < 48; k++)
                    assert_true(act[i][s][n][k] == syn_value(41, i, s, n, k, 0));

    assert_true(H5LTread_dataset_float(f, "/channels/conv_in/rms", &rms[0][0][0][0]) >= 0);
    assert_true(isnan(rms[SS_PORT_INPUT][0][0][0]));                        /* never put */
    assert_true(isnan(rms[SS_PORT_OUTPUT][1][2][1]));                       /* no finite value */
    assert_true(fabs(rms[SS_PORT_OUTPUT][1][2][0] - sqrt(5.0 / 3)) < 1e-6); /* of 0, 1, 2 */
    H5Fclose(f);
}

static void test_reader_reads_all(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run *r;
    const float *x, *loss, *psd, *weights, *attention, *keys;
    const uint64_t *nonfinite;
    uint64_t counts[SS_N_PORTS][SYN_INPUTS][SYN_SIGMAS][SS_N_EXPONENTS];
    ss_run_shape shape;
    float picture[SYN_X];
    int64_t channels;

    write_run(at("a.h5"));
    assert_int_equal(ss_run_open(at("a.h5"), &r, &e), SS_OK);
    assert_true(r->complete);
    assert_int_equal(r->n_done, SYN_SIGMAS);
    assert_int_equal(r->seed, 7);
    assert_string_equal(r->family, "UNet2DModel");
    assert_string_equal(r->modules[0], "(model)");
    assert_string_equal(r->kinds[1], "Conv2d");
    assert_int_equal(r->blocks[0], 0);
    assert_string_equal(r->inputs[1], "noise:white");
    assert_true(r->sigmas[4] == 80 && r->timesteps[2] == 301);
    assert_int_equal(ss_run_port(r, "output"), SS_PORT_OUTPUT);

    assert_int_equal(ss_run_stat(r, "rms", &x, &e), SS_OK);
    assert_true(x[ss_run_at(r, 2, 1, 1, 3, 2)] == syn_stats(2, 1, 1, 3, 2).rms);
    assert_int_equal(ss_run_nonfinite(r, &nonfinite, &e), SS_OK);
    assert_int_equal(nonfinite[ss_run_at(r, 2, 1, 1, 3, 2)], 2032);
    assert_int_equal(ss_run_attention(r, "max_logit", &attention, &e), SS_OK);
    assert_true(attention[ss_run_attention_at(r, 1, 1, 0, 4, 2)] == syn_value(22, 1, 1, 0, 4, 2));
    assert_true(isnan(attention[ss_run_attention_at(r, 1, 2, 0, 4, 2)]));
    assert_int_equal(ss_run_attention_keys(r, &keys, &e), SS_OK);
    assert_true(keys[0] == 24 && keys[1] == 6);
    assert_int_equal(ss_run_loss(r, &loss, &e), SS_OK);
    assert_true(loss[(1 * SYN_SIGMAS + 3) * SYN_SAMPLES + 2] == syn_value(32, 1, 3, 2, 0, 0));
    assert_int_equal(ss_run_psd(r, &psd, &e), SS_OK);
    assert_true(psd[((1 * SYN_SIGMAS + 3) * SYN_SAMPLES + 2) * 2 + 1] == 2.25f);
    assert_int_equal(ss_run_weights(r, "absmax", &weights, &e), SS_OK);
    assert_true(weights[0] == 2.5f && weights[1] == 0.25f);
    assert_int_equal(ss_run_hist(r, 3, &counts[0][0][0][0], &e), SS_OK);
    assert_int_equal(counts[1][0][2][129], 3 * 103);
    assert_true(ss_run_has_channels(r, 4, &channels));
    assert_int_equal(channels, 7);
    assert_false(ss_run_has_channels(r, 2, &channels));
    assert_true(ss_run_has_pictures(r, "/inputs/x", &shape));
    assert_true(shape.rank == 3 && shape.dim[1] == 6 && shape.n == SYN_X);
    assert_int_equal(ss_run_picture(r, "/inputs/x", 1, 2, 0, picture, &e), SS_OK);
    assert_true(picture[5] == syn_value(30, 1, 2, 0, 5, 0));
    assert_int_equal(ss_run_stat(r, "kurtosis", &x, &e), SS_OK);
    assert_null(x);
    ss_run_close(r);
}

/* The rest is as in a run with histograms. */
static void test_without_histogram(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    ss_run *with = NULL, *without = NULL;
    const float *a, *b;

    spec.histogram = false;
    write_run(at("a.h5"));
    if (ss_run_create(at("b.h5"), &spec, true, &w, &e) != SS_OK || syn_complete(w, &e) != SS_OK ||
        ss_run_open(at("a.h5"), &with, &e) != SS_OK ||
        ss_run_open(at("b.h5"), &without, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(ss_run_has_hist(with));
    assert_false(ss_run_has_hist(without));
    assert_int_equal(ss_run_stat(with, "std", &a, &e), SS_OK);
    assert_int_equal(ss_run_stat(without, "std", &b, &e), SS_OK);
    assert_memory_equal(
        a, b, SYN_MODULES * SS_N_PORTS * SYN_INPUTS * SYN_SIGMAS * SYN_SAMPLES * sizeof *a);
    ss_run_close(with);
    ss_run_close(without);
}

static void test_half(void **state)
{
    (void)state;
    const float values[] = {1,       -2.5f,   65504, 65519.99f,  65520, 1e30f, -INFINITY, 6e-8f,
                            2.9e-8f, 3.0e-8f, 2049,  0x1.006p0f, 0,     -0.0f, 6.1e-5f,   NAN};
    const float want[] = {
        1, -2.5f,    65504, 65504,      INFINITY, INFINITY, -INFINITY,       0x1p-24f,
        0, 0x1p-24f, 2048,  0x1.008p0f, 0,        -0.0f,    1023 * 0x1p-24f, NAN};
    const ss_run_dump dump = {"conv_in", {.rank = 1, .dim = {16}}, true};
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    ss_run_column *col;
    ss_run *r;
    float got[16];

    spec.n_sigmas = spec.n_samples = spec.n_inputs = spec.n_dumps = 1;
    spec.dumps = &dump;
    assert_int_equal(ss_run_create(at("b.h5"), &spec, true, &w, &e), SS_OK);
    assert_int_equal(ss_run_column_new(w, 0, &col, &e), SS_OK);
    assert_int_equal(ss_run_put_activation(col, 0, 0, 0, syn_copy, &(syn_values){values, 16}, &e),
                     SS_OK);
    assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
    assert_int_equal(ss_run_open(at("b.h5"), &r, &e), SS_OK);
    assert_int_equal(ss_run_picture(r, "/activations/conv_in", 0, 0, 0, got, &e), SS_OK);
    ss_run_close(r);
    for (int i = 0; i < 16; i++) {
        if (!(got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))) ||
            (want[i] == 0 && signbit(got[i]) != signbit(want[i])))
            fail_msg("f16 of %a is %a, want %a", (double)values[i], (double)got[i],
                     (double)want[i]);
    }
}

enum { PAUSE = 2000 }; /* microseconds */

/* A child writes with pauses. It is killed `us` microseconds after its start, or, if so
 * wanted, after the file is there. */
static void kill_after(const char *path, int us, bool resume, bool wait)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        ss_err e = {0};
        ss_run_spec spec = syn_spec();
        ss_run_writer *w;
        ss_code rc =
            resume ? ss_run_resume(path, &spec, &w, &e) : ss_run_create(path, &spec, false, &w, &e);

        for (int s = 0; s < SYN_SIGMAS && rc == SS_OK; s++) {
            usleep(PAUSE);
            if (!ss_run_is_done(w, s))
                rc = syn_submit(w, s, &e);
        }
        if (rc == SS_OK)
            rc = ss_run_finish(w, &e);
        _exit(rc != SS_OK);
    }
    while (wait && !ss_file_exists(path))
        usleep(100);
    usleep((useconds_t)us);
    kill(pid, SIGKILL);
    waitpid(pid, &(int){0}, 0);
}

static void check_unfinished(const char *path)
{
    ss_err e = {0};
    ss_run *r;
    const float *x;

    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ss_run_stat(r, "l2", &x, &e), SS_OK);
    for (int s = 0; s < SYN_SIGMAS; s++) {
        float got = x[ss_run_at(r, 4, 1, 1, s, 2)];

        if (r->done[s])
            assert_true(got == syn_stats(4, 1, 1, s, 2).l2);
        else
            assert_true(isnan(got));
    }
    assert_int_equal(r->complete, r->n_done == SYN_SIGMAS && r->complete);
    ss_run_close(r);
}

static void remove_skeletons(void)
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    assert_non_null(d);
    while ((entry = readdir(d))) {
        if (strstr(entry->d_name, ".tmp-"))
            unlink(at(entry->d_name));
    }
    closedir(d);
}

static void test_kill_and_resume(void **state)
{
    (void)state;
    int cut[3] = {0}; /* before the file, with some, with all noise levels */
    const int us = (SYN_SIGMAS + 2) * PAUSE;

    write_run(at("ref.h5"));
    srand(1);
    for (int round = 0; round < 24; round++) {
        const char *path = at("kill.h5");
        ss_err e = {0};
        ss_run_spec spec = syn_spec();
        ss_run_writer *w;
        ss_run *r;

        unlink(path);
        kill_after(path, rand() % us, false, round % 4 != 0);
        if (ss_file_exists(path)) {
            check_unfinished(path);
            kill_after(path, rand() % us, true, true); /* and once more on the way back */
            check_unfinished(path);
            assert_int_equal(ss_run_open(path, &r, &e), SS_OK);
            cut[r->complete ? 2 : 1]++;
            ss_run_close(r);
        } else {
            cut[0]++;
        }
        if (ss_run_resume(path, &spec, &w, &e) != SS_OK || syn_complete(w, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_same_bytes(at("kill.h5"), at("ref.h5"));
    }
    print_message("killed before the file was there: %d, later: %d, complete after two tries: %d\n",
                  cut[0], cut[1], cut[2]);
    remove_skeletons(); /* of those that were killed in the making */
}

static void test_resume_refuses_another_plan(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;

    write_run(at("a.h5"));
    spec.plan = "{\"sigmas\": [0.02, 0.7, 10], \"inputs\": [\"noise:white\"], \"seed\": 7}";
    assert_int_equal(ss_run_resume(at("a.h5"), &spec, &w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "sigmas[1] = 0.5, this run has 0.7"));
    spec.plan =
        "{\"sigmas\": [0.02, 0.5, 10], \"inputs\": [\"noise:white\"], \"seed\": 7, \"x\": 1}";
    assert_int_equal(ss_run_resume(at("a.h5"), &spec, &w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "x = nothing, this run has 1"));
    spec = syn_spec();
    spec.n_samples = 2; /* the plan says otherwise, but layouts are compared too */
    assert_int_equal(ss_run_resume(at("a.h5"), &spec, &w, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "not as this run would make it"));
}

static ss_run *open_training(const char *path)
{
    ss_err e = {0};
    ss_run *r;

    assert_int_equal(ss_run_open(path, &r, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "is a training run, over steps"));
    if (ss_run_open_any(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static const float *training_set(ss_run *r, const char *name)
{
    const float *x = NULL;
    ss_err e = {0};

    if (ss_run_training(r, name, &x, &e) != SS_OK || !x)
        fail_msg("%s: %s", name, e.msg);
    return x;
}

static const float *updates_set(ss_run *r, const char *name)
{
    const float *x = NULL;
    ss_err e = {0};

    if (ss_run_updates(r, name, &x, &e) != SS_OK || !x)
        fail_msg("%s: %s", name, e.msg);
    return x;
}

static void assert_float(const char *what, int i, float got, float want)
{
    if (!(got == want || (isnan(got) && isnan(want))))
        fail_msg("%s[%d] is %.9g, want %.9g", what, i, (double)got, (double)want);
}

/* Everything of the steps, with what was reached: the first n of them. */
static void check_training(ss_run *r, int n)
{
#define X(name) training_set(r, #name),
    const float *const steps[] = {SS_RUN_TRAINING(X)};
#undef X
#define X(name) updates_set(r, #name),
    const float *const updates[] = {SS_RUN_UPDATES(X)};
#undef X
    const float *sigma = training_set(r, "sigma"), *bins = training_set(r, "loss_by_sigma");
    const float *loss = training_set(r, "sample_loss"), *absmax;
    ss_err e = {0};

    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    for (int s = 0; s < TRN_STEPS; s++) {
        const bool done = s < n, updated = done && !trn_skipped(s);
        const ss_run_step want = trn_step(s);
#define X(name) want.name,
        const float step_values[] = {SS_RUN_TRAINING(X)};
#undef X

        assert_int_equal(r->done[s], done);
        for (size_t k = 0; k < N_OF(steps); k++)
            assert_float("training", s, steps[k][s], done ? step_values[k] : NAN);
        for (int b = 0; b < TRN_BINS; b++)
            assert_float("bin", s, bins[b * TRN_STEPS + s], done ? trn_bin(b, s) : NAN);
        for (int i = 0; i < TRN_SAMPLES; i++) {
            const int at = s * TRN_SAMPLES + i;

            assert_float("sigma", at, sigma[at], done ? (float)trn_sigmas[i] : NAN);
            assert_float("sample_loss", at, loss[at], done ? 0.5f + (float)i : NAN);
            assert_float("absmax", s, absmax[ss_run_at(r, 2, ss_run_port(r, "output"), 0, s, i)],
                         done ? (float)trn_absmax(2, s, i) : NAN);
        }
        for (int p = 0; p < TRN_PARAMETERS; p++) {
            const ss_run_update u = trn_update(p, s);
#define X(name) u.name,
            const float values[] = {SS_RUN_UPDATES(X)};
#undef X

            for (size_t k = 0; k < N_OF(updates); k++)
                assert_float("updates", p, updates[k][p * TRN_STEPS + s],
                             updated ? values[k] : NAN);
        }
    }
}

/* Over steps: what was written is read; a file that was cut off, and one whose last steps are
 * written once more because training went on from an older checkpoint, get the same bytes. */
static void test_training_run(void **state)
{
    (void)state;
    const ss_run_spec spec = trn_spec();
    ss_run_spec other = spec;
    ss_run_writer *w;
    ss_err e = {0};
    ss_run *r;

    assert_int_equal(trn_write(at("ref.h5"), TRN_STEPS, &e), SS_OK);
    r = open_training(at("ref.h5"));
    assert_true(r->complete && r->n_sigmas == TRN_STEPS && r->n_bins == TRN_BINS && !r->sigmas);
    assert_memory_equal(r->steps, trn_steps, sizeof trn_steps);
    assert_memory_equal(r->bins, trn_bins, sizeof trn_bins);
    check_training(r, TRN_STEPS);
    ss_run_close(r);

    for (int again = 0; again < 2; again++) {
        assert_int_equal(trn_write(at("a.h5"), 4, &e), SS_OK);
        r = open_training(at("a.h5"));
        assert_false(r->complete);
        check_training(r, 4);
        ss_run_close(r);
        assert_int_equal(ss_run_resume(at("a.h5"), &spec, &w, &e), SS_OK);
        assert_int_equal(trn_continue(w, again ? 2 : 0, TRN_STEPS, again, &e), SS_OK);
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
        assert_same_bytes(at("a.h5"), at("ref.h5"));
    }
    other.plan = "{\"steps\": 5000}";
    assert_int_equal(ss_run_resume(at("a.h5"), &other, &w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "steps = 4000, this run has 5000"));

    write_run(at("b.h5")); /* one over noise levels has none of this */
    const float *x;
    assert_int_equal(ss_run_open_any(at("b.h5"), &r, &e), SS_OK);
    assert_null(r->steps);
    assert_int_equal(ss_run_training(r, "loss", &x, &e), SS_OK);
    assert_null(x);
    assert_int_equal(ss_run_updates(r, "staleness", &x, &e), SS_OK);
    assert_null(x);
    ss_run_close(r);
}

static void test_existing_and_locked_targets(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w, *second;
    ss_run *r;

    unlink(at("lock.h5"));
    assert_int_equal(ss_run_create(at("lock.h5"), &spec, false, &w, &e), SS_OK);
    assert_int_equal(ss_run_create(at("lock.h5"), &spec, false, &second, &e), SS_IO);
    assert_non_null(strstr(e.msg, "exists already; --force replaces it"));
    assert_int_equal(ss_run_create(at("lock.h5"), &spec, true, &second, &e), SS_IO);
    assert_non_null(strstr(e.msg, "another process is writing it"));
    assert_int_equal(ss_run_resume(at("lock.h5"), &spec, &second, &e), SS_IO);
    assert_non_null(strstr(e.msg, "another process is writing it"));
    assert_int_equal(ss_run_open(at("lock.h5"), &r, &e), SS_OK); /* looking is allowed */
    assert_int_equal(r->n_done, 0);
    ss_run_close(r);
    hid_t f = H5Fopen(at("lock.h5"), H5F_ACC_RDONLY, H5P_DEFAULT); /* to others too */
    assert_true(f >= 0);
    H5Fclose(f);
    assert_int_equal(syn_complete(w, &e), SS_OK);
    assert_int_equal(ss_run_create(at("lock.h5"), &spec, true, &w, &e), SS_OK);
    assert_int_equal(ss_run_finish(w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "5 of 5 noise levels were not computed"));

    assert_int_equal(ss_run_create(folder, &spec, true, &w, &e), SS_IO);
    assert_int_equal(ss_run_create(at("none/a.h5"), &spec, false, &w, &e), SS_IO);
    assert_non_null(strstr(e.msg, "No such file"));
    assert_int_equal(ss_run_create("/proc/a.h5", &spec, false, &w, &e), SS_IO); /* read-only */
}

static void test_spec_errors(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const char *twice[] = {"noise:white", "noise:white"};

    spec.timesteps = NULL;
    assert_int_equal(ss_run_create(at("b.h5"), &spec, true, &w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "noise level 0.5 is given twice"));
    spec = syn_spec();
    spec.inputs = twice;
    assert_int_equal(ss_run_create(at("b.h5"), &spec, true, &w, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "input 'noise:white' is given twice"));
    spec = syn_spec();
    spec.x = ss_shape_of(1 << 30, 1 << 30, 1 << 30);
    assert_int_equal(ss_run_create(at("b.h5"), &spec, true, &w, &e), SS_UNSUPPORTED);
}

static void test_full_disk(void **state)
{
    (void)state;
    char mount_point[128], path[160];
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    const ss_run_dump dump = {"conv_in", {.rank = 1, .dim = {1 << 17}}, false};
    ss_run_writer *w;
    ss_run *r;
    const float *x;
    ss_code rc = SS_OK;

    snprintf(mount_point, sizeof mount_point, "%s/small", folder);
    snprintf(path, sizeof path, "%s/run.h5", mount_point);
    mkdir(mount_point, 0700);
    if (mount("none", mount_point, "tmpfs", 0, "size=8m") != 0) {
        const int why = errno;

        rmdir(mount_point);
        skip_because("cannot mount a small file system: %s", strerror(why));
    }
    /* 3 MiB of activations in each noise level: two fit */
    spec.dumps = &dump;
    spec.n_dumps = 1;
    float *big = ss_calloc(1 << 17, sizeof *big);
    assert_int_equal(ss_run_create(path, &spec, false, &w, &e), SS_OK);
    for (int s = 0; s < SYN_SIGMAS && rc == SS_OK; s++) {
        ss_run_column *col;
        ss_stats st = syn_stats(1, 1, 0, s, 0);

        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        ss_run_put_stats(col, 1, SS_PORT_OUTPUT, 0, 0, &st);
        for (int k = 0; k < 6 && rc == SS_OK; k++)
            rc = ss_run_put_activation(col, 0, k / 3, k % 3, syn_copy, &(syn_values){big, 1 << 17},
                                       &e);
        if (rc == SS_OK)
            rc = ss_run_submit(w, col, &e);
        else
            ss_run_column_free(col);
    }
    rc = ss_run_finish(w, &e);
    assert_int_equal(rc, SS_IO);
    assert_non_null(strstr(e.msg, "run.h5: No space left on device; 2 of 5 noise levels are saved; "
                                  "free space and go on with --resume"));
    assert_int_equal(ss_run_open(path, &r, &e), SS_OK);
    assert_false(r->complete);
    assert_int_equal(r->n_done, 2);
    assert_int_equal(ss_run_stat(r, "min", &x, &e), SS_OK);
    assert_true(x[ss_run_at(r, 1, 1, 0, 1, 0)] == syn_stats(1, 1, 0, 1, 0).min);
    ss_run_close(r);

    /* not even room for the skeleton: a clear message, and nothing is left behind */
    spec.n_dumps = 0;
    spec.x = ss_shape_of(100, 200, 10);
    unlink(path);
    ss_free(big);
    pid_t pid = fork(); /* for HDF5 keeps the memory of a file that it cannot flush */
    if (pid == 0) {
        rc = ss_run_create(path, &spec, false, &w, &e);
        _exit(rc == SS_IO && strstr(e.msg, "run.h5: cannot create") ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_false(ss_file_exists(path));
    assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
    rmdir(mount_point);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_for_outsiders),
        cmocka_unit_test(test_reader_reads_all),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_without_histogram),
        cmocka_unit_test(test_kill_and_resume),
        cmocka_unit_test(test_resume_refuses_another_plan),
        cmocka_unit_test(test_training_run),
        cmocka_unit_test(test_existing_and_locked_targets),
        cmocka_unit_test(test_spec_errors),
        cmocka_unit_test(test_full_disk),
    };
    H5dont_atexit(); /* as the program does, see runfile/h5.c */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
