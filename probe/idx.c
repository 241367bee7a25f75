/* idx.c - see idx.h */
#include "probe/idx.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { UNSIGNED_BYTE = 8, CHUNK = 1 << 20 };

/* Fails with the reason why gzread returned too few bytes. */
static ss_code fail_short(gzFile f, const char *path, ss_err *e)
{
    int status;
    const char *why = gzerror(f, &status);

    if (status == Z_ERRNO)
        return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END)
        return ss_fail(e, SS_FORMAT, "%s: ends before the data that its header promises", path);
    return ss_fail(e, SS_FORMAT, "%s: %s", path, why);
}

/* Reads n bytes; zlib passes plain files through. */
static ss_code read_exact(gzFile f, const char *path, void *out, size_t n, ss_err *e)
{
    int got = gzread(f, out, (unsigned)n);

    return got >= 0 && (size_t)got == n ? SS_OK : fail_short(f, path, e);
}

/* Fails if more data follow. Reading on also makes zlib compare the checksum. */
static ss_code expect_end(gzFile f, const char *path, ss_err *e)
{
    char more;
    int got = gzread(f, &more, 1);

    if (got < 0)
        return fail_short(f, path, e);
    return got ? ss_fail(e, SS_FORMAT, "%s: has more data than the items of its header", path)
               : SS_OK;
}

static ss_code read_header(gzFile f, const char *path, ss_idx *idx, ss_err *e)
{
    unsigned char head[4], dims[4 * SS_IDX_MAX_RANK];
    ss_code rc = read_exact(f, path, head, sizeof head, e);

    if (rc != SS_OK)
        return rc;
    if (head[0] || head[1] || head[3] < 1 || head[3] > SS_IDX_MAX_RANK)
        return ss_fail(e, SS_FORMAT, "%s: not an IDX file (begins with %02x %02x %02x %02x)", path,
                       head[0], head[1], head[2], head[3]);
    if (head[2] != UNSIGNED_BYTE)
        return ss_fail(e, SS_UNSUPPORTED, "%s: elements of type 0x%02x, only bytes (0x08) are read",
                       path, head[2]);
    idx->rank = head[3];
    rc = read_exact(f, path, dims, 4 * (size_t)idx->rank, e);
    if (rc != SS_OK)
        return rc;

    for (int i = 0; i < SS_IDX_MAX_RANK; i++) {
        const unsigned char *p = dims + 4 * i;

        idx->dim[i] = 1;
        if (i < idx->rank)
            idx->dim[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    uint64_t item = 1;

    for (int i = 1; i < SS_IDX_MAX_RANK; i++) { /* the bound also keeps the product small */
        item *= idx->dim[i];
        if (item < 1 || item > SS_IDX_MAX_ITEM)
            return ss_fail(e, SS_FORMAT, "%s: items of %u x %u x %u bytes: 1 to %d are read", path,
                           idx->dim[1], idx->dim[2], idx->dim[3], SS_IDX_MAX_ITEM);
    }
    idx->item = (size_t)item;
    return SS_OK;
}

/* Reads idx->n items into memory that doubles as they arrive. */
static ss_code read_items(gzFile f, const char *path, ss_idx *idx, ss_err *e)
{
    size_t total, cap = 0;

    if (__builtin_mul_overflow(idx->n, idx->item, &total))
        return ss_fail(e, SS_NOMEM, "%s: %zu items of %zu bytes", path, idx->n, idx->item);
    for (size_t at = 0; at < total;) {
        size_t n = total - at < CHUNK ? total - at : CHUNK;
        uint8_t *grown = ss_grow(idx->data, &cap, at + n, 1);

        if (!grown)
            return ss_fail(e, SS_NOMEM, "%s: no memory for %zu bytes", path, total);
        idx->data = grown;
        ss_code rc = read_exact(f, path, idx->data + at, n, e);

        if (rc != SS_OK)
            return rc;
        at += n;
    }
    return SS_OK;
}

ss_code ss_idx_read(const char *path, size_t max, ss_idx *out, ss_err *e)
{
    ss_idx idx = {0};
    ss_code rc;
    gzFile f = gzopen(path, "rbe");

    if (!f)
        return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    rc = read_header(f, path, &idx, e);
    if (rc != SS_OK)
        goto out;
    idx.n = max < idx.dim[0] ? max : idx.dim[0];
    rc = read_items(f, path, &idx, e);
    if (rc == SS_OK && idx.n == idx.dim[0])
        rc = expect_end(f, path, e);
    if (rc == SS_OK) {
        *out = idx;
        idx.data = NULL; /* the caller owns it now */
    }
out:
    ss_idx_release(&idx);
    gzclose(f);
    return rc;
}

void ss_idx_release(ss_idx *idx)
{
    ss_free(idx->data);
    *idx = (ss_idx){0};
}

float ss_idx_mean(const ss_idx *idx, size_t i, int pool, int y, int x)
{
    const ptrdiff_t stride = idx->dim[2];
    const uint8_t *p = idx->data + i * idx->item + (y * stride + x) * pool;
    int64_t sum = 0;

    for (int py = 0; py < pool; py++) {
        for (int px = 0; px < pool; px++)
            sum += p[py * stride + px];
    }
    return (float)((double)sum / ((double)pool * pool * 127.5) - 1);
}
