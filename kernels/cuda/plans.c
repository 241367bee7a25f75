/* plans.c - see plans.h */
#include "kernels/cuda/plans.h"

#include "base/mem.h"
#include "kernels/cuda/cuda.h"

#include <string.h>

enum { N_BUCKETS = 256 };

typedef struct entry {
    ss_cuda_conv problem;
    ss_cuda_plan plan[SS_CUDA_N_PLANS];
    bool known[SS_CUDA_N_PLANS]; /* found, or known not to be */
    struct entry *next;
} entry;

struct ss_cuda_plans {
    const ss_cuda_api *api;
    cudnnHandle_t handle;
    ss_cuda_descriptors device; /* the described card, if any */
    cudnnBackendDescriptor_t properties;
    entry *bucket[N_BUCKETS];
};

static ss_code failed(const ss_cuda_descriptors *s, ss_err *e)
{
    return ss_cuda_dnn_error(s->api, s->status, s->what, e);
}

ss_code ss_cuda_plans_open(const ss_cuda_api *api, cudnnHandle_t handle, const char *json,
                           ss_cuda_plans **plans, ss_err *e)
{
    ss_cuda_plans *p = ss_calloc(1, sizeof *p);

    if (!p)
        return ss_no_memory(e, "plans of convolutions");
    p->api = p->device.api = api;
    p->handle = handle;
    if (json) {
        p->properties = ss_cuda_descriptor(&p->device, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
        ss_cuda_descriptor_set(&p->device, p->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                               CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
        ss_cuda_descriptor_finalize(&p->device, p->properties);
    }
    if (p->device.status != CUDNN_STATUS_SUCCESS) {
        const ss_code rc = failed(&p->device, e);

        ss_cuda_plans_close(p);
        return rc;
    }
    *plans = p;
    return SS_OK;
}

void ss_cuda_plans_close(ss_cuda_plans *p)
{
    if (!p)
        return;
    for (int b = 0; b < N_BUCKETS; b++)
        for (entry *n = p->bucket[b], *next; n; n = next) {
            next = n->next;
            for (int i = 0; i < SS_CUDA_N_PLANS; i++)
                if (n->plan[i].plan)
                    p->api->cudnnBackendDestroyDescriptor(n->plan[i].plan);
            ss_free(n);
        }
    ss_cuda_descriptors_drop(&p->device);
    ss_free(p);
}

size_t ss_cuda_work_limit(const ss_cuda_conv *c)
{
    const size_t values = (size_t)(c->n * c->h * c->w * c->in + c->out * c->kh * c->kw * c->in +
                                   c->n * c->out_h * c->out_w * c->out);

    return 2 * sizeof(float) * values + ((size_t)64 << 20);
}

/* ---- the choice ---- */

/* Reads a list of numbers below 32 as a set of bits. */
static unsigned notes(ss_cuda_descriptors *s, cudnnBackendDescriptor_t engine,
                      cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type)
{
    int note[32]; /* of an enum */
    unsigned bits = 0;
    const int64_t n = ss_cuda_descriptor_get(s, engine, name, type, 32, note);

    for (int64_t i = 0; i < n; i++)
        bits |= 1u << (note[i] & 31);
    return bits;
}

static bool admitted(ss_cuda_descriptors *s, cudnnBackendDescriptor_t engine, bool tensor)
{
    enum {
        NEVER = 1 << CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS |
                1 << CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION |
                1 << CUDNN_NUMERICAL_NOTE_FFT | 1 << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC |
                1 << CUDNN_NUMERICAL_NOTE_WINOGRAD,
        TENSOR = 1 << CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
        COMPILED = 1 << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION
    };
    const unsigned numerical =
        notes(s, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
    const unsigned behavior =
        notes(s, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE);

    return !(numerical & (tensor ? NEVER : NEVER | TENSOR)) && !(behavior & COMPILED);
}

typedef struct {
    const ss_cuda_conv *problem;
    ss_cuda_choice choice;
    ss_cuda_plan best; /* plan is NULL as long as none is found */
    ss_cuda_plan *all; /* [room]: all are wanted; NULL: the best alone */
    int room, n;
} search;

static bool better(const search *s, const ss_cuda_plan *plan)
{
    if (s->choice == SS_CUDA_PLAN_FAST)
        return !s->best.plan && plan->work_bytes <= ss_cuda_work_limit(s->problem);
    return !s->best.plan || plan->work_bytes < s->best.work_bytes;
}

static bool finished(const search *s)
{
    if (s->all)
        return s->n == s->room;
    return s->best.plan && (s->choice == SS_CUDA_PLAN_FAST || s->best.work_bytes == 0);
}

/* Keeps the plan, the last descriptor of s, or the best one so far; the other is left to s. */
static void consider(ss_cuda_descriptors *s, ss_cuda_plan plan, search *found)
{
    if (found->all) {
        found->all[found->n++] = plan;
        s->n--;
        return;
    }
    if (!better(found, &plan))
        return;
    s->owned[s->n - 1] = found->best.plan;
    if (!found->best.plan)
        s->n--;
    found->best = plan;
}

/* Makes the plan of a configuration if its engine is admitted. That an engine does not take the
 * problem after all shows only when its plan is finalised. */
static void try_config(const ss_cuda_plans *p, cudnnBackendDescriptor_t config, bool fallback,
                       search *found, ss_cuda_descriptors *s)
{
    ss_cuda_plan plan = {.fallback = fallback};
    cudnnBackendDescriptor_t engine = ss_cuda_descriptor(s, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    int64_t bytes = 0;

    ss_cuda_descriptor_get(s, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                           &engine);
    ss_cuda_descriptor_get(s, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                           &plan.engine);
    if (!admitted(s, engine, found->problem->tensor))
        return;
    plan.plan = ss_cuda_descriptor(s, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    ss_cuda_descriptor_set(s, plan.plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    if (p->handle)
        ss_cuda_descriptor_set(s, plan.plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                               &p->handle);
    else
        ss_cuda_descriptor_set(s, plan.plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->properties);
    if (s->status != CUDNN_STATUS_SUCCESS ||
        p->api->cudnnBackendFinalize(plan.plan) != CUDNN_STATUS_SUCCESS)
        return;
    ss_cuda_descriptor_get(s, plan.plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                           1, &bytes);
    plan.work_bytes = (size_t)bytes;
    if (s->status == CUDNN_STATUS_SUCCESS)
        consider(s, plan, found);
}

static ss_code try_configs(const ss_cuda_plans *p, const cudnnBackendDescriptor_t *config,
                           int64_t n, bool fallback, search *found, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int64_t i = 0; i < n && rc == SS_OK && !finished(found); i++) {
        ss_cuda_descriptors s = {.api = p->api};

        try_config(p, config[i], fallback, found, &s);
        if (s.status != CUDNN_STATUS_SUCCESS)
            rc = failed(&s, e);
        ss_cuda_descriptors_drop(&s);
    }
    return rc;
}

/* Tries the configurations that a mode of the heuristics lists, in their order. */
static ss_code try_mode(const ss_cuda_plans *p, cudnnBackendDescriptor_t graph,
                        cudnnBackendHeurMode_t mode, search *found, ss_err *e)
{
    ss_cuda_descriptors s = {.api = p->api}, configs = {.api = p->api};
    cudnnBackendDescriptor_t heuristics =
        ss_cuda_descriptor(&s, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    ss_code rc = SS_OK;
    int64_t n;

    ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
                           &mode);
    if (!p->handle)
        ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->properties);
    ss_cuda_descriptor_finalize(&s, heuristics);
    n = ss_cuda_descriptor_get(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, NULL);
    for (int64_t i = 0; i < n && i < SS_CUDA_MAX_DESCRIPTORS; i++)
        ss_cuda_descriptor(&configs, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    n = ss_cuda_descriptor_get(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, (int64_t)configs.n, configs.owned);
    if (configs.status != CUDNN_STATUS_SUCCESS)
        rc = failed(&configs, e);
    else if (s.status == CUDNN_STATUS_SUCCESS)
        rc = try_configs(p, configs.owned, n, mode == CUDNN_HEUR_MODE_FALLBACK, found, e);
    else if (CUDNN_STATUS_CATEGORY(s.status) != CUDNN_STATUS_NOT_SUPPORTED)
        rc = failed(&s, e);
    ss_cuda_descriptors_drop(&configs);
    ss_cuda_descriptors_drop(&s);
    return rc;
}

static ss_code choose(const ss_cuda_plans *p, search *found, ss_err *e)
{
    ss_cuda_descriptors s = {.api = p->api};
    cudnnBackendDescriptor_t graph = ss_cuda_graph(&s, found->problem, p->handle);
    ss_code rc = graph ? try_mode(p, graph, CUDNN_HEUR_MODE_A, found, e) : failed(&s, e);

    if (rc == SS_OK && !finished(found))
        rc = try_mode(p, graph, CUDNN_HEUR_MODE_FALLBACK, found, e);
    if (rc != SS_OK && found->best.plan)
        p->api->cudnnBackendDestroyDescriptor(found->best.plan);
    ss_cuda_descriptors_drop(&s);
    return rc;
}

/* ---- the cache ---- */

static unsigned bucket_of(const ss_cuda_conv *c)
{
    const unsigned char *bytes = (const unsigned char *)c;
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < sizeof *c; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    return (unsigned)(h >> 32) % N_BUCKETS;
}

static entry *find(ss_cuda_plans *p, const ss_cuda_conv *c)
{
    entry **first = &p->bucket[bucket_of(c)], *n = *first;

    while (n && memcmp(&n->problem, c, sizeof *c) != 0)
        n = n->next;
    if (!n && (n = ss_calloc(1, sizeof *n))) {
        n->problem = *c;
        n->next = *first;
        *first = n;
    }
    return n;
}

ss_code ss_cuda_plans_find(ss_cuda_plans *p, const ss_cuda_conv *c, ss_cuda_choice choice,
                           const ss_cuda_plan **plan, ss_err *e)
{
    entry *n = find(p, c);

    if (!n)
        return ss_no_memory(e, "a plan of a convolution");
    if (!n->known[choice]) {
        search s = {.problem = c, .choice = choice};
        const ss_code rc = choose(p, &s, e);

        if (rc != SS_OK)
            return rc;
        n->plan[choice] = s.best;
        n->known[choice] = true;
    }
    *plan = n->plan[choice].plan ? &n->plan[choice] : NULL;
    return SS_OK;
}

ss_code ss_cuda_plans_all(ss_cuda_plans *p, const ss_cuda_conv *c, int room, ss_cuda_plan *plan,
                          int *n, ss_err *e)
{
    search s = {.problem = c, .all = plan, .room = room};
    const ss_code rc = choose(p, &s, e);

    while (rc != SS_OK && s.n)
        p->api->cudnnBackendDestroyDescriptor(plan[--s.n].plan);
    *n = s.n;
    return rc;
}

ss_code ss_cuda_plan_run(ss_cuda_plans *p, const ss_cuda_plan *plan, const ss_cuda_pointers *at,
                         ss_err *e)
{
    static const int64_t id[] = {SS_CUDA_ID_X, SS_CUDA_ID_W, SS_CUDA_ID_Y, SS_CUDA_ID_BIAS};
    const void *memory[] = {at->x, at->w, at->y, at->bias};
    const int64_t n = at->bias ? 4 : 3;
    ss_cuda_descriptors s = {.api = p->api};
    cudnnBackendDescriptor_t pack = ss_cuda_descriptor(&s, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);

    ss_cuda_descriptor_set(&s, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, id);
    ss_cuda_descriptor_set(&s, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n,
                           memory);
    ss_cuda_descriptor_set(&s, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                           &at->work);
    ss_cuda_descriptor_finalize(&s, pack);
    if (s.status == CUDNN_STATUS_SUCCESS) {
        s.what = "cudnnBackendExecute";
        s.status = p->api->cudnnBackendExecute(p->handle, plan->plan, pack);
    }
    const ss_code rc = s.status == CUDNN_STATUS_SUCCESS ? SS_OK : failed(&s, e);
    ss_cuda_descriptors_drop(&s);
    return rc;
}
