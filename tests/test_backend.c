/* test_backend.c - what the engine asks of a backend and promises to it (backend.h), on backends
 * made of the CPU's: one without some entries, one that counts
 */
#include "kernels/context.h"
#include "kernels/internal.h"
#include "kernels/ops.h"
#include "kernels/pool.h"
#include "kernels/tape.h"
#include "tests/ss_test.h"

static ss_ctx *open_on(const ss_backend *be)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new_on(be, &(ss_ctx_options){.threads = 2}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

/* ---- entries that a backend does not have ---- */

static void test_missing_entries_are_named(void **state)
{
    (void)state;
    ss_backend few = ss_backend_cpu;
    float v[4] = {1, 2, 3, 4};
    ss_err e = {0};

    few.name = "few";
    few.geglu = NULL;
    few.back_clamp = NULL;
    assert_true(ss_backend_supports(&ss_backend_cpu, "geglu"));
    assert_true(ss_backend_supports(&few, "affine"));
    assert_false(ss_backend_supports(&few, "geglu"));
    assert_true(ss_backend_supports(&few, "gradient of geglu"));
    assert_false(ss_backend_supports(&few, "gradient of clamp"));
    assert_false(ss_backend_supports(&few, "gradient of nothing"));

    ss_ctx *c = open_on(&few);
    ss_tensor *x = ss_upload(c, ss_shape_of(2, 2), v);

    assert_null(ss_geglu(c, x));
    assert_int_equal(ss_ctx_check(c, &e), SS_UNSUPPORTED);
    assert_string_equal(e.msg, "device few has no geglu; --device cpu has");
    ss_ctx_clear(c);

    ss_tensor_want_gradient(x, true);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_tensor *y = ss_clamp(c, x, 0, 2);
    ss_tape_seed(c, y, y, 1);
    assert_int_equal(ss_tape_backward(c, &e), SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "device few has no gradient of clamp"));
    ss_ctx_clear(c);
    ss_release(y);
    ss_release(x);
    ss_ctx_free(c);
}

static void test_no_gradients_no_tape(void **state)
{
    (void)state;
    ss_backend forward = ss_backend_cpu;
    ss_err e = {0};

    assert_true(ss_backend_has_gradients(&forward));
#define X(name, params, args) forward.back_##name = NULL;
    SS_GRADIENTS(X)
#undef X
    assert_false(ss_backend_has_gradients(&forward));
    ss_ctx *c = open_on(&forward);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_UNSUPPORTED);
    ss_ctx_free(c);
}

/* ---- parameters ---- */

static int forms, closed;

static void form_free(ss_device *d, void *form)
{
    assert_non_null(d);
    assert_int_equal(closed, 0);
    assert_ptr_equal(form, &forms);
    forms--;
}

static ss_code keep_forms(ss_device *d, const ss_linear_args *a, ss_err *e)
{
    for (int use = 0; use < SS_N_PREPARED; use++) {
        forms++;
        ss_prepared_set(d, a->w, (ss_use)use, (ss_prepared){&forms, form_free});
    }
    return ss_backend_cpu.fill(d, a->y, 0, e);
}

static void count_close(ss_device *d)
{
    closed++;
    ss_backend_cpu.close(d);
}

/* Each of both slots holds one form, which goes with the tensor and knows the device. */
static void test_prepared_forms_go_before_the_device(void **state)
{
    (void)state;
    ss_backend keeps = ss_backend_cpu;
    const float v[4] = {1, 2, 3, 4};

    keeps.linear = keep_forms;
    keeps.close = count_close;
    forms = closed = 0;
    ss_ctx *c = open_on(&keeps);
    ss_tensor *x = ss_upload(c, ss_shape_of(2, 2), v), *w = ss_param(c, SS_F32, x->shape, v);

    for (int i = 0; i < 3; i++) {
        ss_release(ss_linear(c, x, w, NULL));
        assert_int_equal(forms, 2);
    }
    ss_release(w);
    assert_int_equal(forms, 0);
    ss_release(x);
    ss_ctx_free(c);
    assert_int_equal(closed, 1);
}

static ss_code adopt_by_copy(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e)
{
    b->bytes = bytes;
    b->borrowed = false;
    ss_code rc = ss_backend_cpu.alloc(d, bytes, &b->data, e);
    return rc == SS_OK ? ss_backend_cpu.upload(d, b->data, host, bytes, e) : rc;
}

/* On a device that copies parameters, too, and where one was given new values. */
static void test_parameters_are_no_activations(void **state)
{
    (void)state;
    ss_backend copies = ss_backend_cpu;
    const float v[4] = {1, 2, 3, 4};
    ss_err e = {0};

    copies.adopt = adopt_by_copy;
    ss_ctx *c = open_on(&copies);
    ss_tensor *w = ss_param(c, SS_F32, ss_shape_of(4), v);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_tensor *x = ss_upload(c, ss_shape_of(4), v), *view = ss_reshape(c, w, ss_shape_of(2, 2));
    assert_int_equal(ss_param_set(c, w, v, &e), SS_OK); /* the view keeps the old values */
    assert_int_equal(ss_ctx_usage(c).live_bytes, 16);
    ss_release(view);
    ss_release(w);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 16);
    ss_release(x);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
}

/* ---- memory ---- */

typedef struct {
    int blocks, limit;
} supply;

static void *get(void *self, size_t bytes)
{
    supply *s = self;

    return s->blocks < s->limit ? s->blocks++, malloc(bytes) : NULL;
}

static void give_back(void *self, void *p)
{
    ((supply *)self)->blocks--;
    free(p);
}

/* Blocks are reused, the latest of equal ones first; what is held is never more than half over the
 * most that was asked for at once. */
static void test_pool(void **state)
{
    (void)state;
    supply s = {0, 100};
    ss_pool pool = {.get = get, .give_back = give_back, .self = &s};
    void *a = ss_pool_alloc(&pool, 1000), *b = ss_pool_alloc(&pool, 1000);

    assert_int_equal(s.blocks, 2);
    ss_pool_free(&pool, a);
    ss_pool_free(&pool, b);
    assert_int_equal(s.blocks, 2);
    assert_ptr_equal(ss_pool_alloc(&pool, 900), b);
    ss_pool_free(&pool, b);
    for (size_t bytes = 100; bytes < 5000; bytes += 300) { /* each of a class of its own */
        ss_pool_free(&pool, ss_pool_alloc(&pool, bytes));
        assert_true(pool.held <= pool.peak + pool.peak / 2);
    }
    ss_pool_release(&pool);
    assert_int_equal(s.blocks, 0);

    s.limit = 1; /* no memory: what is cached goes, and then there is none */
    a = ss_pool_alloc(&pool, 64);
    assert_null(ss_pool_alloc(&pool, 64));
    ss_pool_free(&pool, a);
    ss_pool_release(&pool);
    assert_int_equal(s.blocks, 0);
}

/* ---- alignment: rows of any width, at any offset ---- */

enum { N = 2, ROWS = 5, MOST = 13 };

static float value(int64_t i)
{
    return (float)((i * 37 + 11) % 101) / 16 - 3;
}

static ss_tensor *make(ss_ctx *c, ss_shape s, float *host)
{
    for (int64_t i = 0; i < ss_shape_numel(s); i++)
        host[i] = value(i);
    return ss_upload(c, s, host);
}

/* From the channel `from` on, n of them, of x [N][ROWS][C]: the operations on such a part are those
 * on a whole tensor of its values, in bits. */
static void check_part(ss_ctx *c, int64_t C, int64_t from, int64_t n)
{
    float host[N * ROWS * MOST], part[N * ROWS * MOST], got[N * ROWS * 2 * MOST];
    ss_tensor *x = make(c, ss_shape_of(N, ROWS, C), host);

    for (int64_t r = 0; r < N * ROWS; r++)
        for (int64_t k = 0; k < n; k++)
            part[r * n + k] = host[r * C + from + k];
    ss_tensor *a = ss_slice(c, x, 2, from, from + n);
    assert_int_equal(ss_download(c, a, got, NULL), SS_OK);
    assert_memory_equal(got, part, (size_t)(N * ROWS * n) * sizeof *part);

    ss_tensor *b = ss_concat(c, a, x, 2);
    assert_int_equal(ss_download(c, b, got, NULL), SS_OK);
    for (int64_t r = 0; r < N * ROWS; r++) {
        assert_memory_equal(got + r * (n + C), part + r * n, (size_t)n * sizeof *got);
        assert_memory_equal(got + r * (n + C) + n, host + r * C, (size_t)C * sizeof *got);
    }
    ss_release(a);
    ss_release(b);
    ss_release(x);
}

static double normal(const float *x, int64_t C, int64_t n, int64_t k)
{
    double sum = 0, squares = 0;

    for (int64_t r = 0; r < ROWS; r++)
        sum += x[(n * ROWS + r) * C + k];
    for (int64_t r = 0; r < ROWS; r++)
        squares += pow(x[(n * ROWS + r) * C + k] - sum / ROWS, 2);
    return (x[n * ROWS * C + k] - sum / ROWS) / sqrt(squares / ROWS + 1e-5);
}

static void check_channels(ss_ctx *c, int64_t C)
{
    float host[N * ROWS * MOST], e[N * 2 * MOST], got[N * ROWS * MOST], absmax[N * MOST],
        rms[N * MOST];
    ss_tensor *x = make(c, ss_shape_of(N, ROWS, C), host), *add = make(c, ss_shape_of(N, C), e);
    ss_tensor *y = ss_add_channels(c, x, add);

    assert_int_equal(ss_download(c, y, got, NULL), SS_OK);
    for (int64_t i = 0; i < N * ROWS * C; i++)
        assert_true(got[i] == host[i] + e[i / (ROWS * C) * C + i % C]);
    ss_set(&y, ss_modulate(c, x, add));
    assert_int_equal(ss_download(c, y, got, NULL), SS_OK);
    for (int64_t i = 0; i < N * ROWS * C; i++)
        assert_true(fabsf(got[i] - host[i] * (1 + e[i / (ROWS * C) * C + i % C])) < 1e-5f);
    ss_set(&y, ss_group_norm(c, x, NULL, NULL, NULL, (int)C, 1e-5f, SS_ACT_NONE, NULL));
    assert_int_equal(ss_download(c, y, got, NULL), SS_OK);
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < C; k++)
            assert_true(fabs(got[n * ROWS * C + k] - normal(host, C, n, k)) < 1e-5);
    assert_int_equal(ss_channel_stats(c, x, absmax, rms, NULL), SS_OK);
    for (int64_t n = 0; n < N; n++) {
        const ss_stats *s = ss_tensor_stats(c, x, true);
        float most = 0;

        for (int64_t k = 0; k < C; k++)
            most = fmaxf(most, absmax[n * C + k]);
        assert_true(s[n].absmax == most && s[n].count == (uint64_t)(ROWS * C));
    }
    for (int64_t n = 0; n < N; n++) { /* a sample begins anywhere */
        assert_int_equal(ss_download_sample(c, x, n, got, NULL), SS_OK);
        assert_memory_equal(got, host + n * ROWS * C, (size_t)(ROWS * C) * sizeof *got);
    }
    ss_release(y);
    ss_release(add);
    ss_release(x);
}

static void test_odd_rows(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 3, 7, 13};
    ss_ctx *c = open_on(&ss_backend_cpu);

    for (size_t i = 0; i < N_OF(widths); i++) {
        const int64_t C = widths[i];

        check_channels(c, C);
        for (int64_t from = 0; from < C; from++)
            for (int64_t n = 1; n <= C - from; n++)
                check_part(c, C, from, n);
    }
    assert_int_equal(ss_ctx_check(c, NULL), SS_OK);
    ss_ctx_free(c);
}

static void test_full(void **state)
{
    (void)state;
    ss_ctx *c = open_on(&ss_backend_cpu);
    ss_tensor *x = ss_full(c, ss_shape_of(3, 7), -2.5f);
    float v[21];

    assert_int_equal(ss_download(c, x, v, NULL), SS_OK);
    for (int i = 0; i < 21; i++)
        assert_true(v[i] == -2.5f);
    ss_release(x);
    ss_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_entries_are_named),
        cmocka_unit_test(test_no_gradients_no_tape),
        cmocka_unit_test(test_prepared_forms_go_before_the_device),
        cmocka_unit_test(test_parameters_are_no_activations),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_odd_rows),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
