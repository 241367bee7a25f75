/* run_folder.h - a folder for the run files of a test, and a whole synthetic run in it */
#ifndef SS_TESTS_RUN_FOLDER_H
#define SS_TESTS_RUN_FOLDER_H

#include "base/file.h"
#include "base/mem.h"
#include "tests/run_synth.h"
#include "tests/ss_test.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *p = paths[next++ % 4];

    snprintf(p, 128, "%s/%.60s", folder, name);
    return p;
}

static inline int make_folder(void **state)
{
    (void)state;
    /* in memory, where flushing is quick; what a disk adds is not ours to test */
    snprintf(folder, sizeof folder, "/dev/shm/ss_test_run.%ld", (long)getpid());
    if (mkdir(folder, 0700) == 0)
        return 0;
    snprintf(folder, sizeof folder, "/tmp/ss_test_run.%ld", (long)getpid());
    return mkdir(folder, 0700);
}

static inline int remove_folder(void **state)
{
    const char *const names[] = {"a.h5",    "b.h5",       "kill.h5", "ref.h5",   "guest.h5",
                                 "open.h5", "hostile.h5", "lock.h5", "minor.h5", "wrong.h5"};

    (void)state;
    for (size_t i = 0; i < N_OF(names); i++)
        unlink(at(names[i]));
    umount2(at("small"), MNT_DETACH); /* where the test of a full disk failed */
    rmdir(at("small"));
    return rmdir(folder);
}

/* Writes a whole synthetic run. */
static inline void write_run(const char *path)
{
    ss_err e = {0};
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;

    if (ss_run_create(path, &spec, true, &w, &e) != SS_OK || syn_complete(w, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static inline char *slurp(const char *path, size_t *n)
{
    char *data;
    ss_err e = {0};

    if (ss_file_read(path, 1 << 28, &data, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return data;
}

#endif
