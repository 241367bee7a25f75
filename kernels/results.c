/* results.c - see results.h
 *
 * A result is one block of host memory, which the device writes and which waits in a list. It may
 * go only when the device has written it: lists are dropped after the device has finished.
 */
#include "kernels/results.h"

#include "base/mem.h"
#include "kernels/call.h"

#include <assert.h>

/* ---- the list ---- */

static void result_free(ss_result *r)
{
    ss_measured_release(r->measured);
    ss_free(r);
}

/* Calls deliver for each, up to the first error, and empties the list. */
static void deliver(ss_ctx *c)
{
    ss_result *r = c->results.first;

    c->results.delivering = true;
    for (ss_result *next; r; r = next) {
        next = r->next;
        if (!ss_ctx_failed(c))
            r->deliver(c, r);
        result_free(r);
    }
    c->results = (ss_results){0};
}

static void finish(ss_ctx *c)
{
    if (ss_ctx_wait(c, "found when results were waited for; SIGMASCOPE_SYNC=1 finds the module") !=
        SS_OK)
        ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    deliver(c);
}

ss_code ss_ctx_finish(ss_ctx *c, ss_err *e)
{
    finish(c);
    return ss_ctx_check(c, e);
}

void ss_results_drop(ss_ctx *c)
{
    if (!c->results.first)
        return;
    c->be->finish(c->dev, &c->op_err); /* of what is dropped, an error is of no interest */
    for (ss_result *r = c->results.first, *next; r; r = next) {
        next = r->next;
        result_free(r);
    }
    c->results = (ss_results){0};
}

ss_result *ss_result_new(ss_ctx *c, size_t bytes, void (*deliver_one)(ss_ctx *c, ss_result *r))
{
    assert(!c->results.delivering);
    if (c->results.first && c->results.bytes + bytes > SS_RESULT_BYTES)
        finish(c);
    if (ss_ctx_failed(c))
        return NULL;

    ss_result *r = ss_calloc(1, bytes);
    if (!r)
        return ss_ctx_fail(c, SS_NOMEM, "results: out of memory");
    r->deliver = deliver_one;
    c->results.bytes += bytes;
    if (c->results.last)
        c->results.last->next = r;
    else
        c->results.first = r;
    c->results.last = r;
    return r;
}

/* ---- statistics ---- */

/* The statistics of x, written when the device has finished. The caller's; NULL after recording an
 * error in the context. */
static ss_measured *compute(ss_ctx *c, const ss_tensor *x, bool exponents)
{
    const int64_t n = x->shape.dim[0];
    ss_measured *m = ss_alloc(1, sizeof *m + (size_t)n * sizeof m->of[0]);

    if (!m)
        return ss_ctx_fail(c, SS_NOMEM, "statistics: out of memory");
    m->refs = 1;
    m->n = n;
    m->exponents = exponents;
    if (ss_do_stats(c, x, exponents, m->of) == SS_OK)
        return m;
    ss_free(m);
    return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
}

/* The same, which x's buffer owns and remembers. */
static ss_measured *measure(ss_ctx *c, const ss_tensor *x, bool exponents)
{
    ss_buffer *b = x->buf;

    if (b->measured && b->measured->n == x->shape.dim[0] && (b->measured->exponents || !exponents))
        return b->measured;
    ss_measured *m = compute(c, x, exponents);
    if (m) {
        ss_measured_release(b->measured);
        b->measured = m;
    }
    return m;
}

const ss_stats *ss_tensor_stats(ss_ctx *c, const ss_tensor *x, bool exponents)
{
    if (!x || ss_ctx_failed(c) || c->shapes_only)
        return NULL;
    const ss_measured *m = measure(c, x, exponents);
    if (m && ss_ctx_wait(c, "statistics") != SS_OK)
        return ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    return m ? m->of : NULL;
}

/* ---- asking ---- */

typedef struct {
    ss_result r;
    const ss_module *m;
    ss_port p;
    void *self;
    union {
        ss_take_stats *stats;
        ss_take_channels *channels;
        ss_take_sample *sample;
    } take;
    int n;         /* samples; or which sample */
    int64_t width; /* channels; or values */
    float values[];
} asked;

static bool can_ask(const ss_ctx *c, const ss_tensor *x)
{
    return x && !ss_ctx_failed(c) && !c->shapes_only;
}

static void record_failure(ss_ctx *c, ss_code rc)
{
    if (rc != SS_OK)
        ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

static void deliver_stats(ss_ctx *c, ss_result *r)
{
    const asked *a = (const asked *)r;

    a->take.stats(a->self, c, a->m, a->p, r->measured->of, (int)r->measured->n);
}

/* Puts s into the list. Takes s, which is NULL after an error. */
static void ask(ss_ctx *c, ss_measured *s, const ss_module *m, ss_port p, ss_take_stats *take,
                void *self)
{
    if (!s)
        return;
    asked *a = (asked *)ss_result_new(c, sizeof *a, deliver_stats);
    if (!a) {
        ss_err late;

        c->be->finish(c->dev, &late); /* which writes s; there is an error already */
        ss_measured_release(s);
        return;
    }
    c->results.bytes += (size_t)s->n * sizeof s->of[0];
    a->r.measured = s;
    a->m = m;
    a->p = p;
    a->self = self;
    a->take.stats = take;
}

void ss_ask_stats(ss_ctx *c, const ss_tensor *x, bool exponents, const ss_module *m, ss_port p,
                  ss_take_stats *take, void *self)
{
    ss_measured *s = can_ask(c, x) ? measure(c, x, exponents) : NULL;

    if (s)
        s->refs++;
    ask(c, s, m, p, take, self);
}

/* n values of x from `from` on, as one sample; borrows all that x has. */
static ss_tensor part_of(const ss_tensor *x, int64_t from, int64_t n)
{
    ss_tensor part = *x;

    part.shape = ss_shape_of(1, n);
    part.data = (char *)x->data + (size_t)from * ss_dtype_size(x->dtype);
    return part;
}

void ss_ask_part_stats(ss_ctx *c, const ss_tensor *x, int64_t from, int64_t n, ss_take_stats *take,
                       void *self)
{
    if (!can_ask(c, x))
        return;
    const ss_tensor part = part_of(x, from, n);

    ask(c, compute(c, &part, false), NULL, SS_PORT_OUTPUT, take, self);
}

static void deliver_channels(ss_ctx *c, ss_result *r)
{
    const asked *a = (const asked *)r;

    a->take.channels(a->self, c, a->m, a->p, a->values, a->values + a->n * a->width, a->n,
                     a->width);
}

void ss_ask_channels(ss_ctx *c, const ss_tensor *x, const ss_module *m, ss_port p,
                     ss_take_channels *take, void *self)
{
    const int64_t n = ss_dim(x, 0), width = ss_dim(x, -1);
    asked *a =
        can_ask(c, x)
            ? (asked *)ss_result_new(c, sizeof *a + (size_t)(2 * n * width) * sizeof a->values[0],
                                     deliver_channels)
            : NULL;
    if (!a)
        return;
    a->m = m;
    a->p = p;
    a->self = self;
    a->take.channels = take;
    a->n = (int)n;
    a->width = width;
    record_failure(c, ss_do_channel_stats(c, x, a->values, a->values + n * width));
}

static void deliver_sample(ss_ctx *c, ss_result *r)
{
    const asked *a = (const asked *)r;

    a->take.sample(a->self, c, a->m, a->p, a->n, a->values, a->width);
}

void ss_ask_sample(ss_ctx *c, const ss_tensor *x, int k, const ss_module *m, ss_port p,
                   ss_take_sample *take, void *self)
{
    if (!can_ask(c, x))
        return;
    const int64_t n = ss_shape_numel(x->shape) / x->shape.dim[0];
    const ss_tensor sample = part_of(x, k * n, n);
    asked *a =
        (asked *)ss_result_new(c, sizeof *a + (size_t)n * sizeof a->values[0], deliver_sample);
    if (!a)
        return;
    a->m = m;
    a->p = p;
    a->self = self;
    a->take.sample = take;
    a->n = k;
    a->width = n;
    record_failure(c, ss_ctx_called(c, c->be->download(c->dev, &sample, a->values, &c->op_err)));
}
