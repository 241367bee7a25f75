/* isa_pack.h - weights, from the order in which files have them to that of a panel
 *
 *   from   values [O][I][taps] of any type: the operand's own memory, a mapped checkpoint's often
 *   to     to[input][tap][output of the panel], f32
 *
 * Panels are packed where and when they are multiplied (isa_conv.c, isa_winograd.c), so that the
 * packed ones never leave the cache. A packed copy of all weights, kept with the tensor, would
 * double the memory, and the first forward of a large network would wait for pages to write it to
 * longer than it computes.
 */
#ifndef SS_KERNELS_CPU_ISA_PACK_H
#define SS_KERNELS_CPU_ISA_PACK_H

#include "kernels/cpu/isa_vector.h"

/* Value j of row k to to[j * step + k]. */
static inline void pack_rows(const float *const row[VL], int64_t n, float *to, int64_t step)
{
    int64_t j = 0;

    for (; j + VL <= n; j += VL) {
        const float *at[VL];
        vf m[VL];

        for (int k = 0; k < VL; k++)
            at[k] = row[k] + j;
        vf_load_columns(at, m);
        for (int k = 0; k < VL; k++, to += step)
            vf_store(to, m[k]);
    }
    for (; j < n; j++, to += step)
        for (int k = 0; k < VL; k++)
            to[k] = row[k][j];
}

#if HAVE_WIDE_COLUMNS
/* Whole vectors of VL rows of 16-bit floats, `apart` values from one to the next; returns how many
 * values of a row are done. Widened on the way, as f32 in between would be written and read. */
static inline int64_t pack_wide_rows(const uint16_t *from, int64_t apart, bool bf16, int64_t n,
                                     float *to, int64_t step)
{
    int64_t j = 0;

    for (; j + VL <= n; j += VL) {
        const uint16_t *at[VL];
        vf m[VL];

        for (int k = 0; k < VL; k++)
            at[k] = from + k * apart + j;
        vf_widen_columns(at, bf16, m);
        for (int k = 0; k < VL; k++, to += step)
            vf_store(to, m[k]);
    }
    return j;
}
#endif

/* The first values of VL outputs from o on, n from `first` on each, as pack_outputs has them, where
 * that can be done without f32 in between; returns how many. */
static inline int64_t pack_wide(const ss_conv *c, int64_t o, int64_t wide, int64_t first, int64_t n,
                                float *to)
{
    int64_t done = 0;

#if HAVE_WIDE_COLUMNS
    const ss_conv_weights *w = &c->weights;
    const int64_t apart = c->in * c->kh * c->kw;

    if (w->dtype != SS_F32 && !w->rounded && o + VL <= c->out)
        done = pack_wide_rows((const uint16_t *)w->values + o * apart + first, apart,
                              w->dtype == SS_BF16, n, to, wide);
#else
    (void)c, (void)o, (void)wide, (void)first, (void)n, (void)to;
#endif
    return done;
}

/* Values [first, first + n) as f32, rounded as asked: in place where nothing changes, else in
 * room. */
static inline const float *pack_values(const ss_conv_weights *w, int64_t first, int64_t n,
                                       float *room)
{
    const char *from = (const char *)w->values + (size_t)first * ss_dtype_size(w->dtype);

    if (w->dtype == SS_F32 && !w->rounded)
        return (const float *)from;
    ISA(to_f32)(from, w->dtype, room, n);
    if (w->rounded)
        ISA(round_values)(w->rounded, room, room, n);
    return room;
}

enum { PACK_RUN = 256 };                         /* values of a row widened at a time */
static const float pack_nothing[PACK_RUN] = {0}; /* of outputs beyond the last */

/* VL outputs from o on; to[input][tap] is `wide` from the next. */
static inline void pack_outputs(const ss_conv *c, int64_t o, int64_t wide, int64_t first, int64_t n,
                                float *to)
{
    const int64_t taps = c->kh * c->kw;
    float room[VL * PACK_RUN];

    for (int64_t j = pack_wide(c, o, wide, first * taps, n * taps, to); j < n * taps;
         j += PACK_RUN) {
        const int64_t run = min_i64(PACK_RUN, n * taps - j);
        const float *row[VL];

        for (int k = 0; k < VL; k++)
            row[k] = o + k >= c->out
                         ? pack_nothing
                         : pack_values(&c->weights, ((o + k) * c->in + first) * taps + j, run,
                                       room + k * PACK_RUN);
        pack_rows(row, run, to + j * wide, wide);
    }
}

/* Packs one input of turned weights, [in][out][taps] with the taps in reverse. */
static inline void pack_turned(const ss_conv *c, int64_t o, int64_t wide, int64_t input, float *to)
{
    const int64_t taps = c->kh * c->kw, some = min_i64(VL, c->out - o);
    float room[VL * SS_DIRECT_TAPS];
    const float *values =
        some > 0 ? pack_values(&c->weights, (input * c->out + o) * taps, some * taps, room) : NULL;
    const float *row[VL];

    if (taps == 1 && some == VL) {
        vf_store(to, vf_load(values));
        return;
    }
    for (int k = 0; k < VL; k++)
        row[k] = k < some ? values + k * taps : pack_nothing;
    pack_rows(row, taps, to + (taps - 1) * wide, -wide);
}

/* Weights of outputs [o, o + wide) and inputs [first, first + n), zeros beyond the last output, to
 * to[input][tap][wide]. wide is a multiple of VL. */
static inline void pack_weights(const ss_conv *c, int64_t o, int64_t wide, int64_t first, int64_t n,
                                float *to)
{
    if (!c->weights.turned) {
        for (int64_t k = 0; k < wide; k += VL)
            pack_outputs(c, o + k, wide, first, n, to + k);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < wide; k += VL)
            pack_turned(c, o + k, wide, first + i, to + i * c->kh * c->kw * wide + k);
}

#endif
