/* test_text_encoders.c - text encoders against transformers, module by module
 *
 * Golden data: tests/golden/texts/CASE, written by make_texts.py, which says what is in it. Every
 * case directory is run; make_texts.py --full makes networks of published sizes, in a folder that
 * SIGMASCOPE_TEXTS then names. Tolerances are relative to each module's own RMS; the worst seen is
 * printed. Worst of the small ones 8.7e-7.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "models/text/t5.h"
#include "tests/ss_tmp.h"
#include "tests/text_case.h"

enum { SAMPLES = 64, MAX_MODULES = 2048 };
static const double tolerance = 1e-5;

static ss_ctx *new_context(bool shapes_only)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(
            &(ss_ctx_options){.device = test_device(), .threads = 2, .shapes_only = shapes_only},
            &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

/* ---- against transformers ---- */

typedef struct {
    const ss_safetensors *file;
    const char *name;
    double worst_module, worst_norm;
    char worst_path[256];
    bool seen[MAX_MODULES];
    int residuals, rows_wrong;
    int64_t prompts, tokens;
} watcher;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)p;
    return !m->inner;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return false;
}

/* The output at the sampled places, and its norm, against the golden's. */
static void compare_module(watcher *w, const ss_module *m, const float *y, int64_t n)
{
    char name[300];
    const ss_stored_tensor *t;
    double diff = 0, sum = 0;

    snprintf(name, sizeof name, "module:%s", m->path);
    float *want = golden(w->file, name, &t);
    if (!want)
        fail_msg("%s: transformers has no module %s", w->name, m->path);
    snprintf(name, sizeof name, "norm:%s", m->path);
    float *norm = golden(w->file, name, NULL);
    assert_non_null(norm);
    if ((int64_t)norm[1] != n)
        fail_msg("%s: %s has %lld values, golden %g", w->name, m->path, (long long)n, norm[1]);

    const int64_t k = n > SAMPLES ? SAMPLES : n;
    assert_int_equal(t->dim[0], k);
    for (int64_t i = 0; i < k; i++) {
        double d = (double)y[n > SAMPLES ? i * n / SAMPLES : i] - want[i];
        diff += d * d;
    }
    for (int64_t i = 0; i < n; i++)
        sum += (double)y[i] * y[i];
    const double error = sqrt(diff / (double)k) / (norm[0] / sqrt((double)n));
    const double norm_error = fabs(sqrt(sum) - norm[0]) / norm[0];
    if (!(error <= w->worst_module)) {
        w->worst_module = error;
        snprintf(w->worst_path, sizeof w->worst_path, "%s", m->path);
    }
    if (!(norm_error <= w->worst_norm))
        w->worst_norm = norm_error;
    ss_free(want);
    ss_free(norm);
}

/* Rows are tokens: of all prompts, or of one where they share a value. */
static bool has_rows_of_tokens(const watcher *w, int64_t rows)
{
    return rows == w->prompts * w->tokens || rows == w->tokens || rows == w->prompts;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    watcher *w = self;
    const int64_t n = ss_shape_numel(ss_shape_get(x));

    assert_non_null(ss_tensor_stats(c, x, true));
    w->residuals += p == SS_PORT_RESIDUAL;
    if (!has_rows_of_tokens(w, ss_dim(x, 0)))
        fail_msg("%s: %s has %lld rows", w->name, m->path, (long long)ss_dim(x, 0));
    if (p != SS_PORT_OUTPUT || !*m->path)
        return;
    float *y = ss_alloc((size_t)n, sizeof *y);
    assert_non_null(y);
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    compare_module(w, m, y, n);
    ss_free(y);
    assert_true(m->id < MAX_MODULES);
    w->seen[m->id] = true;
}

/* Every module of the golden is there and was seen, and no other. */
static void check_paths(const watcher *w, const ss_model *m)
{
    int n, golden_modules = 0, n_seen = 0;
    const ss_module *const *modules = ss_model_modules(m, &n);

    for (size_t i = 0; i < ss_safetensors_count(w->file); i++)
        golden_modules += strncmp(ss_safetensors_at(w->file, i)->name, "module:", 7) == 0;
    for (int i = 0; i < n; i++) {
        assert_int_equal(modules[i]->id, i);
        assert_true(modules[i]->parent < i);
        if (modules[i]->inner || !*modules[i]->path)
            continue;
        n_seen += w->seen[i];
        if (!w->seen[i])
            fail_msg("%s: module %s never ran", w->name, modules[i]->path);
    }
    assert_int_equal(n_seen, golden_modules);
}

/* Compares what an encoder gives with the golden tensor NAME; both may be absent. */
static double compare_state(ss_ctx *c, const text_case *s, const char *name, const ss_tensor *got)
{
    const ss_stored_tensor *t;
    float *want = golden(s->file, name, &t);

    assert_true((got != NULL) == (want != NULL));
    if (!got)
        return 0;
    const int64_t n = ss_shape_numel(ss_shape_get(got));
    float *y = ss_alloc((size_t)n, sizeof *y);

    assert_int_equal(ss_shape_get(got).rank, t->rank);
    for (int i = 0; i < t->rank; i++)
        assert_int_equal(ss_dim(got, i), t->dim[i]);
    assert_int_equal(ss_download(c, got, y, NULL), SS_OK);
    const double error = relative_l2(y, want, n);
    ss_free(y);
    ss_free(want);
    return error;
}

static double compare_states(ss_ctx *c, const text_case *s, const ss_text_states *y)
{
    const double errors[] = {
        compare_state(c, s, "last", y->last), compare_state(c, s, "penultimate", y->penultimate),
        compare_state(c, s, "pooled", y->pooled), compare_state(c, s, "projected", y->projected)};
    double worst = 0;

    for (size_t i = 0; i < N_OF(errors); i++)
        worst = errors[i] <= worst ? worst : errors[i];
    return worst;
}

static void check_case(const char *name, const char *dir)
{
    text_case s;
    ss_ctx *c = new_context(false);
    ss_model *m = open_text(dir, c);
    ss_text_states quiet, watched;
    ss_err e = {0};

    load_text_case(dir, &s);
    if (!ss_model_embed(c, m, &s.tokens, &quiet) || ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s: %s", name, (ss_ctx_check(c, &e), e.msg));
    const double error = compare_states(c, &s, &quiet);
    watcher w = {.file = s.file, .name = name, .prompts = s.tokens.n, .tokens = s.tokens.tokens};
    const ss_hooks hooks = {&w, wants, wants_attention, see, NULL, NULL};
    ss_setup setup = {.hooks = &hooks};
    setup.modules = ss_model_modules(m, &setup.n_modules);
    assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
    assert_true(ss_model_embed(c, m, &s.tokens, &watched));
    assert_int_equal(ss_ctx_finish(c, &e), SS_OK);

    print_message("%-22s states %.1e, worst module %.1e (%s), norm %.1e\n", name, error,
                  w.worst_module, w.worst_path, w.worst_norm);
    assert_true(error <= tolerance);
    assert_true(w.worst_module <= tolerance);
    assert_true(w.worst_norm <= tolerance);
    check_paths(&w, m);
    same_states(c, &quiet, &watched); /* watching changed nothing, bit for bit */
    ss_text_states_release(&quiet);
    ss_text_states_release(&watched);
    release_text_case(&s);
    ss_model_close(m);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
}

static void test_matches_transformers(void **state)
{
    (void)state;
    each_text_case(check_case);
}

static void check_shapes(const char *name, const char *dir)
{
    text_case s;
    ss_ctx *c = new_context(true);
    ss_model *m = open_text(dir, c);
    ss_text_states y;
    ss_err e = {0};

    load_text_case(dir, &s);
    ss_model_embed(c, m, &s.tokens, &y);
    if (ss_ctx_check(c, &e) != SS_OK)
        fail_msg("%s: %s", name, e.msg);
    const ss_text_info *about = &ss_model_about(m)->net.text;
    assert_true(ss_shape_equal(ss_shape_get(y.last),
                               ss_shape_of(s.tokens.n, s.tokens.tokens, about->width)));
    assert_true(about->pooled == (y.pooled != NULL));
    assert_int_equal(about->projected, ss_dim(y.projected, 1));
    assert_true(ss_ctx_usage(c).flops > 0);
    ss_text_states_release(&y);
    release_text_case(&s);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_infers_shapes(void **state)
{
    (void)state;
    each_text_case(check_shapes);
}

/* Padding changes nothing of the tokens before it, and prompts nothing of each other. */
static void test_padding(void **state)
{
    (void)state;
    static const char *const cases[] = {"clip-mask", "t5-gated-mask", "umt5"};

    for (size_t k = 0; k < N_OF(cases); k++) {
        static const int64_t both[] = {5, 9, 7, 59, 59, 59, 11, 12, 13, 14, 15, 59};
        static const float mask[] = {1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1};
        const ss_text_tokens padded = {both, mask, 2, 6}, alone = {both, NULL, 1, 4};
        char dir[512];
        ss_ctx *c = new_context(false);
        ss_text_states a, b;

        snprintf(dir, sizeof dir, TEXTS "/%s", cases[k]);
        ss_model *m = open_text(dir, c);
        assert_true(ss_model_embed(c, m, &padded, &a) && ss_model_embed(c, m, &alone, &b));
        const int64_t width = ss_dim(a.last, 2);
        float *x = download(c, a.last), *y = download(c, b.last);
        assert_true(relative_l2(x, y, 4 * width) < 1e-6);
        ss_free(x);
        ss_free(y);
        ss_text_states_release(&a);
        ss_text_states_release(&b);
        ss_model_close(m);
        ss_ctx_free(c);
    }
}

/* ---- positions ---- */

static void test_buckets(void **state)
{
    (void)state;
    static const int sizes[][2] = {{32, 128}, {8, 20}, {32, 100}, {64, 256}, {4, 3}};
    ss_safetensors *f;
    ss_err e = {0};

    if (ss_safetensors_open(TEXTS "/buckets.safetensors", &f, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t k = 0; k < N_OF(sizes); k++) {
        char name[40];
        const ss_stored_tensor *t;

        snprintf(name, sizeof name, "b%d_%d", sizes[k][0], sizes[k][1]);
        float *want = golden(f, name, &t);
        assert_non_null(want);
        assert_int_equal(t->dim[0], 601);
        for (int64_t i = 0; i < 601; i++)
            assert_int_equal(ss_t5_bucket(i - 300, sizes[k][0], sizes[k][1]), (int64_t)want[i]);
        ss_free(want);
    }
    ss_safetensors_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_transformers),
        cmocka_unit_test(test_infers_shapes),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_buckets),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
