/* fake_cudnn.c - libcudnn.so.9 of the emulated device (fake.h): handles and descriptors
 *
 * Each attribute is held against the rules below when it is set, and a descriptor as a whole when
 * it is finalised. Handles and descriptors that were destroyed stay, so that their use is noticed.
 */
#include "tests/cuda/fake_cudnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cudnnHandle_t handles;

enum { MAGIC = 0x6e6e6475, N_DESTROYED = 1024 };
static descriptor *destroyed[N_DESTROYED];
static size_t n_destroyed;

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t s)
{
    return s == CUDNN_STATUS_SUCCESS         ? "CUDNN_STATUS_SUCCESS"
           : s == CUDNN_STATUS_ALLOC_FAILED  ? "CUDNN_STATUS_ALLOC_FAILED"
           : s == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                             : "CUDNN_STATUS_INTERNAL_ERROR";
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    snprintf(text, size, "%s", "");
}

static void check_handle(cudnnHandle_t h, const char *function)
{
    for (cudnnHandle_t k = handles; k; k = k->next)
        if (k == h && k->live)
            return;
    ss_fake_refuse("%s: no handle, or one that was destroyed", function);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    ss_fake_context(__func__);
    cudnnHandle_t h = calloc(1, sizeof *h);

    if (!h)
        return CUDNN_STATUS_ALLOC_FAILED;
    *h = (struct cudnnContext){.live = true, .next = handles};
    *out = handles = h;
    ss_fake_made("cuDNN handles", 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    check_handle(h, __func__);
    h->live = false;
    ss_fake_made("cuDNN handles", -1);
    return fails ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t stream)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    ss_fake_context(__func__);
    check_handle(h, __func__);
    h->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

static descriptor *live(cudnnBackendDescriptor_t p, const char *function)
{
    descriptor *d = p;

    if (!d || d->magic != MAGIC || !d->live)
        ss_fake_refuse("%s: no descriptor, or one that was destroyed", function);
    return d;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_ALLOC_FAILED;
    descriptor *d = calloc(1, sizeof *d);

    if (!d)
        return CUDNN_STATUS_ALLOC_FAILED;
    *d = (descriptor){.magic = MAGIC, .type = type, .live = true};
    *out = d;
    ss_fake_made("cuDNN descriptors", 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t p)
{
    const bool fails = ss_fake_fails(__func__);

    descriptor *d = live(p, __func__), **place = &destroyed[n_destroyed++ % N_DESTROYED];

    d->live = false;
    free(*place);
    *place = d;
    ss_fake_made("cuDNN descriptors", -1);
    return fails ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

/* ---- attributes that can be set: of which descriptor, of which type, how many ---- */

typedef struct {
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int least, most;
    bool optional;
} rule;

#define TENSOR(a, ...)                                                      \
    {                                                                       \
        CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_##a, __VA_ARGS__ \
    }
#define CONVOLUTION(a, ...)                                                           \
    {                                                                                 \
        CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_##a, __VA_ARGS__ \
    }
#define OF(d, a)                                                                                   \
    {                                                                                              \
        CUDNN_BACKEND_##d##_DESCRIPTOR, CUDNN_ATTR_##a, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, false \
    }
#define OPERATION(d, p, dx, dw, dy)                                                    \
    OF(OPERATION_CONVOLUTION_##d, OPERATION_CONVOLUTION_##p##_##dx),                   \
        OF(OPERATION_CONVOLUTION_##d, OPERATION_CONVOLUTION_##p##_##dw),               \
        OF(OPERATION_CONVOLUTION_##d, OPERATION_CONVOLUTION_##p##_##dy),               \
        OF(OPERATION_CONVOLUTION_##d, OPERATION_CONVOLUTION_##p##_CONV_DESC),          \
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_##d##_DESCRIPTOR,                         \
         CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_ALPHA,                                 \
         CUDNN_TYPE_FLOAT,                                                             \
         1,                                                                            \
         1,                                                                            \
         false},                                                                       \
    {                                                                                  \
        CUDNN_BACKEND_OPERATION_CONVOLUTION_##d##_DESCRIPTOR,                          \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_BETA, CUDNN_TYPE_FLOAT, 1, 1, false \
    }

static const rule rules[] = {
    TENSOR(DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, false),
    TENSOR(DIMENSIONS, CUDNN_TYPE_INT64, 4, 4, false),
    TENSOR(STRIDES, CUDNN_TYPE_INT64, 4, 4, false),
    TENSOR(UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, false),
    TENSOR(BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, false),
    TENSOR(IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, true),
    CONVOLUTION(SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, false),
    CONVOLUTION(COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, false),
    CONVOLUTION(CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1, false),
    CONVOLUTION(PRE_PADDINGS, CUDNN_TYPE_INT64, 2, 2, false),
    CONVOLUTION(POST_PADDINGS, CUDNN_TYPE_INT64, 2, 2, false),
    CONVOLUTION(DILATIONS, CUDNN_TYPE_INT64, 2, 2, false),
    CONVOLUTION(FILTER_STRIDES, CUDNN_TYPE_INT64, 2, 2, false),
    OPERATION(FORWARD, FORWARD, X, W, Y),
    OPERATION(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    OPERATION(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1,
     false},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1,
     false},
    OF(OPERATION_POINTWISE, OPERATION_POINTWISE_PW_DESCRIPTOR),
    OF(OPERATION_POINTWISE, OPERATION_POINTWISE_XDESC),
    OF(OPERATION_POINTWISE, OPERATION_POINTWISE_BDESC),
    OF(OPERATION_POINTWISE, OPERATION_POINTWISE_YDESC),
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE,
     1, 1, false},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 2, false},
    OF(ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH),
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1,
     false},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE,
     1, 1, false},
    OF(EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG),
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3,
     4, false},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
     CUDNN_TYPE_VOID_PTR, 3, 4, false},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
     1, 1, false},
};
enum { N_RULES = sizeof rules / sizeof *rules };

static const rule *rule_of(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name)
{
    for (int i = 0; i < N_RULES; i++)
        if (rules[i].of == of && rules[i].name == name)
            return &rules[i];
    ss_fake_refuse("descriptor %d has no attribute %d to be set", (int)of, (int)name);
}

static size_t size_of(cudnnBackendAttributeType_t t)
{
    switch ((int)t) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    case CUDNN_TYPE_BOOLEAN: return 1;
    default: return 4;
    }
}

static int index_of(const descriptor *d, cudnnBackendAttributeName_t name)
{
    for (int i = 0; i < d->n; i++)
        if (d->set[i].name == name)
            return i;
    return -1;
}

int64_t ss_fake_value(const descriptor *d, cudnnBackendAttributeName_t name, int k)
{
    const int i = index_of(d, name);

    return i < 0 || k >= d->set[i].n ? 0 : d->set[i].values[k];
}

const descriptor *ss_fake_named(const descriptor *d, cudnnBackendAttributeName_t name, int k)
{
    const descriptor *to = live((void *)ss_fake_value(d, name, k), "cudnnBackendFinalize");

    if (!to->finalized)
        ss_fake_refuse("attribute %d of descriptor %d is not finalised", (int)name, (int)d->type);
    return to;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    descriptor *d = live(p, __func__);
    const rule *r = rule_of(d->type, name);
    const size_t size = size_of(type);

    if (d->finalized)
        ss_fake_refuse("%s: descriptor %d is finalised", __func__, (int)d->type);
    if (type != r->type || n < r->least || n > r->most || !values)
        ss_fake_refuse("%s: attribute %d takes %d to %d values of type %d, not %lld of type %d",
                       __func__, (int)name, r->least, r->most, (int)r->type, (long long)n,
                       (int)type);
    if (index_of(d, name) >= 0 || d->n == MOST_ATTRIBUTES)
        ss_fake_refuse("%s: attribute %d was set before", __func__, (int)name);
    d->set[d->n].name = name;
    d->set[d->n].n = n;
    for (int64_t i = 0; i < n; i++)
        memcpy(&d->set[d->n].values[i], (const char *)values + (size_t)i * size, size);
    d->n++;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- finalising ---- */

static void check_complete(const descriptor *d)
{
    for (int i = 0; i < N_RULES; i++)
        if (rules[i].of == d->type && !rules[i].optional && index_of(d, rules[i].name) < 0)
            ss_fake_refuse("cudnnBackendFinalize: descriptor %d lacks attribute %d", (int)d->type,
                           (int)rules[i].name);
}

static void finalize_graph(descriptor *d)
{
    d->handle = (cudnnHandle_t)ss_fake_value(d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, 0);
    check_handle(d->handle, "cudnnBackendFinalize");
    d->conv = ss_fake_convolution(d);
}

static cudnnStatus_t finalize_plan(descriptor *d)
{
    const descriptor *config = ss_fake_named(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0);

    d->handle = (cudnnHandle_t)ss_fake_value(d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, 0);
    if (d->handle != config->handle)
        ss_fake_refuse("cudnnBackendFinalize: a plan for another handle than its graph's");
    d->conv = config->conv;
    d->engine = config->engine;
    return d->engine->refuses ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t p)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    descriptor *d = live(p, __func__);
    cudnnStatus_t r = CUDNN_STATUS_SUCCESS;

    if (d->finalized)
        ss_fake_refuse("%s: descriptor %d is finalised", __func__, (int)d->type);
    check_complete(d);
    switch ((int)d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: ss_fake_check_tensor(d); break;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: ss_fake_check_convolution(d); break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: finalize_graph(d); break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: {
        const descriptor *graph = ss_fake_named(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0);

        d->conv = graph->conv;
        d->handle = graph->handle;
        break;
    }
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: r = finalize_plan(d); break;
    default: break;
    }
    d->finalized = r == CUDNN_STATUS_SUCCESS;
    return r;
}

/* ---- attributes that can be read ---- */

static descriptor *to_fill(void *values, int64_t i, cudnnBackendDescriptorType_t type)
{
    descriptor *d = live(((cudnnBackendDescriptor_t *)values)[i], "cudnnBackendGetAttribute");

    if (d->type != type || d->finalized)
        ss_fake_refuse("cudnnBackendGetAttribute: descriptor %lld to fill has type %d, not %d, or "
                       "is finalised",
                       (long long)i, (int)d->type, (int)type);
    d->finalized = true;
    return d;
}

static int64_t get_results(const descriptor *d, int64_t room, void *values)
{
    const engine *of[16];
    const int n = ss_fake_engines(
        &d->conv, (cudnnBackendHeurMode_t)ss_fake_value(d, CUDNN_ATTR_ENGINEHEUR_MODE, 0), of);

    if (!values)
        return n;
    for (int i = 0; i < n && i < room; i++) {
        descriptor *config = to_fill(values, i, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);

        config->conv = d->conv;
        config->handle = d->handle;
        config->engine = of[i];
    }
    return n < room ? n : room;
}

static int64_t get_notes(unsigned notes, int64_t room, int *values)
{
    int64_t n = 0;

    for (int i = 0; i < 32; i++)
        if (notes & 1u << i) {
            if (n < room)
                values[n] = i;
            n++;
        }
    return n;
}

static void check_type(cudnnBackendAttributeType_t type, cudnnBackendAttributeType_t wanted)
{
    if (type != wanted)
        ss_fake_refuse("cudnnBackendGetAttribute: type %d, not %d", (int)type, (int)wanted);
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const p,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *n,
                                       void *values)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    const descriptor *d = live(p, __func__);

    if (!d->finalized)
        ss_fake_refuse("%s: descriptor %d is not finalised", __func__, (int)d->type);
    if (d->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR && name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        check_type(type, CUDNN_TYPE_BACKEND_DESCRIPTOR);
        *n = get_results(d, room, values);
    } else if (d->type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR &&
               name == CUDNN_ATTR_ENGINECFG_ENGINE && room == 1) {
        check_type(type, CUDNN_TYPE_BACKEND_DESCRIPTOR);
        to_fill(values, 0, CUDNN_BACKEND_ENGINE_DESCRIPTOR)->engine = d->engine;
        *n = 1;
    } else if (d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR &&
               name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX) {
        check_type(type, CUDNN_TYPE_INT64);
        *(int64_t *)values = d->engine->index;
        *n = 1;
    } else if (d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR &&
               name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        check_type(type, CUDNN_TYPE_NUMERICAL_NOTE);
        *n = get_notes(d->engine->numerical, room, values);
    } else if (d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR &&
               name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE) {
        check_type(type, CUDNN_TYPE_BEHAVIOR_NOTE);
        *n = get_notes(d->engine->behavior, room, values);
    } else if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
               name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        check_type(type, CUDNN_TYPE_INT64);
        *(int64_t *)values = ss_fake_work_bytes(d);
        *n = 1;
    } else {
        ss_fake_refuse("%s: descriptor %d has no attribute %d to be read", __func__, (int)d->type,
                       (int)name);
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- running ---- */

static void *memory_of(const descriptor *pack, int64_t id)
{
    for (int i = 0; i < MOST_VALUES; i++)
        if (ss_fake_value(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i) == id)
            return (void *)ss_fake_value(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
    ss_fake_refuse("cudnnBackendExecute: no memory for the tensor with the id %lld", (long long)id);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t p,
                                  cudnnBackendDescriptor_t variants)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_EXECUTION_FAILED;
    ss_fake_context(__func__);
    check_handle(h, __func__);
    const descriptor *plan = live(p, __func__), *pack = live(variants, __func__);

    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !plan->finalized ||
        pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !pack->finalized)
        ss_fake_refuse("%s: no finalised plan and pack", __func__);
    if (plan->handle != h)
        ss_fake_refuse("%s: the plan is another handle's", __func__);
    const convolution *c = &plan->conv;
    const operands o = {.x = memory_of(pack, c->id_x),
                        .w = memory_of(pack, c->id_w),
                        .y = memory_of(pack, c->id_y),
                        .bias = c->id_bias ? memory_of(pack, c->id_bias) : NULL,
                        .work = (void *)ss_fake_value(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 0)};

    ss_fake_convolve(plan, &o);
    return CUDNN_STATUS_SUCCESS;
}
