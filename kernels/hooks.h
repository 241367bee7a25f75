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
#include "base/site.h"
#include "base/torch_code.h"
#include "kernels/stats.h"
#include "kernels/tensor.h"

typedef struct {
    const char *path; /* "up_blocks.1.resnets.0"; unique within a model */
    const char *kind; /* PyTorch class, "ResnetBlock2D" */
    int id;           /* index in the model's list, which is in order of definition */
    int parent;       /* id, or -1 */
    bool block;       /* its output is a block output: what a per-block policy rounds */
    ss_inner inner;   /* not a module of PyTorch's, but a value inside of its parent; else 0 */
    bool promotes;    /* under the policy half, sums and products in it are as wide as their widest
                         operand, and what modules in it give is not rounded again: a module of
                         PyTorch's without weights, whose neighbours differ in type */
    float limit;      /* its output is clamped to [-limit, limit], as part of the network; 0: not */
} ss_module;

/* Callbacks; wants* are asked once per module, when the hooks are installed. */
typedef struct {
    void *self;
    bool (*wants)(void *self, const ss_module *m, ss_port p);
    bool (*wants_attention)(void *self, const ss_module *m);
    /* At once: ask of x what is wanted (results.h); do not keep it without ss_retain. */
    void (*see)(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x);
    /* Delivered later, in the order of the computation, by ss_ctx_finish (results.h); at once, with
     * s NULL, where only shapes are inferred.
     * Where keys are tokens of frames, s then has one entry, with nothing but how many those are.
     * s: [n][heads], borrowed for the call; keys: how many keys each query could see. */
    void (*see_attention)(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys);
    /* Likewise, of an inner value that never exists as a tensor: s [n]. */
    void (*see_stats)(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n);
} ss_hooks;

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

/* Asks for the inner values y (1 + scale) and that + shift, mod [N][2C] as in ss_modulate, without
 * making them. False where only shapes are inferred: there they have to be made and seen. */
bool ss_see_modulated(ss_ctx *c, const ss_module *scaled, const ss_module *shifted,
                      const ss_tensor *y, const ss_tensor *mod);

/* A value that goes into m, or that came out of a module below m by another way than its output:
 * as m has it, which is rounded under the policy half. Takes x. */
ss_tensor *ss_pass(ss_ctx *c, const ss_module *m, ss_tensor *x);
/* x.to(sample.dtype), which is fp32 under autocast: what it is added to becomes fp32, too. x has
 * no other holder. */
void ss_to_sample_type(ss_ctx *c, ss_tensor *x);
/* Returns what is added to the logit of a key to hide it: -inf, or under the policy half the least
 * number of the format, torch.finfo(dtype).min. */
float ss_hidden_logit(const ss_ctx *c);
/* True when x was rounded to numbers of so many bits, as fp16 (5, 10) is stored. */
bool ss_tensor_is_in(const ss_tensor *x, int exp_bits, int man_bits);
/* True when operations that run now, in the innermost module entered, may round. */
bool ss_rounds_here(const ss_ctx *c);

/* True when something looks at or changes the output of m, so that it must exist as a
 * tensor of its own and may not be fused with what follows. */
bool ss_needs_output(const ss_ctx *c, const ss_module *m);
/* True when its values are changed there, by an intervention or by rounding. */
bool ss_changes_output(const ss_ctx *c, const ss_module *m);

#endif
