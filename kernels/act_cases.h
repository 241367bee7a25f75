/* act_cases.h - a switch over activations, for kernels in C and CUDA C++; private to kernels/ */
#ifndef SS_KERNELS_ACT_CASES_H
#define SS_KERNELS_ACT_CASES_H

#include "kernels/ops.h"

/* The caller's BODY(f) once for each activation, f(x) being it or its derivative, so that the
 * choice is made outside the loop. Of an activation `name` these are name_f32 and name_slope. */
#define ACT_CASE(id, name) \
    case SS_ACT_##id:      \
        BODY(name##_f32);  \
        break;
#define SLOPE_CASE(id, name) \
    case SS_ACT_##id:        \
        BODY(name##_slope);  \
        break;
#define SWITCH_ACT(act)    \
    switch (act) {         \
        SS_ACTS(ACT_CASE)  \
    case SS_N_ACTS: break; \
    }
#define SWITCH_SLOPE(act)   \
    switch (act) {          \
        SS_ACTS(SLOPE_CASE) \
    case SS_N_ACTS: break;  \
    }

#endif
