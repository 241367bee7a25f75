/* weight_stats.c - see weight_stats.h */
#include "models/weight_stats.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/ops.h"
#include "kernels/results.h"

#include <math.h>

enum { PIECE = 1 << 20 }; /* values at a time */

typedef struct {
    double absmax, sum2;
    uint64_t nonfinite, count;
} totals;

/* Receives the statistics of a piece, which is one sample. */
static void add_piece(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n)
{
    totals *t = self;

    (void)c, (void)m, (void)p, (void)n;
    t->nonfinite += s->nonfinite;
    t->count += s->count;
    if (s->nonfinite == s->count)
        return;
    t->absmax = fmax(t->absmax, s->absmax);
    t->sum2 += (double)s->l2 * s->l2;
}

static void ask(ss_ctx *c, const ss_tensor *x, totals *t)
{
    ss_ask_stats(c, x, false, NULL, SS_PORT_OUTPUT, add_piece, t);
}

static ss_weight_stats finish(const totals *t)
{
    uint64_t finite = t->count - t->nonfinite;

    return (ss_weight_stats){
        .absmax = finite ? t->absmax : NAN,
        .rms = finite ? sqrt(t->sum2 / (double)finite) : NAN,
        .nonfinite = t->nonfinite,
        .count = t->count,
    };
}

/* Returns values [from, from + n) as an f32 tensor of one sample, converted through the buffer of
 * PIECE values where need be. */
static ss_tensor *piece(ss_ctx *c, ss_dtype t, const void *data, int64_t from, int64_t n,
                        float *buffer)
{
    const char *at = (const char *)data + (size_t)from * ss_dtype_size(t);
    ss_tensor *raw = ss_param(c, t, ss_shape_of(1, n), at);
    ss_err e = {0};

    if (!raw || t == SS_F32)
        return raw;
    ss_code rc = ss_download(c, raw, buffer, &e);
    ss_release(raw);
    if (rc != SS_OK)
        return ss_ctx_fail(c, rc, "%s", e.msg);
    return ss_upload(c, ss_shape_of(1, n), buffer);
}

ss_code ss_weight_stats_take(ss_ctx *c, ss_dtype t, const void *data, int64_t n,
                             ss_weight_stats *out, ss_err *e)
{
    float *buffer = ss_alloc(PIECE, sizeof *buffer);
    totals sum = {0};

    if (!buffer)
        return ss_no_memory(e, "statistics of weights");
    for (int64_t i = 0; i < n && !ss_ctx_failed(c); i += PIECE) {
        ss_tensor *x = piece(c, t, data, i, n - i < PIECE ? n - i : PIECE, buffer);

        ask(c, x, &sum);
        ss_release(x);
    }
    ss_free(buffer);
    const ss_code rc = ss_ctx_finish(c, e);

    *out = finish(&sum);
    return rc;
}

ss_code ss_weight_stats_of(ss_ctx *c, const ss_tensor *x, ss_weight_stats *out, ss_err *e)
{
    const int64_t n = ss_shape_numel(ss_shape_get(x));
    totals sum = {0};

    for (int64_t i = 0; i < n; i += PIECE)
        ss_ask_part_stats(c, x, i, n - i < PIECE ? n - i : PIECE, add_piece, &sum);
    const ss_code rc = ss_ctx_finish(c, e);

    *out = finish(&sum);
    return rc;
}

ss_code ss_weight_change_take(ss_ctx *c, ss_dtype ta, const void *a, ss_dtype tb, const void *b,
                              int64_t n, ss_weight_change *out, ss_err *e)
{
    float *buffer = ss_alloc(2 * (size_t)PIECE, sizeof *buffer);
    totals whole = {0}, change = {0};

    if (!buffer)
        return ss_no_memory(e, "a comparison of weights");
    for (int64_t i = 0; i < n && !ss_ctx_failed(c); i += PIECE) {
        int64_t k = n - i < PIECE ? n - i : PIECE;
        ss_tensor *x = piece(c, ta, a, i, k, buffer);
        ss_tensor *y = piece(c, tb, b, i, k, buffer + PIECE);
        ss_tensor *minus = ss_affine(c, x, -1, 0);
        ss_tensor *d = ss_add(c, y, minus, 1);

        ask(c, x, &whole);
        ask(c, d, &change);
        ss_release(x);
        ss_release(y);
        ss_release(minus);
        ss_release(d);
    }
    ss_free(buffer);
    const ss_code rc = ss_ctx_finish(c, e);

    out->difference = finish(&change);
    out->relative = change.nonfinite  ? INFINITY
                    : change.sum2 > 0 ? sqrt(change.sum2 / whole.sum2)
                                      : 0;
    return rc;
}
