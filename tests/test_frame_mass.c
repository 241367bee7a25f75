/* test_frame_mass.c - mass of attention by frame (base/stats.h), against the matrix of
 * probabilities
 *
 * Laws: masses at all distances add up to 1, as do those on all frames; statistics change no bit of
 * the answer; one thread and several give the same bits.
 */
#include "base/rng.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "tests/ss_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 2, D = 5, C = HEADS * D, MOST_FRAMES = 40 };

/* N samples of R rows each, of F frames with `each` tokens. */
typedef struct {
    int N, R, F, each;
    const char *format; /* what is rounded to it; NULL: nothing */
    ss_attention_code code;
} problem;

typedef struct {
    int n, heads, announced;
    float mass[8][2][MOST_FRAMES]; /* [n heads][2][F] */
} seen;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m, (void)p;
    return false;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return true;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    seen *w = self;

    (void)m, (void)keys;
    if (ss_ctx_shapes_only(c)) {
        w->announced = s ? (int)s->frames : 0;
        return;
    }
    w->n = n;
    w->heads = heads;
    for (int i = 0; i < n * heads; i++)
        for (int k = 0; s[i].frames && k < 2; k++)
            memcpy(w->mass[i][k], s[i].frame_mass + k * s[i].frames,
                   (size_t)s[i].frames * sizeof(float));
}

static float *numbers(const char *name, size_t n, float scale)
{
    float *x = malloc(n * sizeof *x);

    ss_rng_normals(ss_rng_stream(7, name, 0, 0), 0, x, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
    return x;
}

static size_t values(const problem *p)
{
    return (size_t)(p->N * p->R * p->F * p->each * C);
}

/* The answer, and with w the masses. */
static float *run(const problem *p, int threads, bool shapes, seen *w)
{
    static const ss_module module = {.path = "attention", .kind = "Attention", .parent = -1};
    const ss_hooks hooks = {.self = w,
                            .wants = wants,
                            .wants_attention = wants_attention,
                            .see_attention = see_attention};
    ss_precision precision = {.scope = SS_ROUND_HALF, .attention = p->code};
    ss_setup setup = {.modules = (const ss_module *[]){&module},
                      .n_modules = 1,
                      .hooks = w ? &hooks : NULL,
                      .precision = p->format ? &precision : NULL};
    const ss_shape s = ss_shape_of(p->N * p->R, p->F * p->each, C);
    float *q = numbers("q", values(p), 2), *k = numbers("k", values(p), 1),
          *v = numbers("v", values(p), 1), *y = malloc(values(p) * sizeof *y);
    ss_ctx *c;
    ss_err e = {0};

    if (p->format)
        assert_int_equal(ss_format_parse(p->format, &precision.format, &e), SS_OK);
    if (ss_ctx_new(
            &(ss_ctx_options){.device = test_device(), .threads = threads, .shapes_only = shapes},
            &c, &e) != SS_OK ||
        ss_ctx_setup(c, &setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *tq = ss_upload(c, s, q), *tk = ss_upload(c, s, k), *tv = ss_upload(c, s, v);
    ss_enter(c, &module, tq);
    ss_tensor *out = ss_leave(
        c, &module,
        ss_attention(
            c, tq, tk, tv, NULL,
            &(ss_attention_opt){.heads = HEADS, .scale = 0.5f, .frames = p->R, .of_frames = p->F}));
    if (ss_ctx_finish(c, &e) != SS_OK || (!shapes && ss_download(c, out, y, &e) != SS_OK))
        fail_msg("%s", e.msg);
    ss_release(out);
    ss_release(tq);
    ss_release(tk);
    ss_release(tv);
    ss_ctx_free(c);
    free(q);
    free(k);
    free(v);
    return y;
}

/* Masses of one head of a sample, from all its probabilities. */
static void naive(const problem *p, int n, int h, double mass[2][MOST_FRAMES])
{
    const int T = p->F * p->each;
    float *q = numbers("q", values(p), 2), *k = numbers("k", values(p), 1);
    double *l = malloc((size_t)T * sizeof *l);

    memset(mass, 0, 2 * sizeof *mass);
    for (int i = 0; i < p->R * T; i++) {
        const float *qi = q + ((size_t)n * p->R * T + i) * C + h * D;
        double Z = 0;

        for (int j = 0; j < T; j++) {
            const float *kj = k + (((size_t)n * p->R + i / T) * T + j) * C + h * D;
            double s = 0;

            for (int d = 0; d < D; d++)
                s += (double)qi[d] * kj[d];
            Z += l[j] = exp(0.5 * s);
        }
        for (int j = 0; j < T; j++) {
            const int own = i % T / p->each, f = j / p->each;

            mass[0][abs(own - f)] += l[j] / Z / (p->R * T);
            mass[1][f] += l[j] / Z / (p->R * T);
        }
    }
    free(q);
    free(k);
    free(l);
}

static void check(const problem *p, double tolerance)
{
    seen one = {0}, more = {0};
    float *y = run(p, 1, false, &one), *z = run(p, 3, false, &more),
          *plain = run(p, 1, false, NULL);

    assert_memory_equal(y, z, values(p) * sizeof *y);
    assert_memory_equal(y, plain, values(p) * sizeof *y);
    assert_memory_equal(one.mass, more.mass, sizeof one.mass);
    assert_true(one.n == p->N && one.heads == HEADS);
    for (int i = 0; i < p->N * HEADS; i++) {
        double want[2][MOST_FRAMES], sum[2] = {0};

        naive(p, i / HEADS, i % HEADS, want);
        for (int k = 0; k < 2; k++) {
            for (int f = 0; f < p->F; f++) {
                sum[k] += one.mass[i][k][f];
                if (!(fabs(one.mass[i][k][f] - want[k][f]) <= tolerance))
                    fail_msg("mass[%d][%d] is %.9g, not %.9g", k, f, one.mass[i][k][f], want[k][f]);
            }
            assert_true(fabs(sum[k] - 1) <= 4 * tolerance);
        }
    }
    free(y);
    free(z);
    free(plain);
}

static void test_masses(void **state)
{
    static const problem cases[] = {
        {.N = 2, .R = 1, .F = 7, .each = 1},  {.N = 2, .R = 6, .F = 8, .each = 1},
        {.N = 1, .R = 3, .F = 5, .each = 4},  {.N = 3, .R = 2, .F = 1, .each = 3},
        {.N = 1, .R = 2, .F = 40, .each = 2}, {.N = 1, .R = 1, .F = 33, .each = 11},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i], 1e-6);
}

/* Rounded operands and probabilities, and those that a processor multiplies in pairs. */
static void test_masses_of_rounded_attention(void **state)
{
    problem p = {.N = 2, .R = 3, .F = 6, .each = 2, .format = "bf16"};

    (void)state;
    p.code = SS_ATTENTION_SDPA;
    check(&p, 0.03);
    p.code = SS_ATTENTION_EAGER;
    check(&p, 0.03);
    p.format = "fp16";
    check(&p, 0.004);
}

static void test_announced(void **state)
{
    const problem p = {.N = 1, .R = 2, .F = 9, .each = 2};
    seen w = {0};

    (void)state;
    free(run(&p, 1, true, &w));
    assert_int_equal(w.announced, 9);
}

static void test_refused(void **state)
{
    static const float x[6 * C];
    ss_ctx *c;
    ss_err e = {0};

    (void)state;
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e), SS_OK);
    ss_tensor *t = ss_upload(c, ss_shape_of(1, 6, C), x);
    assert_null(ss_attention(c, t, t, t, NULL,
                             &(ss_attention_opt){.heads = HEADS, .scale = 1, .of_frames = 4}));
    assert_int_equal(ss_ctx_check(c, &e), SS_SHAPE);
    assert_non_null(strstr(e.msg, "are not of 4 frames"));
    ss_ctx_clear(c);
    ss_release(t);
    ss_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masses),
        cmocka_unit_test(test_masses_of_rounded_attention),
        cmocka_unit_test(test_announced),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
