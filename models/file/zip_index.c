/* zip_index.c - see zip_index.h */
#include "models/file/zip_index.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR64 = 0x07064b50,
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    EXTRA64 = 1, /* id of the extra field with 64-bit numbers */
    MAX_COMMENT = 65535
};

typedef struct {
    const char *path;
    const unsigned char *data;
    size_t n;
} archive;

/* A little-endian number of some bytes. */
static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

/* True if bytes [at, at + n) are in the archive. */
static bool inside(const archive *a, uint64_t at, uint64_t n)
{
    return at <= a->n && n <= a->n - at;
}

static bool has_mark(const archive *a, uint64_t at, uint64_t bytes, uint32_t mark)
{
    return inside(a, at, bytes) && number(a->data + at, 4) == mark;
}

bool ss_zip_begins(const void *data, size_t n)
{
    return n >= 4 && number(data, 4) == LOCAL;
}

/* The last record of the archive, which a comment may follow. */
static ss_code find_end(const archive *a, size_t *end, ss_err *e)
{
    for (size_t comment = 0; comment <= MAX_COMMENT; comment++) {
        if (a->n < END_BYTES + comment)
            break;
        *end = a->n - END_BYTES - comment;
        if (has_mark(a, *end, END_BYTES, END) && number(a->data + *end + 20, 2) == comment)
            return SS_OK;
    }
    return ss_fail(e, SS_FORMAT,
                   "%s: the index at the end of the archive is missing: the file was cut off, or "
                   "is still being written",
                   a->path);
}

/* Place and size of the central directory, and the number of its entries. */
static ss_code read_end(const archive *a, uint64_t *at, uint64_t *bytes, uint64_t *count, ss_err *e)
{
    size_t end = 0;
    ss_code rc = find_end(a, &end, e);

    if (rc != SS_OK)
        return rc;
    *count = number(a->data + end + 10, 2);
    *bytes = number(a->data + end + 12, 4);
    *at = number(a->data + end + 16, 4);
    if (end >= LOCATOR64_BYTES && has_mark(a, end - LOCATOR64_BYTES, LOCATOR64_BYTES, LOCATOR64)) {
        const uint64_t end64 = number(a->data + end - LOCATOR64_BYTES + 8, 8);

        if (!has_mark(a, end64, END64_BYTES, END64))
            return ss_fail(e, SS_FORMAT, "%s: the archive's ZIP64 end is not at byte %" PRIu64,
                           a->path, end64);
        *count = number(a->data + end64 + 32, 8);
        *bytes = number(a->data + end64 + 40, 8);
        *at = number(a->data + end64 + 48, 8);
    }
    if (!inside(a, *at, *bytes) || *count > *bytes / CENTRAL_BYTES)
        return ss_fail(e, SS_FORMAT,
                       "%s: the archive's index of %" PRIu64 " entries is said to be %" PRIu64
                       " bytes at byte %" PRIu64 ", the archive has %zu",
                       a->path, *count, *bytes, *at, a->n);
    return SS_OK;
}

/* The next 64-bit number of an extra field, where the 32-bit one says that it is there. */
static bool take64(uint64_t *v, const unsigned char **p, size_t *n)
{
    if (*v != UINT32_MAX)
        return true;
    if (*n < 8)
        return false;
    *v = number(*p, 8);
    *p += 8;
    *n -= 8;
    return true;
}

/* Replaces numbers that are ffffffff by those in the extra field of n bytes. */
static bool read_extra(const unsigned char *p, size_t n, uint64_t *bytes, uint64_t *packed,
                       uint64_t *at)
{
    while (n >= 4) {
        const uint64_t id = number(p, 2);
        size_t length = number(p + 2, 2);

        p += 4;
        n -= 4;
        if (length > n)
            return false;
        if (id == EXTRA64) {
            const unsigned char *q = p;

            return take64(bytes, &q, &length) && take64(packed, &q, &length) &&
                   take64(at, &q, &length);
        }
        p += length;
        n -= length;
    }
    return true;
}

/* The name of an entry for a message, in out [SS_SHOWN]. */
static const char *show(const ss_zip_entry *x, char *out)
{
    char name[SS_SHOWN];
    const size_t n = x->n_name < sizeof name - 1 ? x->n_name : sizeof name - 1;

    memcpy(name, x->name, n);
    name[n] = '\0';
    return ss_printable(name, out, SS_SHOWN);
}

/* Finds the data of an entry after its local header, which must be of the same name. */
static ss_code find_data(const archive *a, uint64_t at, ss_zip_entry *x, ss_err *e)
{
    if (has_mark(a, at, LOCAL_BYTES, LOCAL)) {
        const uint64_t n_name = number(a->data + at + 26, 2);
        const uint64_t from = at + LOCAL_BYTES + n_name + number(a->data + at + 28, 2);

        if (n_name == x->n_name && inside(a, at + LOCAL_BYTES, n_name) &&
            memcmp(a->data + at + LOCAL_BYTES, x->name, x->n_name) == 0 &&
            inside(a, from, x->bytes)) {
            x->data = a->data + from;
            return SS_OK;
        }
    }
    return ss_fail(e, SS_FORMAT,
                   "%s: entry %s of the archive, of %zu bytes, is not at byte %" PRIu64, a->path,
                   show(x, (char[SS_SHOWN]){0}), x->bytes, at);
}

/* Reads one entry of the central directory; *p moves to the next. */
static ss_code read_entry(const archive *a, uint64_t *p, uint64_t end, ss_zip_entry *x, ss_err *e)
{
    const unsigned char *c = a->data + *p;

    if (end - *p < CENTRAL_BYTES || number(c, 4) != CENTRAL)
        return ss_fail(e, SS_FORMAT, "%s: the archive's index is damaged at byte %" PRIu64, a->path,
                       *p);
    const uint64_t flags = number(c + 8, 2), method = number(c + 10, 2);
    const uint64_t n_name = number(c + 28, 2), n_extra = number(c + 30, 2);
    const uint64_t all = CENTRAL_BYTES + n_name + n_extra + number(c + 32, 2);
    uint64_t packed = number(c + 20, 4), bytes = number(c + 24, 4), at = number(c + 42, 4);

    if (all > end - *p ||
        !read_extra(c + CENTRAL_BYTES + n_name, (size_t)n_extra, &bytes, &packed, &at))
        return ss_fail(e, SS_FORMAT, "%s: the archive's index is damaged at byte %" PRIu64, a->path,
                       *p);
    *x = (ss_zip_entry){.name = (const char *)c + CENTRAL_BYTES, .n_name = (size_t)n_name};
    if (method != 0 || packed != bytes || flags & 1)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: entry %s of the archive is compressed or encrypted; torch.save "
                       "stores its entries as they are",
                       a->path, show(x, (char[SS_SHOWN]){0}));
    x->bytes = (size_t)bytes;
    *p += all;
    return find_data(a, at, x, e);
}

/* Compares FOLDER/NAME with an entry's name. */
static int compare(const char *a, size_t n_a, const char *b, size_t n_b)
{
    const int c = memcmp(a, b, n_a < n_b ? n_a : n_b);

    return c ? c : (n_a > n_b) - (n_a < n_b);
}

static int by_name(const void *a, const void *b)
{
    const ss_zip_entry *x = a, *y = b;

    return compare(x->name, x->n_name, y->name, y->n_name);
}

ss_code ss_zip_open(const char *path, const void *data, size_t n, ss_zip_index *z, ss_err *e)
{
    const archive a = {.path = path, .data = data, .n = n};
    uint64_t at = 0, bytes = 0, count = 0;
    ss_code rc = read_end(&a, &at, &bytes, &count, e);

    *z = (ss_zip_index){0};
    if (rc != SS_OK)
        return rc;
    z->entries = ss_calloc((size_t)count, sizeof *z->entries);
    if (!z->entries)
        return ss_no_memory(e, path);
    const uint64_t end = at + bytes;
    for (; rc == SS_OK && z->n < count; z->n++)
        rc = read_entry(&a, &at, end, &z->entries[z->n], e);
    if (rc != SS_OK) {
        ss_zip_close(z);
        return rc;
    }
    qsort(z->entries, z->n, sizeof *z->entries, by_name);
    return SS_OK;
}

void ss_zip_close(ss_zip_index *z)
{
    ss_free(z->entries);
    *z = (ss_zip_index){0};
}

/* Compares an entry's name with FOLDER/NAME, part by part. */
static int compare_parts(const ss_zip_entry *x, const char *folder, size_t n_folder,
                         const char *name, size_t n_name)
{
    const char *s = x->name;
    size_t n = x->n_name;

    if (n <= n_folder || memcmp(s, folder, n_folder) != 0) {
        const int c = memcmp(s, folder, n < n_folder ? n : n_folder);

        return c ? c : -1; /* it ends before NAME begins */
    }
    if (s[n_folder] != '/')
        return (unsigned char)s[n_folder] < '/' ? -1 : 1;
    return compare(s + n_folder + 1, n - n_folder - 1, name, n_name);
}

const ss_zip_entry *ss_zip_find(const ss_zip_index *z, const char *folder, size_t n_folder,
                                const char *name, size_t n_name)
{
    size_t from = 0, to = z->n;

    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        const int c = compare_parts(&z->entries[mid], folder, n_folder, name, n_name);

        if (c == 0)
            return &z->entries[mid];
        if (c < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}
