/* run_queue.c - the thread that writes one noise level while the next is computed
 *
 * Jobs are done in the order of submission, so when a column is marked as done, the
 * activations that were queued before it are on disk too:
 *
 *     write the rows of all data sets;  fdatasync;  write the mark to /axes/done[sigma]
 *
 * After the first failure nothing is written any more; jobs are only freed.
 */
#include "base/half.h"
#include "base/mem.h"
#include "base/simd.h"
#include "runfile/run_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Writes all bytes; returns 0 or errno. */
static int write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
    const char *at = data;

    while (bytes > 0) {
        ssize_t n = pwrite(fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        at += n;
        offset += (size_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int read_at(int fd, void *data, size_t bytes, uint64_t offset)
{
    char *at = data;

    while (bytes > 0) {
        ssize_t n = pread(fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO; /* the file is as long as its last data set */
        at += n;
        offset += (size_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Rows of one noise level that lie close to each other: the part of the file with `rows` of them is
 * read, changed and written at once, where a call for each would take longer than a GPU computes.
 */
static int write_rows(ss_run_writer *w, const char *data, size_t row, size_t stride, int64_t rows,
                      uint64_t at, const uint8_t *seen)
{
    const size_t bytes = (size_t)(rows - 1) * stride + row;
    char *part = w->part;
    int why = read_at(w->fd, part, bytes, at);

    if (why)
        return why;
    for (int64_t o = 0; o < rows; o++)
        if (!seen || seen[o])
            memcpy(part + (size_t)o * stride, data + (size_t)o * row, row);
    return write_at(w->fd, part, bytes, at);
}

/* Writes the rows of one data set; seen [outer]: the rows to write, NULL for all. */
static int write_set(ss_run_writer *w, const ss_run_set *s, const char *data, int sigma,
                     const uint8_t *seen)
{
    enum { CLOSE = 4096 }; /* within a page, which is written as a whole anyway */
    const size_t row = s->inner_bytes, stride = row * (size_t)w->layout.n_sigmas;
    const int64_t most = stride && stride <= CLOSE ? SS_RUN_PART_BYTES / (int64_t)stride : 1;
    const uint64_t first = s->offset + (uint64_t)sigma * row;
    int why = 0;

    if (w->layout.n_sigmas == 1 && !seen)
        return write_at(w->fd, data, row * (size_t)s->outer, first);
    for (int64_t o = 0, n; o < s->outer && !why; o += n) {
        const uint8_t *wanted = seen ? seen + o : NULL;
        const uint64_t at = first + (uint64_t)o * stride;

        n = s->outer - o < most ? s->outer - o : most;
        if (n > 1)
            why = write_rows(w, data + (size_t)o * row, row, stride, n, at, wanted);
        else if (!seen || *wanted)
            why = write_at(w->fd, data + (size_t)o * row, row, at);
    }
    return why;
}

static int write_column(ss_run_writer *w, ss_run_column *col)
{
    const ss_run_layout *l = &w->layout;
    int why = 0;

    ss_run_column_close(col);
    for (size_t i = 0; i < l->n_sets && !why; i++) {
        const int last = l->at.hist >= 0 ? l->at.hist : l->at.nonfinite;
        bool by_module = l->at.stats >= 0 && (int)i >= l->at.stats && (int)i <= last;

        if (col->data[i])
            why = write_set(w, &l->sets[i], col->data[i], col->sigma, by_module ? col->seen : NULL);
    }
    if (!why && fdatasync(w->fd) != 0)
        why = errno;
    const uint8_t mark = (uint8_t)ss_run_part_mark(&l->part, l->level, col->sigma);
    if (!why)
        why = write_at(w->fd, &mark, 1, l->done_offset + (uint64_t)col->sigma);
    return why;
}

/* Converts to f16 in place. */
SS_SIMD static void to_halves(float *x, size_t n)
{
    enum { RUN = 256 };
    uint16_t h[RUN];

    for (size_t i = 0; i < n; i += RUN) {
        const size_t run = n - i < RUN ? n - i : RUN;

#pragma omp simd
        for (size_t k = 0; k < run; k++)
            h[k] = ss_half_from_float(x[i + k]);
        memcpy((unsigned char *)x + i * sizeof *h, h, run * sizeof *h);
    }
}

/* Starts the transfer to disk at once, so that little is left to wait for when the column is done.
 */
static int write_activation(const ss_run_writer *w, ss_run_job *job)
{
    const size_t bytes = job->n * (job->half ? sizeof(uint16_t) : sizeof(float));

    if (job->half)
        to_halves(job->values, job->n);
    const int why = write_at(w->fd, job->values, bytes, job->offset);
    if (!why)
        sync_file_range(w->fd, (off64_t)job->offset, (off64_t)bytes, SYNC_FILE_RANGE_WRITE);
    return why;
}

static void free_job(ss_run_job *job)
{
    if (job->column)
        ss_run_column_free(job->column); /* frees the job too */
    else
        ss_free(job);
}

static void *write_jobs(void *self)
{
    ss_run_writer *w = self;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->stop)
            pthread_cond_wait(&w->changed, &w->lock);
        ss_run_job *job = w->first;
        if (!job)
            break;
        w->first = job->next;
        if (!w->first)
            w->last = &w->first;
        int why = w->failed;
        pthread_mutex_unlock(&w->lock);

        int sigma = job->column ? job->column->sigma : -1;
        const size_t values = job->column ? 0 : job->n;
        if (!why)
            why = job->column ? write_column(w, job->column) : write_activation(w, job);
        free_job(job);

        pthread_mutex_lock(&w->lock);
        w->failed = why;
        w->columns -= sigma >= 0;
        w->values -= values;
        if (!why && sigma >= 0)
            w->saved[sigma] = 1;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

ss_code ss_run_queue_start(ss_run_writer *w, ss_err *e)
{
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    int why = pthread_create(&w->thread, NULL, write_jobs, w);
    if (why) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        return ss_fail(e, SS_IO, "%s: cannot start the writing thread: %s", w->path, strerror(why));
    }
    return SS_OK;
}

/* Call it under the lock, or after the thread has ended. */
static ss_code report(const ss_run_writer *w, ss_err *e)
{
    int saved = 0;

    if (!w->failed)
        return SS_OK;
    for (int i = 0; i < w->layout.n_sigmas; i++)
        saved += w->saved[i] != SS_RUN_NOT_DONE;
    return ss_fail(e, SS_IO, "%s: %s; %d of %d %s are saved; %sgo on with --resume", w->path,
                   strerror(w->failed), saved, w->layout.n_sigmas,
                   w->layout.at.step >= 0 ? "steps" : "noise levels",
                   w->failed == ENOSPC || w->failed == EDQUOT ? "free space and " : "");
}

ss_code ss_run_queue_stop(ss_run_writer *w, ss_err *e)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    return report(w, e);
}

ss_code ss_run_queue_drain(ss_run_writer *w, ss_err *e)
{
    pthread_mutex_lock(&w->lock);
    while (!w->failed && (w->columns > 0 || w->values > 0))
        pthread_cond_wait(&w->changed, &w->lock);
    ss_code rc = report(w, e);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

ss_code ss_run_queue_add(ss_run_writer *w, ss_run_job *job, ss_err *e)
{
    pthread_mutex_lock(&w->lock);
    if (job->column) {
        while (!w->failed && w->columns >= SS_RUN_QUEUE_COLUMNS)
            pthread_cond_wait(&w->changed, &w->lock);
        w->columns++;
    } else { /* a single activation is let in however large it is */
        while (!w->failed && w->values > 0 &&
               (w->values + job->n) * sizeof *job->values > SS_RUN_QUEUE_BYTES)
            pthread_cond_wait(&w->changed, &w->lock);
        w->values += job->n;
    }
    job->next = NULL;
    *w->last = job;
    w->last = &job->next;
    pthread_cond_broadcast(&w->changed);
    ss_code rc = report(w, e);
    pthread_mutex_unlock(&w->lock);
    return rc;
}
