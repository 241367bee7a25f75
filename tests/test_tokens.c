/* test_tokens.c - outlier tokens of a run in which they are known
 *
 * Dumps of 16 channels at 2 noise levels, 2 inputs and 2 samples; every value is 1 or -1, so that
 * every norm is 4, but:
 *
 *   blocks.0  12 tokens; token 7 has 20 in channel 3 everywhere: norm sqrt(15 + 400)
 *   blocks.1  a map of 3 x 4; at the second noise level only, of input 1 and sample 0, positions
 *             2,1 and 0,3 have 100 and 30 in all channels
 *   blocks.2  token 4 stays just below 5 times the median; another map of it has a NaN
 *   blocks.3  all zero: there is no median to exceed
 *   proj      a vector: has no positions
 *   head      3 channels: too few
 *   video     2 frames of 3 x 4; the second is a hundred times the first, which is no outlier, and
 *             at its position 1,2 another 50 times as large
 */
#include "analyze/one/tokens.h"
#include "base/mem.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

enum { REGISTER, MAP, BELOW, ZERO, VECTOR, FEW, VIDEO, N_DUMPS };
enum { C = 16, T = 12, N_INPUTS = 2, N_SIGMAS = 2, N_SAMPLES = 2 };
static const char *const names[N_DUMPS] = {"blocks.0", "blocks.1", "blocks.2", "blocks.3",
                                           "proj",     "head",     "video"};
static const double sigmas[N_SIGMAS] = {1, 20};

static void ok(ss_code rc, const ss_err *e)
{
    if (rc != SS_OK)
        fail_msg("%s", e->msg);
}

static ss_shape shape_of(int dump)
{
    switch (dump) {
    case MAP: return (ss_shape){.rank = 3, .dim = {3, 4, C}};
    case VECTOR: return (ss_shape){.rank = 1, .dim = {C}};
    case VIDEO: return (ss_shape){.rank = 4, .dim = {2, 3, 4, C}};
    case FEW: return (ss_shape){.rank = 2, .dim = {T, 3}};
    default: return (ss_shape){.rank = 2, .dim = {T, C}};
    }
}

static void fill(int dump, int input, int sigma, int sample, float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = dump == ZERO ? 0 : i % 3 ? 1 : -1;
    if (dump == REGISTER)
        x[7 * C + 3] = 20;
    for (int c = 0; c < C && dump == MAP && sigma == 1 && input == 1 && sample == 0; c++) {
        x[(2 * 4 + 1) * C + c] = 100;
        x[3 * C + c] = 30;
    }
    for (int c = 0; c < C && dump == BELOW; c++)
        x[4 * C + c] = 4.99f;
    if (dump == BELOW && sample == 1) {
        x[0] = NAN;
        x[5 * C] = 1e6f;
    }
    if (dump == FEW)
        x[0] = 1e6f;
    for (int i = T * C; dump == VIDEO && i < 2 * T * C; i++)
        x[i] *= i / C == T + 4 + 2 ? 5000 : 100;
}

typedef struct {
    float x[2 * T * C];
    int n;
} values;

static ss_code copy(void *self, float *to, ss_err *e)
{
    const values *v = self;

    (void)e;
    memcpy(to, v->x, (size_t)v->n * sizeof *to);
    return SS_OK;
}

static void write_run(const char *path, int n_dumps)
{
    static const char *const inputs[N_INPUTS] = {"images:x", "noise:white"};
    ss_run_module modules[N_DUMPS];
    ss_run_dump dumps[N_DUMPS];
    ss_run_writer *w;
    ss_run_column *col;
    values v;
    ss_err e = {0};

    for (int m = 0; m < N_DUMPS; m++) {
        modules[m] = (ss_run_module){names[m], NULL, false};
        dumps[m] = (ss_run_dump){names[m], shape_of(m), false};
    }
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_DUMPS,
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = N_SAMPLES,
        .dumps = dumps,
        .n_dumps = n_dumps,
    };

    ok(ss_run_create(path, &spec, true, &w, &e), &e);
    for (int s = 0; s < N_SIGMAS; s++) {
        ok(ss_run_column_new(w, s, &col, &e), &e);
        for (int i = 0; i < N_INPUTS * N_SAMPLES; i++) {
            for (int m = 0; m < N_DUMPS; m++) {
                const ss_stats st = {.count = 1, .absmax = 1, .rms = 1};

                ss_run_put_stats(col, m, SS_PORT_OUTPUT, i / N_SAMPLES, i % N_SAMPLES, &st);
                v.n = (int)ss_shape_numel(shape_of(m));
                fill(m, i / N_SAMPLES, s, i % N_SAMPLES, v.x, v.n);
                if (m < n_dumps)
                    ok(ss_run_put_activation(col, m, i / N_SAMPLES, i % N_SAMPLES, copy, &v, &e),
                       &e);
            }
        }
        ok(ss_run_submit(w, col, &e), &e);
    }
    ok(ss_run_finish(w, &e), &e);
}

static void open_run(const char *name, ss_run **r, ss_sites *sites)
{
    ss_err e = {0};

    ok(ss_run_open(in_tmp(name), r, &e), &e);
    ok(ss_sites_find(*r, NULL, 0, SS_SITES_PRODUCED, sites, &e), &e);
}

static void test_outliers(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_tokens k;
    ss_table t;
    char text[64];
    ss_err e = {0};

    write_run(in_tmp("tokens.h5"), N_DUMPS);
    open_run("tokens.h5", &r, &sites);
    ok(ss_tokens_find(r, &sites, &k, &e), &e);
    assert_int_equal(k.n_modules, 4); /* blocks.3 has no usual norm */
    assert_int_equal(k.n, 3);

    const ss_token_row *row = &k.rows[0];
    assert_int_equal(row->module, MAP);
    assert_true(fabs(row->ratio - 100) < 1e-9 && fabs(row->norm - 400) < 1e-9);
    assert_string_equal(ss_token_position(row, text, sizeof text), "2,1");
    assert_int_equal(row->sigma, 1);
    assert_int_equal(row->input, 1);
    assert_int_equal(row->sample, 0);
    assert_int_equal(row->most, 2);
    assert_int_equal(row->n_with, 1);
    assert_int_equal(row->n_maps, 8);
    assert_true(fabs(row->of_norm - 1.0 / C) < 1e-9);

    row = &k.rows[1];
    assert_int_equal(row->module, VIDEO);
    assert_true(fabs(row->ratio - 50) < 1e-6 && fabs(row->norm - 20000) < 1e-2);
    assert_string_equal(ss_token_position(row, text, sizeof text), "1:1,2");
    assert_int_equal(row->n_maps, 16); /* each frame is one */
    assert_int_equal(row->n_with, 8);
    assert_int_equal(row->n_same, 8);

    row = &k.rows[2];
    assert_int_equal(row->module, REGISTER);
    assert_true(fabs(row->norm - sqrt(415)) < 1e-9 && fabs(row->ratio - sqrt(415) / 4) < 1e-9);
    assert_string_equal(ss_token_position(row, text, sizeof text), "7");
    assert_int_equal(row->n_with, 8);
    assert_int_equal(row->n_same, 8);
    assert_int_equal(row->channel, 3);
    assert_true(fabs(row->of_norm - 400.0 / 415) < 1e-9);

    ok(ss_tokens_table(r, &k, 1, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 1);
    assert_non_null(strstr(t.note, "in 3 of 4 dumped modules"));
    assert_non_null(strstr(t.note, "(row,column of a map)"));
    ss_table_release(&t);
    ok(ss_tokens_table(r, &k, 9, &t, &e), &e);
    assert_non_null(strstr(t.note, "(frame:row,column of a map)"));
    assert_string_equal(json_string_value(json_array_get(json_array_get(t.rows, 1), 1)),
                        "2x3x4x16");
    ss_table_release(&t);
    ss_tokens_release(&k);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_none(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_tokens k;
    ss_err e = {0};

    write_run(in_tmp("none.h5"), 0);
    open_run("none.h5", &r, &sites);
    ok(ss_tokens_find(r, &sites, &k, &e), &e);
    assert_int_equal(k.n_modules, 0);
    ss_tokens_release(&k);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_no_memory(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_err e = {0};

    open_run("tokens.h5", &r, &sites);
    for (unsigned long n = 1;; n++) {
        ss_tokens k;
        const unsigned long before = ss_mem_calls();

        ss_mem_fail_at(n);
        const ss_code rc = ss_tokens_find(r, &sites, &k, &e);
        ss_mem_fail_at(0);
        const bool all = ss_mem_calls() - before < n;

        if (rc != SS_OK)
            assert_true(k.rows == NULL && e.msg[0]);
        ss_tokens_release(&k);
        if (all) {
            ok(rc, &e);
            break;
        }
    }
    ss_sites_release(&sites);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
