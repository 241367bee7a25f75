/* later.c - what goes between host and device while the device works (cuda.h)
 *
 * Copies are asynchronous only from and to pinned memory, so everything passes through pinned
 * memory of our own:
 *
 *   in       two halves of a ring: host values are copied into one, from where the device fetches
 *            them in its turn; the host waits only when it comes back to a half that the device
 *            has not read yet
 *   out      likewise two buffers, which the device fills and the host empties into the caller's
 *            memory: when it needs the buffer again, and at the end
 *   results  small ones gather on the device, in chunks that are zeroed when they are begun, and
 *            come down in one copy each when the host waits
 */
#include "base/mem.h"
#include "kernels/cuda/cuda.h"

#include <string.h>

enum {
    IN_BYTES = 4 << 20,   /* of one half */
    OUT_BYTES = 32 << 20, /* of one buffer */
    OPERAND_BYTES = 1 << 20,
    CHUNK_BYTES = 1 << 20,
    ALIGN = 64
};

/* Pinned memory, and when the device has last used it. */
typedef struct {
    char *host;
    CUevent used;
    bool busy; /* used has been recorded, and not waited for */
} pinned;

typedef struct {
    void *to;
    size_t bytes;
} delivery; /* what the buffer's bytes are for */

typedef struct {
    char *device, *host; /* pool and pinned memory of `size` bytes */
    size_t size, used;
} chunk;

typedef struct {
    ss_cuda_take *take;
    ss_cuda_taker taker;
    size_t chunk, at;
} result;

struct ss_cuda_later {
    pinned in[2];
    int in_half;
    size_t in_used;

    char *operands; /* of the device's pool; a ring, which the stream's order keeps in order */
    size_t operands_size, operands_used;

    pinned out[2];
    delivery out_for[2];
    int out_next;

    chunk *chunks;
    size_t n_chunks, cap_chunks, current; /* chunks before `current` are full */
    result *results;
    size_t n_results, cap_results;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- pinned memory ---- */

static ss_code pinned_new(ss_device *d, pinned *p, size_t bytes, ss_err *e)
{
    void *host;

    if (p->host)
        return SS_OK;
    SS_CU(d->api, e, cuMemAllocHost, &host, bytes);
    p->host = host;
    SS_CU(d->api, e, cuEventCreate, &p->used, CU_EVENT_DISABLE_TIMING);
    return SS_OK;
}

static void pinned_free(ss_device *d, pinned *p)
{
    if (p->used)
        d->api->cuEventDestroy(p->used);
    if (p->host)
        d->api->cuMemFreeHost(p->host);
    *p = (pinned){0};
}

static ss_code pinned_mark(ss_device *d, pinned *p, ss_err *e)
{
    SS_CU(d->api, e, cuEventRecord, p->used, d->stream);
    p->busy = true;
    return SS_OK;
}

static ss_code pinned_wait(ss_device *d, pinned *p, ss_err *e)
{
    if (p->busy)
        SS_CU(d->api, e, cuEventSynchronize, p->used);
    p->busy = false;
    return SS_OK;
}

/* ---- in ---- */

/* Makes room for at most IN_BYTES and gives their place. */
static ss_code in_room(ss_device *d, size_t bytes, char **place, ss_err *e)
{
    ss_cuda_later *l = d->later;
    ss_code rc = SS_OK;

    if (l->in_used + bytes > IN_BYTES) {
        rc = pinned_mark(d, &l->in[l->in_half], e);
        l->in_half ^= 1;
        l->in_used = 0;
        if (rc == SS_OK)
            rc = pinned_wait(d, &l->in[l->in_half], e);
    }
    if (rc == SS_OK)
        rc = pinned_new(d, &l->in[l->in_half], IN_BYTES, e);
    if (rc != SS_OK)
        return rc;
    *place = l->in[l->in_half].host + l->in_used;
    l->in_used += aligned(bytes);
    return SS_OK;
}

ss_code ss_cuda_copy_in(ss_device *d, void *to, const void *host, size_t bytes, ss_err *e)
{
    for (size_t done = 0; done < bytes;) {
        const size_t piece = bytes - done < IN_BYTES ? bytes - done : IN_BYTES;
        char *place;
        const ss_code rc = in_room(d, piece, &place, e);

        if (rc != SS_OK)
            return rc;
        memcpy(place, (const char *)host + done, piece);
        SS_CU(d->api, e, cuMemcpyHtoDAsync, (CUdeviceptr)to + done, place, piece, d->stream);
        done += piece;
    }
    return SS_OK;
}

/* Makes a ring of at least so many bytes. An earlier one may still be in use: the pool gives its
 * memory only to what comes later in the stream. */
static ss_code operand_ring(ss_device *d, size_t bytes, ss_err *e)
{
    ss_cuda_later *l = d->later;
    const size_t size = bytes > OPERAND_BYTES ? bytes : OPERAND_BYTES;

    if (l->operands_size >= bytes)
        return SS_OK;
    ss_pool_free(&d->pool, l->operands);
    l->operands_size = l->operands_used = 0;
    l->operands = ss_cuda_work(d, size, "operands", e);
    if (!l->operands)
        return e->code;
    l->operands_size = size;
    return SS_OK;
}

ss_code ss_cuda_operand(ss_device *d, const void *host, size_t bytes, const void **p, ss_err *e)
{
    ss_cuda_later *l = d->later;
    ss_code rc = operand_ring(d, aligned(bytes), e);

    if (rc != SS_OK)
        return rc;
    if (l->operands_used + aligned(bytes) > l->operands_size)
        l->operands_used = 0;
    char *place = l->operands + l->operands_used;

    l->operands_used += aligned(bytes);
    rc = ss_cuda_copy_in(d, place, host, bytes, e);
    *p = place;
    return rc;
}

/* ---- out ---- */

/* Hands over what the buffer holds. */
static ss_code out_empty(ss_device *d, int i, ss_err *e)
{
    ss_cuda_later *l = d->later;
    const ss_code rc = pinned_wait(d, &l->out[i], e);

    if (rc == SS_OK && l->out_for[i].to)
        memcpy(l->out_for[i].to, l->out[i].host, l->out_for[i].bytes);
    l->out_for[i] = (delivery){0};
    return rc;
}

ss_code ss_cuda_copy_out(ss_device *d, const void *from, void *host, size_t bytes, ss_err *e)
{
    ss_cuda_later *l = d->later;

    for (size_t done = 0; done < bytes;) {
        const size_t piece = bytes - done < OUT_BYTES ? bytes - done : OUT_BYTES;
        const int i = l->out_next;
        ss_code rc = out_empty(d, i, e);

        if (rc == SS_OK)
            rc = pinned_new(d, &l->out[i], OUT_BYTES, e);
        if (rc != SS_OK)
            return rc;
        SS_CU(d->api, e, cuMemcpyDtoHAsync, l->out[i].host, (CUdeviceptr)from + done, piece,
              d->stream);
        l->out_for[i] = (delivery){(char *)host + done, piece};
        l->out_next = 1 - i;
        done += piece;
        rc = pinned_mark(d, &l->out[i], e);
        if (rc != SS_OK)
            return rc;
    }
    return SS_OK;
}

/* ---- results ---- */

static void chunk_free(ss_device *d, chunk *c)
{
    ss_pool_free(&d->pool, c->device);
    if (c->host)
        d->api->cuMemFreeHost(c->host);
    *c = (chunk){0};
}

static ss_code chunk_new(ss_device *d, chunk *c, size_t bytes, ss_err *e)
{
    const size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    void *host;

    c->device = ss_cuda_work(d, size, "results", e);
    if (!c->device)
        return e->code;
    SS_CU(d->api, e, cuMemAllocHost, &host, size);
    c->host = host;
    c->size = size;
    return SS_OK;
}

/* The chunk with room for so many bytes, which is the current one from now on; zeroed when it is
 * begun. Chunks are kept from one finish to the next. */
static ss_code chunk_for(ss_device *d, size_t bytes, chunk **out, ss_err *e)
{
    ss_cuda_later *l = d->later;

    while (l->current < l->n_chunks &&
           l->chunks[l->current].used + bytes > l->chunks[l->current].size)
        l->current++;
    if (l->current == l->n_chunks) {
        chunk *grown = ss_grow(l->chunks, &l->cap_chunks, l->n_chunks + 1, sizeof *grown);
        chunk c = {0};

        if (!grown)
            return ss_no_memory(e, "results");
        l->chunks = grown;
        const ss_code rc = chunk_new(d, &c, bytes, e);
        if (rc != SS_OK) {
            chunk_free(d, &c);
            return rc;
        }
        l->chunks[l->n_chunks++] = c;
    }
    *out = &l->chunks[l->current];
    if (!(*out)->used)
        SS_CU(d->api, e, cuMemsetD8Async, (CUdeviceptr)(*out)->device, 0, (*out)->size, d->stream);
    return SS_OK;
}

ss_code ss_cuda_result(ss_device *d, size_t bytes, ss_cuda_take *take, ss_cuda_taker t,
                       void **place, ss_err *e)
{
    ss_cuda_later *l = d->later;
    result *grown = ss_grow(l->results, &l->cap_results, l->n_results + 1, sizeof *grown);
    chunk *c = NULL;

    if (!grown)
        return ss_no_memory(e, "results");
    l->results = grown;
    const ss_code rc = chunk_for(d, aligned(bytes), &c, e);
    if (rc != SS_OK)
        return rc;
    *place = c->device + c->used;
    l->results[l->n_results++] =
        (result){.take = take, .taker = t, .chunk = (size_t)(c - l->chunks), .at = c->used};
    c->used += aligned(bytes);
    return SS_OK;
}

static ss_code fetch(ss_device *d, ss_err *e)
{
    const ss_cuda_later *l = d->later;

    for (size_t i = 0; i < l->n_chunks; i++)
        if (l->chunks[i].used)
            SS_CU(d->api, e, cuMemcpyDtoHAsync, l->chunks[i].host, (CUdeviceptr)l->chunks[i].device,
                  l->chunks[i].used, d->stream);
    SS_CU(d->api, e, cuStreamSynchronize, d->stream);
    return SS_OK;
}

static void forget(ss_cuda_later *l)
{
    for (size_t i = 0; i < l->n_chunks; i++)
        l->chunks[i].used = 0;
    for (int i = 0; i < 2; i++)
        l->out_for[i] = (delivery){0};
    l->n_results = l->current = 0;
}

ss_code ss_cuda_later_finish(ss_device *d, ss_err *e)
{
    ss_cuda_later *l = d->later;
    ss_code rc = fetch(d, e);

    for (int i = 0; i < 2 && rc == SS_OK; i++)
        rc = out_empty(d, i, e);
    for (size_t i = 0; i < l->n_results && rc == SS_OK; i++) {
        const result *r = &l->results[i];

        r->take(l->chunks[r->chunk].host + r->at, &r->taker);
    }
    forget(l);
    return rc;
}

/* ---- open and close ---- */

ss_code ss_cuda_later_open(ss_device *d, ss_err *e)
{
    d->later = ss_calloc(1, sizeof *d->later);
    return d->later ? SS_OK : ss_no_memory(e, "CUDA device");
}

void ss_cuda_later_close(ss_device *d)
{
    ss_cuda_later *l = d->later;

    if (!l)
        return;
    for (int i = 0; i < 2; i++) {
        pinned_free(d, &l->in[i]);
        pinned_free(d, &l->out[i]);
    }
    for (size_t i = 0; i < l->n_chunks; i++)
        chunk_free(d, &l->chunks[i]);
    ss_pool_free(&d->pool, l->operands);
    ss_free(l->chunks);
    ss_free(l->results);
    ss_free(l);
    d->later = NULL;
}
