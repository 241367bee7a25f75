/* run_cache.h - what a reader keeps; private to run_reader.c and run_sets.c */
#ifndef SS_RUNFILE_RUN_CACHE_H
#define SS_RUNFILE_RUN_CACHE_H

#include "runfile/h5.h"
#include "runfile/run_reader.h"

typedef struct ss_run_cache {
    hid_t file;
    bool no_port, no_input, no_sample, no_head; /* axes that the file does not have */
    /* Columns of noise levels or steps. A recorder's file has room for more than are done; the run
     * has only the done ones, and its column s is column[s] of the file. */
    int n_columns; /* in the file */
    int span;      /* how many of these are read: up to the last that is done */
    int *column;   /* [n_sigmas]; NULL: the run has all columns of the file */
    struct ss_run_cached {
        char *name; /* "/stats/absmax" */
        void *data; /* NULL: the file has none */
    } * sets;
    size_t n, cap;
#define X(name) +1
    char **structure[0 SS_STRUCTURE_TEXTS(X)]; /* the texts of ss_run.structure; NULL: none */
#undef X
} ss_run_cache;

#endif
