/* context.h - where computing happens, and what is watched and changed on the way
 *
 * A context owns a device, its memory pool, and three things that act on every module a
 * model enters (hooks.h): hooks that look, a precision policy that rounds, interventions
 * that change. None of them lives in a model.
 *
 *   ss_ctx *c;
 *   ss_ctx_new(&(ss_ctx_options){.device = "cpu", .threads = 2}, &c, &err);
 *   y = ss_affine(c, x, 2, 1);                  // operations (ops.h)
 *   if (ss_ctx_finish(c, &err) != SS_OK) ...    // the first error of any operation
 *   ss_ctx_free(c);
 *
 * Errors are sticky: the first failing operation records its message, it and all later
 * ones return NULL until ss_ctx_clear. One thread uses a context at a time.
 */
#ifndef SS_KERNELS_CONTEXT_H
#define SS_KERNELS_CONTEXT_H

#include "kernels/tensor.h"

/* The arithmetic of convolutions, products and attention:
 *   auto    products on tensor cores (TF32: 8 exponent bits, 10 of the fraction) where the formats
 *           of both operands are known and it holds all their numbers, so that nothing is rounded;
 *           on the CPU likewise units that multiply bf16; f32 elsewhere
 *   f32     never on such units
 *   tensor  always on tensor cores: operands in other formats are rounded to TF32. Only a GPU has
 *           them */
#define SS_ARITHMETICS(X) X(AUTO, "auto") X(F32, "f32") X(TENSOR, "tensor")
#define X(name, text) SS_ARITHMETIC_##name,
typedef enum { SS_ARITHMETICS(X) } ss_arithmetic;
#undef X
/* Reads a name of the list; NULL means auto. SS_USAGE, with the list, for another. */
ss_code ss_arithmetic_parse(const char *name, ss_arithmetic *out, ss_err *e);
const char *ss_arithmetic_name(ss_arithmetic a);

typedef struct {
    const char *device; /* "cpu" (NULL means it), or another of ss_device_names */
    int threads;        /* 0: as many as the process may use */
    bool shapes_only;   /* operations check and infer shapes and count, without computing */
    ss_arithmetic arithmetic;
} ss_ctx_options;

/* Names of the devices of this build: "cpu", or "cpu, cuda[:N]", N being one of several. */
const char *ss_device_names(void);

/* SS_USAGE, with the names that there are, for any other device, and for an arithmetic that the
 * device does not have. */
ss_code ss_ctx_new(const ss_ctx_options *opt, ss_ctx **c, ss_err *e);
void ss_ctx_free(ss_ctx *c); /* every tensor must have been released; NULL is fine */

/* The first error since the last clear, prefixed with the module it happened in. */
ss_code ss_ctx_check(const ss_ctx *c, ss_err *e);
/* Forgets it, leaves all modules, ends the recording of a tape, drops results. */
void ss_ctx_clear(ss_ctx *c);
/* Waits for the device and delivers what hooks asked for (results.h). The first error since the
 * last clear, also one of those who take results. A device that works later may report an error
 * only here, or at an operation after the one that failed; with SIGMASCOPE_SYNC=1 in the
 * environment each operation waits. */
ss_code ss_ctx_finish(ss_ctx *c, ss_err *e);
bool ss_ctx_failed(const ss_ctx *c);
/* Records an error as operations do (the first one stays) and returns NULL. */
void *ss_ctx_fail(ss_ctx *c, ss_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

const char *ss_ctx_device_name(const ss_ctx *c); /* "cpu" or "cuda", without a number */
int ss_ctx_threads(const ss_ctx *c);
/* Switches between computing and only inferring shapes; tensors made in one mode must be
 * released before the other's are made, parameters excepted. */
bool ss_ctx_shapes_only(const ss_ctx *c);
void ss_ctx_set_shapes_only(ss_ctx *c, bool on);
/* "cpu: AMD EPYC ..., x86-64-v3, 2 threads, oneDNN 2.6.3", with ", arithmetic f32" unless it is
 * auto; owned by the context. */
const char *ss_ctx_device_text(const ss_ctx *c);

typedef struct {
    int64_t flops;      /* multiply-adds count two; convolutions, matrix products, attention */
    int64_t live_bytes; /* activations now alive, and the most since the last reset */
    int64_t peak_bytes;
} ss_usage;
ss_usage ss_ctx_usage(const ss_ctx *c);
void ss_ctx_usage_reset(ss_ctx *c);

#endif
