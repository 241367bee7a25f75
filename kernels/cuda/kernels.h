/* kernels.h - the kernels of our own and their arguments, seen by C and by CUDA C++; private to
 * kernels/cuda
 *
 * Each .cu file has a list in the header of its name, of X(name, threads, (members)): `threads` is
 * the size of the kernel's blocks, a multiple of 32. The kernel takes one struct by value,
 * ss_kernel_NAME with these members; a profiler shows it as sigmascope_NAME. In C it is launched
 * with SS_LAUNCH (cuda.h). In the .cu file, where `a` is the struct (device.cuh), it is written as
 *
 *   KERNEL(affine)
 *   {
 *       EACH(i, a.n)
 *           a.y[i] = a.x[i] * a.mul + a.add;
 *   }
 */
#ifndef SS_KERNELS_CUDA_KERNELS_H
#define SS_KERNELS_CUDA_KERNELS_H

#include "kernels/cuda/attention.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/conv.h"
#include "kernels/cuda/group_norm.h"
#include "kernels/cuda/group_norm_back.h"
#include "kernels/cuda/heads.h"
#include "kernels/cuda/layer_norm.h"
#include "kernels/cuda/loss.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/modulate.h"
#include "kernels/cuda/pictures.h"
#include "kernels/cuda/shape.h"
#include "kernels/cuda/stats.h"
#include "kernels/cuda/step.h"
#include "kernels/cuda/unit_rms.h"
#include "kernels/cuda/values.h"

#include <stdint.h>

/* FILE(name, its list): all .cu files, in the order of SS_CUDA_KERNELS */
#define SS_CUDA_FILES(FILE)                        \
    FILE(conv, SS_CUDA_CONV)                       \
    FILE(values, SS_CUDA_VALUES)                   \
    FILE(shape, SS_CUDA_SHAPE)                     \
    FILE(pictures, SS_CUDA_PICTURES)               \
    FILE(columns, SS_CUDA_COLUMNS)                 \
    FILE(step, SS_CUDA_STEP)                       \
    FILE(loss, SS_CUDA_LOSS)                       \
    FILE(stats, SS_CUDA_STATS)                     \
    FILE(group_norm, SS_CUDA_GROUP_NORM)           \
    FILE(group_norm_back, SS_CUDA_GROUP_NORM_BACK) \
    FILE(layer_norm, SS_CUDA_LAYER_NORM)           \
    FILE(unit_rms, SS_CUDA_UNIT_RMS)               \
    FILE(modulate, SS_CUDA_MODULATE)               \
    FILE(attention, SS_CUDA_ATTENTION)             \
    FILE(heads, SS_CUDA_HEADS)                     \
    FILE(matrix, SS_CUDA_MATRIX)
#define SS_CUDA_KERNELS(X)     \
    SS_CUDA_CONV(X)            \
    SS_CUDA_VALUES(X)          \
    SS_CUDA_SHAPE(X)           \
    SS_CUDA_PICTURES(X)        \
    SS_CUDA_COLUMNS(X)         \
    SS_CUDA_STEP(X)            \
    SS_CUDA_LOSS(X)            \
    SS_CUDA_STATS(X)           \
    SS_CUDA_GROUP_NORM(X)      \
    SS_CUDA_GROUP_NORM_BACK(X) \
    SS_CUDA_LAYER_NORM(X)      \
    SS_CUDA_UNIT_RMS(X)        \
    SS_CUDA_MODULATE(X)        \
    SS_CUDA_ATTENTION(X)       \
    SS_CUDA_HEADS(X)           \
    SS_CUDA_MATRIX(X)

#define SS_MEMBERS(...) __VA_ARGS__
#define X(name, threads, members) \
    typedef struct {              \
        SS_MEMBERS members        \
    } ss_kernel_##name;           \
    enum { SS_THREADS_##name = threads };
SS_CUDA_KERNELS(X)
#undef X

#endif
