/* isa_attention_rows.c - rows of logits: softmax, and statistics of what is stored of it
 *
 *   e = exp(l - m), m = max l, Z = sum e;   H = log Z - sum e (l - m) / Z
 *
 * Statistics are those of the logits as they are stored (kernels/stats.h); gathering them changes
 * no bit of the row.
 */
#include "kernels/cpu/isa_attention.h"
#include "kernels/cpu/isa_math.h"

/* The largest value that is not NaN; -inf if there is none. n is a multiple of KEYS. */
static float row_max(const float *l, int64_t n)
{
    vf a = vf_all(-INFINITY), b = a;
    float m = -INFINITY;

    for (int64_t j = 0; j < n; j += KEYS) {
        a = vf_max(vf_load(l + j), a);
        b = vf_max(vf_load(l + j + VL), b);
    }
    a = vf_max(a, b);
    for (int i = 0; i < VL; i++)
        m = a[i] > m ? a[i] : m;
    return m;
}

/* bf16 itself, as the instruction rounds to it. */
static bool is_bf16(const ss_format *f)
{
    return f && f->exp_bits == 8 && f->man_bits == 7;
}

static float row_max_finite(const float *l, int64_t n)
{
    float m = -INFINITY;

    for (int64_t j = 0; j < n; j++)
        if (is_finite(l[j]) && l[j] > m)
            m = l[j];
    return m;
}

/* The least and the largest of n values; false where one is inf or NaN. */
static bool row_range(const float *l, int64_t n, float *least, float *most)
{
    float lo = INFINITY, hi = -INFINITY;
    int64_t j = 0;

    if (n >= KEYS) { /* x - x is 0 of finite numbers only */
        vf a = vf_load(l), b = a, bad = a - a;

        for (; j + VL <= n; j += VL) {
            const vf x = vf_load(l + j);

            a = vf_min(x, a);
            b = vf_max(x, b);
            bad += x - x;
        }
        for (int i = 0; i < VL; i++) {
            lo = a[i] < lo ? a[i] : lo;
            hi = b[i] > hi ? b[i] : hi;
            if (bad[i] != 0)
                lo = NAN;
        }
    }
    for (; j < n; j++) {
        if (!is_finite(l[j]))
            lo = NAN;
        lo = l[j] < lo ? l[j] : lo;
        hi = l[j] > hi ? l[j] : hi;
    }
    *least = lo;
    *most = hi;
    return is_finite(lo);
}

/* Statistics of one kind of logits in a segment, as in ss_logit_stats. */
typedef struct {
    float *least, *most, *peak;
    uint64_t *nonfinite, *large;
} logit_tally;

/* Counts value by value, for the few rows with inf, NaN or large values. A scaled logit may be
 * finite where the unscaled one is inf. */
static void count_row(const float *l, int64_t n, float factor, logit_tally t)
{
    for (int64_t j = 0; j < n; j++) {
        const float x = l[j] * factor;
        uint32_t bits;

        memcpy(&bits, &x, sizeof bits);
        const int exponent = (int)(bits >> 23 & 255) - 127;

        if (exponent == 128) { /* inf or NaN */
            ++*t.nonfinite;
            continue;
        }
        *t.least = l[j] < *t.least ? l[j] : *t.least;
        *t.most = l[j] > *t.most ? l[j] : *t.most;
        if (exponent >= SS_LOGIT_FROM)
            t.large[exponent - SS_LOGIT_FROM]++;
    }
}

/* Adds a row of scaled logits whose range is lo to hi, and finite or not. */
static void tally_row(const float *l, int64_t n, float factor, bool finite, float lo, float hi,
                      logit_tally t)
{
    const float top = fabsf(finite ? hi : row_max_finite(l, n)); /* inf: there is none */

    if (top > *t.peak && is_finite(top))
        *t.peak = top;
    if (!finite || fmaxf(fabsf(lo), fabsf(hi)) * factor >= 1 << SS_LOGIT_FROM) {
        count_row(l, n, factor, t);
        return;
    }
    *t.least = lo < *t.least ? lo : *t.least;
    *t.most = hi > *t.most ? hi : *t.most;
}

/* l[j] = e = exp(l[j] scale - m), or in pairs if so asked; returns Z = sum e. Unless dot is NULL,
 * *dot = sum e (l - m); the term of a logit of -inf is 0, as its e is. Sums run in f32 over CHUNK
 * keys, in f64 beyond; n is a multiple of KEYS. */
static inline PAIRS __attribute__((always_inline)) double row_exp(float *l, int64_t n, float scale,
                                                                  float m, bool pairs, double *dot)
{
    enum { CHUNK = 512 };
    vd Z = {0}, D = {0};

    for (int64_t j0 = 0; j0 < n; j0 += CHUNK) {
        const int64_t j1 = min_i64(j0 + CHUNK, n);
        vf z[2] = {{0}}, s[2] = {{0}};

        for (int64_t j = j0; j < j1; j += KEYS) {
            vf e[2];

            for (int v = 0; v < 2; v++) {
                const vf t = vf_load(l + j + v * VL) * scale - m;

                e[v] = vf_exp_nonpositive(t);
                if (!pairs)
                    vf_store(l + j + v * VL, e[v]);
                z[v] += e[v];
                if (dot)
                    s[v] = vf_madd(e[v], vf_max(vf_all(-88.0f), t), s[v]);
            }
            if (pairs)
                vf_store(l + j / 2, vf_narrow(e[0], e[1]));
        }
        z[0] += z[1];
        s[0] += s[1];
        Z += vd_low(z[0]) + vd_high(z[0]);
        D += vd_low(s[0]) + vd_high(s[0]);
    }
    if (dot)
        *dot = vd_sum(D);
    return vd_sum(Z);
}

static bool all_are(const float *l, int64_t n, float value)
{
    for (int64_t j = 0; j < n; j++) {
        if (l[j] != value)
            return false;
    }
    return true;
}

static void add_row(float *l, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        l[j] += x[j];
}

/* Copies the logits of keys that are not masked; returns how many. */
static int64_t unmasked(const float *l, addends a, int64_t n, float *to)
{
    int64_t kept = 0;

    for (int64_t j = 0; j < n; j++) {
        if ((a.bias && a.bias[j] <= SS_MASKED) || (a.mask && a.mask[j] <= SS_MASKED))
            continue;
        to[kept++] = l[j];
    }
    return kept;
}

PAIRS float ISA(softmax_row)(const plan *p, float *l, addends add, bool narrow, tally *t,
                             float *space)
{
    const ss_format *f = p->a->rounding;
    const ss_attention_code code = p->a->code;
    const float unscale = 1 / p->a->scale;
    const bool adds = add.bias || add.mask;
    const bool changes = adds || (f && code != SS_ATTENTION_SDPA);
    const bool at_once = narrow && code == SS_ATTENTION_SDPA && is_bf16(f);
    const bool late = at_once && !t && !adds && p->a->scale > 0; /* scaled by row_exp */
    float lo = 0, hi = 0, top = -INFINITY;
    bool finite = false;
    double Z;

    if (p->pairs && !late)
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= p->a->scale;
    if (t) {
        finite = row_range(l, p->S, &lo, &hi);
        tally_row(l, p->S, unscale, finite, lo, hi,
                  (logit_tally){&t->logits.raw_least, &t->logits.raw_most, &t->logits.raw_peak,
                                &t->logits.raw_nonfinite, t->logits.raw_large});
    }
    for (int64_t j = 0; f && !p->pairs && j < p->S; j++) { /* PyTorch scales q.k when summed */
        if (isinf(l[j] * unscale)) {
            l[j] *= unscale;
            finite = false;
        }
    }
    if (f && code == SS_ATTENTION_EAGER_UNSCALED) {
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= unscale;
        ISA(round_values)(f, l, l, p->S);
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= p->a->scale;
        ISA(round_values)(f, l, l, p->S);
    }
    if (add.bias)
        add_row(l, add.bias, p->S);
    if (add.bias && f && code != SS_ATTENTION_SDPA)
        ISA(round_values)(f, l, l, p->S);
    if (add.mask)
        add_row(l, add.mask, p->S);
    if (f && code != SS_ATTENTION_SDPA)
        ISA(round_values)(f, l, l, p->S);
    if (t) {
        const int64_t n = adds ? unmasked(l, add, p->S, space) : p->S;
        const float *seen = n < p->S ? space : l;

        if (changes)
            finite = row_range(seen, n, &lo, &hi);
        tally_row(seen, n, 1, finite, lo, hi,
                  (logit_tally){&t->logits.least, &t->logits.most, &t->logits.peak,
                                &t->logits.nonfinite, t->logits.large});
        top = finite ? hi : row_max_finite(seen, n);
        finite = finite && n == p->S;
    }
    for (int64_t j = p->S; j < p->S_pad; j++)
        l[j] = -INFINITY;

    const float m = finite ? hi : row_max(l, p->S_pad) * (late ? p->a->scale : 1);
    if (f && code == SS_ATTENTION_SDPA && m == -INFINITY && all_are(l, p->S, m)) {
        if (t)
            t->entropy = t->entropy_min = NAN;
        memset(l, 0, (size_t)p->S_pad * sizeof *l); /* where softmax has NaN, this code has 0 */
        return 0;
    }
    if (t) {
        double dot;

        Z = at_once ? row_exp(l, p->S_pad, 1, m, true, &dot)
                    : row_exp(l, p->S_pad, 1, m, false, &dot);
        const double H = log(Z) - dot / Z;
        t->entropy += H < 0 ? 0 : H; /* a NaN stays */
        t->entropy_min = H < t->entropy_min || isnan(H) ? (H < 0 ? 0 : H) : t->entropy_min;
        t->max_logit = top > t->max_logit ? top : t->max_logit;
    } else if (at_once) {
        Z = row_exp(l, p->S_pad, late ? p->a->scale : 1, m, true, NULL);
    } else {
        Z = row_exp(l, p->S_pad, 1, m, false, NULL);
    }

    const float inverse = (float)(1 / Z);
    if (t && !(inverse <= t->logits.probability)) { /* the largest is exp(0) / Z */
        if (isnan(inverse))
            t->logits.lost += (uint64_t)p->S;
        else
            t->logits.probability = inverse;
    }
    if (!f || at_once)
        return inverse;
    if (code != SS_ATTENTION_SDPA && !isnan(inverse)) {
#pragma omp simd
        for (int64_t j = 0; j < p->S_pad; j++)
            l[j] *= inverse;
    }
    ISA(round_values)(f, l, l, p->S);
    if (narrow)
        narrow_row(l, p->S_pad, l);
    return code == SS_ATTENTION_SDPA || isnan(inverse) ? inverse : 1;
}

void ISA(add_mass)(const plan *p, const float *l, const float *inverse, int64_t rows, float *mass)
{
    for (int64_t j = 0; j < p->S_pad; j += KEYS) {
        vf a = vf_load(mass + j), b = vf_load(mass + j + VL);

        for (int64_t r = 0; r < rows; r++) {
            const float *row = l + r * p->l_step;
            vf e[2];

            if (p->pairs)
                widen(vf_load(row + j / 2), e);
            else
                memcpy(e, row + j, sizeof e);
            a = vf_madd(e[0], vf_all(inverse[r]), a);
            b = vf_madd(e[1], vf_all(inverse[r]), b);
        }
        vf_store(mass + j, a);
        vf_store(mass + j + VL, b);
    }
}

void ISA(add_distances)(const plan *p, const float *l, const float *inverse, int64_t t0,
                        int64_t rows, float *distance, float *space)
{
    const int64_t F = p->a->frames, each = p->S / F;

    for (int64_t r = 0; r < rows; r++) {
        const float *row = l + r * p->l_step;
        const int64_t own = (t0 + r) / each;

        for (int64_t j = 0; p->pairs && j < p->S_pad; j += KEYS) {
            vf e[2];

            widen(vf_load(row + j / 2), e);
            memcpy(space + j, e, sizeof e);
        }
        const float *of = p->pairs ? space : row;
        for (int64_t f = 0; f < F; f++) {
            float sum = 0;

            for (int64_t k = f * each; k < (f + 1) * each; k++)
                sum += of[k];
            distance[f < own ? own - f : f - own] += sum * inverse[r];
        }
    }
}
