/* backend.h - what a device must be able to do; private to kernels/
 *
 * ops.c checks shapes, allocates the output, and calls through this table, so a backend
 * sees only valid arguments: dense tensors of its own device, f32 unless said, outputs
 * allocated and distinct from inputs unless marked "may be in place". Parameters (w, bias,
 * gamma, beta, g, table) may be f32, f16 or bf16; a backend may keep a prepared copy in
 * ss_tensor.packed. Every function returns SS_OK or fills e.
 *
 * kernels/cpu is the reference. All functions are required; the gradients as a whole are
 * optional.
 */
#ifndef SS_KERNELS_BACKEND_H
#define SS_KERNELS_BACKEND_H

#include "base/format.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/stats.h"
#include "kernels/tensor.h"

/* Device memory; shared by a tensor and its reshaped views. */
typedef struct ss_buffer {
    void *data;   /* device pointer; NULL in a shapes-only context */
    size_t bytes; /* as asked for */
    int refs;
    bool borrowed;          /* the memory is somebody else's (a mapped checkpoint) */
    int exp_bits, man_bits; /* of the format that all values were rounded to; 0: none is known */
    ss_stats *stats;        /* remembered by ss_tensor_stats, [n_stats]; NULL before */
    int64_t n_stats;
    bool exponents; /* the histogram is among them */
} ss_buffer;

struct ss_tensor {
    ss_ctx *ctx;
    int refs;
    ss_dtype dtype;
    bool parameter; /* of a network: what is mixed with it keeps its own width */
    ss_shape shape;
    ss_buffer *buf;
    void *data;   /* = buf->data */
    void *packed; /* a backend's prepared form of a parameter, or NULL */
    void (*packed_free)(void *packed);
    void *packed_back;  /* another one, for gradients, freed alike */
    unsigned version;   /* of the values; a prepared form remembers the one it is of */
    struct ss_var *var; /* where its gradient gathers (node.h), or NULL */
};

typedef struct ss_device ss_device; /* a backend's own state */

typedef struct {
    const ss_tensor *x, *w, *bias;  /* bias may be NULL */
    ss_conv2d_opt opt;              /* stride >= 1 */
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
    ss_tensor *y;
} ss_layer_norm_args;

typedef struct {
    const ss_tensor *q, *k, *v, *mask; /* mask [n][keys] or NULL */
    int64_t n, queries, keys;
    int heads, width; /* width of one head */
    float scale;
    bool cosine;               /* q_i and k_j are divided by their length first */
    const ss_format *rounding; /* of what is stored (hooks.h); NULL: nothing is rounded */
    ss_attention_code code;    /* what that is of the logits; of the probabilities: sdpa rounds
                                  exp(l - m), the others p */
    ss_attention_stats *stats; /* host [n][heads], or NULL when nobody asks */
    ss_logit_stats *logits;    /* the same [n][heads], together with stats */
    ss_tensor *y;
} ss_attention_args;

typedef struct {
    const ss_tensor *x;
    const float *kernel;
    int taps, up, down, pad0, pad1;
    ss_tensor *y;
} ss_fir_args;

/* Of a convolution, or of a matrix product as the 1x1 convolution of one row of pixels. */
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

/* The gradients of operations. Each overwrites its outputs, which are f32 and of the operand's
 * shape, and gives the same bits for any number of threads. dy is the gradient of the output.
 * What is linear and is its own transpose (affine, scale_samples, copy_rows) is not here. */
typedef struct {
    ss_code (*conv2d_data)(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx,
                           ss_err *e);
    ss_code (*conv2d_weights)(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dw,
                              ss_err *e);
    ss_code (*group_norm)(ss_device *d, const ss_group_norm_args *a, const ss_norm_gradients *g,
                          ss_err *e);
    ss_code (*layer_norm)(ss_device *d, const ss_layer_norm_args *a, const ss_norm_gradients *g,
                          ss_err *e);
    ss_code (*unit_rms)(ss_device *d, const ss_tensor *x, int64_t row, float scale,
                        const ss_tensor *dy, ss_tensor *dx, ss_err *e);
    ss_code (*attention)(ss_device *d, const ss_attention_gradient_args *a, ss_err *e);
    ss_code (*activate)(ss_device *d, const ss_tensor *x, ss_act act, const ss_tensor *dy,
                        ss_tensor *dx, ss_err *e);
    ss_code (*clamp)(ss_device *d, const ss_tensor *x, float lo, float hi, const ss_tensor *dy,
                     ss_tensor *dx, ss_err *e);
    ss_code (*geglu)(ss_device *d, const ss_tensor *x, const ss_tensor *dy, ss_tensor *dx,
                     ss_err *e);
    /* dx, dmod may be NULL */
    ss_code (*modulate)(ss_device *d, const ss_tensor *x, const ss_tensor *mod, const ss_tensor *dy,
                        ss_tensor *dx, ss_tensor *dmod, ss_err *e);
    /* y [1] = sum of a b over all values */
    ss_code (*dot)(ss_device *d, const ss_tensor *a, const ss_tensor *b, ss_tensor *y, ss_err *e);
    /* x [groups][rows][C] -> y [groups][C]: sums over the rows; C is x's last dimension */
    ss_code (*sum_rows)(ss_device *d, const ss_tensor *x, int64_t groups, ss_tensor *y, ss_err *e);
    ss_code (*upsample_nearest)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e);
    ss_code (*avg_pool2)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e);
    /* a->x is dy, a->y is dx; kernel and sizes as in the forward */
    ss_code (*fir_resample)(ss_device *d, const ss_fir_args *a, ss_err *e);
    ss_code (*mean_tokens)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e);
    ss_code (*embedding)(ss_device *d, const int64_t *ids, const ss_tensor *dy, ss_tensor *dtable,
                         ss_err *e);
} ss_gradients;

typedef struct ss_backend {
    const char *name;
    const ss_gradients *gradients; /* NULL: the device computes none */

    ss_code (*open)(int threads, ss_device **d, ss_err *e);
    void (*close)(ss_device *d);
    int (*threads)(const ss_device *d);
    const char *(*describe)(const ss_device *d); /* owned by the device */

    /* alloc gives 64-byte aligned, uninitialised memory */
    ss_code (*alloc)(ss_device *d, size_t bytes, void **p, ss_err *e);
    void (*free)(ss_device *d, void *p);
    ss_code (*upload)(ss_device *d, void *dst, const void *host, size_t bytes, ss_err *e);
    /* a parameter's memory: the host's itself where the device can read it */
    ss_code (*adopt)(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e);
    ss_code (*download)(ss_device *d, const ss_tensor *x, float *host, ss_err *e);

    ss_code (*conv2d)(ss_device *d, const ss_conv2d_args *a, ss_err *e);
    ss_code (*linear)(ss_device *d, const ss_linear_args *a, ss_err *e);
    ss_code (*group_norm)(ss_device *d, const ss_group_norm_args *a, ss_err *e);
    ss_code (*layer_norm)(ss_device *d, const ss_layer_norm_args *a, ss_err *e);
    /* x: a parameter, or f32 */
    ss_code (*unit_rms)(ss_device *d, const ss_tensor *x, int64_t row, float scale, ss_tensor *y,
                        ss_err *e);
    ss_code (*attention)(ss_device *d, const ss_attention_args *a, ss_err *e);

    /* elementwise over n values; y may be x or a (in place) */
    ss_code (*activate)(ss_device *d, const ss_tensor *x, ss_act act, ss_tensor *y, ss_err *e);
    ss_code (*affine)(ss_device *d, const ss_tensor *x, float mul, float add, ss_tensor *y,
                      ss_err *e);
    /* g: a parameter of one value */
    ss_code (*gain)(ss_device *d, const ss_tensor *x, const ss_tensor *g, ss_tensor *y, ss_err *e);
    ss_code (*clamp)(ss_device *d, const ss_tensor *x, float lo, float hi, ss_tensor *y, ss_err *e);
    ss_code (*round)(ss_device *d, const ss_tensor *x, const ss_format *f, ss_tensor *y, ss_err *e);
    ss_code (*add)(ss_device *d, const ss_tensor *a, const ss_tensor *b, float scale, ss_tensor *y,
                   ss_err *e);

    ss_code (*fill)(ss_device *d, ss_tensor *y, float value, ss_err *e);

    ss_code (*geglu)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e);
    ss_code (*scale_samples)(ss_device *d, const ss_tensor *x, const float *k, ss_tensor *y,
                             ss_err *e);
    ss_code (*add_channels)(ss_device *d, const ss_tensor *x, const ss_tensor *v, ss_tensor *y,
                            ss_err *e);
    ss_code (*modulate)(ss_device *d, const ss_tensor *x, const ss_tensor *mod, ss_tensor *y,
                        ss_err *e);

    /* Copies rows: for r < rows: y[r * y_stride + k] = x[r * x_stride + k], k < len; offsets
     * and strides in values. Concatenation and slices are made of it. */
    ss_code (*copy_rows)(ss_device *d, const ss_tensor *x, int64_t x_offset, int64_t x_stride,
                         ss_tensor *y, int64_t y_offset, int64_t y_stride, int64_t rows,
                         int64_t len, ss_err *e);

    ss_code (*upsample_nearest)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e);
    ss_code (*avg_pool2)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e);
    ss_code (*fir_resample)(ss_device *d, const ss_fir_args *a, ss_err *e);
    ss_code (*mean_tokens)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e);
    ss_code (*embedding)(ss_device *d, const ss_tensor *table, const int64_t *ids, ss_tensor *y,
                         ss_err *e);

    /* out: host [n] where n = dim 0 of x; see stats.h */
    ss_code (*stats)(ss_device *d, const ss_tensor *x, bool exponents, ss_stats *out, ss_err *e);
    /* absmax, rms: host [n][C] */
    ss_code (*channel_stats)(ss_device *d, const ss_tensor *x, float *absmax, float *rms,
                             ss_err *e);
    /* least, most: host [n][C]; NaN where a value of the channel is inf or NaN */
    ss_code (*channel_range)(ss_device *d, const ss_tensor *x, float *least, float *most,
                             ss_err *e);
} ss_backend;

extern const ss_backend ss_backend_cpu;

#endif
