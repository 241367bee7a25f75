/* plans.h - how each convolution runs: cuDNN's execution plans, by shape; private to kernels/cuda
 *
 *   ss_cuda_plans_open(api, handle, NULL, &plans, &err);
 *   ss_cuda_plans_find(plans, &problem, SS_CUDA_PLAN_FAST, &plan, &err);
 *   if (plan)
 *       ss_cuda_plan_run(plans, plan, &pointers, &err);
 *   ss_cuda_plans_close(plans);
 *
 * Which plans are admitted. Results must be those of f32 sums of exact f32 products, and the same
 * bits at each run. cuDNN says of each engine what it does otherwise: TENSOR_CORE (TF32, admitted
 * where the problem says so), DOWN_CONVERT_INPUTS, REDUCED_PRECISION_REDUCTION, FFT and WINOGRAD
 * (whose transforms carry inf and NaN to neighbours and round otherwise), NONDETERMINISTIC (atomic
 * sums). Engines that are compiled at run time need a compiler that may not be there.
 *
 * Which one is taken. cuDNN's heuristics sort configurations by expected time: the first that is
 * admitted and content with the work space that is granted, of mode A, else of mode FALLBACK: the
 * first alone has nothing for some convolutions of stride 2. Measuring candidates could choose
 * better, but not always the same one: two engines add in different orders, and a run would differ
 * from the next in its last bits. So nothing is measured.
 */
#ifndef SS_KERNELS_CUDA_PLANS_H
#define SS_KERNELS_CUDA_PLANS_H

#include "kernels/cuda/graph.h"

typedef struct ss_cuda_plans ss_cuda_plans;

/* How to execute one convolution; owned by the plans. */
typedef struct {
    cudnnBackendDescriptor_t plan;
    size_t work_bytes;
    int64_t engine;
    bool fallback; /* only that mode of the heuristics has it */
} ss_cuda_plan;

/* Plans for a handle, whose stream they will run on; or, without one, for the card that cuDNN's
 * DEVICEPROP JSON describes, where they can be made and not run. json is copied. */
ss_code ss_cuda_plans_open(const ss_cuda_api *api, cudnnHandle_t handle, const char *json,
                           ss_cuda_plans **plans, ss_err *e);
void ss_cuda_plans_close(ss_cuda_plans *p); /* NULL is fine */

/* FAST: as above, with up to ss_cuda_work_limit bytes of work space.
 * LEAN: the one that needs the least work space, for when memory is short. */
typedef enum { SS_CUDA_PLAN_FAST, SS_CUDA_PLAN_LEAN, SS_CUDA_N_PLANS } ss_cuda_choice;

/* The plan for a problem, made at the first call. *plan is NULL when no engine is admitted. */
ss_code ss_cuda_plans_find(ss_cuda_plans *p, const ss_cuda_conv *c, ss_cuda_choice choice,
                           const ss_cuda_plan **plan, ss_err *e);

/* The first admitted plans, up to `room`, in the heuristics' order, whatever work space they want;
 * *n tells how many. Made again; the caller destroys each plan. For measurements. */
ss_code ss_cuda_plans_all(ss_cuda_plans *p, const ss_cuda_conv *c, int room, ss_cuda_plan *plan,
                          int *n, ss_err *e);

/* Engines that turn channels outermost want room for x and y; others little. Twice the bytes of
 * x, w and y and 64 MiB are granted, as memory that a network's other tensors use as well. */
size_t ss_cuda_work_limit(const ss_cuda_conv *c);

/* Device memory of the graph's tensors, and work space at a multiple of 256 or NULL. The result's
 * memory is overwritten. */
typedef struct {
    void *x, *w, *y, *work;
    const void *bias;
} ss_cuda_pointers;
ss_code ss_cuda_plan_run(ss_cuda_plans *p, const ss_cuda_plan *plan, const ss_cuda_pointers *at,
                         ss_err *e);

#endif
