/* modulated.c - statistics of y (1 + scale) and of that + shift, which nobody makes
 *
 * The ranges of y's channels give those of both, as rounding keeps the order. Where they are finite
 * and small, nothing can overflow, and that is all that is asked; else the values are made for a
 * moment and measured.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/inner_stats.h"

/* Adds values between a and b. False where they are not all finite and small. */
static bool add_range(ss_stats *s, float a, float b)
{
    const float peak = fmaxf(fabsf(a), fabsf(b));

    ss_add_values(s, fminf(a, b), fmaxf(a, b), peak);
    return peak < 1 << SS_LOGIT_FROM && !isnan(a) && !isnan(b);
}

/* Adds the values of a sample whose channels lie between least and most. */
static bool add_channels(const float *least, const float *most, const float *mod, int64_t C,
                         ss_stats *scaled, ss_stats *shifted)
{
    bool small = true;

    for (int64_t k = 0; k < C; k++) {
        const float a = least[k] * (1 + mod[k]), b = most[k] * (1 + mod[k]), shift = mod[C + k];

        small &= add_range(scaled, a, b) & add_range(shifted, a + shift, b + shift);
    }
    return small;
}

/* An f32 tensor in memory of the pool, without a context. */
static ss_tensor in_pool(void *memory, ss_shape s)
{
    return (ss_tensor){.dtype = SS_F32, .shape = s, .data = memory};
}

/* Both, made and measured. */
static ss_code make_and_measure(ss_device *d, const ss_tensor *y, const ss_tensor *mod,
                                ss_stats *scaled, ss_stats *shifted, ss_err *e)
{
    const int64_t N = y->shape.dim[0], C = y->shape.dim[y->shape.rank - 1];
    const size_t values = (size_t)ss_shape_numel(y->shape), each = (size_t)(N * C);
    float *memory = ss_pool_alloc(&d->pool, (2 * values + each) * sizeof *memory);

    if (!memory)
        return ss_fail(e, SS_NOMEM, "modulated values: %zu floats of work space",
                       2 * values + each);
    ss_tensor once = in_pool(memory, y->shape), twice = in_pool(memory + values, y->shape);
    ss_tensor half = in_pool(memory + 2 * values, ss_shape_of(N, C));
    ss_code rc = d->isa->copy_rows(d, mod, 0, 2 * C, &half, 0, C, N, C, e);

    if (rc == SS_OK)
        rc = d->isa->modulate(d, y, &half, &once, e);
    if (rc == SS_OK)
        rc = d->isa->stats(d, &once, true, scaled, e);
    if (rc == SS_OK)
        rc = d->isa->copy_rows(d, mod, C, 2 * C, &half, 0, C, N, C, e);
    if (rc == SS_OK)
        rc = d->isa->add_channels(d, &once, &half, &twice, e);
    if (rc == SS_OK)
        rc = d->isa->stats(d, &twice, true, shifted, e);
    ss_pool_free(&d->pool, memory);
    return rc;
}

ss_code ss_cpu_modulated_stats(ss_device *d, const ss_tensor *y, const ss_tensor *mod,
                               ss_stats *scaled, ss_stats *shifted, ss_err *e)
{
    const int64_t N = y->shape.dim[0], C = y->shape.dim[y->shape.rank - 1];
    const uint64_t count = N ? (uint64_t)(ss_shape_numel(y->shape) / N) : 0;
    const float *values = mod->data;
    float *least = ss_pool_alloc(&d->pool, (size_t)(2 * N * C) * sizeof *least);
    bool small = true;

    if (!least)
        return ss_fail(e, SS_NOMEM, "ranges of %lld channels", (long long)(N * C));
    ss_code rc = d->isa->channel_range(d, y, least, least + N * C, e);
    for (int64_t n = 0; n < N && rc == SS_OK; n++) {
        scaled[n] = shifted[n] = ss_nothing_known(count);
        small &= add_channels(least + n * C, least + (N + n) * C, values + 2 * n * C, C, &scaled[n],
                              &shifted[n]);
        ss_count_small(&scaled[n]);
        ss_count_small(&shifted[n]);
    }
    ss_pool_free(&d->pool, least);
    return rc == SS_OK && !small ? make_and_measure(d, y, mod, scaled, shifted, e) : rc;
}
