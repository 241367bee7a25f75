/* file.c - see file.h */
#include "base/file.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static ss_code fail_errno(ss_err *e, const char *path)
{
    return ss_fail(e, errno == ENOMEM ? SS_NOMEM : SS_IO, "%s: %s", path, strerror(errno));
}

ss_code ss_map_open(const char *path, ss_map *map, ss_err *e)
{
    ss_code rc = SS_OK;
    struct stat st;
    void *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(e, path);
    if (fstat(fd, &st) != 0) {
        rc = fail_errno(e, path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) { /* a pipe or a folder cannot be mapped */
        rc = ss_fail(e, SS_IO, "%s: %s", path,
                     S_ISDIR(st.st_mode) ? "is a folder, expected a file" : "not a regular file");
        goto out;
    }
    if (st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            rc = fail_errno(e, path);
            goto out;
        }
    }
    *map = (ss_map){data, (size_t)st.st_size};
    ss_detail("mapped %s, %.1f MB", path, 1e-6 * (double)st.st_size);
out:
    close(fd);
    return rc;
}

void ss_map_close(ss_map *map)
{
    if (map->data)
        munmap((void *)map->data, map->size);
    *map = (ss_map){0};
}

void ss_map_forget(const ss_map *map)
{
    if (map->data)
        madvise((void *)map->data, map->size, MADV_DONTNEED);
}

ss_code ss_file_read(const char *path, size_t max, char **text, size_t *len, ss_err *e)
{
    ss_code rc = SS_OK;
    ss_str b = {0};
    char chunk[16384];
    size_t n;
    FILE *f = fopen(path, "rbe");

    if (!f)
        return fail_errno(e, path);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) { /* sizes lie: pipes, /proc */
        if (n > max - b.len) {
            rc = ss_fail(e, SS_FORMAT, "%s: longer than the %zu bytes allowed here", path, max);
            goto out;
        }
        ss_str_addn(&b, chunk, n);
    }
    if (ferror(f)) {
        rc = fail_errno(e, path);
        goto out;
    }
    n = b.len;
    char *s = ss_str_detach(&b);

    if (!s) {
        rc = ss_fail(e, SS_NOMEM, "%s: no memory for its %zu bytes", path, n);
        goto out;
    }
    *text = s;
    if (len)
        *len = n;
out:
    ss_str_release(&b);
    fclose(f);
    return rc;
}

ss_code ss_file_check_fetched(const char *path, const void *bytes, size_t n, ss_err *e)
{
    static const char first[] = "version https://git-lfs", key[] = "size ";
    char digits[24] = "some";

    if (n < sizeof first - 1 || memcmp(bytes, first, sizeof first - 1) != 0)
        return SS_OK;
    const char *size = memmem(bytes, n, key, sizeof key - 1);
    if (size) {
        const size_t left = n - (size_t)(size - (const char *)bytes) - (sizeof key - 1);
        size_t k = 0;

        for (size += sizeof key - 1; k < left && k < sizeof digits - 1; k++) {
            if (size[k] < '0' || size[k] > '9')
                break;
            digits[k] = size[k];
        }
        digits[k] = '\0';
    }
    return ss_fail(e, SS_FORMAT,
                   "%s: a git-lfs pointer; the file itself, of %s bytes, was not fetched: `git lfs "
                   "pull` in its folder does that",
                   path, digits);
}

bool ss_file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool ss_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *ss_path_join(const char *dir, const char *name)
{
    ss_str b = {0};

    ss_str_add(&b, dir);
    if (*dir && dir[strlen(dir) - 1] != '/')
        ss_str_add(&b, "/");
    ss_str_add(&b, name);
    return ss_str_detach(&b);
}

ss_code ss_outfile_open(ss_outfile *o, const char *path, ss_err *e)
{
    ss_code rc = SS_OK;
    struct stat st;
    ss_str tmp = {0};
    int fd = -1;

    *o = (ss_outfile){0};
    /* Renaming over /dev/null as root would replace the device. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return ss_fail(e, SS_IO, "%s: %s", path,
                       S_ISDIR(st.st_mode) ? "is a folder, expected a file" : "not a regular file");
    ss_str_addf(&tmp, "%s.tmp-%ld", path, (long)getpid());
    o->tmp = ss_str_detach(&tmp);
    o->path = ss_strdup(path);
    if (!o->tmp || !o->path) {
        rc = ss_no_memory(e, path);
        goto out;
    }
    unlink(o->tmp); /* left by a killed process that had our number */
    ss_unfinished_add(o->tmp);
    fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0)
        o->f = fdopen(fd, "wb");
    if (!o->f)
        rc = fail_errno(e, path);
out:
    if (rc != SS_OK) {
        if (fd >= 0)
            close(fd);
        ss_outfile_discard(o);
    }
    return rc;
}

/* A write that failed earlier left only its flag. The file will be removed, so more can be written
 * to it: that fails as well, and says why. 0 where it does not. */
static int find_cause(FILE *f)
{
    static const char more[1 << 16];

    errno = 0;
    for (int i = 0; i < 2; i++) { /* the first may be written in part */
        if (write(fileno(f), more, sizeof more) < 0)
            return errno;
    }
    return 0;
}

ss_code ss_outfile_commit(ss_outfile *o, ss_err *e)
{
    ss_code rc = SS_OK;

    if (ferror(o->f)) {
        const int why = find_cause(o->f);

        rc = ss_fail(e, SS_IO, "%s: %s", o->path, why ? strerror(why) : "write failed");
    } else if (fflush(o->f) != 0 || fsync(fileno(o->f)) != 0)
        rc = fail_errno(e, o->path);
    if (fclose(o->f) != 0 && rc == SS_OK)
        rc = fail_errno(e, o->path);
    o->f = NULL;
    ss_unfinished_hold();
    if (rc == SS_OK && rename(o->tmp, o->path) != 0)
        rc = fail_errno(e, o->path);
    ss_unfinished_let_go(rc == SS_OK ? o->tmp : ""); /* else it is still to be removed */
    if (rc == SS_OK)
        ss_detail("wrote %s", o->path);
    if (rc == SS_OK) {
        ss_free(o->tmp);
        o->tmp = NULL; /* there is nothing to remove any more */
    }
    ss_outfile_discard(o);
    return rc;
}

void ss_outfile_discard(ss_outfile *o)
{
    if (o->f)
        fclose(o->f);
    if (o->tmp) {
        unlink(o->tmp);
        ss_unfinished_drop(o->tmp);
    }
    ss_free(o->tmp);
    ss_free(o->path);
    *o = (ss_outfile){0};
}

ss_code ss_sha256_bytes(const void *data, size_t n, char hex[65], ss_err *e)
{
    unsigned char sum[32];

    if (EVP_Digest(data, n, sum, NULL, EVP_sha256(), NULL) != 1)
        return ss_fail(e, SS_NOMEM, "SHA-256: libcrypto failed");
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return SS_OK;
}

ss_code ss_sha256_file(const char *path, char hex[65], ss_err *e)
{
    ss_map map;
    ss_code rc = ss_map_open(path, &map, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_sha256_bytes(map.data, map.size, hex, e);
    ss_map_close(&map);
    return rc;
}
