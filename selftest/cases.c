/* cases.c - the sweep: sizes 1, 3, 7, 13, 33, which no vector and no block divides, and some of
 * real networks
 */
#include "kernels/step.h"
#include "selftest/operation.h"

#include <stdio.h>
#include <string.h>

#define S(...) ss_shape_of(__VA_ARGS__)
enum { MAX_CASES = 240 };

typedef struct {
    ss_case list[MAX_CASES];
    int n;
} sweep;

static const ss_operation *called(const char *name)
{
    for (int i = 0; i < ss_n_operations; i++)
        if (strcmp(ss_operations[i].name, name) == 0)
            return &ss_operations[i];
    return NULL;
}

static void add(sweep *s, const char *name, ss_case k)
{
    if (s->n < MAX_CASES && (k.operation = called(name)))
        s->list[s->n++] = k;
}
#define CASE(name, ...) add(s, name, (ss_case){__VA_ARGS__})

static void conv(sweep *s, ss_shape x, int64_t out, int64_t kernel, bool bias, int stride, int top,
                 int left, int bottom, int right, bool big)
{
    CASE("conv2d", .in = {x, S(out, x.dim[3], kernel, kernel), bias ? S(out) : (ss_shape){0}},
         .option = {stride, top, left, bottom, right}, .big = big);
}

static void products(sweep *s)
{
    conv(s, S(2, 5, 3, 3), 7, 3, true, 1, 1, 1, 1, 1, false);
    conv(s, S(1, 3, 4, 33), 17, 3, true, 1, 1, 1, 1, 1, false);
    conv(s, S(3, 4, 4, 16), 16, 3, true, 1, 1, 1, 1, 1, false);
    conv(s, S(1, 1, 1, 1), 1, 1, true, 1, 0, 0, 0, 0, false);
    conv(s, S(1, 7, 6, 3), 7, 1, true, 2, 0, 0, 0, 0, false);
    conv(s, S(2, 7, 6, 3), 9, 3, true, 2, 1, 1, 1, 1, false);
    conv(s, S(2, 6, 8, 16), 8, 3, false, 2, 0, 0, 1, 1, false);
    conv(s, S(1, 6, 7, 2), 3, 5, true, 1, 2, 2, 2, 2, false);
    conv(s, S(1, 13, 13, 13), 33, 3, true, 1, 1, 1, 1, 1, false);
    conv(s, S(1, 8, 9, 3), 4, 3, true, 1, -1, -2, 0, 1, false);
    conv(s, S(1, 16, 16, 64), 64, 3, true, 1, 1, 1, 1, 1, true);
    conv(s, S(1, 32, 32, 4), 32, 3, true, 1, 1, 1, 1, 1, true);
    CASE("linear", .in = {S(3, 7, 33), S(17, 33), S(17)});
    CASE("linear", .in = {S(1, 1), S(1, 1), S(1)});
    CASE("linear", .in = {S(33, 3), S(7, 3)});
    CASE("linear", .in = {S(2, 3, 3, 16), S(33, 16, 1, 1), S(33)});
    CASE("linear", .in = {S(77, 320), S(64, 320), S(64)}, .big = true);
    CASE("linear", .in = {S(2, 1280), S(320, 1280), S(320)}, .big = true);
}

static void attention(sweep *s, const char *name)
{
    CASE(name, .in = {S(2, 7, 6), S(2, 7, 6), S(2, 7, 6)}, .option = {2});
    CASE(name, .in = {S(1, 33, 9), S(1, 3, 9), S(1, 3, 9)}, .option = {3});
    CASE(name, .in = {S(1, 3, 33), S(1, 33, 33), S(1, 33, 33)}, .option = {1});
    CASE(name, .in = {S(1, 1, 1), S(1, 1, 1), S(1, 1, 1)}, .option = {1});
    CASE(name, .in = {S(2, 3, 4), S(2, 7, 4), S(2, 7, 4), S(2, 7)}, .option = {2});
    CASE(name, .in = {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6)}, .option = {2, 1});
    CASE(name, .in = {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6), {0}, S(2, 7, 3)}, .option = {2});
    CASE(name, .in = {S(1, 13, 9), S(1, 13, 9), S(1, 13, 9), S(1, 13), S(1, 13, 13)},
         .option = {3});
    CASE(name, .in = {S(1, 70, 80), S(1, 77, 80), S(1, 77, 80)}, .option = {2}, .big = true);
    CASE(name, .in = {S(1, 144, 64), S(1, 144, 64), S(1, 144, 64)}, .option = {4}, .big = true);
}

static void norms(sweep *s)
{
    for (int act = 0; act < SS_N_ACTS; act++)
        CASE("group_norm", .in = {S(2, 3, 3, 8), S(8), S(8)}, .option = {2, act});
    CASE("group_norm", .in = {S(3, 7, 1, 6), S(6), S(6), S(3, 12)}, .option = {3, SS_ACT_SILU});
    CASE("group_norm", .in = {S(2, 7, 33)}, .option = {1});
    CASE("group_norm", .in = {S(2, 13, 13, 33), S(33), S(33)}, .option = {11, SS_ACT_SILU});
    CASE("group_norm", .in = {S(2, 1, 1, 8), S(8), S(8)}, .option = {2, SS_ACT_SILU});
    CASE("group_norm", .in = {S(2, 32, 32, 64), S(64), S(64)}, .option = {32, SS_ACT_SILU},
         .big = true);
    CASE("group_norm plain", .in = {S(1, 1, 1, 1)}, .option = {1});
    CASE("group_norm plain", .in = {S(3, 7, 1, 6), S(6), S(6), S(3, 12)},
         .option = {3, SS_ACT_SILU});
    CASE("layer_norm", .in = {S(2, 7, 33), S(33), S(33)});
    CASE("layer_norm", .in = {S(3, 7)});
    CASE("layer_norm", .in = {S(5, 1), S(1), S(1)});
    CASE("layer_norm", .in = {S(64, 320), S(320), S(320)}, .big = true);
    CASE("rms_norm", .in = {S(2, 7, 33), S(33)});
    CASE("rms_norm", .in = {S(3, 7)});
    CASE("rms_norm", .in = {S(13, 3), S(3)});
    CASE("rms_norm", .in = {S(64, 320), S(320)}, .big = true);
    CASE("unit_rms", .in = {S(2, 3, 2, 33)}, .option = {33, 1});
    CASE("unit_rms", .in = {S(2, 5, 12)}, .option = {4, 1});
    CASE("unit_rms", .in = {S(7, 3, 3, 3)}, .option = {27, 0.19245009});
    CASE("unit_rms", .in = {S(3, 3)}, .option = {3, 0.5});
}

static void elementwise(sweep *s)
{
    const ss_shape odd[] = {S(1, 1), S(3, 7), S(3, 33), S(3, 13, 13)};

    for (int act = SS_ACT_NONE + 1; act < SS_N_ACTS; act++) {
        CASE("activate", .in = {S(3, 33)}, .option = {act});
        CASE("activate", .in = {S(1, 1)}, .option = {act});
        CASE("activate", .in = {S(2, 4096)}, .option = {act}, .big = true);
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        CASE("affine", .in = {odd[i]});
        CASE("clamp", .in = {odd[i]});
        CASE("gain", .in = {odd[i], S(1)});
        CASE("add", .in = {odd[i], odd[i]}, .option = {1});
        CASE("add", .in = {odd[i], odd[i]}, .option = {0.70710678});
        CASE("multiply", .in = {odd[i], odd[i]});
        CASE("scale_samples", .in = {odd[i]});
        CASE("fill", .in = {odd[i]});
    }
    CASE("affine", .in = {S(2, 64, 64, 5)}, .big = true);
    CASE("geglu", .in = {S(2, 3, 14)});
    CASE("geglu", .in = {S(1, 2)});
    CASE("geglu", .in = {S(16, 640)}, .big = true);
    CASE("add_channels", .in = {S(3, 7, 33), S(3, 33)});
    CASE("add_channels", .in = {S(2, 13, 1), S(2, 1)});
    CASE("add_channels", .in = {S(2, 16, 16, 64), S(2, 64)}, .big = true);
    CASE("modulate", .in = {S(3, 7, 5), S(3, 10)});
    CASE("modulate", .in = {S(3, 7, 5), S(3, 5)});
    CASE("modulate", .in = {S(2, 64, 64), S(2, 128)}, .big = true);
}

static void shapes(sweep *s)
{
    CASE("concat", .in = {S(2, 3, 3), S(2, 3, 7)}, .option = {2});
    CASE("concat", .in = {S(1, 5), S(3, 5)}, .option = {0});
    CASE("concat", .in = {S(2, 16, 16, 64), S(2, 16, 16, 32)}, .option = {3}, .big = true);
    CASE("slice", .in = {S(3, 5, 7)}, .option = {2, 2, 5});
    CASE("slice", .in = {S(3, 5)}, .option = {0, 1, 3});
    CASE("permute", .in = {S(3, 5, 7)}, .option = {2, 0, 1});
    CASE("permute", .in = {S(2, 3, 5, 1, 7)}, .option = {0, 2, 3, 1, 4});
    CASE("permute", .in = {S(33, 13)}, .option = {1, 0});
    CASE("permute", .in = {S(1, 16, 24, 24, 8)}, .option = {0, 2, 3, 1, 4}, .big = true);
    CASE("upsample_nearest", .in = {S(2, 4, 3, 5)}, .option = {8, 6});
    CASE("upsample_nearest", .in = {S(2, 4, 3, 5)}, .option = {7, 5});
    CASE("upsample_nearest", .in = {S(1, 4, 3, 5)}, .option = {3, 1});
    CASE("upsample_nearest", .in = {S(1, 16, 16, 64)}, .option = {32, 32}, .big = true);
    CASE("avg_pool2", .in = {S(2, 5, 7, 3)});
    CASE("avg_pool2", .in = {S(1, 16, 16, 64)}, .big = true);
    CASE("fir_resample", .in = {S(2, 4, 3, 3)}, .option = {2, 1, 2, 1});
    CASE("fir_resample", .in = {S(2, 4, 6, 3)}, .option = {1, 2, 1, 1});
    CASE("fir_resample", .in = {S(1, 4, 4, 3)}, .option = {3, 2, 2, 1});
    CASE("fir_resample", .in = {S(1, 4, 4, 3)}, .option = {2, 1, -1, 2});
    CASE("mean_tokens", .in = {S(3, 7, 5)});
    CASE("mean_tokens", .in = {S(1, 1, 33)});
    CASE("mean_tokens", .in = {S(2, 64, 320)}, .big = true);
    CASE("embedding", .in = {S(5, 33)});
    CASE("embedding", .in = {S(16, 1)});
}

static void measures(sweep *s)
{
    CASE("stats", .in = {S(1, 1)});
    CASE("stats", .in = {S(3, 7)});
    CASE("stats", .in = {S(3, 13, 13)});
    CASE("stats", .in = {S(2, 33, 33, 7)});
    CASE("stats", .in = {S(2, 64, 64, 8)}, .big = true);
    CASE("channel_stats", .in = {S(1, 1)});
    CASE("channel_stats", .in = {S(3, 7, 5)});
    CASE("channel_stats", .in = {S(2, 13, 13, 33)});
    CASE("channel_stats", .in = {S(2, 32, 32, 64)}, .big = true);
    CASE("modulated_stats", .in = {S(3, 7, 5), S(3, 10)});
    CASE("modulated_stats", .in = {S(2, 33, 33, 13), S(2, 26)});
    for (int kind = 0; kind < SS_N_OPTIMIZERS; kind++) {
        CASE("optimizer_step", .in = {S(7, 33), S(7, 33), S(7, 33), S(7, 33)}, .option = {kind});
        CASE("optimizer_step", .in = {S(7, 27), S(7, 27), S(7, 27), S(7, 27)},
             .option = {kind, 27});
    }
    CASE("optimizer_step", .in = {S(64, 320), S(64, 320), S(64, 320), S(64, 320)}, .big = true);
    CASE("sum_squares", .in = {S(1), S(3, 7)});
    CASE("sum_squares", .in = {S(13, 33), S(4096)});
    CASE("squared_error", .in = {S(1, 1), S(1, 1)});
    CASE("squared_error", .in = {S(3, 7, 13), S(3, 7, 13)});
    CASE("squared_error", .in = {S(2, 33, 33, 5), S(2, 33, 33, 5)});
}

const ss_case *ss_all_cases(int *n)
{
    static sweep s;

    if (!s.n) {
        products(&s);
        attention(&s, "attention");
        attention(&s, "attention statistics");
        norms(&s);
        elementwise(&s);
        shapes(&s);
        measures(&s);
    }
    *n = s.n;
    return s.list;
}

char *ss_case_name(const ss_case *k, char *out, size_t size)
{
    int n = snprintf(out, size, "%s", k->operation->name), last = SS_CASE_OPTIONS;
    size_t at = (size_t)n;

    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        for (int d = 0; d < k->in[i].rank && at < size; d++)
            at += (size_t)snprintf(out + at, size - at, "%c%lld", d ? 'x' : ' ',
                                   (long long)k->in[i].dim[d]);
    while (last > 0 && k->option[last - 1] == 0)
        last--;
    for (int i = 0; i < last && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%g%s", i ? " " : " (", k->option[i],
                               i == last - 1 ? ")" : "");
    return out;
}
