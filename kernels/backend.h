/* backend.h - what a device must be able to do; private to kernels/
 *
 * The files of operations check shapes, allocate the output, and call through this table (call.h),
 * so a backend sees only valid arguments: dense tensors of its own device, f32 unless said, outputs
 * allocated and distinct from inputs unless marked "may be in place". Parameters (w, bias, gamma,
 * beta, g, table) may be f32, f16 or bf16; a backend may keep prepared copies with the tensor.
 * Every function returns SS_OK or fills e.
 *
 * Time. Work may run later, in the order of the calls. Host operands (taps of a filter, factors,
 * indices, options) live for the call only: a device that is late copies them. Host results
 * (statistics, values) are of memory that stays where it is until `finish`, and are there when that
 * returns, which also reports what went wrong in the meantime. The engine calls `finish` after a
 * call that fails, too, before the memory of its results goes.
 *
 * Alignment. alloc gives multiples of 64 bytes, and a tensor begins there, unless it is a parameter
 * in the host's memory, a sample of a tensor, or a part of a row: offsets, strides and numbers of
 * channels are any, so that a kernel that loads vectors needs another way for the rest.
 *
 * kernels/cpu is the reference and has every entry. Another backend may leave entries of the lists
 * NULL; what needs one is then an error that names it.
 */
#ifndef SS_KERNELS_BACKEND_H
#define SS_KERNELS_BACKEND_H

#include "base/format.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/stats.h"
#include "kernels/step.h"
#include "kernels/tensor.h"

typedef struct ss_device ss_device; /* a backend's own state */

/* A form of a parameter that a backend made once, for a use of it; freed with the tensor, while the
 * device is open. form is NULL before. */
typedef enum { SS_PREPARED_FORWARD, SS_PREPARED_BACK, SS_N_PREPARED } ss_use;
typedef struct {
    void *form;
    void (*free)(ss_device *d, void *form);
} ss_prepared;

/* Statistics of a buffer's n samples: shared by the buffer and those who asked for them. They are
 * there when the device has finished. */
typedef struct ss_measured {
    int refs;
    int64_t n;
    bool exponents; /* the histogram is among them */
    ss_stats of[];
} ss_measured;

/* Device memory; shared by a tensor and its reshaped views. */
typedef struct ss_buffer {
    void *data;   /* device pointer; NULL in a shapes-only context */
    size_t bytes; /* as asked for */
    int refs;
    bool borrowed;          /* the memory is somebody else's (a mapped checkpoint) */
    bool parameter;         /* not counted among activations */
    int exp_bits, man_bits; /* of the format that all values were rounded to; 0: none is known */
    ss_measured *measured;  /* statistics that were asked for, or NULL */
} ss_buffer;

struct ss_tensor {
    ss_ctx *ctx;
    int refs;
    ss_dtype dtype;
    bool parameter; /* of a network: what is mixed with it keeps its own width */
    ss_shape shape;
    ss_buffer *buf;
    void *data; /* = buf->data */
    ss_prepared prepared[SS_N_PREPARED];
    unsigned version;   /* of the values; a prepared form remembers the one it is of */
    struct ss_var *var; /* where its gradient gathers (node.h), or NULL */
};

/* Keeps a form in place of an earlier one. The tensor's values stay as they are. */
static inline void ss_prepared_set(ss_device *d, const ss_tensor *w, ss_use use, ss_prepared p)
{
    ss_prepared *slot = (ss_prepared *)&w->prepared[use];

    if (slot->form)
        slot->free(d, slot->form);
    *slot = p;
}

typedef struct {
    const ss_tensor *x, *w, *bias;  /* bias may be NULL */
    ss_conv2d_opt opt;              /* stride >= 1, padding >= 0 */
    const ss_format *weight_format; /* round w and bias to it when they are packed; NULL: not */
    ss_tensor *y;
} ss_conv2d_args;

/* Also for 1x1 weights of rank 4. rows = all leading dimensions of x together. */
typedef struct {
    const ss_tensor *x, *w, *bias;
    int64_t rows, in, out;
    const ss_format *weight_format;
    ss_tensor *y;
} ss_linear_args;

typedef struct {
    const ss_tensor *x, *gamma, *beta, *mod; /* gamma, beta, mod may be NULL */
    int64_t n, positions, channels;
    int groups;
    float eps;
    ss_act act;
    const ss_format *weight_format; /* round gamma and beta to it; NULL: not */
    bool torch;                     /* moments overflow as PyTorch's, which are f32 */
    ss_tensor *y;
    ss_tensor *plain; /* the same without mod and act, or NULL */
} ss_group_norm_args;

typedef struct {
    const ss_tensor *x, *gamma, *beta;
    int64_t rows, channels;
    float eps;
    const ss_format *weight_format; /* as above */
    bool torch;
    bool rms;                /* mean 0, variance mean(x^2); beta is NULL */
    const ss_format *stored; /* of what gamma multiplies (forward only); NULL: not rounded */
    ss_tensor *y;
} ss_layer_norm_args;

typedef struct {
    const ss_tensor *q, *k, *v, *mask; /* mask [n][keys] or NULL */
    const ss_tensor *bias;             /* [heads or 1][queries][keys], f32, added before; or NULL */
    int64_t n, queries, keys;
    int heads, width; /* width of one head */
    float scale;
    bool cosine;               /* q_i and k_j are divided by their length first */
    const ss_format *rounding; /* of what is stored (hooks.h); NULL: nothing is rounded */
    ss_attention_code code;    /* what that is of the logits; of the probabilities: sdpa rounds
                                  exp(l - m), the others p */
    ss_attention_stats *stats; /* host [n][heads], or NULL when nobody asks */
    ss_logit_stats *logits;    /* the same [n][heads], together with stats */
    int64_t frames;            /* of which queries and keys are tokens; 0: they are not */
    float *frame_mass;         /* host [n][heads][2][frames], together with stats if frames */
    ss_tensor *y;
} ss_attention_args;

typedef struct {
    const ss_tensor *x;
    const float *kernel;
    int taps, up, down, pad0, pad1;
    ss_tensor *y;
} ss_fir_args;

/* Arguments of a convolution's gradient, or of a matrix product's as the 1x1 convolution of one row
 * of pixels. */
typedef struct {
    const ss_tensor *x, *w, *dy;
    int64_t n, h, width, in;   /* x [n][h][width][in] */
    int64_t out_h, out_w, out; /* dy [n][out_h][out_w][out] */
    int64_t kh, kw;
    ss_conv2d_opt opt;
    const ss_format *weight_format; /* as in the forward */
} ss_conv2d_gradient_args;

/* dy and where the gradients of x, gamma, beta and mod go; NULL where none is wanted. */
typedef struct {
    const ss_tensor *dy;
    ss_tensor *dx, *dgamma, *dbeta, *dmod;
} ss_norm_gradients;

typedef struct {
    ss_attention_args forward; /* without y; stats is ignored */
    const ss_tensor *dy;
    const ss_format *rounding; /* gradients of logits and probabilities are rounded to it */
    ss_tensor *dq, *dk, *dv;   /* NULL where none is wanted */
} ss_attention_gradient_args;

/* ---- the lists of entries: X(name, parameters, arguments) ----
 *
 * Each is a function of the device, these parameters and an ss_err. The struct below, the calls of
 * call.h and the tables of kernels/cpu are made of them. */
#define SS_INSIDE(...) __VA_ARGS__

/* Entries that a device composes of libraries and of other entries.
 * modulated_stats: y [n][...][C], mod [n][2C] (scale, shift): statistics of y (1 + scale) and of
 *                  that + shift, host [n] each; of only the ranges (inner_stats.h) where both are
 *                  finite and below 2^SS_LOGIT_FROM in all samples, as then nothing else matters
 * optimizer_step, sum_squares: step.h, of n parameters; sums [n] and sum are results on the host
 * squared_error: loss.h; target and slope are operands, squares is a result on the host */
#define SS_COMPOSED_ENTRIES(X)                                                                 \
    X(conv2d, (const ss_conv2d_args *a), (a))                                                  \
    X(linear, (const ss_linear_args *a), (a))                                                  \
    X(modulated_stats,                                                                         \
      (const ss_tensor *y, const ss_tensor *mod, ss_stats *scaled, ss_stats *shifted),         \
      (y, mod, scaled, shifted))                                                               \
    X(optimizer_step, (const ss_step *s, size_t n, const ss_step_rule *r, ss_step_sums *sums), \
      (s, n, r, sums))                                                                         \
    X(sum_squares, (const ss_tensor *const *x, size_t n, double *sum), (x, n, sum))            \
    X(squared_error,                                                                           \
      (const ss_tensor *y, const float *target, const double *slope, ss_tensor *dy,            \
       double *squares),                                                                       \
      (y, target, slope, dy, squares))

/* unit_rms: x is a parameter, or f32
 * activate to multiply: elementwise; y may be x or a (in place). gain: g is a parameter of one
 * value copy_rows: for r < rows: y[r * y_stride + k] = x[r * x_stride + k], k < len, from the
 * offsets on; offsets and strides in values. Concatenation and slices are made of it permute: axis
 * k of y is axis axes[k] of x, of any rank; its own transpose with inverse axes stats: out is host
 * [n], n = dim 0 of x (stats.h), as all that follow channel_stats: host [n][C], see results.h */
#define SS_KERNEL_ENTRIES(X)                                                                      \
    X(group_norm, (const ss_group_norm_args *a), (a))                                             \
    X(layer_norm, (const ss_layer_norm_args *a), (a))                                             \
    X(unit_rms, (const ss_tensor *x, int64_t row, float scale, ss_tensor *y), (x, row, scale, y)) \
    X(attention, (const ss_attention_args *a), (a))                                               \
    X(activate, (const ss_tensor *x, ss_act act, ss_tensor *y), (x, act, y))                      \
    X(affine, (const ss_tensor *x, float mul, float add, ss_tensor *y), (x, mul, add, y))         \
    X(clamp, (const ss_tensor *x, float lo, float hi, ss_tensor *y), (x, lo, hi, y))              \
    X(gain, (const ss_tensor *x, const ss_tensor *g, ss_tensor *y), (x, g, y))                    \
    X(round, (const ss_tensor *x, const ss_format *f, ss_tensor *y), (x, f, y))                   \
    X(add, (const ss_tensor *a, const ss_tensor *b, float scale, ss_tensor *y), (a, b, scale, y)) \
    X(multiply, (const ss_tensor *a, const ss_tensor *b, ss_tensor *y), (a, b, y))                \
    X(geglu, (const ss_tensor *x, ss_tensor *y), (x, y))                                          \
    X(scale_samples, (const ss_tensor *x, const float *k, ss_tensor *y), (x, k, y))               \
    X(add_channels, (const ss_tensor *x, const ss_tensor *v, ss_tensor *y), (x, v, y))            \
    X(modulate, (const ss_tensor *x, const ss_tensor *mod, ss_tensor *y), (x, mod, y))            \
    X(copy_rows,                                                                                  \
      (const ss_tensor *x, int64_t x_offset, int64_t x_stride, ss_tensor *y, int64_t y_offset,    \
       int64_t y_stride, int64_t rows, int64_t len),                                              \
      (x, x_offset, x_stride, y, y_offset, y_stride, rows, len))                                  \
    X(permute, (const ss_tensor *x, const int *axes, ss_tensor *y), (x, axes, y))                 \
    X(upsample_nearest, (const ss_tensor *x, ss_tensor *y), (x, y))                               \
    X(avg_pool2, (const ss_tensor *x, ss_tensor *y), (x, y))                                      \
    X(fir_resample, (const ss_fir_args *a), (a))                                                  \
    X(mean_tokens, (const ss_tensor *x, ss_tensor *y), (x, y))                                    \
    X(embedding, (const ss_tensor *table, const int64_t *ids, ss_tensor *y), (table, ids, y))     \
    X(fill, (ss_tensor * y, float value), (y, value))                                             \
    X(stats, (const ss_tensor *x, bool exponents, ss_stats *out), (x, exponents, out))            \
    X(channel_stats, (const ss_tensor *x, float *absmax, float *rms), (x, absmax, rms))

/* The gradients of operations. Each overwrites its outputs, which are f32 and of the operand's
 * shape, and gives the same bits for any number of threads. dy is the gradient of the output.
 * What is linear and is its own transpose (affine, scale_samples, copy_rows, permute) is not here,
 * nor is multiply, whose gradients are products, too.
 */
#define SS_COMPOSED_GRADIENTS(X) \
    X(conv2d_data, (const ss_conv2d_gradient_args *a, ss_tensor *dx), (a, dx))

/* modulate: dx, dmod may be NULL
 * dot: y [1] = sum of a b over all values
 * sum_rows: x [groups][rows][C] -> y [groups][C]: sums over the rows; C is x's last dimension
 * fir_resample: a->x is dy, a->y is dx; kernel and sizes as in the forward */
#define SS_KERNEL_GRADIENTS(X)                                                             \
    X(conv2d_weights, (const ss_conv2d_gradient_args *a, ss_tensor *dw), (a, dw))          \
    X(group_norm, (const ss_group_norm_args *a, const ss_norm_gradients *g), (a, g))       \
    X(layer_norm, (const ss_layer_norm_args *a, const ss_norm_gradients *g), (a, g))       \
    X(unit_rms,                                                                            \
      (const ss_tensor *x, int64_t row, float scale, const ss_tensor *dy, ss_tensor *dx),  \
      (x, row, scale, dy, dx))                                                             \
    X(attention, (const ss_attention_gradient_args *a), (a))                               \
    X(activate, (const ss_tensor *x, ss_act act, const ss_tensor *dy, ss_tensor *dx),      \
      (x, act, dy, dx))                                                                    \
    X(clamp, (const ss_tensor *x, float lo, float hi, const ss_tensor *dy, ss_tensor *dx), \
      (x, lo, hi, dy, dx))                                                                 \
    X(geglu, (const ss_tensor *x, const ss_tensor *dy, ss_tensor *dx), (x, dy, dx))        \
    X(modulate,                                                                            \
      (const ss_tensor *x, const ss_tensor *mod, const ss_tensor *dy, ss_tensor *dx,       \
       ss_tensor *dmod),                                                                   \
      (x, mod, dy, dx, dmod))                                                              \
    X(dot, (const ss_tensor *a, const ss_tensor *b, ss_tensor *y), (a, b, y))              \
    X(sum_rows, (const ss_tensor *x, int64_t groups, ss_tensor *y), (x, groups, y))        \
    X(upsample_nearest, (const ss_tensor *dy, ss_tensor *dx), (dy, dx))                    \
    X(avg_pool2, (const ss_tensor *dy, ss_tensor *dx), (dy, dx))                           \
    X(fir_resample, (const ss_fir_args *a), (a))                                           \
    X(mean_tokens, (const ss_tensor *dy, ss_tensor *dx), (dy, dx))                         \
    X(embedding, (const int64_t *ids, const ss_tensor *dy, ss_tensor *dtable), (ids, dy, dtable))

#define SS_ENTRIES(X) SS_COMPOSED_ENTRIES(X) SS_KERNEL_ENTRIES(X)
#define SS_GRADIENTS(X) SS_COMPOSED_GRADIENTS(X) SS_KERNEL_GRADIENTS(X)

typedef struct ss_backend {
    const char *name;
    bool numbered; /* there may be several: NAME:N, counted from 0 */

    /* number: which; 0 where none is named. SS_USAGE for an arithmetic that the device lacks */
    ss_code (*open)(int number, const ss_ctx_options *opt, ss_device **d, ss_err *e);
    void (*close)(ss_device *d);
    int (*threads)(const ss_device *d);
    const char *(*describe)(const ss_device *d); /* owned by the device */

    ss_code (*alloc)(ss_device *d, size_t bytes, void **p, ss_err *e); /* uninitialised */
    void (*free)(ss_device *d, void *p);
    ss_code (*upload)(ss_device *d, void *dst, const void *host, size_t bytes, ss_err *e);
    /* a parameter's memory: the host's itself where the device can read it */
    ss_code (*adopt)(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e);
    /* host is a result: there when finish returns */
    ss_code (*download)(ss_device *d, const ss_tensor *x, float *host, ss_err *e);
    ss_code (*finish)(ss_device *d, ss_err *e);

#define X(name, params, args) ss_code (*name)(ss_device * d, SS_INSIDE params, ss_err * e);
    SS_ENTRIES(X)
#undef X
#define X(name, params, args) ss_code (*back_##name)(ss_device * d, SS_INSIDE params, ss_err * e);
    SS_GRADIENTS(X)
#undef X
} ss_backend;

/* backend.c: whether the device has the entry, "conv2d", or a gradient, "gradient of conv2d"; false
 * for an unknown name. */
bool ss_backend_supports(const ss_backend *b, const char *entry);
/* True when the backend has any gradient. */
bool ss_backend_has_gradients(const ss_backend *b);

/* The one among `list` that `device` names, "cpu" or "cuda:1", and its number. SS_USAGE with what
 * there is otherwise. */
ss_code ss_backend_find(const ss_backend *const *list, size_t n, const char *device,
                        const ss_backend **b, int *number, ss_err *e);
/* "cpu, cuda[:N]" into out; returns out. */
char *ss_backend_names(const ss_backend *const *list, size_t n, char *out, size_t size);

extern const ss_backend ss_backend_cpu;
extern const ss_backend ss_backend_cuda; /* where it is built: SS_CUDA */

#endif
