/* stats.c - statistics on the device
 *
 * A tensor takes one launch and 4 bytes a value, whatever its samples and size (stats.cuh); results
 * are complete on the device and wait there for finish. Modulated values take two launches: their
 * ranges, and then their statistics, which a device that is late decides on itself.
 */
#include "kernels/cuda/cuda.h"
#include "kernels/inner_stats.h"

#include <string.h>

/* Bytes of a sample's result: the histogram only where it is asked for. */
static size_t result_bytes(bool exponents)
{
    return exponents ? sizeof(ss_stats) : (offsetof(ss_stats, exponent) + 15) / 16 * 16;
}

static void take_stats(const void *values, const ss_cuda_taker *t)
{
    const size_t each = (size_t)t->m;
    ss_stats *out = t->out;

    for (int64_t i = 0; i < t->n; i++) {
        memset(&out[i], 0, sizeof out[i]);
        memcpy(&out[i], (const char *)values + (size_t)i * each,
               each < sizeof out[i] ? each : sizeof out[i]);
    }
}

static int64_t chunks_of(int64_t length)
{
    return length > 0 ? (length + SS_CUDA_STATS_CHUNK - 1) / SS_CUDA_STATS_CHUNK : 1;
}

/* Moments of so many chunks; *part stays NULL where a sample has one chunk. */
static ss_code partials(ss_device *d, int64_t samples, int64_t chunks, ss_cuda_moments **part,
                        ss_err *e)
{
    *part = NULL;
    if (chunks > 1)
        *part = ss_cuda_work(d, (size_t)(samples * chunks) * sizeof **part, "statistics", e);
    return *part || chunks == 1 ? SS_OK : e->code;
}

ss_code ss_cuda_stats(ss_device *d, const ss_tensor *x, bool exponents, ss_stats *out, ss_err *e)
{
    const int64_t N = x->shape.rank ? x->shape.dim[0] : 1;
    const int64_t length = N ? ss_shape_numel(x->shape) / N : 0, chunks = chunks_of(length);
    const size_t each = result_bytes(exponents), bytes = (size_t)N * each;
    const ss_cuda_taker taker = {.out = out, .n = N, .m = (int64_t)each};
    ss_cuda_moments *part;
    void *place;
    ss_code rc =
        ss_cuda_result(d, bytes + (size_t)N * sizeof(unsigned), take_stats, taker, &place, e);

    if (rc == SS_OK)
        rc = partials(d, N, chunks, &part, e);
    if (rc != SS_OK)
        return rc;
    rc =
        SS_LAUNCH(d, e, stats, (ss_cuda_grid_size){.x = N * chunks}, .x = x->data, .length = length,
                  .chunks = chunks, .stride = (int64_t)each, .exponents = exponents, .part = part,
                  .done = (unsigned *)((char *)place + bytes), .out = place);
    ss_pool_free(&d->pool, part);
    return rc;
}

/* ---- modulated values ---- */

/* The kernels' results: statistics [2][n], then the ranges [n][4], counters [2][n] and `large`.
 */
typedef struct {
    ss_stats *stats;
    unsigned *range, *done, *large;
} modulated;

static modulated modulated_at(void *place, int64_t n)
{
    modulated m = {.stats = place};

    m.range = (unsigned *)(m.stats + 2 * n);
    m.done = m.range + 4 * n;
    m.large = m.done + 2 * n;
    return m;
}

static size_t modulated_bytes(int64_t n)
{
    return (size_t)n * (2 * sizeof(ss_stats) + 6 * sizeof(unsigned)) + sizeof(unsigned);
}

/* The value with this key (stats.cu). */
static float value_of(unsigned key)
{
    const unsigned bits = key >> 31 ? key & 0x7fffffff : ~key;
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Statistics of values of which only the extremes are known; none where there are no values. */
static ss_stats ranged(const unsigned *keys, uint64_t count)
{
    ss_stats s = ss_nothing_known(count);

    if (keys[1]) {
        const float least = value_of(~keys[0]), most = value_of(keys[1]);

        ss_add_values(&s, least, most, fmaxf(fabsf(least), fabsf(most)));
    }
    ss_count_small(&s);
    return s;
}

static void take_modulated(const void *values, const ss_cuda_taker *t)
{
    const int64_t n = t->n;
    const modulated m = modulated_at((void *)values, n);
    ss_stats *scaled = t->out, *shifted = t->out2;

    for (int64_t i = 0; i < n; i++) {
        scaled[i] = *m.large ? m.stats[i] : ranged(m.range + 4 * i, (uint64_t)t->m);
        shifted[i] = *m.large ? m.stats[n + i] : ranged(m.range + 4 * i + 2, (uint64_t)t->m);
    }
}

ss_code ss_cuda_modulated_stats(ss_device *d, const ss_tensor *y, const ss_tensor *mod,
                                ss_stats *scaled, ss_stats *shifted, ss_err *e)
{
    const int64_t N = y->shape.dim[0], C = y->shape.dim[y->shape.rank - 1];
    const int64_t length = N ? ss_shape_numel(y->shape) / N : 0, chunks = chunks_of(length);
    const ss_cuda_taker taker = {.out = scaled, .out2 = shifted, .n = N, .m = length};
    ss_cuda_moments *part;
    void *place; /* zeros; those of an empty tensor stay */
    ss_code rc = ss_cuda_result(d, modulated_bytes(N), take_modulated, taker, &place, e);

    if (rc != SS_OK || length == 0)
        return rc;
    rc = partials(d, 2 * N, chunks, &part, e);
    if (rc != SS_OK)
        return rc;
    const modulated m = modulated_at(place, N);

    rc = SS_LAUNCH(d, e, modulated_range, (ss_cuda_grid_size){.x = N * chunks}, .y = y->data,
                   .mod = mod->data, .length = length, .chunks = chunks, .channels = C,
                   .limit = 1 << SS_LOGIT_FROM, .large = m.large, .range = m.range);
    if (rc == SS_OK)
        rc =
            SS_LAUNCH(d, e, modulated_stats, (ss_cuda_grid_size){.x = 2 * N * chunks}, .y = y->data,
                      .mod = mod->data, .length = length, .chunks = chunks, .channels = C,
                      .samples = N, .large = m.large, .part = part, .done = m.done, .out = m.stats);
    ss_pool_free(&d->pool, part);
    return rc;
}
