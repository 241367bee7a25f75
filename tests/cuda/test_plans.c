/* test_plans.c - which plans cuDNN has for our convolutions: the real library, without a GPU, for
 * cards that are described (tests/cuda/devices, from NVIDIA's data sheets and the tables of compute
 * capabilities of the CUDA programming guide)
 *
 * Each convolution of four published networks and of the sweep of odd shapes has a plan in every
 * direction, of exact f32 and of TF32, whose engine does nothing else than what was asked for.
 * EVERY_PLAN=1: on all cards, and prints a table of them; else on two, without the largest
 * networks. Then: plans are made once, and every call of cuDNN that is needed for one fails.
 */
#include "base/file.h"
#include "kernels/cuda/plans.h"
#include "tests/conv_cases.h"
#include "tests/cuda/convolutions.h"

static const ss_cuda_api *api; /* NULL: cuDNN is not here */
static char why_not[1024];
static bool every;

/* For AddressSanitizer: cuDNN keeps memory until the process ends, in libraries that are closed by
 * then, so that no suppression names it. Descriptors are counted below. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static int find_cudnn(void **state)
{
    const char *text = getenv("EVERY_PLAN");
    ss_err e = {0};

    (void)state;
    every = text && *text && strcmp(text, "0") != 0;
    unsetenv("SIGMASCOPE_CUDA_LIBRARIES"); /* the fake has no plans for described cards */
    if (ss_cuda_api_open_dnn(&api, &e) != SS_OK)
        snprintf(why_not, sizeof why_not, "%s", e.msg);
    return 0;
}

static ss_cuda_plans *plans_of(const char *device)
{
    char path[256], *json;
    ss_cuda_plans *p;
    size_t n;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/cuda/devices/%s.json", device);
    if (ss_file_read(path, 1 << 16, &json, &n, &e) != SS_OK ||
        ss_cuda_plans_open(api, NULL, json, &p, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_free(json);
    return p;
}

/* The problem that cuDNN gets for a case: without what negative padding cuts off. */
static ss_cuda_conv of_case(const conv_case *c)
{
    const int cut[] = {c->opt.top < 0 ? c->opt.top : 0, c->opt.bottom < 0 ? c->opt.bottom : 0,
                       c->opt.left < 0 ? c->opt.left : 0, c->opt.right < 0 ? c->opt.right : 0};

    return (ss_cuda_conv){.n = c->n,
                          .h = c->h + cut[0] + cut[1],
                          .w = c->w + cut[2] + cut[3],
                          .in = c->in,
                          .out_h = (c->h + c->opt.top + c->opt.bottom - c->kh) / c->opt.stride + 1,
                          .out_w = (c->w + c->opt.left + c->opt.right - c->kw) / c->opt.stride + 1,
                          .out = c->out,
                          .kh = c->kh,
                          .kw = c->kw,
                          .stride = c->opt.stride,
                          .top = c->opt.top - cut[0],
                          .left = c->opt.left - cut[2],
                          .bottom = c->opt.bottom - cut[1],
                          .right = c->opt.right - cut[3],
                          .align = 16,
                          .bias = 1};
}

/* ---- a table of all ---- */

typedef struct {
    int plans, fallback, tensor, none; /* tensor: on tensor cores */
    size_t work;                       /* the largest */
} tally;

static void describe(const ss_cuda_conv *c, char *text, size_t size)
{
    static const char *const name[] = {"forward", "data", "filter"};

    snprintf(
        text, size,
        "%s of %lldx%lldx%lldx%lld by %lldx%lldx%lldx%lld, stride %lld, padding %lld %lld %lld "
        "%lld, alignment %lld%s%s",
        name[c->direction], (long long)c->n, (long long)c->h, (long long)c->w, (long long)c->in,
        (long long)c->out, (long long)c->kh, (long long)c->kw, (long long)c->in,
        (long long)c->stride, (long long)c->top, (long long)c->left, (long long)c->bottom,
        (long long)c->right, (long long)c->align, c->bias ? ", bias" : "",
        c->tensor ? ", TF32" : "");
}

/* The notes of a plan's engine, asked for without kernels/cuda/plans.c. */
static unsigned notes_of(const ss_cuda_plan *plan)
{
    const cudnnBackendAttributeType_t descriptor = CUDNN_TYPE_BACKEND_DESCRIPTOR;
    cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t config, engine;
    unsigned notes = 0;
    int64_t n = 0;

    api->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config);
    api->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine);
    assert_int_equal(api->cudnnBackendGetAttribute(plan->plan,
                                                   CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                                   descriptor, 1, &n, &config),
                     CUDNN_STATUS_SUCCESS);
    assert_int_equal(api->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, descriptor,
                                                   1, &n, &engine),
                     CUDNN_STATUS_SUCCESS);
    assert_int_equal(api->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                   CUDNN_TYPE_NUMERICAL_NOTE, N_OF(note), &n, note),
                     CUDNN_STATUS_SUCCESS);
    for (int64_t i = 0; i < n; i++)
        notes |= 1u << note[i];
    api->cudnnBackendDestroyDescriptor(engine);
    api->cudnnBackendDestroyDescriptor(config);
    return notes;
}

static void count(ss_cuda_plans *p, const ss_cuda_conv *c, const char *device, tally *t)
{
    const unsigned tensor_core = 1u << CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    const ss_cuda_plan *plan, *lean;
    char text[300];
    ss_err e = {0};

    describe(c, text, sizeof text);
    const ss_code rc = ss_cuda_plans_find(p, c, SS_CUDA_PLAN_FAST, &plan, &e);
    lean = plan;
    if (rc != SS_OK || (every && ss_cuda_plans_find(p, c, SS_CUDA_PLAN_LEAN, &lean, &e) != SS_OK))
        fail_msg("%s: %s: %s", device, text, e.msg);
    if (!plan) {
        print_message("%s: %s: no plan\n", device, text);
        t->none++;
        return;
    }
    assert_true(plan->work_bytes <= ss_cuda_work_limit(c));
    assert_true(lean->work_bytes <= plan->work_bytes);
    for (int i = 0; i < 2; i++) {
        const unsigned notes = notes_of(i ? lean : plan);

        if (notes & ~(1u << CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP | (c->tensor ? tensor_core : 0)))
            fail_msg("%s: %s: an engine with the notes %x", device, text, notes);
    }
    t->plans++;
    t->tensor += (notes_of(plan) & tensor_core) != 0;
    t->fallback += plan->fallback;
    t->work = plan->work_bytes > t->work ? plan->work_bytes : t->work;
}

/* All directions and arithmetics of these convolutions on a card. */
static int hold(const char *device, const char *what, const convolutions *list)
{
    ss_cuda_plans *p = plans_of(device);
    tally t[2][SS_CUDA_N_DIRECTIONS] = {0};
    int none = 0;

    for (int i = 0; i < 2 * SS_CUDA_N_DIRECTIONS * list->n; i++) {
        ss_cuda_conv c = list->of[i / 2 / SS_CUDA_N_DIRECTIONS];
        const int direction = i / 2 % SS_CUDA_N_DIRECTIONS;

        c.direction = direction;
        c.tensor = i % 2;
        c.bias = c.bias && direction == SS_CUDA_FORWARD;
        c.accumulate = c.accumulate && direction == SS_CUDA_FILTER;
        count(p, &c, device, &t[i % 2][direction]);
    }
    for (int i = 0; i < 2 * SS_CUDA_N_DIRECTIONS; i++) {
        static const char *const direction[] = {"forward", "data", "filter"};
        const tally *k = &t[i / SS_CUDA_N_DIRECTIONS][i % SS_CUDA_N_DIRECTIONS];

        none += k->none;
        if (every)
            print_message("%-7s %-18s %-4s %-8s %4d plans, %3d on tensor cores, %3d by fallback, "
                          "%3d none; work space up to %7.1f MiB\n",
                          device, what, i < SS_CUDA_N_DIRECTIONS ? "f32" : "TF32",
                          direction[i % SS_CUDA_N_DIRECTIONS], k->plans, k->tensor, k->fallback,
                          k->none, (double)k->work / (1 << 20));
    }
    ss_cuda_plans_close(p);
    return none;
}

static const char *const devices[] = {"sm_90", "sm_86",  "sm_75", "sm_80",
                                      "sm_89", "sm_100", "sm_120"};
enum { N_FEW = 2 };

static void hold_everywhere(const char *what, const convolutions *list)
{
    const size_t n = every ? N_OF(devices) : N_FEW;
    int none = 0;

    for (size_t i = 0; i < n; i++)
        none += hold(devices[i], what, list);
    assert_int_equal(none, 0);
}

static void test_networks(void **state)
{
    static const struct {
        const char *name, *what;
        int64_t samples;
        bool large;
    } networks[] = {{"cifar10", "ddpm-cifar10 x 64", 64, false},
                    {"sd15", "SD 1.5 x 1", 1, false},
                    {"sd15", "SD 1.5 x 8", 8, true},
                    {"if-i-m", "IF-I-M x 2", 2, true},
                    {"sdxl", "SDXL x 2", 2, true}};

    (void)state;
    if (!api)
        skip_because("%s", why_not);
    for (size_t i = 0; i < N_OF(networks); i++) {
        char path[256];
        convolutions list = {.n = 0};

        if (networks[i].large && !every)
            continue;
        snprintf(path, sizeof path, "tests/bench/configs/%s/config.json", networks[i].name);
        note_network(&list, path, networks[i].samples);
        assert_true(list.n > 5);
        hold_everywhere(networks[i].what, &list);
    }
}

static void test_odd_shapes(void **state)
{
    convolutions list = {.n = 0};

    (void)state;
    if (!api)
        skip_because("%s", why_not);
    for (size_t i = 0; i < N_OF(cases) + N_ODD; i++) {
        const conv_case c = i < N_OF(cases) ? cases[i] : odd_case(i - N_OF(cases));
        ss_cuda_conv made = of_case(&c);

        note(&list, &made);
        made.align = 4;
        note(&list, &made);
        made.align = 16;
        made.accumulate = 1;
        note(&list, &made);
    }
    hold_everywhere("odd shapes", &list);
}

/* ---- a table of functions that counts calls, and lets one fail ---- */

static ss_cuda_api watched;
static long calls, fails_at, descriptors;

static cudnnStatus_t create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    if (++calls == fails_at)
        return CUDNN_STATUS_INTERNAL_ERROR;
    descriptors++;
    return api->cudnnBackendCreateDescriptor(type, d);
}

static cudnnStatus_t destroy(cudnnBackendDescriptor_t d)
{
    descriptors--;
    return api->cudnnBackendDestroyDescriptor(d);
}

static cudnnStatus_t set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    return ++calls == fails_at ? CUDNN_STATUS_INTERNAL_ERROR
                               : api->cudnnBackendSetAttribute(d, name, type, n, values);
}

static cudnnStatus_t get(cudnnBackendDescriptor_t const d, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t room, int64_t *n, void *values)
{
    return ++calls == fails_at ? CUDNN_STATUS_INTERNAL_ERROR
                               : api->cudnnBackendGetAttribute(d, name, type, room, n, values);
}

static cudnnStatus_t finalize(cudnnBackendDescriptor_t d)
{
    return ++calls == fails_at ? CUDNN_STATUS_INTERNAL_ERROR : api->cudnnBackendFinalize(d);
}

static ss_code find_watched(const char *json, ss_cuda_plans **p, const ss_cuda_conv *c,
                            const ss_cuda_plan **plan, ss_err *e)
{
    watched = *api;
    watched.cudnnBackendCreateDescriptor = create;
    watched.cudnnBackendDestroyDescriptor = destroy;
    watched.cudnnBackendSetAttribute = set;
    watched.cudnnBackendGetAttribute = get;
    watched.cudnnBackendFinalize = finalize;
    calls = 0;
    *p = NULL;
    const ss_code rc = ss_cuda_plans_open(&watched, NULL, json, p, e);

    return rc == SS_OK ? ss_cuda_plans_find(*p, c, SS_CUDA_PLAN_FAST, plan, e) : rc;
}

static void test_made_once(void **state)
{
    ss_cuda_conv c = of_case(&cases[0]);
    const ss_cuda_plan *plan, *again, *other;
    ss_cuda_plans *p;
    char *json;
    size_t n;
    ss_err e = {0};

    (void)state;
    if (!api)
        skip_because("%s", why_not);
    assert_int_equal(ss_file_read("tests/cuda/devices/sm_90.json", 1 << 16, &json, &n, &e), SS_OK);
    assert_int_equal(find_watched(json, &p, &c, &plan, &e), SS_OK);
    const long first = calls;

    assert_int_equal(ss_cuda_plans_find(p, &c, SS_CUDA_PLAN_FAST, &again, &e), SS_OK);
    assert_ptr_equal(again, plan);
    assert_true(first > 20 && calls == first);
    c.bias = 0;
    assert_int_equal(ss_cuda_plans_find(p, &c, SS_CUDA_PLAN_FAST, &other, &e), SS_OK);
    assert_true(other != plan && calls > first);
    ss_cuda_plans_close(p);
    assert_int_equal(descriptors, 0);
    ss_free(json);
}

/* An error, or another plan, and nothing is left behind. */
static void test_failing_calls(void **state)
{
    const ss_cuda_conv c = of_case(&cases[0]);
    int errors = 0;
    char *json;
    size_t n;
    ss_err e = {0};

    (void)state;
    if (!api)
        skip_because("%s", why_not);
    assert_int_equal(ss_file_read("tests/cuda/devices/sm_90.json", 1 << 16, &json, &n, &e), SS_OK);
    fails_at = 1;
    for (bool failed = true; failed; fails_at++) {
        const ss_cuda_plan *plan = NULL;
        ss_cuda_plans *p;
        const ss_code rc = find_watched(json, &p, &c, &plan, &e);

        assert_true(rc == SS_OK || (rc == e.code && strstr(e.msg, "cuDNN: cudnnBackend")));
        assert_true(rc != SS_OK || plan);
        errors += rc != SS_OK;
        failed = calls >= fails_at;
        ss_cuda_plans_close(p);
        assert_int_equal(descriptors, 0);
    }
    fails_at = 0;
    assert_true(errors > 20);
    ss_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_made_once),
        cmocka_unit_test(test_failing_calls),
    };
    return cmocka_run_group_tests(tests, find_cudnn, NULL);
}
