/* lora_values.h - the weights that LoRA and its kin make of a layer's
 *
 *   LoRA   dW = s B A             A [r,in], B [out,r]; kernels flat, A [r,in kh kw]
 *          dW = s B M A           with a core M [r,r,kh,kw] and A [r,in]
 *   LoHa   dW = s (a1 b1) * (a2 b2), elementwise
 *   LoKr   dW = s w1 (x) w2, Kronecker's product; w1, w2 may be products themselves
 *   full   dW = s D
 *   W' = W + dW;   DoRA: W' = m (W + dW) / |W + dW|, norms of rows (m [out]) or of columns
 *
 * in f32. Where W is of 16 bits, A, B, dW and W' are rounded to its dtype, as in diffusers'
 * load_lora_weights and fuse_lora: the factors are loaded in the dtype of the network.
 *
 * Sources: Hu et al. 2021, arXiv 2106.09685; Liu et al. 2024 (DoRA), 2402.09353; Hyeon-Woo et al.
 * 2021 (LoHa), 2108.06098; Yeh et al. 2023 (LyCORIS), 2309.14859.
 */
#ifndef SS_MODELS_LORA_VALUES_H
#define SS_MODELS_LORA_VALUES_H

#include "models/file/lora_names.h"
#include "models/file/stored_tensor.h"

/* A layer and what is merged into it; the source of the tensor that ss_lora_make makes. */
typedef struct {
    const ss_stored_tensor *base;
    const ss_stored_tensor *part[SS_LORA_N_PARTS]; /* NULL: it has none */
    double scale;                                  /* s */
} ss_lora_source;

/* "LoRA", "LoHa", "LoKr", "full"; NULL where parts are missing. */
const char *ss_lora_kind(const ss_lora_source *s);
/* The rank of the factors; 0 where there are none. */
int64_t ss_lora_rank(const ss_lora_source *s);
/* Checks that all parts fit the layer, [out,...]. */
ss_code ss_lora_check(const ss_lora_source *s, ss_err *e);

/* Makes the merged weight; t->source is an ss_lora_source (ss_stored_tensor.make). */
ss_code ss_lora_make(const ss_stored_tensor *t, void *out, ss_err *e);

#endif
