/* cpu.h - the CPU device; private to kernels/cpu
 *
 * Three layers: cpu.c fills the backend table; the isa_*.c files hold our own kernels and
 * are compiled once for each instruction set (isa.h); onednn.c does the convolutions and matrix
 * products that are not ours (conv.c). param.c makes f32 of parameters.
 *
 * Every kernel of ours gives the same bits for any number of threads: work is cut into
 * blocks by shape alone, and partial results are combined in the order of the blocks.
 */
#ifndef SS_KERNELS_CPU_CPU_H
#define SS_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/pool.h"

/* Weights [out][in][kh][kw] in the operand's memory. turned: [in][out][kh][kw], and the taps are
 * in reverse. */
typedef struct {
    const void *values;
    ss_dtype dtype;
    const ss_format *rounded; /* NULL: not */
    bool turned;
} ss_conv_weights;

/* A convolution as isa_conv.c and isa_winograd.c run it: x [n][h][w][in] -> y
 * [n][out_h][out_w][out], stride and zero padding before the first row and column (which may be
 * negative). */
enum { SS_DIRECT_TAPS = 25 }; /* kh kw at most */
typedef struct {
    int64_t n, h, w, in, out_h, out_w, out;
    int64_t kh, kw, stride, top, left;
    ss_conv_weights weights;
    const float *x, *bias; /* bias [out] or NULL */
    const float *zeros;    /* [in] */
    float *y;
} ss_conv;

/* One instruction set's kernels. The last two are serial and serve other files. */
typedef struct {
    const char *name; /* "x86-64-v3" */
#define X(name, params, args) ss_code (*name)(ss_device * d, SS_INSIDE params, ss_err * e);
    SS_KERNEL_ENTRIES(X)
#undef X
#define X(name, params, args) ss_code (*back_##name)(ss_device * d, SS_INSIDE params, ss_err * e);
    SS_KERNEL_GRADIENTS(X)
#undef X
    /* least, most: [n][C]; NaN where a value of the channel is inf or NaN */
    ss_code (*channel_range)(ss_device *d, const ss_tensor *x, float *least, float *most,
                             ss_err *e);
    /* work: direct_floats for each of the team. */
    void (*direct_conv)(const ss_conv *c, float *work, int team);
    size_t (*direct_floats)(int64_t taps);
    /* Only 3 by 3 of stride 1; false when an output is not finite: then they are without meaning.
     * work: winograd_floats for each of the team. */
    bool (*winograd)(const ss_conv *c, float *work, int team);
    size_t (*winograd_floats)(const ss_conv *c);
    void (*to_f32)(const void *src, ss_dtype t, float *dst, int64_t n);
    void (*round_values)(const ss_format *f, const float *x, float *y, int64_t n); /* y may be x */
} ss_isa;

extern const ss_isa ss_isa_base, ss_isa_v3, ss_isa_v4;

typedef struct ss_onednn ss_onednn;

struct ss_device {
    int threads;
    bool bf16; /* numbers in bf16 are multiplied faster than in f32 */
    const ss_isa *isa;
    ss_pool pool;
    ss_onednn *dnn;
    char text[160];
};

/* Number of threads for a loop over this many values: a small one stays on one,
 * because waking the others costs some microseconds. */
static inline int ss_cpu_team(const ss_device *d, int64_t values)
{
    return values >= 32768 ? d->threads : 1;
}

/* True when each number of the format is one of bf16; true when all values of x are known to be. */
static inline bool ss_bf16_holds(int exp_bits, int man_bits)
{
    return exp_bits > 0 && exp_bits <= 8 && man_bits <= 7;
}

static inline bool ss_is_in_bf16(const ss_tensor *x)
{
    return ss_bf16_holds(x->buf->exp_bits, x->buf->man_bits);
}

/* param.c: the values of a parameter as plain f32, rounded to f unless NULL. The tensor's
 * own memory where nothing changes; else a copy made once and kept with the tensor. NULL after
 * filling e. */
const float *ss_cpu_param(ss_device *d, const ss_tensor *w, const ss_format *f, ss_err *e);

/* True when both are NULL or round alike. */
bool ss_cpu_same_format(const ss_format *a, const ss_format *b);

/* weights.c: an arrangement of weights, and how it is made of plain ones [O][I][kh][kw] */
typedef struct {
    uint64_t id; /* of one tensor and direction, those of the same id are the same */
    size_t bytes;
    ss_code (*arrange)(void *self, const ss_device *d, const float *plain, float *values,
                       ss_err *e);
    void *self;
} ss_arrangement;

/* *values = w, rounded to f unless NULL, so arranged; made when needed, kept with the tensor, and
 * borrowed from it. */
ss_code ss_cpu_weights(ss_device *d, const ss_tensor *w, ss_use use, const ss_format *f,
                       const ss_arrangement *how, float **values, ss_err *e);

/* conv.c */
ss_code ss_cpu_conv2d(ss_device *d, const ss_conv2d_args *a, ss_err *e);
ss_code ss_cpu_linear(ss_device *d, const ss_linear_args *a, ss_err *e);
ss_code ss_cpu_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx,
                           ss_err *e);

/* modulated.c */
ss_code ss_cpu_modulated_stats(ss_device *d, const ss_tensor *y, const ss_tensor *mod,
                               ss_stats *scaled, ss_stats *shifted, ss_err *e);

/* optimizer.c */
ss_code ss_cpu_optimizer_step(ss_device *d, const ss_step *s, size_t n, const ss_step_rule *r,
                              ss_step_sums *sums, ss_err *e);
ss_code ss_cpu_sum_squares(ss_device *d, const ss_tensor *const *x, size_t n, double *sum,
                           ss_err *e);
ss_code ss_cpu_squared_error(ss_device *d, const ss_tensor *y, const float *target,
                             const double *slope, ss_tensor *dy, double *squares, ss_err *e);

/* onednn.c. bf16: x or dy, and the weights under their format, are all numbers of bf16, and the
 * device has it. */
ss_code ss_onednn_open(ss_onednn **dnn, ss_err *e);
void ss_onednn_close(ss_onednn *dnn); /* NULL is fine */
void ss_onednn_version(char *out, size_t n);
bool ss_onednn_has_bf16(void);
ss_code ss_onednn_conv2d(ss_device *d, const ss_conv2d_args *a, bool bf16, ss_err *e);
ss_code ss_onednn_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, bool bf16,
                              ss_tensor *dx, ss_err *e);
ss_code ss_onednn_linear(ss_device *d, const ss_linear_args *a, bool bf16, ss_err *e);

#endif
