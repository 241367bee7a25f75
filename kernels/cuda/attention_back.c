/* attention_back.c - gradients of attention on the device, strip by strip (strips.h)
 *
 *   dP = dY V^T,  dL = P (dP - rowsum(P dP)),  dQ = scale dL K,
 *   dK = scale dL^T Q,  dV = P^T dY
 *
 * P is made again. The strips of a head come one after the other, and each adds to dK and dV; so
 * the order of sums is fixed. With cosine attention q and k are the normalised ones, and their
 * gradients go through the normalisation at the end.
 *
 * Launches of a strip: min(samples, heads) for each of five products, 1 for the rows. Bytes of a
 * logit: 4 written and 4 or 8 read by each of the products, 16 by the rows; 40 in all.
 */
#include "kernels/cuda/strips.h"

/* dx [S][D] = or += scale l^T x, l [rows][S], x [rows][D] */
static ss_code add_to_keys(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s, float *l,
                           ss_cuda_numbers in_l, ss_cuda_matrices x, ss_cuda_numbers in_x,
                           float scale, const ss_tensor *dx, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = p->S,
                                 .n = p->D,
                                 .k = s->rows,
                                 .a_turned = true,
                                 .alpha = scale,
                                 .beta = s->t0 == 0 ? 0 : 1,
                                 .tensor = ss_cuda_on_tensor_cores(d, in_l, in_x)};

    return ss_cuda_strip_multiply(d, s, g, ss_cuda_of_logits(p, s, l), x,
                                  ss_cuda_of_keys(p, s, dx->data), e);
}

/* Products of logits' gradients with keys, to those of queries. */
static ss_code make_dq(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s, float *dl,
                       ss_cuda_numbers in_dl, const ss_tensor *dq, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->D,
                                 .k = p->S,
                                 .alpha = p->a->scale,
                                 .tensor = ss_cuda_on_tensor_cores(d, in_dl, p->in_k)};

    return ss_cuda_strip_multiply(d, s, g, ss_cuda_of_logits(p, s, dl), ss_cuda_of_keys(p, s, p->k),
                                  ss_cuda_of_queries(p, s, dq->data), e);
}

static ss_code make_dp(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                       const ss_tensor *dy, float *dp, ss_err *e)
{
    const ss_cuda_gemm_args g = {.m = s->rows,
                                 .n = p->S,
                                 .k = p->D,
                                 .b_turned = true,
                                 .alpha = 1,
                                 .tensor =
                                     ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(dy, NULL),
                                                             ss_cuda_numbers_of(p->a->v, NULL))};

    return ss_cuda_strip_multiply(d, s, g, ss_cuda_of_queries(p, s, dy->data),
                                  ss_cuda_of_keys(p, s, p->a->v->data), ss_cuda_of_logits(p, s, dp),
                                  e);
}

static ss_code back_strip(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                          const ss_attention_gradient_args *g, float *l, float *dp, ss_err *e)
{
    const ss_cuda_row_kernels *r = ss_cuda_row_kernels_for(p->S);
    const ss_cuda_numbers any = {0}, in_dl = ss_cuda_numbers_of_format(g->rounding);
    ss_cuda_softmax m = ss_cuda_softmax_of(p, s, l);
    ss_code rc = ss_cuda_strip_logits(d, p, s, l, e);

    m.dp = dp;
    m.gradients_to = ss_cuda_rounding_of(g->rounding);
    if (rc == SS_OK)
        rc = make_dp(d, p, s, g->dy, dp, e);
    if (rc == SS_OK)
        rc = ss_cuda_run_rows(d, r->gradient, r, &m, e);
    if (rc == SS_OK && g->dv)
        rc = add_to_keys(d, p, s, l, m.round_probabilities ? p->in_p : any,
                         ss_cuda_of_queries(p, s, g->dy->data), ss_cuda_numbers_of(g->dy, NULL), 1,
                         g->dv, e);
    if (rc == SS_OK && g->dk)
        rc = add_to_keys(d, p, s, dp, in_dl, ss_cuda_of_queries(p, s, p->q), p->in_q, p->a->scale,
                         g->dk, e);
    if (rc == SS_OK && g->dq)
        rc = make_dq(d, p, s, dp, in_dl, g->dq, e);
    return rc;
}

/* dx through x / |x|, in place */
static ss_code through_length(ss_device *d, const ss_cuda_strips *p, const ss_tensor *x,
                              int64_t tokens, const ss_tensor *dx, ss_err *e)
{
    const int64_t rows = p->a->n * tokens * p->a->heads;

    if (!dx)
        return SS_OK;
    return SS_LAUNCH(d, e, unit_gradient, ss_cuda_warps(rows), .x = x->data, .dx = dx->data,
                     .rows = rows, .width = p->D);
}

/* Without queries no ss_cuda_strip writes them. */
static ss_code no_queries(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    ss_code rc = g->dk ? ss_cuda_fill(d, g->dk, 0, e) : SS_OK;

    return rc == SS_OK && g->dv ? ss_cuda_fill(d, g->dv, 0, e) : rc;
}

ss_code ss_cuda_back_attention(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    const ss_attention_args *a = &g->forward;
    ss_cuda_strips p;
    float *l = NULL, *dp = NULL;
    ss_cuda_strip s = {0};

    if (a->queries == 0)
        return no_queries(d, g, e);
    ss_code rc = ss_cuda_strips_plan(d, a, ss_cuda_strip_bytes(d) / 2, &p, e);
    const int64_t n = ss_cuda_strips_rows(&p) * p.pitch;

    if (rc == SS_OK && (!(l = ss_cuda_strips_space(d, n, sizeof *l, e)) ||
                        !(dp = ss_cuda_strips_space(d, n, sizeof *dp, e))))
        rc = e->code;
    while (rc == SS_OK && ss_cuda_strip_next(&p, &s))
        rc = back_strip(d, &p, &s, g, l, dp, e);
    if (rc == SS_OK && a->cosine)
        rc = through_length(d, &p, a->q, p.T, g->dq, e);
    if (rc == SS_OK && a->cosine)
        rc = through_length(d, &p, a->k, p.S, g->dk, e);
    ss_pool_free(&d->pool, l);
    ss_pool_free(&d->pool, dp);
    ss_cuda_strips_release(d, &p);
    return rc;
}
