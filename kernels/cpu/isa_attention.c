/* isa_attention.c - softmax(scale Q K^T + bias + mask) V, and its statistics, in memory linear in
 * the tokens
 *
 * For each sample and head, keys and values are first packed into panels, a few vectors wide,
 * that the product kernel reads from front to back:
 *
 *   keys    panel of 2 VL keys:     [S/2VL][D][2 VL], transposed; the last one padded with 0
 *   values  panel of 1 to 3 VL dims [D/..][S][.. VL]
 *
 * Then strips of STRIP queries go through three steps, each thread in its own work space:
 *
 *   l = q K^T        [STRIP][S]   one product
 *   e = exp(l - m)   in place     exact softmax over the whole row: m = max l, Z = sum e
 *   y = e V / Z      [STRIP][D]   the same product again
 *
 * So a query has all its logits at hand, and the statistics come from the same pass:
 * H = log Z - sum e (l - m) / Z. Gathering them adds sums beside those of the output and
 * touches none, so the output has the same bits with and without.
 *
 * Where q, k, v and the probabilities are numbers that bf16 holds, and the processor multiplies
 * those, both products are of pairs (isa_pairs.h), twice as fast; scale then comes after the sum.
 *
 * Strips are dealt out in segments, whose number depends on shapes alone; what a segment
 * tallied is combined in the order of segments, so threads do not change a bit.
 *
 * isa_attention_product.c has the products and panels, isa_attention_rows.c the softmax and its
 * statistics, isa_attention_back.c the gradients.
 */
#include "kernels/cpu/isa_attention.h"

#include <omp.h>

/* True when products may be made of pairs. */
static bool suits_pairs(const ss_device *d, const ss_attention_args *a)
{
    return HAVE_PAIRS && d->bf16 && !a->cosine && a->rounding &&
           ss_bf16_holds(a->rounding->exp_bits, a->rounding->man_bits) && ss_is_in_bf16(a->q) &&
           ss_is_in_bf16(a->k) && ss_is_in_bf16(a->v);
}

plan ISA(attention_plan)(const ss_device *d, const ss_attention_args *a)
{
    plan p = {.a = a, .T = a->queries, .S = a->keys, .D = a->width, .pairs = suits_pairs(d, a)};

    p.q_len = p.pairs ? (p.D + 1) / 2 : p.D;
    p.l_len = p.pairs ? (p.S + 1) / 2 : p.S;
    p.S_pad = round_up(p.S, KEYS);
    p.D_pad = round_up(p.D, VL);
    p.l_step = p.S_pad + KEYS; /* not 2^n, which would share few lines of the cache */
    p.stride = a->heads * p.D;
    p.strips = (p.T + STRIP - 1) / STRIP;
    return p;
}

static int64_t work_floats(const plan *p)
{
    return round_up(STRIP * (p->D_pad + p->l_step + p->D_pad) + p->S_pad, 16);
}

static void strip(const plan *p, int64_t head, int64_t t0, float *work, tally *t, float *mass,
                  float *distance)
{
    const int64_t n = head / p->a->heads, rows = min_i64(STRIP, p->T - t0);
    const int64_t at = (n * p->T + t0) * p->stride + head % p->a->heads * p->D;
    const float *q = (const float *)p->a->q->data + at;
    float *y = (float *)p->a->y->data + at;
    float *queries = work, *l = queries + STRIP * p->D_pad, *out = l + STRIP * p->l_step;
    float *row = out + STRIP * p->D_pad;
    float inverse[STRIP];

    ISA(pack_queries)(p, q, rows, queries);
    for (int64_t j = 0; j < p->S_pad; j += KEYS)
        strip_product(p->pairs, queries, p->q_len, p->keys + (head * p->S_pad + j) * p->q_len, KEYS,
                      l + j, p->l_step, p->q_len, false);
    for (int64_t r = 0; r < rows; r++)
        inverse[r] =
            ISA(softmax_row)(p, l + r * p->l_step, addends_of(p, head, t0 + r), p->pairs, t, row);
    if (t)
        ISA(add_mass)(p, l, inverse, rows, mass);
    if (distance)
        ISA(add_distances)(p, l, inverse, t0, rows, distance, row);
    ISA(times_values)(p, l, p->values + head * p->l_len * p->D_pad, out);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < p->D; i++) {
            const float value = out[r * p->D_pad + i] * inverse[r];

            /* One NaN for all: which of several a sum hands on depends on the compiler. */
            y[r * p->stride + i] = isnan(inverse[r]) ? NAN : value;
        }
    }
}

static void segment(const plan *p, int64_t unit, float *work)
{
    const int64_t first = unit % p->segments * p->per_segment;
    const int64_t last = min_i64(first + p->per_segment, p->strips);
    tally *t = p->tallies ? p->tallies + unit : NULL;
    float *mass = p->mass ? p->mass + unit * p->S_pad : NULL;
    float *distance = p->distance ? p->distance + unit * p->a->frames : NULL;

    if (t) {
        *t = (tally){
            0,
            INFINITY,
            -INFINITY,
            {.least = INFINITY, .most = -INFINITY, .raw_least = INFINITY, .raw_most = -INFINITY}};
        memset(mass, 0, (size_t)p->S_pad * sizeof *mass);
    }
    if (distance)
        memset(distance, 0, (size_t)p->a->frames * sizeof *distance);
    for (int64_t i = first; i < last; i++)
        strip(p, unit / p->segments, i * STRIP, work, t, mass, distance);
}

/* One head's statistics from those of its segments. */
static ss_attention_stats summarise(const plan *p, int64_t head)
{
    const tally *t = p->tallies + head * p->segments;
    const float *mass = p->mass + head * p->segments * p->S_pad;
    tally all = {.entropy_min = INFINITY, .max_logit = -INFINITY};
    double sink = 0;

    for (int64_t i = 0; i < p->segments; i++) {
        all.entropy += t[i].entropy;
        if (t[i].entropy_min < all.entropy_min || isnan(t[i].entropy_min))
            all.entropy_min = t[i].entropy_min;
        if (t[i].max_logit > all.max_logit)
            all.max_logit = t[i].max_logit;
    }
    for (int64_t j = 0; j < p->S; j++) {
        double sum = 0;

        for (int64_t i = 0; i < p->segments; i++)
            sum += mass[i * p->S_pad + j];
        if (sum > sink || isnan(sum))
            sink = sum;
    }
    return (ss_attention_stats){
        .entropy = (float)(all.entropy / (double)p->T),
        .entropy_min = (float)all.entropy_min,
        .max_logit = isinf(all.max_logit) ? NAN : all.max_logit,
        .sink = (float)(sink / (double)p->T),
    };
}

/* Fills one head's masses by frame, [2][frames]. */
static void summarise_frames(const plan *p, int64_t head, float *to)
{
    const int64_t F = p->a->frames, each = p->S / F;

    for (int64_t f = 0; f < F; f++) {
        double at = 0, on = 0;

        for (int64_t i = head * p->segments; i < (head + 1) * p->segments; i++) {
            at += p->distance[i * F + f];
            for (int64_t k = f * each; k < (f + 1) * each; k++)
                on += p->mass[i * p->S_pad + k];
        }
        to[f] = (float)(at / (double)p->T);
        to[F + f] = (float)(on / (double)p->T);
    }
}

/* Combines the segments' statistics of stored logits. */
static ss_logit_stats summarise_logits(const plan *p, int64_t head)
{
    const tally *t = p->tallies + head * p->segments;
    ss_logit_stats all = t[0].logits;

    for (int64_t i = 1; i < p->segments; i++) {
        const ss_logit_stats *x = &t[i].logits;

        all.least = fminf(all.least, x->least);
        all.most = fmaxf(all.most, x->most);
        all.raw_least = fminf(all.raw_least, x->raw_least);
        all.raw_most = fmaxf(all.raw_most, x->raw_most);
        all.peak = fmaxf(all.peak, x->peak);
        all.raw_peak = fmaxf(all.raw_peak, x->raw_peak);
        all.probability = fmaxf(all.probability, x->probability);
        all.nonfinite += x->nonfinite;
        all.raw_nonfinite += x->raw_nonfinite;
        all.lost += x->lost;
        for (int k = 0; k < SS_LOGIT_EXPONENTS; k++) {
            all.large[k] += x->large[k];
            all.raw_large[k] += x->raw_large[k];
        }
    }
    if (all.least > all.most)
        all.least = all.most = all.peak = NAN;
    if (all.raw_least > all.raw_most)
        all.raw_least = all.raw_most = all.raw_peak = NAN;
    return all;
}

ss_code ISA(attention)(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    const int64_t heads = a->n * a->heads; /* of all samples */
    plan p = ISA(attention_plan)(d, a);

    p.per_segment = p.strips * heads / 64 + 1; /* some 64 pieces of work to deal out */
    p.segments = (p.strips + p.per_segment - 1) / p.per_segment;

    const int team = ss_cpu_team(d, heads * p.T * p.S);
    const int64_t n_keys = heads * p.S_pad * p.q_len, n_values = heads * p.l_len * p.D_pad;
    const int64_t n_units = heads * p.segments, n_mass = a->stats ? n_units * p.S_pad : 0;
    const bool of_frames = a->stats && a->frames;
    const int64_t n_distances = of_frames ? round_up(n_units * a->frames, 16) : 0;
    const size_t floats =
        (size_t)(n_keys + round_up(n_values, 16) + team * work_floats(&p) + n_mass + n_distances);
    const size_t bytes = floats * sizeof(float) + (a->stats ? (size_t)n_units * sizeof(tally) : 0);
    float *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "attention: %zu bytes of work space", bytes);
    p.keys = scratch;
    p.values = p.keys + n_keys;
    p.work = p.values + round_up(n_values, 16);
    if (a->stats) {
        p.mass = p.work + team * work_floats(&p);
        p.tallies = (tally *)(scratch + floats);
        p.distance = of_frames ? p.mass + n_mass : NULL;
    }

#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t h = 0; h < heads; h++) {
            const int64_t at = h / a->heads * p.S * p.stride + h % a->heads * p.D;

            ISA(pack_keys)
            (&p, (const float *)a->k->data + at, a->cosine, p.keys + h * p.S_pad * p.q_len);
            ISA(pack_values)(&p, (const float *)a->v->data + at, p.values + h * p.l_len * p.D_pad);
        }
#pragma omp for schedule(dynamic)
        for (int64_t u = 0; u < n_units; u++)
            segment(&p, u, p.work + omp_get_thread_num() * work_floats(&p));
    }
    for (int64_t h = 0; a->stats && h < heads; h++) {
        a->stats[h] = summarise(&p, h);
        a->logits[h] = summarise_logits(&p, h);
        if (of_frames)
            summarise_frames(&p, h, a->frame_mass + 2 * h * a->frames);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}
