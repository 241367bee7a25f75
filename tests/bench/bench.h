/* bench.h - speed and memory beside PyTorch's and beside what the machine can do
 *
 *   build/tests/bench/bench [--json] [--threads N] [ROWS...]
 *   build/tests/bench/bench --device cuda device      beside PyTorch on the same GPU
 *
 * A row is one case. It holds what we take, what PyTorch takes in the same run (the two take
 * turns, medians count), and the limit: operations over the peak rate, or bytes over the memory's
 * rate, both measured here. A bar is a bound that the row should keep.
 *
 * One group of rows is one file rows_NAME.c with one function. A failure ends the program: a
 * benchmark has nobody to report to.
 */
#ifndef SS_TESTS_BENCH_BENCH_H
#define SS_TESTS_BENCH_BENCH_H

#include "kernels/context.h"
#include "models/model.h"

#include <stdbool.h>

/* ---- rows ---- */

/* Quantity that a bar bounds: ours / PyTorch's, ours itself, or limit / ours. */
typedef enum { BENCH_RATIO, BENCH_OURS, BENCH_OF_LIMIT } bench_what;

typedef struct {
    bench_what what; /* of limit is bounded from below, the others from above */
    double bound;
} bench_bar;

typedef struct {
    char name[64];
    const char *unit;           /* of the following: "ms", "%", "MiB" */
    double ours, theirs, limit; /* NaN: there is none */
    int n_bars;
    bench_bar bar[2];
    const char *note; /* why a number is missing, or NULL */
} bench_row;

typedef struct {
    const char *program; /* path of the bench itself */
    int threads;
    const char *device, *reference; /* where we compute, and PyTorch; NULL: only on the CPU */
    bool tiny;                      /* rows of a device with small networks */
    bool slow;                      /* rows that take minutes, too */
    double peak;                    /* operations a second on all threads, f32 */
    double bandwidth;               /* bytes a second that a copy reads and writes */
    struct ss_table *table;
} bench;

/* A row of NaN without bars. */
bench_row bench_row_of(const char *unit, const char *name, ...)
    __attribute__((format(printf, 2, 3)));
void bench_add_bar(bench_row *r, bench_what what, double bound);
void bench_report(bench *b, const bench_row *r);

/* Ends the program unless rc is SS_OK. */
void bench_need(ss_code rc, const ss_err *e);
void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- time ---- */

double bench_now(void); /* seconds */

/* Does its work once and returns the seconds it took; NaN where it cannot. */
typedef double bench_run(void *state);

typedef struct {
    bench_run *run;
    void *state;
    double median;   /* of its times */
    double to_first; /* median over the rounds of its time / the first side's */
} bench_side;

/* The sides take turns for about `seconds`, at least three rounds after one that does not count. */
void bench_alternate(bench_side *sides, int n, double seconds);

/* ---- the machine ---- */

void bench_measure_machine(bench *b);
/* The same of another number of threads, operations a second. */
double bench_peak(int threads);
/* That of products of bf16; NaN where the processor has none, or AMX, which is not measured. */
double bench_peak_bf16(int threads);

/* MiB that this process holds, or the most it ever held. */
double bench_memory(bool most);

/* Runs this program again with `--child NAME ARGS...` (main.c has the list), args ending in NULL;
 * gives the number that it prints. */
double bench_run_child(const bench *b, const char *const *args);

/* ---- PyTorch: tests/golden/bench_reference.py as a process that is asked over a pipe ---- */

typedef struct bench_reference bench_reference;

/* args: the case and its options, ending in NULL. NULL where there is no PyTorch. */
bench_reference *bench_reference_open(const bench *b, const char *const *args);
void bench_reference_close(bench_reference *r); /* NULL is fine */

/* A side of bench_alternate: state is a bench_question. NaN where reference is NULL. */
typedef struct {
    bench_reference *reference;
    const char *what; /* a method of the case */
} bench_question;
double bench_ask(void *question);

/* ---- networks ---- */

/* The config.json of a folder; it lives as long as the program. */
const json_t *bench_config(const char *folder);

/* A network of random weights with a batch of noise to run on. */
typedef struct {
    ss_ctx *c;
    ss_model *model;
    int n, frames, h, w; /* frames 0: pictures */
    float *x, *timesteps, *text, *labels;
    ss_condition condition;
} bench_network;

/* The device of the networks that are opened from now on; NULL: the CPU. */
void bench_use_device(const char *device);
/* folder: with config.json. */
void bench_network_open(const char *folder, int batch, int threads, bench_network *n);
/* The same with the weights that are there. */
void bench_network_load(const char *folder, int batch, int threads, bench_network *n);
void bench_network_close(bench_network *n);
/* A side: one forward pass; state is the bench_network. */
double bench_network_run(void *network);
double bench_network_flops(bench_network *n); /* of one forward pass */

/* The networks whose forward passes are timed. */
typedef struct {
    const char *name, *folder;
    int batch;
    double seconds; /* that a fair comparison takes */
    bool large;     /* all convolutions and products, so near the peak */
} bench_case;
enum { BENCH_N_CASES = 4 };
extern const bench_case bench_cases[BENCH_N_CASES];

/* The PyTorch side of one. */
bench_reference *bench_case_reference(const bench *b, const bench_case *c);

/* ---- groups ---- */

#define BENCH_GROUPS(X) \
    X(forward)          \
    X(vae)              \
    X(video)            \
    X(bf16)             \
    X(text)             \
    X(watch)            \
    X(attention)        \
    X(dump) X(train) X(penalty) X(recorder) X(start) X(memory) X(files) X(scaling) X(device)
#define X(name) void bench_rows_##name(bench *b);
BENCH_GROUPS(X)
#undef X

/* Work of a child process, instead of the table. */
#define BENCH_CHILDREN(X) X(forward) X(train) X(start) X(attention)
#define X(name) void bench_child_##name(const bench *b, char **args);
BENCH_CHILDREN(X)
#undef X

#endif
