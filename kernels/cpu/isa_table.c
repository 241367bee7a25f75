/* isa_table.c - one instruction set's kernels as a table */
#include "kernels/cpu/isa.h"

const ss_isa SS_JOIN(isa, SS_ISA) = {
#if defined __AVX512F__
    .name = "x86-64-v4",
#elif defined __AVX2__
    .name = "x86-64-v3",
#else
    .name = "x86-64",
#endif
#define X(name, params, args) .name = ISA(name),
    SS_KERNEL_ENTRIES(X)
#undef X
#define X(name, params, args) .back_##name = ISA(back_##name),
        SS_KERNEL_GRADIENTS(X)
#undef X
            .channel_range = ISA(channel_range),
    .direct_conv = ISA(direct_conv),
    .winograd = ISA(winograd),
    .winograd_floats = ISA(winograd_floats),
    .direct_floats = ISA(direct_floats),
    .to_f32 = ISA(to_f32),
    .round_values = ISA(round_values),
};
