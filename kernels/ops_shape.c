/* ops_shape.c - operations that move values or change how many there are; see operand.h for the
 * skeleton. All are linear, so their backwards need none of their operands. */
#include "kernels/call.h"
#include "kernels/operand.h"
#include "kernels/ops.h"

#include <string.h>

ss_tensor *ss_reshape(ss_ctx *c, const ss_tensor *x, ss_shape s)
{
    static const ss_op op = {.name = "reshape"};
    char to[96];

    if (!x || ss_ctx_failed(c))
        return NULL;
    if (ss_shape_numel(s) != ss_shape_numel(x->shape))
        return ss_ctx_fail(c, SS_SHAPE, "reshape: %s does not hold the values of %s",
                           ss_shape_text(s, to, sizeof to), TEXT(x));
    ss_node n = {.op = &op, .in = {x}, .shape = s, .passes = 1};
    return ss_node_run(c, &n);
}

/* Splits a shape at an axis: how many slabs there are before it, and how many values one
 * step along it is. */
static void around_axis(ss_shape s, int axis, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < s.rank; i++) {
        if (i < axis)
            *outer *= s.dim[i];
        else if (i > axis)
            *inner *= s.dim[i];
    }
}

static ss_code concat_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    const int64_t outer = n->arg.rows.outer, a = n->arg.rows.a, b = n->arg.rows.b;
    ss_code rc = ss_do_copy_rows(c, n->in[0], 0, a, y, 0, a + b, outer, a);

    if (rc == SS_OK)
        rc = ss_do_copy_rows(c, n->in[1], 0, b, y, a, a + b, outer, b);
    return rc;
}

/* The two parts of dy. */
static ss_code concat_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                               ss_tensor *const dx[])
{
    const int64_t outer = n->arg.rows.outer, a = n->arg.rows.a, b = n->arg.rows.b;
    ss_code rc = SS_OK;

    if (dx[0])
        rc = ss_do_copy_rows(c, dy, 0, a + b, dx[0], 0, a, outer, a);
    if (rc == SS_OK && dx[1])
        rc = ss_do_copy_rows(c, dy, a, a + b, dx[1], 0, b, outer, b);
    return rc;
}

ss_tensor *ss_concat(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, int axis)
{
    int64_t outer, inner;

    if (!ready(c, a) || !ready(c, b))
        return NULL;
    if (axis < 0)
        axis += a->shape.rank;
    ss_shape s = a->shape, t = b->shape;
    bool fit = axis >= 0 && axis < s.rank && s.rank == t.rank;
    if (fit) {
        t.dim[axis] = s.dim[axis];
        fit = ss_shape_equal(s, t);
    }
    if (!fit)
        return ss_ctx_fail(c, SS_SHAPE, "concat: %s and %s differ beside axis %d", TEXT(a), TEXT(b),
                           axis);
    around_axis(s, axis, &outer, &inner);
    s.dim[axis] += ss_dim(b, axis);

    static const ss_op op = {
        .name = "concat", .forward = concat_forward, .backward = concat_backward, .copies = true};
    ss_node n = {
        .op = &op,
        .in = {a, b},
        .shape = s,
        .arg.rows = {.outer = outer, .a = ss_dim(a, axis) * inner, .b = ss_dim(b, axis) * inner}};
    return ss_node_run(c, &n);
}

static ss_code slice_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_copy_rows(c, n->in[0], n->arg.rows.offset, n->arg.rows.a, y, 0, n->arg.rows.b,
                           n->arg.rows.outer, n->arg.rows.b);
}

/* dy in its place among zeros. */
static ss_code slice_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                              ss_tensor *const dx[])
{
    ss_code rc = ss_do_fill(c, dx[0], 0);

    if (rc != SS_OK)
        return rc;
    return ss_do_copy_rows(c, dy, 0, n->arg.rows.b, dx[0], n->arg.rows.offset, n->arg.rows.a,
                           n->arg.rows.outer, n->arg.rows.b);
}

ss_tensor *ss_slice(ss_ctx *c, const ss_tensor *x, int axis, int64_t from, int64_t to)
{
    int64_t outer, inner;

    if (!ready(c, x))
        return NULL;
    if (axis < 0)
        axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank || from < 0 || to < from || to > ss_dim(x, axis))
        return ss_ctx_fail(c, SS_SHAPE, "slice: %s has no [%lld,%lld) along axis %d", TEXT(x),
                           (long long)from, (long long)to, axis);
    ss_shape s = x->shape;
    around_axis(s, axis, &outer, &inner);
    s.dim[axis] = to - from;

    static const ss_op op = {
        .name = "slice", .forward = slice_forward, .backward = slice_backward, .copies = true};
    ss_node n = {.op = &op,
                 .in = {x},
                 .shape = s,
                 .arg.rows = {.outer = outer,
                              .a = ss_dim(x, axis) * inner,
                              .b = (to - from) * inner,
                              .offset = from * inner}};
    return ss_node_run(c, &n);
}

/* ---- the order of axes ---- */

static ss_code permute_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_permute(c, n->in[0], n->arg.axes, y);
}

/* dy, with its axes back in their places. */
static ss_code permute_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                ss_tensor *const dx[])
{
    int back[SS_MAX_RANK] = {0};

    for (int k = 0; k < dy->shape.rank; k++)
        back[n->arg.axes[k]] = k;
    return ss_do_permute(c, dy, back, dx[0]);
}

/* True when each axis is named once. */
static bool are_all_axes(const int *axes, int rank)
{
    unsigned named = 0;

    for (int k = 0; k < rank; k++)
        if (axes[k] >= 0 && axes[k] < rank)
            named |= 1u << axes[k];
    return named == (1u << rank) - 1;
}

ss_tensor *ss_permute(ss_ctx *c, const ss_tensor *x, const int *axes)
{
    static const ss_op op = {.name = "permute",
                             .forward = permute_forward,
                             .backward = permute_backward,
                             .copies = true};
    int before = -1;
    bool moves = false;

    if (!ready(c, x))
        return NULL;
    if (!are_all_axes(axes, x->shape.rank))
        return ss_ctx_fail(c, SS_SHAPE, "permute: the axes of %s are not all named once", TEXT(x));
    ss_node n = {.op = &op, .in = {x}, .shape = x->shape};
    for (int k = 0; k < x->shape.rank; k++) {
        n.arg.axes[k] = axes[k];
        n.shape.dim[k] = x->shape.dim[axes[k]];
        if (n.shape.dim[k] == 1)
            continue;
        moves |= axes[k] < before;
        before = axes[k];
    }
    return moves ? ss_node_run(c, &n) : ss_reshape(c, x, n.shape);
}

/* ---- pictures larger and smaller ---- */

ss_tensor *ss_frames_to_batch(ss_ctx *c, const ss_tensor *x)
{
    const int64_t *d = x->shape.dim;

    return ss_reshape(c, x, ss_shape_of(d[0] * d[1], d[2], d[3], d[4]));
}

ss_tensor *ss_batch_to_frames(ss_ctx *c, ss_tensor *y, const ss_tensor *x)
{
    ss_tensor *video = ss_reshape(
        c, y, ss_shape_of(ss_dim(x, 0), ss_dim(x, 1), ss_dim(y, 1), ss_dim(y, 2), ss_dim(y, 3)));

    ss_release(y);
    return video;
}

static ss_code upsample_nearest_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_upsample_nearest(c, n->in[0], y);
}

/* Each dx is the sum of the dy that took its value. */
static ss_code upsample_nearest_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                         ss_tensor *const dx[])
{
    (void)n;
    return ss_back_upsample_nearest(c, dy, dx[0]);
}

ss_tensor *ss_upsample_nearest(ss_ctx *c, const ss_tensor *x, int64_t h, int64_t w)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank == 5) {
        ss_tensor *pictures = ss_frames_to_batch(c, x), *y = ss_upsample_nearest(c, pictures, h, w);

        ss_release(pictures);
        return ss_batch_to_frames(c, y, x);
    }
    if (x->shape.rank != 4 || h < 1 || w < 1 || ss_shape_numel(x->shape) == 0)
        return ss_ctx_fail(c, SS_SHAPE, "upsample: %s to %lldx%lld is not possible", TEXT(x),
                           (long long)h, (long long)w);
    static const ss_op op = {.name = "upsample",
                             .forward = upsample_nearest_forward,
                             .backward = upsample_nearest_backward,
                             .saves = 0,
                             .cast = SS_CAST_FP32,
                             .copies = true};
    ss_node n = {.op = &op, .in = {x}, .shape = ss_shape_of(ss_dim(x, 0), h, w, ss_dim(x, 3))};
    return ss_node_run(c, &n);
}

static ss_code avg_pool2_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_avg_pool2(c, n->in[0], y);
}

/* A quarter of dy to each of the four; 0 to dropped rows and columns. */
static ss_code avg_pool2_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                  ss_tensor *const dx[])
{
    (void)n;
    return ss_back_avg_pool2(c, dy, dx[0]);
}

ss_tensor *ss_avg_pool2(ss_ctx *c, const ss_tensor *x)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank == 5) {
        ss_tensor *pictures = ss_frames_to_batch(c, x), *y = ss_avg_pool2(c, pictures);

        ss_release(pictures);
        return ss_batch_to_frames(c, y, x);
    }
    if (x->shape.rank != 4 || ss_dim(x, 1) < 2 || ss_dim(x, 2) < 2)
        return ss_ctx_fail(c, SS_SHAPE, "average pool: %s is smaller than 2x2", TEXT(x));
    static const ss_op op = {
        .name = "average pool", .forward = avg_pool2_forward, .backward = avg_pool2_backward};
    ss_node n = {.op = &op,
                 .in = {x},
                 .shape =
                     ss_shape_of(ss_dim(x, 0), ss_dim(x, 1) / 2, ss_dim(x, 2) / 2, ss_dim(x, 3))};
    return ss_node_run(c, &n);
}

static ss_fir_args fir_args(const ss_node *n, const ss_tensor *x, ss_tensor *y)
{
    return (ss_fir_args){x,
                         n->arg.fir.kernel,
                         n->arg.fir.taps,
                         n->arg.fir.up,
                         n->arg.fir.down,
                         n->arg.fir.pad0,
                         n->arg.fir.pad1,
                         y};
}

static ss_code fir_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    const ss_fir_args a = fir_args(n, n->in[0], y);

    return ss_do_fir_resample(c, &a);
}

/* The transposed map: each dx gathers the dy that it was weighed into, with the same weights. */
static ss_code fir_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy, ss_tensor *const dx[])
{
    const ss_fir_args a = fir_args(n, dy, dx[0]);

    return ss_back_fir_resample(c, &a);
}

ss_tensor *ss_fir_resample(ss_ctx *c, const ss_tensor *x, const float *kernel, int n, int up,
                           int down, int pad0, int pad1)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank == 5) {
        ss_tensor *pictures = ss_frames_to_batch(c, x),
                  *y = ss_fir_resample(c, pictures, kernel, n, up, down, pad0, pad1);

        ss_release(pictures);
        return ss_batch_to_frames(c, y, x);
    }
    int64_t h = ss_dim(x, 1) * up + pad0 + pad1 - n, w = ss_dim(x, 2) * up + pad0 + pad1 - n;
    if (x->shape.rank != 4 || n < 1 || n > 8 || up < 1 || down < 1 || h < 0 || w < 0)
        return ss_ctx_fail(c, SS_SHAPE, "fir resample: %s is too small for %d taps", TEXT(x), n);
    static const ss_op op = {.name = "fir resample",
                             .forward = fir_forward,
                             .backward = fir_backward,
                             .cast = SS_CAST_LOW}; /* a convolution, there */
    ss_tensor *low = ss_lower(c, x);
    ss_node node = {.op = &op,
                    .in = {low},
                    .shape = ss_shape_of(ss_dim(x, 0), h / down + 1, w / down + 1, ss_dim(x, 3)),
                    .arg.fir = {.taps = n, .up = up, .down = down, .pad0 = pad0, .pad1 = pad1}};
    memcpy(node.arg.fir.kernel, kernel, (size_t)n * sizeof *kernel);
    ss_tensor *y = low ? ss_node_run(c, &node) : NULL;
    ss_release(low);
    return y;
}

static ss_code mean_tokens_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_mean_tokens(c, n->in[0], y);
}

/* dy / T to each token. */
static ss_code mean_tokens_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                    ss_tensor *const dx[])
{
    (void)n;
    return ss_back_mean_tokens(c, dy, dx[0]);
}

ss_tensor *ss_mean_tokens(ss_ctx *c, const ss_tensor *x)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank != 3 || ss_dim(x, 1) < 1)
        return ss_ctx_fail(c, SS_SHAPE, "mean over tokens: %s is no [N,T,C]", TEXT(x));
    static const ss_op op = {.name = "mean over tokens",
                             .forward = mean_tokens_forward,
                             .backward = mean_tokens_backward};
    ss_node n = {.op = &op, .in = {x}, .shape = ss_shape_of(ss_dim(x, 0), 1, ss_dim(x, 2))};
    return ss_node_run(c, &n);
}

static ss_code embedding_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_embedding(c, n->in[0], n->host, y);
}

/* Each row of the table gets the sum of the dy of its uses, in their order. */
static ss_code embedding_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                  ss_tensor *const dx[])
{
    return ss_back_embedding(c, n->host, dy, dx[0]);
}

ss_tensor *ss_embedding(ss_ctx *c, const ss_tensor *table, const int64_t *ids, int64_t n)
{
    if (!ready(c, table))
        return NULL;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= ss_dim(table, 0))
            return ss_ctx_fail(c, SS_USAGE, "index %lld is outside of the %lld rows of the table",
                               (long long)ids[i], (long long)ss_dim(table, 0));
    }
    static const ss_op op = {
        .name = "embedding", .forward = embedding_forward, .backward = embedding_backward};
    ss_node node = {.op = &op,
                    .in = {table},
                    .shape = ss_shape_of(n, ss_dim(table, 1)),
                    .host = ids,
                    .host_bytes = (size_t)n * sizeof *ids};
    return ss_node_run(c, &node);
}
