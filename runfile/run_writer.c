/* run_writer.c - creating, resuming and finishing a run file; see run_file.h
 *
 * A writer holds a lock on the file it writes, from before the file has its name until it ends. The
 * lock belongs to the open file description (fcntl(2)): it vanishes with the process, and does not
 * disturb HDF5, which uses flock(2), in programs that read the file meanwhile.
 */
#include "runfile/run_writer.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ss_code lock_file(int fd, const char *path, ss_err *e)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &all) == 0)
        return SS_OK;
    if (errno == EAGAIN || errno == EACCES)
        return ss_fail(e, SS_IO, "%s: another process is writing it", path);
    return ss_fail(e, SS_IO, "%s: cannot be locked: %s", path, strerror(errno));
}

/* True if the path still names the open file. */
static bool still_names(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Opens an existing file and locks it; *fd = -1 if there is none. */
static ss_code open_locked(const char *path, int *fd, ss_err *e)
{
    ss_code rc = SS_OK;
    struct stat st;

    for (;;) {
        *fd = open(path, O_RDWR | O_CLOEXEC);
        if (*fd < 0)
            return errno == ENOENT ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
        if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode))
            rc = ss_fail(e, SS_IO, "%s: is not a regular file", path);
        else
            rc = lock_file(*fd, path, e);
        if (rc == SS_OK && still_names(*fd, path))
            return SS_OK;
        close(*fd); /* refused, or replaced between open and lock: try again */
        *fd = -1;
        if (rc != SS_OK)
            return rc;
    }
}

static ss_run_writer *writer_new(const char *path)
{
    ss_run_writer *w = ss_calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->fd = -1;
    w->path = ss_strdup(path);
    if (w->path)
        return w;
    ss_free(w);
    return NULL;
}

static void writer_free(ss_run_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    ss_run_layout_release(&w->layout);
    ss_free(w->done);
    ss_free(w->saved);
    ss_free(w->path);
    ss_free(w);
}

/* Makes a writer with its layout and room for the marks. */
static ss_code writer_make(const char *path, const ss_run_spec *spec, ss_run_writer **out,
                           ss_err *e)
{
    ss_code rc;
    ss_run_writer *w = writer_new(path);

    if (!w)
        return ss_no_memory(e, path);
    rc = ss_run_layout_make(&w->layout, spec, e);
    if (rc != SS_OK) {
        ss_fail_prefix(e, "%s", path);
        goto failed;
    }
    w->done = ss_calloc((size_t)spec->n_sigmas, 1);
    w->saved = ss_calloc((size_t)spec->n_sigmas, 1);
    if (!w->done || !w->saved) {
        rc = ss_no_memory(e, path);
        goto failed;
    }
    *out = w;
    return SS_OK;
failed:
    writer_free(w);
    return rc;
}

/* Gives the new file its name. Without `replace`, a file that another process created meanwhile is
 * kept. */
static ss_code give_name(const char *tmp, const char *path, bool replace, ss_err *e)
{
    if (!replace) {
        if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
            return SS_OK;
        if (errno == EEXIST)
            return ss_fail(e, SS_IO, "%s: another process has just created it", path);
        if (errno != EINVAL && errno != ENOSYS) /* the file system cannot do it */
            return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    }
    return rename(tmp, path) == 0 ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
}

/* Makes the skeleton beside the target and moves it there, locked. */
static ss_code put_skeleton(ss_run_writer *w, const ss_run_spec *spec, bool replace, ss_err *e)
{
    ss_code rc;
    ss_str tmp = {0};

    ss_str_addf(&tmp, "%s.tmp-%ld", w->path, (long)getpid());
    if (tmp.failed)
        return ss_no_memory(e, w->path);
    unlink(tmp.s); /* left by a killed process with our process id */
    ss_unfinished_add(tmp.s);
    rc = ss_run_skeleton(tmp.s, w->path, spec, &w->layout, e);
    if (rc == SS_OK) {
        w->fd = open(tmp.s, O_RDWR | O_CLOEXEC);
        rc = w->fd < 0 ? ss_fail(e, SS_IO, "%s: %s", w->path, strerror(errno))
                       : lock_file(w->fd, w->path, e);
    }
    ss_unfinished_hold();
    if (rc == SS_OK)
        rc = give_name(tmp.s, w->path, replace, e);
    if (rc != SS_OK)
        unlink(tmp.s);
    ss_unfinished_let_go(tmp.s);
    ss_str_release(&tmp);
    return rc;
}

ss_code ss_run_create(const char *path, const ss_run_spec *spec, bool replace, ss_run_writer **out,
                      ss_err *e)
{
    ss_run_writer *w = NULL;
    int old = -1;
    ss_code rc;

    *out = NULL;
    if (!replace && access(path, F_OK) == 0)
        return ss_fail(e, SS_IO,
                       "%s: exists already; --force replaces it, --resume goes on with it", path);
    rc = writer_make(path, spec, &w, e);
    if (rc != SS_OK)
        goto out;
    rc = open_locked(path, &old, e);
    if (rc == SS_OK)
        rc = put_skeleton(w, spec, old >= 0, e);
    if (rc == SS_OK)
        rc = ss_run_queue_start(w, e);
    if (rc == SS_OK) {
        *out = w;
        w = NULL;
    }
out:
    if (old >= 0)
        close(old);
    writer_free(w);
    return rc;
}

ss_code ss_run_resume(const char *path, const ss_run_spec *spec, ss_run_writer **out, ss_err *e)
{
    ss_run_writer *w = NULL;
    ss_code rc;

    *out = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return ss_run_create(path, spec, false, out, e);
    rc = writer_make(path, spec, &w, e);
    if (rc != SS_OK)
        return rc;
    rc = open_locked(path, &w->fd, e);
    if (rc == SS_OK && w->fd < 0)
        rc = ss_fail(e, SS_IO, "%s: has just been removed", path);
    if (rc == SS_OK)
        rc = ss_run_check(path, spec, &w->layout, w->done, e);
    if (rc == SS_OK) {
        memcpy(w->saved, w->done, (size_t)w->layout.n_sigmas);
        rc = ss_run_queue_start(w, e);
    }
    if (rc == SS_OK)
        *out = w;
    else
        writer_free(w);
    return rc;
}

bool ss_run_is_done(const ss_run_writer *w, int s)
{
    assert(s >= 0 && s < w->layout.n_sigmas);
    return w->done[s] != SS_RUN_NOT_DONE;
}

ss_code ss_run_put_activation(ss_run_column *col, int dump, int input, int sample,
                              ss_run_fill *fill, void *self, ss_err *e)
{
    ss_run_writer *w = col->w;
    const ss_run_layout *l = &w->layout;

    assert(dump >= 0 && dump < l->n_dumps && input >= 0 && input < l->n_inputs && sample >= 0 &&
           sample < l->n_samples);
    const ss_run_set *s = &l->sets[l->at.dumps + dump];
    const size_t n = (size_t)(s->inner / l->n_samples);
    ss_run_job *job = ss_alloc(sizeof *job + n * sizeof(float), 1);
    if (!job)
        return ss_fail(e, SS_NOMEM, "%s: no memory for an activation", w->path);
    *job = (ss_run_job){
        .half = s->type == SS_SET_F16,
        .n = n,
        .offset =
            s->offset +
            ((uint64_t)input * (uint64_t)l->n_sigmas + (uint64_t)col->sigma) * s->inner_bytes +
            (uint64_t)sample * n * ss_run_value_bytes(s->type),
    };
    ss_code rc = fill(self, job->values, e);
    if (rc != SS_OK) {
        ss_free(job);
        return rc;
    }
    return ss_run_queue_add(w, job, e);
}

ss_code ss_run_submit(ss_run_writer *w, ss_run_column *col, ss_err *e)
{
    return ss_run_queue_add(w, col->job, e);
}

ss_code ss_run_sync(ss_run_writer *w, ss_err *e)
{
    ss_code rc = ss_run_queue_drain(w, e);

    if (rc == SS_OK && fdatasync(w->fd) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", w->path, strerror(errno));
    return rc;
}

ss_code ss_run_finish(ss_run_writer *w, ss_err *e)
{
    ss_code rc = ss_run_queue_stop(w, e);
    int missing = 0;

    for (int s = 0; s < w->layout.n_sigmas; s++)
        missing += !w->saved[s] && ss_run_part_mark(&w->layout.part, w->layout.level, s);
    if (rc == SS_OK && missing)
        rc = ss_fail(e, SS_USAGE, "%s: %d of %d %s were not computed", w->path, missing,
                     w->layout.n_sigmas, w->layout.at.step >= 0 ? "steps" : "noise levels");
    if (rc == SS_OK && ss_run_part_is_whole(&w->layout.part))
        rc = ss_run_mark_complete(w->path, e);
    if (rc == SS_OK && fsync(w->fd) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", w->path, strerror(errno));
    if (close(w->fd) != 0 && rc == SS_OK)
        rc = ss_fail(e, SS_IO, "%s: %s", w->path, strerror(errno));
    w->fd = -1;
    writer_free(w);
    return rc;
}

void ss_run_abandon(ss_run_writer *w)
{
    ss_err ignored = {0};

    if (!w)
        return;
    (void)ss_run_queue_stop(w, &ignored);
    writer_free(w);
}
