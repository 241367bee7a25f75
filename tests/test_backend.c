/* test_backend.c - what the engine asks of a backend and promises to it (backend.h), on backends
 * made of the CPU's: one without some entries, one that counts
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/internal.h"
#include "kernels/ops.h"
#include "kernels/pool.h"
#include "kernels/results.h"
#include "kernels/tape.h"
#include "tests/ss_test.h"

#include <stdio.h>

static ss_ctx *open_on(const ss_backend *be)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new_on(be, 0, &(ss_ctx_options){.threads = 2}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

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

/* ---- which device ---- */

static void test_devices_by_name(void **state)
{
    (void)state;
    static const ss_backend many = {.name = "many", .numbered = true};
    const ss_backend *const list[] = {&ss_backend_cpu, &many}, *b;
    static const struct {
        const char *device, *error;
        const ss_backend *b;
        int number;
    } cases[] = {
        {"cpu", NULL, &ss_backend_cpu, 0},
        {"many", NULL, &many, 0},
        {"many:7", NULL, &many, 7},
        {"cpu:0", "device 'cpu:0': there is one cpu, without a number", NULL, 0},
        {"many:", "device 'many:': expected a number, 0 or more, after the colon", NULL, 0},
        {"many:-1", "device 'many:-1': expected a number, 0 or more, after the colon", NULL, 0},
        {"many:x", "device 'many:x': expected a number, 0 or more, after the colon", NULL, 0},
        {"man", "no device 'man' in this build; there is: cpu, many[:N]", NULL, 0},
        {"", "no device '' in this build; there is: cpu, many[:N]", NULL, 0},
    };
    char names[16];
    ss_err e;
    int number;

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_code rc = ss_backend_find(list, 2, cases[i].device, &b, &number, &e);

        assert_int_equal(rc, cases[i].error ? SS_USAGE : SS_OK);
        if (cases[i].error) {
            assert_string_equal(e.msg, cases[i].error);
        } else {
            assert_ptr_equal(b, cases[i].b);
            assert_int_equal(number, cases[i].number);
        }
    }
    assert_string_equal(ss_backend_names(list, 2, names, sizeof names), "cpu, many[:N]");
    assert_string_equal(ss_backend_names(list, 2, names, 6), "cpu, "); /* no room */
}

static ss_arithmetic asked;

static ss_code open_and_note(int number, const ss_ctx_options *opt, ss_device **d, ss_err *e)
{
    asked = opt->arithmetic;
    return ss_backend_cpu.open(number, &(ss_ctx_options){.threads = opt->threads}, d, e);
}

/* A backend gets the arithmetic that was asked for; the CPU has no tensor cores. */
static void test_arithmetics(void **state)
{
    (void)state;
    ss_backend be = ss_backend_cpu;
    ss_arithmetic a;
    ss_ctx *c;
    ss_err e = {0};

    be.open = open_and_note;
    for (int i = SS_ARITHMETIC_AUTO; i <= SS_ARITHMETIC_TENSOR; i++) {
        const char *name = ss_arithmetic_name((ss_arithmetic)i);
        ss_ctx_options opt = {.threads = 1};

        assert_int_equal(ss_arithmetic_parse(name, &opt.arithmetic, &e), SS_OK);
        assert_int_equal(ss_ctx_new_on(&be, 0, &opt, &c, &e), SS_OK);
        assert_int_equal(asked, i);
        ss_ctx_free(c);
    }
    assert_int_equal(ss_arithmetic_parse(NULL, &a, &e), SS_OK);
    assert_int_equal(a, SS_ARITHMETIC_AUTO);
    assert_int_equal(ss_arithmetic_parse("tf32", &a, &e), SS_USAGE);
    assert_string_equal(e.msg, "--arithmetic 'tf32': known are auto, f32, tensor");

    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.arithmetic = SS_ARITHMETIC_TENSOR}, &c, &e),
                     SS_USAGE);
    assert_string_equal(e.msg, "--arithmetic tensor: device cpu has no tensor cores; --device cuda "
                               "has; --precision tf32 emulates what they round");
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.arithmetic = SS_ARITHMETIC_F32}, &c, &e), SS_OK);
    assert_non_null(strstr(ss_ctx_device_text(c), ", arithmetic f32"));
    assert_null(strstr(ss_ctx_device_text(c), "with bf16"));
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

    pool.exact = true; /* each block of its size, and gone at once */
    a = ss_pool_alloc(&pool, 1001);
    assert_int_equal(pool.held, 1001);
    ss_pool_free(&pool, a);
    assert_int_equal(s.blocks + (int)pool.held, 0);
    ss_pool_release(&pool);
}

/* ---- results that come late ----
 *
 * A device that writes results into host memory only when it has finished; before, there are NaN.
 */

typedef struct {
    void *to, *values;
    size_t bytes;
} late_write;

static late_write late[64];
static int n_late;
static bool late_fails;

/* The results are taken away and come back with late_finish. */
static ss_code keep(ss_code rc, void *results, size_t bytes)
{
    late[n_late] = (late_write){results, malloc(bytes), bytes};
    memcpy(late[n_late++].values, results, bytes);
    memset(results, 0xff, bytes);
    return rc;
}

static ss_code late_stats(ss_device *d, const ss_tensor *x, bool exponents, ss_stats *out,
                          ss_err *e)
{
    return keep(ss_backend_cpu.stats(d, x, exponents, out, e), out,
                (size_t)x->shape.dim[0] * sizeof *out);
}

static ss_code late_channel_stats(ss_device *d, const ss_tensor *x, float *absmax, float *rms,
                                  ss_err *e)
{
    const size_t bytes =
        (size_t)(x->shape.dim[0] * x->shape.dim[x->shape.rank - 1]) * sizeof *absmax;
    ss_code rc = ss_backend_cpu.channel_stats(d, x, absmax, rms, e);

    return keep(keep(rc, absmax, bytes), rms, bytes);
}

static ss_code late_modulated_stats(ss_device *d, const ss_tensor *y, const ss_tensor *mod,
                                    ss_stats *scaled, ss_stats *shifted, ss_err *e)
{
    const size_t bytes = (size_t)y->shape.dim[0] * sizeof *scaled;
    ss_code rc = ss_backend_cpu.modulated_stats(d, y, mod, scaled, shifted, e);

    return keep(keep(rc, scaled, bytes), shifted, bytes);
}

static ss_code late_attention(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    const size_t n = (size_t)(a->n * a->heads);
    ss_code rc = ss_backend_cpu.attention(d, a, e);

    return a->stats
               ? keep(keep(rc, a->stats, n * sizeof *a->stats), a->logits, n * sizeof *a->logits)
               : rc;
}

static ss_code late_download(ss_device *d, const ss_tensor *x, float *host, ss_err *e)
{
    return keep(ss_backend_cpu.download(d, x, host, e), host,
                (size_t)ss_shape_numel(x->shape) * sizeof *host);
}

static ss_code late_finish(ss_device *d, ss_err *e)
{
    (void)d;
    for (int i = 0; i < n_late; i++) {
        memcpy(late[i].to, late[i].values, late[i].bytes);
        free(late[i].values);
    }
    n_late = 0;
    return late_fails ? ss_fail(e, SS_DEVICE, "an illegal address") : SS_OK;
}

static ss_backend late_backend(void)
{
    ss_backend b = ss_backend_cpu;

    b.name = "late";
    b.stats = late_stats;
    b.channel_stats = late_channel_stats;
    b.modulated_stats = late_modulated_stats;
    b.attention = late_attention;
    b.download = late_download;
    b.finish = late_finish;
    late_fails = false;
    return b;
}

static const ss_module net = {.path = "", .id = 0, .parent = -1};
static const ss_module attention = {.path = "attention", .id = 1, .parent = 0};
static const ss_module logits = {
    .path = "attention.logits", .id = 2, .parent = 1, .inner = SS_INNER_LOGITS};
static const ss_module scaled = {
    .path = "norm_scaled", .id = 3, .parent = 0, .inner = SS_INNER_MODULATED};
static const ss_module shifted = {
    .path = "norm_shifted", .id = 4, .parent = 0, .inner = SS_INNER_MODULATED};

/* Deliveries: a line each, "stats PATH PORT", and the numbers. */
typedef struct {
    char lines[2048];
    double sum;
    ss_code fail; /* recorded by the first that takes */
} delivered;

static void note(delivered *d, ss_ctx *c, const char *what, const ss_module *m, ss_port p, double x)
{
    const size_t at = strlen(d->lines);

    snprintf(d->lines + at, sizeof d->lines - at, "%s %s %s\n", what, *m->path ? m->path : "net",
             ss_port_name(p));
    d->sum += x * (double)(1 + at); /* depends on the order */
    if (d->fail != SS_OK)
        ss_ctx_fail(c, d->fail, "the disk is full");
}

static void note_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                       int n)
{
    note(self, c, "stats", m, p, s[n - 1].absmax + (double)s->count);
}

static void note_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                          const float *rms, int n, int64_t width)
{
    note(self, c, "channels", m, p, absmax[n * width - 1] + rms[0]);
}

static void note_sample(void *self, ss_ctx *c, const ss_module *m, ss_port p, int k,
                        const float *values, int64_t n)
{
    note(self, c, "sample", m, p, values[n - 1] + (double)k);
}

static void note_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                           int n, int heads, int64_t keys)
{
    note(self, c, "attention", m, SS_PORT_OUTPUT, s[n * heads - 1].entropy + (double)keys);
}

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m, (void)p;
    return true;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self;
    return m == &attention;
}

static void ask_all(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    ss_ask_stats(c, x, p == SS_PORT_OUTPUT, m, p, note_stats, self);
    if (p == SS_PORT_OUTPUT)
        ss_ask_channels(c, x, m, p, note_channels, self);
    if (p == SS_PORT_OUTPUT && m == &net)
        for (int k = 0; k < 2; k++)
            ss_ask_sample(c, x, k, m, p, note_sample, self);
}

static void run_network(ss_ctx *c)
{
    float host[2 * 6 * 4], both[2 * 8];
    ss_tensor *x = make(c, ss_shape_of(2, 6, 4), host), *mod = make(c, ss_shape_of(2, 8), both);

    ss_enter(c, &net, x);
    assert_true(ss_see_modulated(c, &scaled, &shifted, x, mod));
    ss_enter(c, &attention, x);
    ss_tensor *y =
        ss_leave(c, &attention,
                 ss_attention(c, x, x, x, NULL,
                              &(ss_attention_opt){.heads = 2, .scale = 1, .logits = &logits}));
    ss_release(x);
    ss_release(mod);
    ss_release(ss_leave(c, &net, y));
}

static ss_ctx *open_watched(const ss_backend *be, delivered *d)
{
    static const ss_module *const modules[] = {&net, &attention, &logits, &scaled, &shifted};
    const ss_hooks hooks = {d, wants, wants_attention, ask_all, note_attention, note_stats};
    ss_ctx *c = open_on(be);

    *d = (delivered){.fail = SS_OK};
    assert_int_equal(
        ss_ctx_setup(c, &(ss_setup){modules, N_OF(modules), &hooks, NULL, NULL, 0}, NULL), SS_OK);
    return c;
}

/* All kinds of results, in the order asked, after the tensors have gone; the CPU gives the same. */
static void test_results_come_in_order(void **state)
{
    (void)state;
    static const char want[] = "stats net input\n"
                               "stats norm_scaled output\n"
                               "stats norm_shifted output\n"
                               "stats attention input\n"
                               "attention attention output\n"
                               "stats attention.logits output\n"
                               "stats attention output\n"
                               "channels attention output\n"
                               "stats net output\n"
                               "channels net output\n"
                               "sample net output\n"
                               "sample net output\n";
    const ss_backend slow = late_backend();
    delivered d[2];

    for (int i = 0; i < 2; i++) {
        ss_ctx *c = open_watched(i ? &slow : &ss_backend_cpu, &d[i]);

        run_network(c);
        assert_string_equal(d[i].lines, "");
        assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
        assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
        assert_string_equal(d[i].lines, want);
        assert_int_equal(ss_ctx_finish(c, NULL), SS_OK); /* nothing comes twice */
        assert_string_equal(d[i].lines, want);
        ss_ctx_free(c);
    }
    assert_true(isfinite(d[0].sum) && d[0].sum == d[1].sum);
}

/* Where a modulated value is large, or is none, statistics are those of the values made. */
static void test_large_modulated_values(void **state)
{
    (void)state;
    static const float factors[] = {1e4f, 3e38f, NAN};
    float host[2 * 6 * 4], both[2 * 8];
    delivered d;

    for (size_t i = 0; i < N_OF(factors); i++) {
        ss_ctx *c = open_watched(&ss_backend_cpu, &d);
        ss_stats got[4];
        ss_err e = {0};
        ss_tensor *x = make(c, ss_shape_of(2, 6, 4), host);

        ss_release(make(c, ss_shape_of(2, 8), both));
        both[9] = factors[i];
        ss_tensor *mod = ss_upload(c, ss_shape_of(2, 8), both);
        ss_tensor *scale = ss_slice(c, mod, 1, 0, 4), *shift = ss_slice(c, mod, 1, 4, 8);
        ss_tensor *once = ss_modulate(c, x, scale), *twice = ss_add_channels(c, once, shift);

        assert_int_equal(ss_ctx_check(c, &e), SS_OK);
        assert_int_equal(c->be->modulated_stats(c->dev, x, mod, got, got + 2, &e), SS_OK);
        assert_memory_equal(got, ss_tensor_stats(c, once, true), 2 * sizeof *got);
        assert_memory_equal(got + 2, ss_tensor_stats(c, twice, true), 2 * sizeof *got);
        ss_release(x);
        ss_release(mod);
        ss_release(scale);
        ss_release(shift);
        ss_release(once);
        ss_release(twice);
        ss_ctx_free(c);
    }
}

/* A late error comes out of finish, which says how to find its place; nothing is delivered. */
static void test_late_errors(void **state)
{
    (void)state;
    const ss_backend slow = late_backend();
    delivered d;
    ss_err e = {0};
    ss_ctx *c = open_watched(&slow, &d);

    run_network(c);
    late_fails = true;
    assert_int_equal(ss_ctx_finish(c, &e), SS_DEVICE);
    assert_string_equal(e.msg, "an illegal address (found when results were waited for; "
                               "SIGMASCOPE_SYNC=1 finds the module)");
    assert_string_equal(d.lines, "");
    assert_int_equal(ss_ctx_finish(c, &e), SS_DEVICE); /* it stays */
    ss_ctx_clear(c);
    late_fails = false;
    assert_int_equal(ss_ctx_finish(c, &e), SS_OK);
    ss_ctx_free(c);

    assert_int_equal(setenv("SIGMASCOPE_SYNC", "1", 1), 0);
    c = open_watched(&slow, &d);
    unsetenv("SIGMASCOPE_SYNC");
    late_fails = true;
    float host[4 * 4];
    ss_tensor *x = make(c, ss_shape_of(4, 4), host);
    ss_enter(c, &attention, NULL);
    assert_null(ss_affine(c, x, 1, 1));
    assert_int_equal(ss_ctx_check(c, &e), SS_DEVICE);
    assert_string_equal(e.msg, "attention: an illegal address");
    late_fails = false;
    ss_release(x);
    ss_ctx_free(c);
}

/* One that takes a result and fails ends the delivery; clear drops what waits, after the device has
 * written it (a sanitizer would tell). */
static void test_undelivered_results_go(void **state)
{
    (void)state;
    const ss_backend slow = late_backend();
    delivered d;
    ss_err e = {0};
    ss_ctx *c = open_watched(&slow, &d);

    run_network(c);
    d.fail = SS_IO;
    assert_int_equal(ss_ctx_finish(c, &e), SS_IO);
    assert_string_equal(e.msg, "the disk is full");
    assert_string_equal(d.lines, "stats net input\n");
    ss_ctx_clear(c);
    run_network(c);
    ss_ctx_clear(c);
    assert_string_equal(d.lines, "stats net input\n");
    assert_int_equal(n_late, 0);
    run_network(c);
    ss_ctx_free(c);
    assert_int_equal(n_late, 0);
}

/* Where memory ends while results are asked for, what is asked for already has a place until the
 * device has written it (a sanitizer would tell). */
static void test_late_results_without_memory(void **state)
{
    (void)state;
    const ss_backend slow = late_backend();
    bool failed = true;

    for (unsigned long k = 1; failed; k++) {
        delivered d;
        ss_ctx *c = open_watched(&slow, &d);

        ss_mem_fail_at(k);
        run_network(c);
        ss_mem_fail_at(0);
        failed = ss_ctx_finish(c, NULL) != SS_OK;
        ss_ctx_clear(c);
        assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
        assert_int_equal(n_late, 0);
        ss_ctx_free(c);
    }
}

/* More than SS_RESULT_BYTES do not wait: an asker delivers what came before. */
static void test_results_are_bounded(void **state)
{
    (void)state;
    const int64_t values = SS_RESULT_BYTES / 3 / (int64_t)sizeof(float);
    const ss_backend slow = late_backend();
    delivered d;
    ss_ctx *c = open_watched(&slow, &d);
    ss_tensor *x = ss_full(c, ss_shape_of(4, values), 1);

    for (int k = 0; k < 4; k++)
        ss_ask_sample(c, x, k, &attention, SS_PORT_OUTPUT, note_sample, &d);
    assert_string_equal(d.lines, "sample attention output\nsample attention output\n");
    ss_release(x);
    assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
    assert_int_equal(strlen(d.lines), 4 * strlen("sample attention output\n"));
    ss_ctx_free(c);
}

/* ---- alignment: rows of any width, at any offset ---- */

enum { N = 2, ROWS = 5, MOST = 13 };

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

typedef struct {
    float *absmax, *rms;
} channels;

static void take_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                          const float *rms, int n, int64_t width)
{
    const channels *to = self;

    (void)c, (void)m, (void)p;
    memcpy(to->absmax, absmax, (size_t)(n * width) * sizeof *absmax);
    memcpy(to->rms, rms, (size_t)(n * width) * sizeof *rms);
}

static void take_sample(void *self, ss_ctx *c, const ss_module *m, ss_port p, int k,
                        const float *values, int64_t n)
{
    (void)c, (void)m, (void)p, (void)k;
    memcpy(self, values, (size_t)n * sizeof *values);
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
    channels to = {absmax, rms};
    ss_ask_channels(c, x, NULL, SS_PORT_OUTPUT, take_channels, &to);
    assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
    for (int64_t n = 0; n < N; n++) {
        const ss_stats *s = ss_tensor_stats(c, x, true);
        float most = 0;

        for (int64_t k = 0; k < C; k++)
            most = fmaxf(most, absmax[n * C + k]);
        assert_true(s[n].absmax == most && s[n].count == (uint64_t)(ROWS * C));
    }
    for (int64_t n = 0; n < N; n++) { /* a sample begins anywhere */
        ss_ask_sample(c, x, (int)n, NULL, SS_PORT_OUTPUT, take_sample, got);
        assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
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
        cmocka_unit_test(test_devices_by_name),
        cmocka_unit_test(test_arithmetics),
        cmocka_unit_test(test_prepared_forms_go_before_the_device),
        cmocka_unit_test(test_parameters_are_no_activations),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_results_come_in_order),
        cmocka_unit_test(test_large_modulated_values),
        cmocka_unit_test(test_late_errors),
        cmocka_unit_test(test_undelivered_results_go),
        cmocka_unit_test(test_late_results_without_memory),
        cmocka_unit_test(test_results_are_bounded),
        cmocka_unit_test(test_odd_rows),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
