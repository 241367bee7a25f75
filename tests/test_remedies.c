/* test_remedies.c - networks with remedies (models/net/remedies.h): against PyTorch, untrained,
 * refused
 *
 * Golden data: tests/golden/remedies/CASE, written in float64 by make_remedies.py, which says what
 * is in it, and make_magnitude.py. Answers and every parameter's gradient are held against it by
 * relative L2 error; a gradient below 1e-7 of the network's whole (a key's bias moves all logits
 * alike) only has to be as small.
 */
#include "base/rng.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/step.h"
#include "kernels/tape.h"
#include "models/inventory.h"
#include "models/net/magnitude.h"
#include "tests/unet_case.h"

#include <dirent.h>

#define REMEDIES "tests/golden/remedies"
static const double answer_tolerance = 1e-5, gradient_tolerance = 1e-4;

static ss_ctx *new_context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static ss_model *open_bound(const char *dir, ss_ctx *c)
{
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(dir, NULL, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

static double norm(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* |got - want| / |want| */
static double distance(const float *got, const float *want, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    return sqrt(sum) / norm(want, n);
}

/* The answer, of a pass with gradients of the golden loss. */
static float *step(ss_ctx *c, ss_model *m, const sample *s, bool recompute)
{
    const int64_t n = ss_shape_numel(s->out_shape);
    const ss_stored_tensor *t;
    float *y = ss_alloc((size_t)n, sizeof *y), *target = golden(s->file, "target", &t);
    ss_err e = {0};
    int count;

    ss_weight *const *w = ss_model_weights(m, &count);
    for (int i = 0; i < count; i++)
        ss_tensor_want_gradient(w[i]->tensor, true);
    target = to_channels_last(target, t);
    for (int64_t i = 0; i < n; i++)
        target[i] *= -1;
    ss_tensor *x = ss_upload(c, s->x_shape, s->x), *minus = ss_upload(c, s->out_shape, target);

    assert_int_equal(ss_tape_begin(c, &(ss_tape_options){.recompute = recompute}, &e), SS_OK);
    ss_tensor *answer = ss_model_forward(c, m, x, s->t, &s->cond);
    ss_tensor *difference = ss_add(c, answer, minus, 1);
    ss_tape_seed(c, difference, difference, 2 / (float)n);
    if (ss_download(c, answer, y, &e) != SS_OK || ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(answer);
    ss_release(minus);
    ss_release(difference);
    ss_release(x);
    ss_free(target);
    return y;
}

static float *gradient(ss_ctx *c, const ss_weight *w)
{
    float *g = ss_alloc((size_t)ss_shape_numel(w->shape), sizeof *g);

    assert_int_equal(ss_download(c, ss_tensor_gradient(w->tensor), g, NULL), SS_OK);
    return g;
}

static float *golden_gradient(const sample *s, const ss_weight *w)
{
    char name[300];

    snprintf(name, sizeof name, "grad:%s", w->name);
    float *g = golden(s->file, name, NULL);
    if (!g)
        fail_msg("PyTorch has no parameter %s", w->name);
    return g;
}

static void check_gradients(const char *name, ss_ctx *c, ss_model *m, const sample *s, double error)
{
    double whole = 0, worst = 0;
    const char *where = "";
    int count;
    ss_weight *const *w = ss_model_weights(m, &count);

    for (int i = 0; i < count; i++) {
        float *want = golden_gradient(s, w[i]);

        whole = hypot(whole, norm(want, ss_shape_numel(w[i]->shape)));
        ss_free(want);
    }
    for (int i = 0; i < count; i++) {
        const int64_t n = ss_shape_numel(w[i]->shape);
        float *want = golden_gradient(s, w[i]), *got = gradient(c, w[i]);

        if (norm(want, n) < 1e-7 * whole) {
            assert_true(norm(got, n) < 1e-7 * whole);
        } else if (distance(got, want, n) > worst) {
            worst = distance(got, want, n);
            where = w[i]->name;
        }
        if (!(worst <= gradient_tolerance))
            fail_msg("%s: gradient of %s: relative L2 error %.3g", name, where, worst);
        ss_free(want);
        ss_free(got);
    }
    printf("%-18s answer %.1e, %3d gradients, worst %.1e (%s)\n", name, error, count, worst, where);
}

static void check_case(const char *name, const char *dir)
{
    sample s;
    ss_ctx *c = new_context(2);
    ss_model *m = open_bound(dir, c);

    load_sample(dir, &s);
    float *y = step(c, m, &s, false);
    const double error = distance(y, s.out, ss_shape_numel(s.out_shape));
    if (!(error <= answer_tolerance))
        fail_msg("%s: the answer has a relative L2 error of %.3g", name, error);
    check_gradients(name, c, m, &s, error);
    ss_free(y);
    ss_model_close(m);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
    release_sample(&s);
}

/* The same bits when blocks are computed again, and on four threads; with oneDNN 3 nearly the same,
 * as test_gradients_unet.c says. */
static void check_bits(const char *name, const char *dir)
{
    sample s;
    ss_ctx *one = new_context(1), *four = new_context(4);
    ss_model *a = open_bound(dir, one), *b = open_bound(dir, four);
    int count;

    load_sample(dir, &s);
    float *x = step(one, a, &s, false), *y = step(four, b, &s, true);
    assert_memory_equal(x, y, (size_t)ss_shape_numel(s.out_shape) * sizeof *x);
    ss_weight *const *v = ss_model_weights(a, &count), *const *w = ss_model_weights(b, &count);
    for (int i = 0; i < count; i++) {
        float *p = gradient(one, v[i]), *q = gradient(four, w[i]);

        const int64_t n = ss_shape_numel(v[i]->shape);

        if (memcmp(p, q, (size_t)n * sizeof *p) != 0 &&
            (strstr(ss_ctx_device_text(one), "oneDNN 2.") || !(distance(p, q, n) < 1e-5)))
            fail_msg("%s: %s: gradients differ by %.2g", name, v[i]->name, distance(p, q, n));
        ss_free(p);
        ss_free(q);
    }
    ss_free(x);
    ss_free(y);
    ss_model_close(a);
    ss_model_close(b);
    ss_ctx_free(one);
    ss_ctx_free(four);
    release_sample(&s);
}

static void each_case(void (*fn)(const char *name, const char *dir))
{
    struct dirent **list;
    int n = scandir(REMEDIES, &list, NULL, alphasort), ran = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char dir[512];

        snprintf(dir, sizeof dir, REMEDIES "/%s", list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            fn(list[i]->d_name, dir);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    assert_true(ran >= 10);
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    each_case(check_case);
}

static void test_bits_of_blocks_and_threads(void **state)
{
    (void)state;
    each_case(check_bits);
}

/* ---- the configuration ---- */

static void test_refused(void **state)
{
    static const char *const cases[][2] = {
        {"3", "net.json: \"remedies\" is 3; expected an object"},
        {"{\"clamp\": 0}", "net.json: remedies: \"clamp\" is 0; expected a number above 0"},
        {"{\"clamp\": -2}", "remedies: \"clamp\" is -2; expected a number above 0, at most 1e6"},
        {"{\"clamp\": \"learned\"}", "\"clamp\" is \"learned\"; expected a number"},
        {"{\"residual_scale\": \"learn\"}",
         "\"residual_scale\" is \"learn\"; expected a number above 0, at most 1e6, or \"learned\""},
        {"{\"residual_scale\": 1e7}", "\"residual_scale\" is 10000000.0; expected"},
        {"{\"skip_scale\": [1]}", "\"skip_scale\" is [1]; expected"},
        {"{\"cosine_attention\": -1}",
         "\"cosine_attention\" is -1; expected true, false or the factor"},
        {"{\"magnitude_preserving\": 1}", "\"magnitude_preserving\" is 1; expected true or false"},
        {"{\"magnitude_preserving\": true, \"skip_scale\": 0.5}",
         "\"skip_scale\" is 0.5; magnitude_preserving weighs the skips itself"},
        {"{\"magnitude_preserving\": true, \"residual_scale\": \"learned\"}",
         "\"residual_scale\" is \"learned\"; magnitude_preserving weighs"},
        {"{\"magnitude_preserving\": true}", "\"resnet_time_scale_shift\" is \"scale_shift\"; not "
                                             "with the remedy magnitude_preserving"},
        {"{\"qk_norm\": true}", "remedies: \"qk_norm\" is true; known remedies: clamp, resi"},
    };
    const ss_init init = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ss_model *m;
        ss_err e = {0};

        if (create_with(REMEDIES "/all", "remedies", cases[i][0], &init, &m, &e) == SS_OK)
            fail_msg("%s was taken", cases[i][0]);
        if (!strstr(e.msg, cases[i][1]))
            fail_msg("%s: '%s' lacks '%s'", cases[i][0], e.msg, cases[i][1]);
    }
    static const char *const zero[] = {"*.conv2"};
    const ss_init zeroed = {.zero = zero, .n_zero = 1};
    ss_model *m;
    ss_err e = {0};

    assert_int_equal(create_with(REMEDIES "/text", "remedies", "{\"magnitude_preserving\": true}",
                                 &init, &m, &e),
                     SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "\"_class_name\" is \"UNet2DConditionModel\"; not with"));
    assert_int_equal(create_with(REMEDIES "/magnitude", "remedies",
                                 "{\"magnitude_preserving\": true}", &zeroed, &m, &e),
                     SS_USAGE);
    assert_non_null(strstr(e.msg, "conv2.weight: a normalised weight cannot begin at zero"));
}

/* The answer of an untrained network. */
static float *answer(const char *remedies, const ss_init *init, const sample *s)
{
    ss_ctx *c = new_context(1);
    ss_model *m;
    ss_err e = {0};
    float *y = ss_alloc((size_t)ss_shape_numel(s->out_shape), sizeof *y);

    if (create_with(REMEDIES "/all", "remedies", remedies, init, &m, &e) != SS_OK ||
        ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *x = ss_upload(c, s->x_shape, s->x), *out;
    out = ss_model_forward(c, m, x, s->t, &s->cond);
    if (ss_download(c, out, y, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(x);
    ss_release(out);
    ss_model_close(m);
    ss_ctx_free(c);
    return y;
}

/* Learned factors begin at 1, so that such a network begins as one without, bit for bit; those of
 * zeroed blocks at 0. What is false or empty is nothing. Any other remedy changes the answer. */
static void test_untrained(void **state)
{
    static const struct {
        const char *remedies;
        bool changes;
    } cases[] = {
        {"{}", false},
        {"{\"cosine_attention\": false}", false},
        {"{\"clamp\": 1000}", false},
        {"{\"residual_scale\": \"learned\", \"skip_scale\": \"learned\"}", false},
        {"{\"residual_scale\": 0.5}", true},
        {"{\"skip_scale\": 0.5}", true},
        {"{\"clamp\": 0.05}", true},
        {"{\"cosine_attention\": 30}", true},
    };
    static const char *const zero[] = {"*.resnets.?"};
    const ss_init init = {.seed = 5}, zeroed = {.seed = 5, .zero = zero, .n_zero = 1};
    ss_model *m;
    ss_err e = {0};
    sample s;
    int n, factors = 0;

    (void)state;
    load_sample(REMEDIES "/all", &s);
    const size_t bytes = (size_t)ss_shape_numel(s.out_shape) * sizeof(float);
    float *plain = answer(NULL, &init, &s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *y = answer(cases[i].remedies, &init, &s);

        if ((memcmp(y, plain, bytes) != 0) != cases[i].changes)
            fail_msg("%s: the answer %s", cases[i].remedies,
                     cases[i].changes ? "is as without" : "differs");
        ss_free(y);
    }
    ss_free(plain);
    assert_int_equal(create_with(REMEDIES "/all", "remedies", cases[3].remedies, &zeroed, &m, &e),
                     SS_OK);
    ss_weight *const *w = ss_model_weights(m, &n);
    for (int i = 0; i < n; i++) {
        if (!strstr(w[i]->name, "_scale"))
            continue;
        assert_true(*(const float *)w[i]->data == (strstr(w[i]->name, ".resnets.") ? 0 : 1));
        factors++;
    }
    assert_int_equal(factors, 8 + 4 + 4); /* residual blocks and skips, attentions */
    ss_model_close(m);
    release_sample(&s);
}

static bool wants_blocks(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return m->block && p == SS_PORT_OUTPUT && strcmp(m->path, "conv_out") != 0;
}

typedef struct {
    double least, most;
    int seen;
} range;

static void see_rms(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    range *r = self;
    const int64_t n = ss_shape_numel(ss_shape_get(x));
    float *y = ss_alloc((size_t)n, sizeof *y);

    (void)m, (void)p;
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    const double rms = norm(y, n) / sqrt((double)n);
    r->least = fmin(r->least, rms);
    r->most = fmax(r->most, rms);
    r->seen++;
    ss_free(y);
}

/* Blocks keep the magnitude of the input at the beginning, but for what zero padding takes at the
 * edges and averaging in attention; gains begin at 0, and so does the answer. Then: forced weight
 * normalisation. */
static void test_magnitude(void **state)
{
    static const char config[] =
        "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 16, \"block_out_channels\": [32, 64],"
        " \"layers_per_block\": 2, \"attention_head_dim\": 16, \"norm_num_groups\": 8,"
        " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
        " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"],"
        " \"remedies\": {\"magnitude_preserving\": true}}";
    const ss_init init = {.seed = 9};
    json_t *j = json_loads(config, 0, NULL);
    range r = {INFINITY, 0, 0};
    const ss_hooks hooks = {.self = &r, .wants = wants_blocks, .see = see_rms};
    ss_ctx *c = new_context(2);
    ss_model *m;
    ss_err e = {0};
    static float x[2 * 16 * 16 * 3], y[2 * 16 * 16 * 3];
    int n, normalised = 0;

    (void)state;
    if (ss_model_create(j, "net.json", &init, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_setup setup = {.hooks = &hooks};
    setup.modules = ss_model_modules(m, &setup.n_modules);
    assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
    ss_rng_normals(ss_rng_stream(1, "x", 0, 0), 0, x, sizeof x / sizeof *x);
    ss_tensor *in = ss_upload(c, ss_shape_of(2, 16, 16, 3), x);
    ss_tensor *out = ss_model_forward(c, m, in, (float[]){500, 3}, NULL);
    assert_int_equal(ss_download(c, out, y, &e), SS_OK);
    for (size_t i = 0; i < sizeof y / sizeof *y; i++)
        assert_true(y[i] == 0);
    printf("RMS of %d block outputs: %.3f to %.3f\n", r.seen, r.least, r.most);
    assert_true(r.seen > 15 && r.least > 0.65 && r.most < 1.1);

    /* forced normalisation: rows that grew come back, to f32 rounding; nothing else is touched */
    ss_weight *const *w = ss_model_weights(m, &n);
    for (int i = 0; i < n; i++) {
        const int64_t size = ss_shape_numel(w[i]->shape);
        float *v = ss_alloc((size_t)size, sizeof *v);

        for (int64_t k = 0; k < size; k++)
            v[k] = 7 * ((const float *)w[i]->data)[k] + (w[i]->normalised ? 0 : 3);
        ss_unit_rows(v, ss_shape_numel(w[i]->shape), ss_weight_unit_row(w[i]));
        for (int64_t k = 0; k < size && w[i]->normalised; k++)
            assert_true(fabs(v[k] - ((const float *)w[i]->data)[k]) <= 2e-4 * fabs(v[k]));
        assert_true(w[i]->normalised || *v == 3); /* a gain */
        normalised += w[i]->normalised;
        ss_free(v);
    }
    assert_true(normalised > 60);
    ss_release(in);
    ss_release(out);
    ss_model_close(m);
    ss_ctx_free(c);
    json_decref(j);
}

static void test_told(void **state)
{
    ss_ctx *c = new_context(1);
    ss_model *m = open_bound(REMEDIES "/all", c);
    ss_table t = {0};
    ss_err e = {0};
    char text[200], cut[12];

    (void)state;
    assert_string_equal(
        ss_remedies_text(ss_model_about(m)->net.remedies, text, sizeof text),
        "clamp 1.5, residual_scale learned, skip_scale learned, cosine_attention 4");
    assert_string_equal(ss_remedies_text(ss_model_about(m)->net.remedies, cut, sizeof cut),
                        "clamp 1.5, ");
    assert_int_equal(ss_inventory_about(m, &t, &e), SS_OK);
    json_t *rows = ss_table_json(&t);
    char *json = json_dumps(rows, 0);
    assert_non_null(strstr(json, "\"clamp 1.5, residual_scale learned, skip"));
    free(json);
    json_decref(rows);
    ss_table_release(&t);
    ss_model_close(m);
    ss_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_pytorch),
        cmocka_unit_test(test_bits_of_blocks_and_threads),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_untrained),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_magnitude),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
