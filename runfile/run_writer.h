/* run_writer.h - columns, and the thread that writes them; private to
 * run_column.c, run_writer.c and run_queue.c
 */
#ifndef SS_RUNFILE_RUN_WRITER_H
#define SS_RUNFILE_RUN_WRITER_H

#include "runfile/run_layout.h"

#include <pthread.h>

/* One piece of work for the thread: a whole column, or one sample of an activation. */
typedef struct ss_run_job {
    struct ss_run_job *next;
    ss_run_column *column; /* NULL: one sample of an activation */
    uint64_t offset;
    size_t n;  /* values */
    bool half; /* written as f16 */
    float values[];
} ss_run_job;

struct ss_run_column {
    ss_run_writer *w;
    int sigma;
    ss_run_job *job;   /* allocated with the column, so that submitting cannot fail */
    void **data;       /* [n_sets]: [outer][inner] of each set, NULL for activations */
    uint8_t *seen;     /* [module][port][input]: rows that have statistics */
    double **squares;  /* [n_channels]: sums of rms^2, [port][input][channel] */
    uint32_t **counts; /* [n_channels]: how many samples entered it */
};

enum { SS_RUN_PART_BYTES = 256 << 10 };

struct ss_run_writer {
    char *path;
    int fd; /* holds the lock */
    ss_run_layout layout;
    uint8_t *done; /* [sigma] as it was when the file was opened */

    char part[SS_RUN_PART_BYTES]; /* of the file; the thread's alone */

    /* shared with the thread, under the lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ss_run_job *first, **last;
    int columns;    /* queued or being written */
    size_t values;  /* of activations, queued or being written */
    bool stop;      /* end when the queue is empty */
    int failed;     /* errno of the first failed write, 0: none */
    uint8_t *saved; /* [sigma] as it is in the file */
};

enum { SS_RUN_QUEUE_COLUMNS = 2 };

/* run_queue.c */
ss_code ss_run_queue_start(ss_run_writer *w, ss_err *e);
/* Waits for all writes and ends the thread, also on failure. */
ss_code ss_run_queue_stop(ss_run_writer *w, ss_err *e);
/* Queues the job after waiting for room; owns it from then on, also on failure. */
ss_code ss_run_queue_add(ss_run_writer *w, ss_run_job *job, ss_err *e);
/* Waits until all that was queued is written. */
ss_code ss_run_queue_drain(ss_run_writer *w, ss_err *e);

/* run_column.c: turns sums into means, before the column is written. */
void ss_run_column_close(ss_run_column *col);

#endif
