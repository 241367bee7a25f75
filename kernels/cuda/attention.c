/* attention.c - softmax(scale Q K^T + mask) V on the device, its statistics and its gradients
 *
 * In strips, whose logits take at most STRIP_BYTES, so that memory is linear in the tokens:
 *
 *   L = Q K^T          cuBLAS, a batch of heads or of samples, whichever are more
 *   P = softmax(L)     a kernel (attention.cu), in place; with statistics of its rows
 *   Y = P V            cuBLAS
 *
 * A strip is some heads of some samples with all of their queries, or some queries of one head. So
 * a query has all its logits at hand, as on the CPU (isa_attention.c): statistics come from the
 * same pass and change no bit, and what is rounded is whole.
 *
 * Launches of a strip: min(samples, heads) for each product, and 1 for the rows; 1 more with
 * statistics, and 1 with rounded numerators. SD 1.5's attention of 4096 tokens, 8 heads, is 2
 * strips: 6 launches, 8 with statistics. Bytes of a logit: 4 written and 4 read by the products, 8
 * by the rows, 0.5 more with statistics; 2.1 GB or 0.5 ms there on 4.3 TB/s, beside 0.32 ms of
 * multiplications in f32.
 *
 * One kernel for all, as FlashAttention, would spare those bytes, but multiply on the f32 units
 * with operands from shared memory, where cuBLAS is tuned for each card; and rounded probabilities,
 * the sink and the entropy need the row's Z before the second product, so it would make Q K^T
 * twice.
 */
#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/matrix.h"

#include <math.h>

/* Room for logits: this, or the 32nd part of a small card */
#define STRIP_BYTES ((int64_t)256 << 20)

_Static_assert((int)SS_CUDA_LOGIT_FROM == (int)SS_LOGIT_FROM &&
                   (int)SS_CUDA_LOGIT_BINS == (int)SS_LOGIT_EXPONENTS + 1,
               "attention.h repeats stats.h");

/* Sizes and operands of one call. */
typedef struct {
    const ss_attention_args *a;
    int64_t T, S, D, C;           /* C: all heads together */
    int64_t pitch;                /* from one row of logits to the next */
    int64_t samples, heads, rows; /* of a strip, at most */
    const float *q, *k;           /* divided by their lengths where cosine */
    float *unit_q, *unit_k;       /* those, or NULL */
    ss_cuda_numbers in_q, in_k, in_p;
} plan;

typedef struct {
    int64_t n0, n, h0, heads, t0, rows;
} strip;

/* ---- strips ---- */

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void choose_strips(plan *p, int64_t bytes)
{
    enum { ROWS = 64 }; /* whole tiles of a product */
    const int64_t head = p->T * p->pitch * (int64_t)sizeof(float), sample = head * p->a->heads;
    const int64_t rows = bytes / (p->pitch * (int64_t)sizeof(float));

    p->samples = sample <= bytes && sample ? at_most(bytes / sample, p->a->n) : 1;
    p->heads = sample <= bytes ? p->a->heads : head <= bytes ? bytes / head : 1;
    p->rows = head <= bytes ? p->T : rows < 1 ? 1 : rows < ROWS ? rows : rows / ROWS * ROWS;
}

static int64_t strip_bytes(const ss_device *d)
{
    return at_most(STRIP_BYTES, (int64_t)(d->memory / 32));
}

/* The next strip, all queries of a head before the next; false after the last. Starts from zeros.
 */
static bool next_strip(const plan *p, strip *s)
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
        *s = (strip){0};
    s->n = at_most(p->samples, p->a->n - s->n0);
    s->heads = at_most(p->heads, p->a->heads - s->h0);
    s->rows = at_most(p->rows, p->T - s->t0);
    return s->n > 0;
}

static int64_t rows_of_a_strip(const plan *p)
{
    return p->samples * p->heads * p->rows;
}

static void *get(ss_device *d, int64_t n, size_t size, ss_err *e)
{
    return ss_cuda_work(d, (size_t)n * size, "the work space of an attention", e);
}

/* Blocks of eight warps, each with a row */
static ss_cuda_grid_size warps(int64_t rows)
{
    return (ss_cuda_grid_size){.x = (rows + 7) / 8};
}

/* x / |x| of each head's part, for cosine attention; NULL after filling e. */
static float *unit_of(ss_device *d, const plan *p, const ss_tensor *x, int64_t tokens, ss_err *e)
{
    const int64_t rows = p->a->n * tokens * p->a->heads;
    float *y = get(d, rows * p->D, sizeof *y, e);

    if (y && SS_LAUNCH(d, e, unit_vectors, warps(rows), .x = x->data, .y = y, .rows = rows,
                       .width = p->D) != SS_OK) {
        ss_pool_free(&d->pool, y);
        return NULL;
    }
    return y;
}

static ss_cuda_numbers numbers_of_format(const ss_format *f)
{
    return f ? (ss_cuda_numbers){f->exp_bits, f->man_bits} : (ss_cuda_numbers){0};
}

/* After an error too it is to be released. */
static ss_code make_plan(ss_device *d, const ss_attention_args *a, int64_t bytes, plan *p,
                         ss_err *e)
{
    const ss_cuda_numbers any = {0};

    *p = (plan){.a = a,
                .T = a->queries,
                .S = a->keys,
                .D = a->width,
                .C = (int64_t)a->heads * a->width,
                .pitch = (a->keys + 3) / 4 * 4, /* rows begin at multiples of 16 bytes */
                .q = a->q->data,
                .k = a->k->data,
                .in_q = a->cosine ? any : ss_cuda_numbers_of(a->q, NULL),
                .in_k = a->cosine ? any : ss_cuda_numbers_of(a->k, NULL),
                .in_p = numbers_of_format(a->rounding)};
    choose_strips(p, bytes);
    if (!a->cosine)
        return SS_OK;
    if (!(p->q = p->unit_q = unit_of(d, p, a->q, p->T, e)) ||
        !(p->k = p->unit_k = unit_of(d, p, a->k, p->S, e)))
        return e->code;
    return SS_OK;
}

/* ---- products ---- */

/* A matrix of each head of each sample. */
typedef struct {
    float *p; /* the first one's */
    int64_t ld, sample, head;
} matrices;

static matrices of_queries(const plan *p, const strip *s, const float *x)
{
    return (matrices){(float *)x + (s->n0 * p->T + s->t0) * p->C + s->h0 * p->D, p->C, p->T * p->C,
                      p->D};
}

static matrices of_keys(const plan *p, const strip *s, const float *x)
{
    return (matrices){(float *)x + s->n0 * p->S * p->C + s->h0 * p->D, p->C, p->S * p->C, p->D};
}

static matrices of_logits(const plan *p, const strip *s, float *l)
{
    return (matrices){l, p->pitch, s->heads * s->rows * p->pitch, s->rows * p->pitch};
}

/* A product for each head of each sample of the strip; g has the sizes of one. */
static ss_code multiply(ss_device *d, const strip *s, ss_cuda_gemm_args g, matrices a, matrices b,
                        matrices c, ss_err *e)
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

/* l = q k^T */
static ss_code make_logits(ss_device *d, const plan *p, const strip *s, float *l, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->S,
                                 .k = p->D,
                                 .b_turned = true,
                                 .alpha = 1,
                                 .tensor = ss_cuda_on_tensor_cores(d, p->in_q, p->in_k)};

    return multiply(d, s, g, of_queries(p, s, p->q), of_keys(p, s, p->k), of_logits(p, s, l), e);
}

/* ---- rows ---- */

/* The kernels for rows of at most so many keys, and how many rows there should be before a team
 * takes several: then all of a card has something to do. */
typedef struct {
    int64_t keys;
    ss_cuda_kernel plain, watched, gradient;
    int threads, teams; /* of a block */
    int64_t busy;
} row_kernels;

static const row_kernels *kernels_for(int64_t keys)
{
    static const row_kernels all[] = {{256, SS_KERNEL_softmax_warp, SS_KERNEL_watched_warp,
                                       SS_KERNEL_dsoftmax_warp, 256, 8, 4096},
                                      {4096, SS_KERNEL_softmax_block, SS_KERNEL_watched_block,
                                       SS_KERNEL_dsoftmax_block, 256, 1, 1024},
                                      {8192, SS_KERNEL_softmax_wide, SS_KERNEL_watched_wide,
                                       SS_KERNEL_dsoftmax_wide, 512, 1, 512},
                                      {INT64_MAX, SS_KERNEL_softmax_any, SS_KERNEL_watched_any,
                                       SS_KERNEL_dsoftmax_any, 512, 1, 512}};
    const row_kernels *r = all;

    while (keys > r->keys)
        r++;
    return r;
}

static ss_cuda_softmax softmax_of(const plan *p, const strip *s, float *l)
{
    const ss_attention_args *a = p->a;
    const bool rounded = a->rounding, sdpa = a->code == SS_ATTENTION_SDPA;
    const int64_t units = s->n * s->heads;
    const int64_t full = units * s->rows / kernels_for(p->S)->busy;
    const int64_t each = full < 1 ? 1 : at_most(full, SS_CUDA_MOST_ROWS);

    return (ss_cuda_softmax){.l = l,
                             .mask = a->mask ? (const float *)a->mask->data + s->n0 * p->S : NULL,
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

static ss_code run_rows(ss_device *d, ss_cuda_kernel k, const row_kernels *r,
                        const ss_cuda_softmax *m, ss_err *e)
{
    const ss_kernel_softmax_warp args = {*m}; /* all of these kernels' are alike */
    const int64_t blocks = (m->units * m->teams + r->teams - 1) / r->teams;

    return ss_cuda_launch(d, k, (ss_cuda_grid_size){.x = blocks}, r->threads, &args, e);
}

/* ---- statistics ---- */

static void take_range(const ss_cuda_range *r, float *least, float *most, float *peak)
{
    const bool none = r->least > r->most;

    *least = none ? NAN : r->least;
    *most = none ? NAN : r->most;
    *peak = none ? NAN : fmaxf(fabsf(r->first_peak), fabsf(r->last_peak));
}

/* n heads of m queries */
static void take_stats(const void *values, const ss_cuda_taker *t)
{
    const ss_cuda_unit_stats *of = values;
    ss_attention_stats *stats = t->out;
    ss_logit_stats *logits = t->out2;

    for (int64_t i = 0; i < t->n; i++) {
        const ss_cuda_unit_stats *u = &of[i];
        ss_logit_stats *l = &logits[i];
        float sink;

        memcpy(&sink, &u->sink, sizeof sink);
        *l = (ss_logit_stats){.probability = u->rows.probability,
                              .nonfinite = u->large[1][SS_LOGIT_EXPONENTS],
                              .raw_nonfinite = u->large[0][SS_LOGIT_EXPONENTS],
                              .lost = u->rows.lost};
        take_range(&u->rows.stored, &l->least, &l->most, &l->peak);
        take_range(&u->rows.raw, &l->raw_least, &l->raw_most, &l->raw_peak);
        for (int k = 0; k < SS_LOGIT_EXPONENTS; k++) {
            l->large[k] = u->large[1][k];
            l->raw_large[k] = u->large[0][k];
        }
        stats[i] = (ss_attention_stats){.entropy = (float)(u->rows.entropy / (double)t->m),
                                        .entropy_min = (float)u->rows.entropy_min,
                                        .max_logit = l->most,
                                        .sink = (float)(sink / (double)t->m)};
    }
}

/* The rows, watched, and what their teams found put together. total [pitch]: see heads.h. */
static ss_code watch_rows(ss_device *d, const plan *p, const strip *s, ss_cuda_softmax *m,
                          ss_cuda_unit_stats *stats, double *total, ss_err *e)
{
    const row_kernels *r = kernels_for(p->S);
    const int64_t teams = m->units * m->teams, blocks = m->units * ((p->S + 31) / 32 + 1);
    ss_code rc = SS_OK;

    m->stats = stats + s->n0 * p->a->heads + s->h0;
    m->all_heads = p->a->heads;
    if (!(m->parts = get(d, teams, sizeof *m->parts, e)) ||
        !(m->mass = get(d, teams * p->pitch, sizeof *m->mass, e)))
        rc = e->code;
    if (rc == SS_OK)
        rc = run_rows(d, r->watched, r, m, e);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, softmax_sum, ((ss_cuda_grid_size){.x = blocks}), .s = *m,
                       .total = total, .first = s->t0 == 0, .last = s->t0 + s->rows == p->T);
    ss_pool_free(&d->pool, m->parts);
    ss_pool_free(&d->pool, m->mass);
    return rc;
}

/* ---- forward ---- */

/* Work space of a call. */
typedef struct {
    float *l, *dp, *inverse;
    double *total;
    ss_cuda_unit_stats *stats; /* [n][heads], a result; NULL where nobody asks */
} work;

static void release(ss_device *d, plan *p, work *w)
{
    void *const all[] = {w->l, w->dp, w->inverse, w->total, p->unit_q, p->unit_k};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ss_pool_free(&d->pool, all[i]);
}

static ss_code forward_strip(ss_device *d, const plan *p, const strip *s, const work *w, ss_err *e)
{
    const row_kernels *r = kernels_for(p->S);
    ss_cuda_softmax m = softmax_of(p, s, w->l);
    const matrices y = of_queries(p, s, p->a->y->data);
    const ss_cuda_gemm_args g = {
        .m = s->rows,
        .n = p->D,
        .k = p->S,
        .alpha = 1,
        .tensor = ss_cuda_on_tensor_cores(d, p->in_p, ss_cuda_numbers_of(p->a->v, NULL))};
    ss_code rc = make_logits(d, p, s, w->l, e);

    m.inverse = w->inverse;
    if (rc == SS_OK)
        rc = w->stats ? watch_rows(d, p, s, &m, w->stats, w->total, e)
                      : run_rows(d, r->plain, r, &m, e);
    if (rc == SS_OK)
        rc = multiply(d, s, g, of_logits(p, s, w->l), of_keys(p, s, p->a->v->data), y, e);
    if (rc == SS_OK && w->inverse)
        rc = SS_LAUNCH(d, e, scale_rows, warps(m.units * s->rows), .y = y.p, .inverse = w->inverse,
                       .units = m.units, .rows = s->rows, .heads = s->heads,
                       .sample_step = y.sample, .row_step = y.ld, .width = p->D);
    return rc;
}

static ss_code get_forward(ss_device *d, const plan *p, work *w, ss_err *e)
{
    const ss_attention_args *a = p->a;
    const int64_t rows = rows_of_a_strip(p), n = a->n * a->heads;
    const bool numerators = a->rounding && a->code == SS_ATTENTION_SDPA;
    const ss_cuda_taker t = {.out = a->stats, .out2 = a->logits, .n = n, .m = p->T};

    if (!(w->l = get(d, rows * p->pitch, sizeof *w->l, e)) ||
        (numerators && !(w->inverse = get(d, rows, sizeof *w->inverse, e))) ||
        (a->stats && p->rows < p->T && !(w->total = get(d, p->pitch, sizeof *w->total, e))))
        return e->code;
    if (!a->stats)
        return SS_OK;
    return ss_cuda_result(d, (size_t)n * sizeof *w->stats, take_stats, t, (void **)&w->stats, e);
}

ss_code ss_cuda_attention(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    plan p;
    work w = {0};
    strip s = {0};
    ss_code rc = make_plan(d, a, strip_bytes(d), &p, e);

    if (rc == SS_OK)
        rc = get_forward(d, &p, &w, e);
    while (rc == SS_OK && next_strip(&p, &s))
        rc = forward_strip(d, &p, &s, &w, e);
    release(d, &p, &w);
    return rc;
}

/* ---- gradients ----
 *
 *   dP = dY V^T,  dL = P (dP - rowsum(P dP)),  dQ = scale dL K,
 *   dK = scale dL^T Q,  dV = P^T dY
 *
 * P is made again strip by strip. The strips of a head come one after the other, and each adds to
 * dK and dV. With cosine attention q and k are the normalised ones, and their gradients go through
 * the normalisation at the end.
 */

/* dx [S][D] = or += scale l^T x, l [rows][S], x [rows][D] */
static ss_code add_to_keys(ss_device *d, const plan *p, const strip *s, float *l,
                           ss_cuda_numbers in_l, matrices x, ss_cuda_numbers in_x, float scale,
                           const ss_tensor *dx, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = p->S,
                                 .n = p->D,
                                 .k = s->rows,
                                 .a_turned = true,
                                 .alpha = scale,
                                 .beta = s->t0 == 0 ? 0 : 1,
                                 .tensor = ss_cuda_on_tensor_cores(d, in_l, in_x)};

    return multiply(d, s, g, of_logits(p, s, l), x, of_keys(p, s, dx->data), e);
}

/* Products of logits' gradients with keys, to those of queries. */
static ss_code make_dq(ss_device *d, const plan *p, const strip *s, float *dl,
                       ss_cuda_numbers in_dl, const ss_tensor *dq, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->D,
                                 .k = p->S,
                                 .alpha = p->a->scale,
                                 .tensor = ss_cuda_on_tensor_cores(d, in_dl, p->in_k)};

    return multiply(d, s, g, of_logits(p, s, dl), of_keys(p, s, p->k), of_queries(p, s, dq->data),
                    e);
}

static ss_code make_dp(ss_device *d, const plan *p, const strip *s, const ss_tensor *dy, float *dp,
                       ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->S,
                                 .k = p->D,
                                 .b_turned = true,
                                 .alpha = 1,
                                 .tensor =
                                     ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(dy, NULL),
                                                             ss_cuda_numbers_of(p->a->v, NULL))};

    return multiply(d, s, g, of_queries(p, s, dy->data), of_keys(p, s, p->a->v->data),
                    of_logits(p, s, dp), e);
}

static ss_code back_strip(ss_device *d, const plan *p, const strip *s,
                          const ss_attention_gradient_args *g, const work *w, ss_err *e)
{
    const row_kernels *r = kernels_for(p->S);
    const ss_cuda_numbers any = {0}, in_dl = numbers_of_format(g->rounding);
    ss_cuda_softmax m = softmax_of(p, s, w->l);
    ss_code rc = make_logits(d, p, s, w->l, e);

    m.dp = w->dp;
    m.gradients_to = ss_cuda_rounding_of(g->rounding);
    if (rc == SS_OK)
        rc = make_dp(d, p, s, g->dy, w->dp, e);
    if (rc == SS_OK)
        rc = run_rows(d, r->gradient, r, &m, e);
    if (rc == SS_OK && g->dv)
        rc = add_to_keys(d, p, s, w->l, m.round_probabilities ? p->in_p : any,
                         of_queries(p, s, g->dy->data), ss_cuda_numbers_of(g->dy, NULL), 1, g->dv,
                         e);
    if (rc == SS_OK && g->dk)
        rc = add_to_keys(d, p, s, w->dp, in_dl, of_queries(p, s, p->q), p->in_q, p->a->scale, g->dk,
                         e);
    if (rc == SS_OK && g->dq)
        rc = make_dq(d, p, s, w->dp, in_dl, g->dq, e);
    return rc;
}

/* dx through x / |x|, in place */
static ss_code through_length(ss_device *d, const plan *p, const ss_tensor *x, int64_t tokens,
                              const ss_tensor *dx, ss_err *e)
{
    const int64_t rows = p->a->n * tokens * p->a->heads;

    if (!dx)
        return SS_OK;
    return SS_LAUNCH(d, e, unit_gradient, warps(rows), .x = x->data, .dx = dx->data, .rows = rows,
                     .width = p->D);
}

/* Without queries no strip writes them. */
static ss_code no_queries(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    ss_code rc = g->dk ? ss_cuda_fill(d, g->dk, 0, e) : SS_OK;

    return rc == SS_OK && g->dv ? ss_cuda_fill(d, g->dv, 0, e) : rc;
}

ss_code ss_cuda_back_attention(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    const ss_attention_args *a = &g->forward;
    plan p;
    work w = {0};
    strip s = {0};

    if (a->queries == 0)
        return no_queries(d, g, e);
    ss_code rc = make_plan(d, a, strip_bytes(d) / 2, &p, e);
    const int64_t n = rows_of_a_strip(&p) * p.pitch;

    if (rc == SS_OK && (!(w.l = get(d, n, sizeof *w.l, e)) || !(w.dp = get(d, n, sizeof *w.dp, e))))
        rc = e->code;
    while (rc == SS_OK && next_strip(&p, &s))
        rc = back_strip(d, &p, &s, g, &w, e);
    if (rc == SS_OK && a->cosine)
        rc = through_length(d, &p, a->q, p.T, g->dq, e);
    if (rc == SS_OK && a->cosine)
        rc = through_length(d, &p, a->k, p.S, g->dk, e);
    release(d, &p, &w);
    return rc;
}
