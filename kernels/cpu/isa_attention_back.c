/* isa_attention_back.c - gradients of attention
 *
 *   dP = dY V^T,  dL = P (dP - D),  D = rowsum(P dP),  dQ = scale dL K,
 *   dK = scale dL^T Q,  dV = P^T dY
 *
 * Strip by strip as forward: a strip has all logits of its queries at hand, so P comes out of
 * them whole, with the bits of the forward pass, and nothing needs to be saved but q, k and v.
 * A head's strips run in order on one thread, because all add to its dK and dV. With cosine
 * attention q and k above are the normalised ones, and their gradients go through
 *
 *   dq = (dq^ - q^ (q^ . dq^)) / |q|,  q^ = q / |q|
 */
#include "kernels/cpu/isa_attention.h"
#include "kernels/cpu/isa_product.h"

#include <omp.h>

/* One thread's work space; K and V as keys (to be multiplied transposed) and as values. */
typedef struct {
    float *keys, *keys_back, *values; /* [S_pad][D], [S][D_pad], [S_pad][D] */
    float *dk, *dv;                   /* [S_pad][D_pad] */
    float *q, *q_wide, *dy, *dy_wide; /* [STRIP][D], [STRIP][D_pad], and so of dy */
    float *l, *dl, *dq;               /* [STRIP][l_step], the same, [STRIP][D_pad] */
    float *k;                         /* [S][D], normalised */
} back_work;

/* Carves the parts out of memory; NULL: only counts the floats. */
static int64_t back_work_at(const plan *p, float *memory, back_work *w)
{
    const struct {
        float **to;
        int64_t n;
    } parts[] = {
        {&w->keys, p->S_pad * p->D},
        {&w->keys_back, p->S * p->D_pad},
        {&w->values, p->S_pad * p->D},
        {&w->dk, p->S_pad * p->D_pad},
        {&w->dv, p->S_pad * p->D_pad},
        {&w->q, STRIP * p->D},
        {&w->q_wide, STRIP * p->D_pad},
        {&w->dy, STRIP * p->D},
        {&w->dy_wide, STRIP * p->D_pad},
        {&w->l, STRIP * p->l_step},
        {&w->dl, STRIP * p->l_step},
        {&w->dq, STRIP * p->D_pad},
        {&w->k, p->S * p->D},
    };
    int64_t at = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].to = memory ? memory + at : NULL;
        at += round_up(parts[i].n, 16);
    }
    return at;
}

/* Rows [rows][D] of x, `stride` apart, each times scale, over its length if cosine, to [D] and
 * to [wide] apart; zeros up to STRIP rows. */
static void strip_rows(const plan *p, const float *x, int64_t rows, float scale, bool cosine,
                       float *narrow, float *wide)
{
    memset(narrow, 0, (size_t)(STRIP * p->D) * sizeof *narrow);
    memset(wide, 0, (size_t)(STRIP * p->D_pad) * sizeof *wide);
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * p->stride;
        const float s = scale * (cosine ? inverse_length(from, p->D) : 1);

        for (int64_t i = 0; i < p->D; i++)
            wide[r * p->D_pad + i] = narrow[r * p->D + i] = from[i] * s;
    }
}

/* P of a row of logits in place, and of a row of dP in place dL. */
static void back_row(const plan *p, const ss_format *rounding, addends add, float *l, float *dl)
{
    const float inverse = ISA(softmax_row)(p, l, add, false, NULL, NULL);
    double dot = 0;

    if (rounding)
        ISA(round_values)(rounding, dl, dl, p->S);
    for (int64_t j = 0; j < p->S; j++) {
        l[j] *= inverse;
        dot += (double)l[j] * dl[j];
    }
    for (int64_t j = 0; j < p->S; j++)
        dl[j] = l[j] * (dl[j] - (float)dot);
    if (rounding)
        ISA(round_values)(rounding, dl, dl, p->S);
    memset(l + p->S, 0, (size_t)(p->S_pad - p->S) * sizeof *l);
    memset(dl + p->S, 0, (size_t)(p->S_pad - p->S) * sizeof *dl);
}

/* c[S_pad][D_pad] += a[STRIP][S_pad of l_step]^T b[STRIP][D_pad] */
static void add_transposed(const plan *p, const float *a, const float *b, float *c)
{
    const positions at = {
        .samples = 1, .rows = 1, .columns = STRIP, .a_column = p->l_step, .b_column = p->D_pad};
    const int64_t vectors = p->D_pad / VL;

    for (int64_t done = 0, width; done < vectors; done += width) {
        width = tile_width(vectors - done);
        for (int64_t j = 0; j < p->S_pad; j += T_ROWS)
            outer_product(&at, a + j, b + done * VL, (int)width, c + j * p->D_pad + done * VL,
                          p->D_pad);
    }
}

/* dx [D] = scale dy, through x / |x| where cosine. */
static void finish_gradient(const float *x, const float *dy, float scale, bool cosine, float *dx,
                            int64_t D)
{
    const float inverse = cosine ? inverse_length(x, D) : 1;
    double dot = 0;

    for (int64_t i = 0; cosine && i < D; i++)
        dot += (double)x[i] * inverse * dy[i];
    for (int64_t i = 0; i < D; i++)
        dx[i] = (float)(scale * inverse * (dy[i] - dot * x[i] * inverse));
}

static void back_head(const plan *p, const ss_attention_gradient_args *g, int64_t head,
                      const back_work *w)
{
    const ss_attention_args *a = p->a;
    const int64_t n = head / a->heads, column = head % a->heads * p->D;
    const int64_t of_q = n * p->T * p->stride + column, of_k = n * p->S * p->stride + column;
    const float *k = (const float *)a->k->data + of_k, *v = (const float *)a->v->data + of_k;
    plan plain = *p; /* products with gradients are of f32 */

    plain.pairs = false;
    plain.q_len = p->D;
    plain.l_len = p->S;
    plan turned = plain; /* for K beside its values: rows of width D, as pack_values reads */

    ISA(pack_keys)(p, k, a->cosine, w->keys);
    ISA(pack_keys)(&plain, v, false, w->values);
    for (int64_t j = 0; j < p->S; j++) {
        const float scale = a->cosine ? inverse_length(k + j * p->stride, p->D) : 1;

        for (int64_t i = 0; i < p->D; i++)
            w->k[j * p->D + i] = k[j * p->stride + i] * scale;
    }
    turned.stride = p->D;
    ISA(pack_values)(&turned, w->k, w->keys_back);
    memset(w->dk, 0, (size_t)(p->S_pad * p->D_pad) * sizeof *w->dk);
    memset(w->dv, 0, (size_t)(p->S_pad * p->D_pad) * sizeof *w->dv);

    for (int64_t t = 0; t < p->T; t += STRIP) {
        const int64_t rows = min_i64(STRIP, p->T - t), at = of_q + t * p->stride;
        const float *q = (const float *)a->q->data + at;

        strip_rows(p, q, rows, a->scale, a->cosine, w->q, w->q_wide);
        strip_rows(p, (const float *)g->dy->data + at, rows, 1, false, w->dy, w->dy_wide);
        if (p->pairs)
            ISA(pack_queries)(p, q, rows, w->q);
        for (int64_t j = 0; j < p->S_pad; j += KEYS) {
            strip_product(p->pairs, w->q, p->q_len, w->keys + j * p->q_len, KEYS, w->l + j,
                          p->l_step, p->q_len, false);
            strip_product(false, w->dy, p->D, w->values + j * p->D, KEYS, w->dl + j, p->l_step,
                          p->D, false);
        }
        for (int64_t r = 0; r < rows; r++)
            back_row(p, g->rounding, addends_of(p, head, t + r), w->l + r * p->l_step,
                     w->dl + r * p->l_step);
        for (int64_t r = rows; r < STRIP; r++) {
            memset(w->l + r * p->l_step, 0, (size_t)p->S_pad * sizeof *w->l);
            memset(w->dl + r * p->l_step, 0, (size_t)p->S_pad * sizeof *w->dl);
        }
        if (g->dv)
            add_transposed(p, w->l, w->dy_wide, w->dv);
        if (g->dk)
            add_transposed(p, w->dl, w->q_wide, w->dk); /* q holds the scale */
        if (!g->dq)
            continue;
        ISA(times_values)(&plain, w->dl, w->keys_back, w->dq);
        for (int64_t r = 0; r < rows; r++)
            finish_gradient(q + r * p->stride, w->dq + r * p->D_pad, a->scale, a->cosine,
                            (float *)g->dq->data + at + r * p->stride, p->D);
    }
    for (int64_t j = 0; j < p->S; j++) {
        const int64_t at = of_k + j * p->stride;

        if (g->dk)
            finish_gradient(k + j * p->stride, w->dk + j * p->D_pad, 1, a->cosine,
                            (float *)g->dk->data + at, p->D);
        if (g->dv)
            memcpy((float *)g->dv->data + at, w->dv + j * p->D_pad, (size_t)p->D * sizeof(float));
    }
}

ss_code ISA(back_attention)(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    const ss_attention_args *a = &g->forward;
    const int64_t heads = a->n * a->heads; /* of all samples */
    const plan p = ISA(attention_plan)(d, a);
    const int team = ss_cpu_team(d, heads * p.T * p.S);
    back_work none;
    const int64_t floats = back_work_at(&p, NULL, &none);
    const size_t bytes = (size_t)(team * floats) * sizeof(float);
    float *scratch = ss_pool_alloc(&d->pool, bytes);

    if (!scratch)
        return ss_fail(e, SS_NOMEM, "gradient of attention: %zu bytes of work space", bytes);
#pragma omp parallel num_threads(team)
    {
        back_work w;

        back_work_at(&p, scratch + omp_get_thread_num() * floats, &w);
#pragma omp for schedule(dynamic)
        for (int64_t h = 0; h < heads; h++)
            back_head(&p, g, h, &w);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}
