/* magnitude.h - layers that keep the magnitude of what passes through them
 *
 * Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models" (EDM2),
 * config G; the numbers are the paper's equations. With inputs of unit RMS, so are outputs:
 *
 *   weights   w_hat = w / (eps + rms(w_i)) / sqrt(fan_in), row by row, no biases        (47, 66)
 *   silu      silu(x) / 0.596                                                           (81)
 *   sum       ((1 - t) a + t b) / sqrt((1 - t)^2 + t^2)                                 (88)
 *   concat    C [(1 - t) a / sqrt(Na), t b / sqrt(Nb)],
 *             C = sqrt((Na + Nb) / ((1 - t)^2 + t^2))                                   (103)
 *   pixel     x / (eps + rms(x)), over the channels of each position
 *
 * eps is 1e-4. What replaces what in a UNet whose remedies say "magnitude_preserving":
 *
 *   conv_in          sees one channel of ones more, in place of the bias
 *   ResnetBlock2D    no norms. Encoder: x = pixel(shortcut(resample(x))), then
 *                    y = conv2(silu(conv1(silu(x)) (1 + gain time_emb_proj(silu(temb))))) from the
 *                    block's channels to themselves. Middle and decoder: no pixel norm, conv1 from
 *                    all channels, shortcut of x at the end. Result: sum(x, y, t = 0.3)
 *   resamplers       their convolutions, with such weights
 *   Attention        no norm; q, k and v pixel-normed head by head; sum(x, y, t = 0.3)
 *   decoder skips    concat(x, skip, t = 0.5)
 *   time_embedding   takes sinusoids times sqrt(2); linear_1, silu, linear_2
 *   class_embedding  rows of unit RMS; sum(time, class, t = 0.5)
 *   conv_norm_out    and its activation: nothing; conv_out: times a gain
 *
 * The gains (`conv_out.gain`, `...time_emb_proj.gain`, [1]) are learned and begin at 0, other
 * parameters as normal values, normalised. A training normalises them again after every step
 * (ss_step.unit_row, forced weight normalisation), or their growth would act as a decay of
 * the learning rate.
 */
#ifndef SS_MODELS_MAGNITUDE_H
#define SS_MODELS_MAGNITUDE_H

#include "models/net/loader.h"

/* These borrow their operands; the results are the caller's. */
ss_tensor *ss_mp_silu(ss_ctx *c, const ss_tensor *x);
ss_tensor *ss_mp_sum(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, double t);
/* Concatenates channels, t = 0.5. */
ss_tensor *ss_mp_concat(ss_ctx *c, const ss_tensor *a, const ss_tensor *b);
/* Normalises rows of `width` values, a divisor of the channels. */
ss_tensor *ss_mp_pixel(ss_ctx *c, const ss_tensor *x, int64_t width);
/* Returns w_hat, which products are made of; for a table its rows at unit RMS. */
ss_tensor *ss_mp_weight(ss_ctx *c, const ss_weight *w, bool table);
/* Appends a channel of ones to x [N][H][W][C]. */
ss_tensor *ss_mp_ones(ss_ctx *c, const ss_tensor *x);
/* Multiplies x [N][H][W][C] by 1 + scale [N][C] at every position. */
ss_tensor *ss_mp_modulate(ss_ctx *c, const ss_tensor *x, const ss_tensor *scale);

/* How many values a row of the parameter has that the forward pass normalises
 * (ss_weight.normalised), and that a training keeps at unit RMS; 0 where it does not. */
int64_t ss_weight_unit_row(const ss_weight *w);

#endif
