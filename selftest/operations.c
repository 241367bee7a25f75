/* operations.c - the operations, how each is run, and how far devices may be apart
 *
 * Bounds are a few times what was seen between the CPU's instruction sets, and between the CPU and
 * the emulated device: sums in other orders. Operations that only move or compare numbers are
 * exact.
 */
#include "base/mem.h"
#include "kernels/loss.h"
#include "kernels/results.h"
#include "kernels/step.h"
#include "selftest/modules.h"

#include <math.h>

/* ---- products ---- */

static ss_tensor *conv2d(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    const double *o = k->option;

    return ss_conv2d(c, x[0], x[1], x[2],
                     (ss_conv2d_opt){(int)o[0], (int)o[1], (int)o[2], (int)o[3], (int)o[4]});
}

static ss_tensor *linear(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_linear(c, x[0], x[1], x[2]);
}

/* options: heads, cosine */
static ss_attention_opt attention_opt(const ss_case *k, const ss_tensor *bias)
{
    const double width = (double)k->in[0].dim[2] / k->option[0];

    return (ss_attention_opt){.heads = (int)k->option[0],
                              .scale = k->option[1] != 0 ? 2.5f : (float)(1 / sqrt(width)),
                              .cosine = k->option[1] != 0,
                              .bias = bias};
}

static ss_tensor *attention(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    const ss_attention_opt o = attention_opt(k, x[4]);

    return ss_attention(c, x[0], x[1], x[2], x[3], &o);
}

/* With all that can be seen of it. */
static void attention_watched(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    ss_attention_opt o = attention_opt(k, x[4]);

    o.logits = ss_case_modules[SS_CASE_LOGITS];
    o.unscaled = ss_case_modules[SS_CASE_UNSCALED];
    o.probabilities = ss_case_modules[SS_CASE_PROBABILITIES];
    ss_enter(c, ss_case_module, x[0]);
    ss_tensor *y = ss_leave(c, ss_case_module, ss_attention(c, x[0], x[1], x[2], x[3], &o));
    ss_case_put(c, out, "y", y);
    ss_release(y);
    ss_ctx_finish(c, NULL);
}

/* ---- norms ---- */

/* options: groups, activation */
static ss_tensor *group_norm(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_group_norm(c, x[0], x[1], x[2], x[3], (int)k->option[0], 1e-5f, (ss_act)k->option[1],
                         NULL);
}

static void group_norm_plain(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    ss_tensor *plain = NULL;
    ss_tensor *y = ss_group_norm(c, x[0], x[1], x[2], x[3], (int)k->option[0], 1e-5f,
                                 (ss_act)k->option[1], &plain);

    ss_case_put(c, out, "y", y);
    ss_case_put(c, out, "plain", plain);
    ss_release(y);
    ss_release(plain);
}

static ss_tensor *layer_norm(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_layer_norm(c, x[0], x[1], x[2], 1e-5f);
}

static ss_tensor *rms_norm(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_rms_norm(c, x[0], x[1], 1e-6f);
}

static ss_tensor *unit_rms(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_unit_rms(c, x[0], (int64_t)k->option[0], (float)k->option[1]);
}

/* ---- elementwise ---- */

static ss_tensor *activate(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_activate(c, x[0], (ss_act)k->option[0]);
}

static ss_tensor *affine(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_affine(c, x[0], 1.7f, -0.3f);
}

static ss_tensor *clamp(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_clamp(c, x[0], -0.5f, 0.75f);
}

static ss_tensor *gain(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_gain(c, x[0], x[1]);
}

static ss_tensor *add(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_add(c, x[0], x[1], (float)k->option[0]);
}

static ss_tensor *multiply(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_multiply(c, x[0], x[1]);
}

static ss_tensor *geglu(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_geglu(c, x[0]);
}

static ss_tensor *scale_samples(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    static const float factor[] = {1.5f, -2, 0.3f, 0, 7};

    (void)k;
    return ss_scale_samples(c, x[0], factor);
}

static ss_tensor *add_channels(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_add_channels(c, x[0], x[1]);
}

static ss_tensor *modulate(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_modulate(c, x[0], x[1]);
}

static void full(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    ss_tensor *y = ss_full(c, k->in[0], -2.5f);

    (void)x;
    ss_case_put(c, out, "y", y);
    ss_release(y);
}

/* ---- shapes ---- */

/* options: axis */
static ss_tensor *concat(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_concat(c, x[0], x[1], (int)k->option[0]);
}

/* options: axis, from, to */
static ss_tensor *slice(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_slice(c, x[0], (int)k->option[0], (int64_t)k->option[1], (int64_t)k->option[2]);
}

static ss_tensor *permute(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    int axes[SS_CASE_OPTIONS];

    for (int i = 0; i < SS_CASE_OPTIONS; i++)
        axes[i] = (int)k->option[i];
    return ss_permute(c, x[0], axes);
}

static ss_tensor *upsample(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    return ss_upsample_nearest(c, x[0], (int64_t)k->option[0], (int64_t)k->option[1]);
}

static ss_tensor *avg_pool2(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_avg_pool2(c, x[0]);
}

/* options: up, down, padding before and after */
static ss_tensor *fir(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    static const float taps[] = {0.125f, 0.375f, 0.25f, 0.2f};
    const double *o = k->option;

    return ss_fir_resample(c, x[0], taps, 4, (int)o[0], (int)o[1], (int)o[2], (int)o[3]);
}

static ss_tensor *mean_tokens(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    (void)k;
    return ss_mean_tokens(c, x[0]);
}

/* Every other row, and the first one twice. */
static ss_tensor *embedding(ss_ctx *c, const ss_case *k, ss_tensor *const x[])
{
    int64_t ids[8] = {0};

    for (int i = 1; i < 8; i++)
        ids[i] = 2 * i % k->in[0].dim[0];
    return ss_embedding(c, x[0], ids, 8);
}

/* ---- what is measured ---- */

static void take_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                       int n)
{
    (void)c, (void)p;
    ss_case_put_stats(self, m ? "all" : "part", s, n, m != NULL);
}

static void take_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p, const float *absmax,
                          const float *rms, int n, int64_t width)
{
    (void)c, (void)m, (void)p;
    for (int64_t i = 0; i < n * width; i++) {
        ss_outputs_put(self, "channel absmax", (double)absmax[i], false);
        ss_outputs_put(self, "channel rms", (double)rms[i], false);
    }
}

/* With the histogram, and of a part that begins at an odd value. */
static void stats(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    const int64_t n = ss_shape_numel(k->in[0]);

    ss_ask_stats(c, x[0], true, ss_case_module, SS_PORT_OUTPUT, take_stats, out);
    if (n > 3)
        ss_ask_part_stats(c, x[0], 1, n - 2, take_stats, out);
    ss_ctx_finish(c, NULL);
}

static void channel_stats(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    (void)k;
    ss_ask_channels(c, x[0], ss_case_module, SS_PORT_OUTPUT, take_channels, out);
    ss_ctx_finish(c, NULL);
}

static void modulated_stats(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    (void)k, (void)out;
    ss_see_modulated(c, ss_case_modules[SS_CASE_SCALED], ss_case_modules[SS_CASE_SHIFTED], x[0],
                     x[1]);
    ss_ctx_finish(c, NULL);
}

/* ---- training ---- */

/* A copy of the rows of an operand below `rows` that owns its memory. */
static ss_tensor *own(ss_ctx *c, const ss_tensor *x, int64_t rows, bool positive)
{
    ss_tensor *part = ss_slice(c, x, 0, 0, rows);
    const ss_shape s = ss_shape_get(part);
    const int64_t n = ss_shape_numel(s);
    float *v = ss_alloc((size_t)n, sizeof *v);
    ss_tensor *y = ss_param_full(c, s, 0);
    ss_err e = {0};

    if (!part || !v || ss_download(c, part, v, &e) != SS_OK) {
        ss_ctx_fail(c, SS_NOMEM, "a copy");
    } else {
        for (int64_t i = 0; i < n && positive; i++)
            v[i] *= v[i];
        ss_param_set(c, y, v, &e);
    }
    ss_free(v);
    ss_release(part);
    return y;
}

/* The third step, of any optimiser. */
static ss_step_rule step_rule(ss_optimizer_kind kind)
{
    const double b1 = 1 - 0.9 * 0.9 * 0.9, b2 = 1 - 0.99 * 0.99 * 0.99;

    return (ss_step_rule){.kind = kind,
                          .nesterov = true,
                          .scale = 0.5f,
                          .decay = 0.01f,
                          .keep = 0.999f,
                          .beta1 = 0.9f,
                          .rest1 = 0.1f,
                          .beta2 = 0.99f,
                          .rest2 = 0.01f,
                          .eps = 1e-8f,
                          .momentum = 0.9f,
                          .rate = 1e-3f,
                          .rate1 = (float)(1e-3 / b1),
                          .root2 = (float)sqrt(b2),
                          .correction2 = b2,
                          .floor2 = 1e-16,
                          .ema_rest = 0.01f};
}

/* The operands as a parameter, its first rows as another one, and its first row as one that has no
 * gradient; options: which optimiser, values of a normalised row. */
static void step(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    enum { PARAMETERS = 3 };
    const ss_optimizer_kind kind = (ss_optimizer_kind)k->option[0];
    const bool moments = kind == SS_OPTIMIZER_ADAM || kind == SS_OPTIMIZER_ADAMW;
    const ss_step_rule rule = step_rule(kind);
    const int64_t rows[PARAMETERS] = {k->in[0].dim[0], 2, 1};
    ss_step s[PARAMETERS];
    ss_step_sums sums[PARAMETERS] = {{0}};
    ss_tensor *gradient[PARAMETERS];
    ss_err e = {0};

    for (int i = 0; i < PARAMETERS; i++) {
        gradient[i] = i < 2 ? ss_slice(c, x[0], 0, 0, rows[i]) : NULL;
        s[i] = (ss_step){.gradient = gradient[i],
                         .w = own(c, x[1], rows[i], false),
                         .m = own(c, x[2], rows[i], false),
                         .v = moments ? own(c, x[3], rows[i], true) : NULL,
                         .ema = i ? NULL : own(c, x[1], rows[i], false),
                         .unit_row = (int64_t)k->option[1]};
    }
    if (ss_param_step(c, s, PARAMETERS, &rule, sums, &e) != SS_OK)
        ss_ctx_fail(c, e.code, "%s", e.msg);
    ss_ctx_finish(c, NULL);
    for (int i = 0; i < PARAMETERS; i++) {
        ss_case_put(c, out, "w", s[i].w);
        ss_case_put(c, out, "m", s[i].m);
        ss_case_put(c, out, "v", s[i].v);
        ss_case_put(c, out, "ema", s[i].ema);
        ss_outputs_put(out, "g2", sums[i].g2, false);
        ss_outputs_put(out, "dw2", sums[i].dw2, false);
        ss_outputs_put(out, "w2", sums[i].w2, false);
        if (moments)
            ss_outputs_put(out, "stale", sums[i].stale, false);
        ss_release(gradient[i]);
        ss_release(s[i].w);
        ss_release(s[i].m);
        ss_release(s[i].v);
        ss_release(s[i].ema);
    }
}

static void sum_squares(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    const ss_tensor *const list[] = {x[0], NULL, x[1]};
    double sum = 0;
    ss_err e = {0};

    (void)k;
    if (ss_sum_squares(c, list, 3, &sum, &e) != SS_OK)
        ss_ctx_fail(c, e.code, "%s", e.msg);
    ss_ctx_finish(c, NULL);
    ss_outputs_put(out, "sum", sum, false);
}

static void put_squares(void *self, const double *squares, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ss_outputs_put(self, "squares", squares[i], false);
}

static void squared_error(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out)
{
    const size_t n = (size_t)ss_shape_numel(k->in[0]), samples = (size_t)k->in[0].dim[0];
    float *target = ss_alloc(n, sizeof *target);
    double *slope = ss_alloc(samples, sizeof *slope);

    if (!target || !slope || ss_download(c, x[1], target, NULL) != SS_OK) {
        ss_ctx_fail(c, SS_NOMEM, "a target: no memory");
    } else {
        for (size_t i = 0; i < samples; i++)
            slope[i] = 0.3 + 0.1 * (double)i;
        ss_tensor *dy = ss_squared_error(c, x[0], target, slope, put_squares, out);

        ss_case_put(c, out, "dy", dy);
        ss_release(dy);
        ss_ctx_finish(c, NULL);
    }
    ss_free(target);
    ss_free(slope);
}

/* clang-format off */
const ss_operation ss_operations[] = {
    {"conv2d", "xpp", .forward = conv2d, .by_library = true, .winograd = true, .bound = 6e-6, .back = 6e-6, .steps = 2},
    {"linear", "xpp", .forward = linear, .by_library = true, .bound = 6e-6, .back = 6e-6, .steps = 2},
    {"attention", "xxxcc", .forward = attention, .by_library = true, .bound = 1e-5, .back = 1e-5, .steps = 4},
    {"attention statistics", "xxxcc", .other = attention_watched, .by_library = true, .bound = 1e-5, .steps = 4},
    {"group_norm", "xppx", .forward = group_norm, .bound = 1e-6, .back = 2e-6, .steps = 4},
    {"group_norm plain", "xppx", .other = group_norm_plain, .bound = 1e-6, .steps = 4},
    {"layer_norm", "xpp", .forward = layer_norm, .bound = 1e-6, .back = 1e-6, .steps = 4},
    {"rms_norm", "xp", .forward = rms_norm, .bound = 1e-6, .back = 1e-6, .steps = 4},
    {"unit_rms", "x", .forward = unit_rms, .bound = 1e-6, .back = 1e-6, .steps = 4},
    {"activate", "x", .forward = activate, .bound = 1e-6, .back = 1e-6, .steps = 2},
    {"affine", "x", .forward = affine, .bound = 0, .back = 0, .steps = 0},
    {"clamp", "x", .forward = clamp, .bound = 0, .back = 0, .steps = 0},
    {"gain", "xp", .forward = gain, .bound = 0, .back = 1e-6, .steps = 2},
    {"add", "xx", .forward = add, .bound = 0, .back = 0, .steps = 0},
    {"multiply", "xx", .forward = multiply, .bound = 0, .back = 0, .steps = 0},
    {"geglu", "x", .forward = geglu, .bound = 1e-6, .back = 1e-6, .steps = 2},
    {"scale_samples", "x", .forward = scale_samples, .bound = 0, .back = 0, .steps = 0},
    {"add_channels", "xx", .forward = add_channels, .bound = 0, .back = 1e-6, .steps = 2},
    {"modulate", "xx", .forward = modulate, .bound = 1e-6, .back = 1e-6, .steps = 2},
    {"fill", "x", .other = full, .bound = 0, .steps = 0, .no_hostile = true},
    {"concat", "xx", .forward = concat, .bound = 0, .back = 0, .steps = 0},
    {"slice", "x", .forward = slice, .bound = 0, .back = 0, .steps = 0},
    {"permute", "x", .forward = permute, .bound = 0, .back = 0, .steps = 0},
    {"upsample_nearest", "x", .forward = upsample, .bound = 0, .back = 1e-6, .steps = 2},
    {"avg_pool2", "x", .forward = avg_pool2, .bound = 1e-6, .back = 0, .steps = 2},
    {"fir_resample", "x", .forward = fir, .bound = 1e-6, .back = 1e-6, .steps = 2},
    {"mean_tokens", "x", .forward = mean_tokens, .bound = 1e-6, .back = 1e-6, .steps = 2},
    {"embedding", "p", .forward = embedding, .bound = 0, .back = 1e-6, .steps = 2},
    {"stats", "x", .other = stats, .bound = 1e-6, .no_policy = true},
    {"channel_stats", "x", .other = channel_stats, .bound = 1e-6, .no_policy = true},
    {"modulated_stats", "xx", .other = modulated_stats, .bound = 1e-6, .no_policy = true},
    {"optimizer_step", "xxxx", .other = step, .bound = 5e-7, .no_policy = true, .no_hostile = true},
    {"sum_squares", "xx", .other = sum_squares, .bound = 1e-6, .no_policy = true},
    {"squared_error", "xx", .other = squared_error, .bound = 1e-6, .no_policy = true},
};
/* clang-format on */
const int ss_n_operations = sizeof ss_operations / sizeof *ss_operations;
