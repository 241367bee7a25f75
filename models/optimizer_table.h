/* optimizer_table.h - what Adam's state beside a checkpoint says about its next steps
 *
 * With m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t), a step changes w by lr m^ / (sqrt(v^) +
 * eps), so
 *
 *   update/weight = lr RMS(m^ / (sqrt(v^) + eps)) / RMS(w)           without weight decay
 *
 * The staleness of a step, RMS(g / sqrt(v^)), needs its gradient g, which no file has. But m^ is a
 * mean of gradients g_i with weights p_i that sum to 1, nine tenths of them within the last 22
 * steps at beta1 0.9, and the square of a mean is at most the mean of squares:
 *
 *   RMS(m^ / sqrt(v^))^2 <= sum_i p_i RMS(g_i / sqrt(v^))^2
 *
 * so the left side, s, bounds the staleness from below: some of these gradients was at least s
 * times what v^ has now. Above 2.3 (analyze/training/updates.h) the moment was stale, for certain.
 * A small s proves nothing: gradients that change their sign cancel in m, and about 0.23 is what
 * independent ones leave at beta1 0.9. s cannot exceed, by Cauchy and Schwarz,
 *
 *   C = (1 - beta1) / (1 - beta1^t) sqrt((1 - beta2^t) / (1 - beta2) (1 - q^t) / (1 - q)),
 *   q = beta1^2 / beta2,
 *
 * 7.3 at betas 0.9 and 0.999.
 *
 * Which state is of which parameter: adam_owners.h.
 */
#ifndef SS_MODELS_OPTIMIZER_TABLE_H
#define SS_MODELS_OPTIMIZER_TABLE_H

#include "base/table.h"
#include "models/model.h"

/* Finds the state among the model's torch.distributed.checkpoint; or optimizer.bin, .pt or .pth in
 * the model's folder, or around it, as accelerate leaves it, or its optimizer_0/ of FSDP; *path is
 * NULL where there is none, and the caller's to ss_free. */
ss_code ss_optimizer_find(const ss_model *m, char **path, ss_err *e);

/* Fills a fresh table with a row for each parameter: its s, update/weight, RMS of m^, sqrt(v^) and
 * weight, step; the `top` largest s first (0: all), those with inf or NaN before. Its note says
 * what stands out. A state that does not fit the model is SS_SHAPE, one that fits in several ways
 * too. */
ss_code ss_optimizer_table(const ss_model *m, const char *path, int top, ss_table *t, ss_err *e);

/* The limit C of s. */
double ss_adam_limit(double beta1, double beta2, double step);

#endif
