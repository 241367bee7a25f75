/* test_trainer.c - a small network in training: it learns, resumes to the same bits, and the
 * activation penalty holds its activations down
 */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "tests/ss_tmp.h"
#include "train/trainer_checkpoint.h"

#include <math.h>
#include <unistd.h>

static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 16, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8,"
    " \"norm_num_groups\": 4, \"num_class_embeds\": 4}";
static const char *const zero[] = {"*.conv2", "*.to_out.0"};
static json_t *network;

static int make_model(void **state)
{
    network = json_loads(config, 0, NULL);
    return network && make_tmp(state) == 0 ? 0 : -1;
}

static int free_model(void **state)
{
    json_decref(network);
    return remove_tmp(state);
}

static ss_trainer_options options(void)
{
    ss_trainer_options o = ss_trainer_defaults();

    o.config = network;
    o.config_name = "the network";
    o.init = (ss_init){.seed = 1, .zero = zero, .n_zero = 2};
    o.data.kind = SS_DATA_SHAPES;
    o.data.null_class = 3;
    o.data.dropout = 0.1;
    o.optimizer.lr = 5e-3;
    o.optimizer.warmup = 5;
    o.batch = 8;
    o.threads = 2;
    o.device = test_device();
    return o;
}

static ss_trainer *trainer(const ss_trainer_options *o)
{
    ss_trainer *t;
    ss_err e = {0};

    if (ss_trainer_new(o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return t;
}

/* n steps; the mean loss of the last `tail` of them, and the last penalty. */
static double train(ss_trainer *t, int n, int tail, double *penalty)
{
    double sum = 0;
    ss_err e = {0};

    for (int i = 0; i < n; i++) {
        ss_trainer_did did;

        if (ss_trainer_step(t, &did, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_false(did.skipped);
        assert_int_equal(did.step, ss_trainer_steps(t));
        if (i >= n - tail)
            sum += did.loss / tail;
        if (penalty && !isnan(did.penalty))
            *penalty = did.penalty;
    }
    return sum;
}

/* All weights one after another; the caller frees. */
static float *weights(ss_trainer *t, size_t *n)
{
    int count;
    ss_weight *const *w = ss_model_weights(ss_trainer_model(t), &count);
    float *all, *to;

    *n = (size_t)ss_model_about(ss_trainer_model(t))->n_parameters;
    all = to = ss_alloc(*n, sizeof *all);
    for (int i = 0; i < count; i++) {
        assert_int_equal(ss_download(ss_trainer_context(t), w[i]->tensor, to, NULL), SS_OK);
        to += ss_shape_numel(w[i]->shape);
    }
    return all;
}

static void test_learns(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    ss_trainer *t = trainer(&o);
    double first = train(t, 5, 5, NULL), last = train(t, 75, 15, NULL);

    if (!(last < 0.6 * first))
        fail_msg("the loss went from %g to %g", first, last);
    for (int i = 0; i < o.batch; i++) {
        assert_true(ss_trainer_losses(t)[i] > 0);
        assert_true(ss_trainer_levels(t)[i].sigma > 0);
    }
    ss_trainer_free(t);
}

/* 3 steps, saved, loaded into another and 3 more are 6 steps, to the last bit and byte. */
static void test_resumes(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "diffusion_pytorch_model.safetensors",
                                        "optimizer.safetensors", "training.json"};
    ss_trainer_options o = options();
    char half[300], whole[300], resumed[300];
    size_t n;
    ss_err e = {0};

    snprintf(half, sizeof half, "%s", in_tmp("half"));
    snprintf(whole, sizeof whole, "%s", in_tmp("whole"));
    snprintf(resumed, sizeof resumed, "%s", in_tmp("resumed"));
    o.lambda = 1e-3;
    o.interval = 2;
    o.optimizer.ema_decay = 0.9;
    ss_trainer *a = trainer(&o), *b = trainer(&o);
    train(a, 3, 1, NULL);
    assert_int_equal(ss_trainer_save(a, half, false, &e), SS_OK);
    train(a, 3, 1, NULL);
    assert_int_equal(ss_trainer_save(a, whole, false, &e), SS_OK);
    if (ss_trainer_load(b, half, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ss_trainer_steps(b), 3);
    train(b, 3, 1, NULL);
    assert_int_equal(ss_trainer_save(b, resumed, false, &e), SS_OK);
    float *x = weights(a, &n), *y = weights(b, &n);
    assert_memory_equal(x, y, n * sizeof *x);
    for (size_t i = 0; i < N_OF(files); i++) {
        char path[400], *p, *q;
        size_t np, nq;

        snprintf(path, sizeof path, "%s/%s", whole, files[i]);
        assert_int_equal(ss_file_read(path, 1 << 24, &p, &np, &e), SS_OK);
        snprintf(path, sizeof path, "%s/%s", resumed, files[i]);
        assert_int_equal(ss_file_read(path, 1 << 24, &q, &nq, &e), SS_OK);
        assert_int_equal(np, nq);
        assert_memory_equal(p, q, np);
        ss_free(p);
        ss_free(q);
    }
    ss_free(x);
    ss_free(y);
    ss_trainer_free(a);
    ss_trainer_free(b);
}

/* Counters that cannot be counted on from are refused, each with its name. */
static void test_damaged_counters(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *text;
    } cases[] = {
        {"\"step\": 1", "\"step\": 9223372036854775807", "\"step\" is 9223372036854775807"},
        {"\"step\": 1", "\"stop\": 1", "\"step\" is missing"},
        {"\"rewinds\": 0", "\"rewinds\": 2147483647", "\"rewinds\" is 2147483647"},
        {"\"overflows\": 0", "\"overflows\": -1", "\"overflows\" is -1"},
        {"\"overflows\": 0", "\"ended\": 3", "\"ended\" is 3"},
        {"\"good\": 1", "\"good\": -1", "\"good\" is -1"},
        {"\"n\": 1", "\"n\": 9223372036854775807", "\"n\" is 9223372036854775807"},
    };
    ss_trainer_options o = options();
    char folder[300], path[400], *text;
    size_t n;
    ss_err e = {0};
    ss_trainer *t = trainer(&o);

    snprintf(folder, sizeof folder, "%s", in_tmp("damaged"));
    snprintf(path, sizeof path, "%s/training.json", folder);
    train(t, 1, 1, NULL);
    assert_int_equal(ss_trainer_save(t, folder, false, &e), SS_OK);
    ss_trainer_free(t);
    assert_int_equal(ss_file_read(path, 1 << 20, &text, &n, &e), SS_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *at = strstr(text, cases[i].from);
        char other[8192];

        assert_non_null(at);
        snprintf(other, sizeof other, "%.*s%s%s", (int)(at - text), text, cases[i].to,
                 at + strlen(cases[i].from));
        write_file(path, other, strlen(other));
        t = trainer(&o);
        assert_int_equal(ss_trainer_load(t, folder, &e), SS_FORMAT);
        if (!strstr(e.msg, cases[i].text))
            fail_msg("'%s' should hold '%s'", e.msg, cases[i].text);
        ss_trainer_free(t);
    }
    ss_free(text);
}

/* A saved checkpoint opens as a model, with the current weights or their averages. */
static void test_saved_model(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    char plain[300], mean[300];
    ss_model *m[2];
    ss_err e = {0};
    int n;

    snprintf(plain, sizeof plain, "%s", in_tmp("plain"));
    snprintf(mean, sizeof mean, "%s", in_tmp("mean"));
    o.optimizer.ema_decay = 0.99;
    o.optimizer.ema_warmup = SS_EMA_CONSTANT;
    ss_trainer *t = trainer(&o);
    train(t, 4, 1, NULL);
    assert_int_equal(ss_trainer_save(t, plain, false, &e), SS_OK);
    assert_int_equal(ss_trainer_save(t, mean, true, &e), SS_OK);
    if (ss_model_open(plain, NULL, &m[0], &e) != SS_OK ||
        ss_model_open(mean, NULL, &m[1], &e) != SS_OK)
        fail_msg("%s", e.msg);
    size_t k;
    float *now = weights(t, &k), *at = now;
    ss_weight *const *w = ss_model_weights(m[0], &n);
    ss_weight *const *v = ss_model_weights(m[1], &n);
    double moved = 0;
    for (int i = 0; i < n; i++) {
        assert_memory_equal(w[i]->data, at, w[i]->bytes);
        for (int64_t j = 0; j < ss_shape_numel(w[i]->shape); j++)
            moved += fabs((double)at[j] - ((const float *)v[i]->data)[j]);
        at += ss_shape_numel(w[i]->shape);
    }
    assert_true(moved > 0);
    ss_free(now);
    ss_model_close(m[0]);
    ss_model_close(m[1]);
    assert_int_equal(ss_trainer_load(t, mean, &e), SS_IO); /* it has no state to go on from */
    ss_trainer_free(t);
}

static void test_penalty(void **state)
{
    (void)state;
    double without = NAN, with = NAN;

    for (int k = 0; k < 2; k++) {
        ss_trainer_options o = options();

        o.lambda = k ? 0.05 : 1e-12; /* the second only measures */
        ss_trainer *t = trainer(&o);
        train(t, 60, 1, k ? &with : &without);
        ss_trainer_free(t);
    }
    if (!(with < 0.5 * without))
        fail_msg("mean square of activations: %g with the penalty, %g without", with, without);
}

/* At every second step only, and then doubled. */
static void test_interval(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    ss_trainer_did did;
    ss_err e;

    o.lambda = 1e-3;
    o.interval = 2;
    ss_trainer *t = trainer(&o);
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(ss_trainer_step(t, &did, &e), SS_OK);
        assert_true(isnan(did.penalty) == (i % 2 == 1));
    }
    ss_trainer_free(t);
}

/* A penalty at every second step weighs twice as much: that of each step with twice the lambda. */
static void test_interval_weighs(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    char first[300];
    size_t n;
    ss_err e = {0};

    snprintf(first, sizeof first, "%s", in_tmp("first"));
    o.lambda = 1e-2;
    o.interval = 2;
    ss_trainer *every_second = trainer(&o);
    train(every_second, 1, 1, NULL); /* without */
    assert_int_equal(ss_trainer_save(every_second, first, false, &e), SS_OK);
    train(every_second, 1, 1, NULL); /* with */
    o.lambda = 2e-2;
    o.interval = 1;
    ss_trainer *each = trainer(&o);
    if (ss_trainer_load(each, first, &e) != SS_OK)
        fail_msg("%s", e.msg);
    train(each, 1, 1, NULL);
    float *x = weights(every_second, &n), *y = weights(each, &n);
    assert_memory_equal(x, y, n * sizeof *x);
    ss_free(x);
    ss_free(y);
    ss_trainer_free(every_second);
    ss_trainer_free(each);
}

/* Taken back to a folder: weights and optimiser are those, steps go on, and other batches come. */
static void test_rewinds(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    char saved[300];
    size_t n;
    ss_err e = {0};

    snprintf(saved, sizeof saved, "%s", in_tmp("saved"));
    ss_trainer *t = trainer(&o), *again = trainer(&o);
    train(t, 3, 1, NULL);
    assert_int_equal(ss_trainer_save(t, saved, false, &e), SS_OK);
    float *then = weights(t, &n);
    train(t, 4, 1, NULL);
    float *later = weights(t, &n);
    assert_memory_not_equal(then, later, n * sizeof *then);
    if (ss_trainer_rewind(t, saved, &e) != SS_OK)
        fail_msg("%s", e.msg);
    float *back = weights(t, &n);
    assert_memory_equal(then, back, n * sizeof *then);
    assert_int_equal(ss_trainer_steps(t), 7);
    assert_int_equal(ss_trainer_rewinds(t), 1);
    train(t, 1, 1, NULL);
    assert_int_equal(ss_trainer_steps(t), 8);

    assert_int_equal(ss_trainer_load(again, saved, &e), SS_OK);
    train(again, 1, 1, NULL); /* by the batch of step 4, not 8 */
    float *x = weights(t, &n), *y = weights(again, &n);
    assert_memory_not_equal(x, y, n * sizeof *x);
    ss_free(then);
    ss_free(later);
    ss_free(back);
    ss_free(x);
    ss_free(y);
    ss_trainer_free(t);
    ss_trainer_free(again);
}

/* Gradients that overflow change nothing, and the step counts. */
static void test_skips(void **state)
{
    (void)state;
    ss_trainer_options o = options();
    ss_trainer_did did;
    size_t n;
    ss_err e;

    o.scale.initial = 1e45; /* beyond f32: every gradient is inf */
    ss_trainer *t = trainer(&o);
    float *before = weights(t, &n);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(ss_trainer_step(t, &did, &e), SS_OK);
        assert_true(did.skipped);
        assert_int_equal(did.step, i);
    }
    float *after = weights(t, &n);
    assert_memory_equal(before, after, n * sizeof *before);
    ss_free(before);
    ss_free(after);
    ss_trainer_free(t);

    o.scale.initial = 1024; /* a power of two is taken out again: the same path as without */
    ss_trainer *a = trainer(&o);
    o.scale.initial = 1;
    ss_trainer *b = trainer(&o);
    double la = train(a, 10, 3, NULL), lb = train(b, 10, 3, NULL);
    assert_true(fabs(la - lb) < 1e-3 * lb);
    ss_trainer_free(a);
    ss_trainer_free(b);
}

static void expect_error(const ss_trainer_options *o, ss_code code, const char *text)
{
    ss_trainer *t;
    ss_err e = {0};
    ss_code rc = ss_trainer_new(o, &t, &e);

    if (rc != code || !strstr(e.msg, text))
        fail_msg("got %d, \"%s\", want %d, \"%s\"", rc, e.msg, code, text);
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const nothing[] = {"nothing"};
    ss_trainer_options o = options();
    ss_err e = {0};

    o.config = json_null();
    expect_error(&o, SS_FORMAT, "the network: expected a JSON object");
    o = options();
    o.batch = 0;
    expect_error(&o, SS_USAGE, "a batch of 0");
    o = options();
    o.lambda = NAN;
    expect_error(&o, SS_USAGE, "coefficient nan");
    o = options();
    o.scale.initial = 0;
    expect_error(&o, SS_USAGE, "loss scale: initial is 0");
    o = options();
    o.interval = 0;
    expect_error(&o, SS_USAGE, "interval 0");
    o = options();
    o.lambda = 1;
    o.penalty = nothing;
    o.n_penalty = 1;
    expect_error(&o, SS_USAGE, "'nothing'");
    o = options();
    o.data.null_class = 4;
    expect_error(&o, SS_USAGE, "labels 0 to 3");

    o = options();
    ss_trainer *t = trainer(&o);
    assert_int_equal(ss_trainer_load(t, "/no/such", &e), SS_IO);
    assert_int_equal(ss_trainer_save(t, in_tmp("average"), true, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no average"));
    assert_int_not_equal(access(in_tmp("average"), F_OK), 0);
    assert_int_equal(ss_trainer_save(t, "/proc/x", false, &e), SS_IO);
    ss_trainer_free(t);
    for (unsigned long k = 1; k < 1500; k += 1 + k / 6) {
        ss_mem_fail_at(k);
        if (ss_trainer_new(&o, &t, &e) == SS_OK)
            ss_trainer_free(t);
        else
            assert_int_equal(e.code, SS_NOMEM);
        ss_mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),          cmocka_unit_test(test_damaged_counters),
        cmocka_unit_test(test_resumes),         cmocka_unit_test(test_saved_model),
        cmocka_unit_test(test_penalty),         cmocka_unit_test(test_interval),
        cmocka_unit_test(test_interval_weighs), cmocka_unit_test(test_rewinds),
        cmocka_unit_test(test_skips),           cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_model, free_model);
}
