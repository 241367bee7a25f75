/* hooks.h - modules, and what looks at them or changes them
 *
 * A module is a node of a network with a path in PyTorch's state dict, such as
 * "up_blocks.1.resnets.0"; the whole network has the path "". A model makes its list of
 * modules when it is built; while it runs it brackets each module:
 *
 *   ss_enter(c, m, x);            // the input port is seen
 *   ...
 *   return ss_leave(c, m, y);     // rounded, changed, seen; takes y, returns what goes on
 *
 * Order at the output: the module's own limit, interventions, then rounding, then hooks, so hooks
 * see what the next module gets. Inner values (below) are seen where they are made. With neither
 * policy nor interventions the values are those of a run with no hooks, bit for bit.
 */
#ifndef SS_KERNELS_HOOKS_H
#define SS_KERNELS_HOOKS_H

#include "base/format.h"
#include "kernels/stats.h"
#include "kernels/tensor.h"

/* Values inside of a module that a half-precision run in PyTorch stores and no module returns. Each
 * is in the model's list, with a name below the module that makes it ("....attn1.logits") and the
 * kind's name in place of a class; it is seen at the output port and can be neither changed nor
 * kept in another format than its module.
 *   sum            of two values: conv1(h) + temb, x + h before it is divided, of embeddings
 *   mixed sum      with a value of the sample's type, which is fp32 under autocast
 *   product        q.k where the code always stores it (AttentionPooling)
 *   modulated      norm(h) (1 + scale), and that + shift: as wide as the norm's output
 *   logits         scale q.k + mask;  unscaled logits: q.k. Largest |x|: of each query's largest
 *   upcast logits  of a layer that computes them in fp32 whatever the code (upcast_attention)
 *   probabilities  softmax of the logits */
#define SS_INNERS(X)          \
    X(NONE, "")               \
    X(SUM, "sum")             \
    X(MIXED, "mixed sum")     \
    X(PRODUCT, "product")     \
    X(MODULATED, "modulated") \
    X(LOGITS, "logits")       \
    X(UNSCALED, "unscaled logits") X(UPCAST, "upcast logits") X(PROBABILITIES, "probabilities")
#define X(name, text) SS_INNER_##name,
typedef enum { SS_INNERS(X) SS_N_INNERS } ss_inner;
#undef X
const char *ss_inner_name(ss_inner k);

typedef struct {
    const char *path; /* "up_blocks.1.resnets.0"; unique within a model */
    const char *kind; /* PyTorch class, "ResnetBlock2D" */
    int id;           /* index in the model's list, which is in order of definition */
    int parent;       /* id, or -1 */
    bool block;       /* its output is a block output: what a per-block policy rounds */
    ss_inner inner;   /* not a module of PyTorch's, but a value inside of its parent; else 0 */
    float limit;      /* its output is clamped to [-limit, limit], as part of the network; 0: not */
} ss_module;

/* Where a module is looked at. residual: the stream after this module's output was added
 * to it (attention and feed-forward branches of a transformer block); skip: the encoder
 * feature map that a decoder block concatenates to its input. */
#define SS_PORTS(X) X(INPUT, "input") X(OUTPUT, "output") X(RESIDUAL, "residual") X(SKIP, "skip")
#define X(name, text) SS_PORT_##name,
typedef enum { SS_PORTS(X) SS_N_PORTS } ss_port;
#undef X
const char *ss_port_name(ss_port p);

/* Callbacks; wants* are asked once per module, when the hooks are installed. */
typedef struct {
    void *self;
    bool (*wants)(void *self, const ss_module *m, ss_port p);
    bool (*wants_attention)(void *self, const ss_module *m);
    /* x: call ss_tensor_stats or ss_download on it; do not keep it without ss_retain. */
    void (*see)(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x);
    /* s: [n][heads], borrowed for the call; keys: how many keys each query could see. */
    void (*see_attention)(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys);
    /* Of an inner value that never exists as a tensor: s [n], borrowed for the call. */
    void (*see_stats)(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n);
} ss_hooks;

/* What is rounded under a policy, named after the code that it stands for. Sums and norms
 * accumulate in fp32 in all of them.
 *   half          a model in half precision: the input, all weights, and what each operation
 *                 stores. A module of another format gets its input in it, and gives its output
 *                 back in its parent's: module.float(), x.float(), y.half()
 *   autocast      torch.autocast by its lists for CUDA: convolutions, products and attention cast
 *                 operands and weights and store the format; norms give fp32; all else is as wide
 *                 as the widest operand. A module in fp32 is one with autocast off, on x.float()
 *   autocast-cpu  the same by the lists for CPUs, where norms are as wide as their input
 *   blocks        of no PyTorch code: block outputs only, everything inside stays fp32, so what
 *                 overflows inside is not seen
 * Source: PyTorch, "Automatic Mixed Precision", op-specific behaviour. */
#define SS_ROUND_SCOPES(X) \
    X(HALF, "half") X(AUTOCAST, "autocast") X(AUTOCAST_CPU, "autocast-cpu") X(BLOCKS, "blocks")
#define X(name, text) SS_ROUND_##name,
typedef enum { SS_ROUND_SCOPES(X) SS_N_ROUND_SCOPES } ss_round_scope;
#undef X
const char *ss_round_scope_name(ss_round_scope s);
/* By name; SS_USAGE with the list of names otherwise. */
ss_code ss_round_scope_parse(const char *name, ss_round_scope *s, ss_err *e);

/* How attention is coded: what it stores of its logits.
 *   sdpa            nothing, they stay in fp32: scaled_dot_product_attention
 *   eager           scale q.k + mask, from one product: diffusers' AttnProcessor
 *   eager-unscaled  q.k, then times the scale: the first code of Stable Diffusion */
#define SS_ATTENTION_CODES(X) X(SDPA, "sdpa") X(EAGER, "eager") X(EAGER_UNSCALED, "eager-unscaled")
#define X(name, text) SS_ATTENTION_##name,
typedef enum { SS_ATTENTION_CODES(X) SS_N_ATTENTION_CODES } ss_attention_code;
#undef X
const char *ss_attention_code_name(ss_attention_code k);
ss_code ss_attention_code_parse(const char *name, ss_attention_code *k, ss_err *e); /* likewise */

/* Gradients (tape.h) are rounded as the outputs that they belong to, but to a format of their
 * own, as in fp8 training: e4m3 forward, e5m2 backward. A gradient format left zero is fp32. */
typedef struct {
    ss_format format; /* of modules that no rule names */
    ss_round_scope scope;
    ss_attention_code attention;
    bool torch_norms; /* norms' moments as PyTorch has them, in fp32: a variance may be inf */
    int n_rules;
    struct ss_precision_rule {
        const char *glob; /* over module paths, inner values excepted; a rule covers the
                             modules below a match too */
        ss_format format;
        ss_format gradient;
    } const *rules; /* the last match wins */
    ss_format gradient;
} ss_precision;

/* The kinds of change, for `--intervene`: what it does to the output y of a module, or, for
 * cosine attention, to the logits: scale' * cos(q_i, k_j), scale' = value or, if that is 0,
 * sqrt(width of a head) (Nguyen & Salazar 2019; Henry et al. 2020). */
typedef enum { SS_CLAMP, SS_SCALE, SS_ZERO, SS_COSINE_ATTENTION } ss_intervention_kind;

typedef struct {
    ss_intervention_kind kind;
    float value; /* clamp: y to [-value, value]; scale: y * value */
    const char *glob;
} ss_intervention;

/* Parses "clamp:V@GLOB", "scale:K@GLOB", "zero@GLOB", "cosine-attention[:SCALE]@GLOB".
 * out->glob points into spec. */
ss_code ss_intervention_parse(const char *spec, ss_intervention *out, ss_err *e);

/* Tells the context which modules there are and what happens at them. Replaces what was set
 * before; NULL parts mean none. Refused (SS_USAGE) while a tape records. A rule or intervention
 * whose glob matches no module is SS_USAGE. modules must outlive the setting; hooks, policy and
 * interventions are copied (the globs are not needed afterwards). */
typedef struct {
    const ss_module *const *modules;
    int n_modules;
    const ss_hooks *hooks;
    const ss_precision *precision;
    const ss_intervention *interventions;
    int n_interventions;
} ss_setup;
ss_code ss_ctx_setup(ss_ctx *c, const ss_setup *setup, ss_err *e);

void ss_enter(ss_ctx *c, const ss_module *m, const ss_tensor *x);
ss_tensor *ss_leave(ss_ctx *c, const ss_module *m, ss_tensor *y);
/* Another port than input and output, or an inner value's output. */
void ss_see(ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x);

/* Shows the inner values y (1 + scale) and that + shift, mod [N][2C] as in ss_modulate, from the
 * ranges of y's channels. False, and nothing is shown, where they are not all finite and small:
 * then they have to be made and seen. */
bool ss_see_modulated(ss_ctx *c, const ss_module *scaled, const ss_module *shifted,
                      const ss_tensor *y, const ss_tensor *mod);

/* A value that goes into m, or that came out of a module below m by another way than its output:
 * as m has it, which is rounded under the policy half. Takes x. */
ss_tensor *ss_pass(ss_ctx *c, const ss_module *m, ss_tensor *x);
/* x.to(sample.dtype), which is fp32 under autocast: what it is added to becomes fp32, too. x has
 * no other holder. */
void ss_to_sample_type(ss_ctx *c, ss_tensor *x);
/* True when operations that run now, in the innermost module entered, may round. */
bool ss_rounds_here(const ss_ctx *c);

/* True when something looks at or changes the output of m, so that it must exist as a
 * tensor of its own and may not be fused with what follows. */
bool ss_needs_output(const ss_ctx *c, const ss_module *m);
/* True when its values are changed there, by an intervention or by rounding. */
bool ss_changes_output(const ss_ctx *c, const ss_module *m);

#endif
