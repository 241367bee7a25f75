/* torch_code.h - the PyTorch code whose low-precision runs are emulated, and judged */
#ifndef SS_BASE_TORCH_CODE_H
#define SS_BASE_TORCH_CODE_H

#include "base/err.h"

/* Scopes of rounding under a policy, each named after the code that it emulates. Sums and norms
 * accumulate in fp32 in all of them.
 *   half          a model in half precision: the input, all weights, and what each operation
 *                 stores. A module of another format gets its input in it, and gives its output
 *                 back in its parent's: module.float(), x.float(), y.half()
 *   autocast      torch.autocast by its lists for CUDA: convolutions, products and attention cast
 *                 operands and weights and store the format; norms give fp32; all else is as wide
 *                 as the widest operand. A module in fp32 is one with autocast off, on x.float()
 *   autocast-cpu  the same by the lists for CPUs, where norms are as wide as their input
 *   blocks        no PyTorch code: only block outputs are rounded, so an overflow inside a block
 *                 is not seen
 * Source: PyTorch, "Automatic Mixed Precision", op-specific behaviour. */
#define SS_ROUND_SCOPES(X) \
    X(HALF, "half") X(AUTOCAST, "autocast") X(AUTOCAST_CPU, "autocast-cpu") X(BLOCKS, "blocks")
#define X(name, text) SS_ROUND_##name,
typedef enum { SS_ROUND_SCOPES(X) SS_N_ROUND_SCOPES } ss_round_scope;
#undef X
const char *ss_round_scope_name(ss_round_scope s);
/* By name; SS_USAGE with the list of names otherwise. */
ss_code ss_round_scope_parse(const char *name, ss_round_scope *s, ss_err *e);

/* Codes of attention, which differ in what they store of the logits.
 *   sdpa            stores none, they stay in fp32: scaled_dot_product_attention
 *   eager           scale q.k + mask, from one product: diffusers' AttnProcessor
 *   eager-unscaled  q.k, then times the scale: the first code of Stable Diffusion */
#define SS_ATTENTION_CODES(X) X(SDPA, "sdpa") X(EAGER, "eager") X(EAGER_UNSCALED, "eager-unscaled")
#define X(name, text) SS_ATTENTION_##name,
typedef enum { SS_ATTENTION_CODES(X) SS_N_ATTENTION_CODES } ss_attention_code;
#undef X
const char *ss_attention_code_name(ss_attention_code k);
ss_code ss_attention_code_parse(const char *name, ss_attention_code *k, ss_err *e); /* likewise */

#endif
