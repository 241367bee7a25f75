/* tensor.c - see tensor.h; the memory behind a tensor comes from the backend */
#include "kernels/tensor.h"

#include "base/mem.h"
#include "kernels/call.h"

/* Bytes of a tensor, or false where a dimension is negative or the product too large. */
static bool shape_bytes(ss_shape s, size_t item, size_t *bytes)
{
    size_t n = item;

    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0 || __builtin_mul_overflow(n, (size_t)s.dim[i], &n) || n > INT64_MAX)
            return false;
    }
    *bytes = n;
    return true;
}

void ss_measured_release(ss_measured *m)
{
    if (m && --m->refs == 0)
        ss_free(m);
}

static void count_live(ss_ctx *c, const ss_buffer *b)
{
    if (b->parameter)
        return;
    c->usage.live_bytes += (int64_t)b->bytes;
    if (c->usage.live_bytes > c->usage.peak_bytes)
        c->usage.peak_bytes = c->usage.live_bytes;
}

static void buffer_release(ss_ctx *c, ss_buffer *b)
{
    if (!b || --b->refs > 0)
        return;
    if (!b->parameter)
        c->usage.live_bytes -= (int64_t)b->bytes;
    if (!b->borrowed && b->data)
        c->be->free(c->dev, b->data);
    ss_measured_release(b->measured);
    ss_free(b);
}

static ss_tensor *tensor_over(ss_ctx *c, ss_dtype t, ss_shape s, ss_buffer *b)
{
    ss_tensor *x = ss_calloc(1, sizeof *x);

    if (!x)
        return ss_ctx_fail(c, SS_NOMEM, "a tensor: out of memory");
    x->ctx = c;
    x->refs = 1;
    x->dtype = t;
    x->shape = s;
    x->buf = b;
    x->data = b->data;
    b->refs++;
    return x;
}

/* An f32 tensor without values; of a parameter or of activations. */
static ss_tensor *make(ss_ctx *c, ss_shape s, bool parameter)
{
    char text[96];
    size_t bytes;
    ss_tensor *x;

    if (ss_ctx_failed(c))
        return NULL;
    if (!shape_bytes(s, sizeof(float), &bytes))
        return ss_ctx_fail(c, SS_SHAPE, "a tensor of shape %s is not possible",
                           ss_shape_text(s, text, sizeof text));
    ss_buffer *b = ss_calloc(1, sizeof *b);
    if (!b)
        return ss_ctx_fail(c, SS_NOMEM, "a tensor: out of memory");
    b->refs = 1;
    b->bytes = bytes;
    b->parameter = parameter;
    if (!c->shapes_only && c->be->alloc(c->dev, bytes, &b->data, &c->op_err) != SS_OK) {
        ss_free(b);
        return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    }
    count_live(c, b);
    x = tensor_over(c, SS_F32, s, b);
    buffer_release(c, b); /* the tensor holds it now, or nobody does */
    return x;
}

ss_tensor *ss_tensor_new(ss_ctx *c, ss_shape s)
{
    return make(c, s, false);
}

ss_tensor *ss_upload(ss_ctx *c, ss_shape s, const float *host)
{
    ss_tensor *x = ss_tensor_new(c, s);

    if (!x || c->shapes_only)
        return x;
    if (c->be->upload(c->dev, x->data, host, x->buf->bytes, &c->op_err) != SS_OK) {
        ss_release(x);
        return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    }
    return ss_round_to(c, x, ss_upload_format(c));
}

ss_tensor *ss_param(ss_ctx *c, ss_dtype t, ss_shape s, const void *host)
{
    char text[96];
    size_t bytes;
    ss_tensor *x;

    if (ss_ctx_failed(c))
        return NULL;
    if (!shape_bytes(s, ss_dtype_size(t), &bytes))
        return ss_ctx_fail(c, SS_SHAPE, "a parameter of shape %s is not possible",
                           ss_shape_text(s, text, sizeof text));
    ss_buffer *b = ss_calloc(1, sizeof *b);
    if (!b)
        return ss_ctx_fail(c, SS_NOMEM, "a tensor: out of memory");
    b->refs = 1;
    b->parameter = true;
    if (c->be->adopt(c->dev, host, bytes, b, &c->op_err) != SS_OK) {
        ss_free(b);
        return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    }
    x = tensor_over(c, t, s, b);
    buffer_release(c, b);
    if (x)
        x->parameter = true;
    return x;
}

ss_code ss_param_set(ss_ctx *c, ss_tensor *w, const float *host, ss_err *e)
{
    if (!w || ss_ctx_failed(c))
        return ss_ctx_check(c, e);
    if (c->tape.on)
        return ss_fail(e, SS_USAGE, "a parameter cannot change while a tape records");
    if (w->buf->borrowed || w->dtype != SS_F32 || w->buf->refs > 1) {
        ss_tensor *own = make(c, w->shape, true);

        if (!own) {
            ss_code rc = ss_ctx_check(c, e);

            c->err = (ss_err){0}; /* reported here */
            return rc;
        }
        ss_buffer *old = w->buf;

        w->buf = own->buf;
        w->data = own->data;
        w->dtype = SS_F32;
        own->buf = old;
        ss_release(own);
    }
    ss_measured_release(w->buf->measured);
    w->buf->measured = NULL;
    w->version++;
    return c->shapes_only ? SS_OK : c->be->upload(c->dev, w->data, host, w->buf->bytes, e);
}

ss_code ss_download(ss_ctx *c, const ss_tensor *x, float *host, ss_err *e)
{
    if (!x)
        return ss_ctx_check(c, e);
    if (c->shapes_only)
        return ss_fail(e, SS_USAGE, "a context that only infers shapes has no values");
    ss_code rc = ss_ctx_called(c, c->be->download(c->dev, x, host, &c->op_err));

    if (rc == SS_OK)
        rc = c->be->finish(c->dev, &c->op_err);
    if (rc != SS_OK && e)
        *e = c->op_err;
    return rc;
}

/* ---- where gradients gather ---- */

ss_var *ss_var_new(ss_ctx *c, ss_shape s, int maker)
{
    ss_var *v = ss_calloc(1, sizeof *v);

    if (!v)
        return ss_ctx_fail(c, SS_NOMEM, "a gradient: out of memory");
    v->refs = 1;
    v->shape = s;
    v->maker = maker;
    v->tape = c->tape.number;
    return v;
}

ss_var *ss_var_retain(ss_var *v)
{
    if (v)
        v->refs++;
    return v;
}

void ss_var_release(ss_var *v)
{
    if (!v || --v->refs > 0)
        return;
    ss_release(v->gradient);
    ss_free(v);
}

ss_var *ss_var_of(const ss_ctx *c, const ss_tensor *x)
{
    ss_var *v = x ? x->var : NULL;

    return v && (v->maker < 0 || v->tape == c->tape.number) ? v : NULL;
}

ss_tensor *ss_retain(const ss_tensor *x)
{
    ss_tensor *y = (ss_tensor *)(uintptr_t)x; /* counting references changes no value */

    if (y)
        y->refs++;
    return y;
}

void ss_release(ss_tensor *x)
{
    if (!x || --x->refs > 0)
        return;
    for (int use = 0; use < SS_N_PREPARED; use++)
        ss_prepared_set(x->ctx->dev, x, (ss_use)use, (ss_prepared){0});
    ss_var_release(x->var);
    buffer_release(x->ctx, x->buf);
    ss_free(x);
}

void ss_set(ss_tensor **slot, ss_tensor *x)
{
    ss_tensor *old = *slot;

    *slot = x;
    ss_release(old);
}

ss_shape ss_shape_get(const ss_tensor *x)
{
    return x ? x->shape : (ss_shape){0};
}

int64_t ss_dim(const ss_tensor *x, int i)
{
    if (!x)
        return 0;
    if (i < 0)
        i += x->shape.rank;
    return i < 0 || i >= x->shape.rank ? 0 : x->shape.dim[i];
}

ss_tensor *ss_tensor_view(ss_ctx *c, const ss_tensor *x, ss_shape s)
{
    return tensor_over(c, x->dtype, s, x->buf);
}

ss_tensor *ss_writable(ss_ctx *c, ss_tensor *x, bool *fresh)
{
    *fresh = !x || x->refs > 1 || x->buf->refs > 1 || x->buf->borrowed;
    if (*fresh)
        return x ? ss_tensor_new(c, x->shape) : NULL;
    ss_measured_release(x->buf->measured); /* it is of the values about to go, as the format */
    x->buf->measured = NULL;
    x->buf->exp_bits = x->buf->man_bits = 0;
    return x;
}

void ss_mark(ss_tensor *x, const ss_format *f)
{
    x->buf->exp_bits = f->exp_bits;
    x->buf->man_bits = f->man_bits;
}

ss_tensor *ss_round_to(ss_ctx *c, ss_tensor *y, const ss_format *f)
{
    bool fresh;

    if (!y || !f)
        return y;
    ss_tensor *out = ss_writable(c, y, &fresh);
    ss_code rc = out && !c->shapes_only ? ss_do_round(c, y, f, out) : SS_OK;
    if (fresh)
        ss_release(y);
    if (rc == SS_OK) {
        if (out)
            ss_mark(out, f);
        return out;
    }
    ss_release(out);
    return ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

/* Takes x. */
static ss_tensor *fill(ss_ctx *c, ss_tensor *x, float value)
{
    if (!x || c->shapes_only || ss_do_fill(c, x, value) == SS_OK)
        return x;
    ss_release(x);
    return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
}

ss_tensor *ss_full(ss_ctx *c, ss_shape s, float value)
{
    return ss_round_to(c, fill(c, ss_tensor_new(c, s), value), ss_upload_format(c));
}

ss_tensor *ss_param_full(ss_ctx *c, ss_shape s, float value)
{
    ss_tensor *x = fill(c, make(c, s, true), value);

    if (x)
        x->parameter = true;
    return x;
}
