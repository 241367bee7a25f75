/* test_gradients_texts.c - the gradient of every parameter of text encoders against PyTorch
 *
 * Golden data: gradients.safetensors in cases of tests/golden/texts, written by make_texts.py in
 * float64. A parameter that cannot change the answer (the bias of a key, which moves all logits of
 * a query alike) has a golden gradient of 1e-17 or so: there ours must be as small beside the
 * network's whole gradient. Worst seen: 6.4e-6.
 */
#include "kernels/context.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "tests/ss_tmp.h"
#include "tests/text_case.h"

static const double tolerance = 1e-4;

static double norm(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* One forward and backward of mean((answer - target)^2); returns the loss. */
static double step(ss_ctx *c, const ss_model *m, const text_case *s, const ss_safetensors *f)
{
    const ss_stored_tensor *t;
    float *host = golden(f, "target", &t);
    ss_text_states y;
    double sum = 0;
    ss_err e = {0};

    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    assert_true(ss_model_embed(c, m, &s->tokens, &y));
    const ss_tensor *answer = y.projected ? y.projected : y.last;
    const int64_t n = ss_shape_numel(ss_shape_get(answer));
    ss_tensor *target = ss_upload(c, ss_shape_get(answer), host);
    assert_int_equal(n, (int64_t)t->bytes / 4);
    ss_set(&target, ss_affine(c, target, -1, 0));
    ss_tensor *difference = ss_add(c, answer, target, 1);
    ss_tape_seed(c, difference, difference, 2 / (float)n);
    float *d = download(c, difference);
    for (int64_t i = 0; i < n; i++)
        sum += (double)d[i] * d[i];
    ss_free(d);
    ss_free(host);
    ss_release(target);
    ss_release(difference);
    ss_text_states_release(&y);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return sum / (double)n;
}

static void check(const char *name, const char *dir)
{
    char path[600], where[128] = "";
    text_case s;
    ss_safetensors *f;
    ss_ctx *c;
    double worst = 0, whole = 0;
    int count;
    ss_err e = {0};

    snprintf(path, sizeof path, "%s/gradients.safetensors", dir);
    if (access(path, R_OK) != 0)
        return;
    assert_int_equal(ss_safetensors_open(path, &f, &e), SS_OK);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, &e),
                     SS_OK);
    ss_model *m = open_text(dir, c);
    load_text_case(dir, &s);
    ss_weight *const *w = ss_model_weights(m, &count);
    for (int i = 0; i < count; i++)
        ss_tensor_want_gradient(w[i]->tensor, true);
    float *loss = golden(f, "loss", NULL);
    assert_true(fabs(step(c, m, &s, f) - *loss) <= 1e-5 * *loss);
    ss_free(loss);
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        float *want = golden(f, ss_safetensors_at(f, i)->name, NULL);

        if (strcmp(ss_safetensors_at(f, i)->name, "target") != 0)
            whole = hypot(whole, norm(want, (int64_t)ss_safetensors_at(f, i)->bytes / 4));
        ss_free(want);
    }
    for (int i = 0; i < count; i++) {
        const int64_t n = ss_shape_numel(w[i]->shape);
        float *want = golden(f, w[i]->name, NULL);

        if (strstr(w[i]->name, "relative_attention_bias")) { /* none comes to it (ops.h) */
            assert_null(ss_tensor_gradient(w[i]->tensor));
            ss_free(want);
            continue;
        }
        if (!want)
            fail_msg("%s: PyTorch has no gradient of %s", name, w[i]->name);
        if (!ss_tensor_gradient(w[i]->tensor))
            fail_msg("%s: %s has no gradient", name, w[i]->name);
        float *got = download(c, ss_tensor_gradient(w[i]->tensor));
        const double error = norm(want, n) < 1e-7 * whole ? norm(got, n) / (1e-3 * whole)
                                                          : relative_l2(got, want, n);
        if (!(error <= worst)) {
            worst = error;
            snprintf(where, sizeof where, "%s", w[i]->name);
        }
        ss_free(want);
        ss_free(got);
    }
    print_message("%-20s %d parameters, worst %.1e (%s)\n", name, count, worst, where);
    assert_true(worst <= tolerance);
    release_text_case(&s);
    ss_model_close(m);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
    ss_safetensors_close(f);
}

static void test_gradients(void **state)
{
    (void)state;
    each_text_case(check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients)};

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
