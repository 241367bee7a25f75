/* ss_io_failure.h - the disk fails at a chosen call
 *
 *   io_fail_at(k, ENOSPC, true);      // the k-th call, and all writes after it
 *   ... what is tested ...
 *   bool happened = io_fail_end();    // false: there were fewer than k calls
 *
 * Counted are the calls that change files below tmp_dir: write, pwrite, fsync, fdatasync,
 * ftruncate, rename, renameat2, and close of what was open for writing (which closes also when it
 * fails, as on Linux). The functions here take the place of the C library's in the whole test
 * program, in HDF5 and libpng too. The C library's streams would pass them by, so fopen for writing
 * gives a stream on top of them, and fileno knows its number.
 */
#ifndef SS_TEST_IO_FAILURE_H
#define SS_TEST_IO_FAILURE_H

#include "tests/ss_tmp.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>

static atomic_ulong io_at, io_seen; /* 0: nothing is counted */
static atomic_int io_why;
static atomic_bool io_lasting;

static inline void io_fail_at(unsigned long k, int why, bool lasting)
{
    io_seen = 0;
    io_why = why;
    io_lasting = lasting;
    io_at = k;
}

static inline bool io_fail_end(void)
{
    const bool happened = io_seen >= io_at;

    io_at = 0;
    return happened;
}

static bool io_ours(const char *path)
{
    return *tmp_dir && strncmp(path, tmp_dir, strlen(tmp_dir)) == 0;
}

/* True when the call at hand shall fail; errno is set then. */
static bool io_fails(bool writes)
{
    unsigned long n;

    if (!io_at)
        return false;
    n = ++io_seen;
    if (n != io_at && !(n > io_at && writes && io_lasting))
        return false;
    errno = io_why;
    return true;
}

static bool io_fd_fails(int fd, bool writes)
{
    char link[32], path[512];

    if (!io_at || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);

    path[n > 0 ? n : 0] = '\0';
    return io_ours(path) && io_fails(writes);
}

ssize_t write(int fd, const void *data, size_t n)
{
    return io_fd_fails(fd, true) ? -1 : syscall(SYS_write, fd, data, n);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return io_fd_fails(fd, true) ? -1 : syscall(SYS_pwrite64, fd, data, n, at);
}

int fsync(int fd)
{
    return io_fd_fails(fd, true) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return io_fd_fails(fd, true) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t n)
{
    return io_fd_fails(fd, true) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int close(int fd)
{
    const bool bad = io_fd_fails(fd, false);
    const int why = errno;
    int rc = (int)syscall(SYS_close, fd);

    if (bad) {
        errno = why;
        rc = -1;
    }
    return rc;
}

int rename(const char *from, const char *to)
{
    return io_ours(to) && io_fails(false) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return io_ours(to) && io_fails(false) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

/* ---- streams ---- */

typedef struct {
    FILE *f;
    int fd; /* + 1, so that 0 is a free place */
} io_stream;

static io_stream io_streams[8];

static ssize_t io_stream_read(void *self, char *data, size_t n)
{
    return read(((io_stream *)self)->fd - 1, data, n);
}

static ssize_t io_stream_write(void *self, const char *data, size_t n)
{
    const ssize_t k = write(((io_stream *)self)->fd - 1, data, n);

    return k < 0 ? 0 : k;
}

static int io_stream_seek(void *self, off64_t *at, int whence)
{
    *at = lseek(((io_stream *)self)->fd - 1, *at, whence);
    return *at < 0 ? -1 : 0;
}

static int io_stream_close(void *self)
{
    io_stream *s = self;
    const int rc = close(s->fd - 1);

    *s = (io_stream){0};
    return rc;
}

FILE *fopen(const char *path, const char *mode)
{
    FILE *(*real)(const char *, const char *);
    io_stream *s = io_streams;
    int flags = mode[0] == 'a' ? O_CREAT | O_APPEND : mode[0] == 'w' ? O_CREAT | O_TRUNC : 0;

    if (!io_ours(path) || !flags) {
        *(void **)&real = dlsym(RTLD_NEXT, "fopen");
        return real(path, mode);
    }
    while (s->fd)
        s++; /* the tests open few at a time */
    assert_true(s < io_streams + N_OF(io_streams));
    flags |= strchr(mode, '+') ? O_RDWR : O_WRONLY;
    s->fd = open(path, flags | O_CLOEXEC, 0666) + 1;
    if (!s->fd)
        return NULL;
    s->f = fopencookie(
        s, mode,
        (cookie_io_functions_t){io_stream_read, io_stream_write, io_stream_seek, io_stream_close});
    return s->f;
}

int fileno(FILE *f)
{
    int (*real)(FILE *);

    for (size_t i = 0; i < N_OF(io_streams); i++) {
        if (io_streams[i].fd && io_streams[i].f == f)
            return io_streams[i].fd - 1;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "fileno");
    return real(f);
}

#endif
