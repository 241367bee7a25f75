/* test_selftest.c - `selftest` passes between instruction sets, reaches every entry of a backend,
 * and finds each of the mistakes that are planted into one
 */
#include "kernels/internal.h"
#include "selftest/selftest.h"
#include "tests/ss_command.h"

#include <math.h>

static ss_ctx *open_on(const ss_backend *be)
{
    ss_ctx *c;
    ss_err e = {0};

    const ss_ctx_options o = {.threads = 1, .arithmetic = SS_ARITHMETIC_F32};

    if (ss_ctx_new_on(be, 0, &o, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static ss_selftest_result check(const ss_backend *be, const char *only, bool quick)
{
    ss_selftest_options o = {.reference = open_on(&ss_backend_cpu),
                             .device = open_on(be),
                             .only = only,
                             .quick = quick,
                             .speed = SS_SPEED_NONE};
    ss_selftest_result r;
    ss_err e = {0};

    if (ss_selftest_run(&o, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_ctx_free(o.reference);
    ss_ctx_free(o.device);
    return r;
}

/* Sums in other orders stay within the bounds. */
static void test_other_instructions(void **state)
{
    (void)state;
    static const char *const sets[] = {"base", "v3"};

    for (int i = 0; i < 2; i++) {
        ss_selftest_options o = {.reference = open_on(&ss_backend_cpu), .speed = SS_SPEED_NONE};
        ss_selftest_result r;
        ss_err e = {0};

        setenv("SIGMASCOPE_ISA", sets[i], 1);
        o.device = open_on(&ss_backend_cpu);
        unsetenv("SIGMASCOPE_ISA");
        if (ss_selftest_run(&o, &r, &e) != SS_OK)
            fail_msg("%s", e.msg);
        if (getenv("SELFTEST_SHOW"))
            ss_table_print(&r.operations, stdout, 230);
        if (r.n_failed)
            fail_msg("%s: %d runs failed, first %s", sets[i], r.n_failed, r.first);
        ss_selftest_release(&r);
        ss_ctx_free(o.reference);
        ss_ctx_free(o.device);
    }
}

/* ---- every entry is reached ---- */

enum {
#define X(name, params, args) AT_##name,
    SS_ENTRIES(X)
#undef X
#define X(name, params, args) AT_back_##name,
        SS_GRADIENTS(X)
#undef X
            N_ENTRIES
};
static int calls[N_ENTRIES];

#define X(name, params, args)                                              \
    static ss_code count_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                      \
        calls[AT_##name]++;                                                \
        return ss_backend_cpu.name(d, SS_INSIDE args, e);                  \
    }
SS_ENTRIES(X)
#undef X
#define X(name, params, args)                                                   \
    static ss_code count_back_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                           \
        calls[AT_back_##name]++;                                                \
        return ss_backend_cpu.back_##name(d, SS_INSIDE args, e);                \
    }
SS_GRADIENTS(X)
#undef X

static void test_every_entry_is_reached(void **state)
{
    (void)state;
    static const char *const names[] = {
#define X(name, params, args) #name,
        SS_ENTRIES(X)
#undef X
#define X(name, params, args) "gradient of " #name,
            SS_GRADIENTS(X)
#undef X
    };
    ss_backend counts = ss_backend_cpu;

#define X(name, params, args) counts.name = count_##name;
    SS_ENTRIES(X)
#undef X
#define X(name, params, args) counts.back_##name = count_back_##name;
    SS_GRADIENTS(X)
#undef X
    ss_selftest_result r = check(&counts, NULL, true);

    assert_int_equal(r.n_failed, 0);
    for (int i = 0; i < N_ENTRIES; i++)
        if (!calls[i])
            fail_msg("selftest never runs %s", names[i]);
    ss_selftest_release(&r);
}

/* ---- mistakes ---- */

static float *values(const ss_tensor *x)
{
    return x->data;
}

static ss_code last_channel(ss_device *d, const ss_conv2d_args *a, ss_err *e)
{
    const ss_code rc = ss_backend_cpu.conv2d(d, a, e);
    const int64_t n = ss_shape_numel(a->y->shape);

    values(a->y)[n - 1] += 1e-4f; /* a value that a loop leaves out a term of */
    return rc;
}

static ss_code wrong_eps(ss_device *d, const ss_group_norm_args *a, ss_err *e)
{
    ss_group_norm_args b = *a;

    b.eps = 3e-5f;
    return ss_backend_cpu.group_norm(d, &b, e);
}

static ss_code lost_nan(ss_device *d, const ss_tensor *x, float lo, float hi, ss_tensor *y,
                        ss_err *e)
{
    (void)d, (void)e;
    for (int64_t i = 0; i < ss_shape_numel(x->shape); i++)
        values(y)[i] = fminf(fmaxf(values(x)[i], lo), hi);
    return SS_OK;
}

static ss_code another_each_time(ss_device *d, const ss_tensor *x, ss_act act, ss_tensor *y,
                                 ss_err *e)
{
    static int turn;
    const ss_code rc = ss_backend_cpu.activate(d, x, act, y, e);

    for (int64_t i = 0; i < ss_shape_numel(x->shape) && turn++ % 2; i++)
        values(y)[i] = nextafterf(values(y)[i], 9);
    return rc;
}

static ss_code too_few(ss_device *d, const ss_tensor *x, bool exponents, ss_stats *out, ss_err *e)
{
    const ss_code rc = ss_backend_cpu.stats(d, x, exponents, out, e);

    out->exponent[127] += out->exponent[127] > 2;
    return rc;
}

static ss_code scaled_entropy(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    const ss_code rc = ss_backend_cpu.attention(d, a, e);

    if (a->stats)
        a->stats->entropy *= 1.0001f;
    return rc;
}

static ss_code rows_short(ss_device *d, const ss_tensor *x, int64_t groups, ss_tensor *y, ss_err *e)
{
    const ss_code rc = ss_backend_cpu.back_sum_rows(d, x, groups, y, e);

    values(y)[0] -= values(x)[0];
    return rc;
}

static ss_code no_average(ss_device *d, const ss_step *s, size_t n, const ss_step_rule *r,
                          ss_step_sums *sums, ss_err *e)
{
    enum { MOST = 8 };
    ss_step without[MOST];

    assert_true(n <= MOST);
    memcpy(without, s, n * sizeof *s);
    for (size_t i = 0; i < n; i++)
        without[i].ema = NULL;
    return ss_backend_cpu.optimizer_step(d, without, n, r, sums, e);
}

static ss_code rounds_nothing(ss_device *d, const ss_tensor *x, const ss_format *f, ss_tensor *y,
                              ss_err *e)
{
    (void)f;
    return ss_backend_cpu.affine(d, x, 1, 0, y, e);
}

static ss_code out_of_memory(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    (void)d, (void)x, (void)y;
    return ss_fail(e, SS_NOMEM, "no memory for this");
}

static void test_mistakes_are_found(void **state)
{
    (void)state;
    ss_backend b[11];

    for (size_t i = 0; i < N_OF(b); i++)
        b[i] = ss_backend_cpu;
    b[0].conv2d = last_channel;
    b[1].group_norm = wrong_eps;
    b[2].clamp = lost_nan;
    b[3].activate = another_each_time;
    b[4].stats = too_few;
    b[5].attention = scaled_entropy;
    b[6].back_sum_rows = rows_short;
    b[7].optimizer_step = no_average;
    b[8].round = rounds_nothing;
    b[9].geglu = out_of_memory;
    b[10].back_geglu = NULL;
    static const struct {
        const char *only, *said;
    } want[N_OF(b)] = {
        {"conv2d", "conv2d "},
        {"group_norm", "group_norm "},
        {"clamp", "a NaN: y["},
        {"activate", "a second run gives other bits"},
        {"stats", "exponents["},
        {"attention statistics", "entropy["},
        {"add_channels", "d1["},
        {"optimizer_step", "ema["},
        {"affine", "fp16"},
        {"geglu", "no memory for this"},
        {"geglu", "has no gradient of geglu"},
    };

    for (size_t i = 0; i < N_OF(b); i++) {
        ss_selftest_result r = check(&b[i], want[i].only, true);

        if (!r.n_failed || !strstr(r.first, want[i].said))
            fail_msg("mistake %zu: %d failed, first '%s', expected '%s'", i, r.n_failed, r.first,
                     want[i].said);
        ss_selftest_release(&r);
    }
}

/* ---- as a user runs it ---- */

static void test_hashes(void **state)
{
    (void)state;
    expect("selftest --quick --only 'a*' --hashes $D/h --quiet", 0, "hashes written to");
    expect("selftest --quick --only 'a*' --hashes $D/h --quiet", 0, "hashes compared with");
    assert_non_null(strstr(output, ", 0 are not in it"));
    assert_non_null(strstr(output, "are good"));
    expect("selftest --quick --only 'c*' --hashes $D/h --quiet", 0, "\n0 hashes compared with");
    expect("inspect $M >$D/x; sed -i 's/^[0-9a-f]*/0123456789abcdef/' $D/h; "
           "grep -c 0123456789abcdef $D/h",
           0, NULL);
    expect("selftest --quick --only affine --hashes $D/h --quiet", 1, "another hash than in");
    assert_non_null(strstr(output, "FAILED"));
}

static void test_command(void **state)
{
    (void)state;
    expect("selftest --only nothing --quiet", 2, "--only: no operation matches 'nothing'");
    expect("selftest --only '[a' --quiet", 2, "[a");
    expect("selftest extra", 2, "unexpected operand 'extra'");
    expect("selftest --speed fast", 2, "--speed takes real, tiny or none, not 'fast'");
    expect("selftest --device tpu", 2, "no device 'tpu'");
    expect("selftest --quick --only affine --speed tiny --json --quiet", 0, "\"operations\": {");
    assert_non_null(strstr(output, "\"ceilings\": {"));
    assert_non_null(strstr(output, "\"speeds\": {"));
    assert_non_null(strstr(output, "all 20 runs are good"));
    expect("selftest --quick --only affine --speed tiny --quiet", 0, "% of copy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_instructions),
        cmocka_unit_test(test_every_entry_is_reached),
        cmocka_unit_test(test_mistakes_are_found),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_command),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
