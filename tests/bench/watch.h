/* watch.h - hooks that take every statistic of every module, and throw it away */
#ifndef SS_TESTS_BENCH_WATCH_H
#define SS_TESTS_BENCH_WATCH_H

#include "kernels/hooks.h"
#include "models/model.h"
#include "tests/bench/bench.h"

/* Setup of a context that watches; the parts are switched on one by one. */
typedef struct {
    bool statistics;       /* of every module at every port, and of attention */
    bool histogram;        /* and their histograms of exponents */
    const char *precision; /* outputs are rounded to this format; NULL: not */
    ss_round_scope scope;  /* outputs of what */
} bench_watch;

extern const ss_hooks bench_hooks;

void bench_set_watch(ss_ctx *c, const ss_model *m, bench_watch w);

/* A side of bench_alternate: a forward pass so watched. */
typedef struct {
    bench_network *network;
    bench_watch watch;
} bench_watched;
double bench_watched_run(void *watched);

#endif
