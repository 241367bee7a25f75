/* operation.h - every operation of the engine as the self test runs it; private to selftest/
 *
 * A case is one operation on operands of given shapes. Its operands are made of numbers that depend
 * on nothing but the case (values.c), so that two devices, or one device and a file of hashes, have
 * the same ones.
 */
#ifndef SS_SELFTEST_OPERATION_H
#define SS_SELFTEST_OPERATION_H

#include "kernels/context.h"
#include "kernels/ops.h"
#include "selftest/outputs.h"

enum { SS_CASE_OPERANDS = 5, SS_CASE_OPTIONS = 8 };

typedef struct ss_case ss_case;

typedef struct {
    const char *name;
    const char *operands; /* a letter for each: x comes from the host, p is a parameter */
    /* One tensor from operands, with a gradient, or: */
    ss_tensor *(*forward)(ss_ctx *c, const ss_case *k, ss_tensor *const x[]);
    /* anything else, which puts its results into out */
    void (*other)(ss_ctx *c, const ss_case *k, ss_tensor *const x[], ss_outputs *out);
    bool by_library; /* products of a library: their bits are not ours */
    bool winograd;   /* the CPU's gradient may be by that algorithm */
    bool no_policy;  /* not run under number formats: nothing of it is rounded */
    bool no_hostile; /* not run with NaN and the like: its arguments are always finite */
    double bound;    /* of the relative error in f32 (outputs.h) */
    double back;     /* the same of gradients */
    double steps;    /* units of the last place of a format by which results may differ under it */
} ss_operation;

struct ss_case {
    const ss_operation *operation;
    ss_shape in[SS_CASE_OPERANDS]; /* rank 0: no such operand */
    double option[SS_CASE_OPTIONS];
    bool big; /* left out of a quick run */
};

/* All operations. */
extern const ss_operation ss_operations[];
extern const int ss_n_operations;

/* All cases, n of them, in the order of the operations. */
const ss_case *ss_all_cases(int *n);

/* "conv2d 2x5x3x3 7x3x3x3 7 (1 1 1 1 1)" into out; returns out. */
char *ss_case_name(const ss_case *k, char *out, size_t size);

/* Numbers that a run has among its random ones, in the operand x of a case. */
#define SS_CASE_VALUES(X)  \
    X(RANDOM, "random")    \
    X(NAN, "a NaN")        \
    X(INF, "an inf")       \
    X(MINUS_INF, "a -inf") \
    X(HUGE, "1e30")        \
    X(ZEROS, "zeros")      \
    X(TINY, "subnormal numbers")
#define X(name, text) SS_VALUES_##name,
typedef enum { SS_CASE_VALUES(X) SS_N_CASE_VALUES } ss_case_values;
#undef X
const char *ss_case_values_name(ss_case_values v);

/* Operand i of a case on the host, n values. */
void ss_case_operand(const ss_case *k, int i, ss_case_values v, float *out, int64_t n);
/* The gradient that a backward pass begins with. */
void ss_case_seed(const ss_case *k, float *out, int64_t n);

/* Runs a case with a context, in a format ("fp32" or another), and puts results and gradients into
 * out, which is empty. The context has no setup afterwards. */
ss_code ss_case_run(ss_ctx *c, const ss_case *k, ss_case_values v, const char *format,
                    ss_outputs *out, ss_err *e);

#endif
