/* internal.h - the context's inside, shared by the engine's own files; private to kernels/ */
#ifndef SS_KERNELS_INTERNAL_H
#define SS_KERNELS_INTERNAL_H

#include "kernels/backend.h"
#include "kernels/context.h"
#include "kernels/node.h"

enum { SS_MAX_DEPTH = 64 }; /* of nested modules */

/* One change to one module's output, resolved from an ss_intervention. */
typedef struct {
    int module;
    ss_intervention_kind kind;
    float value;
} ss_change;

/* Watching, rounding and changes at one module. */
typedef struct {
    bool watch[SS_N_PORTS];
    bool watch_attention;
    const ss_format *format;   /* NULL: fp32, nothing is rounded */
    const ss_format *gradient; /* the same of gradients */
    int first_change, n_changes;
    bool cosine;
    float cosine_scale; /* 0: sqrt(width of a head) */
} ss_at_module;

/* Something asked for (results.h), with its place in host memory: the head of a larger block. */
typedef struct ss_result {
    void (*deliver)(ss_ctx *c, struct ss_result *r); /* not called after an error */
    ss_measured *measured;                           /* that it holds, or NULL */
    struct ss_result *next;
} ss_result;

typedef struct {
    ss_result *first, *last; /* in the order in which they were asked for */
    size_t bytes;
    bool delivering;
} ss_results;

struct ss_ctx {
    const ss_backend *be;
    ss_device *dev;
    bool shapes_only;
    bool sync; /* each call waits for the device: SIGMASCOPE_SYNC */
    char device_text[320];
    ss_err err;
    ss_err op_err; /* where a backend call writes, before it is recorded */
    ss_usage usage;

    int n_modules;
    ss_hooks hooks;
    ss_round_scope scope;
    ss_attention_code attention;
    bool torch_norms;
    const ss_format *format; /* outside of every module; of gradients the next */
    const ss_format *gradient;
    ss_format *formats; /* owned: the policy's default and its gradients', then its rules' */
    int n_formats;
    ss_at_module *sites; /* [n_modules], owned; NULL when nothing is set up */
    ss_change *changes;  /* sorted by module, in the order given */

    const ss_module *stack[SS_MAX_DEPTH];
    int depth;

    ss_tape tape;
    ss_results results;
};

/* context.c: a context on this backend, whatever opt->device is. */
ss_code ss_ctx_new_on(const ss_backend *be, int number, const ss_ctx_options *opt, ss_ctx **c,
                      ss_err *e);

/* error.c: waits for the device. An error goes to c->op_err, with `why`. */
ss_code ss_ctx_wait(ss_ctx *c, const char *why);

/* results.c: a zeroed block of so many bytes, whose head is the last of the list. May deliver
 * earlier ones. NULL after an error, which the context has. */
ss_result *ss_result_new(ss_ctx *c, size_t bytes, void (*deliver)(ss_ctx *c, ss_result *r));
void ss_results_drop(ss_ctx *c); /* undelivered */

/* tensor.c */
void ss_measured_release(ss_measured *m); /* NULL is fine */

/* Sets what n's weights and output are rounded to, by the policy and what its operands are in. */
void ss_node_formats(const ss_ctx *c, ss_node *n);
/* The format to which a value from the host is rounded on arrival, or NULL. */
const ss_format *ss_upload_format(const ss_ctx *c);
/* The format to which gradients of operations' outputs are rounded at present, or NULL. */
const ss_format *ss_op_gradient_format(const ss_ctx *c);
/* x as an operand of a convolution, product or attention: in the format that these work in just
 * now. A reference of the caller's, as that of an operation. */
ss_tensor *ss_lower(ss_ctx *c, const ss_tensor *x);
/* The setup of m, or of the innermost module entered; NULL where nothing is set up. */
const ss_at_module *ss_at(const ss_ctx *c, const ss_module *m);
const ss_at_module *ss_at_innermost(const ss_ctx *c);
/* The format that the innermost module's operations work in, or NULL: fp32. */
const ss_format *ss_working_format(const ss_ctx *c);

/* cast.c: rounds x to f, and later its gradient to g, which passes straight through the rounding of
 * the value (Bengio et al. 2013); either may be NULL. Takes x. */
ss_tensor *ss_cast_to(ss_ctx *c, ss_tensor *x, const ss_format *f, const ss_format *g);

/* Who looks at an attention operation; NULL: nobody. */
enum { SS_N_ATTENTION_INNERS = 3 };
typedef struct {
    const ss_module *module, *inner[SS_N_ATTENTION_INNERS];
    int frames; /* of a sample */
} ss_attention_watchers;
/* inner.c: a result for what is seen of the attention n, and n's places for it. False after an
 * error, which the context has. */
bool ss_ask_attention(ss_ctx *c, const ss_attention_watchers *w, ss_node *n);
/* Announces the attention to its watchers in a context that only infers shapes. */
void ss_announce_attention(ss_ctx *c, const ss_attention_watchers *w, const ss_node *n);
/* True when somebody looks at the inner value m, which may be NULL. */
bool ss_watches(const ss_ctx *c, const ss_module *m);

/* ops_shape.c: video [N][F][H][W][C] as pictures, and pictures y as video with x's N and F. Takes
 * y. Both are known to the tape. */
ss_tensor *ss_frames_to_batch(ss_ctx *c, const ss_tensor *x);
ss_tensor *ss_batch_to_frames(ss_ctx *c, ss_tensor *y, const ss_tensor *x);

/* x's values under another shape of equal size, unknown to the tape. */
ss_tensor *ss_tensor_view(ss_ctx *c, const ss_tensor *x, ss_shape s);

/* A tensor with x's values that may be written: x itself when nobody else holds it, else a
 * fresh one that the caller fills. Takes x. *fresh is true for the latter. */
ss_tensor *ss_writable(ss_ctx *c, ss_tensor *x, bool *fresh);

/* Notes that x's values are in f; whether that is noted. */
void ss_mark(ss_tensor *x, const ss_format *f);
static inline bool ss_is_in(const ss_tensor *x, const ss_format *f)
{
    return x->buf->exp_bits == f->exp_bits && x->buf->man_bits == f->man_bits;
}

/* Rounds y's values, in place when it is the only owner. Takes y. */
ss_tensor *ss_round_to(ss_ctx *c, ss_tensor *y, const ss_format *f);

#endif
