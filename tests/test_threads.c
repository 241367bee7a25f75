/* test_threads.c - the same bytes from one thread and from two (and three): what probe, generate
 * and train write
 *
 * Every sum is taken in an order that does not depend on who computes it (test_ops, test_stats,
 * test_attention, test_conv and test_tape say it of operations). Run files differ in what they say
 * of themselves, the attributes; their data sets must not.
 *
 * The networks here give the same bits with oneDNN 2.6 and 3.2; test_gradients_unet knows one that
 * does not with 3.2.
 */
#include "tests/ss_tmp.h"

#include <hdf5.h>
#include <stdio.h>
#include <sys/wait.h>

static char output[1 << 16]; /* of the last command, stdout and stderr */

/* Runs a command of the shell with P for the program and D for the folder of the test. */
static void expect(const char *command, int status)
{
    const char *program = getenv("SIGMASCOPE");
    char full[4096];

    snprintf(full, sizeof full, "P=%s D=%s M=demo/fashion-mnist/step-06000; { %s; } 2>&1",
             program ? program : "build/sigmascope", tmp_dir, command);
    FILE *p = popen(full, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int ended = pclose(p);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status)
        fail_msg("%s: wait status %d, want exit %d; it printed:\n%s", command, ended, status,
                 output);
}

/* The values of a data set as they are stored, the caller's to free; NULL for text.
 */
static void *read_values(hid_t file, const char *name, hid_t *type, size_t *n)
{
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set);
    void *values = NULL;

    *type = H5Dget_type(set);
    *n = (size_t)H5Sget_simple_extent_npoints(space);
    if (H5Tget_class(*type) == H5T_INTEGER || H5Tget_class(*type) == H5T_FLOAT) {
        values = malloc(*n * H5Tget_size(*type) + 1);
        assert_non_null(values);
        assert_true(H5Dread(set, *type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    }
    H5Sclose(space);
    H5Dclose(set);
    return values;
}

typedef struct {
    hid_t other;
    int sets; /* compared */
    size_t values;
} comparison;

static herr_t compare_set(hid_t file, const char *name, const H5O_info_t *info, void *self)
{
    comparison *c = self;
    hid_t type, other_type;
    size_t n, other_n;

    if (info->type != H5O_TYPE_DATASET)
        return 0;
    void *a = read_values(file, name, &type, &n);
    void *b = read_values(c->other, name, &other_type, &other_n);
    assert_int_equal(n, other_n);
    assert_true(H5Tequal(type, other_type) > 0);
    if (a && memcmp(a, b, n * H5Tget_size(type)) != 0)
        fail_msg("/%s differs", name);
    if (a) {
        c->sets++;
        c->values += n;
    }
    free(a);
    free(b);
    H5Tclose(type);
    H5Tclose(other_type);
    return 0;
}

static void expect_same_run(const char *one, const char *other, int least_sets)
{
    const hid_t file = H5Fopen(in_tmp(one), H5F_ACC_RDONLY, H5P_DEFAULT);
    comparison c = {.other = H5Fopen(in_tmp(other), H5F_ACC_RDONLY, H5P_DEFAULT)};

    assert_true(file >= 0 && c.other >= 0);
    assert_true(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, compare_set, &c, H5O_INFO_BASIC) >= 0);
    if (c.sets < least_sets)
        fail_msg("%s: only %d data sets were compared", one, c.sets);
    printf("%s: %d data sets, %zu values\n", other, c.sets, c.values);
    H5Fclose(file);
    H5Fclose(c.other);
}

static void test_probe(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        char command[1024];

        snprintf(
            command, sizeof command,
            "$P probe $M -o $D/p%d.h5 --quiet --threads %d --class 3 --samples 3 --channels "
            "--sigmas 0.02,2,80 --inputs noise:white --inputs images:demo/fashion-mnist/images "
            "--inputs lowpass:2:noise:pink --dump 'up_blocks.?'",
            threads, threads);
        expect(command, 0);
    }
    expect_same_run("p1.h5", "p2.h5", 40);
    expect_same_run("p1.h5", "p3.h5", 40);
}

/* Rounding, saturating and clamping are in other kernels. */
static void test_probe_changed(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        char command[1024];

        snprintf(command, sizeof command,
                 "$P probe $M -o $D/c%d.h5 --quiet --threads %d --class 3 --samples 2 "
                 "--sigmas 0.02,80 --precision fp16 --intervene clamp:100@up_blocks.0 "
                 "--intervene 'cosine-attention@mid_block*'",
                 threads, threads);
        expect(command, 0);
    }
    expect_same_run("c1.h5", "c2.h5", 20);
}

static void test_generate(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        char command[1024];

        snprintf(command, sizeof command,
                 "$P generate $M -o $D/g%d --quiet --threads %d --classes 0,3,7 --guidance 2 "
                 "--steps 12 --probe $D/g%d.h5",
                 threads, threads, threads);
        expect(command, 0);
    }
    expect("cd $D && n=$(find g1 -name '*.png' | wc -l) && test $n -ge 4 && "
           "for f in $(cd g1 && find . -name '*.png'); do cmp g1/$f g2/$f || exit 1; done",
           0);
    expect_same_run("g1.h5", "g2.h5", 20);
}

/* Losses, weights, the optimiser's moments and statistics of eight steps. */
static void test_train(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        char command[1024];

        snprintf(command, sizeof command,
                 "$P train train/configs/fast-16.json -o $D/t%d --quiet --threads %d --steps 8 "
                 "--set statistics.every=4 --set checkpoints.every=4",
                 threads, threads);
        expect(command, 0);
    }
    expect("cd $D && n=$(find t1 -name '*.safetensors' | wc -l) && test $n -ge 4 && "
           "for f in $(cd t1 && find . -name '*.safetensors'); do cmp t1/$f t2/$f || exit 1; done",
           0);
    expect_same_run("t1/statistics.h5", "t2/statistics.h5", 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_probe_changed),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_train),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
