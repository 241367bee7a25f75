/* rotary.h - rotary positions of frames, and how they are extended beyond the trained length
 *
 *   f_i = theta^(-2i/D),  i < D/2, theta = 10000, D the width of a head
 *   (x_i, x_{i+D/2}) of frame n is turned by the angle n f_i
 *
 * so that q_m . k_n depends on m - n alone (Su et al. 2021, RoFormer; halves as GPT-NeoX and
 * transformers have them). A video of more frames than the L that a network was trained on has s =
 * frames / L > 1; then, with an extension:
 *
 *   linear   n / s in place of n (Chen et al. 2023, position interpolation)
 *   ntk      theta s^(D/(D-2)) in place of theta (NTK-aware scaling, bloc97 2023)
 *   yarn     f_i (1 - r_i) + f_i / s r_i, r_i = (i - low) / (high - low) limited to [0, 1],
 *            low = floor(c(32)), high = ceil(c(1)), c(turns) = D ln(L / (2 pi turns)) / (2 ln
 *            theta), limited to [0, D - 1]; logits times (0.1 ln s + 1)^2 (Peng et al. 2023)
 */
#ifndef SS_MODELS_ROTARY_H
#define SS_MODELS_ROTARY_H

#include "base/err.h"
#include "kernels/tensor.h"

#include <stdbool.h>

#define SS_EXTENSIONS(X) X(NONE, "none") X(LINEAR, "linear") X(NTK, "ntk") X(YARN, "yarn")
#define X(name, text) SS_EXTEND_##name,
typedef enum { SS_EXTENSIONS(X) } ss_extension_kind;
#undef X

typedef struct {
    ss_extension_kind kind;
    int trained; /* L; 0: the network's number of frames */
} ss_extension;

/* Reads "linear", "ntk" or "yarn", each with ":L" if wanted; NULL is none. SS_USAGE for anything
 * else. */
ss_code ss_extension_parse(const char *text, ss_extension *x, ss_err *e);

/* Returns s, at least 1, of a video of so many frames. */
double ss_extension_factor(const ss_extension *x, int64_t frames);

/* Fills f [D/2] for that s; D is even. x->trained is at least 1. */
void ss_rotary_frequencies(const ss_extension *x, int width, double s, double *f);
/* Returns the factor of logits for that s. */
double ss_rotary_logits(const ss_extension *x, double s);

/* Turns the heads of x [N][F][H][W][heads D]; the caller's. NULL after an error. */
ss_tensor *ss_rotary_run(ss_ctx *c, const ss_tensor *x, int heads, const ss_extension *ext);

#endif
