/* strips.c - see strips.h */
#include "kernels/cuda/strips.h"

#include "kernels/cuda/cuda.h"

/* Room for logits: this, or the 32nd part of a small card */
#define STRIP_BYTES ((int64_t)256 << 20)

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void choose_strips(ss_cuda_strips *p, int64_t bytes)
{
    enum { ROWS = 64 }; /* whole tiles of a product */
    const int64_t head = p->T * p->pitch * (int64_t)sizeof(float), sample = head * p->a->heads;
    const int64_t rows = bytes / (p->pitch * (int64_t)sizeof(float));

    p->samples = sample <= bytes && sample ? at_most(bytes / sample, p->a->n) : 1;
    p->heads = sample <= bytes ? p->a->heads : head <= bytes ? bytes / head : 1;
    p->rows = head <= bytes ? p->T : rows < 1 ? 1 : rows < ROWS ? rows : rows / ROWS * ROWS;
}

int64_t ss_cuda_strip_bytes(const ss_device *d)
{
    return at_most(STRIP_BYTES, (int64_t)(d->memory / 32));
}

bool ss_cuda_strip_next(const ss_cuda_strips *p, ss_cuda_strip *s)
{
    const bool first = s->n == 0;

    s->t0 += s->rows;
    if (s->t0 >= p->T) {
        s->t0 = 0;
        s->h0 += s->heads;
    }
    if (s->h0 >= p->a->heads) {
        s->h0 = 0;
        s->n0 += s->n;
    }
    if (first)
        *s = (ss_cuda_strip){0};
    s->n = at_most(p->samples, p->a->n - s->n0);
    s->heads = at_most(p->heads, p->a->heads - s->h0);
    s->rows = at_most(p->rows, p->T - s->t0);
    return s->n > 0;
}

int64_t ss_cuda_strips_rows(const ss_cuda_strips *p)
{
    return p->samples * p->heads * p->rows;
}

void *ss_cuda_strips_space(ss_device *d, int64_t n, size_t size, ss_err *e)
{
    return ss_cuda_work(d, (size_t)n * size, "the work space of an attention", e);
}

/* x / |x| of each head's part, for cosine attention; NULL after filling e. */
static float *unit_of(ss_device *d, const ss_cuda_strips *p, const ss_tensor *x, int64_t tokens,
                      ss_err *e)
{
    const int64_t rows = p->a->n * tokens * p->a->heads;
    float *y = ss_cuda_strips_space(d, rows * p->D, sizeof *y, e);

    if (y && SS_LAUNCH(d, e, unit_vectors, ss_cuda_warps(rows), .x = x->data, .y = y, .rows = rows,
                       .width = p->D) != SS_OK) {
        ss_pool_free(&d->pool, y);
        return NULL;
    }
    return y;
}

ss_cuda_numbers ss_cuda_numbers_of_format(const ss_format *f)
{
    return f ? (ss_cuda_numbers){f->exp_bits, f->man_bits} : (ss_cuda_numbers){0};
}

ss_code ss_cuda_strips_plan(ss_device *d, const ss_attention_args *a, int64_t bytes,
                            ss_cuda_strips *p, ss_err *e)
{
    const ss_cuda_numbers any = {0};

    *p = (ss_cuda_strips){.a = a,
                          .T = a->queries,
                          .S = a->keys,
                          .D = a->width,
                          .C = (int64_t)a->heads * a->width,
                          .pitch = (a->keys + 3) / 4 * 4, /* rows begin at multiples of 16 bytes */
                          .q = a->q->data,
                          .k = a->k->data,
                          .in_q = a->cosine ? any : ss_cuda_numbers_of(a->q, NULL),
                          .in_k = a->cosine ? any : ss_cuda_numbers_of(a->k, NULL),
                          .in_p = ss_cuda_numbers_of_format(a->rounding)};
    choose_strips(p, bytes);
    if (!a->cosine)
        return SS_OK;
    if (!(p->q = p->unit_q = unit_of(d, p, a->q, p->T, e)) ||
        !(p->k = p->unit_k = unit_of(d, p, a->k, p->S, e)))
        return e->code;
    return SS_OK;
}

/* ---- products ---- */

ss_cuda_matrices ss_cuda_of_queries(const ss_cuda_strips *p, const ss_cuda_strip *s, const float *x)
{
    return (ss_cuda_matrices){(float *)x + (s->n0 * p->T + s->t0) * p->C + s->h0 * p->D, p->C,
                              p->T * p->C, p->D};
}

ss_cuda_matrices ss_cuda_of_keys(const ss_cuda_strips *p, const ss_cuda_strip *s, const float *x)
{
    return (ss_cuda_matrices){(float *)x + s->n0 * p->S * p->C + s->h0 * p->D, p->C, p->S * p->C,
                              p->D};
}

ss_cuda_matrices ss_cuda_of_logits(const ss_cuda_strips *p, const ss_cuda_strip *s, float *l)
{
    return (ss_cuda_matrices){l, p->pitch, s->heads * s->rows * p->pitch, s->rows * p->pitch};
}

ss_code ss_cuda_strip_multiply(ss_device *d, const ss_cuda_strip *s, ss_cuda_gemm_args g,
                               ss_cuda_matrices a, ss_cuda_matrices b, ss_cuda_matrices c,
                               ss_err *e)
{
    const bool of_samples = s->n > s->heads; /* batched; heads in turn */
    const int64_t turns = of_samples ? s->heads : s->n;
    ss_code rc = SS_OK;

    g.lda = a.ld;
    g.ldb = b.ld;
    g.ldc = c.ld;
    g.batch = of_samples ? s->n : s->heads;
    g.a_step = of_samples ? a.sample : a.head;
    g.b_step = of_samples ? b.sample : b.head;
    g.c_step = of_samples ? c.sample : c.head;
    for (int64_t i = 0; i < turns && rc == SS_OK; i++) {
        g.a = a.p + i * (of_samples ? a.head : a.sample);
        g.b = b.p + i * (of_samples ? b.head : b.sample);
        g.c = c.p + i * (of_samples ? c.head : c.sample);
        rc = ss_cuda_gemm(d, &g, e);
    }
    return rc;
}

ss_code ss_cuda_strip_logits(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                             float *l, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->S,
                                 .k = p->D,
                                 .b_turned = true,
                                 .alpha = 1,
                                 .tensor = ss_cuda_on_tensor_cores(d, p->in_q, p->in_k)};

    return ss_cuda_strip_multiply(d, s, g, ss_cuda_of_queries(p, s, p->q),
                                  ss_cuda_of_keys(p, s, p->k), ss_cuda_of_logits(p, s, l), e);
}

/* ---- rows ---- */

const ss_cuda_row_kernels *ss_cuda_row_kernels_for(int64_t keys)
{
    static const ss_cuda_row_kernels all[] = {
        {256, SS_KERNEL_softmax_warp, SS_KERNEL_watched_warp, SS_KERNEL_dsoftmax_warp, 8, 4096},
        {4096, SS_KERNEL_softmax_block, SS_KERNEL_watched_block, SS_KERNEL_dsoftmax_block, 1, 1024},
        {INT64_MAX, SS_KERNEL_softmax_any, SS_KERNEL_watched_any, SS_KERNEL_dsoftmax_any, 1, 1024}};
    const ss_cuda_row_kernels *r = all;

    while (keys > r->keys)
        r++;
    return r;
}

ss_cuda_softmax ss_cuda_softmax_of(const ss_cuda_strips *p, const ss_cuda_strip *s, float *l)
{
    const ss_attention_args *a = p->a;
    const bool rounded = a->rounding, sdpa = a->code == SS_ATTENTION_SDPA;
    const int64_t units = s->n * s->heads;
    const int64_t full = units * s->rows / ss_cuda_row_kernels_for(p->S)->busy;
    const int64_t step = a->bias && a->bias->shape.dim[0] > 1 ? p->T * p->S : 0;
    const float *bias = a->bias ? (const float *)a->bias->data + s->h0 * step + s->t0 * p->S : NULL;
    const int64_t each = full < 1 ? 1 : at_most(full, SS_CUDA_MOST_ROWS);

    return (ss_cuda_softmax){.l = l,
                             .mask = a->mask ? (const float *)a->mask->data + s->n0 * p->S : NULL,
                             .bias = bias,
                             .bias_step = step,
                             .units = units,
                             .rows = s->rows,
                             .keys = p->S,
                             .pitch = p->pitch,
                             .each = each,
                             .teams = (s->rows + each - 1) / each,
                             .heads = s->heads,
                             .scale = a->scale,
                             .round_products = rounded && a->code == SS_ATTENTION_EAGER_UNSCALED,
                             .round_logits = rounded && !sdpa,
                             .round_numerators = rounded && sdpa,
                             .round_probabilities = rounded && !sdpa,
                             .to = ss_cuda_rounding_of(a->rounding)};
}

ss_code ss_cuda_run_rows(ss_device *d, ss_cuda_kernel k, const ss_cuda_row_kernels *r,
                         const ss_cuda_softmax *m, ss_err *e)
{
    const ss_kernel_softmax_warp args = {*m}; /* all of these kernels' are alike */
    const int64_t blocks = (m->units * m->teams + r->teams - 1) / r->teams;

    return ss_cuda_launch(d, k, (ss_cuda_grid_size){.x = blocks}, SS_THREADS_softmax_warp, &args,
                          e);
}

void ss_cuda_strips_release(ss_device *d, ss_cuda_strips *p)
{
    ss_pool_free(&d->pool, p->unit_q);
    ss_pool_free(&d->pool, p->unit_k);
}
