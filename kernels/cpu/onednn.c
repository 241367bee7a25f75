/* onednn.c - convolutions and matrix products, by oneDNN; nothing else includes dnnl.h
 *
 * Both run as one primitive, a direct channels-last convolution: a matrix product of rows
 * [R][I] with w [O][I] is the 1x1 convolution of a picture [1][1][R][I], and oneDNN's 1x1
 * kernels beat its matmul from two rows to thousands. Direct, never Winograd, in strict f32:
 * the numbers are to be PyTorch's.
 *
 * oneDNN names dimensions in the order N C H W and strides them by format tag; nhwc is our
 * layout. A primitive is made once for each shape and kept in a table. The weights are
 * arranged as the primitive likes them at the first use, and that copy stays with the tensor
 * for as long as the primitives agree on the arrangement, as they nearly always do.
 *
 * Products of numbers in bf16 (conv.c) read a bf16 copy of the picture and of the weights.
 *
 * Without AVX-512, oneDNN's wider convolutions run at half speed on channels-last pictures
 * (each step of its inner loop takes 8 channels and jumps to the next pixel), and at 85 to 90 %
 * of the peak on pictures in blocks of 8 channels. So there the picture is put into blocks
 * before and the result back after, which costs 2 to 3 % of the time.
 *
 * Serves oneDNN 2.6 and 3.x: in 2.6 a memory descriptor is a struct and a primitive
 * descriptor is made from an operation descriptor; in 3.x both are made directly and opaque.
 */
#include "base/mem.h"
#include "kernels/cpu/cpu.h"

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
typedef const_dnnl_memory_desc_t desc_ref;

static desc_ref ref(const desc *m)
{
    return *m;
}

static dnnl_status_t desc_make(desc *m, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                               dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(m, rank, dims, type, tag);
}

static dnnl_status_t desc_copy(desc *to, desc_ref from)
{
    return dnnl_memory_desc_clone(to, from);
}

static void desc_drop(desc *m)
{
    if (*m)
        dnnl_memory_desc_destroy(*m);
}
#else
typedef dnnl_memory_desc_t desc;
typedef const dnnl_memory_desc_t *desc_ref;

static desc_ref ref(const desc *m)
{
    return m;
}

static dnnl_status_t desc_make(desc *m, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                               dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(m, rank, dims, type, tag);
}

static dnnl_status_t desc_copy(desc *to, desc_ref from)
{
    *to = *from;
    return dnnl_success;
}

static void desc_drop(desc *m)
{
    (void)m;
}
#endif

/* Everything a primitive depends on; compared as bytes, so without padding. */
typedef struct {
    int64_t n, h, w, in, out, kh, kw, stride;
    int64_t top, left, bottom, right;
    int64_t bias, threads;
    int64_t back; /* 1: from dy to dx, else from x to y */
    int64_t bf16; /* 1: what is read is bf16, what is written f32 all the same */
} shape_key;

typedef struct {
    shape_key key;
    dnnl_primitive_t primitive;        /* NULL: a free slot */
    dnnl_primitive_t arrange;          /* x to src; NULL where they are the same */
    dnnl_primitive_t restore;          /* dst to y; likewise */
    dnnl_primitive_t pack;             /* plain weights to the primitive's */
    desc weights;                      /* as the primitive wants them */
    uint64_t arrangement;              /* its number: equal ones have the same */
    dnnl_memory_t x, y, plain;         /* ours: what it reads and writes, weights [O][I][kh][kw] */
    dnnl_memory_t src, wei, bias, dst; /* the primitive's */
    dnnl_memory_t work;
    size_t work_bytes, src_bytes, dst_bytes; /* of the scratch memory that a run takes */
} conv;

enum { N_SLOTS = 2048, MAX_CONVS = 1024 };

struct ss_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int n;
    uint64_t arrangements; /* numbers given to arrangements of weights, from 1 */
    conv slot[N_SLOTS];    /* hashed by key, linear probing */
};

static ss_code failed(ss_err *e, dnnl_status_t s, const char *what)
{
    static const char *const names[] = {"success",         "out of memory", "invalid arguments",
                                        "not implemented", "end",           "runtime error",
                                        "not required"};
    const char *name = (size_t)s < sizeof names / sizeof *names ? names[s] : "error";

    return ss_fail(e, s == dnnl_out_of_memory ? SS_NOMEM : SS_DEVICE, "oneDNN: %s: %s", what, name);
}

/* Runs a call; on failure records it and leaves by `out`. */
#define TRY(call, what)                 \
    do {                                \
        dnnl_status_t s_ = (call);      \
        if (s_ != dnnl_success) {       \
            rc = failed(e, s_, (what)); \
            goto out;                   \
        }                               \
    } while (0)

void ss_onednn_version(char *out, size_t n)
{
    const dnnl_version_t *v = dnnl_version();

    snprintf(out, n, "%d.%d.%d", v->major, v->minor, v->patch);
}

bool ss_onednn_has_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
           dnnl_cpu_isa_avx512_core_bf16;
}

ss_code ss_onednn_open(ss_onednn **dnn, ss_err *e)
{
    ss_code rc = SS_OK;
    ss_onednn *o = ss_calloc(1, sizeof *o);

    if (!o)
        return ss_fail(e, SS_NOMEM, "oneDNN: table of primitives");
    TRY(dnnl_engine_create(&o->engine, dnnl_cpu, 0), "creating the engine");
    TRY(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags),
        "creating the stream");
    *dnn = o;
    o = NULL;
out:
    ss_onednn_close(o);
    return rc;
}

static void conv_release(conv *c)
{
    dnnl_memory_t memory[] = {c->x, c->y, c->src, c->wei, c->bias, c->dst, c->work, c->plain};
    dnnl_primitive_t primitive[] = {c->primitive, c->arrange, c->restore, c->pack};

    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            dnnl_memory_destroy(memory[i]);
    for (size_t i = 0; i < sizeof primitive / sizeof *primitive; i++)
        if (primitive[i])
            dnnl_primitive_destroy(primitive[i]);
    desc_drop(&c->weights);
    memset(c, 0, sizeof *c);
}

static void forget_all(ss_onednn *o)
{
    for (int i = 0; i < N_SLOTS; i++)
        if (o->slot[i].primitive)
            conv_release(&o->slot[i]);
    o->n = 0;
}

void ss_onednn_close(ss_onednn *o)
{
    if (!o)
        return;
    forget_all(o);
    if (o->stream)
        dnnl_stream_destroy(o->stream);
    if (o->engine)
        dnnl_engine_destroy(o->engine);
    ss_free(o);
}

/* True when pictures are put into blocks; few channels would not fill them. */
static bool in_blocks(const shape_key *k)
{
    return !k->bf16 && k->kh * k->kw > 1 && k->in >= 16 && k->out >= 16 &&
           dnnl_get_effective_cpu_isa() < dnnl_cpu_isa_avx512_core;
}

/* The pictures' dimensions. */
static void picture_dims(const shape_key *k, dnnl_dims_t src, dnnl_dims_t dst)
{
    src[0] = dst[0] = k->n;
    src[1] = k->in;
    src[2] = k->h;
    src[3] = k->w;
    dst[1] = k->out;
    dst[2] = (k->h + k->top + k->bottom - k->kh) / k->stride + 1;
    dst[3] = (k->w + k->left + k->right - k->kw) / k->stride + 1;
}

/* Descriptors of a convolution's operands. */
typedef struct {
    desc src, wei, bias, dst;
    desc read_src; /* src as a forward reads it */
} operands;

static void operands_drop(operands *d)
{
    desc_drop(&d->src);
    desc_drop(&d->wei);
    desc_drop(&d->bias);
    desc_drop(&d->dst);
    desc_drop(&d->read_src);
}

/* The caller drops d, also on failure. */
static dnnl_status_t operands_make(const shape_key *k, operands *d)
{
    const dnnl_format_tag_t tag = in_blocks(k) ? dnnl_nChw8c : dnnl_nhwc;
    const dnnl_data_type_t read = k->bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t wei_dims = {k->out, k->in, k->kh, k->kw}, bias_dims = {k->out};
    dnnl_dims_t src_dims, dst_dims;
    dnnl_status_t s;

    picture_dims(k, src_dims, dst_dims);
    if ((s = desc_make(&d->src, 4, src_dims, k->back ? dnnl_f32 : read, tag)) != dnnl_success ||
        (s = desc_make(&d->wei, 4, wei_dims, read, dnnl_format_tag_any)) != dnnl_success ||
        (s = desc_make(&d->bias, 1, bias_dims, dnnl_f32, dnnl_a)) != dnnl_success ||
        (s = desc_make(&d->dst, 4, dst_dims, k->back ? read : dnnl_f32, tag)) != dnnl_success)
        return s;
    return desc_make(&d->read_src, 4, src_dims, read, tag);
}

static dnnl_status_t conv_describe(const ss_onednn *o, const shape_key *k, const operands *d,
                                   dnnl_primitive_desc_t *pd)
{
    dnnl_dims_t stride = {k->stride, k->stride};
    dnnl_dims_t before = {k->top, k->left}, after = {k->bottom, k->right};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t s;

    if ((s = dnnl_primitive_attr_create(&attr)) != dnnl_success)
        return s;
    s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (s != dnnl_success)
        goto out;
    const dnnl_prop_kind_t kind = k->back ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_primitive_desc_t hint = NULL; /* the backward one asks for the forward it belongs to */
#if DNNL_VERSION_MAJOR >= 3
    dnnl_dims_t dilation = {0, 0};
    s = dnnl_convolution_forward_primitive_desc_create(
        k->back ? &hint : pd, o->engine, kind, dnnl_convolution_direct, ref(&d->read_src),
        ref(&d->wei), k->bias ? ref(&d->bias) : NULL, ref(&d->dst), stride, dilation, before, after,
        attr);
    if (s == dnnl_success && k->back)
        s = dnnl_convolution_backward_data_primitive_desc_create(
            pd, o->engine, dnnl_convolution_direct, ref(&d->src), ref(&d->wei), ref(&d->dst),
            stride, dilation, before, after, hint, attr);
#else
    dnnl_convolution_desc_t cd;
    s = dnnl_convolution_forward_desc_init(&cd, kind, dnnl_convolution_direct, &d->read_src,
                                           &d->wei, k->bias ? &d->bias : NULL, &d->dst, stride,
                                           before, after);
    if (s == dnnl_success)
        s = dnnl_primitive_desc_create(k->back ? &hint : pd, &cd, attr, o->engine, NULL);
    if (s == dnnl_success && k->back)
        s = dnnl_convolution_backward_data_desc_init(&cd, dnnl_convolution_direct, &d->src, &d->wei,
                                                     &d->dst, stride, before, after);
    if (s == dnnl_success && k->back)
        s = dnnl_primitive_desc_create(pd, &cd, attr, o->engine, hint);
#endif
    if (hint)
        dnnl_primitive_desc_destroy(hint);
out:
    dnnl_primitive_attr_destroy(attr);
    return s;
}

/* A primitive that copies from one arrangement to another. */
static dnnl_status_t copy_make(const ss_onednn *o, const desc *from, const desc *to,
                               dnnl_primitive_t *copy)
{
    dnnl_primitive_desc_t pd;
    dnnl_status_t s =
        dnnl_reorder_primitive_desc_create(&pd, ref(from), o->engine, ref(to), o->engine, NULL);

    if (s != dnnl_success)
        return s;
    s = dnnl_primitive_create(copy, pd);
    dnnl_primitive_desc_destroy(pd);
    return s;
}

static dnnl_status_t copy_run(const ss_onednn *o, dnnl_primitive_t copy, dnnl_memory_t from,
                              dnnl_memory_t to)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    dnnl_status_t s = dnnl_primitive_execute(copy, o->stream, 2, args);

    return s == dnnl_success ? dnnl_stream_wait(o->stream) : s;
}

static dnnl_status_t memory_make(const ss_onednn *o, desc_ref layout, dnnl_memory_t *m)
{
    return dnnl_memory_create(m, layout, o->engine, DNNL_MEMORY_NONE);
}

static ss_code conv_make(const ss_onednn *o, const shape_key *k, conv *c, ss_err *e)
{
    static const char what[] = "preparing a convolution";
    ss_code rc = SS_OK;
    operands d = {0};
    desc x = {0}, y = {0}, plain = {0};
    desc *in = k->back ? &d.dst : &d.src, *to = k->back ? &d.src : &d.dst;
    dnnl_dims_t x_dims, y_dims;
    dnnl_primitive_desc_t pd = NULL;

    c->key = *k;
    TRY(operands_make(k, &d), what);
    TRY(conv_describe(o, k, &d, &pd), what);
    TRY(dnnl_primitive_create(&c->primitive, pd), what);
    TRY(desc_copy(&c->weights, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)), what);
    TRY(memory_make(o, ref(in), &c->src), what);
    TRY(memory_make(o, ref(&c->weights), &c->wei), what);
    TRY(memory_make(o, ref(&d.bias), &c->bias), what);
    TRY(memory_make(o, ref(to), &c->dst), what);

    desc_ref work = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    c->work_bytes = dnnl_memory_desc_get_size(work);
    TRY(memory_make(o, work, &c->work), what);

    const dnnl_dims_t dims = {k->out, k->in, k->kh, k->kw};
    TRY(desc_make(&plain, 4, dims, dnnl_f32, dnnl_oihw), what);
    TRY(memory_make(o, ref(&plain), &c->plain), what);
    TRY(copy_make(o, &plain, &c->weights, &c->pack), what);

    if (k->back)
        picture_dims(k, y_dims, x_dims);
    else
        picture_dims(k, x_dims, y_dims);
    if (in_blocks(k) || k->bf16) {
        TRY(desc_make(&x, 4, x_dims, dnnl_f32, dnnl_nhwc), what);
        TRY(memory_make(o, ref(&x), &c->x), what);
        TRY(copy_make(o, &x, in, &c->arrange), what);
        c->src_bytes = dnnl_memory_desc_get_size(ref(in));
    }
    if (in_blocks(k)) {
        TRY(desc_make(&y, 4, y_dims, dnnl_f32, dnnl_nhwc), what);
        TRY(memory_make(o, ref(&y), &c->y), what);
        TRY(copy_make(o, to, &y, &c->restore), what);
        c->dst_bytes = dnnl_memory_desc_get_size(ref(to));
    }
out:
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    operands_drop(&d);
    desc_drop(&x);
    desc_drop(&y);
    desc_drop(&plain);
    if (rc != SS_OK)
        conv_release(c);
    return rc;
}

/* FNV-1a over the key's numbers. */
static size_t hash(const shape_key *k)
{
    const int64_t *v = (const int64_t *)k;
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof *k / sizeof *v; i++)
        h = (h ^ (uint64_t)v[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

/* The number of c's arrangement of weights: that of a primitive with the same, or a new one. */
static uint64_t number_arrangement(ss_onednn *o, const conv *c)
{
    for (int i = 0; i < N_SLOTS; i++) {
        const conv *other = &o->slot[i];

        if (other->primitive && other != c &&
            dnnl_memory_desc_equal(ref(&other->weights), ref(&c->weights)))
            return other->arrangement;
    }
    return ++o->arrangements;
}

static ss_code conv_find(ss_onednn *o, const shape_key *k, conv **found, ss_err *e)
{
    size_t i = hash(k) % N_SLOTS;

    for (; o->slot[i].primitive; i = (i + 1) % N_SLOTS) {
        if (memcmp(&o->slot[i].key, k, sizeof *k) == 0) {
            *found = &o->slot[i];
            return SS_OK;
        }
    }
    if (o->n == MAX_CONVS) { /* a user who sweeps over shapes; start again */
        forget_all(o);
        i = hash(k) % N_SLOTS;
    }
    ss_code rc = conv_make(o, k, &o->slot[i], e);
    if (rc != SS_OK)
        return rc;
    o->slot[i].arrangement = number_arrangement(o, &o->slot[i]);
    o->n++;
    *found = &o->slot[i];
    return SS_OK;
}

/* Rearranges plain f32 weights [O][I][kh][kw]. */
static ss_code arrange_weights(void *self, const ss_device *d, const float *plain, float *values,
                               ss_err *e)
{
    static const char what[] = "arranging weights";
    const conv *c = self;
    ss_code rc = SS_OK;

    TRY(dnnl_memory_set_data_handle(c->plain, (void *)plain), what);
    TRY(dnnl_memory_set_data_handle(c->wei, values), what);
    TRY(copy_run(d->dnn, c->pack, c->plain, c->wei), what);
out:
    return rc;
}

static size_t whole_lines(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* x to y through c, whose weights are ready; scratch holds work, src and dst. */
static dnnl_status_t conv_execute(const ss_onednn *o, const conv *c, void *x, float *weights,
                                  float *bias, void *y, char *scratch)
{
    char *src = scratch + whole_lines(c->work_bytes), *dst = src + whole_lines(c->src_bytes);
    const bool back = c->key.back;
    const dnnl_exec_arg_t args[] = {
        {back ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, c->src},
        {DNNL_ARG_WEIGHTS, c->wei},
        {back ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, c->dst},
        {DNNL_ARG_SCRATCHPAD, c->work},
        {DNNL_ARG_BIAS, c->bias},
    };
    dnnl_status_t s;

    if ((s = dnnl_memory_set_data_handle(c->src, c->arrange ? src : x)) != dnnl_success ||
        (s = dnnl_memory_set_data_handle(c->wei, weights)) != dnnl_success ||
        (s = dnnl_memory_set_data_handle(c->bias, bias)) != dnnl_success ||
        (s = dnnl_memory_set_data_handle(c->dst, c->restore ? dst : y)) != dnnl_success ||
        (s = dnnl_memory_set_data_handle(c->work, scratch)) != dnnl_success)
        return s;
    if (c->arrange && ((s = dnnl_memory_set_data_handle(c->x, x)) != dnnl_success ||
                       (s = copy_run(o, c->arrange, c->x, c->src)) != dnnl_success))
        return s;
    if ((s = dnnl_primitive_execute(c->primitive, o->stream, back ? 4 : 5, args)) != dnnl_success ||
        (s = dnnl_stream_wait(o->stream)) != dnnl_success)
        return s;
    if (!c->restore)
        return dnnl_success;
    s = dnnl_memory_set_data_handle(c->y, y);
    return s == dnnl_success ? copy_run(o, c->restore, c->dst, c->y) : s;
}

static ss_code conv_run(ss_device *d, const shape_key *k, const ss_tensor *x, const ss_tensor *w,
                        const ss_tensor *b, const ss_format *f, ss_tensor *y, ss_err *e)
{
    ss_code rc;
    conv *c;
    float *weights = NULL, *bias = NULL;

    rc = conv_find(d->dnn, k, &c, e);
    if (rc != SS_OK)
        return rc;
    const ss_arrangement how = {c->arrangement, dnnl_memory_desc_get_size(ref(&c->weights)),
                                arrange_weights, c};
    rc = ss_cpu_weights(d, w, k->back ? SS_PREPARED_BACK : SS_PREPARED_FORWARD, f, &how, &weights,
                        e);
    if (rc != SS_OK)
        return rc;
    if (b && !(bias = (float *)ss_cpu_param(d, b, f, e)))
        return SS_NOMEM;

    const size_t bytes = whole_lines(c->work_bytes) + whole_lines(c->src_bytes) + c->dst_bytes;
    char *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "convolution: %zu bytes of work space", bytes);
    TRY(conv_execute(d->dnn, c, x->data, weights, bias, y->data, scratch), "running a convolution");
out:
    ss_pool_free(&d->pool, scratch);
    return rc;
}

/* oneDNN plans and runs with OpenMP's current number of threads, which is the caller's. */
static ss_code with_threads(ss_device *d, shape_key k, const ss_tensor *x, const ss_tensor *w,
                            const ss_tensor *bias, const ss_format *f, ss_tensor *y, ss_err *e)
{
    const int callers = omp_get_max_threads();

    k.threads = d->threads;
    k.bias = bias != NULL;
    omp_set_num_threads(d->threads);
    ss_code rc = conv_run(d, &k, x, w, bias, f, y, e);
    omp_set_num_threads(callers);
    return rc;
}

ss_code ss_onednn_conv2d(ss_device *d, const ss_conv2d_args *a, bool bf16, ss_err *e)
{
    const int64_t *x = a->x->shape.dim, *w = a->w->shape.dim; /* [N][H][W][I], [O][I][kh][kw] */
    const shape_key k = {.n = x[0],
                         .h = x[1],
                         .w = x[2],
                         .in = x[3],
                         .out = w[0],
                         .kh = w[2],
                         .kw = w[3],
                         .stride = a->opt.stride,
                         .top = a->opt.top,
                         .left = a->opt.left,
                         .bottom = a->opt.bottom,
                         .right = a->opt.right,
                         .bf16 = bf16};

    return with_threads(d, k, a->x, a->w, a->bias, a->weight_format, a->y, e);
}

ss_code ss_onednn_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, bool bf16,
                              ss_tensor *dx, ss_err *e)
{
    const shape_key k = {.n = a->n,
                         .h = a->h,
                         .w = a->width,
                         .in = a->in,
                         .out = a->out,
                         .kh = a->kh,
                         .kw = a->kw,
                         .stride = a->opt.stride,
                         .top = a->opt.top,
                         .left = a->opt.left,
                         .bottom = a->opt.bottom,
                         .right = a->opt.right,
                         .back = 1,
                         .bf16 = bf16};

    return with_threads(d, k, a->dy, a->w, NULL, a->weight_format, dx, e);
}

ss_code ss_onednn_linear(ss_device *d, const ss_linear_args *a, bool bf16, ss_err *e)
{
    const shape_key k = {.n = 1,
                         .h = 1,
                         .w = a->rows,
                         .in = a->in,
                         .out = a->out,
                         .kh = 1,
                         .kw = 1,
                         .stride = 1,
                         .bf16 = bf16};

    return with_threads(d, k, a->x, a->w, a->bias, a->weight_format, a->y, e);
}
