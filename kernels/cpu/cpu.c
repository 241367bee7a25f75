/* cpu.c - the CPU backend: its table, its device, its memory */
#include "kernels/cpu/cpu.h"

#include "base/mem.h"

#include <cpuid.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The best set of the machine, or a lower one that SIGMASCOPE_ISA asks for. */
static ss_code pick_isa(const ss_isa **isa, ss_err *e)
{
    static const struct {
        const char *name;
        const ss_isa *isa;
    } sets[] = {{"base", &ss_isa_base}, {"v3", &ss_isa_v3}, {"v4", &ss_isa_v4}};
    int best = 0, want = 2;
    unsigned r[4];
    const char *name = getenv("SIGMASCOPE_ISA");

    /* clang 14 cannot ask for F16C by name */
    if (__get_cpuid(1, &r[0], &r[1], &r[2], &r[3]) && (r[2] & bit_F16C) &&
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        best = 1;
    if (best == 1 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        best = 2;
    if (name && *name) {
        while (want >= 0 && strcmp(name, sets[want].name) != 0)
            want--;
        if (want < 0)
            return ss_fail(e, SS_USAGE, "SIGMASCOPE_ISA is \"%s\", expected base, v3 or v4", name);
    }
    *isa = sets[want < best ? want : best].isa;
    return SS_OK;
}

/* The processor's brand string, "AMD EPYC 7763 64-Core Processor". */
static void processor_name(char out[49])
{
    unsigned r[12] = {0};
    size_t n = 0;

    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    memcpy(out, r, 48);
    out[48] = '\0';
    for (char *c = out; *c; c++) /* Intel pads on the left, AMD on the right */
        if (*c != ' ' || (n && out[n - 1] != ' '))
            out[n++] = *c;
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
    if (!n)
        snprintf(out, 49, "unnamed processor");
}

static void *get_memory(void *self, size_t bytes)
{
    (void)self;
    return ss_alloc_aligned(bytes);
}

static void give_memory_back(void *self, void *p)
{
    (void)self;
    ss_free(p);
}

static void cpu_close(ss_device *d)
{
    if (!d)
        return;
    ss_onednn_close(d->dnn);
    ss_pool_release(&d->pool);
    ss_free(d);
}

static ss_code cpu_open(int number, const ss_ctx_options *opt, ss_device **out, ss_err *e)
{
    (void)number;
    char processor[49], dnn[24];
    ss_device *d;
    ss_code rc;

    if (opt->arithmetic == SS_ARITHMETIC_TENSOR)
        return ss_fail(e, SS_USAGE,
                       "--arithmetic tensor: device cpu has no tensor cores; --device cuda has; "
                       "--precision tf32 emulates what they round");
    d = ss_calloc(1, sizeof *d);
    if (!d)
        return ss_fail(e, SS_NOMEM, "CPU device");
    d->threads = opt->threads > 0 ? opt->threads : omp_get_max_threads();
    d->pool = (ss_pool){.get = get_memory, .give_back = give_memory_back};
    rc = pick_isa(&d->isa, e);
    if (rc == SS_OK)
        rc = ss_onednn_open(&d->dnn, e);
    if (rc != SS_OK) {
        cpu_close(d);
        return rc;
    }
    d->bf16 = opt->arithmetic == SS_ARITHMETIC_AUTO && d->isa == &ss_isa_v4 && ss_onednn_has_bf16();
    processor_name(processor);
    ss_onednn_version(dnn, sizeof dnn);
    snprintf(d->text, sizeof d->text, "cpu: %s, %s%s, %d thread%s, oneDNN %s", processor,
             d->isa->name, d->bf16 ? " with bf16" : "", d->threads, d->threads == 1 ? "" : "s",
             dnn);
    *out = d;
    return SS_OK;
}

static int cpu_threads(const ss_device *d)
{
    return d->threads;
}

static const char *cpu_describe(const ss_device *d)
{
    return d->text;
}

static ss_code cpu_alloc(ss_device *d, size_t bytes, void **p, ss_err *e)
{
    *p = ss_pool_alloc(&d->pool, bytes);
    return *p ? SS_OK : ss_fail(e, SS_NOMEM, "a tensor of %zu bytes", bytes);
}

static void cpu_free(ss_device *d, void *p)
{
    ss_pool_free(&d->pool, p);
}

static ss_code cpu_upload(ss_device *d, void *dst, const void *host, size_t bytes, ss_err *e)
{
    (void)d, (void)e;
    memcpy(dst, host, bytes);
    return SS_OK;
}

/* Read in place; but a file may put values at any byte, and then they are copied. */
static ss_code cpu_adopt(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e)
{
    b->bytes = bytes;
    b->borrowed = (uintptr_t)host % sizeof(float) == 0;
    if (b->borrowed) {
        b->data = (void *)host;
        return SS_OK;
    }
    ss_code rc = cpu_alloc(d, bytes, &b->data, e);
    return rc == SS_OK ? cpu_upload(d, b->data, host, bytes, e) : rc;
}

enum { PIECE = 1 << 16 }; /* values that a thread copies at a time */

static ss_code cpu_download(ss_device *d, const ss_tensor *x, float *host, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), pieces = (n + PIECE - 1) / PIECE;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < pieces; i++)
        d->isa->to_f32((const char *)x->data + (size_t)(i * PIECE) * ss_dtype_size(x->dtype),
                       x->dtype, host + i * PIECE, i < pieces - 1 ? PIECE : n - i * PIECE);
    return SS_OK;
}

/* All is done already. */
static ss_code cpu_finish(ss_device *d, ss_err *e)
{
    (void)d, (void)e;
    return SS_OK;
}

#define X(name, params, args)                                            \
    static ss_code cpu_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                    \
        return d->isa->name(d, SS_INSIDE args, e);                       \
    }
SS_KERNEL_ENTRIES(X)
#undef X

#define X(name, params, args)                                                 \
    static ss_code cpu_back_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                         \
        return d->isa->back_##name(d, SS_INSIDE args, e);                     \
    }
SS_KERNEL_GRADIENTS(X)
#undef X

const ss_backend ss_backend_cpu = {.name = "cpu",
                                   .open = cpu_open,
                                   .close = cpu_close,
                                   .threads = cpu_threads,
                                   .describe = cpu_describe,
                                   .alloc = cpu_alloc,
                                   .free = cpu_free,
                                   .upload = cpu_upload,
                                   .adopt = cpu_adopt,
                                   .download = cpu_download,
                                   .finish = cpu_finish,
                                   .conv2d = ss_cpu_conv2d,
                                   .linear = ss_cpu_linear,
                                   .modulated_stats = ss_cpu_modulated_stats,
                                   .optimizer_step = ss_cpu_optimizer_step,
                                   .sum_squares = ss_cpu_sum_squares,
                                   .squared_error = ss_cpu_squared_error,
                                   .back_conv2d_data = ss_cpu_conv2d_data,
#define X(name, params, args) .name = cpu_##name,
                                   SS_KERNEL_ENTRIES(X)
#undef X
#define X(name, params, args) .back_##name = cpu_back_##name,
                                       SS_KERNEL_GRADIENTS(X)
#undef X
};
