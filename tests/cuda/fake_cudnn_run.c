/* fake_cudnn_run.c - convolutions of the fake cuDNN, in plain loops (fake_cudnn.h)
 *
 * Sums are of f32 in the order of taps and channels; those over all positions are in double, so
 * that large sizes do not show. The engine that stands for tensor cores cuts its operands to TF32
 * first.
 */
#include "tests/cuda/fake_cudnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    convolution conv;
    bool tf32;
    float *x, *w, *y, *bias, *work;
    int64_t work_bytes;
} job;

static int64_t count(const int64_t dim[4])
{
    return dim[0] * dim[1] * dim[2] * dim[3];
}

/* The value as tensor cores read it: without the last 13 bits. */
static float cut(float x)
{
    uint32_t bits;

    if (isnan(x))
        return x;
    memcpy(&bits, &x, sizeof bits);
    bits &= ~(uint32_t)0x1fff;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float *copy_of(const float *x, int64_t n, bool tf32)
{
    float *y = malloc(sizeof *y * (size_t)n);

    if (!y)
        ss_fake_refuse("cudnnBackendExecute: no memory");
    for (int64_t i = 0; i < n; i++)
        y[i] = tf32 ? cut(x[i]) : x[i];
    return y;
}

/* Calls f for each position of the output and each tap that meets the input there: x and y are the
 * first channels. */
typedef void at_tap(const convolution *c, int64_t tap, const float *x, const float *y, void *self);
static void each_tap(const convolution *c, const float *x, const float *y, at_tap *f, void *self)
{
    for (int64_t p = 0; p < c->y[0] * c->y[2] * c->y[3]; p++) {
        const int64_t u = p % c->y[3], v = p / c->y[3] % c->y[2], n = p / c->y[3] / c->y[2];

        for (int64_t tap = 0; tap < c->w[2] * c->w[3]; tap++) {
            const int64_t row = v * c->stride[0] + tap / c->w[3] - c->before[0];
            const int64_t column = u * c->stride[1] + tap % c->w[3] - c->before[1];

            if (row >= 0 && row < c->x[2] && column >= 0 && column < c->x[3])
                f(c, tap, x + ((n * c->x[2] + row) * c->x[3] + column) * c->x[1], y + p * c->y[1],
                  self);
        }
    }
}

/* w [O][taps][I] as [taps][I][O], so that the loop inside is over what is added to. */
static float *turned(const convolution *c, const float *w)
{
    const int64_t out = c->w[0], in = c->w[1], taps = c->w[2] * c->w[3];
    float *t = malloc(sizeof *t * (size_t)count(c->w));

    if (!t)
        ss_fake_refuse("cudnnBackendExecute: no memory");
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < taps * in; k++)
            t[k * out + o] = w[o * taps * in + k];
    return t;
}

static void forward_tap(const convolution *c, int64_t tap, const float *x, const float *to,
                        void *self)
{
    const int64_t out = c->w[0], in = c->w[1];
    const float *w = (const float *)self + tap * in * out;
    float *y = (float *)to;

    for (int64_t i = 0; i < in; i++, w += out) {
        const float v = x[i];

#pragma omp simd
        for (int64_t o = 0; o < out; o++)
            y[o] += v * w[o];
    }
}

static void data_tap(const convolution *c, int64_t tap, const float *to, const float *dy,
                     void *self)
{
    const int64_t out = c->w[0], in = c->w[1], taps = c->w[2] * c->w[3];
    float *dx = (float *)to;

    for (int64_t o = 0; o < out; o++) {
        const float *w = (const float *)self + (o * taps + tap) * in;
        const float v = dy[o];

#pragma omp simd
        for (int64_t i = 0; i < in; i++)
            dx[i] += v * w[i];
    }
}

static void filter_tap(const convolution *c, int64_t tap, const float *x, const float *dy,
                       void *self)
{
    const int64_t out = c->w[0], in = c->w[1], taps = c->w[2] * c->w[3];

    for (int64_t o = 0; o < out; o++) {
        double *dw = (double *)self + (o * taps + tap) * in;
        const double v = dy[o];

#pragma omp simd
        for (int64_t i = 0; i < in; i++)
            dw[i] += v * x[i];
    }
}

static void forward(const job *j, const float *x, const float *w)
{
    const convolution *c = &j->conv;
    const int64_t n = count(c->y), out = c->y[1];
    float *t = turned(c, w);

    memset(j->y, 0, sizeof(float) * (size_t)n);
    each_tap(c, x, j->y, forward_tap, t);
    for (int64_t i = 0; i < n && j->bias; i++)
        j->y[i] += j->bias[i % out];
    free(t);
}

static void filter(const job *j, const float *x, const float *dy)
{
    const int64_t n = count(j->conv.w);
    double *sum = calloc((size_t)n, sizeof *sum);

    if (!sum)
        ss_fake_refuse("cudnnBackendExecute: no memory");
    each_tap(&j->conv, x, dy, filter_tap, sum);
    for (int64_t i = 0; i < n; i++)
        j->w[i] = (float)(sum[i] + (j->conv.accumulate ? j->w[i] : 0));
    free(sum);
}

static void poison(const job *j)
{
    for (int64_t i = 0; i < j->work_bytes / (int64_t)sizeof(float); i++)
        j->work[i] = NAN;
}

/* The work space is written before and after: what lies there by mistake is seen. */
static void run(void *args)
{
    const job *j = args;
    const convolution *c = &j->conv;

    poison(j);
    float *x = c->direction == DATA ? NULL : copy_of(j->x, count(c->x), j->tf32);
    float *w = c->direction == FILTER ? NULL : copy_of(j->w, count(c->w), j->tf32);
    float *y = c->direction == FORWARD ? NULL : copy_of(j->y, count(c->y), j->tf32);

    switch (c->direction) {
    case FORWARD: forward(j, x, w); break;
    case DATA:
        memset(j->x, 0, sizeof(float) * (size_t)count(c->x));
        each_tap(c, j->x, y, data_tap, w);
        break;
    case FILTER: filter(j, x, y); break;
    }
    free(x);
    free(w);
    free(y);
    poison(j);
}

static void check(const char *what, const void *p, int64_t bytes, int64_t align)
{
    ss_fake_memory("cudnnBackendExecute", what, p, (size_t)bytes);
    if ((uintptr_t)p % (uintptr_t)align)
        ss_fake_refuse("cudnnBackendExecute: %s at %p is not aligned to %lld bytes", what, p,
                       (long long)align);
}

static void check_apart(const char *what, const void *p, int64_t bytes, const void *q,
                        int64_t other)
{
    if (bytes && other && (const char *)p < (const char *)q + other &&
        (const char *)q < (const char *)p + bytes)
        ss_fake_refuse("cudnnBackendExecute: the result, or the work space, overlaps %s", what);
}

void ss_fake_convolve(const descriptor *plan, const operands *o)
{
    enum {
        TENSOR_CORE = 1 << CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
        EXACT = TENSOR_CORE | 1 << CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP
    };
    const convolution *c = &plan->conv;
    const int64_t x = 4 * count(c->x), w = 4 * count(c->w), y = 4 * count(c->y);
    const int64_t work = ss_fake_work_bytes(plan);
    const void *result[] = {[FORWARD] = o->y, [DATA] = o->x, [FILTER] = o->w};
    const int64_t bytes[] = {[FORWARD] = y, [DATA] = x, [FILTER] = w};

    if ((plan->engine->numerical & ~(unsigned)EXACT) || plan->engine->behavior)
        ss_fake_refuse("cudnnBackendExecute: engine %lld is not exact, or not deterministic, or is "
                       "compiled now",
                       (long long)plan->engine->index);
    check("x", o->x, x, c->align);
    check("w", o->w, w, c->align);
    check("y", o->y, y, c->align);
    if (o->bias)
        check("the bias", o->bias, 4 * c->y[1], c->align);
    if (work)
        check("the work space", o->work, work, 256);
    const struct {
        const char *what;
        const void *p;
        int64_t bytes;
    } other[] = {{"x", o->x, x}, {"w", o->w, w}, {"y", o->y, y}};
    for (int i = 0; i < 3; i++) {
        check_apart(other[i].what, o->work, work, other[i].p, other[i].bytes);
        if (other[i].p != result[c->direction])
            check_apart(other[i].what, result[c->direction], bytes[c->direction], other[i].p,
                        other[i].bytes);
    }
    const job j = {.conv = *c,
                   .tf32 = plan->engine->numerical & TENSOR_CORE,
                   .x = o->x,
                   .w = o->w,
                   .y = o->y,
                   .bias = o->bias,
                   .work = o->work,
                   .work_bytes = work};
    ss_fake_later(plan->handle->stream, "a convolution of cuDNN's", run, &j, sizeof j);
}
