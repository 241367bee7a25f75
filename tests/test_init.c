/* test_init.c - untrained networks: weights as PyTorch's layers begin, and a pass through one */
#include "kernels/context.h"
#include "models/model.h"
#include "tests/unet_case.h"

#include <math.h>

#define FASHION "demo/fashion-mnist/step-00250/unet"

/* With the config.json in a folder. */
static ss_code try_create(const char *folder, const ss_init *init, ss_model **m, ss_err *e)
{
    char path[300];
    ss_json j;

    snprintf(path, sizeof path, "%s/config.json", folder);
    ss_code rc = ss_json_load(&j, path, e);
    if (rc == SS_OK)
        rc = ss_model_create(j.root, path, init, m, e);
    ss_json_release(&j);
    return rc;
}

static ss_model *create(const char *folder, const ss_init *init)
{
    ss_model *m;
    ss_err e = {0};

    if (try_create(folder, init, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);

    return n >= k && strcmp(name + n - k, end) == 0;
}

static void test_distribution(void **state)
{
    (void)state;
    const ss_init init = {.seed = 7};
    ss_model *m = create(FASHION, &init);
    int n, products = 0, norms = 0;
    ss_weight *const *w = ss_model_weights(m, &n);
    double bound = 0; /* of the last weight */

    assert_int_equal(ss_model_about(m)->n_parameters, 808689);
    assert_string_equal(ss_model_about(m)->format, "untrained");
    assert_int_equal(ss_model_about(m)->weight_bytes, 808689 * 4);
    for (int i = 0; i < n; i++) {
        const float *x = w[i]->data;
        const int64_t k = ss_shape_numel(w[i]->shape);
        double sum = 0, squares = 0, most = 0;

        for (int64_t j = 0; j < k; j++) {
            sum += x[j];
            squares += (double)x[j] * x[j];
            most = fmax(most, fabs(x[j]));
        }
        if (w[i]->shape.rank >= 2) {
            bound = 1 / sqrt((double)k / (double)w[i]->shape.dim[0]);
            products++;
        } else if (strstr(w[i]->name, "norm")) {
            assert_true(most == (ends_in(w[i]->name, "weight") ? 1 : 0));
            assert_true(sum == (ends_in(w[i]->name, "weight") ? (double)k : 0));
            norms++;
            continue;
        }
        assert_true(most <= bound);
        if (k >= 4096) { /* uniform: variance bound^2 / 3, and values up to the bound */
            assert_true(most > 0.99 * bound);
            assert_true(fabs(squares / (double)k / (bound * bound / 3) - 1) < 0.05);
            assert_true(fabs(sum / (double)k) < 0.05 * bound);
        }
    }
    assert_true(products > 60 && norms > 60);
    ss_model_close(m);
}

/* Sum over all parameters, with the place counted in. */
static double fingerprint(const ss_model *m)
{
    int n;
    ss_weight *const *w = ss_model_weights(m, &n);
    double sum = 0;

    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < ss_shape_numel(w[i]->shape); j++)
            sum += ((const float *)w[i]->data)[j] * (double)((i * 31 + j) % 101);
    return sum;
}

static void test_seeds_and_zeros(void **state)
{
    (void)state;
    static const char *const zero[] = {"*.conv2", "conv_out"};
    const ss_init a = {.seed = 1}, b = {.seed = 2}, with = {.seed = 1, .zero = zero, .n_zero = 2};
    ss_model *first = create(FASHION, &a), *again = create(FASHION, &a),
             *other = create(FASHION, &b), *zeroed = create(FASHION, &with);
    int n, zeros = 0;

    assert_true(fingerprint(first) == fingerprint(again));
    assert_true(fingerprint(first) != fingerprint(other));
    ss_weight *const *x = ss_model_weights(first, &n);
    ss_weight *const *y = ss_model_weights(zeroed, &n);
    for (int i = 0; i < n; i++) {
        const float *v = y[i]->data;
        const int64_t k = ss_shape_numel(y[i]->shape);

        if (strstr(y[i]->name, ".conv2.") || strncmp(y[i]->name, "conv_out.", 9) == 0) {
            for (int64_t j = 0; j < k; j++)
                assert_true(v[j] == 0);
            zeros++;
        } else { /* the others are as they were */
            assert_memory_equal(v, x[i]->data, (size_t)k * sizeof *v);
        }
    }
    assert_true(zeros > 10);
    ss_model_close(first);
    ss_model_close(again);
    ss_model_close(other);
    ss_model_close(zeroed);
}

/* With conv_out at zero the answer is zero; without, it is finite and something. */
static void test_forward(void **state)
{
    (void)state;
    static const char *const zero[] = {"conv_out"};
    ss_init init = {.seed = 3};
    ss_ctx *c;
    ss_err e = {0};
    sample s;

    load_sample(UNETS "/attn", &s);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e),
                     SS_OK);
    for (int with = 0; with < 2; with++) {
        init.zero = zero;
        init.n_zero = with;
        ss_model *m = create(UNETS "/attn", &init);
        const int64_t n = ss_shape_numel(s.out_shape);
        float *out = ss_alloc((size_t)n, sizeof *out);
        double most = 0;

        assert_int_equal(ss_model_bind(m, c, &e), SS_OK);
        ss_tensor *x = ss_upload(c, s.x_shape, s.x);
        ss_tensor *y = ss_model_forward(c, m, x, s.t, &s.cond);
        assert_int_equal(ss_download(c, y, out, &e), SS_OK);
        for (int64_t i = 0; i < n; i++) {
            assert_true(isfinite(out[i]));
            most = fmax(most, fabs(out[i]));
        }
        assert_true(with ? most == 0 : most > 1e-3 && most < 10);
        ss_free(out);
        ss_release(y);
        ss_release(x);
        ss_model_close(m);
    }
    ss_ctx_free(c);
    release_sample(&s);
}

static void test_errors(void **state)
{
    (void)state;
    const ss_init init = {0};
    ss_model *m;
    ss_err e = {0};
    char hex[65];

    assert_int_equal(ss_model_create(json_null(), "here", &init, &m, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "here: expected a JSON object"));
    assert_int_equal(try_create(UNETS "/ncsnpp", &init, &m, &e), SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "GaussianFourierProjection"));
    m = create(FASHION, &init);
    assert_null(ss_model_checkpoint(m));
    assert_int_equal(ss_model_sha256(m, hex, &e), SS_USAGE);
    ss_model_close(m);
    for (unsigned long k = 1; k < 400; k += 7) {
        ss_mem_fail_at(k);
        if (try_create(UNETS "/attn", &init, &m, &e) == SS_OK)
            ss_model_close(m);
        else
            assert_int_equal(e.code, SS_NOMEM);
        ss_mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_seeds_and_zeros),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
