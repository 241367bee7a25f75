/* plans.c - see plans.h */
#include "kernels/cuda/plans.h"

#include "base/mem.h"
#include "kernels/cuda/cuda.h"

#include <string.h>

enum { N_BUCKETS = 256, MAX_CONFIGS = 512 };

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

/* An attribute that is a list of numbers below 32, as a set of bits. */
static bool notes(const ss_cuda_api *api, cudnnBackendDescriptor_t engine,
                  cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  unsigned *bits)
{
    int note[32]; /* of an enum */
    int64_t n = 0;

    *bits = 0;
    if (api->cudnnBackendGetAttribute(engine, name, type, 32, &n, note) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int64_t i = 0; i < n && i < 32; i++)
        *bits |= 1u << (note[i] & 31);
    return true;
}

static bool admitted(const ss_cuda_api *api, cudnnBackendDescriptor_t engine, bool tensor)
{
    enum {
        NEVER = 1 << CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS |
                1 << CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION |
                1 << CUDNN_NUMERICAL_NOTE_FFT | 1 << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC |
                1 << CUDNN_NUMERICAL_NOTE_WINOGRAD,
        TENSOR = 1 << CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
        COMPILED = 1 << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION
    };
    unsigned numerical, behavior;

    return notes(api, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                 &numerical) &&
           notes(api, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                 &behavior) &&
           !(numerical & (tensor ? NEVER : NEVER | TENSOR)) && !(behavior & COMPILED);
}

/* The plan of a configuration, finished, if its engine is admitted and takes it. */
static bool make_plan(const ss_cuda_plans *p, cudnnBackendDescriptor_t config, bool tensor,
                      ss_cuda_plan *plan)
{
    const ss_cuda_api *api = p->api;
    ss_cuda_descriptors s = {.api = api}, owner = {.api = api};
    cudnnBackendDescriptor_t engine = ss_cuda_descriptor(&s, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    int64_t n, bytes = 0;
    bool ok =
        engine &&
        api->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n,
                                      &engine) == CUDNN_STATUS_SUCCESS &&
        api->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                      &n, &plan->engine) == CUDNN_STATUS_SUCCESS &&
        admitted(api, engine, tensor);

    ss_cuda_descriptors_drop(&s);
    if (!ok)
        return false;
    plan->plan = ss_cuda_descriptor(&owner, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    ss_cuda_descriptor_set(&owner, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    if (p->handle)
        ss_cuda_descriptor_set(&owner, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                               CUDNN_TYPE_HANDLE, 1, &p->handle);
    else
        ss_cuda_descriptor_set(&owner, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->properties);
    ss_cuda_descriptor_finalize(&owner, plan->plan);
    ok = owner.status == CUDNN_STATUS_SUCCESS &&
         api->cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                       CUDNN_TYPE_INT64, 1, &n, &bytes) == CUDNN_STATUS_SUCCESS;
    plan->work_bytes = (size_t)bytes;
    if (!ok)
        ss_cuda_descriptors_drop(&owner);
    return ok;
}

typedef struct {
    const ss_cuda_conv *problem;
    ss_cuda_choice choice;
    ss_cuda_plan best; /* plan is NULL as long as none is found */
} search;

static bool better(const search *s, const ss_cuda_plan *plan)
{
    if (s->choice == SS_CUDA_PLAN_FAST)
        return !s->best.plan && plan->work_bytes <= ss_cuda_work_limit(s->problem);
    return !s->best.plan || plan->work_bytes < s->best.work_bytes;
}

static bool finished(const search *s)
{
    return s->best.plan && (s->choice == SS_CUDA_PLAN_FAST || s->best.work_bytes == 0);
}

static void try_configs(const ss_cuda_plans *p, const cudnnBackendDescriptor_t *config, int64_t n,
                        bool fallback, search *s)
{
    for (int64_t i = 0; i < n && !finished(s); i++) {
        ss_cuda_plan plan = {.fallback = fallback};

        if (!make_plan(p, config[i], s->problem->tensor, &plan))
            continue;
        if (better(s, &plan)) {
            const ss_cuda_plan worse = s->best;

            s->best = plan;
            plan = worse;
        }
        if (plan.plan)
            p->api->cudnnBackendDestroyDescriptor(plan.plan);
    }
}

/* Tries the configurations that a mode of the heuristics lists, in their order. */
static void try_mode(const ss_cuda_plans *p, cudnnBackendDescriptor_t graph,
                     cudnnBackendHeurMode_t mode, search *found)
{
    ss_cuda_descriptors s = {.api = p->api};
    cudnnBackendDescriptor_t heuristics =
        ss_cuda_descriptor(&s, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendDescriptor_t config[MAX_CONFIGS];
    int64_t n = 0, got = 0, made = 0;

    ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
                           &mode);
    if (!p->handle)
        ss_cuda_descriptor_set(&s, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->properties);
    ss_cuda_descriptor_finalize(&s, heuristics);
    if (s.status == CUDNN_STATUS_SUCCESS)
        s.status = p->api->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL);
    n = s.status != CUDNN_STATUS_SUCCESS ? 0 : n < MAX_CONFIGS ? n : MAX_CONFIGS;
    while (made < n && p->api->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                                            &config[made]) == CUDNN_STATUS_SUCCESS)
        made++;
    if (made && p->api->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &got,
                                                 config) == CUDNN_STATUS_SUCCESS)
        try_configs(p, config, got < made ? got : made, mode == CUDNN_HEUR_MODE_FALLBACK, found);
    while (made)
        p->api->cudnnBackendDestroyDescriptor(config[--made]);
    ss_cuda_descriptors_drop(&s);
}

static ss_code choose(const ss_cuda_plans *p, search *found, ss_err *e)
{
    ss_cuda_descriptors s = {.api = p->api};
    cudnnBackendDescriptor_t graph = ss_cuda_graph(&s, found->problem, p->handle);
    ss_code rc = SS_OK;

    if (graph) {
        try_mode(p, graph, CUDNN_HEUR_MODE_A, found);
        if (!finished(found))
            try_mode(p, graph, CUDNN_HEUR_MODE_FALLBACK, found);
    } else {
        rc = failed(&s, e);
    }
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
