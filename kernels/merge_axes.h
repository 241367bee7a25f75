/* merge_axes.h - a permutation in as few axes as it takes: neighbours that stay neighbours are one;
 * private to kernels/ */
#ifndef SS_KERNELS_MERGE_AXES_H
#define SS_KERNELS_MERGE_AXES_H

#include "kernels/backend.h"

/* An axis of y: how many steps, and how far one goes in x and in y. */
typedef struct {
    int64_t n, x, y;
} ss_axis;

/* The axes of y from the outermost on into a [SS_MAX_RANK], without those of one step; returns how
 * many. axes: as ss_permute has them. */
static inline int ss_merge_axes(const ss_tensor *x, const int *axes, ss_axis *a)
{
    int64_t stride[SS_MAX_RANK], step = 1;
    int n = 0;

    for (int k = x->shape.rank - 1; k >= 0; k--) {
        stride[k] = step;
        step *= x->shape.dim[k];
    }
    for (int k = 0; k < x->shape.rank; k++) {
        const ss_axis next = {x->shape.dim[axes[k]], stride[axes[k]], 0};

        if (next.n == 1)
            continue;
        if (n && a[n - 1].x == next.x * next.n)
            a[n - 1] = (ss_axis){a[n - 1].n * next.n, next.x, 0};
        else
            a[n++] = next;
    }
    step = 1;
    for (int k = n - 1; k >= 0; k--) {
        a[k].y = step;
        step *= a[k].n;
    }
    return n;
}

#endif
