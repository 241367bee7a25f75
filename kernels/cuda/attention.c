/* attention.c - softmax(scale Q K^T + bias + mask) V on the device, and its statistics
 *
 * In strips (strips.h), whose logits take at most 256 MiB, so that memory is linear in the tokens:
 *
 *   L = Q K^T          cuBLAS, a batch of heads or of samples, whichever are more
 *   P = softmax(L)     a kernel (attention.cu), in place; with statistics of its rows
 *   Y = P V            cuBLAS
 *
 * So a query has all its logits at hand, as on the CPU (isa_attention_rows.c): statistics come from
 * the same pass and change no bit, and what is rounded is whole.
 *
 * Products are scaled after the sum, as PyTorch does: a q.k beyond f32's range is inf, also where
 * scale q.k would not be.
 *
 * Launches of a strip: min(samples, heads) for each product, and 1 for the rows; 1 more with
 * statistics, 1 with those by frame, and 1 with rounded numerators. SD 1.5's attention of 4096
 * tokens, 8 heads, is 2 strips: 6 launches, 8 with statistics. Bytes of a logit: 4 written and 4
 * read by the products, 8 by the rows, 0.5 more with statistics; 2.1 GB or 0.5 ms there on 4.3
 * TB/s, beside 0.32 ms of multiplications in f32.
 *
 * One kernel for all, as FlashAttention, would spare those bytes, but multiply on the f32 units
 * with operands from shared memory, where cuBLAS is tuned for each card; and rounded probabilities,
 * the sink and the entropy need the row's Z before the second product, so it would make Q K^T
 * twice.
 */
#include "kernels/cuda/strips.h"

#include <math.h>

_Static_assert((int)SS_CUDA_LOGIT_FROM == (int)SS_LOGIT_FROM &&
                   (int)SS_CUDA_LOGIT_BINS == (int)SS_LOGIT_EXPONENTS + 1 &&
                   SS_CUDA_MASKED == SS_MASKED,
               "attention.h repeats stats.h");

/* Work space of a call. */
typedef struct {
    float *l, *inverse;
    double *total;
    ss_cuda_unit_stats *stats; /* [n][heads], a result; NULL where nobody asks */
    float *frames;             /* [n][heads][2][frames], a result; NULL likewise */
} work;

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

/* n masses by frame, sums over m queries */
static void take_frames(const void *values, const ss_cuda_taker *t)
{
    const float *sums = values;
    float *mass = t->out;

    for (int64_t i = 0; i < t->n; i++)
        mass[i] = (float)(sums[i] / (double)t->m);
}

/* The rows, watched, and what their teams found put together. total [pitch]: see heads.h. */
static ss_code watch_rows(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                          ss_cuda_softmax *m, const work *w, ss_err *e)
{
    const ss_cuda_row_kernels *r = ss_cuda_row_kernels_for(p->S);
    const int64_t teams = m->units * m->teams, blocks = m->units * ((p->S + 31) / 32 + 1);
    ss_code rc = SS_OK;

    m->stats = w->stats + s->n0 * p->a->heads + s->h0;
    m->all_heads = p->a->heads;
    if (!(m->parts = ss_cuda_strips_space(d, teams, sizeof *m->parts, e)) ||
        !(m->mass = ss_cuda_strips_space(d, teams * p->pitch, sizeof *m->mass, e)))
        rc = e->code;
    if (rc == SS_OK)
        rc = ss_cuda_run_rows(d, r->watched, r, m, e);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, softmax_sum, ((ss_cuda_grid_size){.x = blocks}), .s = *m,
                       .total = w->total, .first = s->t0 == 0, .last = s->t0 + s->rows == p->T);
    if (rc == SS_OK && w->frames)
        rc = SS_LAUNCH(d, e, frame_mass,
                       ss_cuda_grid(d, 2 * m->units * p->a->frames, SS_THREADS_frame_mass), .s = *m,
                       .out = w->frames + 2 * p->a->frames * (s->n0 * p->a->heads + s->h0),
                       .frames = p->a->frames, .t0 = s->t0);
    ss_pool_free(&d->pool, m->parts);
    ss_pool_free(&d->pool, m->mass);
    return rc;
}

/* ---- forward ---- */

static void release(ss_device *d, work *w)
{
    ss_pool_free(&d->pool, w->l);
    ss_pool_free(&d->pool, w->inverse);
    ss_pool_free(&d->pool, w->total);
}

static ss_code forward_strip(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                             const work *w, ss_err *e)
{
    const ss_cuda_row_kernels *r = ss_cuda_row_kernels_for(p->S);
    ss_cuda_softmax m = ss_cuda_softmax_of(p, s, w->l);
    const ss_cuda_matrices y = ss_cuda_of_queries(p, s, p->a->y->data);
    const ss_cuda_gemm_args g = {
        .m = s->rows,
        .n = p->D,
        .k = p->S,
        .alpha = 1,
        .tensor = ss_cuda_on_tensor_cores(d, p->in_p, ss_cuda_numbers_of(p->a->v, NULL))};
    ss_code rc = ss_cuda_strip_logits(d, p, s, w->l, e);

    m.inverse = w->inverse;
    if (rc == SS_OK)
        rc = w->stats ? watch_rows(d, p, s, &m, w, e) : ss_cuda_run_rows(d, r->plain, r, &m, e);
    if (rc == SS_OK)
        rc = ss_cuda_strip_multiply(d, s, g, ss_cuda_of_logits(p, s, w->l),
                                    ss_cuda_of_keys(p, s, p->a->v->data), y, e);
    if (rc == SS_OK && w->inverse)
        rc = SS_LAUNCH(d, e, scale_rows, ss_cuda_warps(m.units * s->rows), .y = y.p,
                       .inverse = w->inverse, .units = m.units, .rows = s->rows, .heads = s->heads,
                       .sample_step = y.sample, .row_step = y.ld, .width = p->D);
    return rc;
}

static ss_code get_forward(ss_device *d, const ss_cuda_strips *p, work *w, ss_err *e)
{
    const ss_attention_args *a = p->a;
    const int64_t rows = ss_cuda_strips_rows(p), n = a->n * a->heads;
    const bool numerators = a->rounding && a->code == SS_ATTENTION_SDPA;
    const ss_cuda_taker t = {.out = a->stats, .out2 = a->logits, .n = n, .m = p->T};

    if (!(w->l = ss_cuda_strips_space(d, rows * p->pitch, sizeof *w->l, e)) ||
        (numerators && !(w->inverse = ss_cuda_strips_space(d, rows, sizeof *w->inverse, e))) ||
        (a->stats && p->rows < p->T &&
         !(w->total = ss_cuda_strips_space(d, p->pitch, sizeof *w->total, e))))
        return e->code;
    if (!a->stats)
        return SS_OK;
    const int64_t masses = 2 * n * a->frames;
    ss_code rc =
        ss_cuda_result(d, (size_t)n * sizeof *w->stats, take_stats, t, (void **)&w->stats, e);
    if (rc == SS_OK && masses)
        rc = ss_cuda_result(d, (size_t)masses * sizeof(float), take_frames,
                            (ss_cuda_taker){.out = a->frame_mass, .n = masses, .m = p->T},
                            (void **)&w->frames, e);
    return rc;
}

ss_code ss_cuda_attention(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    ss_cuda_strips p;
    work w = {0};
    ss_cuda_strip s = {0};
    ss_code rc = ss_cuda_strips_plan(d, a, ss_cuda_strip_bytes(d), &p, e);

    if (rc == SS_OK)
        rc = get_forward(d, &p, &w, e);
    while (rc == SS_OK && ss_cuda_strip_next(&p, &s))
        rc = forward_strip(d, &p, &s, &w, e);
    release(d, &w);
    ss_cuda_strips_release(d, &p);
    return rc;
}
