/* time_plans.c - time_plans [--tiny]: how long each admitted plan of each convolution of published
 * networks takes on the device SIGMASCOPE_DEVICE, beside the one that is chosen
 * (kernels/cuda/plans.h)
 *
 * A line for each convolution and direction: time of the chosen plan in ms, then engine, work space
 * and time of all; an F is of mode FALLBACK. At the end of each network: sums of the chosen plans
 * and of the fastest. --tiny: a few small convolutions, to rehearse on the emulated device.
 */
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/plans.h"
#include "tests/cuda/convolutions.h"

#include <stdio.h>

enum { MOST_PLANS = 12, RUNS = 5 };

#define TRY(call)                           \
    do {                                    \
        if ((call) != 0) {                  \
            fprintf(stderr, "%s\n", #call); \
            exit(1);                        \
        }                                   \
    } while (0)

static ss_err err;

static void *take(ss_device *d, int64_t bytes)
{
    void *p = ss_cuda_work(d, (size_t)bytes, "time_plans", &err);

    if (!p) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return p;
}

/* The least of some runs after one that does not count, in ms. */
static double time_of(ss_device *d, const ss_cuda_plan *plan, ss_cuda_pointers at)
{
    CUevent from, to;
    double least = INFINITY;

    at.work = plan->work_bytes ? take(d, (int64_t)plan->work_bytes) : NULL;
    TRY(d->api->cuEventCreate(&from, CU_EVENT_DEFAULT));
    TRY(d->api->cuEventCreate(&to, CU_EVENT_DEFAULT));
    for (int i = 0; i <= RUNS; i++) {
        float ms = 0;

        TRY(d->api->cuEventRecord(from, d->stream));
        TRY(ss_cuda_plan_run(d->plans, plan, &at, &err));
        TRY(d->api->cuEventRecord(to, d->stream));
        TRY(d->api->cuEventSynchronize(to));
        TRY(d->api->cuEventElapsedTime(&ms, from, to));
        if (i)
            least = ms < least ? ms : least;
    }
    d->api->cuEventDestroy(from);
    d->api->cuEventDestroy(to);
    ss_pool_free(&d->pool, at.work);
    return least;
}

typedef struct {
    double chosen, fastest; /* sums, ms */
} sums;

static void time_one(ss_device *d, const ss_cuda_conv *c, sums *s)
{
    const int64_t x = c->n * c->h * c->w * c->in, w = c->out * c->kh * c->kw * c->in;
    const int64_t y = c->n * c->out_h * c->out_w * c->out;
    void *memory[] = {take(d, 4 * x), take(d, 4 * w), take(d, 4 * y), take(d, 4 * c->out)};
    const ss_cuda_pointers at = {
        .x = memory[0], .w = memory[1], .y = memory[2], .bias = c->bias ? memory[3] : NULL};
    static const char *const direction[] = {"forward", "data", "filter"};
    const ss_cuda_plan *chosen;
    ss_cuda_plan plan[MOST_PLANS];
    double fastest = INFINITY;
    int n;

    for (int i = 0; i < 4; i++) /* numbers near 0.01 */
        TRY(d->api->cuMemsetD32Async((CUdeviceptr)memory[i], 0x3c23d70a + (unsigned)i,
                                     (size_t[]){(size_t)x, (size_t)w, (size_t)y, (size_t)c->out}[i],
                                     d->stream));
    TRY(ss_cuda_plans_find(d->plans, c, SS_CUDA_PLAN_FAST, &chosen, &err));
    const double time = chosen ? time_of(d, chosen, at) : INFINITY;

    printf("%-7s %s %lldx%lldx%lld %lld -> %lld, %lldx%lld, stride %lld: %.3f |",
           direction[c->direction], c->tensor ? "TF32" : "f32 ", (long long)c->n, (long long)c->h,
           (long long)c->w, (long long)c->in, (long long)c->out, (long long)c->kh, (long long)c->kw,
           (long long)c->stride, time);
    TRY(ss_cuda_plans_all(d->plans, c, MOST_PLANS, plan, &n, &err));
    for (int k = 0; k < n; k++) {
        if (plan[k].work_bytes <= ss_cuda_work_limit(c)) {
            const double ms = time_of(d, &plan[k], at);

            printf(" %lld%s %.0fM %.3f", (long long)plan[k].engine, plan[k].fallback ? "F" : "",
                   (double)plan[k].work_bytes / (1 << 20), ms);
            fastest = ms < fastest ? ms : fastest;
        }
        d->api->cudnnBackendDestroyDescriptor(plan[k].plan);
    }
    printf("\n");
    fflush(stdout);
    s->chosen += time;
    s->fastest += fastest;
    for (int i = 0; i < 4; i++)
        ss_pool_free(&d->pool, memory[i]);
}

static void time_network(ss_device *d, const char *what, const convolutions *list)
{
    for (int tensor = 0; tensor <= (d->has_tf32 ? 1 : 0); tensor++) {
        sums s[SS_CUDA_N_DIRECTIONS] = {0};

        for (int i = 0; i < SS_CUDA_N_DIRECTIONS * list->n; i++) {
            ss_cuda_conv c = list->of[i / SS_CUDA_N_DIRECTIONS];

            c.direction = i % SS_CUDA_N_DIRECTIONS;
            c.tensor = tensor;
            c.bias = c.bias && c.direction == SS_CUDA_FORWARD;
            time_one(d, &c, &s[c.direction]);
        }
        printf("%s, each convolution once, %s, ms chosen (fastest): forward %.3f (%.3f), data %.3f "
               "(%.3f), filter %.3f (%.3f)\n",
               what, tensor ? "TF32" : "f32", s[SS_CUDA_FORWARD].chosen, s[SS_CUDA_FORWARD].fastest,
               s[SS_CUDA_DATA].chosen, s[SS_CUDA_DATA].fastest, s[SS_CUDA_FILTER].chosen,
               s[SS_CUDA_FILTER].fastest);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int64_t samples;
    } networks[] = {{"sd15", 1}, {"cifar10", 64}, {"if-i-m", 1}};
    const bool tiny = argc > 1 && !strcmp(argv[1], "--tiny");
    ss_device *d;

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    test_device();
    if (ss_cuda_open(0, &(ss_ctx_options){0}, &d, &err) != SS_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%s\n", d->text);
    for (size_t i = 0; i < N_OF(networks) && !tiny; i++) {
        convolutions list = {.n = 0};
        char path[256];

        snprintf(path, sizeof path, "tests/bench/configs/%s/config.json", networks[i].name);
        note_network(&list, path, networks[i].samples);
        time_network(d, networks[i].name, &list);
    }
    if (tiny)
        time_network(d, "tiny",
                     &(convolutions){.of = {{.n = 2,
                                             .h = 9,
                                             .w = 9,
                                             .in = 5,
                                             .out_h = 5,
                                             .out_w = 5,
                                             .out = 3,
                                             .kh = 3,
                                             .kw = 3,
                                             .stride = 2,
                                             .top = 1,
                                             .left = 1,
                                             .bottom = 1,
                                             .right = 1,
                                             .align = 16,
                                             .bias = 1}},
                                     .n = 1});
    ss_cuda_close(d);
    return 0;
}
