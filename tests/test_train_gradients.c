/* test_train_gradients.c - the gradients of a training batch, with the activation penalty
 *
 * On small networks of tests/golden/unets: against PyTorch's gradients (tests/golden/gradients),
 * the penalty of python/ among them, against the slope of the loss itself along the gradient, and
 * by laws: scale and weights are linear, recomputing changes no bit, watching changes nothing.
 */
#include "kernels/context.h"
#include "kernels/tape.h"
#include "tests/unet_case.h"
#include "train/gradients.h"

typedef struct {
    ss_ctx *c;
    ss_model *m;
    sample s;
    float *target;
    ss_batch batch;
    ss_level levels[16];
    ss_penalty *penalty;
    ss_weight *const *weights;
    int n_weights;
} network;

static int n_seen; /* by the hooks behind the penalty */

static bool wants_all(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m;
    return p == SS_PORT_INPUT || p == SS_PORT_OUTPUT;
}

static void count_seen(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    (void)self, (void)c, (void)m, (void)p, (void)x;
    n_seen++;
}

static void setup(network *n, const ss_hooks *hooks)
{
    ss_setup s = {.hooks = hooks};
    ss_err e = {0};

    s.modules = ss_model_modules(n->m, &s.n_modules);
    if (ss_ctx_setup(n->c, &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void open_network(const char *name, const ss_hooks *next, network *n)
{
    char path[512];
    const ss_module *const *modules;
    const ss_stored_tensor *t;
    ss_safetensors *file;
    ss_err e = {0};
    int n_modules;

    *n = (network){0};
    snprintf(path, sizeof path, UNETS "/%s", name);
    load_sample(path, &n->s);
    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &n->c, &e) != SS_OK ||
        ss_model_open(path, NULL, &n->m, &e) != SS_OK || ss_model_bind(n->m, n->c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(path, sizeof path, "tests/golden/gradients/%s.safetensors", name);
    assert_int_equal(ss_safetensors_open(path, &file, &e), SS_OK);
    n->target = golden(file, "target", &t);
    n->target = to_channels_last(n->target, t);
    ss_safetensors_close(file);
    n->weights = ss_model_weights(n->m, &n->n_weights);
    for (int i = 0; i < n->n_weights; i++)
        ss_tensor_want_gradient(n->weights[i]->tensor, true);
    modules = ss_model_modules(n->m, &n_modules);
    if (ss_penalty_new(modules, n_modules, NULL, 0, &n->penalty, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_penalty_set_next(n->penalty, next);
    setup(n, ss_penalty_hooks(n->penalty));
    n->batch = (ss_batch){
        .n = (int)n->s.x_shape.dim[0],
        .size = {.height = (int)n->s.x_shape.dim[1],
                 .width = (int)n->s.x_shape.dim[2],
                 .channels = (int)n->s.x_shape.dim[3]},
        .x = n->s.x,
        .levels = n->levels,
        .condition = &n->s.cond,
        .target = n->target,
    };
    assert_true(n->batch.n <= (int)N_OF(n->levels));
    for (int i = 0; i < n->batch.n; i++)
        n->levels[i] = (ss_level){.timestep = n->s.t[i], .weight = 1};
}

static void close_network(network *n)
{
    ss_penalty_free(n->penalty);
    ss_model_close(n->m);
    assert_int_equal(ss_ctx_usage(n->c).live_bytes, 0);
    ss_ctx_free(n->c);
    ss_free(n->target);
    release_sample(&n->s);
}

static size_t count_values(const network *n)
{
    size_t sum = 0;

    for (int i = 0; i < n->n_weights; i++)
        sum += (size_t)ss_shape_numel(n->weights[i]->shape);
    return sum;
}

/* All gradients one after another, and zero from then on. The caller frees. */
static float *take(network *n)
{
    float *all = ss_calloc(count_values(n), sizeof *all), *to = all;

    for (int i = 0; i < n->n_weights; i++) {
        ss_tensor *w = n->weights[i]->tensor;

        if (ss_tensor_gradient(w))
            assert_int_equal(ss_download(n->c, ss_tensor_gradient(w), to, NULL), SS_OK);
        to += ss_shape_numel(n->weights[i]->shape);
        ss_tensor_zero_gradient(w);
    }
    return all;
}

static ss_batch_loss add(network *n, double scale, double lambda, bool recompute, double *losses)
{
    ss_gradients_options opt = ss_gradients_defaults();
    ss_batch_loss loss;
    ss_err e = {0};

    opt.scale = scale;
    opt.lambda = lambda;
    opt.penalty = n->penalty;
    opt.recompute = recompute;
    if (ss_gradients_add(n->c, n->m, &n->batch, &opt, losses, &loss, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return loss;
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* Relative L2 distance of a from b. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum / dot(b, b, n));
}

/* Adds t * d to all parameters. */
static void move(network *n, const float *d, double t)
{
    for (int i = 0; i < n->n_weights; i++) {
        const int64_t k = ss_shape_numel(n->weights[i]->shape);
        float *w = ss_alloc((size_t)k, sizeof *w);
        ss_err e;

        assert_int_equal(ss_download(n->c, n->weights[i]->tensor, w, &e), SS_OK);
        for (int64_t j = 0; j < k; j++)
            w[j] += (float)(t * d[j]);
        assert_int_equal(ss_param_set(n->c, n->weights[i]->tensor, w, &e), SS_OK);
        ss_free(w);
        d += k;
    }
}

/* Compares loss, penalty and all gradients with those of a file of tests/golden/gradients. */
static void compare_with_pytorch(const char *path, double lambda)
{
    network n;
    ss_safetensors *file;
    ss_err e;

    open_network("attn", NULL, &n);
    assert_int_equal(ss_safetensors_open(path, &file, &e), SS_OK);
    float *loss = golden(file, "loss", NULL);
    double losses[16];
    ss_batch_loss got = add(&n, 1, lambda, false, losses);
    double mean = 0;

    assert_true(fabs(got.loss - loss[0]) < 1e-6 * loss[0]);
    if (lambda != 0) {
        float *penalty = golden(file, "penalty", NULL);

        assert_true(fabs(got.penalty - penalty[0]) < 1e-6 * penalty[0]);
        ss_free(penalty);
    } else {
        assert_true(isnan(got.penalty));
    }
    for (int i = 0; i < n.batch.n; i++)
        mean += losses[i] / n.batch.n;
    assert_true(fabs(mean - got.loss) < 1e-6 * mean);
    for (int i = 0; i < n.n_weights; i++) {
        float *want = golden(file, n.weights[i]->name, NULL);
        const size_t k = (size_t)ss_shape_numel(n.weights[i]->shape);
        float *g = ss_alloc(k, sizeof *g);

        assert_non_null(want);
        assert_int_equal(ss_download(n.c, ss_tensor_gradient(n.weights[i]->tensor), g, &e), SS_OK);
        if (sqrt(dot(want, want, k)) > 1e-6 && distance(g, want, k) > 1e-4)
            fail_msg("%s: off by %g", n.weights[i]->name, distance(g, want, k));
        ss_free(g);
        ss_free(want);
    }
    ss_free(loss);
    ss_safetensors_close(file);
    close_network(&n);
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    compare_with_pytorch("tests/golden/gradients/attn.safetensors", 0);
}

/* That of sigmascope.penalty (python/), of the same blocks. */
static void test_penalty_matches_pytorch(void **state)
{
    (void)state;
    compare_with_pytorch("tests/golden/penalty.safetensors", 0.5);
}

/* Along its gradient g the objective rises by |g|^2 per unit: what every term must agree on. */
static void test_slope_of_the_objective(void **state)
{
    (void)state;
    static const double lambdas[] = {0, 0.5, 5};
    network n;

    open_network("attn", NULL, &n);
    const size_t k = count_values(&n);
    for (size_t i = 0; i < N_OF(lambdas); i++) {
        const double lambda = lambdas[i];

        add(&n, 1, lambda, false, NULL);
        float *g = take(&n);
        const double square = dot(g, g, k), h = 2e-3 / sqrt(square);
        double l[2];

        for (int side = 0; side < 2; side++) {
            move(&n, g, side ? h : -h);
            ss_batch_loss loss = add(&n, 1, lambda, false, NULL);
            l[side] = loss.loss + (lambda != 0 ? lambda * loss.penalty : 0);
            move(&n, g, side ? -h : h);
            ss_free(take(&n));
        }
        const double slope = (l[1] - l[0]) / (2 * h);
        if (fabs(slope - square) > 5e-3 * square)
            fail_msg("lambda %g: slope %g, |g|^2 %g", lambda, slope, square);
        ss_free(g);
    }
    close_network(&n);
}

static void test_laws(void **state)
{
    (void)state;
    network n;

    open_network("attn", NULL, &n);
    const size_t k = count_values(&n);
    add(&n, 1, 0.5, false, NULL);
    float *g = take(&n);

    add(&n, 1, 0.5, true, NULL); /* recomputed: the same bits */
    float *again = take(&n);
    assert_memory_equal(g, again, k * sizeof *g);
    ss_free(again);

    add(&n, 1024, 0.5, false, NULL); /* a power of two: exact but for what was subnormal */
    float *scaled = take(&n);
    for (size_t i = 0; i < k; i++)
        scaled[i] /= 1024;
    assert_true(distance(scaled, g, k) < 1e-6);
    ss_free(scaled);

    for (int i = 0; i < n.batch.n; i++)
        n.levels[i].weight = 3;
    ss_batch_loss heavy = add(&n, 1, 1.5, false, NULL); /* three times everything */
    for (int i = 0; i < n.batch.n; i++)
        n.levels[i].weight = 1;
    float *tripled = take(&n);
    ss_batch_loss light = add(&n, 1, 0, false, NULL);
    for (size_t i = 0; i < k; i++)
        tripled[i] /= 3;
    assert_true(distance(tripled, g, k) < 1e-6);
    assert_true(fabs(heavy.loss - 3 * light.loss) < 1e-6 * heavy.loss);
    ss_free(tripled);
    ss_free(take(&n));

    add(&n, 1, 0.5, false, NULL); /* two batches add up */
    add(&n, 1, 0.5, false, NULL);
    float *sum = take(&n);
    for (size_t i = 0; i < k; i++)
        sum[i] /= 2;
    assert_true(distance(sum, g, k) < 1e-6);
    ss_free(sum);
    ss_free(g);
    close_network(&n);
}

static void test_other_hooks_see_the_same(void **state)
{
    (void)state;
    const ss_hooks counting = {.wants = wants_all, .see = count_seen};
    network n;
    int alone;

    open_network("attn", &counting, &n);
    setup(&n, &counting);
    n_seen = 0;
    ss_tensor *x = ss_upload(n.c, n.s.x_shape, n.s.x);
    ss_release(ss_model_forward(n.c, n.m, x, n.s.t, &n.s.cond));
    ss_release(x);
    alone = n_seen;
    assert_true(alone > 20);
    setup(&n, ss_penalty_hooks(n.penalty));
    n_seen = 0;
    add(&n, 1, 1, false, NULL);
    assert_int_equal(n_seen, alone);
    ss_free(take(&n));
    close_network(&n);
}

/* How many outputs the penalty's hooks want to see, and how many of them are not blocks. */
static int n_wanted(ss_penalty *p, const ss_module *const *modules, int n, int *no_blocks)
{
    const ss_hooks *h = ss_penalty_hooks(p);
    int wanted = 0;

    *no_blocks = 0;
    for (int i = 0; i < n; i++) {
        const bool is = h->wants(h->self, modules[i], SS_PORT_OUTPUT);

        wanted += is;
        *no_blocks += is && !modules[i]->block;
    }
    return wanted;
}

static void test_which_modules(void **state)
{
    (void)state;
    static const char *const some[] = {"up_blocks.*"}, *const none[] = {"nothing"},
                             *const broken[] = {"[a"};
    network n;
    ss_penalty *p;
    ss_err e;
    int count, blocks = 0, others;

    open_network("attn", NULL, &n);
    const ss_module *const *modules = ss_model_modules(n.m, &count);
    for (int i = 0; i < count; i++)
        blocks += modules[i]->block;
    assert_int_equal(n_wanted(n.penalty, modules, count, &others), blocks);
    assert_int_equal(others, 0);
    assert_int_equal(ss_penalty_new(modules, count, some, 1, &p, &e), SS_OK);
    assert_true(n_wanted(p, modules, count, &others) > 3);
    ss_penalty_free(p);
    assert_int_equal(ss_penalty_new(modules, count, none, 1, &p, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "'nothing'"));
    assert_int_equal(ss_penalty_new(modules, count, broken, 1, &p, &e), SS_USAGE);
    close_network(&n);
}

/* Gradient descent lowers what it descends: the loss, or with a large lambda the activations. */
static void test_descent(void **state)
{
    (void)state;
    double first[2], last[2];

    for (int with = 0; with < 2; with++) {
        network n;

        open_network("attn", NULL, &n);
        for (int step = 0; step < 12; step++) {
            ss_batch_loss l = add(&n, 1, with ? 10 : 0, false, NULL);
            float *g = take(&n);
            const double value = with ? l.penalty : l.loss;

            if (step == 0)
                first[with] = value;
            last[with] = value;
            move(&n, g, -0.05 / sqrt(dot(g, g, count_values(&n))));
            ss_free(g);
        }
        close_network(&n);
    }
    assert_true(last[0] < 0.95 * first[0]);
    assert_true(last[1] < 0.95 * first[1]);
}

/* An error in the middle leaves no tape and nothing kept. */
static void test_errors(void **state)
{
    (void)state;
    network n;
    ss_gradients_options opt = ss_gradients_defaults();
    ss_batch_loss loss;
    ss_condition none = {0};
    ss_err e = {0};

    open_network("sdxl", NULL, &n); /* which cannot run without its condition */
    opt.penalty = n.penalty;
    opt.lambda = 1;
    n.batch.condition = &none;
    assert_int_not_equal(ss_gradients_add(n.c, n.m, &n.batch, &opt, NULL, &loss, &e), SS_OK);
    assert_true(strlen(e.msg) > 10);
    n.batch.condition = &n.s.cond;
    assert_int_equal(ss_gradients_add(n.c, n.m, &n.batch, &opt, NULL, &loss, &e), SS_OK);
    ss_free(take(&n));
    close_network(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_pytorch),
        cmocka_unit_test(test_penalty_matches_pytorch),
        cmocka_unit_test(test_slope_of_the_objective),
        cmocka_unit_test(test_laws),
        cmocka_unit_test(test_other_hooks_see_the_same),
        cmocka_unit_test(test_which_modules),
        cmocka_unit_test(test_descent),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
