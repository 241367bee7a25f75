/* test_engine.c - contexts, modules, hooks, interventions and rounding on a toy network
 *
 * The network: root { a: y = 2x + 1,  b: y = attention(a, a, a) }. Every expected number is
 * computed here by hand.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/results.h"
#include "tests/ss_test.h"

#include <stdio.h>

static const ss_module root = {.path = "", .kind = "Toy", .id = 0, .parent = -1};
static const ss_module a = {.path = "a", .kind = "Affine", .id = 1, .block = true};
static const ss_module b = {.path = "b.inner", .kind = "Attention", .id = 2, .block = true};
static const ss_module *const modules[] = {&root, &a, &b};

enum { N = 2, T = 3, C = 4, ALL = N * T * C };

typedef struct {
    int seen[3][SS_N_PORTS];
    int attention;
    float absmax[3];
    float max_logit;
} watcher;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    (void)m;
    (void)p;
    return true;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self;
    return m == &b;
}

static void take(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s, int n)
{
    watcher *w = self;

    (void)c;
    assert_int_equal(n, N);
    if (p == SS_PORT_OUTPUT)
        w->absmax[m->id] = fmaxf(s[0].absmax, s[1].absmax);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    watcher *w = self;

    w->seen[m->id][p]++;
    ss_ask_stats(c, x, true, m, p, take, w);
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    watcher *w = self;

    (void)c;
    assert_ptr_equal(m, &b);
    assert_int_equal(n, N);
    assert_int_equal(heads, 2);
    assert_int_equal(keys, T);
    w->attention++;
    if (s)
        w->max_logit = s[0].max_logit;
}

static ss_tensor *forward(ss_ctx *c, const ss_tensor *x)
{
    ss_enter(c, &root, x);
    ss_enter(c, &a, x);
    ss_tensor *h = ss_leave(c, &a, ss_affine(c, x, 2, 1));
    ss_enter(c, &b, h);
    ss_set(&h, ss_leave(
                   c, &b,
                   ss_attention(c, h, h, h, NULL, &(ss_attention_opt){.heads = 2, .scale = 0.5f})));
    return ss_leave(c, &root, h);
}

static void input(float *x)
{
    for (int i = 0; i < ALL; i++)
        x[i] = (float)(i % 7) - 2.3f;
}

/* Runs the toy under a setup; y gets its output. */
static void run(const ss_setup *setup, float *y)
{
    float x[ALL];
    ss_ctx *c;
    ss_err e = {0};

    input(x);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, &e),
                     SS_OK);
    if (ss_ctx_setup(c, setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *t = ss_upload(c, ss_shape_of(N, T, C), x), *out = forward(c, t);
    if (ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ss_download(c, out, y, &e), SS_OK);
    ss_release(t);
    ss_release(out);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
}

static ss_setup plain(void)
{
    return (ss_setup){.modules = modules, .n_modules = 3};
}

static void test_watching_changes_nothing(void **state)
{
    (void)state;
    watcher w = {0};
    ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
    ss_setup bare = plain(), watched = plain();
    float y[ALL], z[ALL];

    watched.hooks = &hooks;
    run(&bare, y);
    run(&watched, z);
    assert_memory_equal(y, z, sizeof y);
    for (int m = 0; m < 3; m++) {
        assert_int_equal(w.seen[m][SS_PORT_INPUT], 1);
        assert_int_equal(w.seen[m][SS_PORT_OUTPUT], 1);
        assert_int_equal(w.seen[m][SS_PORT_SKIP], 0);
    }
    assert_int_equal(w.attention, 1);
    assert_true(fabsf(w.absmax[1] - 8.4f) < 1e-6f); /* 2 * 3.7 + 1 */
    assert_true(w.max_logit > 0);
}

static void test_interventions(void **state)
{
    (void)state;
    static const char *const specs[] = {"clamp:0.5@a", "scale:3@a", "zero@a"};
    float x[ALL];

    input(x);
    for (int k = 0; k < 3; k++) {
        watcher w = {0};
        ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
        ss_intervention v;
        ss_setup s = plain();
        float y[ALL];

        assert_int_equal(ss_intervention_parse(specs[k], &v, NULL), SS_OK);
        s.hooks = &hooks;
        s.interventions = &v;
        s.n_interventions = 1;
        run(&s, y);
        static const float want[] = {0.5f, 3 * 8.4f, 0};
        assert_true(fabsf(w.absmax[1] - want[k]) <= 1e-6f * want[k]);
    }
}

static void test_zero_removes_nan(void **state)
{
    (void)state;
    ss_intervention v;
    ss_setup s = plain();
    float x[ALL] = {NAN, INFINITY}, y[ALL];
    ss_ctx *c;
    ss_err e = {0};

    assert_int_equal(ss_intervention_parse("zero@a", &v, NULL), SS_OK);
    s.interventions = &v;
    s.n_interventions = 1;
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e),
                     SS_OK);
    assert_int_equal(ss_ctx_setup(c, &s, &e), SS_OK);
    ss_tensor *t = ss_upload(c, ss_shape_of(N, T, C), x), *out = forward(c, t);
    assert_int_equal(ss_download(c, out, y, &e), SS_OK);
    for (int i = 0; i < ALL; i++)
        assert_true(y[i] == 0);
    ss_release(t);
    ss_release(out);
    ss_ctx_free(c);
}

/* Logits of cosine attention are scale * cos: their largest is the scale, at i = j. */
static void test_cosine_attention(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        float max_logit;
    } cases[] = {{"cosine-attention:3@b*", 3}, {"cosine-attention@b.inner", 1.41421356f}};

    for (int k = 0; k < 2; k++) {
        watcher w = {0};
        ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
        ss_intervention v;
        ss_setup s = plain();
        float y[ALL];

        assert_int_equal(ss_intervention_parse(cases[k].spec, &v, NULL), SS_OK);
        s.hooks = &hooks;
        s.interventions = &v;
        s.n_interventions = 1;
        run(&s, y);
        assert_true(fabsf(w.max_logit - cases[k].max_logit) < 1e-5f);
    }
}

static void test_precision_scopes(void **state)
{
    (void)state;
    ss_format coarse, fine;

    assert_int_equal(ss_format_parse("e4m3-ieee", &coarse, NULL), SS_OK);
    assert_int_equal(ss_format_parse("fp32", &fine, NULL), SS_OK);
    struct ss_precision_rule rule = {.glob = "b*", .format = fine};

    for (int k = 0; k < 2; k++) {
        const ss_round_scope scope = k ? SS_ROUND_BLOCKS : SS_ROUND_HALF;
        watcher w = {0};
        ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
        ss_precision p = {.format = coarse, .scope = scope, .n_rules = 1, .rules = &rule};
        ss_setup s = plain();
        float y[ALL];
        int rounded = 0;

        s.hooks = &hooks;
        s.precision = &p;
        run(&s, y);
        assert_true(w.absmax[1] == ss_format_round(&coarse, w.absmax[1]));
        for (int i = 0; i < ALL; i++) /* b stays fp32, but a model in half takes back halves */
            rounded += y[i] == ss_format_round(&coarse, y[i]);
        if (scope == SS_ROUND_HALF)
            assert_int_equal(rounded, ALL);
        else
            assert_true(rounded < ALL);
    }
}

static void test_setup_errors(void **state)
{
    (void)state;
    ss_ctx *c;
    ss_err e = {0};
    ss_setup s = plain();
    ss_intervention v;

    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = "tpu"}, &c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no device 'tpu' in this build; there is: cpu"));
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e), SS_OK);
    assert_int_equal(ss_intervention_parse("zero@nowhere.*", &v, &e), SS_OK);
    s.interventions = &v;
    s.n_interventions = 1;
    assert_int_equal(ss_ctx_setup(c, &s, &e), SS_USAGE);
    assert_string_equal(e.msg, "intervention: no module matches 'nowhere.*'; `sigmascope inspect` "
                               "lists them");
    static const char *const bad[] = {"",          "zero",        "clamp@a",
                                      "clamp:x@a", "zero:1@a",    "clamp:-1@a",
                                      "grow:2@a",  "scale:nan@a", "scale:1@[a"};
    for (size_t i = 0; i < N_OF(bad); i++)
        assert_int_equal(ss_intervention_parse(bad[i], &v, &e), SS_USAGE);
    ss_ctx_free(c);
}

static void test_errors_stick_and_name_the_module(void **state)
{
    (void)state;
    ss_ctx *c;
    ss_err e = {0};
    float x[ALL] = {0};

    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e), SS_OK);
    ss_tensor *t = ss_upload(c, ss_shape_of(N, T, C), x);
    ss_enter(c, &b, t);
    assert_null(ss_leave(
        c, &b, ss_attention(c, t, t, t, NULL, &(ss_attention_opt){.heads = 3, .scale = 1})));
    assert_null(ss_affine(c, t, 1, 1)); /* the first error stays */
    assert_int_equal(ss_ctx_check(c, &e), SS_SHAPE);
    assert_string_equal(e.msg, "b.inner: attention: queries [2,3,4], keys [2,3,4], values "
                               "[2,3,4] do not fit 3 heads");
    ss_ctx_clear(c);
    ss_tensor *u = ss_affine(c, t, 1, 1);
    assert_non_null(u);
    ss_release(u);
    ss_release(t);
    ss_ctx_free(c);
}

static void test_shapes_only_computes_nothing(void **state)
{
    (void)state;
    watcher w = {0};
    ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
    ss_setup s = plain();
    ss_ctx *c;
    ss_err e = {0};

    assert_int_equal(
        ss_ctx_new(&(ss_ctx_options){.device = test_device(), .shapes_only = true}, &c, &e), SS_OK);
    s.hooks = &hooks;
    assert_int_equal(ss_ctx_setup(c, &s, &e), SS_OK);
    /* far more than any memory: only shapes are made */
    ss_tensor *t = ss_tensor_new(c, ss_shape_of(N, T, (int64_t)1 << 40));
    ss_tensor *y = ss_affine(c, t, 1, 1);
    assert_int_equal(ss_dim(y, 2), (int64_t)1 << 40);
    ss_release(y);
    ss_release(t);
    t = ss_tensor_new(c, ss_shape_of(N, T, C));
    y = forward(c, t);
    assert_int_equal(ss_dim(y, 1), T);
    assert_int_equal(w.attention, 1);
    /* q k^T and p v: 2 products of N * T * T * C multiply-adds */
    assert_int_equal(ss_ctx_usage(c).flops, 4 * N * T * T * C);
    ss_release(y);
    ss_release(t);
    ss_ctx_free(c);
}

/* The toy once, with the k-th allocation failing (0: none). */
static ss_code run_failing(unsigned long k)
{
    float x[ALL];
    watcher w = {0};
    ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
    ss_setup s = plain();
    ss_ctx *c = NULL;
    ss_err e = {0};
    ss_tensor *t = NULL, *y = NULL;

    input(x);
    s.hooks = &hooks;
    ss_mem_fail_at(k);
    ss_code rc = ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e);
    if (rc == SS_OK)
        rc = ss_ctx_setup(c, &s, &e);
    if (rc == SS_OK) {
        t = ss_upload(c, ss_shape_of(N, T, C), x);
        y = t ? forward(c, t) : NULL;
        rc = ss_ctx_finish(c, &e);
    }
    ss_mem_fail_at(0);
    ss_release(t);
    ss_release(y);
    ss_ctx_free(c);
    return rc;
}

/* Each allocation made to fail, one after the other: an error that says so, no crash, no leak.
 * A few may fail without harm, such as a place in a cache. */
static void test_allocation_failures(void **state)
{
    (void)state;
    unsigned long before = ss_mem_calls();
    int failures = 0;

    assert_int_equal(run_failing(0), SS_OK);
    unsigned long calls = ss_mem_calls() - before;
    for (unsigned long k = 1; k <= calls; k++) {
        ss_code rc = run_failing(k);

        assert_true(rc == SS_OK || rc == SS_NOMEM);
        failures += rc == SS_NOMEM;
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watching_changes_nothing),
        cmocka_unit_test(test_interventions),
        cmocka_unit_test(test_zero_removes_nan),
        cmocka_unit_test(test_cosine_attention),
        cmocka_unit_test(test_precision_scopes),
        cmocka_unit_test(test_setup_errors),
        cmocka_unit_test(test_errors_stick_and_name_the_module),
        cmocka_unit_test(test_shapes_only_computes_nothing),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
