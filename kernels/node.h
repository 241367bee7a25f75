/* node.h - an operation with its operands: as it runs, and as the tape keeps it; private to
 * kernels/
 *
 * Each operation is an ss_op with a forward and a backward. Its public function (ops.h) checks
 * shapes, fills a node and calls ss_node_run, which makes the output, computes, rounds, and
 * puts a copy of the node on the tape if that records and an operand wants a gradient.
 */
#ifndef SS_KERNELS_NODE_H
#define SS_KERNELS_NODE_H

#include "kernels/backend.h"

enum { SS_MAX_OPERANDS = 5 };

/* Where the gradient of a value gathers. Shared by the tensor and the nodes that made and use
 * it, so that it lives on when the value is no longer needed. */
typedef struct ss_var {
    int refs;
    ss_shape shape;
    ss_tensor *gradient; /* the sum so far; NULL stands for zeros */
    int maker;           /* index of the node that made it, -1: none, a leaf */
    unsigned tape;       /* number of the tape that the maker is on */
} ss_var;

typedef struct ss_node ss_node;

/* Which list of torch.autocast an operation is on. */
typedef enum {
    SS_CAST_WIDEST, /* none, or "promote": as wide as the widest operand */
    SS_CAST_LOW,    /* lower precision: ss_lower its operands */
    SS_CAST_FP32,
    SS_CAST_OWN_FP32, /* none, but its code casts to fp32 by itself */
    SS_CAST_NONE      /* never rounded: of a policy itself, or with an operand that stays fp32 */
} ss_cast;

/* Operands, y, dy and dx are on the context's device; a backend's error goes to c->op_err. */
typedef struct {
    const char *name;
    /* Computes y from n->in. NULL: y is in[0] under another shape. */
    ss_code (*forward)(ss_ctx *c, const ss_node *n, ss_tensor *y);
    /* Fills dx[k], the contribution of dy to the gradient of operand k, where it is not NULL
     * and not passed. n->in has the operands that `saves` names; the others are NULL. NULL:
     * all of them are passed. */
    ss_code (*backward)(ss_ctx *c, const ss_node *n, const ss_tensor *dy, ss_tensor *const dx[]);
    unsigned saves; /* operands whose values the backward reads */
    ss_cast cast;
    bool copies; /* y holds nothing but values of its operands, or zeros */
} ss_op;

/* In ss_op.saves: the backward reads operand k. */
#define SAVES(k) (1u << (k))

struct ss_node {
    const ss_op *op;
    const ss_tensor *in[SS_MAX_OPERANDS]; /* NULL where there is none */
    ss_shape shape;                       /* of y */
    unsigned passes; /* bit k: dx[k] is dy itself, under k's shape, not backward's to fill */
    union {
        ss_conv2d_opt conv;
        struct {
            int groups;
            float eps;
            ss_act act;
            ss_tensor *plain; /* group norm: a second output, not on a tape; or NULL */
            bool torch;
            bool rms;
        } norm;
        ss_act act;
        struct {
            int64_t row;
            float scale;
        } unit;
        struct {
            int heads;
            float scale;
            bool cosine;
            ss_attention_code code;
            int of_frames;
        } attention;
        struct {
            float mul, add;
        } affine;
        struct {
            float lo, hi;
        } clamp;
        struct { /* slabs before the axis, and how long a slab is in each tensor */
            int64_t outer, a, b, offset;
        } rows;
        struct {
            float kernel[8];
            int taps, up, down, pad0, pad1;
        } fir;
        const ss_format *round;
        int axes[SS_MAX_RANK];
    } arg;
    ss_attention_stats *stats; /* results, or NULL; of the first run, not on the tape */
    ss_logit_stats *logits;    /* likewise */
    float *frame_mass;         /* likewise */
    const void *host; /* more of the argument, host_bytes; the node on the tape owns a copy */
    size_t host_bytes;

    /* set by ss_node_run */
    const ss_module *module;   /* the innermost entered, or NULL */
    const ss_format *format;   /* what y is rounded to; NULL: not */
    const ss_format *weights;  /* what parameters are rounded to; NULL: not */
    bool moves;                /* y's values are in the format already */
    const ss_format *gradient; /* what its gradient is rounded to; NULL: not */
    ss_var *out;               /* owned, as the following */
    ss_var *var[SS_MAX_OPERANDS];
    int from[SS_MAX_OPERANDS]; /* in a dropped block: index of the node that computes in[k] */
    int dropped;               /* last node of a dropped block: index of its first; else -1 */
};

/* Makes y of n->shape, computes it, and records the node. n is copied; what it points at is
 * borrowed. NULL after recording an error in the context. */
ss_tensor *ss_node_run(ss_ctx *c, ss_node *n);

/* hooks.c: a module begins, and ends. */
void ss_tape_enter(ss_ctx *c, const ss_module *m);
void ss_tape_leave(ss_ctx *c, const ss_module *m);

/* tensor.c: a variable of shape s, made by a node of the context's tape (-1: by none). NULL after
 * recording an error in the context. */
ss_var *ss_var_new(ss_ctx *c, ss_shape s, int maker);
ss_var *ss_var_retain(ss_var *v); /* NULL is fine, as for release */
void ss_var_release(ss_var *v);
/* Where the gradient of x gathers on the tape that records; NULL: it gets none. */
ss_var *ss_var_of(const ss_ctx *c, const ss_tensor *x);

/* A context's tape. */
typedef struct {
    ss_node *nodes;
    size_t n, cap;
    unsigned number; /* of this tape, so that values of earlier ones are known for constants */
    bool on, paused, recompute;
    const ss_module *block; /* the outermost block entered, or NULL */
    int first;              /* its first node */
} ss_tape;

#endif
