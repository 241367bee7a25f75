/* isa_pack.h - weights, from the order in which files have them to that of a panel
 *
 *   from   values [O][I][taps] of any type: the operand's own memory, a mapped checkpoint's often
 *   to     to[tap][input][output of the panel], f32
 *
 * Panels are packed where and when they are multiplied (isa_conv.c, isa_winograd.c), so that the
 * packed ones never leave the cache. A packed copy of all weights, kept with the tensor, would
 * double the memory, and the first forward of a large network would wait for pages to write it to
 * longer than it computes.
 */
#ifndef SS_KERNELS_CPU_ISA_PACK_H
#define SS_KERNELS_CPU_ISA_PACK_H

#include "kernels/cpu/isa_vector.h"

/* Where the next tap's row of a panel lies. */
typedef struct {
    float *to;
    int64_t tap, taps;
    int64_t tap_step, input_step; /* to the next tap; from the last one to the next input's first */
} pack_cursor;

static inline float *pack_next(pack_cursor *c)
{
    float *to = c->to;

    c->to += ++c->tap == c->taps ? c->input_step : c->tap_step;
    c->tap = c->tap == c->taps ? 0 : c->tap;
    return to;
}

/* Value j of row k to lane k of the j-th place. */
static inline void pack_rows(const float *const row[VL], int64_t n, pack_cursor *c)
{
    int64_t j = 0;

    for (; j + VL <= n; j += VL) {
        vf m[VL];

        for (int k = 0; k < VL; k++)
            m[k] = vf_load(row[k] + j);
        vf_transpose(m);
        for (int k = 0; k < VL; k++)
            vf_store(pack_next(c), m[k]);
    }
    for (; j < n; j++) {
        float *to = pack_next(c);

        for (int k = 0; k < VL; k++)
            to[k] = row[k][j];
    }
}

/* Values [first, first + n) as f32, rounded as asked: in place where nothing changes, else in
 * room. */
static inline const float *pack_values(const ss_weights *w, int64_t first, int64_t n, float *room)
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

/* VL outputs from o on; to[tap][input] is `wide` from the next input, step wide from the next tap.
 */
static inline void pack_outputs(const ss_conv *c, int64_t o, int64_t wide, int64_t first, int64_t n,
                                int64_t step, float *to)
{
    const int64_t taps = c->kh * c->kw;
    pack_cursor at = {to, 0, taps, step * wide, wide - (taps - 1) * step * wide};
    float room[VL * PACK_RUN];

    for (int64_t j = 0; j < n * taps; j += PACK_RUN) {
        const int64_t run = min_i64(PACK_RUN, n * taps - j);
        const float *row[VL];

        for (int k = 0; k < VL; k++)
            row[k] = o + k >= c->out
                         ? pack_nothing
                         : pack_values(&c->weights, ((o + k) * c->in + first) * taps + j, run,
                                       room + k * PACK_RUN);
        pack_rows(row, run, &at);
    }
}

/* The same of one input and VL outputs of turned weights, [in][out][taps] with the taps in
 * reverse. */
static inline void pack_turned(const ss_conv *c, int64_t o, int64_t wide, int64_t input,
                               int64_t step, float *to)
{
    const int64_t taps = c->kh * c->kw, some = min_i64(VL, c->out - o);
    pack_cursor at = {to + (taps - 1) * step * wide, 0, taps, -step * wide, 0};
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
    pack_rows(row, taps, &at);
}

/* Weights of outputs [o, o + wide) and inputs [first, first + n), zeros beyond the last output, to
 * to[tap][input][wide] with `step` inputs from one tap to the next. wide is a multiple of VL. */
static inline void pack_weights(const ss_conv *c, int64_t o, int64_t wide, int64_t first, int64_t n,
                                int64_t step, float *to)
{
    if (!c->weights.turned) {
        for (int64_t k = 0; k < wide; k += VL)
            pack_outputs(c, o + k, wide, first, n, step, to + k);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < wide; k += VL)
            pack_turned(c, o + k, wide, first + i, step, to + i * wide + k);
}

#endif
