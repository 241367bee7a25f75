/* fake_cudnn.h - what the files of the fake cuDNN share (fake.h) */
#ifndef SS_TESTS_CUDA_FAKE_CUDNN_H
#define SS_TESTS_CUDA_FAKE_CUDNN_H

#include "tests/cuda/fake.h"

#include <cudnn.h>
#include <stdint.h>

struct cudnnContext {
    bool live;
    CUstream stream;
    cudnnHandle_t next;
};

typedef enum { FORWARD, DATA, FILTER } direction;

/* A convolution as a graph says it; sizes in the order N C H W. */
typedef struct {
    direction direction;
    int64_t x[4], w[4], y[4], stride[2], before[2], after[2];
    int64_t id_x, id_w, id_y, id_bias; /* id_bias 0: there is no bias */
    int64_t align;
    bool accumulate;
} convolution;

typedef struct {
    int64_t index;
    unsigned numerical, behavior; /* sets of notes */
    bool refuses;                 /* its plans cannot be finished */
    int64_t work;                 /* bytes; -1: those of x and y */
} engine;

enum { MOST_ATTRIBUTES = 8, MOST_VALUES = 4 };
typedef struct {
    int magic;
    cudnnBackendDescriptorType_t type;
    bool live, finalized;
    int n;
    struct {
        cudnnBackendAttributeName_t name;
        int64_t n;
        int64_t values[MOST_VALUES]; /* each in the first bytes */
    } set[MOST_ATTRIBUTES];
    convolution conv;     /* of a graph, and what comes of it */
    const engine *engine; /* of a configuration, an engine, a plan */
    cudnnHandle_t handle; /* of a graph or plan */
} descriptor;

/* ---- fake_cudnn.c ---- */

/* Value k of an attribute that was set; 0 where it was not. */
int64_t ss_fake_value(const descriptor *d, cudnnBackendAttributeName_t name, int k);
/* The finalised descriptor that an attribute names. */
const descriptor *ss_fake_named(const descriptor *d, cudnnBackendAttributeName_t name, int k);

/* ---- fake_cudnn_graph.c ---- */

/* Refuses a descriptor whose attributes the real library does not take. */
void ss_fake_check_tensor(const descriptor *d);
void ss_fake_check_convolution(const descriptor *d);
convolution ss_fake_convolution(const descriptor *graph);

/* The engines that a mode of the heuristics lists for a convolution; returns how many. */
int ss_fake_engines(const convolution *c, cudnnBackendHeurMode_t mode, const engine *of[16]);
int64_t ss_fake_work_bytes(const descriptor *plan);

/* ---- fake_cudnn_run.c ---- */

/* Enqueues a plan; memory is that of the tensors' ids. */
typedef struct {
    void *x, *w, *y, *bias, *work;
} operands;
void ss_fake_convolve(const descriptor *plan, const operands *o);

#endif
